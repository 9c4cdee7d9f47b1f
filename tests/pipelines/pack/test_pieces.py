"""Frames of no episode, and episodes within a group of pictures: what is left out, what is kept, and what is refused."""

import pytest

from episeek.errors import (
    ChangedFileError,
    ContainerError,
    EncryptedMp4Error,
    EpisodeFramesError,
    SampleTableError,
)
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.pack.write import write_packed_file
from tests.features.catalogue import FEATURES
from tests.features.encoding import encode
from tests.features.muxer import Layout, mux
from tests.features.sources import H264_OPEN, HEVC_OPEN, h264, h264_b, presented
from tests.pipelines.pack.packing import numbers, pack_files, packets, pictures, places

BUILD = {feature.name: feature.build for feature in FEATURES}


def shown(packed, path_of: int = 0) -> list[int]:
    return numbers(pictures(places(packed)[path_of][0]))


def test_whole_groups_of_no_episode_are_left_out(tmp_path):
    packed = pack_files(tmp_path, [mux(h264_b())], [[8, 8]], firsts=[[0, 16]])
    assert shown(packed) == [*range(8), *range(16, 24)]
    assert [(start, stop) for _, start, stop in places(packed)] == [(0, 8 / 30), (8 / 30, 16 / 30)]


def test_an_episode_within_a_group_keeps_the_frames_before_it(tmp_path):
    packed = pack_files(tmp_path, [mux(h264_b())], [[5]], firsts=[[11]])
    ((path, start, stop),) = places(packed)
    found = shown(packed)
    assert found[: round(stop * 30)] == list(range(8, 16))
    assert found[round(start * 30) : round(stop * 30)] == list(range(11, 16))
    assert packets(path)[0][1]


@pytest.mark.parametrize("recipe", [H264_OPEN, HEVC_OPEN], ids=["h264", "hevc"])
def test_open_groups_are_not_cut(recipe, tmp_path):
    """Pictures that lead a keyframe refer to the group before it: without that group, nobody could decode them."""
    packed = pack_files(tmp_path, [mux(presented(encode(recipe)))], [[8, 8]], firsts=[[0, 16]])
    found = shown(packed)
    for (_, start, stop), first in zip(places(packed), (0, 16), strict=True):
        assert found[round(start * 30) : round(stop * 30)] == list(range(first, first + 8))
    assert found == list(range(24))


@pytest.mark.parametrize(
    ("name", "length", "error"),
    [
        ("starts_in_open_gop_hevc.mp4", 21, SampleTableError),
        ("h264.mkv", 24, ContainerError),
        ("encrypted.mp4", 24, EncryptedMp4Error),
        ("same_time_twice.mp4", 24, EpisodeFramesError),
    ],
)
def test_files_that_cannot_be_packed_are_refused_by_name(name, length, error, tmp_path):
    length = next(len(feature.numbers) for feature in FEATURES if feature.name == name) or length
    with pytest.raises(error, match=r"000\.mp4"):
        pack_files(tmp_path, [BUILD[name]()], [[length]])


@pytest.mark.parametrize(
    ("lengths", "stops"), [([25], [25]), ([20, 5], [20, 25]), ([12, 11], [13, 24]), ([12, 12], [9, 24])]
)
def test_episodes_with_other_frames_than_rows_are_refused(lengths, stops, tmp_path):
    with pytest.raises(EpisodeFramesError, match=r"000\.mp4, episode [01]: found"):
        pack_files(tmp_path, [mux(h264())], [lengths], firsts=[[0, *stops[:-1]]], stops=[stops])


def test_a_source_that_changed_after_the_plan_is_refused(tmp_path):
    files = [mux(h264_b()), mux(h264_b(), layout=Layout(moov_first=True))]
    packed = pack_files(tmp_path, files, [[24], [24]])
    (file,) = packed.plan.files
    source, destination = Root(str(tmp_path / "source")), Root(str(tmp_path / "again"))
    (tmp_path / "source/001.mp4").write_bytes(mux(h264()))
    with pytest.raises(ChangedFileError, match=r"001\.mp4"):
        write_packed_file(source, destination, file)
    # the same header with other samples
    (tmp_path / "source/001.mp4").write_bytes(files[1][:-1] + b"\0")
    with pytest.raises(ChangedFileError, match="another version"):
        write_packed_file(source, destination, file)
    assert not (tmp_path / "again").exists() or not list((tmp_path / "again").rglob("*.mp4"))

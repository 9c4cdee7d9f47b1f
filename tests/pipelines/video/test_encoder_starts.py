"""The starts of streams in recordings of LeRobot, whose episodes were encoded one by one."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteRange
from episeek.stores.transports.local import LocalSource
from episeek_pipelines.video.alignment.encoder_starts import CONTINUES, STARTS, UNKNOWN, encoder_starts
from episeek_pipelines.video.header import read_video_header
from tests.broken.takes import LENGTHS, write_takes
from tests.support.broken_datasets import TOP, copy_of, video
from tests.support.build_index import CAMERAS, DATA, VIDEO_DATASETS, episode_frames_in_file

NOTHING = np.zeros(0, np.int64)


def marks_of(path: Path, wanted: np.ndarray = NOTHING) -> np.ndarray:
    source = LocalSource(str(path.parent))
    return encoder_starts(source, path.name, read_video_header(source, path.name).table, wanted)


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("name", VIDEO_DATASETS)
def test_each_episode_of_a_recording_begins_a_stream(name: str, camera: str):
    starts: dict[str, list[int]] = {}
    for path, first, _ in episode_frames_in_file(DATA / name, camera):
        starts.setdefault(path, []).append(first)
    for path, expected in starts.items():
        marks = marks_of(DATA / name / path)
        assert np.flatnonzero(marks == STARTS).tolist() == expected
        assert (np.delete(marks, expected) == CONTINUES).all()


def test_one_stream_begins_once(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path)
    write_takes(root, is_one_stream=True)
    assert np.flatnonzero(marks_of(root / video(TOP, 0)) == STARTS).tolist() == [0]


def test_a_codec_without_marks_tells_nothing(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path)
    write_takes(root, codec="mpeg4")
    assert (marks_of(root / video(TOP, 0)) == UNKNOWN).all()


@dataclass
class Store:
    """A local folder that looks like a store, and notes what is read of it."""

    folder: Path
    root: str = "s3://bucket/videos"
    ranges: list[ByteRange] = field(default_factory=list)

    def get_ranges(self, path: str, ranges):
        self.ranges += ranges
        return LocalSource(str(self.folder)).get_ranges(path, ranges)


@pytest.mark.parametrize("name", VIDEO_DATASETS)
def test_few_samples_are_read_of_a_store(name: str):
    path = DATA / name / video(TOP, 0)
    table = read_video_header(LocalSource(str(path.parent)), path.name).table
    store = Store(path.parent)
    order = table.presentation_order()
    sync = np.flatnonzero(table.is_sync[order])
    episodes = [first for file, first, _ in episode_frames_in_file(DATA / name, TOP) if str(path).endswith(file)]
    wanted = np.array([*episodes, int(sync[1])])
    marks = encoder_starts(store, path.name, table, wanted)  # type: ignore[arg-type]  # no more of a store is used
    assert_one_range(store, table, order[wanted])
    assert np.flatnonzero(marks == STARTS).tolist() == episodes
    assert marks[sync[1]] == CONTINUES
    many = Store(path.parent)
    encoder_starts(many, path.name, table, sync)  # type: ignore[arg-type]
    assert_one_range(many, table, order[sync])


def assert_one_range(store: Store, table: SampleTable, samples: np.ndarray) -> None:
    """Check that one request reaches from the first of these samples to the start of the last: they lie near each other."""
    ((start, stop),) = store.ranges
    last = int(table.offset[samples].argmax())
    assert start == table.offset[samples].min()
    assert stop == table.offset[samples][last] + min(table.size[samples][last], 1 << 11)


def test_not_one_of_very_many_is_read(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path)
    write_takes(root, keyframe_interval=1, tail={0: 60})
    path = root / video(TOP, 0)
    table = read_video_header(LocalSource(str(path.parent)), path.name).table
    store = Store(path.parent)
    frames = np.arange(sum(LENGTHS) + 60)
    assert (encoder_starts(store, path.name, table, frames) == UNKNOWN).all()  # type: ignore[arg-type]
    assert not store.ranges

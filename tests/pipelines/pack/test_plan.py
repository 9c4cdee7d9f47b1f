"""The plan of packing, from values alone: what follows what in one file, and where episodes are then."""

from dataclasses import replace

import numpy as np
import pytest

from episeek.errors import MetadataError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.pack.clock import grid_ticks, is_on_grid
from episeek_pipelines.pack.plan import plan_packing, size_limit
from episeek_pipelines.pack.source_video import Piece, PieceEpisode, SourceVideo, from_document, to_document
from episeek_pipelines.video.decoding_starts.in_force import StreamUnits
from tests.pipelines.pack.packing import CAMERA, NO_LIMIT, dataset_of

SPS = frozenset({("sps", 0)})


def source(number: int, *, units: StreamUnits | None = None, timescale: int = 15360, **changes: object) -> SourceVideo:
    """A file of one episode of ten frames, in one piece of 100 bytes."""
    episode = PieceEpisode(number, 0, 10, 0, 10 * 512)
    piece = Piece(0, 10, 100, 10 * 512, True, "avc1", True, (episode,))
    changed = replace(piece, **changes)  # type: ignore[arg-type]  # the fields' own types are checked where they are written
    return SourceVideo(f"{number}.mp4", 0, "v", "d", timescale, units or StreamUnits(), (changed,))


def files_of(*sources: SourceVideo, limit: int = NO_LIMIT) -> list[list[str]]:
    plan = plan_packing(dataset_of(Root("/nowhere"), [10] * len(sources)), sources, limit_bytes=limit)
    return [[part.path for part in file.parts] for file in plan.files]


def test_a_file_is_filled_as_long_as_it_stays_below_the_limit():
    assert files_of(*map(source, range(4)), limit=201) == [["0.mp4", "1.mp4"], ["2.mp4", "3.mp4"]]
    assert files_of(*map(source, range(4)), limit=200) == [["0.mp4"], ["1.mp4"], ["2.mp4"], ["3.mp4"]]
    # a larger piece has a file of its own
    assert files_of(source(0, size_bytes=1000), source(1), limit=200) == [["0.mp4"], ["1.mp4"]]


def test_pieces_follow_each_other_in_the_order_of_their_episodes():
    assert files_of(source(2), source(0), source(1)) == [["0.mp4", "1.mp4", "2.mp4"]]


@pytest.mark.parametrize(
    ("second", "third"),
    [
        ({"appearance": "hvc1"}, {}),
        ({"is_on_grid": False}, {}),
        ({"is_reset": False}, {"is_reset": False}),
        ({"units": StreamUnits(left=SPS)}, {}),
        ({"units": StreamUnits(left=SPS, brought=SPS)}, {}),
        ({"units": StreamUnits(left=SPS)}, {"units": StreamUnits(brought=SPS)}),
    ],
)
def test_a_new_file_starts_where_decoders_or_clocks_differ(second, third):
    found = files_of(source(0), source(1, **second), source(2, **third))
    assert found == [["0.mp4"], ["1.mp4"], ["2.mp4"]]


def test_files_that_bring_their_own_units_go_together():
    units = StreamUnits(left=SPS, brought=SPS)
    assert files_of(source(0, units=units), source(1, units=units)) == [["0.mp4", "1.mp4"]]


def test_pieces_of_one_file_stay_together_where_nothing_was_left_out():
    video = source(0, units=StreamUnits(left=SPS))
    second = replace(video.pieces[0], start=10, stop=20, episodes=(PieceEpisode(1, 0, 10, 0, 5120),), is_reset=False)
    for start, count in ((10, 1), (11, 2)):
        pieces = (video.pieces[0], replace(second, start=start, stop=start + 10))
        plan = plan_packing(
            dataset_of(Root("/nowhere"), [10, 10]), [replace(video, pieces=pieces)], limit_bytes=NO_LIMIT
        )
        assert len(plan.files) == count


def test_timestamps_are_those_of_the_frames_in_the_packed_file():
    uneven = source(1, is_on_grid=False, duration_ticks=7000, episodes=(PieceEpisode(1, 0, 10, 0, 7000),))
    again = replace(
        uneven, path="2.mp4", pieces=(replace(uneven.pieces[0], episodes=(PieceEpisode(2, 0, 10, 0, 6000),)),)
    )
    plan = plan_packing(dataset_of(Root("/nowhere"), [10] * 3), [source(0), uneven, again], limit_bytes=NO_LIMIT)
    assert plan.locations is not None
    columns = plan.locations.cameras[CAMERA]
    assert columns.file_index.tolist() == [0, 1, 1]
    assert columns.from_timestamp.tolist() == [0, 0, 7000 / 15360]
    assert columns.to_timestamp.tolist() == [10 / 30, 7000 / 15360, 13000 / 15360]
    assert [(file.frame_ticks, file.end_ticks) for file in plan.files] == [(512, 5120), (0, 14000)]


def test_numbers_go_on_in_the_next_chunk():
    dataset = dataset_of(Root("/nowhere"), [10] * 3)
    dataset = replace(dataset, info=replace(dataset.info, chunks_size=2))
    plan = plan_packing(dataset, map(source, range(3)), limit_bytes=1)
    places = ["chunk-000/file-000", "chunk-000/file-001", "chunk-001/file-000"]
    assert [file.path for file in plan.files] == [f"videos/{CAMERA}/{place}.mp4" for place in places]


@pytest.mark.parametrize("numbers", [[0, 0], [0, 2]])
def test_an_episode_in_two_files_or_in_none_is_refused(numbers):
    with pytest.raises(MetadataError, match="episode"):
        plan_packing(dataset_of(Root("/nowhere"), [10] * 3), map(source, numbers), limit_bytes=NO_LIMIT)


def test_receipts_hold_all_of_a_source_video():
    video = source(3, units=StreamUnits(left=SPS, brought=SPS))
    assert from_document(to_document(video)) == video


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf")])
def test_a_limit_is_a_number_above_0(size):
    with pytest.raises(ValueError, match="video_file_size_mb"):
        size_limit(dataset_of(Root("/nowhere"), [10]), size)


# --- the clock --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fps", "timescale", "ticks"),
    [
        (30, 15360, 512),
        (30, 90000, 3000),
        (10, 10240, 1024),
        (29.97, 11988, 400),
        (30000 / 1001, 30000, 1001),
        (0.5, 16384, 32768),
    ],
)
def test_frames_on_the_grid_keep_the_timescale_that_holds_it(fps, timescale, ticks):
    assert grid_ticks(fps, frozenset({timescale})) == (timescale, ticks)
    assert is_on_grid(7 + ticks * np.arange(1000), timescale, fps)
    assert not is_on_grid(np.append(ticks * np.arange(9), ticks * 9 + 1), timescale, fps)


def test_rounded_ticks_are_on_the_grid_and_become_exact():
    rounded = np.round(np.arange(1000) * 1000 / 30).astype(np.int64)
    assert is_on_grid(rounded, 1000, 30)
    assert not is_on_grid(rounded + np.arange(1000) // 300, 1000, 30)
    assert grid_ticks(30, frozenset({1000})) == (15360, 512)
    assert grid_ticks(30, frozenset({15360, 90000})) == (15360, 512)
    assert grid_ticks(60, frozenset({1000})) == (15360, 256)

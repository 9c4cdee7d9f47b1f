"""What `diff` finds between a sample dataset and an edit of it, each edit made by plain pyarrow or on bytes."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.errors import MissingFileError, NotADatasetError
from episeek_pipelines.api import WorkFailedError, diff, prepare, render_diff, rewrite, upgrade
from episeek_pipelines.comparison.results import ColumnChange, EpisodeChange, VideoChange
from tests.pipelines.conftest import DATA, DATASETS, change_episodes, change_info, copy_dataset
from tests.repairs.defects import DEFECTS
from tests.repairs.seconds import shift_seconds
from tests.support.amount import amount, every, first
from tests.support.broken_datasets import TOP, hide_sync_samples, patch
from tests.support.edited_datasets import (
    change_cell,
    change_video,
    edit_info,
    edit_rows,
    flip_bytes,
    rename_task,
    reorder,
    with_column,
)
from tests.support.episode_contents import contents_of, differences
from tests.support.old_dataset import edit_lines
from tests.support.remux import remux

OLD = ("v21_videos", "v21_images")
WAYS = [(name, videos) for name in (*DATASETS, *OLD) for videos in ("none", "copy", "hardlink", "pack")]
PREPARED = sorted(WAYS, key=lambda way: way == ("v21_videos", "pack"))
"""The last one is tried in every run."""


@pytest.mark.parametrize("name", every([*DATASETS, *OLD], 3))
def test_a_dataset_equals_itself_unread(name, tmp_path):
    (tmp_path / "link").symlink_to(DATA / name)
    found = diff(str(DATA / name), str(tmp_path / "link"))
    assert not found.is_different
    assert found.is_decided
    assert not found.not_compared
    assert not found.layout
    assert (found.reading.data_files, found.reading.headers, found.reading.samples) == (0, 0, 0)
    assert found.equal_count == found.a.episode_count


@pytest.mark.parametrize("name", every([*DATASETS, *OLD], 3))
def test_a_copy_is_equal(name, tmp_path):
    found = diff(str(DATA / name), str(copy_dataset(name, tmp_path / "copy")))
    assert not found.is_different
    assert not found.not_compared
    assert found.reading.data_files == 0


@pytest.mark.parametrize(("name", "videos"), every(PREPARED, len(PREPARED)))
def test_a_prepared_dataset_is_equal_and_its_layout_differs(name, videos, tmp_path):
    prepare(str(DATA / name), str(tmp_path / "out"), videos=videos)
    found = diff(str(DATA / name), str(tmp_path / "out"))
    assert not found.is_different
    assert found.is_decided
    assert found.equal_count == found.a.episode_count == found.b.episode_count
    # version 2.x has no quantiles
    assert [part.subject.partition(" ")[0] for part in found.not_compared] == ["statistics"] * (name in OLD)
    assert "sidecars" in {change.key for change in found.layout}
    back = diff(str(tmp_path / "out"), str(DATA / name))
    assert not back.is_different
    assert back.equal_count == found.equal_count


def test_an_upgrade_equals_its_source_and_one_changed_row_is_found(tmp_path):
    upgrade(str(DATA / "v21_videos"), str(tmp_path / "new"), videos="copy")
    change_cell(tmp_path / "new", 3, 7, "action", lambda value: [*value[:-1], value[-1] + 1])
    found = diff(str(DATA / "v21_videos"), str(tmp_path / "new"))
    assert found.changed == (EpisodeChange(3, 3, columns=(ColumnChange("action", 1, 7),)),)
    assert not found.metadata
    assert not found.tasks
    assert not found.statistics


@pytest.mark.parametrize("name", ["h264_bframes", "images"])
def test_one_cell_is_named_with_its_row(name, tmp_path):
    copy = copy_dataset(name, tmp_path / "copy")
    change_cell(copy, 2, 5, "observation.state", lambda value: [value[0] + 1, *value[1:]])
    change_cell(copy, 2, 9, "observation.state", lambda value: [math.nan, *value[1:]])
    found = diff(str(DATA / name), str(copy))
    assert found.changed == (EpisodeChange(2, 2, columns=(ColumnChange("observation.state", 2, 5),)),)
    assert found.is_different
    assert not (found.added)
    assert not (found.removed)
    assert not (found.renumbered)
    assert found.equal_count == found.a.episode_count - 1


def test_bits_decide(tmp_path):
    zero, minus = (copy_dataset("images", tmp_path / name) for name in ("zero", "minus"))
    change_cell(zero, 1, 3, "action", lambda value: [0.0, math.nan, *value[2:]])
    change_cell(minus, 1, 3, "action", lambda value: [-0.0, math.nan, *value[2:]])
    assert diff(str(zero), str(minus)).changed == (EpisodeChange(1, 1, columns=(ColumnChange("action", 1, 3),)),)
    same = copy_dataset("images", tmp_path / "same")
    change_cell(same, 1, 3, "action", lambda value: [0.0, math.nan, *value[2:]])
    # the same rows in other row groups
    path = next((same / "data").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table, path, row_group_size=7, compression="none")
    assert not diff(str(zero), str(same)).is_different


def test_bytes_and_paths_of_pictures_are_told_apart(tmp_path):
    image = "observation.images.top"
    one, other = (copy_dataset("images", tmp_path / name) for name in ("one", "other"))
    change_cell(one, 0, 4, image, lambda value: {**value, "bytes": value["bytes"] + b"x"})
    change_cell(other, 0, 4, image, lambda value: {**value, "path": "elsewhere.png"})
    assert diff(str(DATA / "images"), str(one)).changed[0].columns == (ColumnChange(f"{image}.bytes", 1, 4),)
    assert diff(str(DATA / "images"), str(other)).changed[0].columns == (ColumnChange(f"{image}.path", 1, 4),)


def test_a_number_that_only_says_where_a_row_is_still_counts(tmp_path):
    copy = copy_dataset("images", tmp_path / "copy")
    change_cell(copy, 1, 6, "index", lambda value: value + 1)
    found = diff(str(DATA / "images"), str(copy))
    assert found.changed == (EpisodeChange(1, 1, columns=(ColumnChange("index", 1, 6),)),)


@pytest.mark.parametrize("name", first(["av1_multifile", "images"]))
def test_removed_and_renumbered_episodes(name, tmp_path):
    copy = copy_dataset(name, tmp_path / "copy")
    count = len(pq.read_table(copy / "meta/episodes/chunk-000/file-000.parquet"))
    reorder(copy, [number for number in range(count) if number != 1])
    found = diff(str(DATA / name), str(copy))
    assert (found.removed, found.added, found.changed) == ((1,), (), ())
    assert found.renumbered == tuple((number, number - 1) for number in range(2, count))
    assert {change.key for change in found.metadata} == {"total_episodes", "total_frames"}
    back = diff(str(copy), str(DATA / name))
    assert (back.removed, back.added) == ((), (1,))


@pytest.mark.parametrize("seed", range(amount(8, 1)))
def test_what_is_found_is_what_other_readers_see(seed, tmp_path):
    """The dataset after LeRobot's `delete_episodes([2, 5])`, with random cells and packets changed."""
    copy = copy_dataset("edited", tmp_path / "copy")
    random = np.random.default_rng(seed)
    for column in ("action", "observation.state", "timestamp"):
        episode, frame = int(random.integers(8)), int(random.integers(20))
        change_cell(copy, episode, frame, column, lambda v: [*v[:-1], v[-1] + 1] if isinstance(v, list) else v + 1)
    videos = sorted((copy / "videos").rglob("*.mp4"))
    flip_bytes(videos[int(random.integers(len(videos)))], random.choice(20, 3, replace=False).tolist())
    found = diff(str(DATA / "av1_multifile"), str(copy))
    assert (found.removed, found.added) == ((2, 5), ())
    ours, theirs = contents_of(DATA / "av1_multifile"), contents_of(copy)
    kept = [number for number in ours if number not in (2, 5)]
    expected = {
        old: differences(ours[old], theirs[new]) for new, old in enumerate(kept) if differences(ours[old], theirs[new])
    }
    assert {
        change.a: {
            **{column.column: (column.row_count, column.first_row) for column in change.columns},
            **{video.camera: (video.different_samples, video.first_sample) for video in change.videos},
        }
        for change in found.changed
    } == expected
    assert found.renumbered == tuple((old, new) for new, old in enumerate(kept) if old != new)


@pytest.mark.parametrize("level", ["meta", "layout"])
def test_without_rows_statistics_and_samples_tell_which_episode_is_which(level):
    found = diff(str(DATA / "av1_multifile"), str(DATA / "edited"), level=level)
    assert (found.removed, found.added) == ((2, 5), ())
    assert found.renumbered == ((3, 2), (4, 3), (6, 4), (7, 5), (8, 6), (9, 7))
    assert len(found.changed) == (4 if level == "layout" else 0)


def test_swapped_episodes_of_which_one_changed(tmp_path):
    copy = copy_dataset("h264_bframes", tmp_path / "copy")
    reorder(copy, [0, 4, 2, 3, 1, 5])
    change_cell(copy, 4, 2, "action", lambda value: [9.0, *value[1:]])
    found = diff(str(DATA / "h264_bframes"), str(copy))
    assert found.renumbered == ((1, 4), (4, 1))
    assert found.changed == (EpisodeChange(1, 4, columns=(ColumnChange("action", 1, 2),)),)


def test_flipped_bytes_of_samples(tmp_path):
    copy = copy_dataset("hevc", tmp_path / "copy")
    video = next((copy / "videos").rglob("*.mp4"))
    camera = "observation.images.top" if "top" in video.as_posix() else "observation.images.wrist"
    lengths = pq.read_table(copy / "meta/episodes/chunk-000/file-000.parquet")["length"].to_pylist()
    flip_bytes(video, [lengths[0] + 3, lengths[0] + 4])
    found = diff(str(DATA / "hevc"), str(copy))
    expected = VideoChange(camera, different_samples=2, sample_count=lengths[1], first_sample=3)
    assert found.changed == (EpisodeChange(1, 1, videos=(expected,)),)
    # sizes are the same, so less than all of the bytes tells nothing, and says so
    less = diff(str(DATA / "hevc"), str(copy), level="rows")
    assert not less.is_different
    assert any("bytes of the samples" in part.subject for part in less.not_compared)


@pytest.mark.parametrize(("name", "container"), [("hevc", "matroska"), ("av1_multifile", "fragmented")])
def test_remuxed_videos_are_equal(name, container, tmp_path):
    copy = copy_dataset(name, tmp_path / "copy")
    for video in (copy / "videos").rglob("*.mp4"):
        remux(video, container)
    found = diff(str(DATA / name), str(copy))
    assert not found.is_different
    assert found.reading.samples > 0


def test_a_remux_without_the_edit_list_shows_every_frame_late(tmp_path):
    """The same samples: LeRobot asks for the first frame at 0 seconds, and finds it two frames later."""
    copy = copy_dataset("h264_bframes", tmp_path / "copy")
    for video in (copy / "videos").rglob("*.mp4"):
        remux(video, "fragmented")
    found = diff(str(DATA / "h264_bframes"), str(copy))
    assert len(found.changed) == 6
    for change in found.changed:
        assert [video == VideoChange(video.camera, seconds=video.seconds) for video in change.videos] == [True, True]
        assert all("2.00 frames before its first frame" in (video.seconds or ("", ""))[1] for video in change.videos)


def test_a_sample_that_is_shown_later(tmp_path):
    copy = copy_dataset("av1_multifile", tmp_path / "copy")
    video = copy / "videos/observation.images.top/chunk-000/file-003.mp4"
    change_video(video, lambda number, count, packet: setattr(packet, "pts", packet.pts + (number == count - 1) * 200))
    (change,) = diff(str(DATA / "av1_multifile"), str(copy)).changed
    assert change.videos == (VideoChange("observation.images.top", is_time_changed=True),)


def test_another_frame_rate_of_the_same_videos(tmp_path):
    copy = copy_dataset("hevc", tmp_path / "copy")
    change_info(copy, fps=30.000001)
    found = diff(str(DATA / "hevc"), str(copy))
    assert ([change.key for change in found.metadata], found.changed) == (["fps"], ())
    assert found.reading.headers == 4


def test_rows_of_episodes_that_the_metadata_does_not_list(tmp_path):
    copy = copy_dataset("images", tmp_path / "copy")
    edit_rows(copy, lambda table: pa.concat_tables([table, with_column(table[:9], "episode_index", [77] * 9)]))
    found = diff(str(DATA / "images"), str(copy))
    assert not found.changed
    assert found.is_different
    assert [(change.a, change.b) for change in found.metadata] == [([], [77])]
    assert [part.subject for part in found.undecided] == [
        "rows of 1 unlisted episode in data/chunk-000/file-000.parquet of B"
    ]


def test_rows_that_are_missing(tmp_path):
    copy = copy_dataset("images", tmp_path / "copy")
    edit_rows(copy, lambda table: table.filter(pa.compute.not_equal(table["episode_index"], 2)))
    length = pq.read_table(copy / "meta/episodes/chunk-000/file-000.parquet")["length"].to_pylist()[2]
    assert diff(str(DATA / "images"), str(copy)).changed == (EpisodeChange(2, 2, rows=(length, 0)),)


def test_datasets_without_episodes(tmp_path):
    copies = [copy_dataset("images", tmp_path / name) for name in ("one", "other")]
    for copy in copies:
        edit_rows(copy, lambda table: table[:0])
        path = copy / "meta/episodes/chunk-000/file-000.parquet"
        pq.write_table(pq.read_table(path, partitioning=None)[:0], path)
    found = diff(*map(str, copies))
    assert (found.is_different, found.equal_count) == (False, 0)
    assert diff(str(DATA / "images"), str(copies[0])).removed == (0, 1, 2, 3)


def test_columns_and_types_of_some_files_alone(tmp_path):
    """Both sides have the column and both types somewhere: only the episodes tell where."""
    one, other = (copy_dataset("av1_multifile", tmp_path / name) for name in ("one", "other"))
    files = pq.read_table(one / "meta/episodes/chunk-000/file-000.parquet")["data/file_index"].to_pylist()
    for root, changed in ((one, 0), (other, 1)):
        path = root / f"data/chunk-000/file-{changed:03d}.parquet"
        table = pq.read_table(path, partitioning=None)
        table = table.append_column("extra", pa.array([0] * len(table), pa.int32()))
        pq.write_table(table, path)
        path = root / f"data/chunk-000/file-{1 - changed:03d}.parquet"
        table = pq.read_table(path, partitioning=None)
        # the same bytes of another type
        table = table.append_column("zero", pa.array([0] * len(table), pa.int32() if changed else pa.float32()))
        pq.write_table(table, path)
    third = next((one / "data").rglob("file-002.parquet"))
    for root, dtype in ((one, pa.int32()), (other, pa.float32())):
        path = root / third.relative_to(one)
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.append_column("zero", pa.array([0] * len(table), dtype)), path)
    found = {change.a: change.columns for change in diff(str(one), str(other)).changed}
    assert set(found) == set(range(10))
    for episode, file in enumerate(files):
        expected = {
            0: (ColumnChange("extra", only_in="A"), ColumnChange("zero", only_in="B")),
            1: (ColumnChange("extra", only_in="B"), ColumnChange("zero", only_in="A")),
            2: (ColumnChange("zero"),),
        }
        assert found[episode] == expected[file]


def test_overlays_have_their_own_videos(tmp_path):
    """An overlay of other videos is not compared with those that are given for the other side."""
    flipped = copy_dataset("hevc", tmp_path / "flipped")
    flip_bytes(next((flipped / "videos").rglob("*.mp4")), [1])
    for source, target in ((DATA / "hevc", "one"), (flipped, "other")):
        rewrite(str(source), str(tmp_path / target))
    shutil.rmtree(tmp_path / "one/.episeek")
    sides = str(tmp_path / "one"), str(tmp_path / "other")
    with pytest.raises(MissingFileError, match="--data-root"):
        diff(*sides)
    assert len(diff(*sides, data_root=str(DATA / "hevc")).changed) == 1


def test_tasks_features_and_columns(tmp_path):
    copy = copy_dataset("images", tmp_path / "copy")
    tasks = pq.read_table(copy / "meta/tasks.parquet").to_pandas().index.tolist()
    rename_task(copy, tasks[0], "another thing")
    edit_info(copy, lambda info: info["features"].update(extra={"dtype": "int64", "shape": [1], "names": None}))
    edit_rows(copy, lambda table: table.append_column("extra", pa.array(range(len(table)))))
    edit_rows(
        copy,
        lambda table: with_column(table, "action", table["action"].to_pylist(), pa.list_(pa.float64())),
    )
    found = diff(str(DATA / "images"), str(copy))
    assert {(task.text, task.a, task.b) for task in found.tasks} == {(tasks[0], 0, None), ("another thing", None, 0)}
    assert {change.key for change in found.metadata} == {"features.extra", "column extra", "column action"}
    texts = pq.read_table(DATA / "images/meta/episodes/chunk-000/file-000.parquet")["tasks"].to_pylist()
    renamed = [number for number, text in enumerate(texts) if tasks[0] in text]
    assert [change.a for change in found.changed] == renamed
    assert len(renamed) > 0
    # The text of the only task of an episode is one change, and not another one in each row.
    assert all(change.tasks is not None and not change.columns for change in found.changed)
    assert {part.subject for part in found.not_compared} == {"column extra", "values of column action"}


def test_statistics(tmp_path):
    copy = copy_dataset("images", tmp_path / "copy")
    path = copy / "meta/stats.json"
    document = json.loads(path.read_text())
    document["action"]["mean"][1] += 0.25
    path.write_text(json.dumps(document))
    episodes = pq.read_table(copy / "meta/episodes/chunk-000/file-000.parquet", partitioning=None)
    values = episodes["stats/observation.state/max"].to_pylist()
    values[2][0] += 2
    change_episodes(copy, "stats/observation.state/max", 2, values[2])
    found = diff(str(DATA / "images"), str(copy))
    assert [(s.feature, s.statistic, s.episode_count) for s in found.statistics] == [
        ("action", "mean", None),
        ("observation.state", "max", 1),
    ]
    assert np.allclose([s.largest_difference for s in found.statistics if s.largest_difference], [0.25, 2.0])
    assert found.equal_count == 4


def test_a_pointer_to_a_file_without_the_rows(tmp_path):
    copy = copy_dataset("av1_multifile", tmp_path / "copy")
    files = pq.read_table(copy / "meta/episodes/chunk-000/file-000.parquet")["data/file_index"].to_pylist()
    first_of_second = files.index(1)
    change_episodes(copy, "data/file_index", first_of_second, 0)
    found = diff(str(DATA / "av1_multifile"), str(copy))
    (change,) = found.changed
    assert (change.a, change.columns, change.rows) == (first_of_second, (), None)
    assert [(lookup.a, lookup.b) for lookup in change.lookups] == [("has its rows", "has none of its rows")]
    assert {change.key: change.b for change in found.layout} == {"episodes in another data file": 1}
    # rows of an episode in a file that another one is declared in are compared, too
    change_cell(copy, first_of_second, 1, "action", lambda value: [5.0, *value[1:]])
    shutil.copytree(copy, tmp_path / "both")
    change_cell(tmp_path / "both", first_of_second, 1, "action", lambda value: [6.0, *value[1:]])
    assert [change.a for change in diff(str(copy), str(tmp_path / "both")).changed] == [first_of_second]


@pytest.mark.parametrize(
    "name",
    every(
        [
            "dataset_to_index one more",
            "tasks in another order",
            "row numbers as the index of tasks",
            "schema metadata lost",
            "actions in lists",
            "seconds drift",
            "seconds five frames early",
            "to_timestamp three frames late",
            "an episode twice",
        ],
        2,
    ),
)
def test_what_lerobot_reads_otherwise_is_different(name, tmp_path):
    """The rows and samples of the episodes are those of the sample; only the ways to them differ."""
    copy = copy_dataset("av1_multifile", tmp_path / "copy")
    next(defect for defect in DEFECTS if defect.name == name).damage(copy)
    assert diff(str(DATA / "av1_multifile"), str(copy)).is_different
    assert diff(str(copy), str(DATA / "av1_multifile")).is_different


def test_seconds_are_compared_with_the_times_of_the_frames(tmp_path):
    """The samples are equal, but LeRobot reads the end of the previous episode for the first rows."""
    copy = copy_dataset("av1_multifile", tmp_path / "copy")
    shift_seconds(copy)
    (change,) = diff(str(DATA / "av1_multifile"), str(copy)).changed
    (video,) = change.videos
    assert video == VideoChange("observation.images.top", seconds=video.seconds)
    assert video.seconds is not None
    assert "begin 5.00 frames before its first frame" in video.seconds[1]


def test_a_data_file_of_no_episode_is_read_by_lerobot(tmp_path):
    copy = copy_dataset("av1_multifile", tmp_path / "copy")
    shutil.copy(copy / "data/chunk-000/file-001.parquet", copy / "data/chunk-000/file-009.parquet")
    found = diff(str(DATA / "av1_multifile"), str(copy))
    assert [(change.a, change.b) for change in found.metadata] == [("none", "data/chunk-000/file-009.parquet")]


def test_data_files_in_another_order_than_their_rows(tmp_path):
    """The files exchange their names, and meta/episodes follows: LeRobot still reads them by their names."""
    copy = copy_dataset("av1_multifile", tmp_path / "copy")
    files = pq.read_table(copy / "meta/episodes/chunk-000/file-000.parquet")["data/file_index"].to_pylist()
    folder = copy / "data/chunk-000"
    for old, new in ((0, 8), (1, 0), (8, 1)):
        (folder / f"file-{old:03d}.parquet").rename(folder / f"file-{new:03d}.parquet")
    for episode, file in enumerate(files):
        change_episodes(copy, "data/file_index", episode, {0: 1, 1: 0}.get(file, file))
    changed = diff(str(DATA / "av1_multifile"), str(copy)).changed
    # the first episode of each file, and of the file after them
    assert [change.a for change in changed] == [0, files.index(1), files.index(2)]
    assert all(change == EpisodeChange(change.a, change.b, lookups=change.lookups) for change in changed)


def test_lengths_and_places_that_the_metadata_declares(tmp_path):
    copy = copy_dataset("images", tmp_path / "copy")
    change_episodes(copy, "dataset_from_index", 2, 1)
    (change,) = diff(str(DATA / "images"), str(copy)).changed
    assert change == EpisodeChange(2, 2, is_start_changed=True, starts=change.starts)


def test_frames_that_are_not_certain_leave_it_open(tmp_path):
    copy = copy_dataset("h264_bframes", tmp_path / "copy")
    change_episodes(copy, "videos/observation.images.top/from_timestamp", 3, 1000.0)
    change_episodes(copy, "videos/observation.images.top/to_timestamp", 3, 1001.0)
    found = diff(str(DATA / "h264_bframes"), str(copy))
    assert not found.is_decided
    assert "observation.images.top" in found.undecided[0].subject


def test_levels_say_what_they_leave_out(tmp_path):
    copy = copy_dataset("h264_bframes", tmp_path / "out")
    for video in (copy / "videos").rglob("*.mp4"):
        remux(video, "fragmented")
    reasons = {
        level: [
            part.subject.partition(" ")[0]
            for part in diff(str(DATA / "h264_bframes"), str(tmp_path / "out"), level=level).not_compared
        ]
        for level in ("meta", "layout", "rows", "videos")
    }
    assert reasons == {"meta": ["rows", "videos"], "layout": ["rows", "bytes"], "rows": ["bytes"], "videos": []}


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(NotADatasetError, match="nothing"):
        diff(str(DATA / "images"), str(tmp_path / "nothing"))
    copy = copy_dataset("h264_bframes", tmp_path / "copy")
    path = next((copy / "data").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WorkFailedError, match=r"file-000\.parquet"):
        diff(str(DATA / "h264_bframes"), str(copy))
    next((copy / "videos").rglob("*.mp4")).unlink()
    with pytest.raises(MissingFileError, match="no such file"):
        diff(str(copy), str(DATA / "h264_bframes"))


def test_version_2_with_another_document(tmp_path):
    shutil.copytree(DATA / "v21_images", tmp_path / "copy")
    edit_lines(Path(tmp_path / "copy"), "meta/tasks.jsonl", lambda lines: lines[0].update(task="another thing"))
    edit_lines(
        Path(tmp_path / "copy"),
        "meta/episodes.jsonl",
        lambda lines: [line.update(tasks=["another thing"]) for line in lines if line["episode_index"] == 0],
    )
    found = diff(str(DATA / "v21_images"), str(tmp_path / "copy"), execution=_threads())
    assert found.tasks
    assert 0 in {change.a for change in found.changed}


def _threads():
    from episeek_pipelines.api import Execution

    return Execution("threads", workers=2)


def test_other_flags_of_sync_samples_are_a_difference(tmp_path):
    root = copy_dataset("h264_bframes", tmp_path / "flags")
    patch(root, f"videos/{TOP}/chunk-000/file-000.mp4", hide_sync_samples)
    found = diff(str(DATA / "h264_bframes"), str(root))
    assert found.is_different
    assert {video for change in found.changed for video in change.videos} == {VideoChange(TOP, are_flags_changed=True)}


def test_statistics_that_differ_by_rounding_are_equal_but_for_the_layout(tmp_path):
    copy = copy_dataset("images", tmp_path / "copy")
    path = copy / "meta/stats.json"
    statistics = json.loads(path.read_text())
    mean = statistics["action"]["mean"]
    statistics["action"]["mean"] = [value * (1 + 2.6e-8) for value in mean]
    path.write_text(json.dumps(statistics))
    compared = diff(str(DATA / "images"), str(copy))
    assert not compared.is_different
    assert "but for rounding: mean of action" in render_diff(compared, "text")
    statistics["action"]["mean"] = [value + 1e-4 for value in mean]
    path.write_text(json.dumps(statistics))
    compared = diff(str(DATA / "images"), str(copy))
    assert [(each.feature, each.statistic) for each in compared.statistics] == [("action", "mean")]
    assert render_diff(compared, "text").rstrip().endswith("equal; different statistics")

"""Datasets of version 2.x become version 3.0: every picture and every item, with each choice of videos."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import EpiseekError, MetadataError, MissingFileError, UnsupportedVersionError
from episeek_pipelines.api import WorkFailedError, index, inspect, prepare, upgrade, verify
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.jobs.graph import Execution
from tests.pipelines.conftest import DATA, digests
from tests.support import bar_code
from tests.support.amount import every
from tests.support.old_dataset import EPISODES, STATISTICS, as_version_2_0, copy_old, edit_lines

LENGTHS = [42, 20, 40, 40, 21, 31, 31]
CAMERAS = ("observation.images.top", "observation.images.wrist")
SERIAL = Execution("sync")


def numbers_of(root, data_root=None):
    """The number burned into each picture, by camera and episode, decoded from the clips of a dataset."""
    dataset = episeek.open(root, data_root)
    count = dataset.episode_count
    return {
        camera: [bar_code.read(np.asarray(dataset.clip(episode, camera).decode().data)) for episode in range(count)]
        for camera in CAMERAS
    }


def number_in(dataset, episode, frame):
    """The number burned into one frame of the second camera."""
    (number,) = bar_code.read(np.asarray(dataset.clip(episode, CAMERAS[1], frame, frame + 1).decode().data))
    return number


def findings_of(result):
    return result.verification.findings


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """An overlay of v21_videos."""
    target = tmp_path_factory.mktemp("v2") / "out"
    result = prepare(str(DATA / "v21_videos"), str(target), execution=SERIAL)
    assert result.source_version == "v2.1"
    assert findings_of(result) == ()
    return target


@pytest.mark.torch
def test_items_are_those_of_lerobot(prepared):
    pytest.importorskip("torch")
    from episeek.torch import EpisodeDataset

    fps = 30
    deltas = {
        "observation.images.top": [-2 / fps, -1 / fps, 0],
        "action": [frame / fps for frame in range(8)],
        "observation.state": [-1 / fps, 0],
    }
    dataset = EpisodeDataset(prepared, data_root=DATA / "v21_videos", delta_timestamps=deltas, return_uint8=True)
    with np.load(DATA / "v21_videos/golden_items.npz") as golden:
        keys = list(golden)
        assert len(keys) == 98
        numbers = sorted({int(key.partition("/")[0]) for key in keys})
        items = dict(zip(numbers, dataset.__getitems__(numbers), strict=True))
        for key in keys:
            number, _, feature = key.partition("/")
            own = np.asarray(items[int(number)][feature])
            assert (own.dtype, own.shape) == (golden[key].dtype, golden[key].shape), key
            assert np.array_equal(own, golden[key]), key


@pytest.mark.parametrize("videos", every(["none", "link", "copy", "hardlink", "pack"], 4))
def test_every_picture_is_the_right_one(videos, tmp_path):
    before = digests(DATA / "v21_videos")
    result = prepare(str(DATA / "v21_videos"), str(tmp_path / "out"), videos=videos, execution=SERIAL)
    assert findings_of(result) == ()
    expected = [list(range(length)) for length in LENGTHS]
    assert numbers_of(tmp_path / "out") == dict.fromkeys(CAMERAS, expected)
    assert digests(DATA / "v21_videos") == before
    assert (tmp_path / "out/videos/chunk-002" / CAMERAS[0] / "episode_000006.mp4").exists() == (
        videos not in ("none", "pack")
    )


def test_rows_are_those_of_the_source(prepared):
    (path,) = (prepared / "data").rglob("*.parquet")
    with pq.ParquetFile(path) as file:
        assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == LENGTHS
        rows = file.read()
    sources = sorted((DATA / "v21_videos/data").rglob("*.parquet"))
    parts = [pq.read_table(source) for source in sources]
    assert all(part.schema.equals(rows.schema, check_metadata=True) for part in parts)
    assert rows.to_pylist() == [row for part in parts for row in part.to_pylist()]


def test_metadata_is_as_lerobot_writes_it(prepared):
    info = json.loads((prepared / "meta/info.json").read_text())
    old = json.loads((DATA / "v21_videos/meta/info.json").read_text())
    new = json.loads((DATA / "av1_multifile/meta/info.json").read_text())
    assert set(info) == set(new)
    assert info["data_path"] == new["data_path"]
    assert info["codebase_version"] == "v3.0"
    assert all(info[key] == old[key] for key in ("total_episodes", "total_frames", "total_tasks", "fps", "robot_type"))
    tasks = pq.read_table(prepared / "meta/tasks.parquet").to_pandas()
    assert tasks.index.tolist() == ["pick the cube", "place the cube", "open the drawer"]
    assert tasks["task_index"].tolist() == [0, 1, 2]
    episodes = pq.read_table(prepared / "meta/episodes/chunk-000/file-000.parquet")
    recorded = pq.read_schema(DATA / "av1_multifile/meta/episodes/chunk-000/file-000.parquet")
    without = {f"stats/{camera}/{name}" for camera in CAMERAS for name in ("q01", "q10", "q50", "q90", "q99")}
    assert {field.name: field.type for field in episodes.schema} == {
        field.name: field.type for field in recorded if field.name not in without
    }
    statistics = json.loads((prepared / "meta/stats.json").read_text())
    assert list(statistics["action"]) == list(
        json.loads((DATA / "av1_multifile/meta/stats.json").read_text())["action"]
    )
    rows = np.stack(pq.read_table(prepared / "data")["action"].to_pylist())
    np.testing.assert_allclose(statistics["action"]["mean"], rows.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(statistics["action"]["std"], rows.std(axis=0), atol=1e-6)


def test_pictures_in_rows_and_small_files(tmp_path):
    result = prepare(str(DATA / "v21_images"), str(tmp_path / "out"), max_episodes_per_file=3, execution=SERIAL)
    assert findings_of(result) == ()
    assert result.rewrite is not None
    assert (result.rewrite.source_files, result.rewrite.files) == (4, 2)


def test_version_2_0_gets_all_statistics_from_rows(prepared, tmp_path):
    root = as_version_2_0(copy_old(tmp_path / "old"))
    result = upgrade(str(root), str(tmp_path / "out"), execution=SERIAL)
    # the recorded statistics of numbers are others than those of the rows, if only by rounding
    assert {found.code for found in findings_of(result)} == {"VID022W"}
    assert (result.source_version, result.index) == ("v2.0", None)
    assert not (tmp_path / "out/meta/byte_index").exists()
    own, expected = (
        pq.read_table(each / "meta/episodes/chunk-000/file-000.parquet") for each in (tmp_path / "out", prepared)
    )
    for name in ("min", "max", "mean", "std", "count", "q50"):
        column = f"stats/action/{name}"
        np.testing.assert_allclose(own[column].to_pylist(), expected[column].to_pylist(), atol=1e-6)
    statistics = [json.loads((each / "meta/stats.json").read_text()) for each in (tmp_path / "out", prepared)]
    np.testing.assert_allclose(statistics[0]["action"]["std"], statistics[1]["action"]["std"], atol=1e-6)
    assert statistics[0][CAMERAS[0]]["count"] == [225]


def test_episodes_left_out_are_recorded_and_accepted(tmp_path):
    source, target = str(DATA / "v21_videos"), str(tmp_path / "out")
    result = prepare(source, target, skip_episodes=[4, 1], videos="copy", execution=SERIAL)
    assert (findings_of(result), result.skipped_episodes) == ((), (1, 4))
    kept = [length for number, length in enumerate(LENGTHS) if number not in (1, 4)]
    assert numbers_of(target) == {camera: [list(range(length)) for length in kept] for camera in CAMERAS}
    rows = pq.read_table(tmp_path / "out/data")
    assert rows["index"].to_pylist() == list(range(sum(kept)))
    assert rows["episode_index"].to_pylist() == [number for number, length in enumerate(kept) for _ in range(length)]
    record = json.loads((tmp_path / "out/.episeek/source.json").read_text())
    assert (record["plan"]["skip_episodes"], record["version"]) == ([1, 4], "v2.1")
    assert verify(target, against=source).findings == ()
    assert not list((tmp_path / "out/videos").rglob("episode_000004.mp4"))
    record["plan"]["skip_episodes"] = [1, 3]
    (tmp_path / "out/.episeek/source.json").write_text(json.dumps(record))
    assert {found.code for found in verify(target, against=source).findings} >= {"ROW021", "EPI021"}


@pytest.mark.parametrize(
    ("skipped", "error", "words"),
    [([7], MetadataError, "episode 7 to leave out"), (range(7), MetadataError, "all 7 episodes")],
)
def test_episodes_that_cannot_be_left_out(skipped, error, words, tmp_path):
    with pytest.raises(error, match=words):
        prepare(str(DATA / "v21_videos"), str(tmp_path / "out"), skip_episodes=list(skipped))


def test_version_3_is_refused(tmp_path):
    with pytest.raises(UnsupportedVersionError, match=r"version 2\.0 or 2\.1"):
        upgrade(str(DATA / "images"), str(tmp_path / "out"))
    with pytest.raises(UnsupportedVersionError, match="episodes to leave out"):
        prepare(str(DATA / "images"), str(tmp_path / "out"), skip_episodes=[0])


VIDEO = "videos/chunk-000/observation.images.top/episode_000001.mp4"
ROWS = "data/chunk-000/episode_000001.parquet"


def replace(path, other):
    return lambda root: shutil.copy(root / other, root / path)


def shorten_rows(root):
    pq.write_table(pq.read_table(root / ROWS).slice(0, 19), root / ROWS)


def change_type(root):
    table = pq.read_table(root / ROWS)
    position = table.schema.get_field_index("timestamp")
    pq.write_table(table.set_column(position, "timestamp", table["timestamp"].cast("float64")), root / ROWS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: (root / VIDEO).unlink(), f"{VIDEO}: found no such file; expected the MP4 of episode 1"),
        (lambda root: (root / ROWS).unlink(), f"{ROWS}: found no such file; expected the rows of episode 1"),
        (replace(VIDEO, VIDEO.replace("_000001", "_000002")), f"{VIDEO}, episode 1: found 40 frames; expected 20"),
        (replace(VIDEO.replace("_000001", "_000002"), VIDEO), "_000002.mp4, episode 2: found 20 frames; expected 40"),
        (shorten_rows, f"{ROWS}: found 19 rows; expected 20 rows"),
        (
            replace("data/chunk-001/episode_000005.parquet", "data/chunk-002/episode_000006.parquet"),
            "rows of episode 6",
        ),
        (change_type, "column 'timestamp' of type double; expected type float"),
    ],
    ids=["no video", "no rows", "long video", "short video", "short rows", "other rows", "other type"],
)
def test_files_that_are_not_their_episodes_are_refused_or_left_out(change, words, tmp_path):
    root = copy_old(tmp_path / "old")
    change(root)
    with pytest.raises((MissingFileError, WorkFailedError)) as refusal:
        upgrade(str(root), str(tmp_path / "out"), execution=SERIAL)
    assert words in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_an_episode_that_cannot_be_repaired_is_left_out(tmp_path):
    root = copy_old(tmp_path / "old")
    replace(VIDEO, VIDEO.replace("_000001", "_000002"))(root)
    result = upgrade(str(root), str(tmp_path / "out"), skip_episodes=[1], execution=SERIAL)
    assert result.verification is not None
    assert (result.verification.error_count, result.verification.episode_count) == (0, 6)


@pytest.mark.parametrize("length", [21, 400])
def test_wrong_lengths_of_episodes_left_out_change_nothing_else(length, tmp_path):
    root = copy_old(tmp_path / "old")
    edit_lines(root, EPISODES, lambda lines: [lines[number].update(length=length) for number in (1, 4)])
    result = upgrade(str(root), str(tmp_path / "out"), skip_episodes=[1, 4], execution=SERIAL)
    assert result.verification is not None
    assert {found.code for found in findings_of(result)} == {"VID022W"}
    kept = [length for number, length in enumerate(LENGTHS) if number not in (1, 4)]
    stops = np.cumsum(kept).tolist()
    assert json.loads((tmp_path / "out/meta/info.json").read_text())["total_frames"] == stops[-1]
    assert pq.read_table(tmp_path / "out/data")["index"].to_pylist() == list(range(stops[-1]))
    recorded = pq.read_table(tmp_path / "out/meta/episodes")
    assert recorded["stats/index/min"].to_pylist() == [[stop - size] for stop, size in zip(stops, kept, strict=True)]
    assert recorded["stats/index/max"].to_pylist() == [[stop - 1] for stop in stops]


@pytest.mark.parametrize("length", [None, 0, "20"])
def test_what_is_wrong_in_the_lines_of_episodes_left_out_is_no_problem(length, tmp_path):
    root = copy_old(tmp_path / "old")
    edit_lines(root, EPISODES, lambda lines: lines[1].update(length=length, tasks=["no such task"]))
    edit_lines(root, STATISTICS, lambda lines: lines.pop(1))
    opened = open_dataset(str(root), skipped=(1,))
    opened.require_sound_documents()
    assert opened.info.total_frames == sum(LENGTHS) - LENGTHS[1]
    assert opened.episodes.length.tolist() == [LENGTHS[0], *LENGTHS[2:]]
    with pytest.raises(MetadataError):
        open_dataset(str(root), skipped=(2,))


def test_a_wrong_index_stays_the_only_wrong_one_if_episodes_are_left_out(tmp_path):
    root = copy_old(tmp_path / "old")
    path = "data/chunk-000/episode_000002.parquet"
    table = pq.read_table(root / path)
    numbers = table["index"].to_pylist()
    numbers[0], numbers[3] = 900, None
    pq.write_table(table.set_column(table.schema.get_field_index("index"), "index", [numbers]), root / path)
    with open_dataset(str(root), skipped=(0,)).root.open_parquet(path) as file:
        own = file.read()
    assert own["index"].to_pylist() == [900 - 42, 21, 22, None, *range(24, 60)]
    assert own["episode_index"].unique().to_pylist() == [1]


def test_stray_files_are_named_and_stay(tmp_path):
    root = copy_old(tmp_path / "old")
    strays = [
        ROWS.replace("_000001", "_000009"),
        ROWS.replace("_000001", "_000001 (copy)"),
        VIDEO.replace("_000001", "_9"),
    ]
    for path in strays:
        shutil.copy(root / (ROWS if path.startswith("data") else VIDEO), root / path)
    result = upgrade(str(root), str(tmp_path / "out"), videos="copy", execution=SERIAL)
    assert result.strays == tuple(sorted(strays))
    assert {found.code for found in findings_of(result)} == {"VID022W"}
    assert not any((tmp_path / "out" / path).exists() for path in strays)


def test_a_stopped_run_is_continued(tmp_path, monkeypatch):
    source, target = str(DATA / "v21_images"), str(tmp_path / "out")
    from episeek_pipelines.jobs import node_functions

    with monkeypatch.context() as patch:
        patch.setattr(node_functions, "write_sidecars", lambda *_, **__: 1 / 0)
        with pytest.raises(WorkFailedError):
            prepare(source, target, max_episodes_per_file=2, execution=SERIAL)
    resumed = prepare(source, target, max_episodes_per_file=2, execution=SERIAL)
    assert resumed.is_resumed
    assert resumed.rewrite is not None
    assert (resumed.rewrite.reused_files, findings_of(resumed)) == (2, ())
    prepare(source, str(tmp_path / "undisturbed"), max_episodes_per_file=2, execution=Execution("threads", 2))
    assert digests(tmp_path / "out") == digests(tmp_path / "undisturbed")
    assert prepare(source, target, max_episodes_per_file=2).is_current


def test_sidecars_beside_the_files_of_version_2(tmp_path):
    root = copy_old(tmp_path / "old")
    assert inspect(str(root)).codebase_version == "v2.1"
    index(str(root), execution=SERIAL)
    assert number_in(episeek.open(root), 4, 17) == 17
    assert inspect(str(root)).indexed_frames == 225
    index(str(DATA / "v21_videos"), output=str(tmp_path / "sidecars"), execution=SERIAL)
    assert number_in(episeek.open(tmp_path / "sidecars", root), 6, 30) == 30
    with pytest.raises(UnsupportedVersionError, match="`episeek upgrade`"):
        _ = episeek.open(root).features


def test_a_changed_document_ends_what_was_opened_before(tmp_path):
    from episeek_pipelines.dataset.metadata import open_dataset

    root = copy_old(tmp_path / "old")
    dataset = open_dataset(str(root))
    edit_lines(root, EPISODES, lambda found: found.append({**found[0], "episode_index": 7}))
    from episeek_pipelines.dataset.v2.root import _view

    _view.cache_clear()
    with pytest.raises(EpiseekError, match="changed since the dataset was opened"):
        dataset.root.read_bytes("meta/info.json")
    assert len(open_dataset(str(root)).episodes) == 8

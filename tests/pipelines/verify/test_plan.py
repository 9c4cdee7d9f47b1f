import pickle
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.errors import NotADatasetError, ReadError
from episeek.stores.identity import FileIdentity
from episeek.stores.transports.local import LocalSource
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.row_cursor import RowCursor
from episeek_pipelines.verify import (
    Finding,
    Level,
    Location,
    VerificationContext,
    VerificationReport,
    VerifyOptions,
    batches,
    conclude,
    format_json,
    plan_checks,
    plan_verification,
    read_shard,
    run_check,
    shard_arguments,
    survey,
)
from episeek_pipelines.verify import verify as verify_at_level
from episeek_pipelines.verify.data import row_rules
from episeek_pipelines.verify.findings.checks import DataCheck, VideoCheck
from episeek_pipelines.verify.videos import rules as video_rules
from episeek_schemas.layout import BYTE_INDEX_DIR, SOURCE_RECORD_PATH
from tests.support.broken_datasets import (
    EPISODES,
    TOP,
    collapse,
    copy_of,
    data,
    edit_info,
    edit_parquet,
    set_value,
    set_values,
    video,
)
from tests.support.build_index import DATA

ROWS = VerifyOptions(level="rows")


def root_of(path: Path) -> Root:
    return Root(str(path))


def verify(root: Root, **arguments: Any) -> VerificationReport:
    """Verify at the level `rows`, unless a test passes other options."""
    return verify_at_level(root, **{"options": ROWS, **arguments})


def errors(report: VerificationReport) -> list[Finding]:
    return [found for found in report.findings if found.severity == "error"]


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Return a dataset with defects in several files, one of which shows only across two files."""
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    set_value(root, EPISODES, "data/file_index", 3, 0)
    set_value(root, data(1), "index", 40, 4)
    set_value(root, data(2), "timestamp", 2, 9.0)
    (root / video(TOP, 1)).unlink()
    collapse(root, data(2))
    return root


def test_plan_checks_and_results_pickle(damaged: Path):
    planned = plan_verification(root_of(damaged), against=root_of(DATA / "av1_multifile"), options=ROWS)
    expected = conclude(planned, [run_check(planned.require_context(), check) for check in planned.checks])
    sent = pickle.loads(pickle.dumps(planned))
    results = [run_check(pickle.loads(pickle.dumps(sent.require_context())), check) for check in sent.checks]
    assert conclude(sent, pickle.loads(pickle.dumps(results))) == expected
    assert expected.error_count >= 4


def test_results_in_any_order_give_the_same_report(damaged: Path):
    planned = plan_verification(root_of(damaged), options=ROWS)
    results = [run_check(planned.require_context(), check) for check in planned.checks]
    expected = conclude(planned, results)
    for seed in range(5):
        random.Random(seed).shuffle(results)
        assert format_json(conclude(planned, results)) == format_json(expected)


def test_batching_changes_nothing(damaged: Path, monkeypatch: pytest.MonkeyPatch):
    expected = verify(root_of(damaged))
    monkeypatch.setattr(batches, "MAX_CHECKS_PER_KIND", 1)
    planned = plan_verification(root_of(damaged), options=ROWS)
    assert sum(isinstance(check, DataCheck) for check in planned.checks) == 1
    assert sum(isinstance(check, VideoCheck) for check in planned.checks) == 1
    assert verify(root_of(damaged)) == expected


def test_an_exception_in_a_rule_is_a_finding_and_the_others_still_run(damaged: Path, monkeypatch: pytest.MonkeyPatch):
    before = verify(root_of(damaged)).findings

    def defective(context: VerificationContext, *arguments: object) -> Iterator[Finding]:
        raise ZeroDivisionError("a defect of the rule")
        yield

    monkeypatch.setattr("episeek_pipelines.verify.data.rules.ROW_RULES", (defective, *row_rules.ROW_RULES))
    monkeypatch.setattr(video_rules, "VIDEO_RULES", (*video_rules.VIDEO_RULES, defective))
    after = verify(root_of(damaged)).findings
    crashed = [found for found in after if found.code == "VER000"]
    assert set(before) == set(after) - set(crashed)
    assert len(crashed) == 3 + 11  # data files, and videos but for the missing one
    assert crashed[0].location == Location(file=data(0))
    assert crashed[0].message == "defective: ZeroDivisionError: a defect of the rule; expected a completed check"


def test_findings_of_a_rule_that_fails_later_stay(damaged: Path, monkeypatch: pytest.MonkeyPatch):
    original = row_rules.check_numbers

    def defective(*arguments: object) -> Iterator[Finding]:
        yield from original(*arguments)  # type: ignore[arg-type]
        raise KeyError("late")

    monkeypatch.setattr("episeek_pipelines.verify.data.rules.ROW_RULES", (defective,))
    codes = {found.code for found in verify(root_of(damaged)).findings}
    assert {"ROW016", "VER000"} <= codes


def test_a_store_that_fails_is_a_finding_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    original = LocalSource.get_ranges

    def failing(self: LocalSource, path: str, ranges: list[tuple[int, int]]) -> list[bytes]:
        if path == video(TOP, 1):
            raise ReadError(path, "HTTP 503", "a readable file")
        return original(self, path, ranges)

    monkeypatch.setattr(LocalSource, "get_ranges", failing)
    found = errors(verify(root_of(DATA / "av1_multifile")))
    assert [(f.code, f.location.file) for f in found] == [("VER001", video(TOP, 1))]


def test_places_are_exact(damaged: Path):
    found = {f.code: f for f in errors(verify(root_of(damaged)))}
    assert set(found) == {"EPI012", "INF004", "ROW016", "ROW017", "ROW018"}
    assert found["EPI012"].location == Location(EPISODES, 3, row=3, column="data/file_index")
    assert found["EPI012"].message == f"data file {data(0)}; expected {data(1)}, which contains 32 rows of the episode"
    assert found["ROW016"].location == Location(data(1), 4, row=40, column="index")
    assert found["ROW016"].message == "index 4; expected 173"
    assert found["ROW017"].location == Location(data(2), 7, row=2, column="timestamp")
    assert found["INF004"].location == Location(video(TOP, 1), camera=TOP)


@pytest.mark.parametrize("level", ["layout", "rows"])
def test_who_writes_sidecars_or_a_record_of_the_source_promises_row_groups(level: Level, tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    collapse(root, data(0))

    def codes(prepared: bool | None = None) -> set[str]:
        report = verify_at_level(root_of(root), prepared=prepared, options=VerifyOptions(level=level))
        return {found.code for found in report.findings} - {"VID022W"}

    assert codes() == set()
    (root / ".episeek").mkdir()
    (root / SOURCE_RECORD_PATH).write_text("{}")
    assert codes() == {"ROW018", "ROW038"}
    assert codes(prepared=False) == set()
    shutil.rmtree(root / ".episeek")
    shutil.copytree(
        copy_of("av1_multifile", tmp_path, indexed=True, name="other") / BYTE_INDEX_DIR, root / BYTE_INDEX_DIR
    )
    assert codes() == {"ROW018"}
    assert codes(prepared=False) == {"ROW018W"}
    assert codes(prepared=True) == {"ROW018", "ROW038"}


def test_several_failures_of_the_metadata_are_reported_at_once_with_their_rows(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    seconds = f"videos/{TOP}/from_timestamp"
    set_values(
        root,
        EPISODES,
        {("length", 2): None, ("length", 7): 0, (seconds, 5): float("nan"), ("data/file_index", 2): None},
    )
    found = [f for f in verify(root_of(root)).findings if f.code == "EPI011"]
    places = {(f.location.file, f.location.column, f.location.row, f.location.episode) for f in found}
    rows = {("length", 2), ("length", 7), (seconds, 5), ("data/file_index", 2)}
    assert places == {(EPISODES, column, row, row) for column, row in rows}
    assert {f.location.camera for f in found} == {None, TOP}


def test_rows_of_later_row_groups_are_counted_from_the_start_of_the_file(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    edit_parquet(root, EPISODES, lambda groups: [groups[0].slice(0, 4), groups[0].slice(4)])
    set_value(root, EPISODES, "length", 6, None)
    assert [(f.code, f.location.row) for f in errors(verify(root_of(root)))] == [("EPI011", 6)]


def test_the_smallest_tolerance_that_passes_is_reported(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    assert verify(root_of(root)).timestamp_tolerance_seconds == 0
    set_value(root, data(1), "timestamp", 7, 7 / 30 + 0.00005)
    report = verify(root_of(root))
    assert report.is_clean
    assert report.timestamp_tolerance_seconds == pytest.approx(0.00005, rel=0.01)
    set_value(root, data(2), "timestamp", 7, 7 / 30 - 0.002)
    assert verify(root_of(root)).timestamp_tolerance_seconds == pytest.approx(0.002, rel=0.01)


def test_rounding_to_float32_in_a_long_episode_is_no_defect(tmp_path: Path):
    """At 3 hours, neighbouring float32 numbers are a millisecond apart."""
    root = copy_of("images", tmp_path)
    frames = 30 * 3600 * 3
    old = pq.read_table(root / data(0)).slice(0, 1)
    row = np.arange(frames)
    columns = {
        "timestamp": (row / 30).astype(np.float32), "frame_index": row, "index": row, "episode_index": np.zeros(frames, np.int64),
    }  # fmt: skip
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(frames, f.type) for f in old.schema]
    pq.write_table(pa.Table.from_arrays(arrays, schema=old.schema), root / data(0))
    edit_parquet(root, EPISODES, lambda groups: [groups[0].slice(0, 1)])
    set_values(root, EPISODES, {("length", 0): frames, ("dataset_to_index", 0): frames})
    edit_info(root, total_episodes=1, total_frames=frames)
    assert "ROW017" not in {found.code for found in verify(root_of(root)).findings}


def test_videos_are_found_elsewhere_for_an_overlay(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, indexed=True)
    shutil.move(root / "videos", tmp_path / "elsewhere/videos")
    assert {f.code for f in verify(root_of(root)).findings} == {"INF004"}
    report = verify(root_of(root), data_root=root_of(tmp_path / "elsewhere"))
    assert (report.findings, [note.code for note in report.notes]) == ((), ["VID026W"])


def by_episode(groups: list[pa.Table]) -> list[pa.Table]:
    """Return one row group for each episode."""
    table = pa.concat_tables(groups)
    episode = table["episode_index"].to_numpy()
    return [table.filter(pa.array(episode == wanted)) for wanted in np.unique(episode)]


def test_files_that_a_rewrite_split_are_compared_episode_by_episode(tmp_path: Path):
    root = copy_of("edited", tmp_path)
    first = pq.read_table(root / data(1))
    episode = first["episode_index"].to_numpy()
    for number, wanted in ((1, [2]), (3, [3]), (4, [4])):
        with pq.ParquetWriter(root / data(number), first.schema) as writer:
            writer.write_table(first.filter(pa.array(np.isin(episode, wanted))))
    for number in (0, 2):
        edit_parquet(root, data(number), by_episode)
    set_values(root, EPISODES, {("data/file_index", 3): 3, ("data/file_index", 4): 4})
    source = root_of(DATA / "edited")
    out_of_order = {"INF043"}  # so that a file's name tells nothing
    assert {found.code for found in errors(verify(root_of(root), against=source))} == out_of_order
    set_value(root, data(3), "next.done", 5, True)
    [found] = [f for f in errors(verify(root_of(root), against=source)) if f.code not in out_of_order]
    assert (found.code, found.location) == ("ROW021", Location(data(3), 3, row=5, column="next.done"))


def test_nan_is_equal_to_the_same_nan_only(tmp_path: Path):
    source, root = copy_of("h264_bframes", tmp_path / "a"), copy_of("h264_bframes", tmp_path / "b")
    bits = pa.array(np.array([0x7FC00000] * 5 + [0x7FC00001], np.uint32).view(np.float32))
    other = pa.array(np.array([0x7FC00000] * 6, np.uint32).view(np.float32))
    kind = pa.list_(pa.field("element", pa.float32()), 6)
    for target, values in ((source, bits), (root, bits)):
        set_value(target, data(0), "action", 60, pa.FixedSizeListArray.from_arrays(values, type=kind))
    assert errors(verify(root_of(root), against=root_of(source))) == []
    set_value(root, data(0), "action", 60, pa.FixedSizeListArray.from_arrays(other, type=kind))
    [found] = errors(verify(root_of(root), against=root_of(source)))
    assert (found.code, found.location.row, found.location.column) == ("ROW021", 60, "action")


def test_a_cursor_reads_any_rows(tmp_path: Path):
    table = pa.table({"x": np.arange(1000)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=300)
    generator = random.Random(7)
    with pq.ParquetFile(tmp_path / "t.parquet") as file:
        cursor = RowCursor(file)
        cursor._batch_rows = 70
        for _ in range(200):
            start = generator.randrange(1000)
            count = generator.randrange(1001 - start)
            assert cursor.read(start, count)["x"].to_pylist() == list(range(start, start + count))
        assert RowCursor(file).read(1000, 0).num_rows == 0
        with pytest.raises(EOFError):
            cursor.read(990, 20)


def test_a_folder_without_a_dataset_cannot_be_verified(tmp_path: Path):
    with pytest.raises(NotADatasetError, match="no such directory"):
        plan_verification(root_of(tmp_path / "nothing"))
    with pytest.raises(NotADatasetError, match=r"info\.json"):
        plan_verification(root_of(tmp_path))
    root = copy_of("hevc", tmp_path)
    with pytest.raises(NotADatasetError, match="elsewhere"):
        plan_verification(root_of(root), data_root=root_of(tmp_path / "elsewhere"))
    with pytest.raises(NotADatasetError, match="no such directory"):
        plan_verification(root_of(root), against=root_of(tmp_path / "elsewhere"))


def test_without_a_usable_description_nothing_else_is_checked(tmp_path: Path):
    root = copy_of("hevc", tmp_path)
    edit_info(root, codebase_version="v2.1", fps=None)
    report = verify(root_of(root), against=root_of(DATA / "hevc"))
    assert [(f.code, f.location.column) for f in report.findings] == [("INF001", "codebase_version"), ("INF001", "fps")]
    assert (report.episode_count, report.files_read, report.is_clean) == (0, 6, False)


def test_a_dataset_without_episodes(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path)
    shutil.rmtree(root / "meta/episodes")
    found = errors(verify(root_of(root)))
    assert [(f.code, f.location.file) for f in found] == [("EPI005", "meta/episodes")]


def test_a_hundred_thousand_episodes_are_planned_into_few_small_checks(tmp_path: Path):
    episodes, per_file = 100_000, 500
    root = copy_of("h264_bframes", tmp_path)
    row = np.arange(episodes)
    columns = {
        "episode_index": row, "length": np.full(episodes, 10), "data/chunk_index": row * 0, "data/file_index": row // per_file,
        "dataset_from_index": row * 10, "dataset_to_index": row * 10 + 10,
    }  # fmt: skip
    for camera in (TOP, "observation.images.wrist"):
        within = row % per_file
        columns |= {
            f"videos/{camera}/chunk_index": row * 0, f"videos/{camera}/file_index": row // per_file,
            f"videos/{camera}/from_timestamp": within / 3, f"videos/{camera}/to_timestamp": (within + 1) / 3,
        }  # fmt: skip
    pq.write_table(pa.table(columns), root / EPISODES)
    edit_info(root, total_episodes=episodes, total_frames=episodes * 10)
    surveyed = survey(root_of(root))
    identity = FileIdentity(1000)
    names = [f"chunk-000/file-{number:03d}" for number in range(200)]
    surveyed = replace(
        surveyed,
        files={**surveyed.files, **{f"data/{name}.parquet": identity for name in names}},
        videos={f"videos/{key}/{name}.mp4": identity for name in names for key in (TOP, "observation.images.wrist")},
    )
    options = VerifyOptions(level="layout")
    shards = [read_shard(path, *shard_arguments(surveyed, options)) for path in surveyed.episode_paths]
    planned = plan_checks(shards, surveyed, options=options)
    assert {found.code for found in planned.findings} == {"STA029"}  # the statistics of another dataset
    assert (planned.data_file_count, planned.video_file_count) == (200, 400)
    assert len(planned.checks) == 200 // batches.FOOTERS_PER_DATA_CHECK + 400 // batches.FILES_PER_VIDEO_CHECK
    assert max(len(pickle.dumps(check)) for check in planned.checks) < 200_000
    assert len(pickle.dumps(planned.context)) < 10_000


def test_any_fsspec_store_can_be_verified(damaged: Path):
    fs = fsspec.filesystem("memory")
    fs.put(str(damaged), "/verified", recursive=True)
    try:
        remote, local = verify(Root("memory://verified")), verify(root_of(damaged))
        assert remote.findings == local.findings
        assert remote.files_read == local.files_read
    finally:
        fs.rm("/verified", recursive=True)

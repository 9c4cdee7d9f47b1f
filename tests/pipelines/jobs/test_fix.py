"""Fixing data files in place."""

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from episeek_pipelines.cli.lines.fix import result_lines
from episeek_pipelines.jobs import fix as job
from episeek_pipelines.jobs.fix import fix
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.jobs.rewrite import rewrite
from episeek_pipelines.jobs.verify import verify
from episeek_pipelines.rewrite import in_place
from tests.pipelines.conftest import DATASETS, digests
from tests.support.amount import every
from tests.support.broken_datasets import collapse, copy_of, data, edit_parquet
from tests.support.fixing import (
    SERIAL,
    all_files,
    assert_one_row_group_per_episode,
    collapsed,
    data_files,
    report_of,
    rows,
    state,
)


def test_what_verification_finds_is_fixed_and_nothing_else_changes(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    collapse(root, data(1))
    before, values = digests(root), rows(root, data(1))
    report = verify(str(root))
    assert ("ROW018", data(1)) in {(found.code, found.location.file) for found in report.findings}

    result = fix(str(root), report)
    assert data(1) in [done.action.path for done in result.done]
    after = digests(root)
    changed = {done.action.path for done in result.done}
    assert changed <= set(data_files(root))
    assert {path for path in after if after[path] != before.get(path)} == changed
    assert set(after) == set(before)
    assert rows(root, data(1)).equals(values)
    assert rows(root, data(1)).schema.equals(values.schema, check_metadata=True)
    assert_one_row_group_per_episode(root, data(1))

    again = verify(str(root))
    assert again.error_count == 0
    assert not {found.code for found in again.findings} & (job.DATA_CODES | job.SIDECAR_CODES)
    known = state(root)
    assert fix(str(root), again).done == ()
    assert state(root) == known


@pytest.mark.parametrize("name", DATASETS)
def test_the_bytes_are_those_of_a_rewrite(name, tmp_path):
    root = collapsed(name, tmp_path)
    rewrite(str(root), str(tmp_path / "rewritten"), max_episodes_per_file=1000)
    result = fix(str(root), all_files(root, "ROW018"))
    assert [done.action.path for done in result.done] == data_files(root)
    for path in data_files(root):
        assert (root / path).read_bytes() == (tmp_path / "rewritten" / path).read_bytes()
        assert_one_row_group_per_episode(root, path)


@pytest.mark.parametrize("scheduler", every(["threads", "processes", "tcp"], 2))
def test_the_same_bytes_on_every_scheduler(scheduler, tmp_path, request):
    address = request.getfixturevalue("cluster") if scheduler == "tcp" else scheduler
    root = collapsed("av1_multifile", tmp_path / "one")
    fix(str(root), all_files(root), execution=Execution(address, workers=2))
    other = collapsed("av1_multifile", tmp_path / "other")
    fix(str(other), all_files(other), execution=SERIAL)
    assert digests(root) == digests(other)


def test_a_dry_run_says_what_a_run_does_and_writes_nothing(tmp_path):
    root = copy_of("av1_multifile", tmp_path)
    collapse(root, data(1))
    before = state(root)
    report = report_of(root, ("ROW018", data(1)), ("ROW038", data(1)), ("ROW038", data(0)))
    dry = fix(str(root), report, dry_run=True)
    assert state(root) == before
    assert dry.is_dry_run
    assert dry.done == ()
    lines = list(result_lines(dry))
    assert lines == [
        "--- data/chunk-000/file-000.parquet",
        "+++ data/chunk-000/file-000.parquet",
        "-page index: none",
        "+page index: offsets and columns",
        "--- data/chunk-000/file-001.parquet",
        "+++ data/chunk-000/file-001.parquet",
        "-row groups: 1, with 124 rows together",
        "+row groups: 4, one per episode",
        "-page index: none",
        "+page index: offsets and columns",
    ]
    assert [action.summary for action in dry.plan.actions] == [
        "page index added",
        "row groups 1 -> 4, page index added",
    ]
    assert [action.codes for action in dry.plan.actions] == [("ROW038",), ("ROW018", "ROW038")]

    result = fix(str(root), report)
    told = list(result_lines(result))
    assert [line for line in told if not line.startswith("done: ")] == lines
    assert [place for place, line in enumerate(told) if line.startswith("done: ")] == [4, 11]
    assert "kB -> " in told[4]
    assert set(digests(root)) == set(before)


def test_the_same_report_a_second_time_does_nothing(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    report = all_files(root, "ROW018")
    fix(str(root), report)
    before = state(root)
    again = fix(str(root), report)
    assert again.done == ()
    assert [(item.code, item.path) for item in again.unfixed] == [("ROW018", path) for path in data_files(root)]
    assert "already has one row group per episode" in (again.unfixed[0].reason or "")
    assert state(root) == before


def test_a_finding_without_a_file_is_about_all_of_them(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    result = fix(str(root), report_of(root, ("ROW038", None)), dry_run=True)
    assert [action.path for action in result.plan.actions] == data_files(root)


def test_more_episodes_than_a_file_should_have_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr("episeek_pipelines.rewrite.plan.MIN_EPISODES_PER_FILE", 1)
    monkeypatch.setattr("episeek_pipelines.rewrite.plan.FOOTER_BYTES", 1)
    root = collapsed("h264_bframes", tmp_path)
    result = fix(str(root), all_files(root))
    assert [item.code for item in result.unfixed] == []
    told = [line for line in result_lines(result) if "footer" in line]
    assert len(told) == 1
    assert "`episeek prepare`" in told[0]
    assert data_files(root) == [data(0)]


def test_types_and_values_of_every_kind_survive(tmp_path):
    root = collapsed("av1_multifile", tmp_path)

    def widen(groups: list[pa.Table]) -> list[pa.Table]:
        (table,) = groups
        count = len(table)
        floats = pa.array([float("nan"), -0.0, None, 1.5] * (count // 4), pa.float32())
        lists = pa.array([[1.0, None], None, [], [float("nan")]] * (count // 4), pa.list_(pa.field("x", pa.float64())))
        words = pa.array(["a", None, "b", "ä"] * (count // 4)).dictionary_encode()
        table = table.append_column(pa.field("floats", pa.float32(), metadata={"unit": "m"}), floats)
        table = table.append_column("lists", lists).append_column("words", words)
        return [table.replace_schema_metadata({**(table.schema.metadata or {}), b"more": b"\x00\xff"})]

    edit_parquet(root, data(1), widen)
    before = rows(root, data(1))
    assert fix(str(root), report_of(root, ("ROW018", data(1)))).done
    after = rows(root, data(1))
    assert after.schema.equals(before.schema, check_metadata=True)
    assert repr(after.to_pylist()) == repr(before.to_pylist())


def test_mode_and_owner_stay(tmp_path):
    root = collapsed("hevc", tmp_path)
    file = root / data(0)
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 1234, 4321)
    before = os.stat(file)
    assert fix(str(root), all_files(root)).done
    after = os.stat(file)
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


def test_an_owner_that_cannot_be_kept_is_trouble(tmp_path, monkeypatch):
    root = collapsed("hevc", tmp_path)
    before = state(root)

    def owned_by_others(path, status, original, keep=in_place._take_over_owner_and_mode):
        values = list(status[:10])
        values[4] = status.st_uid + 1
        keep(path, os.stat_result(values), original)

    def refuse(*_):
        raise PermissionError(1, "no")

    monkeypatch.setattr(in_place, "_take_over_owner_and_mode", owned_by_others)
    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(WorkFailedError, match="which the new file cannot be given"):
        fix(str(root), all_files(root), execution=SERIAL)
    assert state(root) == before


def test_a_hard_link_elsewhere_keeps_the_old_file(tmp_path):
    root = collapsed("hevc", tmp_path)
    twin = tmp_path / "twin.parquet"
    os.link(root / data(0), twin)
    before = twin.read_bytes()
    assert fix(str(root), all_files(root)).done
    assert twin.read_bytes() == before
    assert os.stat(twin).st_nlink == 1
    assert (root / data(0)).read_bytes() != before


@pytest.mark.parametrize("linked", [data(1), "data/chunk-000", "data"])
def test_symbolic_links_stay_unfixed_and_their_targets(linked, tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    target = tmp_path / "elsewhere"
    shutil.move(root / linked, target)
    (root / linked).symlink_to(target)
    kept = target if target.is_file() else target / Path(data(1)).relative_to(linked)
    before = kept.read_bytes()
    result = fix(str(root), report_of(root, ("ROW018", data(0)), ("ROW018", data(1))))
    unfixed = {item.path: item for item in result.unfixed}
    assert "a symbolic link to" in (unfixed[data(1)].reason or "")
    assert "copy the dataset" in unfixed[data(1)].remedy
    assert [done.action.path for done in result.done] == ([data(0)] if linked == data(1) else [])
    assert (root / linked).is_symlink()
    assert kept.read_bytes() == before


def test_a_dataset_behind_a_link_is_fixed(tmp_path):
    root = collapsed("hevc", tmp_path)
    (tmp_path / "link").symlink_to(root)
    assert fix(str(tmp_path / "link"), all_files(root)).done
    assert_one_row_group_per_episode(root, data(0))

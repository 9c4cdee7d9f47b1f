"""Fixing in place: whatever happens in between, each file is the old one or the new one."""

import fcntl
import os
import signal

import pyarrow as pa
import pytest

from episeek.errors import DestinationError, WriteError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.fix import apply_fix, fix, plan_fix
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.jobs.verify import verify
from episeek_pipelines.rewrite import in_place
from episeek_pipelines.rewrite.rewrite import rewrite_file
from tests.pipelines.conftest import digests
from tests.support.broken_datasets import data, edit_parquet, set_value
from tests.support.fixing import SERIAL, all_files, collapsed, data_files, rows, state

STEPS = ("rewrite_file", "_require_same_rows", "_take_over_owner_and_mode", "_sync", "os.replace")


@pytest.mark.parametrize("error", [RuntimeError("surprise"), WriteError("a", "b", "c"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_before_the_rename_leaves_the_old_file(step, error, tmp_path, monkeypatch):
    root = collapsed("hevc", tmp_path)
    before = state(root)

    def fail(*_):
        raise error

    plan = plan_fix(all_files(root), Root(str(root)))
    with monkeypatch.context() as patched:
        patched.setattr(f"episeek_pipelines.rewrite.in_place.{step}", fail)
        with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else WorkFailedError):
            apply_fix(plan, Root(str(root)), execution=SERIAL)
    assert state(root) == before
    assert apply_fix(plan, Root(str(root)), execution=SERIAL).done


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch):
    root = collapsed("hevc", tmp_path)
    sync = in_place._sync

    def fail_for_folders(path):
        if path.is_dir():
            raise OSError(22, "invalid argument")
        sync(path)

    monkeypatch.setattr(in_place, "_sync", fail_for_folders)
    assert fix(str(root), all_files(root), execution=SERIAL).done


KILLED = """
import os, signal, sys
import pyarrow.parquet as pq
from episeek_pipelines.rewrite import in_place
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.fix import apply_fix, plan_fix
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.verify import RULES, VerificationReport
from episeek_pipelines.verify.findings.findings import finding

root, step, count = Root(sys.argv[1]), sys.argv[2], int(sys.argv[3])
report = VerificationReport(root.url, (finding(RULES["ROW038"], "of every file", ""),), 10, 3, 12, 0, 0, 0.0)
plan = plan_fix(report, root)
owner = {"write_table": pq.ParquetWriter, "replace": os}.get(step, in_place)
original = getattr(owner, step)
calls = 0

def dying(*arguments, **options):
    global calls
    calls += 1
    if calls == abs(count):
        if count < 0:
            original(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)

setattr(owner, step, dying)
apply_fix(plan, root, execution=Execution("sync"))
"""


@pytest.mark.parametrize(
    ("step", "count", "finished"),
    [
        ("write_table", 2, 0),  # in the middle of the first file
        ("replace", 1, 0),  # before the whole copy is closed
        ("replace", 2, 0),  # before it gets the name
        ("replace", -2, 1),  # behind that
        ("_require_same_rows", 2, 1),
        ("_sync", 4, 2),
    ],
)
def test_killed_and_started_again_gives_the_same_bytes(step, count, finished, tmp_path, warm_python):
    root = collapsed("av1_multifile", tmp_path / "killed")
    old = {path: rows(root, path) for path in data_files(root)}
    before = digests(root)
    code, said = warm_python.run(KILLED, str(root), step, str(count))
    assert code == -signal.SIGKILL, said
    after = digests(root)
    assert len([path for path in old if after[path] != before[path]]) == finished
    for path, table in old.items():
        assert rows(root, path).equals(table)
    assert verify(str(root)).error_count == 0

    fix(str(root), all_files(root))
    whole = collapsed("av1_multifile", tmp_path / "whole")
    fix(str(whole), all_files(whole))
    assert digests(root) == digests(whole)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named_and_nothing_changes(tmp_path, monkeypatch):
    root = collapsed("av1_multifile", tmp_path)
    before = state(root)
    plan = plan_fix(all_files(root), Root(str(root)))
    opened = os.open

    def full(path, flags, mode=0o777, **options):
        handle = opened(path, flags, mode, **options)
        if not flags & os.O_EXCL:
            return handle
        os.close(handle)
        return opened("/dev/full", os.O_WRONLY)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        with pytest.raises(WorkFailedError) as caught:
            apply_fix(plan, Root(str(root)))
    assert [failure.kind for failure in caught.value.failures] == ["WriteError"] * 3
    assert str(root / data(0)) in caught.value.failures[0].message
    assert "no space left on the device" in caught.value.failures[0].message
    assert ".tmp" not in str(caught.value)
    assert "0 files fixed" in str(caught.value)
    assert state(root) == before


def test_a_file_that_changes_between_plan_and_run_stays_unfixed(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    plan = plan_fix(all_files(root), Root(str(root)))
    set_value(root, data(1), "timestamp", 3, 0.5)
    before = state(root)
    result = apply_fix(plan, Root(str(root)))
    assert [done.action.path for done in result.done] == [data(0), data(2)]
    assert "written since" in (result.unfixed[0].reason or "")
    assert state(root)[data(1)] == before[data(1)]


def test_a_file_that_is_touched_between_plan_and_run_stays_unfixed(tmp_path):
    root = collapsed("hevc", tmp_path)
    plan = plan_fix(all_files(root), Root(str(root)))
    os.utime(root / data(0), (1, 1))
    assert apply_fix(plan, Root(str(root))).done == ()


@pytest.mark.parametrize("removed", [False, True])
def test_a_file_that_changes_while_it_is_rewritten_stays_unfixed(removed, tmp_path, monkeypatch):
    root = collapsed("hevc", tmp_path)
    compare = in_place._require_same_rows

    def compare_and_change(*arguments):
        compare(*arguments)
        if removed:
            (root / data(0)).unlink()
        else:
            set_value(root, data(0), "timestamp", 3, 0.5)

    monkeypatch.setattr(in_place, "_require_same_rows", compare_and_change)
    result = fix(str(root), all_files(root), execution=SERIAL)
    assert result.done == ()
    assert [item.path for item in result.unfixed] == [data(0)]
    if not removed:
        assert rows(root, data(0))["timestamp"][3].as_py() == 0.5
    assert not list(root.rglob("*.tmp"))


@pytest.mark.parametrize("difference", ["value", "type", "metadata", "rows"])
def test_a_copy_that_differs_replaces_nothing(difference, tmp_path, monkeypatch):
    root = collapsed("hevc", tmp_path)
    before = state(root)
    write = rewrite_file

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        (first, *others) = groups
        if difference == "type":
            position = first.schema.get_field_index("timestamp")
            return [t.set_column(position, "timestamp", t["timestamp"].cast(pa.float64())) for t in groups]
        if difference == "metadata":
            return [t.replace_schema_metadata({"other": "1"}) for t in groups]
        return [first.slice(1), *others]

    def write_wrongly(source, destination, unit):
        result = write(source, destination, unit)
        copy = unit.outputs[0].path
        if difference == "value":
            set_value(root, copy, "timestamp", 40, -0.0)
        else:
            edit_parquet(root, copy, change)
        return result

    monkeypatch.setattr(in_place, "rewrite_file", write_wrongly)
    result = fix(str(root), all_files(root), execution=SERIAL)
    assert result.done == ()
    assert "a copy with" in (result.unfixed[0].reason or "")
    if difference == "value":
        assert "row 40, column 'timestamp'" in (result.unfixed[0].reason or "")
    assert state(root) == before


def test_one_run_at_a_time(tmp_path):
    root = collapsed("hevc", tmp_path)
    before = state(root)
    plan = plan_fix(all_files(root), Root(str(root)))
    other = os.open(root, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(DestinationError, match="another run that is fixing it"):
        apply_fix(plan, Root(str(root)))
    assert state(root) == before
    os.close(other)
    assert apply_fix(plan, Root(str(root))).done


def test_a_file_system_without_locks_is_no_failure(tmp_path, monkeypatch):
    root = collapsed("hevc", tmp_path)

    def unsupported(*_):
        raise OSError(9, "bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    leftover = root / "data/chunk-000/.file-000.parquet.0123.tmp"
    leftover.write_bytes(b"of another run, perhaps")
    assert fix(str(root), all_files(root)).done
    assert leftover.exists()

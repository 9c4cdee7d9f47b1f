import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import DestinationError, MissingFileError, WriteError
from episeek_pipelines import fix as job
from episeek_pipelines import in_place_rewrite, prepare
from episeek_pipelines.fix import apply_fix, fix, plan_fix, result_lines
from episeek_pipelines.in_place_rewrite import examine_data_file
from episeek_pipelines.prepare import Execution
from episeek_pipelines.results import WorkFailedError
from episeek_pipelines.rewrite import rewrite_file
from episeek_pipelines.storage import Root
from episeek_pipelines.verify import RULES, Location, VerificationReport
from episeek_pipelines.verify.findings import Finding, finding
from tests.pipelines.conftest import DATASETS, change_episodes, copy_dataset, digests
from tests.support.broken_datasets import TOP, collapse, copy_of, data, drop_rows, edit_parquet, patch, set_value, video

SERIAL = Execution("sync")


def report_of(root: Path, *codes_and_files: tuple[str, str | None]) -> VerificationReport:
    """As a verification would give it."""
    found = [finding(RULES[code], "as it is", Location(file=file)) for code, file in codes_and_files]
    return VerificationReport(str(root), tuple(sorted(found)), 10, 3, 12, 0, 0, 0.0)


def data_files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in (root / "data").rglob("*.parquet"))


def all_files(root: Path, code: str = "ROW038") -> VerificationReport:
    return report_of(root, *((code, path) for path in data_files(root)))


def collapsed(name: str, folder: Path) -> Path:
    root = copy_of(name, folder)
    for path in data_files(root):
        collapse(root, path)
    return root


def rows(root: Path, path: str) -> pa.Table:
    return pq.read_table(root / path)


def state(root: Path) -> dict[str, tuple[str, int, int, int]]:
    """What a file is, and whether it is the same one: of everything below a root, hidden or not."""
    contents = digests(root)
    stats = {path: os.stat(root / path) for path in contents}
    return {
        path: (contents[path], stats[path].st_ino, stats[path].st_mtime_ns, stats[path].st_mode) for path in contents
    }


def assert_one_row_group_per_episode(root: Path, path: str) -> None:
    with pq.ParquetFile(root / path) as file:
        held = [
            file.read_row_group(number, ["episode_index"]).column(0).unique().to_pylist()
            for number in range(file.num_row_groups)
        ]
        chunk = file.metadata.row_group(0).column(0)
        assert (chunk.has_offset_index, chunk.has_column_index) == (True, True)
    assert held == [[episode] for episode in sorted(set(rows(root, path)["episode_index"].to_pylist()))]


# --- data files ------------------------------------------------------------------------------------------------------------------


def test_what_verification_finds_is_mended_and_nothing_else_changes(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    collapse(root, data(1))
    before, values = digests(root), rows(root, data(1))
    report = prepare.verify(str(root))
    assert ("ROW018W", data(1)) in {(found.code, found.location.file) for found in report.findings}

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

    again = prepare.verify(str(root))
    assert again.error_count == 0
    assert not {found.code for found in again.findings} & (job.DATA_CODES | job.SIDECAR_CODES)
    known = state(root)
    assert fix(str(root), again).done == ()
    assert state(root) == known


@pytest.mark.parametrize("name", DATASETS)
def test_the_bytes_are_those_of_a_rewrite(name, tmp_path):
    root = collapsed(name, tmp_path)
    prepare.rewrite(str(root), str(tmp_path / "rewritten"), max_episodes_per_file=1000)
    result = fix(str(root), all_files(root, "ROW018"))
    assert [done.action.path for done in result.done] == data_files(root)
    for path in data_files(root):
        assert (root / path).read_bytes() == (tmp_path / "rewritten" / path).read_bytes()
        assert_one_row_group_per_episode(root, path)


@pytest.mark.parametrize("scheduler", ["threads", "processes", "tcp"])
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
        "-row groups: 1 of 124 rows",
        "+row groups: 4, one per episode",
        "-page index: none",
        "+page index: offsets and columns",
    ]
    assert [action.what for action in dry.plan.actions] == ["page index added", "row groups 1 -> 4, page index added"]
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
    assert [(left.code, left.path) for left in again.left] == [("ROW018", path) for path in data_files(root)]
    assert "would change nothing" in (again.left[0].reason or "")
    assert state(root) == before


def test_a_finding_without_a_file_is_about_all_of_them(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    result = fix(str(root), report_of(root, ("ROW038", None)), dry_run=True)
    assert [action.path for action in result.plan.actions] == data_files(root)


def test_more_episodes_than_a_file_should_have_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr("episeek_pipelines.rewrite_plan.MIN_EPISODES_PER_FILE", 1)
    monkeypatch.setattr("episeek_pipelines.rewrite_plan.FOOTER_BYTES", 1)
    root = collapsed("h264_bframes", tmp_path)
    result = fix(str(root), all_files(root))
    assert [left.code for left in result.left] == []
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

    def owned_by_others(path, status, original, keep=in_place_rewrite._take_over_owner_and_mode):
        values = list(status[:10])
        values[4] = status.st_uid + 1
        keep(path, os.stat_result(values), original)

    def refuse(*_):
        raise PermissionError(1, "no")

    monkeypatch.setattr(in_place_rewrite, "_take_over_owner_and_mode", owned_by_others)
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
def test_symbolic_links_are_left_and_what_they_point_to(linked, tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    target = tmp_path / "elsewhere"
    shutil.move(root / linked, target)
    (root / linked).symlink_to(target)
    kept = target if target.is_file() else target / Path(data(1)).relative_to(linked)
    before = kept.read_bytes()
    result = fix(str(root), report_of(root, ("ROW018", data(0)), ("ROW018", data(1))))
    left = {item.path: item for item in result.left}
    assert "a symbolic link, to" in (left[data(1)].reason or "")
    assert "copy the dataset" in left[data(1)].remedy
    assert [done.action.path for done in result.done] == ([data(0)] if linked == data(1) else [])
    assert (root / linked).is_symlink()
    assert kept.read_bytes() == before


def test_a_dataset_behind_a_link_is_mended(tmp_path):
    root = collapsed("hevc", tmp_path)
    (tmp_path / "link").symlink_to(root)
    assert fix(str(tmp_path / "link"), all_files(root)).done
    assert_one_row_group_per_episode(root, data(0))


# --- files that are refused ------------------------------------------------------------------------------------------------------


def reverse_rows(groups: list[pa.Table]) -> list[pa.Table]:
    (table,) = groups
    runs = [table.filter(pa.compute.equal(table["episode_index"], episode)) for episode in (6, 5, 4, 3)]
    return [pa.concat_tables(runs).combine_chunks()]


def interleave_rows(groups: list[pa.Table]) -> list[pa.Table]:
    (table,) = groups
    return [table.take(pa.array([*range(1, len(table)), 0]))]


def damage_pages(contents: bytearray) -> None:
    contents[200:20_000] = bytes(19_800)


REFUSED = {
    "episodes that fall": (lambda root: edit_parquet(root, data(1), reverse_rows), "behind episode", "ROW015"),
    "an episode in two places": (lambda root: edit_parquet(root, data(1), interleave_rows), "behind episode", "ROW015"),
    "an episode of another file": (
        lambda root: set_value(root, data(1), "episode_index", 123, 8),
        "episode 8 at row 123, which meta/episodes does not place in this file",
        "ROW015",
    ),
    "an episode nobody knows": (
        lambda root: set_value(root, data(1), "episode_index", 123, 77),
        "episode 77",
        "ROW015",
    ),
    "no episode_index": (
        lambda root: edit_parquet(root, data(1), lambda groups: [groups[0].drop_columns("episode_index")]),
        "no column 'episode_index'",
        "ROW015",
    ),
    "no footer": (lambda root: os.truncate(root / data(1), 1000), "Parquet", "ROW005"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_mended_is_left_and_the_others_are_mended(name, tmp_path):
    damage, found, remedy = REFUSED[name]
    root = collapsed("av1_multifile", tmp_path)
    damage(root)
    before = state(root)
    result = fix(str(root), all_files(root, "ROW018"))
    assert [done.action.path for done in result.done] == [data(0), data(2)]
    (left,) = result.left
    assert (left.code, left.path) == ("ROW018", data(1))
    assert found in (left.reason or "")
    assert left.remedy == RULES[remedy].remedy
    assert state(root)[data(1)] == before[data(1)]
    assert set(digests(root)) == set(before)


def test_damaged_pages_are_found_while_rewriting_and_left(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    plan = plan_fix(all_files(root), Root(str(root)))
    stamp = os.stat(root / data(1))
    with pq.ParquetFile(root / data(1)) as file:
        start = file.metadata.row_group(0).column(0).data_page_offset
    with open(root / data(1), "r+b") as stream:
        stream.seek(start)
        stream.write(bytes(3000))
    os.utime(root / data(1), ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # a disk that forgets tells nobody
    before = (root / data(1)).read_bytes()
    result = apply_fix(plan, Root(str(root)))
    assert [done.action.path for done in result.done] == [data(0), data(2)]
    assert [(left.code, left.path) for left in result.left] == [("ROW038", data(1))]
    assert [line for line in result_lines(result) if line.startswith("left: ")]
    assert (root / data(1)).read_bytes() == before
    assert not list(root.rglob("*.tmp"))


def test_a_missing_file_is_left(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    report = all_files(root)
    (root / data(1)).unlink()
    result = fix(str(root), report)
    assert [(left.path, left.remedy) for left in result.left] == [(data(1), "mend that, and verify again")]
    assert len(result.done) == 2


def test_metadata_that_cannot_be_read_leaves_everything(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    episodes = root / "meta/episodes/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(episodes).drop_columns("data/file_index"), episodes)
    before = state(root)
    result = fix(str(root), all_files(root))
    assert result.done == ()
    assert [(left.code, left.count) for left in result.left] == [("ROW038", 3)]
    assert "data/file_index" in (result.left[0].reason or "")
    assert state(root) == before


def test_a_file_with_missing_rows_is_mended_as_it_is(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    drop_rows(root, data(1), 0)
    collapse(root, data(1))
    before = rows(root, data(1))
    assert fix(str(root), report_of(root, ("ROW018", data(1)), ("ROW015", data(1)))).done
    assert rows(root, data(1)).equals(before)


# --- whatever happens in between -------------------------------------------------------------------------------------------------

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
        patched.setattr(f"episeek_pipelines.in_place_rewrite.{step}", fail)
        with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else WorkFailedError):
            apply_fix(plan, Root(str(root)), execution=SERIAL)
    assert state(root) == before
    assert apply_fix(plan, Root(str(root)), execution=SERIAL).done


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch):
    root = collapsed("hevc", tmp_path)
    sync = in_place_rewrite._sync

    def fail_for_folders(path):
        if path.is_dir():
            raise OSError(22, "invalid argument")
        sync(path)

    monkeypatch.setattr(in_place_rewrite, "_sync", fail_for_folders)
    assert fix(str(root), all_files(root), execution=SERIAL).done


KILLED = """
import os, signal, sys
import pyarrow.parquet as pq
from episeek_pipelines import in_place_rewrite
from episeek_pipelines.fix import apply_fix, plan_fix
from episeek_pipelines.prepare import Execution
from episeek_pipelines.storage import Root
from episeek_pipelines.verify import RULES, VerificationReport
from episeek_pipelines.verify.findings import finding

root, step, count = Root(sys.argv[1]), sys.argv[2], int(sys.argv[3])
report = VerificationReport(root.url, (finding(RULES["ROW038"], "of every file"),), 10, 3, 12, 0, 0, 0.0)
plan = plan_fix(report, root)
owner = {"write_table": pq.ParquetWriter, "replace": os}.get(step, in_place_rewrite)
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
def test_killed_and_started_again_gives_the_same_bytes(step, count, finished, tmp_path):
    root = collapsed("av1_multifile", tmp_path / "killed")
    old = {path: rows(root, path) for path in data_files(root)}
    before = digests(root)
    process = subprocess.run([sys.executable, "-c", KILLED, str(root), step, str(count)], check=False)
    assert process.returncode == -signal.SIGKILL
    after = digests(root)
    assert len([path for path in old if after[path] != before[path]]) == finished
    for path, table in old.items():
        assert rows(root, path).equals(table)
    assert prepare.verify(str(root)).error_count == 0

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
    assert "0 files mended" in str(caught.value)
    assert state(root) == before


def test_a_file_that_changes_between_plan_and_run_is_left(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    plan = plan_fix(all_files(root), Root(str(root)))
    set_value(root, data(1), "timestamp", 3, 0.5)
    before = state(root)
    result = apply_fix(plan, Root(str(root)))
    assert [done.action.path for done in result.done] == [data(0), data(2)]
    assert "written since" in (result.left[0].reason or "")
    assert state(root)[data(1)] == before[data(1)]


def test_a_file_that_is_touched_between_plan_and_run_is_left(tmp_path):
    root = collapsed("hevc", tmp_path)
    plan = plan_fix(all_files(root), Root(str(root)))
    os.utime(root / data(0), (1, 1))
    assert apply_fix(plan, Root(str(root))).done == ()


@pytest.mark.parametrize("removed", [False, True])
def test_a_file_that_changes_while_it_is_rewritten_is_left(removed, tmp_path, monkeypatch):
    root = collapsed("hevc", tmp_path)
    compare = in_place_rewrite._require_same_rows

    def compare_and_change(*arguments):
        compare(*arguments)
        if removed:
            (root / data(0)).unlink()
        else:
            set_value(root, data(0), "timestamp", 3, 0.5)

    monkeypatch.setattr(in_place_rewrite, "_require_same_rows", compare_and_change)
    result = fix(str(root), all_files(root), execution=SERIAL)
    assert result.done == ()
    assert [left.path for left in result.left] == [data(0)]
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

    monkeypatch.setattr(in_place_rewrite, "rewrite_file", write_wrongly)
    result = fix(str(root), all_files(root), execution=SERIAL)
    assert result.done == ()
    assert "a copy with" in (result.left[0].reason or "")
    if difference == "value":
        assert "row 40, column 'timestamp'" in (result.left[0].reason or "")
    assert state(root) == before


def test_one_run_at_a_time(tmp_path):
    root = collapsed("hevc", tmp_path)
    before = state(root)
    plan = plan_fix(all_files(root), Root(str(root)))
    other = os.open(root, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(DestinationError, match="another run that is mending it"):
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


# --- sidecars --------------------------------------------------------------------------------------------------------------------


def test_stale_sidecars_are_built_anew(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    change_episodes(root, f"videos/{TOP}/to_timestamp", 9, 2.3333)
    before = digests(root)
    report = report_of(root, ("IDX036", video(TOP, 5)), ("IDX036", video(TOP, 4)))
    dry = fix(str(root), report, dry_run=True)
    assert digests(root) == before
    (action,) = dry.plan.actions
    lines = list(result_lines(dry))
    assert lines[:2] == ["--- meta/byte_index", "+++ meta/byte_index"]
    assert lines[2].startswith("-sidecars: build ")
    assert any(line.startswith(f"-stale: {video(TOP, 5)}: episodes: found ") for line in lines)
    assert lines[-1] == "+sidecars: built anew from 12 video files"

    result = fix(str(root), report)
    assert [done.action for done in result.done] == [action]
    after = digests(root)
    assert {path for path in after if after[path] != before[path]} <= {path for path in after if "byte_index" in path}
    assert set(after) == set(before)
    assert any(line.startswith("done: build ") for line in result_lines(result))
    fresh = copy_of("av1_multifile", tmp_path / "fresh")
    change_episodes(fresh, f"videos/{TOP}/to_timestamp", 9, 2.3333)
    prepare.index(str(fresh))
    assert digests(root / "meta/byte_index") == digests(fresh / "meta/byte_index")
    assert episeek.open(root).episode_count == 10


def test_data_and_sidecars_in_one_run(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    collapse(root, data(1))
    change_episodes(root, f"videos/{TOP}/to_timestamp", 9, 2.3333)
    result = fix(str(root), prepare.verify(str(root)))
    assert [done.action.path for done in result.done][-1] == "meta/byte_index"
    assert data(1) in [done.action.path for done in result.done]
    after = prepare.verify(str(root))
    assert not {found.code for found in after.findings} & (job.DATA_CODES | job.SIDECAR_CODES)


def test_files_that_no_episode_names_leave_the_sidecars_and_stay_where_they_are(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    files = root / "meta/byte_index/files.parquet"
    orphan = root / video(TOP, 9)
    shutil.copy(root / video(TOP, 0), orphan)
    files.write_bytes(b"damaged")
    result = fix(str(root), report_of(root, ("IDX034", "meta/byte_index/files.parquet"), ("INF004", video(TOP, 9))))
    assert [done.action.codes for done in result.done] == [("IDX034",)]
    assert "-sidecars: no build that can be read" in list(result_lines(result))
    assert video(TOP, 9) not in pq.read_table(files)["file_path"].to_pylist()
    assert orphan.exists()
    assert [left.code for left in result.left] == ["INF004"]


def test_sidecars_are_not_written_where_there_are_none(tmp_path):
    root = copy_of("av1_multifile", tmp_path)
    before = state(root)
    result = fix(str(root), report_of(root, ("IDX031", video(TOP, 0))))
    assert [(left.code, left.reason) for left in result.left] == [("IDX031", "no sidecars")]
    assert "episeek index" in result.left[0].remedy
    assert state(root) == before
    fix(str(root), all_files(root))
    assert not (root / "meta/byte_index").exists()


def test_sidecars_of_a_missing_video_are_left(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    (root / video(TOP, 2)).unlink()
    before = state(root)
    result = fix(str(root), report_of(root, ("IDX031", video(TOP, 2))))
    assert result.done == ()
    assert "no such file" in (result.left[0].reason or "")
    assert state(root) == before


def test_sidecars_of_a_damaged_video_are_left_as_they_were(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    patch(root, video(TOP, 2), lambda contents: contents.__delitem__(slice(20_000, None)))
    before = digests(root / "meta/byte_index")
    result = fix(str(root), report_of(root, ("IDX031", video(TOP, 2)), ("ROW038", data(0))))
    assert [done.action.path for done in result.done] == [data(0)]
    assert [(left.code, left.path) for left in result.left] == [("IDX031", "meta/byte_index")]
    assert video(TOP, 2) in (result.left[0].reason or "")
    assert digests(root / "meta/byte_index") == before


def test_linked_sidecars_are_left(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    shutil.move(root / "meta/byte_index", tmp_path / "elsewhere")
    (root / "meta/byte_index").symlink_to(tmp_path / "elsewhere")
    result = fix(str(root), report_of(root, ("IDX031", video(TOP, 2))))
    assert "a symbolic link" in (result.left[0].reason or "")
    assert (root / "meta/byte_index").is_symlink()


def test_a_failure_to_write_sidecars_is_trouble(tmp_path, monkeypatch):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    before = digests(root / "meta/byte_index")

    def full(*_, **__):
        raise WriteError("meta/byte_index", "no space left on the device", "room")

    monkeypatch.setattr("episeek_pipelines.tasks.write_sidecars", full)
    with pytest.raises(WorkFailedError, match="no space left"):
        fix(str(root), report_of(root, ("IDX031", video(TOP, 2))), execution=SERIAL)
    assert digests(root / "meta/byte_index") == before


# --- what is left, and what is refused -------------------------------------------------------------------------------------------


def test_everything_else_is_left_with_its_remedy(tmp_path):
    root = copy_of("av1_multifile", tmp_path)
    place = Location(file=data(0), episode=1)
    found: list[Finding] = [
        finding(RULES["ROW017"], "late", place, more=4),
        finding(RULES["ROW017"], "late", Location(file=data(1))),
        finding(RULES["VID022W"], "moov", Location(file=video(TOP, 0))),
    ]
    before = state(root)
    result = fix(str(root), VerificationReport(str(root), tuple(found), 10, 3, 12, 0, 0, 0.0))
    assert [(left.code, left.count, left.remedy, left.path) for left in result.left] == [
        ("ROW017", 6, RULES["ROW017"].remedy, None),
        ("VID022W", 1, RULES["VID022W"].remedy, None),
    ]
    assert list(result_lines(result)) == []
    assert state(root) == before


def test_the_result(tmp_path):
    root = copy_of("av1_multifile", tmp_path)
    report = report_of(root, ("ROW038", data(0)), ("ROW017", data(0)))
    result = fix(str(root), report)
    (action,) = result.plan.actions
    assert (action.path, action.codes, action.what) == (data(0), ("ROW038",), "page index added")
    (done,) = result.done
    assert done.action == action
    assert " -> " in done.result
    assert [left.code for left in result.left] == ["ROW017"]
    assert not result.is_dry_run
    assert fix(str(root), report, dry_run=True).is_dry_run


@pytest.mark.parametrize("url", ["s3://bucket/set", "hf://datasets/org/name", "hf://buckets/org/name", "memory://set"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_stores_are_refused(url, dry_run, tmp_path):
    with pytest.raises(DestinationError, match=f"`episeek prepare {url} DST`"):
        fix(url, report_of(tmp_path, ("ROW038", data(0))), dry_run=dry_run)


@pytest.mark.parametrize("dry_run", [False, True])
def test_overlays_are_refused(dry_run, tmp_path):
    source = copy_dataset("hevc", tmp_path / "source")
    prepare.prepare(str(source), str(tmp_path / "overlay"))
    before = state(tmp_path / "overlay")
    with pytest.raises(DestinationError, match="an overlay"):
        fix(str(tmp_path / "overlay"), report_of(tmp_path, ("ROW038", data(0))), dry_run=dry_run)
    assert state(tmp_path / "overlay") == before


def test_examining_a_file_that_is_not_there(tmp_path):
    with pytest.raises(MissingFileError):
        examine_data_file(Root(str(tmp_path)), data(0), pa.array([0]).to_numpy())

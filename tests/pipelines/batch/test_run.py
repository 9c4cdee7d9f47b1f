"""Every way of running a batch gives the same bytes and the same ledger; running again does what is missing or has changed."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from episeek_pipelines.batch import run as run_module
from episeek_pipelines.batch import work
from episeek_pipelines.batch.destination import place_aside, put_in_place
from episeek_pipelines.batch.errors import PlanError, Problem
from episeek_pipelines.batch.ledger import Attempts, Ledger, key_of
from episeek_pipelines.batch.plan import batch_plan
from episeek_pipelines.batch.ranks import Rank
from episeek_pipelines.batch.run import BatchResult, batch_run
from episeek_pipelines.batch.status import batch_status
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.prepare import prepare
from episeek_schemas.batch import BATCH_DIR, PAGES_DIR, WORK_DIR
from episeek_schemas.layout import SOURCE_RECORD_DIR
from tests.pipelines.conftest import digests
from tests.support.amount import IS_FULL, amount
from tests.support.many_datasets import BROKEN, edit_info, make_datasets
from tests.support.publish_s3 import publish_s3
from tests.support.warm_python import WarmPython

SERIAL = Execution("sync")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "many"
    make_datasets(folder, amount(24, 7), broken=amount(len(BROKEN), 4))
    return folder


@pytest.fixture(scope="module")
def serial(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch that one thread ran."""
    out = tmp_path_factory.mktemp("serial") / "out"
    run(many, out)
    return out


def run(many: Path, out: Path, **options: Any) -> BatchResult:
    return batch_run(str(many), str(out), **{"execution": SERIAL, **options})


def results(out: Path) -> dict[str, str]:
    """The files of all results but the records of how they were made; the pages of the datasets name their place."""
    hidden = (f"/{SOURCE_RECORD_DIR}/", f"{BATCH_DIR}/")
    return {path: digest for path, digest in digests(out).items() if not any(part in f"/{path}" for part in hidden)}


def contents(out: Path) -> dict[str, Any]:
    """The rows of the ledger without who did them and when, with paths relative to OUT."""
    rows = {name: row.contents for name, row in Ledger(Root(str(out))).rows().items()}
    for row in rows.values():
        row["url"] = row["url"].replace(str(out), "OUT")
    return rows


def attempts(out: Path) -> dict[str, int]:
    return {name: found.last for name, found in Ledger(Root(str(out))).attempts().items()}


def in_ranks(many: Path, out: Path) -> None:
    """Four ranks side by side: processes in a full run, and otherwise threads."""
    batch_plan(str(many), str(out), is_measured=False, execution=SERIAL)
    if not IS_FULL:
        ranks = [threading.Thread(target=run, args=(many, out), kwargs={"rank": Rank(i, 4)}) for i in range(4)]
        for thread in ranks:
            thread.start()
        for thread in ranks:
            thread.join()
        return
    command = [sys.executable, "-m", "episeek_pipelines.cli", "batch", "run", str(many), str(out), "--scheduler=sync"]
    processes = []
    for number in range(4):
        task = {"SLURM_ARRAY_TASK_ID": str(number + 1), "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "4"}
        processes.append(subprocess.Popen(command, env={**os.environ, **task}, stdout=subprocess.PIPE))
    for process in processes:
        process.communicate(timeout=300)
        assert process.returncode in (0, 1)


@pytest.mark.parametrize("way", ["threads", "ranks", *(["large", "cluster", "processes"] if IS_FULL else [])])
def test_every_way_gives_the_same(
    way: str, many: Path, serial: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "out"
    if way == "ranks":
        in_ranks(many, out)
    elif way == "large":
        # every dataset has a graph of its own
        monkeypatch.setattr(run_module, "LARGE_FILES", 0)
        run(many, out, execution=Execution("threads", 2))
    else:
        scheduler = request.getfixturevalue("cluster") if way == "cluster" else way
        run(many, out, execution=Execution(scheduler, 2))
    assert results(out) == results(serial)
    assert contents(out) == contents(serial)
    assert set(attempts(out).values()) == {1}
    # a page of each dataset that was verified, and nothing left of the work
    assert {path.name for path in (out / PAGES_DIR).iterdir()} == {path.name for path in (serial / PAGES_DIR).iterdir()}
    assert not list((out / WORK_DIR).glob("*/old"))


def test_states_are_those_of_the_damage(many: Path, serial: Path):
    status = batch_status(str(serial))
    for dataset in status.datasets:
        assert dataset.state == BROKEN.get(dataset.destination, ("", None, "done"))[2]
        assert dataset.row is not None
        assert (dataset.row.problem is not None) == (dataset.state in ("refused", "failed"))
        assert dataset.row.error_count == (dataset.destination == "broken-g-row")
    assert not status.is_done
    only_errors = [dataset for dataset in status.datasets if dataset.state == "done"]
    assert replace(status, datasets=tuple(only_errors)).is_done
    has_errors = any(dataset.destination == "broken-g-row" for dataset in only_errors)
    assert replace(status, datasets=tuple(only_errors)).is_failure == has_errors


def test_running_again_does_what_has_changed(tmp_path: Path):
    many, out = tmp_path / "many", tmp_path / "out"
    names = make_datasets(many, 4, broken=2)
    run(many, out)
    first = {path: path.stat().st_mtime_ns for path in out.rglob("*") if "broken-f" not in str(path)}

    assert run(many, out).counts == {"failed": 1, "unchanged": 3}
    assert {path: path.stat().st_mtime_ns for path in first} == first

    changed, removed = [name for name in names if name not in BROKEN][:2]
    edit_info(many / changed, robot_type="another")
    shutil.rmtree(out / removed)
    shutil.copytree(many / names[-1], many / "broken-f-cut", dirs_exist_ok=True)
    before = attempts(out)
    assert run(many, out).counts == {"done": 3, "unchanged": 1}
    again = {name for name, number in attempts(out).items() if number != before[name]}
    assert again == {changed, removed, "broken-f-cut"}
    # as if it had been done at once
    run(many, tmp_path / "fresh")
    assert results(out) == results(tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")
    # touched, and not changed
    os.utime(many / names[-1] / "meta/info.json")
    assert run(many, out).counts == {"current": 1, "unchanged": 3}
    assert run(many, out).counts == {"unchanged": 4}


def test_something_else_at_the_place_is_refused(tmp_path: Path):
    many, out = tmp_path / "many", tmp_path / "out"
    (name,) = make_datasets(many, 1, broken=0)
    (out / name).mkdir(parents=True)
    (out / name / "mine.txt").write_text("mine")
    result = run(many, out)
    assert result.counts == {"refused": 1}
    assert (out / name / "mine.txt").read_text() == "mine"
    shutil.rmtree(out / name)
    assert run(many, out).counts == {"done": 1}


def test_datasets_whose_names_are_like_work_folders_do_not_meet(tmp_path: Path):
    out = Root(str(tmp_path / "out"))
    names = ["a", "a.old", "a.partial", "a.new"]
    asides = {name: place_aside(out, key_of(name)) for name in names}
    for name, aside in asides.items():
        aside.write_bytes("name", name.encode())
        Root(str(tmp_path / "out" / name)).write_bytes("name", b"older")
    linked = tmp_path / "out/a"
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    for name, aside in asides.items():
        put_in_place(aside, Root(str(tmp_path / "out" / name)))
    assert {name: (tmp_path / "out" / name / "name").read_text() for name in names} == {name: name for name in names}
    assert (tmp_path / "elsewhere/name").read_text() == "older"
    assert not list((tmp_path / "out" / WORK_DIR).iterdir())


@pytest.mark.parametrize("large_files", [0, 99])
def test_an_error_of_the_ledger_ends_no_other_dataset(
    large_files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    many, out = tmp_path / "many", tmp_path / "out"
    first, *_ = make_datasets(many, 2, broken=0)
    attempts_at = Ledger.attempts_at

    def failing(ledger: Ledger, destination: str) -> Attempts:
        if destination == first:
            raise RuntimeError("no ledger")
        return attempts_at(ledger, destination)

    monkeypatch.setattr(run_module, "LARGE_FILES", large_files)
    monkeypatch.setattr(Ledger, "attempts_at", failing)
    result = run(many, out)
    assert result.counts == {"done": 1, "unrecorded": 1}
    assert result.is_failure
    row = next(outcome.row for outcome in result.outcomes if outcome.destination == first)
    assert row is not None
    assert row.problem == Problem.of(RuntimeError("no ledger"))


def test_failures_end_a_run_where_wanted(tmp_path: Path):
    many = tmp_path / "many"
    make_datasets(many, 4, broken=3)
    few = run(many, tmp_path / "few", max_failures=0)
    assert few.counts["failed"] == 1
    assert few.counts["left"] >= 1
    assert few.is_failure
    again = run(many, tmp_path / "few", max_failures=9)
    assert again.counts == {"done": 2, "failed": 2}


def test_ranks_need_a_plan_and_divide_it(many: Path, tmp_path: Path):
    with pytest.raises(PlanError, match="no plan"):
        run(many, tmp_path / "out", rank=Rank(0, 2))


def test_an_interrupt_gives_the_dataset_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    many, out = tmp_path / "many", tmp_path / "out"
    make_datasets(many, 3, broken=0)
    calls: Iterator[int] = iter(range(100))

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return prepare(*arguments, **options)

    monkeypatch.setattr(work, "prepare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(many, out)
    assert batch_status(str(out)).counts == {"planned": 2, "done": 1}
    assert run(many, out).counts == {"done": 2, "unchanged": 1}


@pytest.mark.skipif(not IS_FULL, reason="the store of the tests takes seconds to start")
def test_results_go_into_a_store(tmp_path: Path):
    many = tmp_path / "many"
    make_datasets(many, 3, broken=1)
    with publish_s3("batches") as store:
        out = store.start({"other/file": b"mine"})
        counts = [batch_run(str(many), f"{out}/results", execution=SERIAL).counts for _ in range(2)]
        edit_info(many / "plain-000", robot_type="another")
        counts.append(batch_run(str(many), f"{out}/results", execution=SERIAL).counts)
        assert counts == [{"done": 3}, {"unchanged": 3}, {"done": 1, "unchanged": 2}]
        run(many, tmp_path / "again")
        root = Root(f"{out}/results")
        expected = results(tmp_path / "again")
        assert {path for path in root.list() if "/." not in f"/{path}"} == expected.keys()
        for path, digest in expected.items():
            assert hashlib.sha256(root.read_bytes(path)).hexdigest() == digest
        assert batch_status(root.url).is_done


# --- kills -----------------------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from episeek_pipelines.batch.run import batch_run
from episeek_pipelines.jobs.graph import Execution

many, out, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
calls = 0

def dying(original):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    return call

for name in ("replace", "rename", "link"):
    setattr(os, name, dying(getattr(os, name)))
batch_run(many, out, execution=Execution("sync"))
"""
"""A run that is killed just before one of the moments at which a file or a folder gets its name."""


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "many"
    make_datasets(folder, 2, broken=0)
    return folder


@pytest.fixture(scope="module")
def undisturbed(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    run(few, out)
    return out


@pytest.mark.parametrize("moment", range(1, 44) if IS_FULL else (20, 22))
def test_killed_and_started_again(moment: int, few: Path, undisturbed: Path, tmp_path: Path, warm_python: WarmPython):
    out = tmp_path / "out"
    code, said = warm_python.run(KILLED, str(few), str(out), str(moment))
    assert code in (-signal.SIGKILL, 0), said
    before = Ledger(Root(str(out))).rows()
    finished = {name for name, row in before.items() if row.state == "done"}
    run(few, out)
    assert results(out) == results(undisturbed)
    assert contents(out) == contents(undisturbed)
    # nothing twice: a dataset that was done has no further attempt
    assert {name for name, number in attempts(out).items() if number == 1} >= finished


@pytest.mark.skipif(not IS_FULL, reason="the kills above meet each kind of moment")
def test_killed_again_and_again_it_ends(few: Path, undisturbed: Path, tmp_path: Path, warm_python: WarmPython):
    """Nothing is lost: every run gets further than the one before it."""
    out, runs = tmp_path / "out", 0
    while warm_python.run(KILLED, str(few), str(out), "17")[0] != 0:
        runs += 1
        assert runs < 10
    assert runs >= 2
    assert results(out) == results(undisturbed)
    assert contents(out) == contents(undisturbed)

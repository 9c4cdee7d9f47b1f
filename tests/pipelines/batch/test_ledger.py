"""Claims are exclusive, dead processes are known, and rows are read as they were written."""

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from episeek_pipelines.batch import processes
from episeek_pipelines.batch.errors import Problem
from episeek_pipelines.batch.ledger import Attempts, Ledger, LedgerRow
from episeek_pipelines.batch.options import BatchOptions
from episeek_pipelines.batch.ranks import Rank, RankError, dealt, rank_of
from episeek_pipelines.batch.survey import PlannedDataset
from episeek_pipelines.dataset.root import Root
from episeek_schemas.batch import LEDGER_DIR

ROW = LedgerRow("org/a b", "hf://datasets/org/a", "running", inputs={"identities": ["1"]}, run="r")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Root(str(tmp_path)))


def test_one_of_many_gets_a_claim(ledger: Ledger):
    claims = []
    barrier = threading.Barrier(8)

    def claim() -> None:
        barrier.wait()
        claims.append(ledger.claim(ROW, 1))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([found for found in claims if found is not None]) == 1
    (path,) = Path(ledger.out.url, LEDGER_DIR).rglob("*.json")
    assert json.loads(path.read_text())["state"] == "running"


def test_a_claim_without_hard_links_is_exclusive(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    assert ledger.claim(ROW, 1) is not None
    assert ledger.claim(ROW, 1) is None


def test_a_row_is_read_as_it_was_written(ledger: Ledger):
    claim = ledger.claim(ROW, 1)
    assert claim is not None
    problem = Problem("ReadError", "there", "nothing", "something", "look")
    findings = {"ROW016": {"severity": "error", "count": 3}, "VID022W": {"severity": "warning", "count": 2}}
    ended = claim.end(LedgerRow(ROW.destination, ROW.source, "failed", problem=problem, findings=findings))
    (row,) = ledger.rows().values()
    assert row == ended == ledger.row(ROW.destination)
    assert (row.error_count, row.warning_count, row.problem) == (3, 2, problem)
    assert row.process == processes.this_process()
    again = ledger.claim(ROW, 2)
    assert again is not None
    found = ledger.row(ROW.destination)
    assert found is not None
    assert (found.state, found.attempt) == ("running", 2)
    assert ledger.is_at_work(found)


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ({"running", "begun", "done", "planned"}, "done"),
        ({"running", "failed", "done"}, "done"),
        ({"running", "current", "refused"}, "current"),
        ({"running", "planned", "failed"}, "failed"),
        ({"running", "prepared"}, "running"),
    ],
)
def test_two_ends_of_an_attempt_have_an_order(kinds: set[str], state: str):
    assert Attempts({1: frozenset(kinds)}).state == state


def test_an_interrupt_after_the_end_writes_no_other(ledger: Ledger):
    claim = ledger.claim(ROW, 1)
    assert claim is not None

    def end_and_interrupt() -> None:
        with claim.beating():
            claim.end(LedgerRow(ROW.destination, ROW.source, "failed"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        end_and_interrupt()
    assert ledger.attempts_at(ROW.destination).files == {1: {"running", "failed"}}


def test_a_place_is_ours_when_something_of_ours_can_be_there(ledger: Ledger):
    begun = Attempts({1: frozenset({"running", "begun"})})
    assert not begun.has_written(is_local=True)
    assert begun.has_written(is_local=False)
    claim = ledger.claim(ROW, 1)
    assert claim is not None
    claim.note(ROW, "begun")
    assert ledger.written() == set()
    claim.note(ROW, "prepared")
    assert ledger.written() == {ROW.destination}


def test_a_process_that_has_ended_is_dead():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    here = processes.this_process()
    other = {**here, "pid": ended.pid, "process_start": processes._start(ended.pid)}
    ended.wait()
    now = processes.now()
    assert processes.is_alive(here, last_beat=now)
    assert not processes.is_alive(other, last_beat=now)
    # its number went to another process
    assert not processes.is_alive({**here, "process_start": "1"}, last_beat=now)


def test_a_process_of_another_machine_lives_as_long_as_its_beats(ledger: Ledger):
    claim = ledger.claim(ROW, 1)
    assert claim is not None
    elsewhere = {**processes.this_process(), "machine": "another"}
    old = (datetime.now(UTC) - timedelta(seconds=processes.SILENT_SECONDS + 1)).isoformat()
    row = LedgerRow(ROW.destination, ROW.source, "running", attempt=1, process=elsewhere, since=old)
    assert not ledger.is_at_work(row)
    ledger.beat(row)
    assert ledger.is_at_work(row)


def planned(**costs: float) -> list[PlannedDataset]:
    return [PlannedDataset(name, name, BatchOptions(), cost_seconds=cost) for name, cost in costs.items()]


def test_ranks_get_every_dataset_once_and_about_the_same_cost():
    datasets = planned(**{f"d{number}": float(number % 7 + 1) for number in range(40)}, giant=30.0)
    parts = [dealt(datasets, Rank(number, 4)) for number in range(4)]
    assert sorted(each.destination for part in parts for each in part) == sorted(each.destination for each in datasets)
    loads = [sum(each.cost_seconds for each in part) for part in parts]
    assert max(loads) - min(loads) <= 7
    assert parts == [dealt(datasets[::-1], Rank(number, 4)) for number in range(4)]


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, Rank(0, 1)),
        ({"RANK": "2", "WORLD_SIZE": "4"}, Rank(2, 4)),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}, Rank(3, 4)),
        (
            {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "4", "RANK": "9"},
            Rank(0, 4),
        ),
        (
            {
                "SLURM_ARRAY_TASK_ID": "15",
                "SLURM_ARRAY_TASK_MIN": "5",
                "SLURM_ARRAY_TASK_STEP": "5",
                "SLURM_ARRAY_TASK_COUNT": "3",
            },
            Rank(2, 3),
        ),
    ],
)
def test_a_rank_comes_from_the_environment(environment: dict[str, str], rank: Rank):
    assert rank_of(environment) == rank


@pytest.mark.parametrize(
    "environment",
    [
        {"SLURM_ARRAY_TASK_ID": "3"},
        *(
            {
                "SLURM_ARRAY_TASK_ID": task,
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_ARRAY_TASK_MAX": "7",
                "SLURM_ARRAY_TASK_STEP": step,
                "SLURM_ARRAY_TASK_COUNT": "3",
            }
            for task, step in (("1", "1"), ("7", "1"), ("1", "2"), ("3", "3"))
        ),
        {
            "SLURM_ARRAY_TASK_ID": "3",
            "SLURM_ARRAY_TASK_MIN": "3",
            "SLURM_ARRAY_TASK_MAX": "3",
            "SLURM_ARRAY_TASK_COUNT": "1",
        },
        {"RANK": "x", "WORLD_SIZE": "4"},
        {"RANK": "4", "WORLD_SIZE": "4"},
        {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "4"},
    ],
)
def test_an_environment_that_names_no_rank_is_refused(environment: dict[str, str]):
    with pytest.raises(RankError):
        rank_of(environment)

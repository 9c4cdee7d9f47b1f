"""The parts of the benchmark that need no torch: mixing, process trees, ranks, reports and the chain of jobs."""

import argparse
import os
import subprocess
import sys
import threading
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from episeek.errors import DestinationError
from episeek_pipelines.cli.commands.bench import delta_timestamps
from episeek_pipelines.cli.lines.bench import csv_values, report_lines
from episeek_pipelines.cli.report_files import append_row
from episeek_pipelines.jobs.bench import process_tree
from episeek_pipelines.jobs.bench.measurement import BatchCost, RankMeasurement
from episeek_pipelines.jobs.bench.meeting import StoreMeeting
from episeek_pipelines.jobs.bench.options import BENCH_ORDERS, BenchOptions
from episeek_pipelines.jobs.bench.report import BenchReport, make_report
from episeek_pipelines.jobs.bench.shuffling import distinct_share, order_correlation
from episeek_pipelines.jobs.bench.slurm import slurm_script

MEASURED = RankMeasurement(
    rank=0,
    host="one",
    episodes=10,
    frames=376,
    cameras=2,
    open_seconds=0.5,
    first_batch_seconds=1.0,
    batch_seconds=(0.1, 0.1, 0.3, 0.5),
    samples=40,
    cost=BatchCost(4.0, 1.0, 2.0, 80, 20, 4000),
    cpu_seconds=2.0,
    distinct_episodes=0.75,
    order_correlation=0.5,
    peak_rss_bytes=1 << 20,
)


def test_episodes_of_a_batch_are_counted_once():
    assert distinct_share([[0, 1, 2, 3], [5, 5, 5, 5]]) == (1.0 + 0.25) / 2


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([1, 5, 9, 100], 1.0),
        ([4, 3, 0], -1.0),
        ([2, 0, 3, 1], 0.0),
        ([0, 0, 1, 1], 2 / 5**0.5),
        ([7], None),
        ([7, 7], None),
    ],
)
def test_rank_correlation(frames, expected):
    found = order_correlation(frames)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_tree_has_all_descendants_by_both_ways():
    program = "import subprocess, sys; subprocess.run(['cat'], stdin=0)"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        # the child of the child comes once Python has started
        while not process.children():
            assert child.poll() is None
        expected = {child.pid, *(one.pid for one in process.children(recursive=True))}
        assert set(process_tree.tree(child.pid)) == set(process_tree._tree_by_parents(child.pid)) == expected
        resident = sum(psutil.Process(pid).memory_info().rss for pid in expected)
        assert process_tree.resident_bytes(child.pid) == pytest.approx(resident, rel=0.2)
        assert child.stdin is not None
        child.stdin.close()
    assert process_tree.resident_bytes(child.pid) == 0


def test_cpu_time_is_that_of_the_process():
    times = psutil.Process().cpu_times()
    assert process_tree.cpu_seconds(os.getpid()) >= times.user + times.system - 0.05


class Store:
    def __init__(self):
        self.texts, self.changed = {}, threading.Condition()

    def set(self, key, value):
        with self.changed:
            self.texts[key] = value.encode()
            self.changed.notify_all()

    def get(self, key):
        with self.changed:
            if not self.changed.wait_for(lambda: key in self.texts, timeout=20):
                raise RuntimeError("timeout")
            return self.texts[key]


def test_the_first_rank_gets_all_measurements():
    store, gathered = Store(), {}

    def work(rank):
        meeting = StoreMeeting(rank, 3, store)
        meeting.wait("start")
        gathered[rank] = meeting.gather(replace(MEASURED, rank=rank).to_json())

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gathered[1] is gathered[2] is None
    assert [RankMeasurement.from_json(text) for text in gathered[0] or []] == [
        replace(MEASURED, rank=r) for r in range(3)
    ]


def test_a_report_of_two_ranks():
    slow = replace(
        MEASURED, rank=1, host="two", batch_seconds=(1.0, 1.0), peak_rss_bytes=1 << 21, first_batch_seconds=3.0
    )
    report = make_report("data", BenchOptions(), 2, [MEASURED, slow])
    assert (report.seconds, report.samples, report.samples_per_second) == (2.0, 80, 40.0)
    assert (report.decoded_frames_per_second, report.requests_per_sample, report.bytes_per_sample) == (80.0, 0.5, 100.0)
    assert (report.fetch_share, report.decode_share, report.cpu_seconds_per_sample) == (0.25, 0.5, 0.05)
    assert report.batch_p50_seconds == np.median([0.1, 0.1, 0.3, 0.5, 1.0, 1.0])
    assert (report.first_batch_seconds, report.peak_rss_bytes) == (3.0, 1 << 21)
    text = "\n".join(report_lines(report))
    assert "2 of 2 ranks" in text
    assert "slowest rank: 1 on two, 20.0 samples/s" in text


def test_rows_are_appended_below_one_header(tmp_path: Path):
    report = make_report("data", BenchOptions(delta_timestamps={"action": [0, 0.1]}), 1, [MEASURED])
    values = csv_values(report)
    assert list(values) == [field.name for field in fields(BenchReport) if field.name != "ranks"]
    target = tmp_path / "bench.csv"
    for _ in range(2):
        append_row(str(target), values)
    header, *rows = target.read_text().splitlines()
    assert header.split(",") == list(values)
    assert len(rows) == 2
    assert rows[0] == rows[1]
    with pytest.raises(DestinationError):
        append_row(str(target), {"other": 1})


def test_the_document_has_every_key():
    document = (Path(__file__).parents[4] / "docs/performance.md").read_text(encoding="utf-8")
    for name in asdict(make_report("data", BenchOptions(), 1, [MEASURED])):
        assert f"`{name}`" in document, name


def test_orders_are_those_of_the_sampler():
    pytest.importorskip("torch")
    from episeek.torch.sampler import ORDER_NAMES

    assert BENCH_ORDERS == ORDER_NAMES


def test_jobs_wait_for_each_other_and_ranks_have_their_numbers(tmp_path: Path):
    """With an sbatch that runs the job at once, and an srun that runs two ranks."""
    tools = {
        "sbatch": 'echo "$@" >> sbatch.log; export SLURM_JOB_ID=$((40 + $(wc -l < sbatch.log))) SLURM_NTASKS=2 '
        'SLURM_CPUS_PER_TASK=9 SLURM_JOB_NODELIST=n[1-2]; bash -s > /dev/null; echo "$SLURM_JOB_ID;cluster"',
        "scontrol": "echo n1; echo n2",
        "srun": 'echo "$1" >> srun.log; shift 2; for SLURM_PROCID in 0 1; do export SLURM_PROCID; SLURM_LOCALID=0 "$@"; done',
        "episeek": 'echo "$RANK of $WORLD_SIZE at $MASTER_ADDR:$MASTER_PORT: $@" >> episeek.log',
    }
    for name, body in tools.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    script = slurm_script(["episeek", "bench", "my data", "--json"], workers=8, nodes=(1, 2))
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-s", "--", "--account=a"],
        input=script,
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["1 nodes: job 41", "2 nodes: job 42"]
    first, second = (tmp_path / "sbatch.log").read_text().splitlines()
    assert "--nodes=1 " in first
    assert "--dependency" not in first
    assert "--nodes=2 " in second
    assert second.endswith("--dependency=afterany:41 --account=a")
    assert "--cpus-per-task=9" in second
    assert (tmp_path / "srun.log").read_text().splitlines() == ["--cpus-per-task=9"] * 2
    ranks = (tmp_path / "episeek.log").read_text().splitlines()
    assert ranks[:2] == [f"{rank} of 2 at n1:20041: bench my data --json" for rank in range(2)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("action=0,0.1", [0.0, 0.1]),
        ("action=0:100/30", [frame / 30 for frame in range(100)]),
        ("action=-0.5,-2:1/10", [-0.5, -0.2, -0.1, 0.0]),
    ],
)
def test_times_are_given_one_by_one_or_as_ranges_of_frames(text, seconds):
    assert delta_timestamps(text) == ("action", seconds)


@pytest.mark.parametrize("text", ["action", "=0", "action=", "action=a", "action=0:5", "action=3:3/30", "action=0:5/0"])
def test_other_times_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected KEY=S"):
        delta_timestamps(text)

"""docs/clusters.md: its commands run on this machine, and its job script is the one that dask-jobqueue prints."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml
from distributed import Client

from episeek_pipelines.cli.main import main
from tests.documents.blocks import Block, blocks_of, commands_of
from tests.pipelines.conftest import digests
from tests.support.amount import IS_FULL
from tests.support.build_index import DATA

DOCUMENT = Path(__file__).parents[2] / "docs/clusters.md"
BLOCKS = list(blocks_of(DOCUMENT))
full_run = pytest.mark.skipif(not IS_FULL, reason="starts a cluster: make test-all")


def block_with(text: str, language: str) -> Block:
    (found,) = [block for block in BLOCKS if block.language == language and text in block.text]
    return found


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", *command])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def test_python_compiles_and_yaml_is_a_cluster():
    for block in BLOCKS:
        if block.language == "python":
            compile(block.text, f"clusters.md, line {block.line}", "exec")
    manifest = yaml.safe_load(block_with("DaskCluster", "yaml").text)
    assert manifest["apiVersion"] == "kubernetes.dask.org/v1"
    for part, command in (("worker", "worker"), ("scheduler", "scheduler")):
        (container,) = manifest["spec"][part]["spec"]["containers"]
        assert container["args"][:2] == ["dask", command]


@full_run
def test_by_hand(tmp_path):
    """The three commands, with a port and a number of workers that suit a test."""
    shutil.copytree(DATA / "av1_multifile", tmp_path / "my-dataset")
    scheduler, worker, prepare = (
        shlex.split(command.replace("/shared", str(tmp_path)))
        for text in ("dask scheduler", "dask worker", "episeek prepare")
        for command, _ in commands_of(block_with(text, "sh"))
    )
    worker[worker.index("--nworkers") + 1] = "1"
    with ExitStack() as stack:
        stack.enter_context(running([*scheduler, "--port", "0", "--dashboard-address", ":0"]))
        stack.enter_context(running([*worker, "--no-dashboard"]))
        with Client(scheduler_file=str(tmp_path / "scheduler.json"), set_as_default=False) as client:
            client.wait_for_workers(1)
        assert main([*prepare[1:], "--quiet"]) == 0
    assert main(["prepare", str(DATA / "av1_multifile"), str(tmp_path / "threads"), "--quiet"]) == 0
    assert digests(tmp_path / "out/my-dataset") == digests(tmp_path / "threads")


@full_run
def test_on_one_machine(tmp_path):
    shutil.copytree(DATA / "av1_multifile", tmp_path / "my-dataset")
    (tmp_path / "program.py").write_text(block_with("LocalCluster", "python").text)
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(list((DATA / "av1_multifile/videos").rglob("*.mp4")))


def test_the_job_script():
    jobqueue = pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    call = re.search(r"SLURMCluster\((.*?)\) as cluster", block_with("SLURMCluster", "python").text, re.DOTALL)
    assert call is not None
    with eval(f"SLURMCluster({call[1]})", {"SLURMCluster": jobqueue.SLURMCluster}) as cluster:
        printed = cluster.job_script()

    def steady(text: str) -> str:
        return re.sub(r"tcp://\S+", "ADDRESS", text).strip()

    assert steady(printed) == steady(block_with("#SBATCH", "text").text)

"""What is asked of workers before a job starts: fakes of workers that answer otherwise."""

import shutil
from pathlib import Path

import pytest

from episeek import __version__
from episeek.errors import DestinationError, ReadError
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.cluster_checks import (
    Probe,
    answer_probes,
    answer_versions,
    placed_probes,
    require_probes,
    require_versions,
    roots_of,
)
from episeek_pipelines.jobs.graph import Execution, Graph
from tests.pipelines.conftest import DATA

SCHEDULER = "tcp://head:8786"
THERE = "tcp://there:1"


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Root, Root]:
    """A dataset, and a directory that is written to."""
    (tmp_path / "work").mkdir()
    return Root(str(DATA / "hevc")), Root(str(tmp_path / "work"))


def elsewhere(probes: tuple[Probe, ...], roots: tuple[Root, Root], folder: Path) -> tuple[Probe, ...]:
    """The probes as a worker sees them for which the second root is `folder`."""
    moved = {roots[1].url: str(folder)}
    return tuple(
        Probe(moved.get(probe.root, probe.root), probe.path, probe.sha256, probe.is_written_to) for probe in probes
    )


def test_equal_workers_pass(roots: tuple[Root, Root]):
    require_versions({THERE: answer_versions(), "tcp://b:2": answer_versions()}, SCHEDULER)
    with placed_probes(roots) as probes:
        assert [probe.is_written_to for probe in probes] == [False, True]
        require_probes({THERE: answer_probes(probes), "tcp://b:2": answer_probes(probes)}, probes, SCHEDULER)
    assert roots[1].list() == []


def test_workers_see_datasets_of_version_2():
    opened = open_dataset(str(DATA / "v21_videos")).root
    with placed_probes([opened, opened.physical]) as probes:
        assert len(probes) == 1
        require_probes({THERE: answer_probes(probes)}, probes, SCHEDULER)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({**answer_versions(), "episeek": "0.0.1"}, rf"episeek 0\.0\.1; expected episeek {__version__}"),
        ({**answer_versions(), "format": 1}, r"format version 1; expected format version \d"),
        ({}, "episeek unknown, format version unknown"),
        (ModuleNotFoundError("No module named 'episeek_pipelines'"), "ModuleNotFoundError: No module named"),
    ],
)
def test_another_release_is_refused(answer: object, found: str):
    with pytest.raises(ReadError, match=rf"worker {THERE} of {SCHEDULER}: found .*{found}") as caught:
        require_versions({"tcp://a:1": answer_versions(), THERE: answer}, SCHEDULER)
    assert "install the same release" in caught.value.hint


@pytest.mark.parametrize("is_copied", [False, True])
def test_a_directory_that_is_not_shared_is_refused(roots: tuple[Root, Root], tmp_path: Path, is_copied: bool):
    """One worker sees no probe, or one in a directory of its own, where nobody else sees what it writes."""
    own = tmp_path / "own"
    own.mkdir()
    with placed_probes(roots) as probes:
        if is_copied:
            shutil.copytree(roots[1].url, own, dirs_exist_ok=True)
        answers = {"tcp://a:1": answer_probes(probes), THERE: answer_probes(elsewhere(probes, roots, own))}
        found = "a directory of its own" if is_copied else "no such file"
        with pytest.raises(DestinationError, match=f"worker {THERE} of .*{found}") as caught:
            require_probes(answers, probes, SCHEDULER)
    assert "storage that every worker has" in caught.value.hint
    assert roots[1].list() == []


def test_another_dataset_under_the_same_name_is_refused(roots: tuple[Root, Root]):
    with placed_probes(roots[:1]) as probes:
        other = tuple(Probe(str(DATA / "images"), probe.path, probe.sha256, is_written_to=False) for probe in probes)
        with pytest.raises(ReadError, match="another file"):
            require_probes({THERE: answer_probes(other)}, probes, SCHEDULER)


def test_the_roots_of_a_graph(roots: tuple[Root, Root]):
    graph = Graph()
    nodes = graph.map(str, ["a"], *roots, 3, label=str)
    graph.reduce(len, nodes, roots[0], label="end")
    assert roots_of(graph.nodes) == roots


@pytest.mark.parametrize("content", [None, "", "{}", '{"address": 3}'])
def test_a_file_without_an_address(content: str | None, tmp_path: Path):
    path = tmp_path / "scheduler.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ReadError, match=r"scheduler\.json.*--scheduler-file"):
        Execution.by_file(str(path))
    path.write_text('{"type": "Scheduler", "address": "tls://head:8786"}')
    assert Execution.by_file(str(path)) == Execution("tls://head:8786")

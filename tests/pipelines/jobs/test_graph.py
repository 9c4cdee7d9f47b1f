import os
import signal
import time

import pytest

from episeek.errors import ReadError, TruncatedMp4Error
from episeek_pipelines.jobs.graph import ROUNDS_PER_NODE, Graph
from episeek_pipelines.jobs.nodes import Blocked, Done, Failure, values_and_failures
from episeek_pipelines.jobs.progress import Phase

SCHEDULERS = ["sync", "threads", "processes"]


def square(number, offset=0):
    if number == 13:
        raise TruncatedMp4Error("file 13", "nothing", "something")
    if number == 17:
        raise ZeroDivisionError("surprise")
    return number * number + offset


def total(values, extra=0):
    return sum(values) + extra


def label(number):
    return f"file {number}"


@pytest.fixture(params=[*SCHEDULERS, "tcp"])
def scheduler(request):
    return request.getfixturevalue("cluster") if request.param == "tcp" else request.param


def test_map_and_reduce_give_the_same_on_every_scheduler(scheduler):
    graph = Graph()
    nodes = graph.map(square, list(range(10)), 5, label=label, phase="squaring", byte_count=abs, max_nodes=3)
    assert [node.item_count for node in nodes] == [4, 4, 2]
    result = graph.reduce(total, nodes, 1000, label="total")
    seen: list[tuple[str, int, int]] = []
    outcomes = graph.compute(
        [*nodes, result], scheduler=scheduler, workers=2, progress=lambda *finished: seen.append(finished)
    )
    values, failures = values_and_failures(outcomes)
    assert values == [n * n + 5 for n in range(10)] + [sum(n * n + 5 for n in range(10)) + 1000]
    assert failures == []
    assert graph.item_count == 11
    assert graph.phases == (Phase("squaring", 10, byte_count=45),)
    assert sorted(seen) == [("squaring", 2, 17), ("squaring", 4, 6), ("squaring", 4, 22)]


def test_a_failed_item_names_itself_and_keeps_the_others(scheduler):
    graph = Graph()
    nodes = graph.map(square, [1, 13, 3, 17], label=label, max_nodes=2)
    result = graph.reduce(total, nodes, label="total")
    after = graph.map(square, [2], result, label=label)
    outcomes = graph.compute([*nodes, result, *after], scheduler=scheduler, workers=2)
    values, failures = values_and_failures(outcomes[:2])
    assert values == [1, 9]
    assert [(failure.label, failure.kind) for failure in failures] == [
        ("file 13", "TruncatedMp4Error"),
        ("file 17", "ZeroDivisionError"),
    ]
    assert failures[0].message == "file 13: found nothing; expected something"
    assert "surprise" in failures[1].message
    assert "ZeroDivisionError" in failures[1].trace
    assert isinstance(outcomes[2], Blocked)
    assert len(outcomes[2].failures) == 2
    assert outcomes[3] == []  # what stands on a blocked reduction is not run


def wait(number):
    started = time.monotonic()
    time.sleep(0.02)
    return number, square(number), started, time.monotonic()


def test_items_of_a_node_are_in_flight_together(scheduler):
    """As many as said, and no more; order, failures and progress are as they are one at a time."""
    graph = Graph()
    nodes = graph.map(wait, list(range(30)), label=label, phase="waiting", in_flight=3)
    assert [node.item_count for node in nodes] == [ROUNDS_PER_NODE * 3, ROUNDS_PER_NODE * 3, 6]
    seen: list[int] = []
    outcomes = graph.compute(
        nodes, scheduler=scheduler, workers=2, progress=lambda phase, count, size: seen.append(count)
    )
    values, failures = values_and_failures(outcomes)
    assert [value[:2] for value in values] == [(n, n * n) for n in range(30) if n not in (13, 17)]
    assert [(failure.label, failure.kind) for failure in failures] == [
        ("file 13", "TruncatedMp4Error"),
        ("file 17", "ZeroDivisionError"),
    ]
    assert sum(seen) == 30
    for outcome in outcomes:
        assert isinstance(outcome, list)
        spans = [done.value[2:] for done in outcome if isinstance(done, Done)]
        at_once = [sum(start <= moment < end for start, end in spans) for moment, _ in spans]
        assert 1 < max(at_once) <= 3


def test_a_node_as_argument_stands_for_its_value():
    graph = Graph()
    first = graph.reduce(total, graph.map(square, [1, 2], label=label), label="first")
    nodes = graph.map(square, [3], first, label=label)
    assert values_and_failures(graph.compute(nodes, scheduler="sync"))[0] == [9 + 5]


def test_a_failed_reduction_is_an_outcome():
    graph = Graph()
    node = graph.reduce(square, [], label="broken")  # squares a list
    (outcome,) = graph.compute([node], scheduler="sync")
    assert isinstance(outcome, Failure)
    assert outcome.label == "broken"
    assert outcome.kind == "TypeError"


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_named():
    graph = Graph()
    nodes = graph.map(die, [1], label=label)
    with pytest.raises(ReadError, match="a worker that died"):
        graph.compute(nodes, scheduler="processes", workers=1)


def test_no_items():
    graph = Graph()
    assert graph.map(square, [], label=label) == []
    (outcome,) = graph.compute([graph.reduce(total, [], label="total")], scheduler="threads")
    assert outcome == Done(0)


def test_a_million_items_are_few_nodes():
    graph = Graph()
    nodes = graph.map(square, range(1_000_000), label=label)
    assert len(nodes) == 2000
    assert sum(node.item_count for node in nodes) == 1_000_000


def test_unknown_and_unreachable_schedulers_are_named():
    graph = Graph()
    nodes = graph.map(square, [1], label=label)
    with pytest.raises(ValueError, match="found 'spark'"):
        graph.compute(nodes, scheduler="spark")
    with pytest.raises(ReadError, match="no scheduler"):
        graph.compute(nodes, scheduler="tcp://127.0.0.1:1", connect_timeout_seconds=0.5)

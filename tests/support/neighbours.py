"""Which tests are next to each other, so that one worker of a run makes what they share and the others do not."""

from collections.abc import Sequence

import pytest

PROCESSES = {"cluster", "warm_python"}
"""Fixtures that start processes, which import the pipelines, pandas and Dask: that takes seconds."""


def put_together(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests with those that import torch first, and the modules that share processes where a second share starts.

    pytest-xdist gives each worker an equal share of neighbours (`--dist=worksteal`).
    """
    modules = {item.path for item in items if _starts_processes(item)}
    with_torch, with_processes, others = [], [], []
    for item in items:
        if item.get_closest_marker("torch") is not None:
            with_torch.append(item)
        elif item.path in modules:
            with_processes.append(item)
        else:
            others.append(item)
    rest = max(0, len(items) // workers - len(with_torch))
    return [*with_torch, *others[:rest], *with_processes, *others[rest:]]


def _starts_processes(item: pytest.Item) -> bool:
    """Return whether a test uses such a fixture, or a scheduler at an address, which is the cluster's."""
    callspec = getattr(item, "callspec", None)
    # parameters may be arrays, which do not compare with a text
    texts = () if callspec is None else (value for value in callspec.params.values() if isinstance(value, str))
    has_address = "tcp" in texts
    return has_address or not PROCESSES.isdisjoint(getattr(item, "fixturenames", ()))

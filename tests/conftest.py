import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

import episeek
from tests.servers.s3 import S3Bucket
from tests.support.amount import examples
from tests.support.build_index import DATA, VIDEO_DATASETS, build_index
from tests.support.long_tests import leave_out_long_tests, write_long_tests
from tests.support.neighbours import put_together
from tests.support.publication_stops import report_publications
from tests.support.quick_start import compile_a_share, without_garbage_collection
from tests.support.repaired_cells import report_repairs
from tests.support.survival import report_survival
from tests.support.warm_python import WarmPython

# no deadline: how long an example takes depends on what else the machine does
settings.register_profile("amount", settings(), max_examples=examples(100), deadline=None)
settings.load_profile("amount")


@pytest.fixture(scope="session")
def sidecar_roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories with the sidecars of each sample dataset; the videos stay where they are."""
    roots = {}
    for name in VIDEO_DATASETS:
        roots[name] = tmp_path_factory.mktemp(name)
        build_index(DATA / name, tmp_path_factory.mktemp("work"), roots[name])
    return roots


@pytest.fixture(scope="session")
def indexes(sidecar_roots: dict[str, Path]) -> dict[str, episeek.ByteIndex]:
    return {name: episeek.open(root, data_root=DATA / name) for name, root in sidecar_roots.items()}


@pytest.fixture(scope="session")
def warm_python() -> Iterator[WarmPython]:
    with WarmPython() as python:
        yield python


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    with without_garbage_collection():
        compile_a_share(session.config)
        return (yield)


def pytest_collection_modifyitems(config, items):
    leave_out_long_tests(config, items)
    items[:] = put_together(items, getattr(config, "workerinput", {"workercount": 1})["workercount"])


def pytest_runtest_teardown():
    """Leave the real-time class that SVT-AV1 puts a process of root into when it encodes: its children would inherit it."""
    if os.name == "posix" and hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER:
        for task in os.listdir("/proc/self/task"):
            with suppress(OSError):
                os.sched_setscheduler(int(task), os.SCHED_OTHER, os.sched_param(0))


def pytest_sessionfinish():
    S3Bucket.end()
    # libraries say at the end of a process which of their objects were not freed
    gc.unfreeze()


def pytest_terminal_summary(terminalreporter):
    passed = terminalreporter.stats.get("passed", [])
    # the passed ones have a report of the call, and "" those of setup and teardown
    write_long_tests([*passed, *terminalreporter.stats.get("", [])])
    for line in [*report_survival(passed), *report_publications(passed), *report_repairs(passed)]:
        terminalreporter.write_line(line)

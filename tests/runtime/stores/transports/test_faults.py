"""Every fault with every source: the right bytes, or an error with the file and the range."""

import time
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from episeek.errors import (
    AccessError,
    ChangedFileError,
    CorruptBytesError,
    EpiseekError,
    RangeNotHonouredError,
    ReadError,
    ShortReadError,
    WaitLimitError,
)
from episeek.sidecars.video_source import IndexedVideoSource, Verify
from episeek.stores.requests import retry
from episeek.stores.requests.retry import RetryPolicy
from tests.servers.faults import Fault
from tests.support.amount import pairwise
from tests.support.served_file import PATIENCE, SOURCES, serve
from tests.support.survival import record

PATH = "videos/camera/file 000ä.mp4"
DATA = np.random.default_rng(4).bytes(200_000)
RANGE = (70_000, 70_900)

FAULTS = {
    "truncated body": Fault("truncate", at_byte=100),
    "truncated, then reset": Fault("truncate_reset", at_byte=100),
    "dropped connection": Fault("drop"),
    "reset connection": Fault("reset"),
    "429": Fault("status", status=429),
    "429 with Retry-After": Fault("status", status=429, headers={"Retry-After": "1"}),
    "429 with RateLimit": Fault("status", status=429, headers={"RateLimit": '"resolvers";r=0;t=1'}),
    "500": Fault("status", status=500),
    "503": Fault("status", status=503),
    "stall": Fault("stall", seconds=3),
    "stall in the body": Fault("stall_body", at_byte=100, seconds=3),
    "range ignored": Fault("ignore_range"),
    "another range": Fault("wrong_range"),
    "another total": Fault("wrong_total"),
    "fewer bytes": Fault("short_range", at_byte=100),
    "not HTTP": Fault("not_http"),
    "corrupted byte": Fault("corrupt", at_byte=100),
    "403": Fault("status", status=403),
    "gone for good": Fault("gone"),
}

FINAL: dict[str, type[EpiseekError]] = {  # what one fault of this kind ends in; the others are mended by another try
    "another total": ChangedFileError,
    "403": AccessError,
    "gone for good": ReadError,
}

LASTING: dict[str, type[EpiseekError] | tuple[type[EpiseekError], ...]] = {
    "truncated body": ReadError,
    "range ignored": (RangeNotHonouredError, ShortReadError),
    "another range": RangeNotHonouredError,
    "fewer bytes": (RangeNotHonouredError, ShortReadError),
    "stall": WaitLimitError,
    "stall in the body": WaitLimitError,
    "another total": (ChangedFileError, RangeNotHonouredError),
    "403": AccessError,
}


ASKS_FOR_A_SECOND = ("429 with Retry-After", "429 with RateLimit")
SEE_WHAT_IS_ASKED = ("http fsspec", "hub", "hub bucket")
"""Sources that do not see the headers of an error: obstore and s3fs."""

LITTLE_PATIENCE = replace(PATIENCE, max_attempts=2, connect_seconds=0.4, stall_seconds=0.4)
"""Time limits for faults that stay, where every wait is in vain."""


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """Record the waits between tries and cut them short. test_retry.py and test_hub.py test that they are waited in full."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(min(seconds, PATIENCE.max_wait_seconds))

    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    return waits


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Start a server of each kind of source when it is first needed."""
    with ExitStack() as servers:
        yield cache(lambda name: servers.enter_context(serve(name, {PATH: DATA}, tmp_path_factory.mktemp("served"))))


@pytest.fixture
def served(request, running):
    return running(request.param)


def outcome(served, fault: Fault, *, verify: Verify, policy: RetryPolicy) -> tuple[str, EpiseekError | None]:
    """Return the result of reading the range; the source has read from the file before."""
    source = served.open(policy)
    assert source.get_ranges(PATH, [(0, 10)]) == [DATA[:10]]
    row: Any = SimpleNamespace(file_size=len(DATA), store_id=source.identity(PATH).store_id)
    checked = IndexedVideoSource(source, lambda _: row, verify)
    served.server.inject(fault)
    try:
        data = checked.get_ranges(PATH, [RANGE])[0]
    except EpiseekError as error:
        return type(error).__name__, error
    finally:
        served.server.clear_faults()
    assert data == DATA[slice(*RANGE)]
    return "right bytes", None


def faults(kind: str) -> list[tuple[str, str]]:
    """Return the source and the fault of each test; in a run that is not full, only half of the pairs."""
    return [
        (source, name)
        for source, name, when in pairwise(list(SOURCES), list(FAULTS), ["once", "for good"])
        if when == kind
    ]


@pytest.mark.parametrize(("served", "name"), faults("once"), indirect=["served"])
def test_one_fault(served, name, waits, record_property):
    fault = replace(FAULTS[name], server=served.bytes_server)
    verify: Verify = "bytes" if fault.kind == "corrupt" else "identity"
    policy = LITTLE_PATIENCE if fault.kind == "gone" else PATIENCE
    found, error = outcome(served, fault, verify=verify, policy=policy)
    assert (max(waits, default=0) >= 1) == (name in ASKS_FOR_A_SECOND and served.name in SEE_WHAT_IS_ASKED)
    if fault.kind == "corrupt":
        assert isinstance(error, CorruptBytesError)
    elif error is not None:
        assert isinstance(error, FINAL[name])
    if error is not None:
        assert PATH in str(error)
        assert str(list(RANGE))[1:-1] in str(error)
    elif served.name.startswith("hub"):
        assert name != "gone for good"
    else:
        assert name not in FINAL
    record(record_property, fault=name, source=served.name, outcome=found)


@pytest.mark.parametrize(
    ("served", "name"),
    [(source, name) for source, name in faults("for good") if FAULTS[name].kind != "corrupt"],
    indirect=["served"],
)
def test_a_fault_that_stays(served, name, record_property):
    fault = replace(FAULTS[name], server=served.bytes_server, times=1000)
    started = time.monotonic()
    found, error = outcome(served, fault, verify="identity", policy=LITTLE_PATIENCE)
    elapsed = time.monotonic() - started
    assert error is not None
    assert isinstance(error, LASTING.get(name, ReadError))
    assert PATH in str(error)
    assert str(list(RANGE))[1:-1] in str(error)
    assert elapsed < 2 * LITTLE_PATIENCE.max_seconds
    record(record_property, fault=f"{name}, for good", source=served.name, outcome=found)

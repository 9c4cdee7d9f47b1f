"""Responses that arrive a byte at a time, and responses that do not end."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from episeek.errors import ShortReadError, WaitLimitError
from episeek.stores.requests.retry import Transient
from episeek.stores.transports.fsspec import FsspecSource
from episeek.stores.transports.http import range as http_range
from tests.support.raw_server import raw_server
from tests.support.served_file import PATIENCE

DATA = bytes(range(100)) * 10
HEAD = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-99/1000\r\n"
WHOLE = HEAD + b"Content-Length: 100\r\n\r\n" + DATA[:100]
ONCE = replace(PATIENCE, max_attempts=1, max_seconds=1.0)
READERS = {
    "hub": lambda url, policy: http_range.get_range(url, (0, 100), headers={}, policy=policy).data,
    "fsspec": lambda url, policy: FsspecSource(url, policy=policy).get_ranges("x", [(0, 100)])[0],
}


def dripped(data: bytes, seconds: float) -> Iterator[bytes]:
    for value in data:
        yield bytes([value])
        time.sleep(seconds)


def error_of(failure: BaseException) -> type[BaseException]:
    return failure.error if isinstance(failure, Transient) else type(failure)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("is_body", [False, True], ids=["head", "body"])
def test_a_byte_now_and_then_is_not_waited_for_without_end(reader, is_body):
    start = len(WHOLE) - 100 if is_body else 0
    with (
        raw_server(lambda: itertools.chain([WHOLE[:start]], dripped(WHOLE[start:], 0.1))) as url,
        pytest.raises((Transient, WaitLimitError)) as caught,
    ):
        READERS[reader](url, ONCE)
    assert error_of(caught.value) is WaitLimitError


@pytest.mark.parametrize("reader", READERS)
def test_an_answer_that_goes_on_is_waited_for(reader):
    policy = replace(PATIENCE, max_attempts=1, connect_seconds=0.5, stall_seconds=1.2, max_seconds=30)
    with raw_server(lambda: itertools.chain([WHOLE[:-100]], dripped(WHOLE[-100:], 0.02))) as url:
        assert READERS[reader](url, policy) == DATA[:100]


@pytest.mark.parametrize("reader", READERS)
def test_of_an_answer_that_does_not_end_no_more_than_the_range_is_read(reader):
    sent = 0

    def answer() -> Iterator[bytes]:
        nonlocal sent
        yield HEAD + b"Connection: close\r\n\r\n"
        for _ in range(1000):
            yield bytes(1 << 20)
            sent += 1

    with raw_server(answer) as url, pytest.raises((Transient, ShortReadError)) as caught:
        READERS[reader](url, replace(ONCE, max_seconds=30))
    assert error_of(caught.value) is ShortReadError
    assert sent < 30  # MiB, in the buffers of sockets

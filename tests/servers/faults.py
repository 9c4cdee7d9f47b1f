"""What can go wrong, on which request, and what a server saw: shared by all servers of this package."""

import random
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Literal, get_args

FaultKind = Literal[
    "status",  # answer with `status`, `headers` and `body`
    "drop",  # close before any response
    "reset",  # RST before any response
    "truncate",  # promise the whole body, send `at_byte` bytes, close
    "truncate_reset",  # the same, then RST
    "stall",  # wait `seconds`, then answer as usual
    "stall_body",  # headers and `at_byte` bytes, then nothing for `seconds`, then close
    "ignore_range",  # 200 with the whole object
    "wrong_range",  # 206 whose Content-Range and body are another range of the same length
    "wrong_total",  # the Content-Range names another total
    "corrupt",  # one bit of body byte `at_byte % length` flipped
    "short_range",  # 206, consistent in itself, for fewer bytes than asked
    "not_http",  # bytes that are no HTTP response, then close
    "gone",  # close, and close at every later request until clear_faults()
    "commit_then_drop",  # apply the request, lose the response
]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

_RANDOM_AT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault for the requests that match.

    A request matches where `method` and `server` match whole (regular expressions) and `path` is found in the
    decoded path. The first `after` matching requests pass, the next `times` are hit.
    A range fault that a response does not allow (no 206, or no other range of that length) does nothing.
    """

    kind: FaultKind
    _: KW_ONLY
    path: str = ".*"
    method: str = "GET"
    server: str = ".*"
    times: int = 1
    after: int = 0
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"injected"
    at_byte: int = 0
    seconds: float = 0.0
    ranged_only: bool = False

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ValueError(f"{self.kind!r} is no fault kind: {', '.join(FAULT_KINDS)}")

    def matches(self, *, server: str, method: str, path: str, is_ranged: bool) -> bool:
        return (
            (is_ranged or not self.ranged_only)
            and re.fullmatch(self.method, method) is not None
            and re.fullmatch(self.server, server) is not None
            and re.search(self.path, path) is not None
        )


class FaultPlan:
    """The faults that are armed, and which request gets which."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._armed: list[Fault] = []
            self._matched: list[int] = []
            self._gone: Fault | None = None
            self._probability = 0.0
            self._random_faults: tuple[Fault, ...] = ()

    def inject(self, fault: Fault) -> None:
        with self._lock:
            self._armed.append(fault)
            self._matched.append(0)

    def randomly(self, probability: float, kinds: Iterable[FaultKind | Fault], seed: int) -> None:
        """Hit every request with `probability`; a kind alone stands for its fault on any method and a random byte."""
        faults = tuple(
            kind if isinstance(kind, Fault) else Fault(kind, method=".*", at_byte=_RANDOM_AT_BYTES) for kind in kinds
        )
        with self._lock:
            self._probability, self._random_faults = probability, faults
            self._generator = random.Random(seed)

    def take(self, *, server: str, method: str, path: str, is_ranged: bool) -> Fault | None:
        """The fault of this request; counts it."""
        if not self._armed and not self._probability:
            return self._gone
        with self._lock:
            if self._gone is None:
                taken = self._take_armed(server, method, path, is_ranged) or self._take_random(
                    server, method, path, is_ranged
                )
                if taken is None or taken.kind != "gone":
                    return taken
                self._gone = taken
            return self._gone

    def _take_armed(self, server: str, method: str, path: str, is_ranged: bool) -> Fault | None:
        for number, fault in enumerate(self._armed):
            if fault.matches(server=server, method=method, path=path, is_ranged=is_ranged):
                self._matched[number] += 1
                if fault.after < self._matched[number] <= fault.after + fault.times:
                    return fault
        return None

    def _take_random(self, server: str, method: str, path: str, is_ranged: bool) -> Fault | None:
        if not self._probability or self._generator.random() >= self._probability:
            return None
        fault = self._generator.choice(self._random_faults)
        if not fault.matches(server=server, method=method, path=path, is_ranged=is_ranged):
            return None
        if fault.at_byte == _RANDOM_AT_BYTES:
            fault = replace(fault, at_byte=self._generator.randrange(_RANDOM_AT_BYTES))
        return fault


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what became of it.

    `path` is decoded and without `query`; `range_header` is "" where there was none; `status` is 0 where no response
    was sent; `sent_bytes` counts the body; `fault` is the kind of fault that hit, or "". Times are `time.monotonic()`,
    which the processes of a machine share; `ended_seconds` is 0 while the exchange is under way.
    """

    server: str
    connection: int
    method: str
    path: str
    query: str
    range_header: str
    has_authorization: bool
    received_bytes: int
    started_seconds: float
    status: int = 0
    sent_bytes: int = 0
    fault: str = ""
    ended_seconds: float = 0.0


@dataclass(slots=True)
class ExchangeRecord:
    """An exchange under way."""

    request: Exchange
    status: int = 0
    sent_bytes: int = 0
    fault: str = ""
    ended_seconds: float = 0.0

    def end(self) -> None:
        self.ended_seconds = time.monotonic()

    def frozen(self) -> Exchange:
        return replace(
            self.request,
            status=self.status,
            sent_bytes=self.sent_bytes,
            fault=self.fault,
            ended_seconds=self.ended_seconds,
        )


class ExchangeLog:
    """Exchanges in the order of their arrival; each is here, and counted, before its last byte leaves."""

    def __init__(self) -> None:
        self._records: list[ExchangeRecord] = []

    def add(self, record: ExchangeRecord) -> None:
        self._records.append(record)

    def exchanges(self) -> list[Exchange]:
        return [record.frozen() for record in list(self._records)]

    def clear(self) -> None:
        self._records = []

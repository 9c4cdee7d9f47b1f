"""Count the requests that a source sends and the bytes that it receives."""

import threading
from dataclasses import astuple, dataclass, fields

from episeek.stores.processes.per_process import PerProcess


@dataclass(frozen=True, slots=True)
class Transfers:
    """The numbers of requests, bytes and retries, and the time of waits, of one source in one process."""

    request_count: int = 0
    """Number of range requests, including retries."""
    byte_count: int = 0
    """Number of bytes of the ranges that arrived completely."""
    metadata_request_count: int = 0
    """Number of requests for sizes, identities, revisions and locations of files, including retries."""
    retry_count: int = 0
    wait_seconds: float = 0.0
    """Seconds of waiting between tries and for the end of rate limits, summed over threads."""

    def __add__(self, other: "Transfers") -> "Transfers":
        return Transfers(*(own + others for own, others in zip(astuple(self), astuple(other), strict=True)))


class TransferCounter:
    """Counters to which several threads may add. They start at zero in a forked or spawned process."""

    def __init__(self) -> None:
        self._counts: PerProcess[_Counts] = PerProcess(_Counts)

    def add(self, **counts: float) -> None:
        """Add the given numbers to the counts of the same names in `Transfers`."""
        state = self._counts.get()
        with state.lock:
            for name, count in counts.items():
                state.values[name] += count

    def snapshot(self) -> Transfers:
        """Return the counts so far."""
        state = self._counts.get()
        with state.lock:
            return Transfers(**state.values)  # type: ignore[arg-type]  # counts are added as integers, seconds as floats

    def __reduce__(self) -> tuple[type["TransferCounter"], tuple[()]]:
        return TransferCounter, ()


class _Counts:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.values: dict[str, float] = {field.name: 0 for field in fields(Transfers)}

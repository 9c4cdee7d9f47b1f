"""Counting what a source asks its store for."""

import threading
from dataclasses import dataclass, fields

from episeek.stores.processes.per_process import PerProcess


@dataclass(frozen=True, slots=True)
class Transfers:
    """What has been transferred, in this process."""

    request_count: int = 0
    """Requests for ranges, retries included."""
    byte_count: int = 0
    """Bytes of ranges that arrived whole."""
    metadata_request_count: int = 0
    """Requests for sizes, identities, revisions and places, retries included."""
    retry_count: int = 0
    wait_seconds: float = 0.0
    """Waited between tries, summed over threads."""


class TransferCounter:
    """Thread-safe counts; starts at nothing in a forked or spawned process."""

    def __init__(self) -> None:
        self._counts: PerProcess[_Counts] = PerProcess(_Counts)

    def add(self, **counts: float) -> None:
        """Add to counts of `Transfers`, by name."""
        state = self._counts.get()
        with state.lock:
            for name, count in counts.items():
                state.values[name] += count

    def snapshot(self) -> Transfers:
        """The counts now."""
        state = self._counts.get()
        with state.lock:
            return Transfers(**state.values)  # type: ignore[arg-type]  # counts are added as integers, seconds as floats

    def __reduce__(self) -> tuple[type["TransferCounter"], tuple[()]]:
        return TransferCounter, ()


class _Counts:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.values: dict[str, float] = {field.name: 0 for field in fields(Transfers)}

"""What all servers of this package have in common: starting, stopping, faults and the log."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from tests.servers.faults import Exchange, ExchangeLog, Fault, FaultKind, FaultPlan
from tests.servers.listener import Application, Listener


class ControlledServer:
    """Listeners that share one fault plan and one log; they run while the context lasts."""

    def __init__(self) -> None:
        self._faults = FaultPlan()
        self._log = ExchangeLog()
        self._listeners: list[Listener] = []

    def listen(
        self,
        application: Application,
        *,
        name: str = "",
        host: str = "127.0.0.1",
        latency_seconds: float = 0.0,
        bits_per_second: float | None = None,
    ) -> Listener:
        listener = Listener(
            application,
            self._faults,
            self._log,
            name=name,
            host=host,
            latency_seconds=latency_seconds,
            bits_per_second=bits_per_second,
        )
        self._listeners.append(listener)
        return listener

    def start(self) -> None:
        for listener in self._listeners:
            listener.start()

    def stop(self) -> None:
        for listener in self._listeners:
            listener.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The origin of the first listener, without a slash at its end."""
        return self._listeners[0].url

    def exchanges(self) -> list[Exchange]:
        return self._log.exchanges()

    def clear(self) -> None:
        """Forget the exchanges so far."""
        self._log.clear()

    def inject(self, fault: Fault) -> None:
        self._faults.inject(fault)

    def clear_faults(self) -> None:
        """Disarm everything, random faults and `gone` included."""
        self._faults.clear()

    def randomly(self, probability: float, kinds: Iterable[FaultKind | Fault], seed: int) -> None:
        """Hit every request with `probability` by one of `kinds`."""
        self._faults.randomly(probability, kinds, seed)

    def shape(self, *, latency_seconds: float = 0.0, bits_per_second: float | None = None) -> None:
        """Latency before each response, and the link all connections share, from now on."""
        for listener in self._listeners:
            listener.shape(latency_seconds=latency_seconds, bits_per_second=bits_per_second)

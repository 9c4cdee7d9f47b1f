"""Let the ranks of a job start together, and collect the measurements of all ranks on the first one.

Ranks find each other as in torch.distributed: by the environment variables RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, which
torchrun and accelerate set, and through a key-value store over TCP. No process group is needed.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from episeek.errors import EpiseekError, first_line

WAIT_LIMIT: Final = timedelta(minutes=30)
"""Time that a rank waits for the other ranks."""


class RanksError(EpiseekError, RuntimeError):
    """Raised when the ranks of a job do not find each other, or one of them has failed."""


class Meeting(Protocol):
    """The connection of this process to the ranks that are measured together with it."""

    @property
    def world_size(self) -> int:
        """Number of ranks of the job."""

    @property
    def rank(self) -> int:
        """The rank of this process."""

    def wait(self, name: str) -> None:
        """Wait until all ranks have called this method with the same name."""

    def gather(self, text: str) -> list[str] | None:
        """Send this rank's text. Return the texts of all ranks on rank 0, and None on the other ranks."""


@dataclass(frozen=True, slots=True)
class Alone:
    """A single rank that is measured by itself, even if its job has more ranks."""

    rank: int = 0
    world_size: int = 1

    def wait(self, name: str) -> None:
        """Return at once: there are no other ranks to wait for."""

    def gather(self, text: str) -> list[str] | None:
        """Return a list with only this rank's text."""
        return [text]


class TextStore(Protocol):
    """The methods of `torch.distributed.Store` that a meeting uses."""

    def set(self, key: str, value: str) -> None:
        """Store a text under a key."""

    def get(self, key: str) -> bytes:
        """Wait until a text is stored under a key, and return it as UTF-8."""


@dataclass(frozen=True, slots=True)
class StoreMeeting:
    """The connection of this process to the other ranks of its job, through a key-value store that all ranks share."""

    rank: int
    world_size: int
    store: TextStore

    def wait(self, name: str) -> None:
        """Wait until all ranks have called this method with the same name.

        Raises:
            RanksError: A rank does not call the method in time.
        """
        self._set(f"episeek-bench/{name}/{self.rank}", "here")
        for rank in range(self.world_size):
            self._get(f"episeek-bench/{name}/{rank}", rank)

    def gather(self, text: str) -> list[str] | None:
        """Send this rank's text. Return the texts of all ranks on rank 0, and None on the other ranks.

        Raises:
            RanksError: A rank does not send its text in time.
        """
        self._set(f"episeek-bench/result/{self.rank}", text)
        if self.rank != 0:
            return None
        return [self._get(f"episeek-bench/result/{rank}", rank) for rank in range(self.world_size)]

    def _set(self, key: str, text: str) -> None:
        try:
            self.store.set(key, text)
        except RuntimeError as error:
            raise self._error(error, "a connection to the store of rank 0") from error

    def _get(self, key: str, rank: int) -> str:
        try:
            return self.store.get(key).decode()
        except RuntimeError as error:
            raise self._error(error, f"an answer from rank {rank}") from error

    def _error(self, error: RuntimeError, expected: str) -> RanksError:
        return RanksError(f"rank {self.rank} of {self.world_size}", first_line(error), expected)


def open_meeting() -> Meeting:
    """Return the meeting of all ranks of this process's job, or of this rank alone if MASTER_ADDR is not set.

    Raises:
        RanksError: The ranks do not find each other.
    """
    from episeek.torch.ranks import rank_and_world_size

    rank, world_size = rank_and_world_size(None, None)
    if world_size == 1 or "MASTER_ADDR" not in os.environ:
        return Alone(rank, world_size)
    from torch.distributed.rendezvous import rendezvous

    try:
        store, rank, world_size = next(rendezvous("env://", timeout=WAIT_LIMIT))
    except (RuntimeError, ValueError) as error:
        where = f"rank {rank} of {world_size}"
        expected = (
            f"to reach rank 0 at MASTER_ADDR={os.environ['MASTER_ADDR']}, MASTER_PORT={os.environ.get('MASTER_PORT')}"
        )
        raise RanksError(where, first_line(error), expected) from error
    return StoreMeeting(rank, world_size, store)

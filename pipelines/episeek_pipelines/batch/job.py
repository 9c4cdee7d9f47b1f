"""The values that the workers of a run share: its place, its name, and when to stop."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.progress import Phase, Progress
from episeek_schemas.batch import STOPS_DIR

_interrupted: Final[set[str]] = set()
"""Runs of this process that were interrupted: their threads stop at the next node of their graphs."""


class Interrupted(BaseException):
    """A run was interrupted while a thread of its worked at a dataset; never reported as that dataset's failure."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a batch. It pickles, and workers of other machines get it."""

    out: Root
    run: str
    """A name that no other run has."""
    versions: dict[str, Any]
    max_failures: int | None = None
    """Begin no further dataset after more failures than this; None for no limit."""

    def is_stopped(self) -> bool:
        """Return whether no further dataset is to be begun."""
        if self.run in _interrupted:
            return True
        return self.max_failures is not None and len(self.out.list(self._failures)) > self.max_failures

    def add_failure(self, destination: str) -> None:
        """Note that a dataset failed, for the other workers of the run."""
        if self.max_failures is not None:
            name = hashlib.sha256(destination.encode()).hexdigest()[:16]
            self.out.write_bytes(f"{self._failures}/{name}", destination.encode())

    def interrupt(self) -> None:
        """Stop the threads of this process that work for the run."""
        _interrupted.add(self.run)

    def close(self) -> None:
        """Remove the notes of failures."""
        if self.max_failures is not None:
            self.out.remove(self._failures)

    def progress(self, _: Sequence[Phase]) -> Progress:
        """Return a receiver of progress that ends the work at a dataset after an interrupt."""

        def stop_after_interrupt(*_: object) -> None:
            if self.run in _interrupted:
                raise Interrupted(self.run)

        return stop_after_interrupt

    @property
    def _failures(self) -> str:
        return f"{STOPS_DIR}/{self.run}"

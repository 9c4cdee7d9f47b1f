"""The values that all workers of one run of a batch share: the folder of the results, the run's name, and when to stop."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.progress import Phase, Progress
from episeek_schemas.batch import STOPS_DIR

_interrupted: Final[set[str]] = set()
"""Names of the interrupted runs of this process. The threads that work for such a run stop when they finish their current task."""


class Interrupted(BaseException):
    """A run was interrupted while one of its threads worked at a dataset. The dataset does not count as failed."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a batch. Instances can be pickled, because workers on other machines receive them."""

    out: Root
    """The folder of the results."""
    run: str
    """Random name of the run."""
    versions: dict[str, Any]
    """The versions that decide the results, as the plan records them."""
    max_failures: int | None = None
    """The run begins no further dataset when more than this number of datasets have failed; None for no limit."""

    def is_stopped(self) -> bool:
        """Return whether the run must not begin another dataset, after an interrupt or too many failures."""
        if self.run in _interrupted:
            return True
        return self.max_failures is not None and len(self.out.list(self._failures)) > self.max_failures

    def add_failure(self, destination: str) -> None:
        """Record that a dataset failed, so that the other workers of the run can count the failures."""
        if self.max_failures is not None:
            name = hashlib.sha256(destination.encode()).hexdigest()[:16]
            self.out.write_bytes(f"{self._failures}/{name}", destination.encode())

    def interrupt(self) -> None:
        """Stop the threads of this process that work for the run."""
        _interrupted.add(self.run)

    def close(self) -> None:
        """Remove the files that `add_failure` has written; called at the end of the run."""
        if self.max_failures is not None:
            self.out.remove(self._failures)

    def progress(self, _: Sequence[Phase]) -> Progress:
        """Return a progress function that shows nothing, and raises `Interrupted` if the run was interrupted.

        The exception ends the work at the current dataset.
        """

        def stop_after_interrupt(*_: object) -> None:
            if self.run in _interrupted:
                raise Interrupted(self.run)

        return stop_after_interrupt

    @property
    def _failures(self) -> str:
        return f"{STOPS_DIR}/{self.run}"

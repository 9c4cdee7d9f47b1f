"""Options and result of a publication into a store."""

from dataclasses import dataclass
from typing import Final

from episeek_pipelines.comparison.results import Comparison
from episeek_pipelines.publish.overlay.arrival import ArrivalReport
from episeek_pipelines.publish.overlay.changes import Changes
from episeek_pipelines.publish.overlay.target_check import TargetCheck
from episeek_pipelines.verify import VerificationReport


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The options of a publication into a store."""

    create: bool = False
    """Make a dataset where there is none; the bucket must exist."""
    dry_run: bool = False
    """Compute the changes, and send nothing."""
    sidecars_only: bool = False
    """Publish only the sidecars and the card."""
    is_verified: bool = True
    """Verify the overlay first, and refuse it where it has errors."""
    overwrite: bool = False
    """Replace also files that others may have changed since the overlay was prepared."""
    clip_count: int = 16
    """Clips that are fetched after the publication and compared."""


DEFAULT_OPTIONS: Final = StoreOptions()


@dataclass(frozen=True, slots=True)
class StorePublication:
    """The result of a publication into a store. For a dry run, the result that the publication would have."""

    url: str
    is_new: bool
    """False where the store had all of the files already."""
    is_resumed: bool
    """Whether another run of the same publication, before this one or at the same time, had begun to switch."""
    changes: Changes
    replaced: frozenset[str]
    """Paths of the additions that replace a file."""
    sent_count: int
    """Files that this run has sent."""
    sent_bytes: int
    staged_count: int
    """Files that an earlier run had staged already."""
    moves_rows: bool
    """Whether rows move to other data files: a reader that lists them during the switch may see rows twice or not at all."""
    target_check: TargetCheck
    verification: VerificationReport | None
    """None where the overlay was not verified."""
    arrival: ArrivalReport | None
    """None for a dry run."""
    attempts: int
    seconds: float
    comparison: Comparison | None = None
    """The changes of the dataset, by its metadata; None unless this is a dry run and the target holds a dataset."""

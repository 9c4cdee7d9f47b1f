"""The options and the result of publishing an overlay (the output of `episeek prepare`) into a store."""

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
    """Create a new dataset if the root contains none. A bucket must exist already."""
    dry_run: bool = False
    """Plan the changes and send nothing."""
    sidecars_only: bool = False
    """Send only the sidecars (the byte index) and the dataset card."""
    is_verified: bool = True
    """Verify the overlay first, and send nothing if the verification finds errors."""
    overwrite: bool = False
    """Also replace files that others may have changed since the overlay was prepared."""
    clip_count: int = 16
    """Number of clips (short ranges of frames) to fetch from the published dataset and compare with the source."""


DEFAULT_OPTIONS: Final = StoreOptions()


@dataclass(frozen=True, slots=True)
class StorePublication:
    """The result of a publication into a store, or of a dry run, which shows the result that a publication would have."""

    url: str
    """URL of the published dataset."""
    is_new: bool
    """Whether something was changed; False if the store contained all files already."""
    is_resumed: bool
    """Whether this run has continued the switch (the step that gives sent files their final names) of another run."""
    changes: Changes
    replaced: frozenset[str]
    """Paths of the additions that replace an existing file."""
    sent_count: int
    """Number of files that this run has sent."""
    sent_bytes: int
    """Number of bytes that this run has sent."""
    staged_count: int
    """Number of files that an earlier run had already sent under temporary names."""
    moves_rows: bool
    """Whether rows move to other data files, so that a reader may see rows twice or not at all while files change."""
    target_check: TargetCheck
    verification: VerificationReport | None
    """The report of the verification before the publication; None if the overlay was not verified."""
    arrival: ArrivalReport | None
    """The comparison of the published dataset with the files that were sent; None in a dry run."""
    attempts: int
    """Number of attempts: one, and one more for each time that somebody else changed the store in the meantime."""
    seconds: float
    """Duration of the whole publication in seconds."""
    comparison: Comparison | None = None
    """The differences between the metadata of the overlay and of the dataset in the store. It is given only for a dry run, and only
    if the store contains a dataset; otherwise None.
    """

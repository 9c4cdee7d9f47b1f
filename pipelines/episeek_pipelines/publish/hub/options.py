"""How a dataset is published in a repository of the Hub, and what became of it."""

import re
from dataclasses import dataclass
from typing import Final

from episeek_pipelines.publish.hub_client.values import MAIN
from episeek_pipelines.publish.overlay.arrival import ArrivalReport
from episeek_pipelines.publish.overlay.changes import Changes
from episeek_pipelines.publish.overlay.target_check import TargetCheck
from episeek_pipelines.verify import VerificationReport
from episeek_schemas.lerobot import CODEBASE_VERSION

_TAG: Final = re.compile(r"(?!refs/|main$|HEAD$)(?!.*(\.\.|//|/\.|\.lock(/|$)))[\w][\w./+-]*(?<![./])")
"""The names of git-check-ref-format(1) that need no thought."""


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How to publish.

    Raises:
        ValueError: Options that exclude each other.
    """

    branch: str = MAIN
    tag: str | None = CODEBASE_VERSION
    """Moved to the commit at the end, where it is on main; None leaves tags alone."""
    create_pr: bool = False
    """Leave a pull request for others to merge."""
    message: str = ""
    """Of the commit; empty: what it does."""
    base: str | None = None
    """The revision of the repository that the overlay was prepared from: what others have changed since is not replaced. None:
    what `prepare` has recorded, if it could."""
    create: bool = False
    """Make the repository when there is none."""
    private: bool = False
    dry_run: bool = False
    sidecars_only: bool = False
    is_verified: bool = True
    """Whether the overlay has to pass a verification first."""
    clip_count: int = 16
    """Clips that are fetched from the published revision and compared."""

    def __post_init__(self) -> None:
        if self.create_pr and self.branch != MAIN:
            raise ValueError("create_pr: found another branch than main; expected main, which a pull request is for")
        if self.private and not self.create:
            raise ValueError("private: found without create; expected both, of a repository that is made")
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            raise ValueError(f"tag: found {self.tag!r}; expected a name that Git takes, as {CODEBASE_VERSION}")

    @property
    def title(self) -> str:
        """Of the commit."""
        what = "byte index" if self.sidecars_only else "one row group per episode, byte index"
        return self.message or f"Seekable: {what}"


DEFAULT_OPTIONS: Final = PublishOptions()


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What was published; for a dry run what would be."""

    url: str
    """`hf://datasets/ORG/NAME@COMMIT`."""
    parent: str
    """The commit it was made up for; empty for a repository that is not there yet, which a dry run leaves so."""
    commit: str
    """Empty for a dry run."""
    is_new: bool
    """False where everything was there already."""
    changes: Changes
    replaced: frozenset[str]
    """Which of the additions take the place of a file."""
    commit_count: int
    """Made on the branch or the pull request, a merge not counted; for a dry run those that would be."""
    pull_request: str | None
    """Its page, where one was asked for."""
    tag_moved: bool
    target_check: TargetCheck
    base_commit: str
    """That what was replaced was compared with; empty where that was the source of the overlay, or nothing was there."""
    verification: VerificationReport | None
    arrival: ArrivalReport | None
    attempts: int
    seconds: float

"""The options and the result of a publication onto a repository of the Hub."""

import re
from dataclasses import dataclass
from typing import Final

from episeek_pipelines.comparison.results import Comparison
from episeek_pipelines.publish.errors import OptionsError
from episeek_pipelines.publish.hub_client.values import MAIN
from episeek_pipelines.publish.overlay.arrival import ArrivalReport
from episeek_pipelines.publish.overlay.changes import Changes
from episeek_pipelines.publish.overlay.target_check import TargetCheck
from episeek_pipelines.verify import VerificationReport
from episeek_schemas.lerobot import CODEBASE_VERSION

_TAG: Final = re.compile(r"(?!refs/|main$|HEAD$)(?!.*(\.\.|//|/\.|\.lock(/|$)))[\w][\w./+-]*(?<![./])")
"""The plain ones among the names that git-check-ref-format(1) allows."""


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """The options of a publication onto a repository.

    Raises:
        OptionsError: Two options exclude each other, or the tag is not a name that Git takes.
    """

    branch: str = MAIN
    tag: str | None = CODEBASE_VERSION
    """The tag that moves to the new commit of main at the end; None to move no tag."""
    create_pr: bool = False
    """Leave a draft pull request for others to merge."""
    message: str = ""
    """Title of the commit; empty for a standard title."""
    base: str | None = None
    """The revision of the repository that the overlay was prepared from: files that others have changed since are not replaced.
    None for the commit that `prepare` has recorded, and the one that was last published from here.
    """
    create: bool = False
    """Create the repository when there is none."""
    private: bool = False
    """Create it as a private repository."""
    dry_run: bool = False
    """Plan the changes and send nothing."""
    sidecars_only: bool = False
    """Send the sidecars and the card alone."""
    is_verified: bool = True
    """The overlay has to pass a verification first."""
    clip_count: int = 16
    """Clips to fetch from the published revision and compare."""

    def __post_init__(self) -> None:
        if self.create_pr and self.branch != MAIN:
            raise OptionsError("create_pr", "another branch than main", "main, the target of pull requests")
        if self.private and not self.create:
            raise OptionsError("private", "private without create", "both, for a new repository")
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            raise OptionsError("tag", repr(self.tag), f"a name that Git takes, such as {CODEBASE_VERSION}")

    @property
    def title(self) -> str:
        """Title of the commit."""
        contents = "byte index" if self.sidecars_only else "one row group per episode, byte index"
        return self.message or f"Seekable: {contents}"


DEFAULT_OPTIONS: Final = PublishOptions()


@dataclass(frozen=True, slots=True)
class PublishResult:
    """The result of a publication onto a repository. For a dry run, the result that the publication would have."""

    url: str
    """`hf://datasets/ORG/NAME@COMMIT`."""
    parent: str
    """The commit that the changes were planned for; empty in a dry run for a repository that does not exist yet."""
    commit: str
    """The commit that holds the changes; empty in a dry run."""
    is_new: bool
    """False where the repository had all changes already."""
    changes: Changes
    replaced: frozenset[str]
    """Paths of the additions that replace a file."""
    commit_count: int
    """Commits on the branch or the pull request, without a merge; in a dry run, those that would be made."""
    pull_request: str | None
    """URL of the page of the pull request, with `create_pr`."""
    tag_moved: bool
    target_check: TargetCheck
    base_commit: str
    """The commit that replaced files were compared with; empty where they were compared with the source of the overlay, or the
    repository is new.
    """
    verification: VerificationReport | None
    arrival: ArrivalReport | None
    attempts: int
    """Attempts that were made, one more after each commit of somebody else."""
    seconds: float
    comparison: Comparison | None = None
    """The changes of the dataset, by its metadata; None unless this is a dry run and the target holds a dataset."""

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
"""Pattern of the tag names that are accepted: a plain subset of the names that git-check-ref-format(1) allows."""


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """The options of a publication onto a repository.

    Raises:
        OptionsError: Two options contradict each other, or Git would not accept the tag's name.
    """

    branch: str = MAIN
    """The branch that the commit is made on."""
    tag: str | None = CODEBASE_VERSION
    """The tag to move to the new commit of main at the end; None to move no tag."""
    create_pr: bool = False
    """Send the changes as a draft pull request that others merge, instead of a commit on the branch."""
    message: str = ""
    """Title of the commit; empty for a standard title."""
    base: str | None = None
    """The revision of the repository that the overlay was prepared from. Files that others have changed since then are not
    replaced. With None, this is the commit that `prepare` has recorded, and the commit that this machine last published.
    """
    create: bool = False
    """Create the repository if it does not exist."""
    private: bool = False
    """Create the repository as a private one, and refuse a public repository that exists already."""
    dry_run: bool = False
    """Plan the changes and send nothing."""
    sidecars_only: bool = False
    """Send only the sidecars and the card."""
    is_verified: bool = True
    """Verify the overlay first, and send nothing if the verification finds errors."""
    clip_count: int = 16
    """Number of clips to fetch from the published revision and compare with the source."""

    def __post_init__(self) -> None:
        if self.create_pr and self.branch != MAIN:
            raise OptionsError("create_pr", f"branch {self.branch!r}", "main, the branch that pull requests are for")
        if self.private and not self.create:
            raise OptionsError("private", "private without create", "both options, for a new repository")
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            raise OptionsError("tag", repr(self.tag), f"a tag name that Git accepts, such as {CODEBASE_VERSION}")

    @property
    def title(self) -> str:
        """Return the title of the commit: the message, or a standard title if the message is empty."""
        contents = "byte index" if self.sidecars_only else "one row group per episode, byte index"
        return self.message or f"Seekable: {contents}"


DEFAULT_OPTIONS: Final = PublishOptions()


@dataclass(frozen=True, slots=True)
class PublishResult:
    """The result of a publication onto a repository. A dry run returns the result that a publication would have."""

    url: str
    """URL of the published revision, `hf://datasets/ORG/NAME@COMMIT`."""
    parent: str
    """The commit that the changes were planned for; empty in a dry run for a repository that does not exist yet."""
    commit: str
    """The commit that contains the changes; empty in a dry run."""
    is_new: bool
    """Whether something was committed; False if the repository contained all changes already."""
    changes: Changes
    replaced: frozenset[str]
    """Paths of the additions that replace an existing file."""
    commit_count: int
    """Number of commits on the branch or the pull request, without a merge. In a dry run, the number that would be made."""
    pull_request: str | None
    """URL of the web page of the pull request with `create_pr`, otherwise None."""
    tag_moved: bool
    """Whether the tag was moved; False if it was at this commit already."""
    target_check: TargetCheck
    base_commit: str
    """The commit that the replaced files were compared with. Empty if they were compared with the source of the overlay instead,
    or if the repository is new.
    """
    verification: VerificationReport | None
    """The report of the verification before the publication; None if the overlay was not verified."""
    arrival: ArrivalReport | None
    """The comparison of the published revision with what was sent; None in a dry run."""
    attempts: int
    """Number of attempts: one, and one more for each commit that somebody else made in the meantime."""
    seconds: float
    """Duration of the whole publication."""
    comparison: Comparison | None = None
    """The differences between the dataset in the repository and the overlay, from their metadata. None unless this is a dry run
    and the repository contains a dataset.
    """

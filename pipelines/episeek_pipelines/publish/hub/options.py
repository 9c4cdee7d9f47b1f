"""The options and the result of publishing an overlay (the output of `episeek prepare`) onto a repository of the Hub."""

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
    """The branch to commit to."""
    tag: str | None = CODEBASE_VERSION
    """The tag to move to the new commit of main after the publication; None to move no tag."""
    create_pr: bool = False
    """Send the changes as a draft pull request that others merge, instead of a commit on the branch."""
    message: str = ""
    """Title of the commit; empty for a standard title."""
    base: str | None = None
    """The revision of the repository that the overlay was prepared from. The publication fails if it would replace a file that
    others have changed since this revision. None stands for the commit that `prepare` has recorded and the commit that this machine
    last published.
    """
    create: bool = False
    """Create the repository if it does not exist."""
    private: bool = False
    """Create a private repository, and refuse to publish onto a public repository."""
    dry_run: bool = False
    """Plan the changes and send nothing."""
    sidecars_only: bool = False
    """Send only the sidecars (the byte index) and the dataset card."""
    is_verified: bool = True
    """Verify the overlay first, and send nothing if the verification finds errors."""
    clip_count: int = 16
    """Number of clips (short ranges of frames) to fetch from the published revision and compare with the source."""

    def __post_init__(self) -> None:
        if self.create_pr and self.branch != MAIN:
            raise OptionsError(
                "create_pr", f"branch {self.branch!r}", "branch main, which pull requests are merged into"
            )
        if self.private and not self.create:
            raise OptionsError("private", "private without create", "both options, to create a private repository")
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            raise OptionsError("tag", repr(self.tag), f"a tag name that Git accepts, such as {CODEBASE_VERSION}")

    @property
    def title(self) -> str:
        """Return the title of the commit: `message`, or a standard title if `message` is empty."""
        contents = "byte index" if self.sidecars_only else "one row group per episode, byte index"
        return self.message or f"Seekable: {contents}"


DEFAULT_OPTIONS: Final = PublishOptions()


@dataclass(frozen=True, slots=True)
class PublishResult:
    """The result of a publication onto a repository, or of a dry run, which shows the result that a publication would have."""

    url: str
    """URL of the published revision, `hf://datasets/ORG/NAME@COMMIT`."""
    parent: str
    """The head of the branch, for which the changes were planned; empty in a dry run if the repository does not exist yet."""
    commit: str
    """The commit that contains the changes; empty in a dry run."""
    is_new: bool
    """Whether something was committed; False if the repository contained all changes already."""
    changes: Changes
    replaced: frozenset[str]
    """Paths of the additions that replace an existing file."""
    commit_count: int
    """Number of commits on the branch or the pull request, not counting a merge. In a dry run, the number of planned commits."""
    pull_request: str | None
    """URL of the web page of the pull request for others to merge. None without the option `create_pr`, in a dry run, and if the
    repository contained all changes already.
    """
    tag_moved: bool
    """Whether the tag was moved; False if no tag is to be moved, or if the tag was at `commit` already."""
    target_check: TargetCheck
    base_commit: str
    """The commit with which the files to be replaced were compared, to find changes of others. Empty if the files were compared
    with the source of the overlay instead, or if the repository is new.
    """
    verification: VerificationReport | None
    """The report of the verification before the publication; None if the overlay was not verified."""
    arrival: ArrivalReport | None
    """The comparison of the published revision with the files that were sent; None in a dry run."""
    attempts: int
    """Number of attempts: one, and one more for each commit that somebody else made in the meantime."""
    seconds: float
    """Duration of the whole publication in seconds."""
    comparison: Comparison | None = None
    """The differences between the metadata of the overlay and of the dataset in the repository. It is given only for a dry run, and
    only if the repository contains a dataset; otherwise None.
    """

"""Values of a repository on the Hub: its branches and tags, and the results of commits and pull requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

KIND: Final = "dataset"
"""The repository type of datasets, as huggingface_hub names it."""

MAIN: Final = "main"

REF_PREFIX: Final = "refs/pr/"
"""Beginning of the ref of a pull request; the number of the pull request follows."""

OPEN_STATUSES: Final = ("draft", "open")
"""Statuses of pull requests that are neither merged nor closed."""


@dataclass(frozen=True, slots=True)
class Refs:
    """All branches and tags of a repository. Both mappings map the name of a branch or tag to its commit."""

    branches: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CommitOutcome:
    """The result of a commit or a merge."""

    commit: str
    """The commit that contains the changes."""
    is_new: bool
    """Whether this call committed something; False if the repository contained the changes already."""
    operation_count: int
    """Number of files that this call added, replaced and deleted; 0 if `is_new` is False."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request of a repository on the Hub, open or draft."""

    number: int
    ref: str
    """The ref `refs/pr/N`, which can be read like any other revision."""
    head: str
    """The newest commit of the pull request."""
    url: str
    """URL of the web page."""
    is_new: bool
    """Whether this run opened the pull request; False if a previous run did."""

"""Values of a repository on the Hub: its branches and tags, and the results of commits and pull requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

KIND: Final = "dataset"
"""The type of the repositories, as the Hub's client calls it."""

MAIN: Final = "main"

REF_PREFIX: Final = "refs/pr/"
"""Beginning of the refs of pull requests; their number follows."""

OPEN_STATUSES: Final = ("draft", "open")
"""Statuses of pull requests that are neither merged nor closed."""


@dataclass(frozen=True, slots=True)
class Refs:
    """The commits of branches and tags, by name."""

    branches: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CommitOutcome:
    """The result of a commit or a merge."""

    commit: str
    """The commit that holds the changes."""
    is_new: bool
    """False where the repository had the changes already, and nothing was committed."""
    operation_count: int
    """Files added, replaced and deleted."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request or a draft of one."""

    number: int
    ref: str
    """`refs/pr/N`: a revision that can be read like any other."""
    head: str
    """The commit of `ref`."""
    url: str
    is_new: bool
    """False where a previous run opened it."""

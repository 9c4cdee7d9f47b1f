"""Values of a repository on the Hub: its branches and tags, and the results of commits and pull requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

KIND: Final = "dataset"
"""Of the repositories, as the Hub's client calls it."""

MAIN: Final = "main"


@dataclass(frozen=True, slots=True)
class Refs:
    """Where branches and tags point to, by name."""

    branches: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CommitOutcome:
    """What became of a commit or a merge."""

    commit: str
    """That holds the changes."""
    is_new: bool
    """False where the changes were there already, and nothing was committed."""
    operation_count: int
    """Files it added, replaced and deleted."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request, also one that is a draft."""

    number: int
    ref: str
    """`refs/pr/N`: a revision that can be read like any other."""
    head: str
    """The commit `ref` is at."""
    url: str
    is_new: bool
    """False where an earlier run had opened it."""

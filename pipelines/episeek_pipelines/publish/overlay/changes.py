"""What a publication changes: plain values between planning, sending and telling."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from episeek.stores.identity import FileIdentity
from episeek_schemas import layout

_SHOWN_PATHS: Final = 5


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository at a commit, or of a store, as its listing says."""

    path: str
    size: int
    sha256: str | None
    """Of the content, hex, where it is known: of files in LFS or Xet, and of those of a store that were compared. None for files
    in Git itself.
    """
    blob_id: str
    """Git's id of the blob, hex: of the content where the file is in Git itself, of a pointer otherwise; empty in a store."""
    xet_hash: str | None = None
    store_ids: tuple[str, ...] | None = None
    """The identities that a store gives its readers, as `FileIdentity.store_ids`; None: those of the Hub, which follow from the
    others.
    """


@dataclass(frozen=True, slots=True)
class Addition:
    """One file that is added or replaced."""

    path: str
    source: str | bytes
    """A local path, or the content."""
    size: int
    sha256: str
    """Of the content, hex."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What one publication changes in a repository, beside what it leaves."""

    additions: tuple[Addition, ...]
    """By path."""
    deletions: tuple[str, ...]
    """By path."""
    unchanged_count: int

    @property
    def operation_count(self) -> int:
        """Files added, replaced and deleted."""
        return len(self.additions) + len(self.deletions)

    @property
    def byte_count(self) -> int:
        """Of the additions."""
        return sum(addition.size for addition in self.additions)

    @property
    def paths(self) -> frozenset[str]:
        """Everything that is touched."""
        return frozenset({*(addition.path for addition in self.additions), *self.deletions})


RemoteFiles = Mapping[str, RemoteFile]


def shown_paths(paths: Collection[str]) -> str:
    """The first of them in words, for messages."""
    more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
    return ", ".join(sorted(paths)[:_SHOWN_PATHS]) + more


MAX_READ_BYTES = 1 << 26
"""A file that the store gives no SHA-256 of is read to compare it, unless it is larger."""


Listing = Mapping[str, FileIdentity | None]
"""What a store says of its files, by path; None where it does not say the size."""


STAGED_PREFIX = f"{layout.BYTE_INDEX_PARTIAL_DIR}/"

"""The values that planning, sending and checking a publication pass on: files of the target, and changes to them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from episeek.stores.identity import FileIdentity
from episeek_schemas import layout

MAX_READ_BYTES: Final = 1 << 26
"""Largest file that is read to compare its content, where the store gives no SHA-256 of it."""

STAGED_PREFIX: Final = f"{layout.BYTE_INDEX_PARTIAL_DIR}/"
"""Beginning of the paths below which publications into a store stage their files."""

_SHOWN_PATHS: Final = 5

Listing = Mapping[str, FileIdentity | None]
"""The files that a store lists, by path; None where the listing has no size."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository at a commit, or of a store, as listed."""

    path: str
    size: int
    sha256: str | None
    """SHA-256 of the content, hex: of files in LFS or Xet, and of a store's files that were compared; None where it is unknown."""
    blob_id: str
    """Git's id of the blob, hex: the content's for a file in Git itself, the pointer's for one in LFS; empty in a store."""
    xet_hash: str | None = None
    store_ids: tuple[str, ...] | None = None
    """The identities that a store gives its readers, as `FileIdentity.store_ids`; None for the Hub, whose identities follow from
    the other fields.
    """


RemoteFiles = Mapping[str, RemoteFile]
"""The files of a repository at a commit, or of a store, by path."""


@dataclass(frozen=True, slots=True)
class Addition:
    """One file that is added or replaced."""

    path: str
    source: str | bytes
    """A local path, or the content."""
    size: int
    sha256: str
    """SHA-256 of the content, hex."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The files that one publication adds, replaces and deletes."""

    additions: tuple[Addition, ...]
    """Added and replaced files, sorted by path."""
    deletions: tuple[str, ...]
    """Paths of deleted files, sorted."""
    unchanged_count: int
    """Files that have the wanted content already."""

    @property
    def operation_count(self) -> int:
        """Number of files added, replaced and deleted."""
        return len(self.additions) + len(self.deletions)

    @property
    def byte_count(self) -> int:
        """Bytes of the additions."""
        return sum(addition.size for addition in self.additions)

    @property
    def paths(self) -> frozenset[str]:
        """Paths of all additions and deletions."""
        return frozenset({*(addition.path for addition in self.additions), *self.deletions})


def shown_paths(paths: Collection[str]) -> str:
    """Return the first few paths in words, for a message."""
    more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
    return ", ".join(sorted(paths)[:_SHOWN_PATHS]) + more

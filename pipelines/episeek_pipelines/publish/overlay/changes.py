"""The files of a publication's target, and the changes that the publication makes to them.

The target is the repository or the store that the dataset is published into.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from episeek.stores.identity import FileIdentity
from episeek_schemas import layout

MAX_READ_BYTES: Final = 1 << 26
"""Size in bytes of the largest file that is read to compare its content if the store gives no SHA-256 of the file."""

STAGED_PREFIX: Final = f"{layout.BYTE_INDEX_PARTIAL_DIR}/"
"""Beginning of the paths of staged files. A publication into a store has sent them, but they do not have their final names yet."""

_SHOWN_PATHS: Final = 5

Listing = Mapping[str, FileIdentity | None]
"""The size and identity of each file that a store lists, by path; None for a file whose size the listing does not contain."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file in the listing of a repository at a commit, or of a store."""

    path: str
    size: int
    sha256: str | None
    """SHA-256 of the content in hex. A repository gives it for files in LFS or Xet. For a file of a store, it is given if a
    comparison has proved it. None for all other files.
    """
    blob_id: str
    """Git's blob id in hex: of the content for a file in Git itself, and of the LFS pointer for a file in LFS. Empty for a file of
    a store.
    """
    xet_hash: str | None = None
    """The Hub's hash of the content in hex, if the file is in Xet."""
    store_ids: tuple[str, ...] | None = None
    """The identities that readers of a store get, as in `FileIdentity.store_ids`. None for a file of the Hub, whose identities
    follow from the other fields.
    """


RemoteFiles = Mapping[str, RemoteFile]
"""The files of a repository at a commit, or of a store, by path."""


@dataclass(frozen=True, slots=True)
class Addition:
    """One file that a publication adds or replaces."""

    path: str
    """Path in the dataset."""
    source: str | bytes
    """The path of the local file, or the content itself."""
    size: int
    """Size of the content in bytes."""
    sha256: str
    """SHA-256 of the content in hex."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The files that one publication adds, replaces and deletes."""

    additions: tuple[Addition, ...]
    """Added and replaced files, sorted by path."""
    deletions: tuple[str, ...]
    """Paths of deleted files, sorted."""
    unchanged_count: int
    """Number of files to be published that the repository or store already contains with the same content."""

    @property
    def operation_count(self) -> int:
        """Return the number of files that are added, replaced and deleted."""
        return len(self.additions) + len(self.deletions)

    @property
    def byte_count(self) -> int:
        """Return the total size of the additions in bytes."""
        return sum(addition.size for addition in self.additions)

    @property
    def paths(self) -> frozenset[str]:
        """Return the paths of all files that are added, replaced or deleted."""
        return frozenset({*(addition.path for addition in self.additions), *self.deletions})


def shown_paths(paths: Collection[str]) -> str:
    """Return the first few paths in sorted order and the number of further paths, as text for a message."""
    more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
    return ", ".join(sorted(paths)[:_SHOWN_PATHS]) + more

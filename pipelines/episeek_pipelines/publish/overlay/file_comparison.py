"""Compare the files of a repository or store with the content to be published, and compare two listings with each other."""

import hashlib
import os
from collections.abc import Callable
from typing import Final

from episeek.errors import MissingFileError, ReadError, described
from episeek.stores.byte_source import ByteSource
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.digests import Digests
from episeek_pipelines.publish.overlay.changes import Addition, Changes, RemoteFile, RemoteFiles

SHA256: Final = "sha256:"
"""Prefix of an identity in `FileIdentity.store_ids` that is the SHA-256 of the content in hex."""

_BLOCK_BYTES: Final = 1 << 20
_RANGE_BYTES: Final = 1 << 23


def remaining_changes(changes: Changes, files: RemoteFiles) -> Changes:
    """Return the changes of a publication that still have to be made to a repository or store.

    Args:
        changes: The changes of one publication.
        files: The present files of the repository or store. Only files at the paths of the changes are used.
    """
    additions = tuple(addition for addition in changes.additions if not has_content(files.get(addition.path), addition))
    deletions = tuple(path for path in changes.deletions if path in files)
    done = changes.operation_count - len(additions) - len(deletions)
    return Changes(additions, deletions, changes.unchanged_count + done)


def has_content(remote: RemoteFile | None, addition: Addition) -> bool:
    """Return whether the listing proves that a file already has the content of an addition. If `remote` is None, return False."""
    return _matches(remote, addition.size, addition.sha256, lambda: git_blob_id(addition.source))


def has_digests(remote: RemoteFile | None, digests: Digests) -> bool:
    """Return whether the listing proves that a file has the content with these digests. If `remote` is None, return False."""
    return _matches(remote, digests.size, digests.sha256, lambda: digests.blob_id)


def sha256_in(identity: FileIdentity | None) -> str:
    """Return the SHA-256 in hex from the identities of a file, or an empty string if none of them is a SHA-256."""
    ids = () if identity is None else identity.store_ids
    return next((store_id.removeprefix(SHA256) for store_id in ids if store_id.startswith(SHA256)), "")


def stored_sha256(source: ByteSource, path: str, size: int) -> str:
    """Read a file of a store and return the SHA-256 of its content in hex.

    Raises:
        MissingFileError, ReadError: The file cannot be read.
    """
    digest = hashlib.sha256()
    for start in range(0, size, _RANGE_BYTES):
        digest.update(source.get_ranges(path, [(start, min(start + _RANGE_BYTES, size))])[0])
    return digest.hexdigest()


def differing_paths(one: RemoteFiles, other: RemoteFiles) -> frozenset[str]:
    """Return the paths whose files differ between two listings, and the paths that only one of the listings contains."""
    return frozenset(path for path in one.keys() | other.keys() if not _is_same(one.get(path), other.get(path)))


def git_blob_id(source: str | bytes) -> str:
    """Return the Git blob id in hex of a local file, or of content given as bytes.

    Raises:
        MissingFileError, ReadError: The file cannot be read.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    if isinstance(source, bytes):
        digest.update(b"blob %d\0" % len(source))
        digest.update(source)
        return digest.hexdigest()
    try:
        with open(source, "rb") as file:
            digest.update(b"blob %d\0" % os.fstat(file.fileno()).st_size)
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except FileNotFoundError:
        raise MissingFileError(source, "no such file", "a readable file") from None
    except OSError as error:
        raise ReadError(source, described(error), "a readable file") from error
    return digest.hexdigest()


def changes_digest(changes: Changes) -> str:
    """Return a digest in hex of all changes: the path, size and SHA-256 of each addition, and the path of each deletion.

    The digest does not depend on where the local files are.
    """
    digest = hashlib.sha256()
    for addition in sorted(changes.additions, key=lambda addition: addition.path):
        digest.update(f"+{addition.path}\0{addition.size}\0{addition.sha256}\0".encode())
    for path in sorted(changes.deletions):
        digest.update(f"-{path}\0".encode())
    return digest.hexdigest()


def _matches(remote: RemoteFile | None, size: int, sha256: str, blob_id: Callable[[], str]) -> bool:
    if remote is None or remote.size != size:
        return False
    if remote.sha256 is not None:
        return remote.sha256 == sha256
    return bool(remote.blob_id) and remote.blob_id == blob_id()


def _is_same(one: RemoteFile | None, other: RemoteFile | None) -> bool:
    if one is None or other is None:
        return one is other
    if one.sha256 is not None and other.sha256 is not None:
        return one.sha256 == other.sha256
    return one.blob_id == other.blob_id

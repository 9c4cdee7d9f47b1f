"""Comparing the files of a repository with the content to be published, and with those of another commit."""

import hashlib
import os
from typing import Final

from episeek.errors import MissingFileError, ReadError, described
from episeek_pipelines.publish.overlay.changes import Addition, Changes, RemoteFile, RemoteFiles

_BLOCK_BYTES: Final = 1 << 20


def remaining_changes(changes: Changes, files: RemoteFiles) -> Changes:
    """Return the part of the changes that is not in a tree yet.

    Args:
        changes: The changes of one publication.
        files: The tree; the paths that the changes touch are enough.
    """
    additions = tuple(addition for addition in changes.additions if not has_content(files.get(addition.path), addition))
    deletions = tuple(path for path in changes.deletions if path in files)
    done = changes.operation_count - len(additions) - len(deletions)
    return Changes(additions, deletions, changes.unchanged_count + done)


def has_content(remote: RemoteFile | None, addition: Addition) -> bool:
    """Return whether a file of a repository has the content of an addition."""
    if remote is None or remote.size != addition.size:
        return False
    if remote.sha256 is not None:
        return remote.sha256 == addition.sha256
    return bool(remote.blob_id) and remote.blob_id == git_blob_id(addition.source)


def differing_paths(one: RemoteFiles, other: RemoteFiles) -> frozenset[str]:
    """Return the paths at which two trees differ."""
    return frozenset(path for path in one.keys() | other.keys() if not _is_same(one.get(path), other.get(path)))


def git_blob_id(source: str | bytes) -> str:
    """Return the id that Git gives a local file or a content as a blob, hex.

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
        raise MissingFileError(source, "no such file", "a file to publish") from None
    except OSError as error:
        raise ReadError(source, described(error), "a file to publish") from error
    return digest.hexdigest()


def changes_digest(changes: Changes) -> str:
    """Return a digest of the wanted content of each path, hex; it does not depend on where the local files are."""
    digest = hashlib.sha256()
    for addition in sorted(changes.additions, key=lambda addition: addition.path):
        digest.update(f"+{addition.path}\0{addition.size}\0{addition.sha256}\0".encode())
    for path in sorted(changes.deletions):
        digest.update(f"-{path}\0".encode())
    return digest.hexdigest()


def _is_same(one: RemoteFile | None, other: RemoteFile | None) -> bool:
    if one is None or other is None:
        return one is other
    if one.sha256 is not None and other.sha256 is not None:
        return one.sha256 == other.sha256
    return one.blob_id == other.blob_id

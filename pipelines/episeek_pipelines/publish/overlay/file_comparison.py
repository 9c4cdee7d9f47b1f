"""Whether a repository's files have the content that a publication wants them to have."""

import hashlib
import os

from episeek.errors import MissingFileError, ReadError, described
from episeek_pipelines.publish.overlay.changes import Addition, Changes, RemoteFile, RemoteFiles

_BLOCK_BYTES = 1 << 20


def outstanding(changes: Changes, files: RemoteFiles) -> Changes:
    """What of the changes a tree does not have yet.

    Args:
        changes: Of one publication.
        files: The tree; of the paths that are touched is enough.
    """
    additions = tuple(addition for addition in changes.additions if not has_content(files.get(addition.path), addition))
    deletions = tuple(path for path in changes.deletions if path in files)
    done = changes.operation_count - len(additions) - len(deletions)
    return Changes(additions, deletions, changes.unchanged_count + done)


def has_content(remote: RemoteFile | None, addition: Addition) -> bool:
    """Whether a file of a repository is what is to be added."""
    if remote is None or remote.size != addition.size:
        return False
    if remote.sha256 is not None:
        return remote.sha256 == addition.sha256
    return bool(remote.blob_id) and remote.blob_id == git_blob_id(addition.source)


def differing_paths(one: RemoteFiles, other: RemoteFiles) -> frozenset[str]:
    """Where two trees differ."""
    return frozenset(path for path in one.keys() | other.keys() if not _is_same(one.get(path), other.get(path)))


def git_blob_id(source: str | bytes) -> str:
    """Git's id of a local path's or a content's blob."""
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
        raise MissingFileError(source, "no such file", "what is to be sent") from None
    except OSError as error:
        raise ReadError(source, described(error), "what is to be sent") from error
    return digest.hexdigest()


def changes_digest(changes: Changes) -> str:
    """Of what is to be in which path, hex: the same for the same publication, wherever its files lie."""
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

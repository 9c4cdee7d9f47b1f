"""Find out whether two files have the same bytes: from the identities in their stores, from digests, or by reading both.

An identity that is a digest of the content (`sha256:`, `xet:`, or Git's id of a blob on the Hub) can be compared between any two
stores. An ETag is compared only within one kind of store, and only if it is an MD5 (S3, RFC 1321) or both files have the same
URL; in other stores it is a version number. A local file is hashed to compare it with a file on the Hub, so that the latter is not
downloaded.
"""

import os
import re
from dataclasses import dataclass
from typing import Final

from episeek.errors import MissingFileError, ReadError, described
from episeek.stores.identity import FileIdentity
from episeek.stores.kinds import HUB_REPOSITORY, kind_of
from episeek_pipelines.dataset.digests import LocalDigests
from episeek_pipelines.dataset.root import Root

_CHUNK_BYTES: Final = 1 << 20
_MD5: Final = re.compile(r"etag:[0-9a-f]{32}(-\d+)?")
_CONTENT_KINDS: Final = ("sha256", "xet")


@dataclass(frozen=True, slots=True)
class FilePair:
    """A file of A and a file of B that may have the same bytes."""

    a: str
    b: str
    size: int
    """Size of each of the two files in bytes."""


def same_by_identity(
    root_a: Root, path_a: str, a: FileIdentity | None, root_b: Root, path_b: str, b: FileIdentity | None
) -> bool | None:
    """Return whether two files have the same bytes, or None if this cannot be decided without reading them."""
    if a is None or b is None or root_a.held(path_a) is not None or root_b.held(path_b) is not None:
        return None
    if a.size != b.size:
        return False
    if root_a.is_local and root_b.is_local:
        try:
            return True if os.path.samefile(root_a.local / path_a, root_b.local / path_b) else None
        except OSError:
            return None
    if root_a.is_local or root_b.is_local:
        return None
    if root_a.join(path_a) == root_b.join(path_b) and a.store_id and a.store_id == b.store_id:
        return True
    for kind in _CONTENT_KINDS:
        of_kind = [next((i for i in side.store_ids if i.startswith(f"{kind}:")), None) for side in (a, b)]
        if None not in of_kind:
            return of_kind[0] == of_kind[1]
    shared = {*a.store_ids} & {*b.store_ids}
    if kind_of(root_a.url) is kind_of(root_b.url) and shared:
        is_blob = kind_of(root_a.url) is HUB_REPOSITORY
        if is_blob or any(_MD5.fullmatch(each) for each in shared):
            return True
    return None


def can_be_read(root_a: Root, root_b: Root) -> bool:
    """Return whether files of two roots can be compared by reading only local files."""
    return root_a.is_local or root_b.is_local


def same_by_reading(pair: FilePair, root_a: Root, root_b: Root, identities: dict[str, FileIdentity]) -> bool:
    """Return whether two files of the same size have the same bytes. Return False if only a download could show this.

    Args:
        pair: The two files.
        root_a: The root of the first file.
        root_b: The root of the second file. At least one of the two roots is local.
        identities: The identities of files in a store, by URL.

    Raises:
        MissingFileError, ReadError: A local file cannot be read.
    """
    if root_a.is_local and root_b.is_local:
        return _same_bytes(root_a.join(pair.a), root_b.join(pair.b))
    local, path, remote = (
        (root_a, pair.a, root_b.join(pair.b)) if root_a.is_local else (root_b, pair.b, root_a.join(pair.a))
    )
    known = identities.get(remote)
    if known is None or known.size != pair.size:
        return False
    ids = known.store_ids
    wanted = next((i for i in ids if i.startswith("sha256:")), None)
    is_blob = kind_of(remote) is HUB_REPOSITORY and wanted is None
    if wanted is None and not is_blob:
        return False
    digests = LocalDigests().of_all([local.join(path)])[0]
    return wanted == f"sha256:{digests.sha256}" if wanted else f"etag:{digests.blob_id}" in ids


def _same_bytes(a: str, b: str) -> bool:
    try:
        with open(a, "rb", buffering=0) as one, open(b, "rb", buffering=0) as other:
            while True:
                here, there = one.read(_CHUNK_BYTES), other.read(_CHUNK_BYTES)
                if here != there:
                    return False
                if not here:
                    return True
    except FileNotFoundError as error:
        raise MissingFileError(str(error.filename), "no such file", "a file of the dataset") from None
    except OSError as error:
        raise ReadError(a, described(error), "a readable file") from error

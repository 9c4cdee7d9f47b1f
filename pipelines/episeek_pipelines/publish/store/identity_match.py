"""Compare local content with the identity that a store gives a file, without reading the file in the store.

If content was sent to S3 in one request, its ETag is the MD5 of the content. After an upload in parts, the ETag is the MD5 of the
parts' MD5s, followed by the number of parts. An ETag does not contain the size of the parts, so the usual sizes are tried. An ETag
that matches proves that the content is the same. An ETag that does not match proves nothing, because other stores, and stores that
encrypt with their own keys, compute ETags in another way.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from episeek.errors import ReadError, described

_ETAG: Final = re.compile(r"etag:([0-9a-f]{32})(?:-(\d+))?")

PART_SIZES_BYTES: Final = tuple(count << 20 for count in (5, 8, 10, 15, 16, 25, 32, 50, 64, 100, 128, 250, 500, 512))
"""Part sizes in bytes that clients use: for example 8 MiB (AWS command line), 50 MiB (s3fs) or 5 MiB (rclone and the SDKs)."""

_BLOCK_BYTES: Final = 1 << 20


def matches_identity(content: str | bytes, *, size: int, sha256: str, store_id: str) -> bool | None:
    """Return whether local content has the identity that a store gives a file of the same size.

    Args:
        content: The path of a local file, or the content itself.
        size: Size in bytes of the content and of the file in the store.
        sha256: SHA-256 of the content in hex.
        store_id: The identity, one of `episeek.stores.identity.FileIdentity.store_ids`.

    Returns:
        True if the identity proves that the content is the same, and False if it proves that the content differs. None if it proves
        nothing, because an identity of this kind cannot be computed here, or because an ETag differs.

    Raises:
        ReadError: The local file cannot be read.
    """
    kind, _, value = store_id.partition(":")
    if kind == "sha256":
        return value == sha256
    if kind == "xet":
        found = _xet_hash(content)
        return None if found is None else found == value
    match = _ETAG.fullmatch(store_id)
    if match is None:
        return None
    part_count = None if match[2] is None else int(match[2])
    return True if any(found == match[1] for found in _md5s(content, size, part_count)) else None


def _md5s(content: str | bytes, size: int, part_count: int | None) -> Iterator[str]:
    """Yield each MD5, in hex, that S3 may use as the ETag of the content.

    If `part_count` is None, the content was sent as a whole, and only its MD5 is yielded. Otherwise it was sent in this number of
    parts of an unknown size. For each usual size that results in this number of parts, the MD5 over the MD5s of the parts is
    yielded.
    """
    if part_count is None:
        yield _digests(content, max(size, 1))[0].hex() if size else hashlib.md5(b"", usedforsecurity=False).hexdigest()
        return
    for part_bytes in PART_SIZES_BYTES:
        if -(-size // part_bytes) == part_count:
            yield hashlib.md5(b"".join(_digests(content, part_bytes)), usedforsecurity=False).hexdigest()


def _digests(content: str | bytes, part_bytes: int) -> list[bytes]:
    """Return the MD5 of each part of the content. Every part has `part_bytes` bytes, except that the last part may be shorter."""
    digests, digest, room = [], hashlib.md5(usedforsecurity=False), part_bytes
    for block in _blocks(content):
        view = memoryview(block)
        while view:
            taken, view = view[:room], view[room:]
            digest.update(taken)
            room -= len(taken)
            if not room:
                digests.append(digest.digest())
                digest, room = hashlib.md5(usedforsecurity=False), part_bytes
    return digests if room == part_bytes else [*digests, digest.digest()]


def _blocks(content: str | bytes) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    try:
        with open(content, "rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        raise ReadError(content, described(error), "a readable file") from error


def _xet_hash(content: str | bytes) -> str | None:
    """Return the hash that the Hub's Xet storage gives the content, or None if the package hf_xet is not installed."""
    try:
        from hf_xet import hash_files
    except ImportError:
        return None
    if isinstance(content, str):
        return str(hash_files([content])[0].hash)
    with tempfile.TemporaryDirectory(prefix="episeek-") as folder:
        path = Path(folder, "content")
        path.write_bytes(content)
        return str(hash_files([str(path)])[0].hash)

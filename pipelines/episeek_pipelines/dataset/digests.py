"""Compute digests of local files and of bytes: the SHA-256, and the id that Git gives to a blob with the same content."""

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from episeek.errors import ReadError
from episeek.stores.processes.workers import map_in_threads

MAX_BLOB_BYTES: Final = 1 << 26
"""Greatest size, in bytes, of contents for which a blob id is computed.

Larger files on the Hub have no blob id: the Hub refuses files of more than 10 MB outside LFS and Xet.
"""

_CHUNK_BYTES: Final = 1 << 20

_MAX_THREADS: Final = 8
"""Number of threads that read files. More threads would only wait for the disk."""


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests, in hex, of the content of one file or of bytes."""

    size: int
    """Size of the content in bytes."""
    sha256: str
    blob_id: str
    """Git's id of the content as a blob; empty if the content is larger than `MAX_BLOB_BYTES`."""


class LocalDigests:
    """Computes and keeps the digests of local files and of bytes. A file is read again only if it has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._computed: dict[tuple[str, int, int, int], Digests] = {}

    def of_all(self, contents: Sequence[str | bytes]) -> list[Digests]:
        """Return the digests of each of `contents`, in order. A str is the path of a local file, and bytes are contents themselves.

        Several files are read at the same time, each with a buffer of one mebibyte.

        Raises:
            ReadError: A file cannot be read, or is being written.
        """
        return map_in_threads(self._of, contents, max_in_flight=min(os.cpu_count() or 1, _MAX_THREADS))

    def _of(self, content: str | bytes) -> Digests:
        if isinstance(content, bytes):
            hashing = _Hashing(len(content))
            hashing.update(content)
            return hashing.digests()
        try:
            with open(content, "rb", buffering=0) as stream:
                status = os.fstat(stream.fileno())
                key = (content, status.st_size, status.st_mtime_ns, status.st_ino)
                with self._lock:
                    computed = self._computed.get(key)
                if computed is not None:
                    return computed
                hashing = _Hashing(status.st_size)
                buffer = memoryview(bytearray(_CHUNK_BYTES))
                while count := stream.readinto(buffer):
                    hashing.update(buffer[:count])
        except OSError as error:
            raise ReadError(content, str(error), "a readable file") from error
        if hashing.byte_count != status.st_size:
            found = f"{hashing.byte_count} bytes, so the file is being written"
            raise ReadError(content, found, f"{status.st_size} bytes, the size when the file was opened")
        digests = hashing.digests()
        with self._lock:
            self._computed[key] = digests
        return digests


class _Hashing:
    """Computes the SHA-256 and the blob id of the same content in one pass.

    The size is given first, since Git hashes it before the content.
    """

    def __init__(self, size: int) -> None:
        self._sha256 = hashlib.sha256()
        self._blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False) if size <= MAX_BLOB_BYTES else None
        self.byte_count = 0

    def update(self, data: bytes | memoryview) -> None:
        self._sha256.update(data)
        if self._blob is not None:
            self._blob.update(data)
        self.byte_count += len(data)

    def digests(self) -> Digests:
        blob_id = "" if self._blob is None else self._blob.hexdigest()
        return Digests(self.byte_count, self._sha256.hexdigest(), blob_id)

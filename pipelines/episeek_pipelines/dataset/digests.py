"""Digests of the contents of local files."""

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from episeek.errors import ReadError
from episeek.stores.processes.workers import map_in_threads

MAX_BLOB_BYTES = 1 << 26
"""The Hub refuses files of more than 10 MB outside LFS and Xet."""


_CHUNK_BYTES = 1 << 20


_MAX_THREADS = 8
"""More would wait for the disk."""


@dataclass(frozen=True, slots=True)
class Digests:
    """Of one content, hex."""

    size: int
    sha256: str
    blob_id: str
    """Git's id of it as a blob; empty for what is too large to be one in a repository on the Hub."""


class LocalDigests:
    """Digests of local files and of bytes. A file is read once however often it is asked for, unless it has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int, int, int], Digests] = {}

    def of_all(self, contents: Sequence[str | bytes]) -> list[Digests]:
        """Digests of files and of bytes, in order; some files at the same time, of each no more than a megabyte.

        Raises:
            ReadError: A file cannot be read, or is being written.
        """
        return map_in_threads(self._of, contents, max_in_flight=min(os.cpu_count() or 1, _MAX_THREADS))

    def _of(self, content: str | bytes) -> Digests:
        if isinstance(content, bytes):
            return _Hashing(len(content)).update(content).digests()
        try:
            with open(content, "rb", buffering=0) as stream:
                status = os.fstat(stream.fileno())
                key = (content, status.st_size, status.st_mtime_ns, status.st_ino)
                with self._lock:
                    known = self._known.get(key)
                if known is not None:
                    return known
                hashing = _Hashing(status.st_size)
                buffer = memoryview(bytearray(_CHUNK_BYTES))
                while count := stream.readinto(buffer):
                    hashing.update(buffer[:count])
        except OSError as error:
            raise ReadError(content, str(error), "a readable file") from error
        if hashing.byte_count != status.st_size:
            expected = f"{status.st_size}, as a moment ago: it is being written"
            raise ReadError(content, f"{hashing.byte_count} bytes", expected)
        digests = hashing.digests()
        with self._lock:
            self._known[key] = digests
        return digests


class _Hashing:
    """Both digests in one pass; Git's starts with the size, which has to be known before."""

    def __init__(self, size: int) -> None:
        self._sha256 = hashlib.sha256()
        self._blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False) if size <= MAX_BLOB_BYTES else None
        self.byte_count = 0

    def update(self, data: bytes | memoryview) -> "_Hashing":
        self._sha256.update(data)
        if self._blob is not None:
            self._blob.update(data)
        self.byte_count += len(data)
        return self

    def digests(self) -> Digests:
        blob_id = "" if self._blob is None else self._blob.hexdigest()
        return Digests(self.byte_count, self._sha256.hexdigest(), blob_id)

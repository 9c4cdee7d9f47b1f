"""A directory that stores byte ranges of files, up to a limit in bytes, for any number of processes and jobs at the same time.

The entry of a range is one file, which appears complete or not at all, and never changes. Entries are only removed, the least
recently read entries first. A process that is going to fetch a range locks a file next to the range's entry, so that others wait
instead of fetching the range themselves. A process may be killed at any moment.

The directory never makes a read fail. If it cannot be written, each process logs one warning and stores no more ranges. The
directory may be removed at any time.
"""

import errno
import hashlib
import logging
import os
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from episeek.range_cache.entry import DamagedEntryError, header_bytes, make_header, read_part
from episeek.range_cache.locks import locked_file, try_to_lock, unlock

_LOGGER = logging.getLogger("episeek")

_HELD: Final = "held-bytes"
"""Name of the file with the total number of bytes of all entries, including entries that are being written."""

_PART: Final = ".part"
"""Suffix of the lock file of a range that is being fetched."""

FREE_SHARE: Final = 10
"""One part in ten of the disk is left free if there is no limit."""

_LEFT_SHARE: Final = 0.9
"""A full directory is emptied down to this fraction of the limit, so that it is seldom searched for entries to remove."""

_TOUCH_SECONDS: Final = 60.0
"""A read marks an entry as used if the last mark is older than this many seconds."""

_LOCK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class RangeKey:
    """The key of a stored range: bytes `[start, stop)` of one version of a file."""

    content: str
    """A text that identifies the version of the file, such as the build id of an index."""
    path: str
    start: int
    stop: int

    @property
    def digest(self) -> bytes:
        """A digest of 16 bytes that identifies the range."""
        text = f"{self.content}\0{self.path}\0{self.start}\0{self.stop}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:16]


class RangeDirectory:
    """A directory that stores ranges of files.

    Args:
        folder: The directory. It is created when the first range is stored.
        max_bytes: Greatest size of all entries together, in bytes; None leaves a tenth of the disk free.
    """

    def __init__(self, folder: str | os.PathLike[str], *, max_bytes: int | None = None) -> None:
        if max_bytes is not None and max_bytes < 0:
            raise ValueError(f"max_bytes: found {max_bytes}; expected 0 or more, or None")
        self.folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
        self.max_bytes = max_bytes
        self._is_writable = True

    def __repr__(self) -> str:
        return f"RangeDirectory({self.folder!r}, max_bytes={self.max_bytes})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.folder, self.max_bytes)

    def path_of(self, key: RangeKey) -> str:
        """Return the path of the entry of a range."""
        name = key.digest.hex()
        return os.path.join(self.folder, name[:2], name[2:])

    def read(self, key: RangeKey, start: int, stop: int) -> memoryview | None:
        """Return bytes `[start, stop)` of a file from the entry of the range `key`, or None if the range is not stored.

        The range has to contain these bytes. A damaged entry is removed.
        """
        path = self.path_of(key)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            part = read_part(handle, key.digest, key.stop - key.start, start - key.start, stop - key.start)
            if time.time() - os.fstat(handle).st_mtime > _TOUCH_SECONDS:
                # a directory that cannot be written can still be read
                with suppress(OSError):
                    os.utime(handle)
        except (DamagedEntryError, OSError):
            with suppress(OSError):
                os.unlink(path)
            return None
        finally:
            os.close(handle)
        return part

    def claim(self, key: RangeKey) -> "Claim | None":
        """Claim the right to fetch a range, or return None if another thread or process has claimed it.

        Another process may have stored the range just before, so callers have to call `read` again. If the directory cannot be
        written, the claim stores nothing.
        """
        path = self.path_of(key)
        part = path + _PART
        while self._is_writable:
            try:
                handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                try:
                    os.makedirs(os.path.dirname(part), exist_ok=True)
                except OSError as error:
                    self.stop_writing(error)
                continue
            except OSError as error:
                self.stop_writing(error)
                break
            try:
                is_locked = try_to_lock(handle)
                # another process may have renamed the file to the entry, or removed it
                is_it = is_locked and os.path.samestat(os.fstat(handle), os.stat(part))
            except FileNotFoundError:
                is_locked, is_it = True, False
            except OSError as error:
                os.close(handle)
                self.stop_writing(error)
                break
            if is_it:
                return Claim(self, key, handle)
            os.close(handle)
            if not is_locked:
                return None
        return Claim(self, key, None)

    def unclaimed(self, key: RangeKey) -> "Claim":
        """Return a claim for a caller that fetches a range without the right to store it. The claim stores nothing."""
        return Claim(self, key, None)

    def stop_writing(self, error: OSError) -> None:
        """Store no more ranges in this process, and log the reason."""
        if self._is_writable:
            self._is_writable = False
            _LOGGER.warning(
                "the cache in %s cannot be written (%s): ranges are fetched without being kept there",
                self.folder,
                error.strerror or error,
            )

    def reserve(self, count: int) -> bool:
        """Make room for an entry of `count` bytes. Return whether the entry fits.

        Raises:
            OSError: The directory cannot be written.
        """
        with locked_file(os.path.join(self.folder, _HELD), seconds=_LOCK_SECONDS) as handle:
            if handle is None:
                return False
            text = os.pread(handle, 32, 0)
            held = int(text) if text.strip().isdigit() else self._make_room(None)
            limit = self._limit(held, self.folder)
            if count > limit:
                return False
            if held + count > limit:
                held = self._make_room(min(int(limit * _LEFT_SHARE), limit - count))
            os.pwrite(handle, b"%-31d\n" % (held + count), 0)
        return True

    def limit_bytes(self) -> int:
        """Return the greatest size that all entries together may have now, in bytes; 0 if the disk's free space is unknown."""
        held, folder = 0, self.folder
        with suppress(OSError, ValueError), open(os.path.join(folder, _HELD), "rb") as file:
            held = int(file.read(32))
        while not os.path.isdir(folder) and folder != os.path.dirname(folder):
            folder = os.path.dirname(folder)
        try:
            return self._limit(held, folder)
        except OSError:
            return 0

    def _limit(self, held: int, folder: str) -> int:
        if self.max_bytes is not None:
            return self.max_bytes
        disk = shutil.disk_usage(folder)
        return max(held + disk.free - disk.total // FREE_SHARE, 0)

    def _make_room(self, goal: int | None) -> int:
        """Remove the least recently used entries until the others have at most `goal` bytes; None removes none.

        Return the total size of the remaining entries in bytes.
        """
        entries = []
        for folder in os.scandir(self.folder):
            if not folder.is_dir(follow_symlinks=False):
                continue
            for file in os.scandir(folder.path):
                # other processes also remove entries
                with suppress(OSError):
                    if file.name.endswith(_PART):
                        _remove_unless_locked(file.path)
                    else:
                        stat = file.stat(follow_symlinks=False)
                        entries.append((stat.st_mtime_ns, stat.st_size, file.path))
        held = sum(size for _, size, _ in entries)
        entries.sort(reverse=True)
        while entries and goal is not None and held > goal:
            _, size, path = entries.pop()
            with suppress(FileNotFoundError):
                os.unlink(path)
            held -= size
        return held


class Claim:
    """The right to fetch a range and store it, until the claim is released. Safe to use from several threads.

    A claim without a lock file stores nothing.
    """

    def __init__(self, directory: RangeDirectory, key: RangeKey, handle: int | None) -> None:
        self._directory = directory
        self._key = key
        self._handle = handle
        self._lock = threading.Lock()

    def keep(self, payload: memoryview) -> None:
        """Store the bytes of the range, if there is room and the claim has not been released."""
        with self._lock:
            if self._handle is None:
                return
            path = self._directory.path_of(self._key)
            try:
                if self._directory.reserve(header_bytes(len(payload)) + len(payload)):
                    os.ftruncate(self._handle, 0)
                    _write(self._handle, make_header(self._key.digest, payload))
                    _write(self._handle, payload)
                    os.replace(path + _PART, path)
                    self._close()
            except OSError as error:
                if error.errno != errno.ENOENT:
                    # ENOENT means that somebody has removed the directory, which is allowed
                    self._directory.stop_writing(error)

    def release(self) -> None:
        """Release the claim, so that others may fetch the range if it was not stored. A second call has no effect."""
        with self._lock:
            if self._handle is not None:
                with suppress(OSError):
                    os.unlink(self._directory.path_of(self._key) + _PART)
                self._close()

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):
                unlock(handle)
            os.close(handle)


def _reopen(folder: str, max_bytes: int | None) -> RangeDirectory:
    return RangeDirectory(folder, max_bytes=max_bytes)


def _write(handle: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while len(rest):
        rest = rest[os.write(handle, rest) :]


def _remove_unless_locked(path: str) -> None:
    """Remove the lock file of a claim if its process has ended."""
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if try_to_lock(handle) and os.path.samestat(os.fstat(handle), os.stat(path)):
            os.unlink(path)
    finally:
        os.close(handle)

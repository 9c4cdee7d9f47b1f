"""Read bytes of a local file at given positions, or of its first bytes followed by a new footer."""

import os
from pathlib import Path
from typing import Protocol

from episeek.errors import ChangedFileError, ReadError, first_line


class Bytes(Protocol):
    """Bytes of known length that can be read at any position."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`, which must be within the size."""


class LocalBytes:
    """A local file with the size that it had when it was opened. A context manager.

    Args:
        path: The file.
        where: The name of the file in errors; its path if None.

    Raises:
        ReadError: The file cannot be opened.
    """

    def __init__(self, path: Path | str, where: str | None = None) -> None:
        self.where = str(path) if where is None else where
        try:
            self._handle = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise ReadError(self.where, first_line(error), "a readable file") from error
        self._size = os.fstat(self._handle).st_size

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._size

    def read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`.

        Raises:
            ReadError: The operating system failed.
            ChangedFileError: The file has become shorter since it was opened.
        """
        parts: list[bytes] = []
        while start < stop:
            try:
                part = os.pread(self._handle, stop - start, start)
            except OSError as error:
                raise ReadError(self.where, first_line(error), "a readable file") from error
            if not part:
                raise ChangedFileError(
                    self.where, f"a file that ends at byte {start}", f"{self._size} bytes, as before"
                )
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file; closing it again has no effect."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> "LocalBytes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WithFooter:
    """A file for pyarrow that consists of the bytes `[0, stop)` of a source and a footer.

    Args:
        source: The source. Closing this file also closes the source, if the source can be closed.
        stop: The number of bytes of the source to use.
        footer: The bytes that follow the bytes of the source.
    """

    closed = False

    def __init__(self, source: Bytes, stop: int, footer: bytes) -> None:
        self._source = source
        self._stop = stop
        self._footer = footer
        self._position = 0

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._stop + len(self._footer)

    def read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`, fewer at the end of the file."""
        stop = min(stop, self.size)
        if start >= stop:
            return b""
        head = self._source.read_at(start, min(stop, self._stop)) if start < self._stop else b""
        tail = self._footer[max(start - self._stop, 0) : stop - self._stop] if stop > self._stop else b""
        return head + tail if tail else head

    def read(self, count: int = -1) -> bytes:
        """Return up to `count` bytes from the current position; none at the end."""
        data = self.read_at(self._position, self.size if count < 0 else self._position + count)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the current position and return it."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(origin + offset, 0)
        return self._position

    def tell(self) -> int:
        """Return the current position."""
        return self._position

    def close(self) -> None:
        """Close this file and its source."""
        self.closed = True
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

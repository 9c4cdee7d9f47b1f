"""A file of a byte source as a decoder's demuxer wants it: read, seek, tell, with read-ahead.

A few blocks are kept, the most recently used ones, so that one reader can follow a little behind another one.
"""

import os
from collections import OrderedDict

from episeek.errors import EpiseekError
from episeek.stores.byte_source import ByteSource

BLOCK_BYTES = 1 << 20
"""What one request reads."""

KEPT_BLOCKS = 16
"""FFmpeg reads up to 5 MB ahead to learn what is in a file before it returns the first packet."""


class SourceFile:
    """One file of a source, opened for reading.

    Args:
        source: Where the file is.
        path: Relative to the source's root.
        size: Bytes.
    """

    def __init__(self, source: ByteSource, path: str, size: int) -> None:
        self._source = source
        self.path = path
        self.size = size
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0
        self.error: EpiseekError | None = None
        """What reading for the demuxer failed with: it was told that the file ends there."""

    def read_at(self, start: int, stop: int) -> bytes:
        """The bytes `[start, stop)`, fewer where the file ends. Raises what the source raises."""
        start, stop = min(start, self.size), min(stop, self.size)
        parts = []
        while start < stop:
            number, inside = divmod(start, BLOCK_BYTES)
            part = self._block(number)[inside : inside + stop - start]
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def read(self, count: int) -> bytes:
        """Up to `count` bytes from the current position; none at the end.

        An error of the source is kept in `error`, and the file seems to end: an exception cannot cross FFmpeg safely.
        """
        try:
            data = self.read_at(self._position, self._position + count)
        except EpiseekError as error:
            self.error = self.error or error
            return b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the current position; returns it."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(origin + offset, 0)
        return self._position

    def tell(self) -> int:
        """The current position."""
        return self._position

    def _block(self, number: int) -> bytes:
        block = self._blocks.get(number)
        if block is None:
            start = number * BLOCK_BYTES
            block = self._source.get_ranges(self.path, [(start, min(start + BLOCK_BYTES, self.size))])[0]
            self._blocks[number] = block
            if len(self._blocks) > KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return block

"""Give a file of a byte source the interface that a demuxer needs: read, seek and tell, with read-ahead.

The most recently used blocks are kept. If the same bytes are read again soon after, no request is needed.
"""

import os
from collections import OrderedDict

from episeek.errors import EpiseekError
from episeek.stores.byte_source import ByteSource

BLOCK_BYTES = 1 << 20
"""Number of bytes that one request reads."""

KEPT_BLOCKS = 16
"""Number of blocks in memory. FFmpeg reads up to 5 MB to find the streams of a file before it returns the first packet."""


class DemuxerFile:
    """One file of a source, opened for reading.

    Args:
        source: The source that holds the file.
        path: Path relative to the source's root.
        size: Size of the file in bytes.
    """

    def __init__(self, source: ByteSource, path: str, size: int) -> None:
        self._source = source
        self.path = path
        self.size = size
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0
        self.error: EpiseekError | None = None
        """The first error of the source during a `read`. The demuxer sees the end of the file instead of the error."""

    def read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`, or fewer at the end of the file. Raises the errors of the source."""
        start, stop = min(start, self.size), min(stop, self.size)
        parts = []
        while start < stop:
            number, inside = divmod(start, BLOCK_BYTES)
            part = self._block(number)[inside : inside + stop - start]
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes from the current position; none at the end of the file.

        An error of the source is kept in `error` and looks like the end of the file, since an exception cannot safely pass
        through FFmpeg.
        """
        try:
            data = self.read_at(self._position, self._position + count)
        except EpiseekError as error:
            self.error = self.error or error
            return b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the current position, and return the new position."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(origin + offset, 0)
        return self._position

    def tell(self) -> int:
        """Return the current position."""
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

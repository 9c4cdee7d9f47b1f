"""A byte source for bytes in memory, from which a clip (a short range of frames) reads if its bytes have already been fetched."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from episeek.errors import ReadError
from episeek.stores.byte_source import ByteRange, range_name
from episeek.stores.identity import FileIdentity
from episeek.stores.transfers import Transfers


@dataclass(frozen=True, slots=True)
class FetchedRange:
    """A byte source with one range of one file in memory. Implements `episeek.stores.byte_source.ByteSource`."""

    root: str
    path: str
    byte_range: ByteRange
    payload: bytes = field(repr=False)

    @property
    def probe_bytes(self) -> int:
        """Number of bytes to read at a position at which a box of an MP4 may begin: all of the range, since it is in memory."""
        return len(self.payload)

    @property
    def tail_bytes(self) -> int:
        """Number of bytes at the end of a file to read at once: all of the range, since it is in memory."""
        return len(self.payload)

    def identity(self, path: str) -> FileIdentity:
        """Raise ReadError, since only bytes of the file are in memory, and not its identity."""
        hint = "get the identity from the source of the byte index"
        raise ReadError(
            f"{self.root}/{path}", "a source with only a range of the file in memory", "a source of whole files", hint
        )

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes of each range, in order.

        Raises:
            ReadError: A range is not within the range in memory, or is of another file.
        """
        first, last = self.byte_range
        for byte_range in ranges:
            if path != self.path or not first <= byte_range[0] <= byte_range[1] <= last:
                where = range_name(f"{self.root}/{path}", byte_range)
                raise ReadError(
                    where, "bytes that are not in memory", f"bytes within {range_name(self.path, self.byte_range)}"
                )
        if list(ranges) == [self.byte_range]:
            return [self.payload]
        return [self.payload[start - first : stop - first] for start, stop in ranges]

    def transfers(self) -> Transfers:
        """Return zero transfers: nothing is fetched here."""
        return Transfers()

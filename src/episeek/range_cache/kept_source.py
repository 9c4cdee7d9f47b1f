"""A byte source that stores its ranges in a directory, for files that are read repeatedly in the same ranges."""

from collections.abc import Sequence
from dataclasses import dataclass

from episeek.range_cache.directory import RangeDirectory
from episeek.range_cache.fetch import KeptRanges, Piece, fetch_pieces
from episeek.stores.byte_source import ByteRange, ByteSource, WrappedSource


@dataclass(frozen=True, slots=True)
class KeptSource(WrappedSource):
    """A source that reads the files of another source and stores their ranges. Implements `episeek.stores.byte_source.ByteSource`.

    Ranges of a file without a store identity are not stored, since a change of the file would not be noticed.
    """

    source: ByteSource
    directory: RangeDirectory
    wait_seconds: float
    """Seconds to wait for a range that another process fetches."""

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes of each range, in order.

        Raises:
            MissingFileError, ReadError: The wrapped source cannot deliver the file.
        """
        identity = self.source.identity(path)
        version = identity.store_id or identity.version
        if not version:
            return self.source.get_ranges(path, ranges)
        kept = KeptRanges(self.directory, f"{self.root} {identity.size} {version}", self.wait_seconds)
        pieces = [Piece(path, start, stop, ((start, stop),), "") for start, stop in ranges]
        bodies = fetch_pieces(self.source, pieces, kept=kept, max_in_flight=max(len(pieces), 1))
        return [bytes(body) for body in bodies]

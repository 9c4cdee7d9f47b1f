"""The videos of an index: bytes come only from files that are still those that were indexed.

Size and identity are compared with every answer of the store; where the store or the index has no identity that can be
compared, the header is read again and its digest is compared, once a file and process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from episeek.errors import ChangedFileError, CorruptBytesError, Mp4Error, ShortReadError
from episeek.sidecars.file_record import FileRecord
from episeek.sidecars.header_digest import header_digest
from episeek.stores.byte_source import ByteRange, ByteSource, range_name
from episeek.stores.identity import FileIdentity
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.transfers import Transfers

Verify = Literal["identity", "moov", "size", "bytes"]

VERIFY_MODES: tuple[str, ...] = get_args(Verify)

_INDEX_AGAIN = "index or prepare the dataset again"


@dataclass(frozen=True, slots=True)
class CheckedSource:
    """A source of indexed files. See `episeek.stores.byte_source.ByteSource`.

    Args:
        source: Where the files are.
        record_of: The row of `files` of a path.
        verify: "identity" compares sizes and store identities, and the digest of the header where there is no identity to
            compare; "moov" compares sizes and the digest of the header, whatever the identities: for a copy in another
            store; "size" compares sizes only; "bytes" is "identity", and reads every range twice.
    """

    source: ByteSource
    record_of: Callable[[str], FileRecord]
    verify: Verify = "identity"
    _accepted: PerProcess[dict[str, FileIdentity]] = field(
        default_factory=lambda: PerProcess(dict), repr=False, compare=False
    )

    @property
    def root(self) -> str:
        """The directory or URL that paths are relative to."""
        return self.source.root

    @property
    def probe_bytes(self) -> int:
        """As the source's."""
        return self.source.probe_bytes

    @property
    def tail_bytes(self) -> int:
        """As the source's."""
        return self.source.tail_bytes

    def identity(self, path: str) -> FileIdentity:
        """As the source's."""
        return self.source.identity(path)

    def transfers(self) -> Transfers:
        """As the source's."""
        return self.source.transfers()

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """The bytes of each range, in order.

        Raises:
            ChangedFileError: The file is not the one that was indexed.
            CorruptBytesError: With `verify="bytes"`, two reads differ.
            MissingFileError, ReadError: As the source's.
        """
        try:
            parts = self.source.get_ranges(path, ranges)
        except ShortReadError:
            self._check(path)  # a file that became shorter has changed
            raise
        self._check(path)
        if self.verify == "bytes":
            for byte_range, part, again in zip(ranges, parts, self.source.get_ranges(path, ranges), strict=True):
                if part != again:
                    found = "two reads that differ"
                    raise CorruptBytesError(
                        range_name(f"{self.root}/{path}", byte_range), found, "the same bytes twice"
                    )
        return parts

    def _check(self, path: str) -> None:
        identity = self.source.identity(path)
        accepted = self._accepted.get()
        if accepted.get(path) == identity:
            return
        record = self.record_of(path)
        where = f"{self.root}/{path}"
        if identity.size != record.file_size:
            raise ChangedFileError(
                where, f"{identity.size} bytes", f"{record.file_size} as when it was indexed: {_INDEX_AGAIN}"
            )
        if self.verify != "size":
            is_same = None if self.verify == "moov" else identity.is_content(record.store_id)
            if is_same is False:
                expected = (
                    f"{record.store_id} as when it was indexed: {_INDEX_AGAIN}, or open a copy with verify='moov'"
                )
                raise ChangedFileError(where, f"{', '.join(identity.store_ids)}", expected)
            if is_same is None and record.container != "matroska":  # whose header is all of the file
                self._check_header(record, where)
        accepted[path] = identity

    def _check_header(self, record: FileRecord, where: str) -> None:
        try:
            digest = header_digest(self.source, record)
        except Mp4Error as error:
            raise ChangedFileError(where, error.found, f"the header that was indexed: {_INDEX_AGAIN}") from error
        if digest != record.moov_sha256:
            found = f"a header with the digest {digest[:12]}..."
            raise ChangedFileError(where, found, f"{record.moov_sha256[:12]}... as when it was indexed: {_INDEX_AGAIN}")

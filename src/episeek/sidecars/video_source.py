"""Read the videos of an index, and refuse files that have changed since they were indexed.

The size and identity in every answer of the store are compared. If answers have no identity, the header is read again and its
digest is compared, once for each file in each process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from episeek.errors import ChangedFileError, CorruptBytesError, Mp4Error, ShortReadError
from episeek.sidecars.file_record import FileRecord
from episeek.sidecars.header_digest import header_digest
from episeek.stores.byte_source import ByteRange, ByteSource, WrappedSource, range_name
from episeek.stores.identity import FileIdentity
from episeek.stores.processes.per_process import PerProcess

Verify = Literal["identity", "moov", "size", "bytes"]

VERIFY_MODES: tuple[str, ...] = get_args(Verify)

_INDEX_AGAIN = "index or prepare the dataset again"
_OR_OPEN_COPY = f"{_INDEX_AGAIN}, or open it with verify='moov' if it is a copy"


@dataclass(frozen=True, slots=True)
class IndexedVideoSource(WrappedSource):
    """The indexed videos under one root. Implements `episeek.stores.byte_source.ByteSource`.

    Args:
        source: The source of the files.
        record_of: Returns the row of `files` for a path.
        verify: "identity" compares sizes and store identities, or the digest of the header if an identity is missing. "moov"
            compares sizes and the digest of the header, and is for a copy in another store, where the identities differ. "size"
            compares sizes only. "bytes" does the same as "identity", and also reads every range twice. Headers of Matroska files
            are never compared.
    """

    source: ByteSource
    record_of: Callable[[str], FileRecord]
    verify: Verify = "identity"
    _accepted: PerProcess[dict[str, FileIdentity]] = field(
        default_factory=lambda: PerProcess(dict), repr=False, compare=False
    )

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes of each range, in order.

        Raises:
            ChangedFileError: The file is not the one that was indexed.
            CorruptBytesError: With `verify="bytes"`, two reads differ.
            MissingFileError, ReadError: Errors of the wrapped source.
        """
        try:
            parts = self.source.get_ranges(path, ranges)
        except ShortReadError:
            # if the file has become shorter, this check reports that the file has changed
            self._check(path)
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
            expected = f"{record.file_size} bytes, as when it was indexed"
            raise ChangedFileError(where, f"{identity.size} bytes", expected, _INDEX_AGAIN)
        if self.verify != "size":
            is_same = None if self.verify == "moov" else identity.is_content(record.store_id)
            if is_same is False:
                expected = f"{record.store_id}, as when it was indexed"
                raise ChangedFileError(where, ", ".join(identity.store_ids), expected, _OR_OPEN_COPY)
            # the digest of a Matroska file covers all of its samples: comparing it would mean reading the whole file
            if is_same is None and record.container != "matroska":
                self._check_header(record, where)
        accepted[path] = identity

    def _check_header(self, record: FileRecord, where: str) -> None:
        try:
            digest = header_digest(self.source, record)
        except Mp4Error as error:
            raise ChangedFileError(where, error.found, "the header that was indexed", _INDEX_AGAIN) from error
        if digest != record.moov_sha256:
            found = f"a header with the digest {digest[:12]}..."
            expected = f"{record.moov_sha256[:12]}..., as when it was indexed"
            raise ChangedFileError(where, found, expected, _INDEX_AGAIN)

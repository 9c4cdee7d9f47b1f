"""The transport for files of this machine, which are read with `pread`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from episeek.errors import ReadError
from episeek.stores.byte_source import ByteRange, missing_file, require_whole, tail_by_size
from episeek.stores.identity import FileIdentity
from episeek.stores.transfers import TransferCounter, Transfers


@dataclass(frozen=True, slots=True)
class LocalSource:
    """The files below a local directory. Implements `episeek.stores.byte_source.ByteSource`."""

    root: str
    _counter: TransferCounter = field(default_factory=TransferCounter, repr=False, compare=False)

    @property
    def probe_bytes(self) -> int:
        """Number of bytes to read at a position at which a box of an MP4 may begin: one page, as local reads cost little."""
        return 1 << 12

    @property
    def tail_bytes(self) -> int:
        """Number of bytes at the end of a file to read at once: one page of memory, since probing a local file costs little."""
        return 1 << 12

    def identity(self, path: str) -> FileIdentity:
        """Return the size of a file and a version that changes when the file is written or replaced, but no store identity."""
        full_path = os.path.join(self.root, path)
        try:
            status = os.stat(full_path)
        except FileNotFoundError:
            raise missing_file(full_path) from None
        except OSError as error:
            raise ReadError(full_path, str(error), "a readable file") from error
        return FileIdentity(status.st_size, version=f"{status.st_mtime_ns}:{status.st_ino}")

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes of each range, in order."""
        full_path = os.path.join(self.root, path)
        try:
            handle = os.open(full_path, os.O_RDONLY)
        except FileNotFoundError:
            raise missing_file(full_path) from None
        except OSError as error:
            raise ReadError(full_path, str(error), "a readable file") from error
        try:
            parts = [require_whole(full_path, byte_range, _pread(handle, *byte_range)) for byte_range in ranges]
        except OSError as error:
            if isinstance(error, ReadError):
                raise
            raise ReadError(full_path, str(error), "a readable file") from error
        finally:
            os.close(handle)
        self._counter.add(request_count=len(parts), byte_count=sum(map(len, parts)))
        return parts

    @property
    def answers_have_identity(self) -> bool:
        """Whether each answer to a range request identifies the version of the file. A local read does not."""
        return False

    def get_tail(self, path: str, byte_count: int) -> bytes:
        """Return the last bytes of a file, or all of a smaller file."""
        return tail_by_size(self, path, byte_count)

    def transfers(self) -> Transfers:
        """Return the counts of the reads and bytes of this source in this process."""
        return self._counter.snapshot()


def _pread(handle: int, start: int, stop: int) -> bytes:
    data = os.pread(handle, stop - start, start)
    if len(data) == stop - start or not data:
        return data
    # One call of pread returns at most 0x7ffff000 bytes, and fewer when it is interrupted.
    parts = [data]
    position = start + len(data)
    while position < stop and (more := os.pread(handle, stop - position, position)):
        parts.append(more)
        position += len(more)
    return b"".join(parts)

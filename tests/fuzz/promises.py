"""What every check here needs: a file in memory, how to read its table, what a refusal has to look like."""

from collections.abc import Sequence
from dataclasses import dataclass

from episeek.errors import EpiseekError
from episeek.mp4.header import read_header
from episeek.mp4.sample_table import SampleTable, parse_sample_table
from episeek.stores.identity import FileIdentity
from episeek.stores.transfers import Transfers

WHERE = "file"
MAX_MESSAGE_CHARACTERS = 600


class InvariantError(AssertionError):
    """A promise that does not hold."""


def hold(condition: object, promise: str) -> None:
    """Raises InvariantError unless the condition is true."""
    if not condition:
        raise InvariantError(promise)


@dataclass(slots=True)
class PaddedSource:
    """One file that is `data` and zeros up to `file_size`."""

    data: bytes
    file_size: int
    root: str = "memory"
    probe_bytes: int = 1 << 12
    tail_bytes: int = 1 << 12

    def identity(self, path: str) -> FileIdentity:
        return FileIdentity(self.file_size)

    def transfers(self) -> Transfers:
        return Transfers()

    def get_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        for start, stop in ranges:
            hold(0 <= start <= stop <= self.file_size, f"asked for {start} to {stop} of {self.file_size} bytes")
        return [self.data[start:stop].ljust(stop - start, b"\0") for start, stop in ranges]


def read_table(source: PaddedSource) -> SampleTable:
    """Header and table of a file."""
    header = read_header(source, WHERE)
    hold(0 <= header.moov_offset <= header.file_size - len(header.moov), "moov within the file")
    hold(0 <= header.mdat_offset <= header.file_size, "mdat within the file")
    for fragment in header.fragments:
        hold(0 <= fragment.offset <= header.file_size - len(fragment.moof), "moof within the file")
    return parse_sample_table(header.moov, file_size=header.file_size, where=WHERE, fragments=header.fragments)


def check_refusal(error: EpiseekError) -> str:
    """The refusal's name, when it says where, on one short line."""
    message = str(error)
    hold(error.where.startswith(WHERE), f"a refusal names the file: {message[:200]!r}")
    hold(message.isprintable(), f"a refusal is one printable line: {message[:200]!r}")
    hold(len(message) <= MAX_MESSAGE_CHARACTERS, f"a refusal is short, not {len(message)} characters")
    return type(error).__name__

"""Values that all codecs share: the bytes of a sample as far as they are read, and what is found in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class MissingBytesError(Exception):
    """Bytes of a sample that have not been read: `[start, stop)` from its first byte."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__(f"bytes {start} to {stop} of a sample")
        self.start = start
        self.stop = stop


class SampleBytes:
    """The bytes of one sample, of which some have been read."""

    __slots__ = ("_pieces", "size")

    def __init__(self, size: int, first: bytes = b"") -> None:
        self.size = size
        """Bytes of the whole sample."""
        self._pieces = [(0, first)] if first else []

    def add(self, start: int, data: bytes) -> None:
        """Take over bytes that were read from offset `start`."""
        self._pieces.append((start, data))

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`, or fewer at the end of the sample.

        Raises:
            MissingBytesError: They have not been read.
        """
        stop = min(stop, self.size)
        if start >= stop:
            return b""
        for offset, data in self._pieces:
            if offset <= start and stop <= offset + len(data):
                return data[start - offset : stop - offset]
        raise MissingBytesError(start, stop)


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of a stream that stays in force until another one replaces it: a parameter set, a header, a table."""

    kind: str
    number: int
    """Its id among the units of its kind."""
    data: bytes
    """The unit itself, without a length field or start code where the codec has these."""
    refers_to: int = 0
    """Id of the unit that it builds on, where the codec has such."""


@dataclass(frozen=True, slots=True)
class SampleContent:
    """The content of one sample, from its bytes."""

    is_start: bool
    """Whether pictures are right from here on, if all units in force are known."""
    before: tuple[Unit, ...] = ()
    """Units before the sample's first picture, in order."""
    after: tuple[Unit, ...] = ()
    """Units after it began."""
    is_skipped: bool = False
    """Whether decoders skip the picture where decoding starts at the sample before it that is a start."""
    is_clean_start: bool = False
    """Whether no picture may be shown before it that follows it in decode order."""
    is_reset: bool = False
    """Whether nothing that was decoded before matters to it and to what follows, nor to the order in which pictures come out."""


State = dict[tuple[str, int], tuple[Unit, ...]]
"""Units in force by kind and id; with each, first, the units that it was built on when it was decoded."""


class Codec(Protocol):
    """The rules of one codec, for samples of one sample entry. Decoders are those of FFmpeg."""

    starts_reset: bool
    """Whether every start resets decoding; otherwise, `SampleContent.is_reset` says of each whether it does."""
    is_header_trusted: bool
    """Whether the header of a file in a store is believed where it flags some of the samples, and not all, as sync samples."""
    damage_without_units: str
    """The damage of a sample where units in force are not portable, in words; empty where it decodes after its predecessors."""

    def entry_units(self) -> tuple[Unit, ...]:
        """Return the units that decoders take from the sample entry."""
        ...

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return what is found in a sample.

        Raises:
            MissingBytesError: More of the sample has to be read.
        """
        ...

    def apply(self, state: State, unit: Unit) -> None:
        """Put a unit in force, as decoders do when they meet it."""
        ...

    def relevant(self, state: State) -> Mapping[tuple[str, int], tuple[Unit, ...]]:
        """Return the part of a state on which pictures depend."""
        ...

    def is_portable(self, unit: Unit) -> bool:
        """Return whether a sample with this unit before it decodes as one that follows the unit's own sample."""
        ...

    def encode(self, units: tuple[Unit, ...]) -> bytes:
        """Return units as they lie in samples, to be put before a sample."""
        ...


class PlainUnits:
    """The part of a codec's rules that is the same where units replace only units of their own kind and id."""

    starts_reset = True
    is_header_trusted = False
    damage_without_units = ""

    def entry_units(self) -> tuple[Unit, ...]:
        """Return nothing: decoders take nothing from the sample entry."""
        return ()

    def apply(self, state: State, unit: Unit) -> None:
        """Put a unit in force."""
        state[unit.kind, unit.number] = (unit,)

    def relevant(self, state: State) -> Mapping[tuple[str, int], tuple[Unit, ...]]:
        """Return the state: all of it matters."""
        return state

    def is_portable(self, unit: Unit) -> bool:
        """Return that the unit can be put before any sample."""
        return True

    def encode(self, units: tuple[Unit, ...]) -> bytes:
        """Return units as they lie in samples, one after the other."""
        return b"".join(unit.data for unit in units)

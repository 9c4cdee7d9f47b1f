"""Values that all codecs share: the bytes of a sample that were read, and the content that a codec's rules find in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class MissingBytesError(Exception):
    """The bytes `[start, stop)` of a sample are needed and have not been read."""

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
        """Add bytes that were read at offset `start` of the sample."""
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
    """Id of the unit among the units of its kind."""
    data: bytes
    """The unit itself, without a length field or start code where the codec has these."""
    refers_to: int = 0
    """Id of the unit that this one refers to, in codecs whose units refer to one another."""


@dataclass(frozen=True, slots=True)
class SampleContent:
    """The content of one sample: whether decoding can start at it, and the units that it holds."""

    is_start: bool
    """Whether a decoder that starts here, with all units in force, decodes this and all later pictures right."""
    before: tuple[Unit, ...] = ()
    """Units before the sample's first picture, in order."""
    after: tuple[Unit, ...] = ()
    """Units after the start of the sample's first picture, in order."""
    is_skipped: bool = False
    """Whether decoders skip the picture if they start at the last start before it."""
    is_clean_start: bool = False
    """Whether every picture that follows in decode order is also shown later."""
    is_reset: bool = False
    """Whether neither the following pictures nor their order depend on anything that was decoded before the sample."""


State = dict[tuple[str, int], tuple[Unit, ...]]
"""Units in force, by kind and id. Each comes after the units that it referred to when it was decoded."""


class Codec(Protocol):
    """The rules of one codec, for samples of one sample entry. "Decoders" are those of FFmpeg."""

    starts_reset: bool
    """Whether every start resets decoding. If not, `SampleContent.is_reset` says which starts do."""
    is_header_trusted: bool
    """Whether a header that flags some samples as sync samples, and not all, is trusted for files in a store."""
    damage_without_units: str
    """Words for the damage of a sample that needs units which are not portable; empty if it can be decoded after earlier
    samples.
    """

    def entry_units(self) -> tuple[Unit, ...]:
        """Return the units that decoders take from the sample entry."""
        ...

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return the content of a sample.

        Raises:
            MissingBytesError: More of the sample has to be read.
        """
        ...

    def apply(self, state: State, unit: Unit) -> None:
        """Put a unit in force, as decoders do when they meet it."""
        ...

    def relevant(self, state: State) -> Mapping[tuple[str, int], tuple[Unit, ...]]:
        """Return the units of a state on which pictures depend."""
        ...

    def is_portable(self, unit: Unit) -> bool:
        """Return whether the unit can be put before another sample, with the same effect as in its own sample."""
        ...

    def encode(self, units: tuple[Unit, ...]) -> bytes:
        """Return units in the form that samples have, as bytes to put before a sample."""
        ...


class PlainUnits:
    """The rules that codecs share in which a unit replaces only the unit of its own kind and id."""

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
        """Return units in the form that samples have, one after the other."""
        return b"".join(unit.data for unit in units)

"""Classes that all codecs share: the bytes of a sample that were read, and the content that a `Codec` finds in them."""

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
    """The bytes of one sample that have been read so far."""

    __slots__ = ("_pieces", "size")

    def __init__(self, size: int, first: bytes = b"") -> None:
        self.size = size
        """Size of the whole sample in bytes."""
        self._pieces = [(0, first)] if first else []

    def add(self, start: int, data: bytes) -> None:
        """Add bytes that were read at offset `start` of the sample."""
        self._pieces.append((start, data))

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`, or fewer at the end of the sample.

        Raises:
            MissingBytesError: Some of these bytes have not been read.
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
    """A part of a stream that stays in force until another unit replaces it: a parameter set, a header or a table."""

    kind: str
    number: int
    """Id of the unit among the units of its kind."""
    data: bytes
    """The bytes of the unit. A NAL unit is without its length field or start code."""
    refers_to: int = 0
    """Id of the unit to which this unit refers; 0 in codecs whose units do not refer to one another."""


@dataclass(frozen=True, slots=True)
class SampleContent:
    """The content of one sample: whether decoding can start at it, and the units that it contains."""

    is_start: bool
    """Whether a decoder that starts here, with all units in force, correctly decodes this picture and all later ones."""
    before: tuple[Unit, ...] = ()
    """Units before the sample's first picture, in order."""
    after: tuple[Unit, ...] = ()
    """Units after the start of the sample's first picture, in order."""
    is_skipped: bool = False
    """Whether decoders skip the sample's picture if they begin at the last start before it."""
    is_clean_start: bool = False
    """Whether every picture that follows in decode order is also shown later."""
    is_reset: bool = False
    """Whether neither the following pictures nor their order depend on anything that was decoded before the sample."""


State = dict[tuple[str, int], tuple[Unit, ...]]
"""The units in force, by kind and id.

Each tuple ends with the unit itself. Before it are the units to which it referred when it was decoded.
"""


class Codec(Protocol):
    """The functions that depend on the codec of a sample entry, such as finding parameter sets in its samples.

    In this class, "decoders" means the decoders of FFmpeg.
    """

    starts_reset: bool
    """Whether each picture at which decoding can start makes all later pictures independent of earlier ones.

    If not, `SampleContent.is_reset` says which pictures do so.
    """
    is_header_trusted: bool
    """Whether the sync flags in the header of a file in a store are trusted, if they mark some samples and not all."""
    damage_without_units: str
    """The end of a message "found sample N ..." about a sample that needs units which cannot be put before another sample.

    It is empty if the sample can be decoded after earlier samples.
    """

    def entry_units(self) -> tuple[Unit, ...]:
        """Return the units that decoders take from the sample entry."""
        ...

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return the content of a sample: whether decoding can start at it, and the units that it contains.

        Raises:
            MissingBytesError: More of the sample has to be read.
        """
        ...

    def apply(self, state: State, unit: Unit) -> None:
        """Update `state`, the units in force, as decoders do when they read `unit`."""
        ...

    def relevant(self, state: State) -> Mapping[tuple[str, int], tuple[Unit, ...]]:
        """Return the part of a state on which decoded pictures depend."""
        ...

    def is_portable(self, unit: Unit) -> bool:
        """Return whether the unit can be put in front of another sample without a change of its effect."""
        ...

    def encode(self, units: tuple[Unit, ...]) -> bytes:
        """Return the bytes to put before a sample so that decoders read these units first."""
        ...


class PlainUnits:
    """Base class of each `Codec` in which a unit (a header or a table) replaces only the unit of the same kind and id."""

    starts_reset = True
    is_header_trusted = False
    damage_without_units = ""

    def entry_units(self) -> tuple[Unit, ...]:
        """Return an empty tuple: decoders take no units from the sample entry."""
        return ()

    def apply(self, state: State, unit: Unit) -> None:
        """Add `unit` to `state`, in place of the unit of the same kind and id."""
        state[unit.kind, unit.number] = (unit,)

    def relevant(self, state: State) -> Mapping[tuple[str, int], tuple[Unit, ...]]:
        """Return the whole state: pictures depend on all of its units."""
        return state

    def is_portable(self, unit: Unit) -> bool:
        """Return True: the unit can be put before any sample."""
        return True

    def encode(self, units: tuple[Unit, ...]) -> bytes:
        """Return the bytes of the units, one after the other, as in a sample."""
        return b"".join(unit.data for unit in units)

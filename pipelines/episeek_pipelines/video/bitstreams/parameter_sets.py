"""Base classes of the codecs H.264, HEVC and VVC: parameter sets are NAL units in the sample entry or in any sample."""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import ClassVar

from episeek_pipelines.video.bitstreams.nal_units import MAX_HEADER_BYTES, NalKinds, framed, nal_units
from episeek_pipelines.video.bitstreams.sample import SampleBytes, SampleContent, State, Unit

_SETS_IN_ENTRY = frozenset({"avc1", "avc2", "dva1", "hvc1", "hvc2", "dvh1", "vvc1"})
"""Types of sample entries that contain all parameter sets, so that samples contain none (ISO/IEC 14496-15)."""

_NOT_REPEATED = re.compile(rb"x265 .*\bno-repeat-headers\b", re.DOTALL)
"""The text in hvcC with which x265 says that it writes parameter sets only once. FFmpeg writes the entry type hev1 in any case."""


class ParameterSets(ABC):
    """Base class of each `Codec` with parameter sets. An instance is for the samples of one sample entry.

    Args:
        configuration: The payload of the entry's avcC, hvcC or vvcC box; None if samples have start codes.
        length_bytes: Size of a NAL unit's length field in bytes; 0 if units follow start codes.
        entry_type: The type of the sample entry.
    """

    nal_kinds: ClassVar[NalKinds]
    starts_reset = False
    is_header_trusted = False
    damage_without_units = ""

    def __init__(self, configuration: bytes | None, length_bytes: int, entry_type: str) -> None:
        self._configuration = configuration or b""
        self.length_bytes = length_bytes
        self._has_sets_by_type = entry_type in _SETS_IN_ENTRY

    @property
    def is_entry_complete(self) -> bool:
        """Whether the sample entry is certain to contain all parameter sets.

        Either the type of the entry says so, or the text of the encoder x265 in the entry.
        """
        says_so = self._has_sets_by_type or _NOT_REPEATED.search(self._configuration) is not None
        return bool(self.length_bytes) and says_so and {"sps", "pps"} <= {unit.kind for unit in self.entry_units()}

    @abstractmethod
    def entry_units(self) -> tuple[Unit, ...]:
        """Return the parameter sets of the sample entry."""

    @abstractmethod
    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return the parameter sets of a sample, and whether decoding can start at it. See `Codec.inspect`."""

    @abstractmethod
    def apply(self, state: State, unit: Unit) -> None:
        """Update `state`, the units in force, as decoders do when they read `unit`. See `Codec.apply`."""

    def relevant(self, state: State) -> Mapping[tuple[str, int], tuple[Unit, ...]]:
        """Return the whole `state`, the parameter sets in force: pictures depend on all of them."""
        return state

    def is_portable(self, unit: Unit) -> bool:
        """Return True: a parameter set can be put before any sample."""
        return True

    def encode(self, units: tuple[Unit, ...]) -> bytes:
        """Return the bytes of these NAL units, each after its length field or start code, as in a sample."""
        return framed([unit.data for unit in units], self.length_bytes)


class LayeredSets(ParameterSets):
    """Base class of the codecs HEVC and VVC.

    In these codecs the type of a NAL unit determines the kind of picture, and parameter sets refer to sets of a higher layer.
    """

    starts: ClassVar[Collection[int]]
    """NAL unit types of pictures at which decoding can start."""
    resets: ClassVar[Collection[int]]
    """NAL unit types of pictures after which decoders need no earlier picture, not even for leading pictures."""
    skipped: ClassVar[Collection[int]]
    """NAL unit types of leading pictures that decoders skip if decoding starts at the picture that they lead."""
    dependents: ClassVar[Mapping[str, str]]
    """For each kind of parameter set, the kind of the sets that refer to it."""

    @staticmethod
    @abstractmethod
    def unit_of(nal: bytes) -> Unit | None:
        """Return the parameter set in a NAL unit, or None for a NAL unit of another type and for a damaged one."""

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return whether decoding can start at a sample, and the parameter sets in the sample. See `Codec.inspect`.

        The type of the picture's NAL unit says whether decoding can start.
        """
        before: list[Unit] = []
        after: list[Unit] = []
        picture: int | None = None
        for nal in nal_units(sample, self.length_bytes):
            kind = self.nal_kinds.of(nal.head(MAX_HEADER_BYTES))
            if kind in self.nal_kinds.units:
                unit = self.unit_of(nal.data())
                if unit is not None:
                    (before if picture is None else after).append(unit)
            elif kind in self.nal_kinds.pictures and picture is None:
                picture = kind
        is_skipped, is_reset = picture in self.skipped, picture in self.resets
        return SampleContent(picture in self.starts, tuple(before), tuple(after), is_skipped, is_reset=is_reset)

    def drop_dependents(self, state: State, unit: Unit) -> None:
        """Remove from `state`, the parameter sets in force, those that refer to `unit`, directly or through others."""
        kind = self.dependents.get(unit.kind)
        if kind is None:
            return
        for key, (other, *_) in list(state.items()):
            if key[0] == kind and other.refers_to == unit.number:
                del state[key]
                self.drop_dependents(state, other)

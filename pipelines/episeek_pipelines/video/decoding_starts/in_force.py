"""Find the units (parameter sets, headers, tables) of earlier samples that a decoder lacks when it starts at a later sample.

Decoding from the first sample gives the correct pictures. A decoder that starts at a later sample only has the units of the sample
entry and of the sample itself. If a decoder that began at the first sample would have other units in force at the later sample,
these other units are put before the later sample.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from episeek_pipelines.video.bitstreams.sample import Codec, SampleContent, State, Unit

UnitKey = tuple[str, int]
"""Kind and id of a unit."""


@dataclass(frozen=True, slots=True)
class MissingState:
    """The decoder state that is missing if decoding starts at a sample."""

    prefix: bytes | None
    """Bytes to put before the sample; None if no bytes put there give the same state."""
    damage: str = ""
    """The end of a message "found sample N ...", as in `Codec.damage_without_units`.

    It is empty if the sample can be decoded after earlier samples.
    """


@dataclass(frozen=True, slots=True)
class StreamUnits:
    """The units (parameter sets, headers, tables) that matter if a file and other files are decoded together, as one stream."""

    left: frozenset[UnitKey] = frozenset()
    """Units of other files that this file may replace or drop. Empty if its samples only carry units of its sample entries."""
    brought: frozenset[UnitKey] = frozenset()
    """Units that every start of this file carries, so that other files cannot change them."""


def missing_states(
    contents: Mapping[int, SampleContent],
    starts: Iterable[int],
    codecs: Mapping[int, Codec],
    entry_of: Mapping[int, int],
) -> dict[int, MissingState]:
    """Return, by position in decode order, the decoder state that is missing at each start, a sample at which decoding can start.

    Starts that lack nothing have no entry.

    Args:
        contents: The content of samples that were read, by position. The other samples are assumed to carry no units.
        starts: Positions of the starts; `contents` has each of them.
        codecs: The `Codec` of each sample entry that is used, by the entry's index.
        entry_of: The positions at which the sample entry changes, with the index of the new entry. Position 0 is always included.
    """
    entry_states = {index: _state_of(codec) for index, codec in codecs.items()}
    wanted = set(starts)
    found: dict[int, MissingState] = {}
    state: State = {}
    entry = 0
    for position in sorted({*contents, *entry_of}):
        if position in entry_of:
            entry = entry_of[position]
            _apply(codecs[entry], state, codecs[entry].entry_units())
        content = contents.get(position)
        if content is None:
            continue
        codec = codecs[entry]
        if position in wanted and position and (state or content.before):
            missing = _missing(codec, entry_states[entry], state, content.before)
            if missing is not None:
                found[position] = missing
        _apply(codec, state, content.before)
        _apply(codec, state, content.after)
    return found


def leave_traces(contents: Mapping[int, SampleContent], starts: Iterable[int], codecs: Mapping[int, Codec]) -> bool:
    """Return whether a decoder that has decoded one part of a file may decode another part wrongly.

    Wrong decoding is possible if the file contains different units of the same kind and id, and decoding can start at a sample that
    carries no unit of this kind and id.
    """
    values: dict[tuple[str, int], set[bytes]] = {}
    carried = (unit for content in contents.values() for unit in (*content.before, *content.after))
    for unit in (*carried, *(unit for codec in codecs.values() for unit in codec.entry_units())):
        values.setdefault((unit.kind, unit.number), set()).add(unit.data)
    varying = {key for key, found in values.items() if len(found) > 1}
    return any(not varying <= {(unit.kind, unit.number) for unit in contents[start].before} for start in starts)


def stream_units(
    contents: Mapping[int, SampleContent], starts: Iterable[int], codecs: Mapping[int, Codec]
) -> StreamUnits:
    """Return which units of other files in the same stream a file may replace or drop, and which units all of its starts carry.

    Other files cannot change a unit that every start carries. If the samples of the file only carry units of its sample entries,
    the file replaces and drops no unit. Otherwise it may replace every unit on which pictures depend, or make decoders drop the
    unit together with the unit to which it refers.
    """
    carried = [unit for content in contents.values() for unit in (*content.before, *content.after)]
    known = {unit for codec in codecs.values() for unit in codec.entry_units()}
    left: set[UnitKey] = set()
    for codec in codecs.values():
        state = _state_of(codec)
        for unit in carried:
            state[unit.kind, unit.number] = (unit,)
        relevant = codec.relevant(state).keys()
        if any(unit not in known and (unit.kind, unit.number) in relevant for unit in carried):
            left |= relevant
    brought = [frozenset((unit.kind, unit.number) for unit in contents[start].before) for start in starts]
    return StreamUnits(frozenset(left), frozenset.intersection(*brought) if brought else frozenset())


def _missing(codec: Codec, entry: State, state: State, own: tuple[Unit, ...]) -> MissingState | None:
    """Return the decoder state that is missing if decoding starts at a sample, or None if nothing is missing.

    Args:
        codec: The `Codec` of the sample.
        entry: The state of a decoder that has read only the sample entry.
        state: The state of a decoder that has read all samples before this sample.
        own: The units in the sample itself.
    """
    wanted = _after(codec, state, own)
    if codec.relevant(wanted) == codec.relevant(_after(codec, entry, own)):
        return None
    units = _difference(codec, entry, codec.relevant(state))
    if not all(map(codec.is_portable, units)):
        return MissingState(None, codec.damage_without_units)
    is_right = codec.relevant(_after(codec, _after(codec, entry, units), own)) == codec.relevant(wanted)
    return MissingState(codec.encode(units) if is_right else None)


def _difference(codec: Codec, known: State, wanted: Mapping[tuple[str, int], tuple[Unit, ...]]) -> tuple[Unit, ...]:
    """Return the units that change the state `known` into the state `wanted`, or into a state as similar to it as possible."""
    state = dict(known)
    units: list[Unit] = []
    # the second pass restores units that were put in force for others and have been replaced since
    for _ in range(2):
        for key, chain in wanted.items():
            if state.get(key) == chain:
                continue
            for unit in chain:
                if unit is chain[-1] or state.get((unit.kind, unit.number)) != (unit,):
                    units.append(unit)
                    codec.apply(state, unit)
    return tuple(units)


def _state_of(codec: Codec) -> State:
    state: State = {}
    _apply(codec, state, codec.entry_units())
    return state


def _after(codec: Codec, state: State, units: tuple[Unit, ...]) -> State:
    following = dict(state)
    _apply(codec, following, units)
    return following


def _apply(codec: Codec, state: State, units: Iterable[Unit]) -> None:
    for unit in units:
        codec.apply(state, unit)

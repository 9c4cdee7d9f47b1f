"""The samples of one track in movie fragments: moof, traf and trun boxes (ISO/IEC 14496-12:2022, 8.8).

Fragments are read in file order, which is decode order. Where a run of samples begins, how long its samples are and
what flags they have may be said in four places (trun, tfhd, trex, or not at all: then behind the run before it); the
rules are those of 8.8.7 and 8.8.8. Refused by name: samples of no bytes that only a default announces, more bytes of
samples than the file has, decode times that go back.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import MalformedBoxError, SampleTableError
from episeek.mp4.boxes import Box, box_fields, child_boxes, find_child, parse_box, require_child
from episeek.mp4.sample_boxes import MAX_SAMPLES, Int64Array, SampleColumns

_BASE_DATA_OFFSET = 0x000001
_SAMPLE_DESCRIPTION_INDEX = 0x000002
_DEFAULT_DURATION = 0x000008
_DEFAULT_SIZE = 0x000010
_DEFAULT_FLAGS = 0x000020
_DEFAULT_BASE_IS_MOOF = 0x020000

_DATA_OFFSET = 0x000001
_FIRST_SAMPLE_FLAGS = 0x000004
_DURATION = 0x000100
_SIZE = 0x000200
_FLAGS = 0x000400
_COMPOSITION = 0x000800

_NON_SYNC = 0x00010000 | 0x01000000
"""sample_is_non_sync_sample, or sample_depends_on says that it depends on others (8.8.3.1)."""

_MAX_OFFSET = 1 << 62
_MAX_TICKS = 1 << 60


@dataclass(frozen=True, slots=True)
class Fragment:
    """One moof box as it lies in the file."""

    offset: int
    moof: bytes
    """The whole box, its header included."""

    def __repr__(self) -> str:
        return f"Fragment([{len(self.moof)} bytes at {self.offset}])"


@dataclass(frozen=True, slots=True)
class _Defaults:
    """Of trex (8.8.3), overridden by tfhd (8.8.7)."""

    description_index: int = 1
    duration: int = 0
    size: int = 0
    flags: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One trun box (8.8.8)."""

    offset: int
    sample_count: int
    byte_count: int
    columns: dict[int, npt.NDArray[np.uint32]]
    """By flag, those that are there; shape [sample_count]."""
    first_flags: int | None


@dataclass(frozen=True, slots=True, eq=False)
class _TrackFragment:
    """One traf box (8.8.6)."""

    track_id: int
    first_dts: int | None
    """tfdt; None: it goes on where the one before it ends."""
    defaults: _Defaults
    runs: tuple[_Run, ...]


def announces_fragments(moov: bytes, *, where: str) -> bool:
    """Whether a moov box says that fragments follow: mvex (8.8.1)."""
    return find_child(moov, parse_box(moov, 0, len(moov), where=where), "mvex", where=where) is not None


def read_fragments(
    moov: bytes,
    fragments: tuple[Fragment, ...],
    *,
    track_id: int,
    before: SampleColumns,
    file_size: int,
    where: str,
) -> SampleColumns:
    """The samples of a track in movie fragments, in file order, behind those that moov has.

    Args:
        moov: The whole moov box, with the defaults of the tracks in its mvex.
        fragments: The moof boxes of the file, in its order.
        track_id: The track's, as tkhd says.
        before: The samples of moov: where they end, fragments begin that do not say when.
        file_size: Bytes; no more of them can be samples.
        where: The file, for messages.

    Raises:
        MalformedBoxError, SampleTableError, TruncatedMp4Error: By what is wrong.
    """
    defaults = _defaults(moov, where)
    if track_id not in defaults:
        raise MalformedBoxError(where, f"no 'trex' for track {track_id} in 'mvex'", "one for every track")
    parts: list[SampleColumns] = [before]
    last_dts = int(before.dts[-1]) if len(before) else -1
    dts = last_dts + int(before.duration[-1]) if len(before) else 0
    sample_count = byte_count = 0
    for fragment in fragments:
        for part in _track_fragments(fragment, defaults, where):
            if part.track_id != track_id:
                continue
            if part.first_dts is not None:
                if part.first_dts <= last_dts:  # they may overlap by less than a sample: writers round
                    found = f"a fragment at byte {fragment.offset} that starts at tick {part.first_dts}"
                    raise SampleTableError(
                        where, found, f"a tick after {last_dts}, the decode time of the sample before"
                    )
                dts = part.first_dts
            for run in part.runs:
                sample_count += run.sample_count
                byte_count += run.byte_count
                if sample_count > MAX_SAMPLES or byte_count > file_size:
                    found = f"{sample_count} samples of {byte_count} bytes in fragments"
                    raise SampleTableError(where, found, f"samples within the file's {file_size} bytes")
                if run.sample_count:
                    parts.append(_columns(run, part.defaults, dts))
                    last_dts = int(parts[-1].dts[-1])
                    dts = last_dts + int(parts[-1].duration[-1])
                if dts > _MAX_TICKS:
                    raise SampleTableError(where, f"a decode time of {dts} ticks", f"at most {_MAX_TICKS}")
    return _concatenated(parts)


def _concatenated(parts: Sequence[SampleColumns]) -> SampleColumns:
    """Samples one after the other."""
    has_composition = any(part.composition is not None for part in parts)
    none = np.zeros(0, np.int64)

    def joined(arrays: Iterable[Int64Array]) -> Int64Array:
        return np.concatenate([none, *arrays])

    return SampleColumns(
        joined(part.offset for part in parts),
        joined(part.size for part in parts),
        joined(part.dts for part in parts),
        joined(part.duration for part in parts),
        joined(np.zeros_like(part.dts) if part.composition is None else part.composition for part in parts)
        if has_composition
        else None,
        np.concatenate([none.astype(np.bool_), *(part.is_sync for part in parts)]),
        joined(part.description_index for part in parts),
    )


def _defaults(moov: bytes, where: str) -> dict[int, _Defaults]:
    """trex of each track."""
    root = parse_box(moov, 0, len(moov), where=where)
    extends = require_child(moov, root, "mvex", where=where)
    found: dict[int, _Defaults] = {}
    for box in child_boxes(moov, extends.payload, extends.end, where=where):
        if box.type == "trex":
            track_id, *values = box_fields(moov, box, ">4x5I", where=where)
            found.setdefault(track_id, _Defaults(*values))
    return found


def _track_fragments(fragment: Fragment, defaults: dict[int, _Defaults], where: str) -> Iterator[_TrackFragment]:
    moof = fragment.moof
    place = f"{where}, moof at byte {fragment.offset}"
    end_of_data = fragment.offset  # before the first run, offsets count from the moof
    root = parse_box(moof, 0, len(moof), where=place)
    for traf in child_boxes(moof, root.payload, root.end, where=place):
        if traf.type != "traf":
            continue
        header = require_child(moof, traf, "tfhd", where=place)
        flags, track_id, base, own_defaults = _track_fragment_header(moof, header, defaults, place)
        if not flags & _BASE_DATA_OFFSET:
            base = fragment.offset if flags & _DEFAULT_BASE_IS_MOOF else end_of_data
        position, runs = base, []
        for box in child_boxes(moof, traf.payload, traf.end, where=place):
            if box.type == "trun":
                run = _run(moof, box, own_defaults, base=base, position=position, where=place)
                end_of_data = position = run.offset + run.byte_count
                runs.append(run)
        yield _TrackFragment(track_id, _decode_time(moof, traf, place), own_defaults, tuple(runs))


def _track_fragment_header(
    moof: bytes, tfhd: Box, defaults: dict[int, _Defaults], where: str
) -> tuple[int, int, int, _Defaults]:
    """Flags, track, base data offset (0 without one) and defaults of a track fragment."""
    version_flags, track_id = box_fields(moof, tfhd, ">II", where=where)
    flags = version_flags & 0xFFFFFF
    present = [
        (flag, form)
        for flag, form in (
            (_BASE_DATA_OFFSET, "Q"),
            (_SAMPLE_DESCRIPTION_INDEX, "I"),
            (_DEFAULT_DURATION, "I"),
            (_DEFAULT_SIZE, "I"),
            (_DEFAULT_FLAGS, "I"),
        )
        if flags & flag
    ]
    values = box_fields(moof, tfhd, ">8x" + "".join(form for _, form in present), where=where)
    said: dict[int, int] = dict(zip((flag for flag, _ in present), values, strict=True))
    base = said.get(_BASE_DATA_OFFSET, 0)
    if base >= _MAX_OFFSET:
        raise SampleTableError(where, f"'tfhd' with base data offset {base}", "an offset within the file")
    usual = defaults.get(track_id, _Defaults())
    own = _Defaults(
        said.get(_SAMPLE_DESCRIPTION_INDEX, usual.description_index),
        said.get(_DEFAULT_DURATION, usual.duration),
        said.get(_DEFAULT_SIZE, usual.size),
        said.get(_DEFAULT_FLAGS, usual.flags),
    )
    return flags, track_id, base, own


def _decode_time(moof: bytes, traf: Box, where: str) -> int | None:
    """tfdt (8.8.12)."""
    box = find_child(moof, traf, "tfdt", where=where)
    if box is None:
        return None
    (version,) = box_fields(moof, box, ">B", where=where)
    (ticks,) = box_fields(moof, box, ">4xQ" if version == 1 else ">4xI", where=where)
    if ticks > _MAX_TICKS:
        raise SampleTableError(where, f"a decode time of {ticks} ticks", f"at most {_MAX_TICKS}")
    return int(ticks)


def _run(moof: bytes, trun: Box, defaults: _Defaults, *, base: int, position: int, where: str) -> _Run:
    version_flags, count = box_fields(moof, trun, ">II", where=where)
    flags = version_flags & 0xFFFFFF
    layout = ">8x" + ("i" if flags & _DATA_OFFSET else "") + ("I" if flags & _FIRST_SAMPLE_FLAGS else "")
    optional = list(box_fields(moof, trun, layout, where=where))
    offset = base + optional.pop(0) if flags & _DATA_OFFSET else position
    present = [flag for flag in (_DURATION, _SIZE, _FLAGS, _COMPOSITION) if flags & flag]
    start = trun.payload + struct.calcsize(layout)
    if count * 4 * len(present) > trun.end - start:
        found = f"'trun' with {count} samples in {trun.end - start} bytes"
        raise MalformedBoxError(where, found, f"{4 * len(present)} bytes a sample")
    if count and not flags & _SIZE and not defaults.size:
        raise SampleTableError(where, f"'trun' with {count} samples of 0 bytes", "samples with a size")
    rows = np.frombuffer(moof, ">u4", count * len(present), start).reshape(count if present else 0, len(present))
    columns = {flag: rows[:, number] for number, flag in enumerate(present)}
    byte_count = int(columns[_SIZE].sum(dtype=np.int64)) if flags & _SIZE else count * defaults.size
    first_flags = optional[0] if optional else None
    return _Run(offset, count, byte_count, columns, first_flags)


def _columns(run: _Run, defaults: _Defaults, first_dts: int) -> SampleColumns:
    def column(flag: int, default: int) -> Int64Array:
        values = run.columns.get(flag)
        return np.full(run.sample_count, default, np.int64) if values is None else values.astype(np.int64)

    size, duration = column(_SIZE, defaults.size), column(_DURATION, defaults.duration)
    flags = column(_FLAGS, defaults.flags)
    if run.first_flags is not None:
        flags[0] = run.first_flags
    composition = run.columns.get(_COMPOSITION)
    return SampleColumns(
        run.offset + np.cumsum(size) - size,
        size,
        first_dts + np.cumsum(duration) - duration,
        duration,
        # as in ctts: some writers put signed values into version 0
        None if composition is None else composition.astype(np.uint32).view(np.int32).astype(np.int64),
        flags & _NON_SYNC == 0,
        np.full(run.sample_count, defaults.description_index, np.int64),
    )

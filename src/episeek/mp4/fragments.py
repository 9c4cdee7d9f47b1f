"""Read the samples of one track from movie fragments: moof, traf and trun boxes (ISO/IEC 14496-12:2022, 8.8).

Fragments are read in file order, which is decode order. The offset of a run of samples, and their durations, sizes and flags,
may be given in trun, in tfhd or in trex. A run without an offset follows the previous run (8.8.7 and 8.8.8). Samples at the end
that lie outside the file count as missing: the recording stopped before they were written. Samples whose default size is 0, samples
outside the file before samples within it, and decreasing decode times are refused.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from episeek.errors import MalformedBoxError, SampleTableError
from episeek.mp4.boxes import Box, box_fields, child_boxes, find_child, parse_box, require_child
from episeek.mp4.moov.sample_boxes import MAX_SAMPLES, Int64Array, SampleColumns

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
"""Bits in the flags of samples that are not sync samples: sample_is_non_sync_sample, or a sample_depends_on of 1.

See ISO/IEC 14496-12:2022, 8.8.3.1.
"""

_MAX_OFFSET = 1 << 62
_MAX_TICKS = 1 << 60


@dataclass(frozen=True, slots=True)
class Fragment:
    """One moof box and its offset in the file."""

    offset: int
    """Offset of the box in bytes."""
    moof: bytes
    """The whole box, including its header."""

    def __repr__(self) -> str:
        return f"Fragment([{len(self.moof)} bytes at {self.offset}])"


@dataclass(frozen=True, slots=True)
class _Defaults:
    """Default values of samples: from tfhd, else from trex (ISO/IEC 14496-12:2022, 8.8.7 and 8.8.3)."""

    description_index: int = 1
    duration: int = 0
    size: int = 0
    flags: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One trun box (ISO/IEC 14496-12:2022, 8.8.8)."""

    offset: int
    sample_count: int
    byte_count: int
    columns: dict[int, npt.NDArray[np.uint32]]
    """The columns in the box, by the flag that announces them. Each has shape [sample_count]."""
    first_flags: int | None


@dataclass(frozen=True, slots=True, eq=False)
class _TrackFragment:
    """One traf box (ISO/IEC 14496-12:2022, 8.8.6)."""

    track_id: int
    first_dts: int | None
    """Decode time of the first sample, from tfdt; None without a tfdt box."""
    defaults: _Defaults
    runs: tuple[_Run, ...]


def announces_fragments(moov: bytes, *, where: str) -> bool:
    """Return whether a moov box contains an mvex box, which announces fragments (ISO/IEC 14496-12:2022, 8.8.1)."""
    return find_child(moov, parse_box(moov, 0, len(moov), where=where), "mvex", where=where) is not None


def read_fragments(
    moov: bytes,
    fragments: tuple[Fragment, ...],
    *,
    track_id: int,
    before: SampleColumns,
    times: Mapping[int, int],
    file_size: int,
    where: str,
) -> tuple[SampleColumns, int]:
    """Return a track's samples in moov and in movie fragments, in file order, and the number of samples missing at the end.

    Args:
        moov: The whole moov box, with the defaults of the tracks in its mvex box.
        fragments: The moof boxes of the file, in file order.
        track_id: Id of the track, from tkhd.
        before: The samples in moov, which come first. If the first fragment has no decode time, it starts where they end.
        times: Decode times in ticks for fragments without a tfdt box, by the offset of the moof box.
        file_size: Size of the file in bytes, which limits the total size of the samples.
        where: The file, for messages.

    Raises:
        MalformedBoxError, TruncatedMp4Error: A box is missing or does not fit into the box around it.
        SampleTableError: The fragments contradict each other or the file.
    """
    defaults = _defaults(moov, where)
    if track_id not in defaults:
        raise MalformedBoxError(where, f"no 'trex' for track {track_id} in 'mvex'", "a 'trex' box for every track")
    parts: list[SampleColumns] = [before]
    last_dts = int(before.dts[-1]) if len(before) else -1
    dts = last_dts + int(before.duration[-1]) if len(before) else 0
    sample_count = byte_count = missing = 0
    for fragment in fragments:
        time = times.get(fragment.offset)
        for part in _track_fragments(fragment, defaults, where):
            if part.track_id != track_id:
                continue
            first_dts = time if part.first_dts is None else part.first_dts
            time = None
            if first_dts is not None:
                # fragments may overlap by less than a sample, because writers round
                if first_dts <= last_dts:
                    found = f"a fragment at byte {fragment.offset} that starts at tick {first_dts}"
                    raise SampleTableError(
                        where, found, f"a tick after {last_dts}, the decode time of the previous sample"
                    )
                dts = first_dts
            for announced in part.runs:
                run = _held(announced, part.defaults, file_size)
                if missing and run.sample_count:
                    found = f"{missing} samples outside the file, before samples at byte {run.offset}"
                    raise SampleTableError(where, found, f"samples within the file's {file_size} bytes")
                missing += announced.sample_count - run.sample_count
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
    return _concatenated(parts), missing


def _held(run: _Run, defaults: _Defaults, file_size: int) -> _Run:
    """Return a run without the samples that lie outside the file."""
    room = file_size - run.offset
    if run.byte_count <= room or not run.sample_count:
        return run
    size = run.columns.get(_SIZE)
    if size is None:
        count = max(room, 0) // defaults.size
        byte_count = count * defaults.size
    else:
        end = np.cumsum(size.astype(np.int64))
        count = int(np.searchsorted(end, room, side="right"))
        byte_count = int(end[count - 1]) if count else 0
    columns = {flag: values[:count] for flag, values in run.columns.items()}
    return replace(run, sample_count=count, byte_count=byte_count, columns=columns)


def _concatenated(parts: Sequence[SampleColumns]) -> SampleColumns:
    """Return the samples of all parts, one part after the other."""
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
    """Return the defaults in the trex box of each track, by track id."""
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
    # before the first run, offsets count from the moof box
    end_of_data = fragment.offset
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
    """Return the flags, track id, base data offset and defaults of a track fragment (ISO/IEC 14496-12:2022, 8.8.7).

    A track fragment without a base data offset gets 0.
    """
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
    given: dict[int, int] = dict(zip((flag for flag, _ in present), values, strict=True))
    base = given.get(_BASE_DATA_OFFSET, 0)
    if base >= _MAX_OFFSET:
        raise SampleTableError(where, f"'tfhd' with base data offset {base}", "an offset within the file")
    of_track = defaults.get(track_id, _Defaults())
    own = _Defaults(
        given.get(_SAMPLE_DESCRIPTION_INDEX, of_track.description_index),
        given.get(_DEFAULT_DURATION, of_track.duration),
        given.get(_DEFAULT_SIZE, of_track.size),
        given.get(_DEFAULT_FLAGS, of_track.flags),
    )
    return flags, track_id, base, own


def _decode_time(moof: bytes, traf: Box, where: str) -> int | None:
    """Return the decode time of a track fragment's first sample, from tfdt (ISO/IEC 14496-12:2022, 8.8.12); None without tfdt."""
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
        raise MalformedBoxError(where, found, f"{4 * len(present)} bytes for each sample")
    if count and not flags & _SIZE and not defaults.size:
        raise SampleTableError(where, f"'trun' with {count} samples of 0 bytes", "samples that have bytes")
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
        # signed, as in ctts: some writers put negative values into version 0
        None if composition is None else composition.astype(np.uint32).view(np.int32).astype(np.int64),
        flags & _NON_SYNC == 0,
        np.full(run.sample_count, defaults.description_index, np.int64),
    )

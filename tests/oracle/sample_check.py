"""The sample table against FFmpeg's index, its packets and the frames that it presents."""

from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np

from episeek.mp4.sample_table import SampleTable
from tests.oracle.picture_digest import bytes_digest
from tests.oracle.reference import Entry, Reference
from tests.oracle.verdict import Problems


def check_samples(path: Path, table: SampleTable, reference: Reference, problems: Problems) -> list[int]:
    """Compare; returns, for each frame that the table presents, its position in `reference.frames`, or -1."""
    if reference.is_mp4:
        places = _match(table, reference.entries, "index entry", problems)
        _check_keys(table, reference.entries, places, "index entry", problems)
        sampled = _match(table, reference.packets, "packet", problems)
    else:  # elsewhere a packet's position is that of its block, and the index holds some of them
        sampled = list(range(min(len(table), len(reference.packets))))
        if len(table) != len(reference.packets):
            problems.add(f"{len(table)} samples, {len(reference.packets)} packets of FFmpeg")
    _check_keys(table, reference.packets, sampled, "packet", problems)
    _check_payloads(path, table, reference.packets, sampled, problems)
    shift = _check_times(table, reference, sampled, problems)
    return _match_frames(table, reference, sampled, shift, problems)


def _match(table: SampleTable, entries: list[Entry], what: str, problems: Problems) -> list[int]:
    """The sample of each entry, -1 for none. FFmpeg leaves out samples that its edits do not need, and repeats others."""
    by_place: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, place in enumerate(zip(table.offset.tolist(), table.size.tolist(), strict=True)):
        by_place[place].append(number)
    found, last = [], -1
    for number, entry in enumerate(entries):
        candidates = by_place.get((entry.position, entry.size), [])
        if not candidates:
            problems.add(f"{what} {number} of FFmpeg, {entry.size} bytes at {entry.position}: no such sample")
            found.append(-1)
            continue
        last = next((candidate for candidate in candidates if candidate > last), candidates[0])
        found.append(last)
    shown = [place for place, entry in zip(found, entries, strict=True) if place >= 0 and not entry.is_discarded]
    if shown != sorted(shown):
        problems.add(f"FFmpeg's {what} order is another than the samples'")
    missing = np.flatnonzero(table.is_presented)
    missing = missing[~np.isin(missing, found)]
    if len(missing):
        problems.add(f"{len(missing)} presented samples, {missing[0]} first, have no {what} in FFmpeg")
    return found


def _check_keys(table: SampleTable, entries: list[Entry], places: list[int], what: str, problems: Problems) -> None:
    """No sync sample here that is no key of FFmpeg, but the first, which is one whatever is said.

    FFmpeg takes the flags of the file for keys, and its parsers find more: the pictures of clips show whether those that are
    no sync samples here are rightly none.
    """
    for place, entry in zip(places, entries, strict=False):
        if place > 0 and table.is_sync[place] and not entry.is_key:
            problems.add(f"sample {place}: a sync sample, no key {what} of FFmpeg")


def _check_payloads(
    path: Path, table: SampleTable, packets: list[Entry], places: list[int], problems: Problems
) -> None:
    """The bytes, for what is right about positions and still wrong."""
    with path.open("rb") as stream:
        for place, packet in zip(places, packets, strict=False):
            if place >= 0:
                stream.seek(int(table.offset[place]))
                if bytes_digest(stream.read(int(table.size[place]))) != packet.payload:
                    problems.add(f"sample {place}: other bytes than the packet of FFmpeg")


def _check_times(table: SampleTable, reference: Reference, places: list[int], problems: Problems) -> int:
    """Returns by how many ticks FFmpeg's times are later than ours; the same for all samples."""
    scale = reference.time_base * table.timescale
    shift: int | Fraction | None = None
    for place, packet in zip(places, reference.packets, strict=False):
        if place < 0 or packet.is_discarded or packet.pts is None:
            continue
        difference = packet.pts * scale - int(table.pts[place])
        if shift is None:
            shift = difference
        elif difference != shift:
            problems.add(f"sample {place}: pts {table.pts[place]}, FFmpeg {packet.pts * scale - shift}")
    if shift is not None and Fraction(shift).denominator != 1:
        problems.add(f"FFmpeg's times differ by {shift} ticks")
    return int(shift or 0)


def _match_frames(
    table: SampleTable, reference: Reference, places: list[int], shift: int, problems: Problems
) -> list[int]:
    scale = reference.time_base * table.timescale
    frames = {frame.tick * scale - shift: number for number, frame in enumerate(reference.frames)}
    if len(frames) != len(reference.frames):
        problems.add("two frames of FFmpeg at one time")
    order = table.presentation_order()
    ticks = table.pts[order].tolist()
    more = sorted(frames.keys() - set(ticks))
    if more:
        cut = set(table.pts[~table.is_presented].tolist())
        known = "samples that are not presented here" if cut.issuperset(more) else "no sample's time"
        problems.add(f"FFmpeg presents {len(more)} frames more: {known}, tick {more[0]} first")
    matched = [frames.get(tick, -1) for tick in ticks]
    discarded = {p for p, packet in zip(places, reference.packets, strict=False) if packet.is_discarded}
    cut_there = [rank for rank, number in enumerate(matched) if number < 0 and int(order[rank]) in discarded]
    if cut_there:
        problems.add(f"FFmpeg cuts {len(cut_there)} frames that are presented here, frame {cut_there[0]} first")
    return matched

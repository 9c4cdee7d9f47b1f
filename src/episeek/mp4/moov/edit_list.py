"""Read the edit list of a track (ISO/IEC 14496-12:2022, clause 8.6.6), which maps composition times to presentation times.

The edit lists of recorders and muxers show one run of the media, delayed by empty edits and trimmed at both ends. Several edits
that follow each other without a gap are one run, if samples are stored in presentation order. Other lists are refused: lists with
several runs, other rates, a dwell or an empty edit at the end, and lists that decoders interpret differently.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import EditListError, MalformedBoxError
from episeek.mp4.boxes import Box, box_fields, find_child

_MAX_TICKS = 1 << 60
"""Limit of the delay and of the media time, in ticks. Real edit lists are far below it."""

_RATE_1 = 0x00010000

_MISSPELT_RATES = (0, 1)
"""Rates that mean 1 in a list of one edit: some writers omit the rate or write it as an integer. Decoders ignore all rates."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The presented part of a track: composition times `[media_time, media_time + length)`, presented from time `delay` on.

    All times are ticks of the media.
    """

    delay: int = 0
    media_time: int = 0
    length: int | None = None
    """Number of ticks; None for a part that extends to the end of the media."""
    has_list: bool = True
    """False for a track without an edit list, which presents everything, even before time 0."""

    def presentation_times(self, composition_times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the presentation time of each composition time, also of times that are not presented."""
        return composition_times - (self.media_time - self.delay)

    def is_presented(self, composition_times: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return, for each composition time, whether it is presented."""
        if not self.has_list:
            return np.ones(len(composition_times), np.bool_)
        presented: npt.NDArray[np.bool_] = composition_times >= self.media_time
        if self.length is not None:
            presented &= composition_times < self.media_time + self.length
        return presented


def read_edit(
    moov: bytes,
    track: Box,
    *,
    timescale: int,
    movie_timescale: int,
    is_fragmented: bool,
    is_reordered: bool,
    where: str,
) -> Edit:
    """Return the edit of a track. A track without an edit list has an edit that presents everything.

    Args:
        moov: The whole moov box.
        track: The trak box in it.
        timescale: Ticks per second of the media, for media times.
        movie_timescale: Ticks per second of the movie, for durations.
        is_fragmented: Whether samples are in movie fragments, where a duration of 0 means up to the end.
        is_reordered: Whether samples are presented in a different order than they are decoded.
        where: The file, for messages.

    Raises:
        EditListError: The list does more than delay or trim one run of the media.
        MalformedBoxError: The list does not fit into its box.
    """
    edits_box = find_child(moov, track, "edts", where=where)
    elst = find_child(moov, edits_box, "elst", where=where) if edits_box is not None else None
    if elst is None:
        return Edit(has_list=False)
    version, entry_count = box_fields(moov, elst, ">B3xI", where=where)
    layout = struct.Struct(">QqI" if version == 1 else ">IiI")
    room = elst.end - elst.payload - 8
    if entry_count * layout.size > room:
        found = f"'elst' with {entry_count} entries in {room} bytes"
        raise MalformedBoxError(where, found, f"{layout.size} bytes for each entry")
    edits = [layout.unpack_from(moov, elst.payload + 8 + entry * layout.size) for entry in range(entry_count)]
    if len(edits) == 1 and edits[0][2] in _MISSPELT_RATES:
        edits = [(*edits[0][:2], _RATE_1)]
    first = next((number for number, (_, media_time, _) in enumerate(edits) if media_time != -1), len(edits))
    # empty edits: nothing is presented for their duration
    delay = sum(duration for duration, _, _ in edits[:first])
    shown = edits[first:]
    if not shown and not delay:
        return Edit(has_list=False)
    shown = _joined(shown, lambda duration: _rescale_exactly(duration, timescale, movie_timescale), is_reordered)
    if len(shown) != 1 or shown[0][1] < 0 or shown[0][2] != _RATE_1:
        found = _describe(shown, timescale, movie_timescale)
        raise EditListError(
            where, f"an edit list that shows {found}", "one run of the media at rate 1, which may be delayed"
        )
    duration, media_time, _ = shown[0]
    if not duration and not is_fragmented:
        raise EditListError(
            where,
            "an edit of duration 0 in a file without fragments",
            "a duration above 0: players show nothing otherwise",
        )
    delay_ticks = _rescale(delay, timescale, movie_timescale)
    if max(delay_ticks, media_time) > _MAX_TICKS:
        found = f"a delay of {delay_ticks} and a media time of {media_time} ticks"
        raise EditListError(where, found, f"at most {_MAX_TICKS} ticks")
    return Edit(delay_ticks, media_time, _rescale(duration, timescale, movie_timescale) if duration else None)


def _describe(edits: list[tuple[int, int, int]], timescale: int, movie_timescale: int) -> str:
    """Return the first few edits as text, in seconds."""
    parts = []
    for duration, media_time, rate in edits[:3]:
        what = "nothing" if media_time == -1 else f"the media from {media_time / timescale:g} s"
        speed = "" if rate == _RATE_1 or media_time == -1 else f" at rate {rate / _RATE_1:g}"
        parts.append(f"{what} for {duration / movie_timescale:g} s{speed}")
    if len(edits) > len(parts):
        parts.append(f"{len(edits) - len(parts)} more")
    return ", then ".join(parts) or "nothing but a delay"


def _joined(
    edits: list[tuple[int, int, int]], in_media_ticks: Callable[[int], int | None], is_reordered: bool
) -> list[tuple[int, int, int]]:
    """Return the edits. Consecutive edits at rate 1 are joined if the second starts exactly where the first ends.

    If samples are reordered, edits are not joined: FFmpeg changes the times of the pictures around the end of the first edit, and a
    clip would differ from its file.
    """
    if is_reordered:
        return edits
    joined: list[tuple[int, int, int]] = []
    for duration, media_time, rate in edits:
        if joined and rate == joined[-1][2] == _RATE_1 and min(media_time, joined[-1][1]) >= 0:
            length = in_media_ticks(joined[-1][0])
            if length and duration and media_time == joined[-1][1] + length:
                joined[-1] = (joined[-1][0] + duration, joined[-1][1], rate)
                continue
        joined.append((duration, media_time, rate))
    return joined


def _rescale_exactly(value: int, to: int, by: int) -> int | None:
    """Return `value * to / by`, or None if it is not an integer."""
    return None if value * to % by else value * to // by


def _rescale(value: int, to: int, by: int) -> int:
    """Return `value * to / by`, rounded to the nearest integer, halves up."""
    return (2 * value * to + by) // (2 * by)

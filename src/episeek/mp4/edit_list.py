"""The edit list of a track (ISO/IEC 14496-12:2022, clause 8.6.6): from composition times to presentation times.

One run of the media, delayed by empty edits and trimmed at both ends, is what recorders and muxers write; several edits
of samples in decode order that follow each other without a gap are one run. Anything else (several runs, other rates, a
dwell, an empty edit at the end) is refused by name, and so is what decoders read in ways of their own.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import EditListError, MalformedBoxError
from episeek.mp4.boxes import Box, box_fields, find_child

_MAX_TICKS = 1 << 60
"""Presentation times are 64-bit: a list that moves them further has a value that lies."""

_RATE_1 = 0x00010000


@dataclass(frozen=True, slots=True)
class Edit:
    """What is presented, in ticks of the media: composition times `[media_time, media_time + length)`, from `delay`
    on.
    """

    delay: int = 0
    media_time: int = 0
    length: int | None = None
    """None: to the end."""
    is_there: bool = True
    """False for a track without an edit list: then everything is presented, before time 0, too."""

    def presentation_times(self, composition_times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Composition times moved; those that are not presented, too."""
        return composition_times - (self.media_time - self.delay)

    def is_presented(self, composition_times: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which composition times the edit shows."""
        if not self.is_there:
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
    """The edit of a track; one that shows everything when there is no list.

    Args:
        moov: The whole moov box.
        track: The trak box in it.
        timescale: Ticks per second of the media; of media times.
        movie_timescale: Ticks per second of the movie; of durations.
        is_fragmented: Whether samples are in movie fragments: a duration of 0 then means to the end.
        is_reordered: Whether samples are shown in another order than they are decoded.
        where: The file, for messages.

    Raises:
        EditListError: The list does more than delay or trim one run of media.
        MalformedBoxError: The list does not fit its box.
    """
    edits_box = find_child(moov, track, "edts", where=where)
    elst = find_child(moov, edits_box, "elst", where=where) if edits_box is not None else None
    if elst is None:
        return Edit(is_there=False)
    version, entry_count = box_fields(moov, elst, ">B3xI", where=where)
    layout = struct.Struct(">QqI" if version == 1 else ">IiI")
    room = elst.end - elst.payload - 8
    if entry_count * layout.size > room:
        found = f"'elst' with {entry_count} entries in {room} bytes"
        raise MalformedBoxError(where, found, f"{layout.size} bytes an entry")
    edits = [layout.unpack_from(moov, elst.payload + 8 + entry * layout.size) for entry in range(entry_count)]
    first = next((number for number, (_, media_time, _) in enumerate(edits) if media_time != -1), len(edits))
    delay = sum(duration for duration, _, _ in edits[:first])  # empty edits: nothing is shown for so long
    shown = edits[first:]
    if not shown and not delay:
        return Edit(is_there=False)
    shown = _joined(shown, lambda duration: _rescale_exactly(duration, timescale, movie_timescale), is_reordered)
    if len(shown) != 1 or shown[0][1] < 0 or shown[0][2] != _RATE_1:
        found = _described(shown, timescale, movie_timescale)
        raise EditListError(
            where, f"an edit list that shows {found}", "one run of the media at rate 1, perhaps delayed"
        )
    duration, media_time, _ = shown[0]
    if not duration and not is_fragmented:
        raise EditListError(
            where, "an edit of duration 0", "a duration, in a file without fragments: players show nothing"
        )
    delay_ticks = _rescale(delay, timescale, movie_timescale)
    if max(delay_ticks, media_time) > _MAX_TICKS:
        found = f"a delay of {delay_ticks} and a media time of {media_time} ticks"
        raise EditListError(where, found, f"at most {_MAX_TICKS} ticks")
    return Edit(delay_ticks, media_time, _rescale(duration, timescale, movie_timescale) if duration else None)


def _described(edits: list[tuple[int, int, int]], timescale: int, movie_timescale: int) -> str:
    """The edits, the first few of them, in seconds."""
    parts = []
    for duration, media_time, rate in edits[:3]:
        what = "nothing" if media_time == -1 else f"what is at {media_time / timescale:g} s of the media"
        speed = "" if rate == _RATE_1 or media_time == -1 else f" at rate {rate / _RATE_1:g}"
        parts.append(f"{what} for {duration / movie_timescale:g} s{speed}")
    if len(edits) > len(parts):
        parts.append(f"{len(edits) - len(parts)} more")
    return ", then ".join(parts) or "nothing but a delay"


def _joined(
    edits: list[tuple[int, int, int]], in_media_ticks: Callable[[int], int | None], is_reordered: bool
) -> list[tuple[int, int, int]]:
    """Edits that go on exactly where the one before them ends are one run of the media.

    Not of reordered samples: there FFmpeg moves the pictures around the seam, and a clip would differ from its file.
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
    """`value * to / by`, None where it is no integer."""
    return None if value * to % by else value * to // by


def _rescale(value: int, to: int, by: int) -> int:
    """`value * to / by` to the nearest integer, halves up."""
    return (2 * value * to + by) // (2 * by)

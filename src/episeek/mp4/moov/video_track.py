"""Find the video track of a moov box: its clocks, its matrix and the position of its sample tables.

The video track is the first track with handler `vide` (ISO/IEC 14496-12:2022, 8.4.3). A file without such a track, or with media
data in other files, is refused.
"""

import struct
from dataclasses import dataclass
from itertools import islice

from episeek.errors import MalformedBoxError, NoVideoTrackError, SampleTableError
from episeek.mp4.boxes import Box, box_fields, child_boxes, find_child, parse_box, require_child

IDENTITY_MATRIX = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
"""Matrix of a track whose pictures are shown as they are coded (ISO/IEC 14496-12:2022, 6.2.2)."""

_FRACTION_BITS = (16, 16, 30)
"""Number of fraction bits of the values in each column of a matrix: fixed point 16.16, 16.16 and 2.30."""


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """A trak box and the fields that are read from it. The positions of boxes count from the start of the moov box."""

    box: Box
    track_id: int
    timescale: int
    """Ticks per second of the media, from mdhd."""
    movie_timescale: int
    """Ticks per second of the movie, for durations of edits, from mvhd."""
    matrix: bytes
    """Transformation of the pictures for display, with the matrix of the movie applied: nine big-endian int32, as in tkhd."""
    sample_table: Box
    """The stbl box."""
    width: int = 0
    """Width in pixels of the pictures as they are shown, from tkhd; 0 without a tkhd box."""
    height: int = 0


def find_video_track(moov: bytes, *, where: str) -> VideoTrack:
    """Return the first video track of a moov box.

    Raises:
        NoVideoTrackError: The moov box has no video track.
        SampleTableError: The media data of the track is in another file.
        MalformedBoxError, TruncatedMp4Error: A required box is missing or too small.
    """
    root = parse_box(moov, 0, len(moov), where=where)
    movie_header = require_child(moov, root, "mvhd", where=where)
    track = video_tracks(moov, where=where)[0]
    track_header = find_child(moov, track, "tkhd", where=where)
    media = require_child(moov, track, "mdia", where=where)
    information = require_child(moov, media, "minf", where=where)
    sample_table = require_child(moov, information, "stbl", where=where)
    _require_self_contained(moov, information, sample_table, where)
    return VideoTrack(
        track,
        _track_id(moov, track_header, where) if track_header is not None else 0,
        _timescale(moov, require_child(moov, media, "mdhd", where=where), where),
        _timescale(moov, movie_header, where),
        _matrix(moov, track_header, movie_header, where) if track_header is not None else IDENTITY_MATRIX,
        sample_table,
        *(_shown_size(moov, track_header, where) if track_header is not None else (0, 0)),
    )


def video_tracks(moov: bytes, *, where: str) -> list[Box]:
    """Return the trak boxes with handler `vide` in a moov box, in order.

    Raises:
        NoVideoTrackError: The moov box has no video track.
        MalformedBoxError, TruncatedMp4Error: A box does not fit into the box around it.
    """
    root = parse_box(moov, 0, len(moov), where=where)
    found, handlers = [], []
    for track in child_boxes(moov, root.payload, root.end, where=where):
        if track.type != "trak":
            continue
        media = find_child(moov, track, "mdia", where=where)
        handler_box = find_child(moov, media, "hdlr", where=where) if media is not None else None
        if handler_box is None:
            continue
        (handler,) = box_fields(moov, handler_box, ">8x4s", where=where)
        if handler == b"vide":
            found.append(track)
        handlers.append(handler.decode("latin-1"))
    if found:
        return found
    more = f" and {len(handlers) - 4} more" if len(handlers) > 4 else ""
    found_tracks = f"tracks {handlers[:4]}{more}" if handlers else "no tracks"
    raise NoVideoTrackError(where, found_tracks, "a video track (handler 'vide')")


def _timescale(moov: bytes, box: Box, where: str) -> int:
    """Return the timescale of an mvhd or mdhd box (ISO/IEC 14496-12:2022, 8.2.2 and 8.4.2).

    In both boxes the timescale follows two times of 4 bytes, or of 8 bytes in version 1. As in FFmpeg, a timescale that is 0 or has
    more than 31 bits counts as 1.
    """
    (version,) = box_fields(moov, box, ">B", where=where)
    (timescale,) = box_fields(moov, box, ">4x16xI" if version == 1 else ">4x8xI", where=where)
    return int(timescale) if 0 < timescale < 1 << 31 else 1


def _track_id(moov: bytes, track_header: Box, where: str) -> int:
    """Return the track id of a tkhd box (ISO/IEC 14496-12:2022, 8.3.2).

    The id follows two times of 4 bytes, or of 8 bytes in version 1.
    """
    (version,) = box_fields(moov, track_header, ">B", where=where)
    (track_id,) = box_fields(moov, track_header, ">4x16xI" if version == 1 else ">4x8xI", where=where)
    return int(track_id)


def _shown_size(moov: bytes, track_header: Box, where: str) -> tuple[int, int]:
    """Return the width and height of a tkhd box (ISO/IEC 14496-12:2022, 8.3.2) in whole pixels; (0, 0) if the box is too short."""
    (version,) = box_fields(moov, track_header, ">B", where=where)
    layout = ">88xII" if version == 1 else ">76xII"
    if track_header.end - track_header.payload < struct.calcsize(layout):
        return 0, 0
    width, height = box_fields(moov, track_header, layout, where=where)
    return int(width) >> 16, int(height) >> 16


def _matrix(moov: bytes, track_header: Box, movie_header: Box, where: str) -> bytes:
    """Return the matrix of the track (tkhd) times the matrix of the movie (mvhd); see ISO/IEC 14496-12:2022, 8.3.2 and 8.2.2."""
    (version,) = box_fields(moov, track_header, ">B", where=where)
    track = box_fields(moov, track_header, ">52x9i" if version == 1 else ">40x9i", where=where)
    (version,) = box_fields(moov, movie_header, ">B", where=where)
    layout = ">48x9i" if version == 1 else ">36x9i"
    if movie_header.end - movie_header.payload < struct.calcsize(layout):
        return struct.pack(">9i", *track)
    movie = box_fields(moov, movie_header, layout, where=where)
    if not any(movie) or struct.pack(">9i", *movie) == IDENTITY_MATRIX:
        return struct.pack(">9i", *track)
    product = [
        sum(track[3 * row + k] * movie[3 * k + column] >> _FRACTION_BITS[k] for k in range(3))
        for row in range(3)
        for column in range(3)
    ]
    if max(map(abs, product)) >= 1 << 31:
        raise MalformedBoxError(
            where, f"track matrix {track} and movie matrix {movie}", "matrices whose product has 32-bit values"
        )
    return struct.pack(">9i", *product)


def _require_self_contained(moov: bytes, information: Box, sample_table: Box, where: str) -> None:
    """Raise SampleTableError if a sample entry refers to a data reference that names another file.

    As in decoders, a data reference without a location refers to the file itself. See ISO/IEC 14496-12:2022, 8.5.2 and 8.7.2.
    """
    data_information = find_child(moov, information, "dinf", where=where)
    reference = find_child(moov, data_information, "dref", where=where) if data_information is not None else None
    if reference is None:
        return
    box_fields(moov, reference, ">8x", where=where)
    places = []
    for entry in child_boxes(moov, reference.payload + 8, reference.end, where=where):
        (flags,) = box_fields(moov, entry, ">I", where=where)
        is_named = any(moov[entry.payload + 4 : entry.end])
        places.append(entry.type if is_named and not flags & 1 else "")
    stsd = find_child(moov, sample_table, "stsd", where=where)
    if stsd is None:
        return
    (entry_count,) = box_fields(moov, stsd, ">4xI", where=where)
    # bytes after the last entry are not entries, whatever box they look like
    for entry in islice(child_boxes(moov, stsd.payload + 8, stsd.end, where=where), entry_count):
        (number,) = box_fields(moov, entry, ">6xH", where=where)
        if 0 < number <= len(places) and places[number - 1]:
            found = f"media data in another file ({places[number - 1]!r} reference)"
            raise SampleTableError(where, found, "media data in the file itself")

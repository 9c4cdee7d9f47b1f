"""Provide the reference pictures with which decoded pictures are compared, as digests by frame number within the file.

For a local file, FFmpeg decodes the reference pictures from the file itself, in decode order. For a file in a store, FFmpeg would
have to fetch the whole file. Therefore an episode is decoded from its first frame, and its pictures are the reference for decoding
that starts later in the episode.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

import numpy as np

from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.videos.choice import owners
from episeek_pipelines.verify.videos.frames import ParsedVideo
from episeek_pipelines.verify.videos.picture_reader import decode_file, picture_digest

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream


@dataclass(frozen=True, slots=True)
class Lead:
    """The distance, in samples, from the sample at which decoding starts to the wanted pictures.

    Decoding starts earlier than necessary, so that the pictures are right even if decoding from the nearest sync sample would give
    wrong pictures.
    """

    least: int
    """Smallest distance in samples. Decoding starts at a sync sample at least this far before the wanted pictures."""
    largest: int
    """If the previous episode begins at most this many samples earlier, decoding starts there, since two streams may be joined
    between the episodes.
    """


LONG_LEAD: Final = Lead(32, 512)
SHORT_LEAD: Final = Lead(16, 32)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison of pictures. Frames are numbered within the file, ascending."""

    other: tuple[int, ...]
    """Frames whose picture differs from the reference."""
    unknown: tuple[int, ...]
    """Frames for which the reference has no picture."""


class Reference(Protocol):
    """The reference pictures with which decoded pictures are compared."""

    expected: str
    """A noun phrase that describes the reference pictures in messages."""

    def compare(self, digests: Mapping[int, bytes | None]) -> Comparison:
        """Compare pictures with the reference.

        Args:
            digests: The digests of the pictures by frame number within the file; None for a picture that was not decoded.
        """
        ...


class EpisodeReference:
    """Reference pictures from decoding each episode from its first frame. `add` adds the pictures of an episode."""

    expected = "the pictures that decoding the episode from its start gives"

    def __init__(self) -> None:
        self._digests: dict[int, bytes] = {}

    def add(self, digests: Mapping[int, bytes]) -> None:
        """Add the digests of an episode's pictures, by frame number within the file."""
        self._digests.update(digests)

    def compare(self, digests: Mapping[int, bytes | None]) -> Comparison:
        """Compare pictures with the pictures that `add` has added so far. See `Reference.compare`."""
        return _compared(digests, self._digests)


class FileReference:
    """Reference pictures of a local file, which FFmpeg decodes from the file at the first comparison.

    Decoding from the file's first sample gives the right pictures, but takes long in a long file. Therefore decoding starts shortly
    before the wanted pictures. Only if a picture differs, decoding is repeated from the first sample.

    Args:
        path: The file.
        video: The parsed header of the file.
        wanted: Ranges `[first, stop)` of the frames that will be compared.
        lead: How far before the wanted pictures decoding starts; None to start at the first sample at once.
    """

    expected = "the pictures that decoding the whole file gives"

    def __init__(self, path: Path, video: ParsedVideo, wanted: Iterable[tuple[int, int]], *, lead: Lead | None) -> None:
        self._path, self._video = path, video
        self._runs = _runs(video, sorted(wanted), lead)
        self._frames = [frame for run in self._runs for frame in run.frames]
        self._digests: dict[int, bytes] | None = None

    def compare(self, digests: Mapping[int, bytes | None]) -> Comparison:
        """Compare pictures with the pictures of the file. See `Reference.compare`."""
        if self._digests is None:
            self._digests = {}
            for run in self._runs:
                self._digests |= self._decoded(run)
        compared = _compared(digests, self._digests)
        if compared.other and any(run.start for run in self._runs):
            whole = _Run(0, self._frames)
            self._runs = [whole]
            self._digests = self._decoded(whole)
            compared = _compared(digests, self._digests)
        return compared

    def _decoded(self, run: "_Run") -> dict[int, bytes]:
        pictures = file_pictures(self._path, self._video, run.frames, start=run.start)
        return {frame: picture_digest(picture) for frame, picture in pictures}


def file_pictures(
    path: Path, video: ParsedVideo, frames: Sequence[int], *, start: int = 0
) -> Iterator[tuple[int, "VideoFrame"]]:
    """Yield (frame number, picture) for frames of a local file, as FFmpeg decodes them from the file itself.

    The pictures come in presentation order. A frame that cannot be decoded is left out.

    Args:
        path: The file.
        video: The parsed header of the file.
        frames: The frame numbers.
        start: The sample at which decoding starts, by its position in decode order: 0, or a sync sample.
    """
    table, view = video.table, video.view
    ticks = table.pts[view.decode_position[list(frames)]].tolist()
    start_seconds = Fraction(int(table.pts[start]), table.timescale) if start else None
    frame_of_time = {Fraction(tick, table.timescale): frame for tick, frame in zip(ticks, frames, strict=True)}
    last = max(frame_of_time, default=Fraction(0))
    delay: Fraction | None = None
    for packet, pictures in decode_file(path, start_seconds=start_seconds):
        if delay is None:
            delay = _delay_of(video, packet)
        for picture in pictures:
            if picture.pts is None:
                continue
            seconds = picture.pts * cast(Fraction, picture.time_base) - (delay or 0)
            if seconds > last:
                return
            frame = frame_of_time.get(seconds)
            if frame is not None:
                yield frame, picture


def _delay_of(video: ParsedVideo, packet: "Packet[VideoStream]") -> Fraction | None:
    """Return by how many seconds FFmpeg's times are later than the header's times; None if no sample time matches the packet.

    The times differ because FFmpeg rounds the times of edit lists, and shifts all times of some fragmented files.
    """
    table = video.table
    samples = np.flatnonzero(table.offset == packet.pos)
    if packet.pts is None or packet.is_discard or not len(samples):
        return None
    return packet.pts * packet.time_base - Fraction(int(table.pts[samples[0]]), table.timescale)


@dataclass(slots=True)
class _Run:
    """One decoding pass, and the frames that are wanted from it."""

    start: int
    """The sample at which decoding starts, by its position in decode order: 0, or a sync sample."""
    frames: list[int]
    """The wanted frames, ascending."""


def _runs(video: ParsedVideo, wanted: Sequence[tuple[int, int]], lead: Lead | None) -> list[_Run]:
    """Return the decoding passes that together decode all wanted frames.

    Args:
        video: The parsed header of the file.
        wanted: Ranges `[first, stop)` of frames, sorted by their first frame.
        lead: How far before a range decoding starts; None for one pass from the first sample.
    """
    view = video.view
    sync = np.flatnonzero(video.table.is_sync)
    owner = owners(view)
    runs: list[_Run] = []
    reached = 0
    for first, stop in wanted:
        begin = 0 if lead is None else _start(video, sync, owner, first, lead)
        if not runs or begin > reached:
            runs.append(_Run(begin, []))
        known = runs[-1].frames
        known.extend(range(max(first, known[-1] + 1) if known else first, stop))
        reached = max(reached, int(view.decode_position[first:stop].max(initial=0)))
    return runs


def _start(video: ParsedVideo, sync: Int64Array, owner: Int64Array, frame: int, lead: Lead) -> int:
    """Return the sample at which decoding has to start for a frame: a sync sample before the frame, or sample 0.

    Args:
        video: The parsed header of the file.
        sync: The sync samples, in decode order.
        owner: The result of `owners`.
        frame: The frame.
        lead: How far before the frame decoding starts.

    Returns:
        The position of the sample in decode order.
    """
    view = video.view
    sample = int(view.decode_position[frame])
    start = sample - lead.least
    if owner[frame] > 0:
        before = int(view.decode_position[view.first[owner[frame] - 1]])
        if before < sample <= before + lead.largest:
            start = min(start, before)
    reached = sync[: np.searchsorted(sync, start, side="right")]
    return int(reached[-1]) if len(reached) and start >= lead.largest else 0


def _compared(digests: Mapping[int, bytes | None], reference: Mapping[int, bytes]) -> Comparison:
    return Comparison(
        tuple(sorted(frame for frame, digest in digests.items() if digest != reference.get(frame, digest))),
        tuple(sorted(frame for frame in digests if frame not in reference)),
    )

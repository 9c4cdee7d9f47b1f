"""Provide the reference pictures with which clips are compared, as digests by frame number of the file.

FFmpeg decodes the reference pictures of a local file from the file itself, in decode order. For a file in a store this would fetch
the whole file. There, the pictures of an episode decoded from its first frame are the reference for windows that start later.
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
    """How many samples are decoded before the wanted pictures, so that a false sync sample is noticed."""

    least: int
    """Smallest number of samples. Decoding starts at a sync sample at least this far before the wanted pictures."""
    largest: int
    """If the episode before begins at most this many samples earlier, decoding starts there: two streams may be joined between
    them.
    """


LONG_LEAD: Final = Lead(32, 512)
SHORT_LEAD: Final = Lead(16, 32)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison, as frame numbers of the file, ascending."""

    other: tuple[int, ...]
    """Frames whose picture differs from the reference."""
    unknown: tuple[int, ...]
    """Frames for which the reference has no picture."""


class Reference(Protocol):
    """Pictures to compare with."""

    expected: str
    """A noun phrase for the reference pictures, for messages."""

    def compare(self, digests: Mapping[int, bytes | None]) -> Comparison:
        """Compare digests by frame number of the file with the reference. None is the digest of a picture that was not decoded."""
        ...


class EpisodeReference:
    """Keeps digests of the pictures from decoding each episode from its first frame, and compares others with them."""

    expected = "the pictures that decoding the episode from its start gives"

    def __init__(self) -> None:
        self._digests: dict[int, bytes] = {}

    def add(self, digests: Mapping[int, bytes]) -> None:
        """Add the pictures of an episode, by frame of the file."""
        self._digests.update(digests)

    def compare(self, digests: Mapping[int, bytes | None]) -> Comparison:
        """Compare pictures by frame of the file."""
        return _compared(digests, self._digests)


class FileReference:
    """Decodes the reference pictures of a local file.

    Decoding from the file's first sample gives the right pictures, but takes long in a long file. Therefore decoding starts shortly
    before the wanted pictures, and at the first sample only if a picture then differs.

    Args:
        path: The file.
        video: The parsed header of the file.
        wanted: Ranges `[first, stop)` of the frames that will be compared.
        lead: How far before the wanted pictures decoding starts; None always starts at the first sample.
    """

    expected = "the pictures that decoding the whole file gives"

    def __init__(self, path: Path, video: ParsedVideo, wanted: Iterable[tuple[int, int]], *, lead: Lead | None) -> None:
        self._path, self._video = path, video
        self._runs = _runs(video, sorted(wanted), lead)
        self._frames = [frame for run in self._runs for frame in run.frames]
        self._digests: dict[int, bytes] | None = None

    def compare(self, digests: Mapping[int, bytes | None]) -> Comparison:
        """Compare pictures by frame of the file."""
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
    """Yield frames of a local file with the pictures that FFmpeg decodes from the file itself, in presentation order.

    Args:
        path: The file.
        video: The parsed header of the file.
        frames: The frame numbers. Frames that cannot be decoded are left out.
        start: Position in decode order at which decoding starts: 0, or a sync sample.
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
    """Return by how many seconds FFmpeg's times are later than the header's, or None if the packet does not show it.

    FFmpeg rounds the times of edit lists, and shifts all times of some fragmented files by the same amount.
    """
    table = video.table
    samples = np.flatnonzero(table.offset == packet.pos)
    if packet.pts is None or packet.is_discard or not len(samples):
        return None
    return packet.pts * packet.time_base - Fraction(int(table.pts[samples[0]]), table.timescale)


@dataclass(slots=True)
class _Run:
    """Frames that are decoded in one pass, which starts at a given sample."""

    start: int
    """Position in decode order: 0, or a sync sample."""
    frames: list[int]
    """Wanted frames, ascending."""


def _runs(video: ParsedVideo, wanted: Sequence[tuple[int, int]], lead: Lead | None) -> list[_Run]:
    """Return the decoding passes for ranges of frames, which are sorted by their first frame."""
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
    """Return the decode position at which decoding starts for a frame and the frames after it."""
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

"""Make fingerprints of the episodes of a video file: digests of the sizes, order, times and sample entries of an episode's samples,
and of what its declared seconds cover.

Fingerprints are made from the sample table. They do not depend on the file, on the position of the samples in it, or on the
timescale.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from episeek.errors import EpisodeFramesError
from episeek.mp4.moov.sample_boxes import Int64Array
from episeek.mp4.moov.video_track import video_tracks
from episeek.mp4.window import needed_samples
from episeek.stores.byte_source import CountingSource
from episeek_pipelines.comparison.videos.declared_seconds import DeclaredSeconds, declared_seconds
from episeek_pipelines.comparison.videos.sample_entries import EntryPrint, print_entries
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.video.alignment.encoder_starts import encoder_starts
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, EpisodeFrames, FileFrames, locate_frames
from episeek_pipelines.video.frame_problems import NOT_PLACED, frame_problems
from episeek_pipelines.video.header import VideoHeader, read_video_header


@dataclass(frozen=True, slots=True)
class EpisodeSamples:
    """The fingerprint of an episode in one camera."""

    path: str
    """The path of the video file."""
    start: int
    """The first sample that decoding the episode's frames needs, in decode order."""
    stop: int
    """The sample after the last one that decoding needs, in decode order."""
    frame_count: int
    sizes: bytes
    """A digest of the sizes of the samples `[start, stop)`."""
    order: bytes
    """A digest of the frame number of each sample, which is -1 for samples that are decoded but not shown."""
    flags: bytes
    """A digest of the positions of those samples that the file flags as sync samples."""
    times: bytes
    """A digest of the times of the frames, counted from the first frame."""
    entry: EntryPrint
    seconds: DeclaredSeconds
    """The range of the file that from_timestamp and to_timestamp of the episode select."""

    @property
    def sample_count(self) -> int:
        """The number of samples."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class VideoFilePrint:
    """The fingerprint of a video file."""

    path: str
    byte_count: int
    """Number of bytes that were read."""
    episodes: Mapping[int, EpisodeSamples]
    """The fingerprint of each episode, by number."""
    unplaced: Mapping[int, str]
    """For each episode whose frames are uncertain, the reason, by episode number."""


def print_video(
    root: Root,
    path: str,
    declared: DeclaredEpisodes,
    *,
    fps: float,
    rates: tuple[float, ...],
    file_size: int | None,
) -> VideoFilePrint:
    """Return the fingerprint of a video file, from its header.

    Args:
        root: The root of the videos.
        path: The file.
        declared: The episodes that the metadata declares in it.
        fps: The dataset's frame rate.
        rates: Frame rates, the same for both datasets. Frames that follow one of these rates get the same digest of times in every
            timescale, although their times are rounded to ticks.
        file_size: The size of the file in the listing of a store.

    Raises:
        MissingFileError, ReadError, Mp4Error: The file cannot be read.
    """
    source = CountingSource(root.source())
    header = read_video_header(source, path, file_size=file_size)
    table = header.table
    track_count = len(video_tracks(header.moov, where=path)) if header.moov else 1
    file = FileFrames.of(table, partial(encoder_starts, source, path, table))
    frames = locate_frames(file, declared, fps=fps)
    problems = {problem.row: problem for problem in frame_problems(file, declared, frames, fps=fps)}
    found: dict[int, EpisodeSamples] = {}
    unplaced: dict[int, str] = {}
    for row, number in enumerate(declared.episode_index.tolist()):
        try:
            problem = problems.get(row)
            if problem is not None and problem.kind in NOT_PLACED:
                unplaced[number] = f"found {problem.found}; expected {problem.expected}"
            elif not frames.is_placed[row] or frames.count[row] < 1:
                unplaced[number] = "found no frame of the file at the declared seconds"
            else:
                seconds = declared_seconds(
                    file,
                    declared,
                    frames,
                    row,
                    fps=fps,
                    tick_seconds=1 / table.timescale,
                    problem=None if problem is None else problem.kind,
                )
                found[number] = _print_episode(header, frames, row, path, rates, seconds, track_count)
        except EpisodeFramesError as error:
            unplaced[number] = f"found {error.found}; expected {error.expected}"
    return VideoFilePrint(path, source.byte_count, found, unplaced)


def _print_episode(
    header: VideoHeader,
    frames: EpisodeFrames,
    row: int,
    path: str,
    rates: tuple[float, ...],
    seconds: DeclaredSeconds,
    track_count: int,
) -> EpisodeSamples:
    table = header.table
    order = table.presentation_order()
    first = int(frames.first[row])
    shown = order[first : first + int(frames.count[row])]
    window = needed_samples(table.pts, np.flatnonzero(table.is_sync), shown, where=path)
    rank = np.full(len(window), -1, np.int64)
    rank[shown - window.start] = np.arange(len(shown))
    return EpisodeSamples(
        path,
        window.start,
        window.stop,
        len(shown),
        _digest(table.size[window.start : window.stop]),
        _digest(rank),
        _digest(np.flatnonzero(header.is_flagged[window.start : window.stop])),
        _times(table.pts[shown], table.timescale, rates),
        print_entries(table, window.start, window.stop, where=path, track_count=track_count),
        seconds,
    )


def _times(pts: Int64Array, timescale: int, rates: tuple[float, ...]) -> bytes:
    """Return a digest of the times of frames relative to the first frame.

    If every frame k is shown k / rate seconds after the first frame, to within one tick, the digest depends only on the rate.
    """
    relative = pts - pts[0]
    for rate in rates:
        if (np.abs(relative - np.arange(len(pts)) * (timescale / rate)) <= 1).all():
            return hashlib.sha256(f"a frame every 1 / {rate!r} seconds".encode()).digest()[:16]
    divisor = math.gcd(timescale, int(np.gcd.reduce(relative)))
    return _digest(np.concatenate([[timescale // divisor], relative // divisor]))


def _digest(values: Int64Array) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values, "<i8").tobytes()).digest()[:16]

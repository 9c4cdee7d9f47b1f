"""Read a video file of the source for packing: find its pieces, their sizes and times, and the pieces that may be joined.

Only the header and the first bytes of samples at which decoding starts are read. A file is refused if it is not MP4, or if it is
not certain which frames belong to which episode.
"""

import sys
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from episeek.errors import ContainerError, EpisodeFramesError
from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import CountingSource
from episeek_pipelines.dataset.declared_videos import DeclaredVideo
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.pack.clock import is_on_grid
from episeek_pipelines.pack.descriptions import appearance, used_entries
from episeek_pipelines.pack.pieces import (
    Cut,
    closed_places,
    join_cuts,
    possible_starts,
    require_showable,
    wanted_starts,
)
from episeek_pipelines.video.alignment.encoder_starts import encoder_starts
from episeek_pipelines.video.decoding_starts.in_force import StreamUnits
from episeek_pipelines.video.decoding_starts.joins import Start, read_starts
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_pipelines.video.episode_frames import EpisodeFrames, FileFrames
from episeek_pipelines.video.frame_problems import assign_frames, frame_problems, require_whole
from episeek_pipelines.video.header import VideoHeader, read_video_header

_HINT: Final = "run `episeek verify` for details; correct the dataset, or keep its videos unpacked (--videos copy)"


@dataclass(frozen=True, slots=True)
class PieceEpisode:
    """The frames and the times of one episode in a piece."""

    episode_index: int
    first_frame: int
    """Number of frames in the piece before the episode."""
    length: int
    """Number of frames of the episode."""
    begin_ticks: int
    """Time from the first frame of the piece to the first frame of the episode, in ticks of the source."""
    end_ticks: int
    """Time from the first frame of the piece to the end of the episode's last frame, in ticks of the source."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of samples that decode to the same pictures in any file."""

    start: int
    """Position of the piece's first sample in the source file, in decode order."""
    stop: int
    """Position of the sample after the piece's last sample."""
    size_bytes: int
    """Total size of the samples in bytes."""
    duration_ticks: int
    """Time from the first frame to the end of the last frame, in ticks of the source."""
    is_on_grid: bool
    """Whether frame k is k / fps seconds after frame 0."""
    appearance: str
    """A text that is equal for pieces whose sample entries allow them to be in one packed file."""
    is_reset: bool
    """Whether the piece may follow the samples of another file."""
    episodes: tuple[PieceEpisode, ...]

    @property
    def sample_count(self) -> int:
        """The number of samples in the piece, each of which is a frame."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class SourceVideo:
    """A video file of the source, with its pieces."""

    path: str
    camera_index: int
    version: str
    """A text that identifies this version of the file's contents."""
    header_digest: str
    timescale: int
    units: StreamUnits
    pieces: tuple[Piece, ...]


def read_source_video(
    root: Root, video: DeclaredVideo, *, fps: float, keyframes: KeyframeChoice = "auto", is_whole: bool = False
) -> SourceVideo:
    """Read the header of a video file, and find its pieces.

    Args:
        root: The root of the videos.
        video: The file, with its declared episodes.
        fps: The dataset's frame rate.
        keyframes: As for the index step.
        is_whole: Whether to refuse a file that does not contain exactly the frames of one episode.

    Raises:
        ContainerError: The file is not MP4.
        EpisodeFramesError: It is not certain which frames belong to an episode, or their number differs from the episode's length.
        EpiseekError: The file cannot be indexed.
    """
    version = root.version_of(video.path)
    source = CountingSource(root.source())
    size = None if video.identity is None else video.identity.size
    header = read_video_header(source, video.path, file_size=size, keyframes=keyframes)
    if header.container == "matroska":
        raise ContainerError(video.path, "Matroska or WebM", "MP4", "remux the video to MP4")
    table = header.table
    if is_whole:
        require_whole(table, video.episodes, where=video.path)
    read_marks = partial(encoder_starts, source, video.path, table)
    frames, _ = assign_frames(table, video.episodes, fps=fps, where=video.path, read_marks=read_marks)
    for problem in frame_problems(FileFrames.of(table), video.episodes, frames, fps=fps):
        where = f"{video.path}, episode {video.episodes.episode_index[problem.row]}"
        raise EpisodeFramesError(where, problem.found, problem.expected, _HINT)
    cuts = _cuts(source, header, video, frames)
    starts = read_starts(source, video.path, table, [cut.start for cut in cuts])
    units = header.units
    if units is None:
        # the header was trusted and no samples were read: the units at the starts of the pieces count for the whole file
        brought = frozenset.intersection(*(start.brings for start in starts))
        units = StreamUnits(frozenset().union(*(start.brings for start in starts)), brought)
    pieces = tuple(_piece(table, video, frames, cut, start, fps=fps) for cut, start in zip(cuts, starts, strict=True))
    return SourceVideo(video.path, video.camera_index, version, header.digest, table.timescale, units, pieces)


def _cuts(source: CountingSource, header: VideoHeader, video: DeclaredVideo, frames: EpisodeFrames) -> list[Cut]:
    """Return the pieces of a file. Each piece starts at the start of the file, or at a sample from which on decoding needs no
    earlier sample.
    """
    table = header.table
    closed = closed_places(table)
    starts = possible_starts(table, closed)
    chosen, stops = wanted_starts(table, starts, video.episodes, frames, where=video.path)
    later = np.unique(chosen[chosen > 0])
    resets = [found.is_reset for found in read_starts(source, video.path, table, later.tolist())]
    if not all(resets):
        starts = np.concatenate([[0], later[np.array(resets)]])
        chosen, stops = wanted_starts(table, starts, video.episodes, frames, where=video.path)
    cuts = join_cuts(chosen, stops, closed)
    require_showable(table, cuts, where=video.path)
    return cuts


def _piece(
    table: SampleTable, video: DeclaredVideo, frames: EpisodeFrames, cut: Cut, start: Start, *, fps: float
) -> Piece:
    order = cut.start + np.argsort(table.pts[cut.start : cut.stop], kind="stable")
    pts = table.pts[order]
    used = used_entries(table, cut.start, cut.stop, where=video.path)
    end = int(pts[-1]) + max(1, int(table.duration[order[-1]]))
    presented = table.presentation_order()
    ends = np.append(pts[1:], end)
    episodes = []
    for row in sorted(cut.rows, key=lambda row: int(frames.first[row])):
        length = int(frames.count[row])
        first = int(np.searchsorted(pts, table.pts[presented[frames.first[row]]]))
        shown = presented[frames.first[row] : frames.first[row] + length]
        if not np.array_equal(order[first : first + length], shown):
            where = f"{video.path}, episode {video.episodes.episode_index[row]}"
            raise EpisodeFramesError(
                where, "hidden samples between its frames", "only the frames of the episode", _HINT
            )
        begin, stop = int(pts[first] - pts[0]), int(ends[first + length - 1] - pts[0])
        episodes.append(PieceEpisode(int(video.episodes.episode_index[row]), first, length, begin, stop))
    return Piece(
        start=cut.start,
        stop=cut.stop,
        size_bytes=int(table.size[cut.start : cut.stop].sum()),
        duration_ticks=end - int(pts[0]),
        is_on_grid=is_on_grid(pts, table.timescale, fps),
        appearance=sys.intern(appearance(table, used, where=video.path)),
        is_reset=start.is_reset,
        episodes=tuple(episodes),
    )


def to_document(video: SourceVideo) -> dict[str, Any]:
    """Return a source video as a JSON object."""
    document = asdict(video)
    document["units"] = [sorted(map(list, keys)) for keys in (video.units.left, video.units.brought)]
    return document


def from_document(document: dict[str, Any]) -> SourceVideo:
    """Return the source video that `to_document` converted."""
    pieces = [
        Piece(
            **{
                **piece,
                "appearance": sys.intern(piece["appearance"]),
                "episodes": tuple(PieceEpisode(**episode) for episode in piece["episodes"]),
            }
        )
        for piece in document["pieces"]
    ]
    left, brought = (frozenset((kind, number) for kind, number in keys) for keys in document["units"])
    return SourceVideo(**{**document, "pieces": tuple(pieces), "units": StreamUnits(left, brought)})

"""Which frames of an MP4 belong to which episode.

`meta/episodes` gives seconds, summed as floats, so they drift by a frame after some tens of episodes; it also gives
lengths. Where the lengths of a file's episodes add up to its presented frames, and the order they give does not
contradict the seconds, the ordinals decide; otherwise each episode is looked up by its seconds.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import EpisodeOutsideFileError
from episeek.sample_table import SampleTable

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DeclaredEpisodes:
    """What `meta/episodes` says of the episodes in one MP4, sorted by from_timestamp; arrays of shape
    [episode_count].
    """

    episode_index: Int64Array
    length: Int64Array  # frames
    from_timestamp: Float64Array  # seconds in the file
    to_timestamp: Float64Array

    def __len__(self) -> int:
        return len(self.episode_index)

    @classmethod
    def sorted(
        cls, episode_index: Int64Array, length: Int64Array, from_timestamp: Float64Array, to_timestamp: Float64Array
    ) -> "DeclaredEpisodes":
        """From columns in any order."""
        order = np.lexsort((episode_index, from_timestamp))
        return cls(episode_index[order], length[order], from_timestamp[order], to_timestamp[order])


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeFrames:
    """Frames `[first, first + count)` of the file, in presentation order, for each episode; arrays of shape
    [episode_count].
    """

    first: Int64Array
    count: Int64Array
    by_ordinals: bool
    """False when the seconds decided."""


def locate_frames(seconds: Float64Array, episodes: DeclaredEpisodes, *, fps: float) -> EpisodeFrames:
    """Find the frames of each episode of one file; an episode that lies outside has a count of 0 or less.

    Args:
        seconds: Presentation times of the file's presented frames, ascending, shape [frames].
        episodes: What the metadata declares.
        fps: The dataset's frame rate; half a frame is the tolerance of a lookup by seconds.
    """
    stop = np.cumsum(episodes.length)
    first = stop - episodes.length
    if len(stop) and len(seconds) == stop[-1] and episodes.length.min() > 0:
        middle = seconds[first + episodes.length // 2]
        if np.all((episodes.from_timestamp <= middle) & (middle < episodes.to_timestamp)):
            return EpisodeFrames(first, episodes.length, True)
    half_frame = 0.5 / fps
    first = np.searchsorted(seconds, episodes.from_timestamp - half_frame).astype(np.int64)
    count = np.searchsorted(seconds, episodes.to_timestamp - half_frame).astype(np.int64) - first
    count[np.isnan(episodes.to_timestamp)] = 0  # it sorts behind everything
    return EpisodeFrames(first, count, False)


def assign_frames(table: SampleTable, episodes: DeclaredEpisodes, *, fps: float, where: str) -> EpisodeFrames:
    """`locate_frames` of a file's samples, with an episode outside the file refused.

    Args:
        table: The file's samples.
        episodes: What the metadata declares.
        fps: The dataset's frame rate.
        where: The file, for messages.

    Raises:
        EpisodeOutsideFileError: No frame of the file lies within an episode's seconds.
    """
    seconds = table.pts[table.presentation_order()] / table.timescale
    frames = locate_frames(seconds, episodes, fps=fps)
    outside = np.flatnonzero(frames.count <= 0)
    if len(outside):
        row = int(outside[0])
        last = float(seconds[-1]) if len(seconds) else 0.0
        raise EpisodeOutsideFileError(
            f"{where}, episode {episodes.episode_index[row]}",
            f"declared seconds {episodes.from_timestamp[row]:g} to {episodes.to_timestamp[row]:g}",
            f"seconds within the file's {len(seconds)} frames, 0 to {last:g}",
        )
    return frames

"""Compare the declared seconds of an episode with the times of its frames, in a form that does not depend on the file.

LeRobot requests frame k of an episode at `from_timestamp + k / fps`, takes the nearest frame, and raises FrameTimestampError if
the time of that frame is off by more than 1e-4 seconds. The same frames with other seconds are therefore other pictures to it.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from episeek_pipelines.video.episode_frames import DeclaredEpisodes, EpisodeFrames, FileFrames
from episeek_pipelines.video.frame_problems import FrameProblemKind

TOLERANCE_SECONDS: Final = 1e-4
"""The tolerance of LeRobot's reader."""

_ROUNDING_SECONDS: Final = 1e-6
"""Times that differ by less than this count as equal, since sums of floats are rounded."""


@dataclass(frozen=True, slots=True)
class DeclaredSeconds:
    """The range that from_timestamp and to_timestamp of an episode select, relative to the episode's frames."""

    begin_frames: float
    """Number of frames from the episode's first frame to from_timestamp."""
    end_frames: float
    """Number of frames from the end of the episode's last frame to to_timestamp."""
    problem: FrameProblemKind | None
    """The contradiction between the seconds and the frames; None if they agree."""
    reads: bytes
    """A digest of the frames that LeRobot reads, counted from the first frame, and of whether each is within its tolerance."""

    def differs(self, other: "DeclaredSeconds") -> bool:
        """Return whether LeRobot reads other frames, or the seconds contradict the frames in another way."""
        return self._compared() != other._compared()

    def words(self) -> str:
        """Return what the seconds cover, as text."""
        begin = f"begin {abs(self.begin_frames):.2f} frames {'before' if self.begin_frames < 0 else 'after'} its first frame"
        end = (
            f"end {abs(self.end_frames):.2f} frames {'before' if self.end_frames < 0 else 'after'} its last frame ends"
        )
        return f"{begin} and {end}"

    def _compared(self) -> tuple[object, ...]:
        return self.problem, self.reads, round(self.end_frames) if self.problem is not None else 0


def declared_seconds(
    file: FileFrames,
    episodes: DeclaredEpisodes,
    frames: EpisodeFrames,
    row: int,
    *,
    fps: float,
    tick_seconds: float,
    problem: FrameProblemKind | None,
) -> DeclaredSeconds:
    """Return what the declared seconds of an episode cover.

    Args:
        file: The frames of the file.
        episodes: The declared episodes of the file.
        frames: The frames of each episode.
        row: The position of the episode among those of the file.
        fps: The dataset's frame rate.
        tick_seconds: The duration of one tick of the file. An error of one tick is allowed, as times are rounded to ticks.
        problem: The contradiction that `frame_problems` finds for the episode.
    """
    first, length = int(frames.first[row]), int(episodes.length[row])
    asked = episodes.from_timestamp[row] + np.arange(length) / fps
    after = np.clip(np.searchsorted(file.seconds, asked), 0, len(file) - 1)
    before = np.maximum(after - 1, 0)
    # of two frames that are equally near, rounding must not decide
    is_after = np.abs(file.seconds[after] - asked) < np.abs(asked - file.seconds[before]) - _ROUNDING_SECONDS
    nearest = np.where(is_after, after, before)
    tolerance = max(TOLERANCE_SECONDS, tick_seconds) + _ROUNDING_SECONDS
    is_within = np.abs(file.seconds[nearest] - asked) <= tolerance
    read = np.stack([nearest - first, is_within], axis=1)
    return DeclaredSeconds(
        float(frames.declared.begin[row]) - first,
        float(frames.declared.end[row]) - (first + length),
        problem,
        hashlib.sha256(np.ascontiguousarray(read, "<i8").tobytes()).digest()[:16],
    )

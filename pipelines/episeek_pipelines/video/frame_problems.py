"""Find contradictions between the declared episodes of a file and its frames. The index step and `verify` report them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from episeek.errors import EpisodeFramesError, EpisodeOutsideFileError
from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.video.episode_frames import (
    DeclaredEpisodes,
    EpisodeFrames,
    FileFrames,
    ReadMarks,
    locate_frames,
)
from episeek_pipelines.words import counted

FrameProblemKind = Literal["absent", "contested", "uncertain", "missing", "surplus", "displaced", "duration"]
"""The kind of a contradiction.

- `absent`: the file has no frame of the episode, because its other episodes have all frames of the file.
- `contested`: the episode's seconds and length give frames that another episode of the file needs as well.
- `uncertain`: the evidence allows two first frames for the episode, or its seconds are empty, invalid or far from its frames.
- `missing`: the file has fewer frames of the episode than the episode's length.
- `surplus`: the episode's seconds also cover frames after its last frame, which belong to no episode.
- `displaced`: the episode's seconds cover other frames than its own.
- `duration`: the episode's frames are complete, but its seconds cover another number of frames.
"""

NOT_PLACED: Final[frozenset[FrameProblemKind]] = frozenset(("absent", "contested", "uncertain"))
"""The kinds of the problems with which it is not known where the frames of the episode are."""

_HALF_FRAME = 0.5


@dataclass(frozen=True, slots=True)
class FrameProblem:
    """A contradiction between the declaration of an episode and the file."""

    row: int
    """Position of the episode among the file's episodes."""
    kind: FrameProblemKind
    found: str
    expected: str


def frame_problems(
    file: FileFrames, episodes: DeclaredEpisodes, frames: EpisodeFrames, *, fps: float
) -> Iterator[FrameProblem]:
    """Yield the most serious problem of each episode that has one, in the order of the episodes in the file."""
    held = (episodes.to_timestamp - episodes.from_timestamp) * fps
    # the seconds may follow the dataset's rate or the file's times
    off = np.minimum(np.abs(held - episodes.length), np.abs(frames.declared.span - episodes.length))
    if len(file) and not file.has_steady_rate:
        # without a steady rate, the duration of the last frame is unknown
        off[(frames.first + frames.count == len(file)) & (episodes.to_timestamp > file.seconds[-1])] = 0
    for row in range(len(episodes)):
        length, first = int(episodes.length[row]), int(frames.first[row])
        seconds = f"seconds {episodes.from_timestamp[row]:.6f} to {episodes.to_timestamp[row]:.6f}"
        if frames.is_absent[row]:
            found = f"no frame of the episode: other episodes have all {counted(len(file), 'frame')} of the file"
            yield FrameProblem(row, "absent", found, f"{length}, the episode's length")
        elif frames.is_contested[row]:
            same = np.flatnonzero(frames.is_contested & (frames.first < first + length))
            same = same[(same != row) & (frames.first[same] + episodes.length[same] > first)]
            numbers = ", ".join(str(number) for number in episodes.episode_index[same].tolist())
            found = f"frames {first} to {first + length - 1} of {len(file)}, which episode {numbers} needs as well"
            yield FrameProblem(row, "contested", found, "frames of the episode alone")
        elif not frames.is_placed[row]:
            yield FrameProblem(row, "uncertain", *_readings(frames, episodes, row, len(file)))
        elif frames.count[row] < length:
            found = f"no frame of the episode in the file, which has {counted(len(file), 'frame')}"
            if frames.count[row]:
                held_text = f"{counted(int(frames.count[row]), 'frame')} of the episode in the file"
                found = f"{held_text}, {frame_range(first, int(frames.count[row]), len(file))} of {len(file)}"
            yield FrameProblem(row, "missing", found, f"{length}, the episode's length")
        elif frames.is_doubtful[row]:
            late = frames.declared.begin[row] - first
            found = f"{seconds}, which begin {abs(late):.2f} frames {'after' if late > 0 else 'before'} the episode's first frame"
            before = int(frames.surplus[row - 1]) if row else frames.head
            after = f", after {counted(before, 'frame')} of no episode" if before else ""
            expected = f"{_seconds(file, first, length)}, the times of the episode's frames{after}"
            yield FrameProblem(row, "displaced", found, expected)
        elif off[row] > _HALF_FRAME:
            tail = int(frames.tail[row])
            is_surplus = abs(frames.declared.span[row] - length - tail) <= _HALF_FRAME and tail > 0
            more = f", of which {counted(tail, 'frame')} {'has' if tail == 1 else 'have'} no row" if is_surplus else ""
            stop = episodes.from_timestamp[row] + frame_duration(file, first, length)
            expected = f"to_timestamp {stop:.6f}, for the {counted(length, 'frame')} of the episode's length"
            yield FrameProblem(
                row,
                "surplus" if is_surplus else "duration",
                f"{seconds}, which cover {held[row]:.2f} frames{more}",
                expected,
            )


def require_whole(table: SampleTable, episodes: DeclaredEpisodes, *, where: str) -> None:
    """Raise an error if the video file of a dataset of version 2.x has more or fewer frames than its only episode.

    Args:
        table: The file's sample table.
        episodes: The declared episodes.
        where: The file, for messages.

    Raises:
        EpisodeFramesError: The file has more or fewer frames than its episode.
    """
    frame_count, length = len(table.presentation_order()), int(episodes.length.sum())
    if frame_count != length:
        place = f"{where}, episode {episodes.episode_index[0]}"
        hint = (
            "if the episode has as many rows as the file has frames, set length in meta/episodes.jsonl to this number; otherwise "
            "restore the file, or leave the episode out with --skip-episodes"
        )
        raise EpisodeFramesError(place, counted(frame_count, "frame"), f"{length}, the episode's length", hint)


def assign_frames(
    table: SampleTable, episodes: DeclaredEpisodes, *, fps: float, where: str, read_marks: ReadMarks | None = None
) -> tuple[EpisodeFrames, list[str]]:
    """Find the frames of each episode with `locate_frames`. Refuse episodes outside the file or with an uncertain first frame.

    Args:
        table: The file's sample table.
        episodes: The declared episodes.
        fps: The dataset's frame rate.
        where: The file, for messages.
        read_marks: Reads whether an encoder started at each frame; None if the samples cannot be read.

    Returns:
        The frames, and a warning for each episode that was placed although its declaration contradicts the file.

    Raises:
        EpisodeOutsideFileError: No frame of the file lies within an episode's seconds.
        EpisodeFramesError: Seconds and lengths contradict each other, and the file does not show which are right.
    """
    file = FileFrames.of(table, read_marks)
    frames = locate_frames(file, episodes, fps=fps)
    seconds = file.seconds
    half_frame = 0.5 / fps
    held = np.searchsorted(seconds, episodes.to_timestamp - half_frame)
    held -= np.searchsorted(seconds, episodes.from_timestamp - half_frame)
    # np.searchsorted takes NaN for greater than all numbers
    held[~episodes.is_finite] = 0
    outside = np.flatnonzero(np.where(frames.is_placed, frames.count, held) <= 0)
    if len(outside):
        row = int(outside[0])
        last = float(seconds[-1]) if len(seconds) else 0.0
        raise EpisodeOutsideFileError(
            f"{where}, episode {episodes.episode_index[row]}",
            f"declared seconds {episodes.from_timestamp[row]:g} to {episodes.to_timestamp[row]:g}",
            f"seconds within 0 to {last:g}, the times of the file's {counted(len(seconds), 'frame')}",
        )
    warnings = []
    for problem in frame_problems(file, episodes, frames, fps=fps):
        place = f"{where}, episode {episodes.episode_index[problem.row]}"
        if problem.kind in NOT_PLACED:
            raise EpisodeFramesError(place, problem.found, problem.expected)
        warnings.append(f"{place}: found {problem.found}; expected {problem.expected}")
    return frames, warnings


def _readings(frames: EpisodeFrames, episodes: DeclaredEpisodes, row: int, frame_count: int) -> tuple[str, str]:
    """Return noun phrases for what was found and what was expected, for an episode whose first frame is uncertain."""
    length, first, other = int(episodes.length[row]), int(frames.first[row]), int(frames.other_first[row])
    begin, end = frames.declared.begin[row], frames.declared.end[row]
    found = f"seconds that cover frames {begin:.2f} to {end:.2f} of {frame_count}"
    places = [first] if other < 0 else [first, other]
    ranges = " or ".join(frame_range(place, length, frame_count) for place in places).replace(" or frames ", " or ")
    return found, f"{ranges}, which fit the episode's length and its neighbours"


def frame_range(first: int, length: int, frame_count: int) -> str:
    """Return the range of the frames `[first, first + length)` as text. It says how many of them lie after the end of the file."""
    held = min(first + length, frame_count) - first
    if held <= 0:
        return "no frame of the file"
    beyond = f" (and {length - held} after the end of the file)" if held < length else ""
    return f"frames {first} to {first + held - 1}{beyond}"


def frame_duration(file: FileFrames, first: int, length: int) -> float:
    """Return the duration in seconds of the frames `[first, first + length)`."""
    end = first + length
    stop = float(file.seconds[end]) if end < len(file) else file.stop
    return stop - float(file.seconds[first])


def _seconds(file: FileFrames, first: int, length: int) -> str:
    """Return the times of the frames `[first, first + length)` as text."""
    begin = float(file.seconds[first])
    return f"seconds {begin:.6f} to {begin + frame_duration(file, first, length):.6f}"

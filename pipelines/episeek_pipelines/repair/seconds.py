"""Find the right from_timestamp and to_timestamp of the episodes of one video file from the times of its frames."""

from dataclasses import dataclass, field, replace

import numpy as np

from episeek_pipelines.repair.missing_seconds import fill_in_seconds
from episeek_pipelines.video.alignment.align import Float64Array, Int64Array
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, EpisodeFrames, FileFrames, locate_frames
from episeek_pipelines.video.frame_problems import FrameProblem, frame_duration, frame_problems, frame_range

_TOLERANCE_SECONDS = 1e-4
"""LeRobot's tolerance for the time of a frame, in seconds."""

_HALF_FRAME = 0.5


@dataclass(frozen=True, slots=True)
class SecondsOfFile:
    """The corrections for the episodes of one video file. Keys are positions of episodes in `DeclaredEpisodes`."""

    placed: dict[int, tuple[float, float, str]] = field(default_factory=dict)
    """The new from_timestamp, the new to_timestamp and the proof, for each corrected episode."""
    refused: dict[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """The contradiction and its possible explanations, for each episode that cannot be corrected."""
    moved: tuple[int, ...] = ()
    """The episodes in `placed` whose declared seconds give other frames than their own."""
    lacking: tuple[int, ...] = ()
    """The episodes in `refused` whose frames may not be in the file: frames are missing, or their place is uncertain."""
    absent: tuple[int, ...] = ()
    """The episodes without a frame in the file, because other episodes have all of its frames. `refused` does not contain them."""
    contested: tuple[int, ...] = ()
    """The episodes with frames that another episode needs as well. `refused` does not contain them."""
    is_exact: bool = False
    """Whether the episodes have all frames of the file, in the order of their numbers, and no problem."""

    def fits(self, place: int) -> bool:
        """Return whether the seconds of an episode are the times of frames of the file that no other episode needs."""
        return not any(place in each for each in (self.placed, self.refused, self.absent, self.contested))


def seconds_of_file(file: FileFrames, episodes: DeclaredEpisodes, *, fps: float) -> SecondsOfFile:
    """Return new from_timestamp and to_timestamp for the episodes whose declared values differ from the times of their frames.

    Args:
        file: The frames of the file.
        episodes: The episodes of the file, in the order of their numbers; from_timestamp and to_timestamp may be NaN.
        fps: The dataset's frame rate.

    Raises:
        ReadError: The samples in which an encoder marks the start of a stream cannot be read.
    """
    result = SecondsOfFile()
    if not len(file):
        return result
    begin, end = episodes.from_timestamp.copy(), episodes.to_timestamp.copy()
    unusable = np.flatnonzero(~episodes.is_finite | (begin < 0) | (end < 0))
    how = ""
    if len(unusable):
        filled = fill_in_seconds(file, episodes)
        if not filled.proof:
            for place in unusable.tolist():
                result.refused[place] = f"seconds {begin[place]:g} to {end[place]:g}", filled.readings
            return replace(result, lacking=tuple(unusable.tolist()) if len(file) < episodes.length.sum() else ())
        begin, end, how = filled.begin, filled.end, filled.proof
    order = np.lexsort((episodes.episode_index, begin))
    sorted_episodes = DeclaredEpisodes(episodes.episode_index[order], episodes.length[order], begin[order], end[order])
    frames = locate_frames(file, sorted_episodes, fps=fps)
    new_begin, new_end = begin[order], end[order]
    problems = {problem.row: problem for problem in frame_problems(file, sorted_episodes, frames, fps=fps)}
    result = replace(
        result,
        absent=tuple(order[frames.is_absent].tolist()),
        contested=tuple(order[frames.is_contested].tolist()),
        is_exact=frames.by_ordinals and not problems and bool((np.diff(sorted_episodes.episode_index) > 0).all()),
    )
    elsewhere = frames.is_absent | frames.is_contested
    problems = {row: problem for row, problem in problems.items() if not elsewhere[row]}
    proofs: dict[int, str] = {row: _proof(frames, row, len(file)) for row in problems}
    is_comparable = not file.has_other_rate(fps=fps)
    for row in np.flatnonzero(~elsewhere).tolist():
        problem = problems.get(row)
        refusal = None if problem is None else _refusal(frames, sorted_episodes, problem, len(file))
        if refusal is not None:
            result.refused[int(order[row])] = refusal
            proofs.pop(row)
            continue
        first, length = int(frames.first[row]), int(sorted_episodes.length[row])
        start = float(file.seconds[first])
        stop = start + frame_duration(file, first, length)
        drifts = is_comparable and abs(new_begin[row] - start) > _TOLERANCE_SECONDS
        if problem is not None and problem.kind in ("surplus", "duration"):
            # The episode keeps its first frame: only its end was wrong.
            new_end[row] = new_begin[row] + (stop - start)
        if (problem is not None and problem.kind == "displaced") or drifts:
            new_begin[row], new_end[row] = start, stop
            proofs.setdefault(row, _proof(frames, row, len(file)))
    for place in unusable.tolist():
        row = int(np.flatnonzero(order == place)[0])
        if place not in result.refused:
            proofs.setdefault(row, _proof(frames, row, len(file), how))
    _keep_confirmed(file, sorted_episodes, frames, (new_begin, new_end), fps, proofs, order, result)
    kinds = {int(order[row]): problem.kind for row, problem in problems.items()}
    return replace(
        result,
        moved=tuple(place for place in result.placed if kinds.get(place) == "displaced"),
        lacking=tuple(place for place in result.refused if kinds.get(place) in ("uncertain", "missing")),
    )


def _refusal(
    frames: EpisodeFrames, episodes: DeclaredEpisodes, problem: FrameProblem, frame_count: int
) -> tuple[str, tuple[str, ...]] | None:
    """Return the contradiction and its possible explanations if a problem has several of them, and None if it has only one."""
    row, found = problem.row, problem.found
    first, length = int(frames.first[row]), int(episodes.length[row])
    readings: tuple[str, ...] = ()
    if problem.kind == "uncertain":
        readings = _readings(frames, episodes, row, frame_count)
        if len(readings) == 1:
            readings = *readings, "its length is wrong"
    elif problem.kind == "missing":
        readings = "frames of the episode are lost", "its length is wrong"
    elif slack := _slack(frames, row):
        # Neither the seconds nor the encoded stream shows which of the recorded frames have rows: rows may have been removed at
        # either end of the episode.
        other = first + slack
        readings = f"frames {first} to {first + length - 1}", f"frames {other} to {other + length - 1}"
        found = f"{found}, next to frames of no episode," if problem.kind == "displaced" else found
    exchanged = _exchanged_with(frames.declared.span, episodes.length, row)
    if len(exchanged):
        readings = readings or (f"frames {first} to {first + length - 1}",)
        numbers = " or ".join(str(number) for number in episodes.episode_index[exchanged].tolist())
        readings = *readings, f"its seconds were exchanged with the seconds of episode {numbers}"
    return (found, readings) if readings else None


def _exchanged_with(span: Float64Array, length: Int64Array, row: int) -> Int64Array:
    """Return the other episodes of the file whose seconds cover as many frames as this episode has, but another number than they
    have themselves. The result is empty if the seconds of this episode cover its own number of frames.
    """
    is_other = np.abs(span - length) > _HALF_FRAME
    fits = is_other & (np.abs(span - length[row]) <= _HALF_FRAME)
    return np.flatnonzero(fits & is_other[row])


def _keep_confirmed(
    file: FileFrames,
    episodes: DeclaredEpisodes,
    frames: EpisodeFrames,
    new: tuple[np.ndarray, np.ndarray],
    fps: float,
    proofs: dict[int, str],
    order: np.ndarray,
    result: SecondsOfFile,
) -> None:
    """Add each episode with new seconds to `result.placed` if the new seconds select its frames, and to `result.refused` otherwise.

    The frames of all episodes are located again with the new seconds. An episode is added to `result.placed` if its first frame is
    the same as in `frames`, and if no problem is found with the episode.
    """
    if not proofs:
        return
    changed = DeclaredEpisodes(episodes.episode_index, episodes.length, *new)
    again = locate_frames(file, changed, fps=fps)
    left = {problem.row for problem in frame_problems(file, changed, again, fps=fps)}
    for row, proof in proofs.items():
        place = int(order[row])
        if row in left or again.first[row] != frames.first[row]:
            found = f"seconds {episodes.from_timestamp[row]:.6f} to {episodes.to_timestamp[row]:.6f}"
            result.refused[place] = found, _readings(frames, episodes, row, len(file))
        else:
            result.placed[place] = float(new[0][row]), float(new[1][row]), proof


def _slack(frames: EpisodeFrames, row: int) -> int:
    """Return by how many frames an episode could be shifted; a negative number is a shift to earlier frames.

    An episode can be shifted over adjacent frames that belong to no episode and were encoded in the same stream.
    """
    if frames.tail[row] > 0:
        return int(frames.tail[row])
    before = frames.surplus[row - 1] - frames.tail[row - 1] if row else frames.head
    return -int(before)


def _proof(frames: EpisodeFrames, row: int, count: int, how: str = "") -> str:
    first = int(frames.first[row])
    stop = first + int(frames.count[row])
    how = how or (
        "the lengths of all episodes add up to the length of the file"
        if frames.by_ordinals
        else "only these frames agree with lengths, streams and neighbours"
    )
    return f"{how}: frames {first} to {stop - 1} of the {count} frames"


def _readings(frames: EpisodeFrames, episodes: DeclaredEpisodes, row: int, frame_count: int) -> tuple[str, ...]:
    length = int(episodes.length[row])
    firsts = [int(frames.first[row])]
    if frames.other_first[row] >= 0:
        firsts.append(int(frames.other_first[row]))
    else:
        firsts.append(max(0, round(float(frames.declared.begin[row]))))
    return tuple(dict.fromkeys(frame_range(first, length, frame_count) for first in firsts))

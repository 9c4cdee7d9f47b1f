"""Find the right from_timestamp and to_timestamp of the episodes of one video file from the times of its frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from episeek_pipelines.repair.missing_seconds import fill_in_seconds
from episeek_pipelines.repair.witnesses import Reading, is_decided, other_places, possible_readings
from episeek_pipelines.video.alignment.align import Float64Array, Int64Array
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, EpisodeFrames, FileFrames, locate_frames
from episeek_pipelines.video.frame_problems import FrameProblem, frame_duration, frame_problems, frame_range

_TOLERANCE_SECONDS = 1e-4
"""LeRobot's tolerance for the time of a frame, in seconds."""

_HALF_FRAME = 0.5
_OTHER_LENGTH = "its length is wrong"


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
    usable = DeclaredEpisodes(episodes.episode_index, episodes.length, begin, end)
    readings = possible_readings(file, usable, fps=fps)
    if not is_decided(readings):
        refused = _undecided(readings, usable, len(file))
        return SecondsOfFile(refused=refused, lacking=tuple(refused) if len(file) < episodes.length.sum() else ())
    reading = readings[0]
    order, sorted_episodes, frames = reading.order, reading.episodes, reading.frames
    new_begin, new_end = sorted_episodes.from_timestamp.copy(), sorted_episodes.to_timestamp.copy()
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
    others = other_places(file, reading) if problems else {}
    for row in np.flatnonzero(~elsewhere).tolist():
        problem = problems.get(row)
        refusal = None if problem is None else _refusal(frames, sorted_episodes, problem, len(file))
        if refusal is None and row in others:
            refusal = _moved(frames, sorted_episodes, row, others[row], len(file))
        if refusal is not None:
            result.refused[int(order[row])] = refusal
            proofs.pop(row, None)
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
    kinds = {int(order[row]): problem.kind for row, problem in problems.items()}
    undecided = _undecided_rows(frames, sorted_episodes, problems, len(file)) | others.keys()
    if not undecided:
        new = new_begin, new_end
        undecided = _keep_confirmed(file, sorted_episodes, frames, new, fps, proofs, order, result)
    if undecided:
        result.placed.clear()
        _withhold(sorted_episodes, min(undecided), proofs, order, result)
    return replace(
        result,
        moved=tuple(place for place in result.placed if kinds.get(place) == "displaced"),
        lacking=tuple(place for place in result.refused if kinds.get(place) in ("uncertain", "missing")),
    )


def _undecided(
    readings: Sequence[Reading], episodes: DeclaredEpisodes, frame_count: int
) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Return the contradiction and its possible explanations for each episode that has other frames in another order."""
    firsts = np.zeros((len(readings), len(episodes)), np.int64)
    for each, reading in zip(firsts, readings, strict=True):
        each[reading.order] = reading.frames.first
    refused: dict[int, tuple[str, tuple[str, ...]]] = {}
    is_other = (firsts != firsts[0]).any(axis=0)
    for place in np.flatnonzero(is_other | (not is_other.any())).tolist():
        length = int(episodes.length[place])
        found = f"{_seconds(episodes, place)}, and seconds that give the episodes of the file several orders,"
        ranges = tuple(dict.fromkeys(frame_range(first, length, frame_count) for first in firsts[:, place].tolist()))
        refused[place] = found, ranges if len(ranges) > 1 else (*ranges, _OTHER_LENGTH)
    return refused


def _moved(
    frames: EpisodeFrames, episodes: DeclaredEpisodes, row: int, other: int, frame_count: int
) -> tuple[str, tuple[str, ...]]:
    """Return the contradiction and its possible explanations for an episode that has other frames in another possible reading."""
    length = int(episodes.length[row])
    ranges = tuple(frame_range(first, length, frame_count) for first in (int(frames.first[row]), other))
    return f"{_seconds(episodes, row)}, of which one or the other is wrong,", ranges


def _undecided_rows(
    frames: EpisodeFrames, episodes: DeclaredEpisodes, problems: Mapping[int, FrameProblem], frame_count: int
) -> set[int]:
    """Return the episodes that may be elsewhere in the file, so that the places of the others are not certain either.

    If the file has enough frames for all episodes, an episode without its frames is elsewhere.
    """
    kinds = ("uncertain", "missing") if frame_count >= episodes.length.sum() else ("uncertain",)
    span, length = frames.declared.span, episodes.length
    return {
        row for row, problem in problems.items() if problem.kind in kinds or len(_exchanged_with(span, length, row))
    }


def _withhold(
    episodes: DeclaredEpisodes, undecided: int, proofs: Mapping[int, str], order: Int64Array, result: SecondsOfFile
) -> None:
    """Refuse to correct all episodes with a proof, because it assumes the place of an undecided episode."""
    number = episodes.episode_index[undecided]
    for row, proof in proofs.items():
        found = f"{_seconds(episodes, row)}, which depend on the place of episode {number},"
        readings = proof, f"other frames, because episode {number} is elsewhere in the file"
        result.refused.setdefault(int(order[row]), (found, readings))


def _seconds(episodes: DeclaredEpisodes, place: int) -> str:
    return f"seconds {episodes.from_timestamp[place]:.6f} to {episodes.to_timestamp[place]:.6f}"


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
            readings = *readings, _OTHER_LENGTH
    elif problem.kind == "missing":
        readings = "frames of the episode are lost", _OTHER_LENGTH
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
) -> set[int]:
    """Add each episode with new seconds to `result.placed` if the new seconds select its frames, and to `result.refused` otherwise.

    The frames of all episodes are located again with the new seconds. An episode is added to `result.placed` if its first frame is
    the same as in `frames`, and if no problem is found with the episode. The rows of the refused episodes are returned.
    """
    failed: set[int] = set()
    if not proofs:
        return failed
    changed = DeclaredEpisodes(episodes.episode_index, episodes.length, *new)
    again = locate_frames(file, changed, fps=fps)
    left = {problem.row for problem in frame_problems(file, changed, again, fps=fps)}
    for row, proof in proofs.items():
        place = int(order[row])
        if row in left or again.first[row] != frames.first[row]:
            failed.add(row)
            readings = _readings(frames, episodes, row, len(file))
            result.refused[place] = (
                _seconds(episodes, row),
                readings if len(readings) > 1 else (*readings, _OTHER_LENGTH),
            )
        else:
            result.placed[place] = float(new[0][row]), float(new[1][row]), proof
    return failed


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
        by_end = round(float(frames.declared.end[row])) - length
        if 0 <= by_end <= frame_count - length and len({*firsts}) == 1:
            firsts.append(by_end)
    return tuple(dict.fromkeys(frame_range(first, length, frame_count) for first in firsts))

"""Compare the times of irregular frames, which are not at k/fps, with the timestamps of their rows.

A camera without a steady rate gives each frame the time at which it was taken. LeRobot reads such videos correctly if the rows have
the same times, and the comparison then yields no finding. One check reads the times of the frames, and another check reads the
timestamps of the rows. They are compared after both checks have run.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.observations import FrameTimes, Observations
from episeek_pipelines.verify.rules import FRAME_GRID, TIMESTAMPS
from episeek_pipelines.verify.rules.videos import IRREGULAR_REMEDY
from episeek_pipelines.verify.videos.frames import HALF_FRAME, FrameView, ParsedVideo, has_other_rate


def regular_episodes(view: FrameView, length: Int64Array, rows: Int64Array, *, fps: float) -> Int64Array:
    """Return the episodes in which every frame k is shown k/fps seconds after frame 0, to within half a frame.

    Both `rows` and the result contain the positions of episodes within the file.
    """
    return rows[_worst(view, length, rows, fps=fps) <= HALF_FRAME]


def irregular_times(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> tuple[FrameTimes, ...]:
    """Return the frame times of the episodes whose frames are not at k/fps.

    The result is empty if the level reads no rows, since only the timestamps of the rows show whether these times are wrong. The
    result is also empty if the file has a steady frame rate that is not the dataset's.
    """
    view, fps = video.view, context.info.fps
    if not context.options.looks_at("rows") or has_other_rate(view, fps=fps):
        return ()
    rows = np.flatnonzero((view.stop - view.first == file.length) & (file.length > 0))
    worst = _worst(view, file.length, rows, fps=fps)
    found = []
    for row, off in zip(rows[worst > HALF_FRAME].tolist(), worst[worst > HALF_FRAME].tolist(), strict=True):
        seconds = view.seconds[view.first[row] : view.stop[row]]
        tick = 1 / video.table.timescale
        episode = int(file.episode_index[row])
        found.append(FrameTimes(file.path, file.camera_key, episode, off, tick, seconds - seconds[0]))
    return tuple(found)


def compare_times(
    context: VerificationContext, observations: Observations, findings: Iterable[Finding]
) -> Iterator[Finding]:
    """Yield VID024 for each episode and camera whose irregular frame times differ from the timestamps of the rows.

    Then yield the given findings. If the timestamps of an episode's rows equal the frame times of all cameras, its findings about
    timestamps (ROW017) are left out.
    """
    rows = {times.episode_index: times for times in observations.row_times}
    matched: dict[int, set[str]] = {}
    for frames in observations.frame_times:
        same = rows.get(frames.episode_index)
        # Rows store float32, in which times of up to an hour are exact to a fifth of a millisecond.
        tolerance = max(context.options.tolerance_seconds, frames.tick_seconds)
        if same is not None and len(same.seconds) == len(frames.seconds):
            rounding = np.spacing(frames.seconds.astype(np.float32))
            if (np.abs(same.seconds - frames.seconds) <= tolerance + rounding).all():
                matched.setdefault(frames.episode_index, set()).add(frames.camera_key)
                continue
        yield finding(
            FRAME_GRID,
            f"a frame that is {frames.worst_frames:.2f} frames off its time at {context.info.fps:g} fps",
            "frame k at k/fps seconds after frame 0, or at the timestamp of row k",
            Location(frames.path, frames.episode_index, frames.camera_key),
            remedy=IRREGULAR_REMEDY,
        )
    cameras = set(context.info.video_keys)
    right = {episode for episode, keys in matched.items() if keys == cameras}
    yield from (found for found in findings if found.code != TIMESTAMPS.code or found.location.episode not in right)


def _worst(view: FrameView, length: Int64Array, rows: Int64Array, *, fps: float) -> Float64Array:
    """Return the largest distance between the time of a frame and its time at `fps`, in frames, for each episode in `rows`."""
    if not len(rows):
        return np.zeros(0)
    first, count = view.first[rows], length[rows]
    start = np.repeat(np.cumsum(count) - count, count)
    position = np.arange(len(start)) - start
    frame = np.repeat(first, count) + position
    off = np.abs(view.seconds[frame] - np.repeat(view.seconds[first], count) - position / fps) * fps
    worst: Float64Array = np.maximum.reduceat(off, np.cumsum(count) - count)
    return worst

"""One MP4 after the other, each opened once: rules over its header (INF002, INF004, VID022 to VID025 here)."""

from collections.abc import Iterator

import numpy as np

from episeek.errors import Mp4Error
from episeek.mp4.video_track import video_tracks
from episeek.stores.byte_source import ByteSource, CountingSource
from episeek_pipelines.verify.findings.arrays import BoolArray, Float64Array
from episeek_pipelines.verify.findings.checks import (
    CheckResult,
    Facts,
    VerificationContext,
    VideoFile,
    VideoFormat,
)
from episeek_pipelines.verify.findings.figures import CameraFigures
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded, run_rules
from episeek_pipelines.verify.rules import (
    DRIFT,
    FPS,
    FRAME_GRID,
    NOT_FASTSTART,
    SYNC_START,
    UNUSABLE_VIDEO,
    VIDEO_LONG,
    VIDEO_SHORT,
)
from episeek_pipelines.verify.videos.decode_rules import check_pictures
from episeek_pipelines.verify.videos.format import (
    FORMAT_RULES,
    format_text,
    frame_entry,
    keyframe_intervals,
)
from episeek_pipelines.verify.videos.frames import (
    HALF_FRAME,
    FrameView,
    ParsedVideo,
    frame_view,
    has_other_rate,
)
from episeek_pipelines.verify.videos.span_rules import SPAN_RULES
from episeek_pipelines.video.episode_frames import disagreement
from episeek_pipelines.video.header import read_video_header

LARGEST_DRIFT_STEP_FRAMES = 1.5
"""Summed seconds go wrong by fractions of a frame an episode, a frame at most; more is a gap."""


def check_video_file(context: VerificationContext, source: ByteSource, file: VideoFile) -> CheckResult:
    """Everything about one MP4: its header, and pictures where they are looked at; never raises for what is in it."""
    where = Location(file=file.path, camera=file.camera_key)
    findings: list[Finding] = []
    facts = Facts()
    counting = CountingSource(source)
    with guarded(findings, "read header", where):
        try:
            header = read_video_header(counting, file.path, file_size=file.file_size)
        except Mp4Error as error:
            findings.append(finding(UNUSABLE_VIDEO, f"{error.found}; expected {error.expected}", where))
        else:
            view = frame_view(header.table, file, fps=context.info.fps)
            video = ParsedVideo(header, header.table, view)
            findings += run_rules((*VIDEO_RULES, *FORMAT_RULES), where, context, file, video)
            if context.sidecars is not None:
                findings += run_rules(SPAN_RULES, where, context, file, video)
            if file.decoded:
                bits = context.options.burned_in_bits
                findings += run_rules(
                    (check_pictures,), where, context, file, video, counting, file.decoded, burned_in_bits=bits
                )
            with guarded(findings, "figures", where):
                facts = Facts(
                    video_formats=(
                        VideoFormat(file.camera_key, file.path, format_text(frame_entry(video, file.path))),
                    ),
                    figures=(camera_figures(file, video),),
                )
    return CheckResult(tuple(findings), counting.byte_count, 1, facts)


def camera_figures(file: VideoFile, video: ParsedVideo) -> CameraFigures:
    """What the report page draws of one file."""
    view = video.view
    order = np.argsort(file.episode_index, kind="stable")
    first, stop = view.first[order], np.maximum(view.stop, view.first)[order]
    is_there = (stop > first) & (stop <= view.frame_count)
    before = np.concatenate([[0], np.cumsum(video.table.size[view.decode_position])])
    drift = np.full(len(order), np.nan)
    seconds = file.from_timestamp[order][is_there] - view.seconds[first[is_there]]
    drift[is_there] = np.round(seconds, 9) + 0.0  # what is smaller is rounding of sums, and -0 is 0
    count = np.zeros(len(order), np.int64)
    count[is_there] = before[stop[is_there]] - before[first[is_there]]
    interval, interval_count = np.unique(keyframe_intervals(video), return_counts=True)
    return CameraFigures(file.camera_key, file.episode_index[order], count, drift, interval, interval_count)


def check_container(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """VID022: one video track; moov in front (the warning). Other containers have no moov to look at."""
    if not video.header.moov:
        return
    where = Location(file=file.path, camera=file.camera_key)
    tracks = len(video_tracks(video.header.moov, where=file.path))
    if tracks != 1:
        yield finding(UNUSABLE_VIDEO, f"{tracks} video tracks; expected one: the first is taken", where)
    if not video.header.is_faststart:
        message = f"moov box at byte {video.header.moov_offset}, behind the media data; expected it in front"
        yield finding(NOT_FASTSTART, message, where)


def check_rate(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """INF002, the part in the videos."""
    fps = context.info.fps
    if has_other_rate(video.view, fps=fps):
        message = f"{video.view.frames_per_second:.6g} frames per second; expected {fps:g}, the fps of meta/info.json"
        yield finding(FPS, message, Location(file=file.path, camera=file.camera_key))


def check_frame_count(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """VID023: as many frames as the file's episodes are long."""
    found, expected = video.view.frame_count, int(file.length.sum())
    if found == expected or (found > expected and not context.is_complete):
        return
    where = Location(file=file.path, camera=file.camera_key)
    message = f"{found} frames; expected {expected}, the sum of its episodes' lengths"
    yield finding(VIDEO_SHORT if found < expected else VIDEO_LONG, message, where)


def check_grid(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """VID024: each episode's seconds hold its frames, next to each other and on the grid; drift (the warning)."""
    view, fps = video.view, context.info.fps
    if has_other_rate(view, fps=fps) or not len(file.length):  # the seconds are of another clock; INF002 says so
        yield from _check_frames(file, view, np.ones(len(file.length), np.bool_))
        return
    start, stop, length = file.from_timestamp, file.to_timestamp, file.length
    said = np.zeros(len(length), np.bool_)

    declared = (stop - start) * fps
    wrong = np.abs(declared - length) > HALF_FRAME
    for row in np.flatnonzero(wrong).tolist():
        found = f"seconds {start[row]:.6f} to {stop[row]:.6f}, {declared[row]:.2f} frames"
        yield _grid_error(file, row, f"{found}; expected {length[row]}, the episode's length")
    said |= wrong

    step = np.zeros(len(length))
    step[1:] = (start[1:] - stop[:-1]) * fps
    overlaps = step < -HALF_FRAME
    leaves_gap = (step > LARGEST_DRIFT_STEP_FRAMES) & view.is_counted
    for row in np.flatnonzero((overlaps | leaves_gap) & ~said).tolist():
        found = (
            f"from_timestamp {start[row]:.6f} s, {abs(step[row]):.2f} frames {'into' if overlaps[row] else 'behind'}"
        )
        expected = f"{stop[row - 1]:.6f} s, the end of episode {file.episode_index[row - 1]}"
        yield _grid_error(file, row, f"{found} the episode in front of it; expected {expected}")
    said |= overlaps | leaves_gap

    yield from _check_frames(file, view, ~said)
    said |= view.frames.is_doubtful | (view.stop - view.first != length)

    sound = np.flatnonzero(~said & (length > 0) & (view.stop <= view.frame_count))
    yield from _check_times(context, file, view, sound, timescale=video.table.timescale)


def check_sync_start(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """VID025: decoding can start at each episode's first frame."""
    view = video.view
    if not view.is_counted and has_other_rate(view, fps=context.info.fps):  # nothing says where an episode starts
        return
    rows = np.flatnonzero((view.first < view.frame_count) & (view.stop > view.first))
    position = view.decode_position[view.first[rows]]
    wrong = rows[~video.table.is_sync[position]]
    sync = np.flatnonzero(video.table.is_sync)
    for row in wrong.tolist():
        sample = int(view.decode_position[view.first[row]])
        before = sync[: np.searchsorted(sync, sample)]
        nearest = f"; the last one before it is sample {before[-1]}" if len(before) else ""
        where = Location(file.path, int(file.episode_index[row]), file.camera_key)
        yield finding(
            SYNC_START, f"sample {sample} is not a sync sample{nearest}; expected one at the episode's start", where
        )


VIDEO_RULES = (check_container, check_rate, check_frame_count, check_grid, check_sync_start)


def _check_times(
    context: VerificationContext, file: VideoFile, view: FrameView, rows: np.ndarray, *, timescale: int
) -> Iterator[Finding]:
    """Within an episode, frame k is k/fps behind frame 0; frame 0 is at from_timestamp."""
    if not len(rows):
        return
    fps = context.info.fps
    first, length = view.first[rows], file.length[rows]
    start = np.repeat(np.cumsum(length) - length, length)
    position = np.arange(len(start)) - start
    frame = np.repeat(first, length) + position
    off = np.abs(view.seconds[frame] - np.repeat(view.seconds[first], length) - position / fps) * fps
    worst: Float64Array = np.maximum.reduceat(off, np.cumsum(length) - length)
    irregular = worst > HALF_FRAME
    for number in np.flatnonzero(irregular).tolist():
        found = f"a frame {worst[number]:.2f} frames away from its place at {fps:g} per second"
        yield _grid_error(file, int(rows[number]), f"{found}; expected frame k at k/fps seconds")

    drift_seconds = file.from_timestamp[rows] - view.seconds[first]
    drift = np.abs(drift_seconds) * fps
    tolerance = max(context.options.tolerance_seconds, 1 / timescale)  # Matroska counts in milliseconds
    drifting = np.flatnonzero((np.abs(drift_seconds) > tolerance) & ~irregular)
    if len(drifting):
        number = int(drifting[np.argmax(np.abs(drift_seconds[drifting]))])
        row = int(rows[number])
        message = (
            f"from_timestamp {file.from_timestamp[row]:.6f} s is {drift[number]:.2f} frames off, the most in this file; "
            f"expected {view.seconds[first[number]]:.6f} s, the time of the episode's first frame"
        )
        where = Location(file.path, int(file.episode_index[row]), file.camera_key, column="from_timestamp")
        yield finding(DRIFT, message, where, more=len(drifting) - 1)


def _check_frames(file: VideoFile, view: FrameView, rows: BoolArray) -> Iterator[Finding]:
    """Each episode is where its seconds and the lengths in front of it say, and as long as it should be."""
    doubtful = view.frames.is_doubtful & rows
    is_first = doubtful & ~np.concatenate([[False], doubtful[:-1]])
    run_length = np.bincount(np.cumsum(is_first)[doubtful])[1:]  # neighbours are doubtful for one reason: one finding
    for row, count in zip(np.flatnonzero(is_first).tolist(), run_length.tolist(), strict=True):
        found, expected = disagreement(view.frames, file.length, row, view.frame_count)
        decided = "" if view.frames.is_placed[row] else ", and nothing decides"
        where = Location(file.path, int(file.episode_index[row]), file.camera_key)
        yield finding(FRAME_GRID, f"{found}{decided}; expected {expected}", where, more=count - 1)

    held = np.maximum(view.stop - view.first, 0)
    for row in np.flatnonzero((held != file.length) & rows & ~doubtful).tolist():
        seconds = f"seconds {file.from_timestamp[row]:.6f} to {file.to_timestamp[row]:.6f}"
        found = f"{seconds} hold {held[row]} of the file's {view.frame_count} frames"
        yield _grid_error(file, row, f"{found}; expected {file.length[row]}, the episode's length")


def _grid_error(file: VideoFile, row: int, message: str) -> Finding:
    return finding(FRAME_GRID, message, Location(file.path, int(file.episode_index[row]), file.camera_key))

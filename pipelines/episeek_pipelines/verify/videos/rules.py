"""Checks one MP4, opened once. The rules on its header are here (INF002, VID022 to VID025); the others are called from here."""

from collections.abc import Iterator, Sequence

import numpy as np

from episeek.errors import Mp4Error
from episeek.mp4.moov.video_track import video_tracks
from episeek.stores.byte_source import ByteSource, CountingSource
from episeek_pipelines.verify.findings.arrays import BoolArray, Float64Array
from episeek_pipelines.verify.findings.checks import (
    CheckResult,
    Observations,
    VerificationContext,
    VideoFile,
    VideoFormat,
    WindowCounts,
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
from episeek_pipelines.verify.videos.choice import FrameWindow, choose_windows
from episeek_pipelines.verify.videos.decode_rules import check_pictures
from episeek_pipelines.verify.videos.format import FORMAT_RULES, format_text, frame_entry, keyframe_intervals
from episeek_pipelines.verify.videos.frames import HALF_FRAME, FrameView, ParsedVideo, frame_view, has_other_rate
from episeek_pipelines.verify.videos.reference import (
    LONG_LEAD,
    SHORT_LEAD,
    EpisodeReference,
    FileReference,
    Lead,
)
from episeek_pipelines.verify.videos.span_rules import SPAN_RULES
from episeek_pipelines.verify.videos.window_rules import check_windows
from episeek_pipelines.video.episode_frames import disagreement
from episeek_pipelines.video.header import read_video_header

LARGEST_DRIFT_STEP_FRAMES = 1.5
"""A larger step between two episodes is a gap. Sums of rounded seconds drift by a frame an episode at most."""


def check_video_file(context: VerificationContext, source: ByteSource, file: VideoFile) -> CheckResult:
    """Check one MP4: its header, and pictures of the chosen episodes. Never raises for its contents: they become findings."""
    where = Location(file=file.path, camera=file.camera_key)
    findings: list[Finding] = []
    observations = Observations()
    counting = CountingSource(source)
    with guarded(findings, "read header", where):
        try:
            header = read_video_header(counting, file.path, file_size=file.file_size)
        except Mp4Error as error:
            findings.append(finding(UNUSABLE_VIDEO, error.found, error.expected, where))
        else:
            view = frame_view(header.table, file, fps=context.info.fps)
            video = ParsedVideo(header, header.table, view)
            findings += run_rules((*VIDEO_RULES, *FORMAT_RULES), where, context, file, video)
            if context.sidecars is not None:
                findings += run_rules(SPAN_RULES, where, context, file, video)
            counts = WindowCounts()
            with guarded(findings, "decode", where):
                decoded, counts = _check_decoding(context, file, video, counting)
                findings += decoded
            with guarded(findings, "figures", where):
                observations = Observations(
                    windows=counts,
                    video_formats=(
                        VideoFormat(file.camera_key, file.path, format_text(frame_entry(video, file.path))),
                    ),
                    figures=(camera_figures(file, video),),
                )
    return CheckResult(tuple(findings), counting.byte_count, 1, observations)


def _check_decoding(
    context: VerificationContext, file: VideoFile, video: ParsedVideo, source: ByteSource
) -> tuple[list[Finding], WindowCounts]:
    """Return the findings of the chosen episodes and windows, and how many windows were compared."""
    options, where = context.options, Location(file=file.path, camera=file.camera_key)
    windows = choose_windows(context, file, video)
    if not file.decoded and not windows:
        return [], WindowCounts()
    reference = _reference(context, file, video, windows)
    bits = options.burned_in_bits
    findings = run_rules(
        (check_pictures,), where, context, file, video, source, file.decoded, reference, burned_in_bits=bits
    )
    compared, counts = check_windows(context, file, video, source, windows, reference)
    return [*findings, *compared], counts


def _reference(
    context: VerificationContext, file: VideoFile, video: ParsedVideo, windows: Sequence[FrameWindow]
) -> FileReference | EpisodeReference:
    if not context.data_root.is_local:
        return EpisodeReference()
    first, stop = video.view.first, video.view.stop
    wanted = [
        (int(first[position]), int(stop[position])) for position in file.decoded if stop[position] > first[position]
    ]
    wanted += [(int(first[each.position]) + each.start, int(first[each.position]) + each.stop) for each in windows]
    lead: Lead | None = SHORT_LEAD
    if context.options.looks_at("decode"):
        lead = None if context.options.decoded_episodes is None else LONG_LEAD
    return FileReference(context.data_root.local / file.path, video, wanted, lead=lead)


def camera_figures(file: VideoFile, video: ParsedVideo) -> CameraFigures:
    """Return the figures of one file for the report page."""
    view = video.view
    order = np.argsort(file.episode_index, kind="stable")
    first, stop = view.first[order], np.maximum(view.stop, view.first)[order]
    is_present = (stop > first) & (stop <= view.frame_count)
    before = np.concatenate([[0], np.cumsum(video.table.size[view.decode_position])])
    drift = np.full(len(order), np.nan)
    seconds = file.from_timestamp[order][is_present] - view.seconds[first[is_present]]
    # Rounding removes errors of float sums, and adding 0 turns -0 into 0.
    drift[is_present] = np.round(seconds, 9) + 0.0
    count = np.zeros(len(order), np.int64)
    count[is_present] = before[stop[is_present]] - before[first[is_present]]
    interval, interval_count = np.unique(keyframe_intervals(video), return_counts=True)
    return CameraFigures(file.camera_key, file.episode_index[order], count, drift, interval, interval_count)


def check_container(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID022 unless there is one video track, and VID022W where moov comes last; containers without moov pass."""
    if not video.header.moov:
        return
    where = Location(file=file.path, camera=file.camera_key)
    tracks = len(video_tracks(video.header.moov, where=file.path))
    if tracks != 1:
        yield finding(UNUSABLE_VIDEO, f"{tracks} video tracks, of which readers take the first", "one", where)
    if not video.header.is_faststart:
        yield finding(
            NOT_FASTSTART,
            f"moov box at byte {video.header.moov_offset}, after the media data",
            "moov before the media data",
            where,
        )


def check_rate(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield INF002 where the frames come at another steady rate than the dataset's fps."""
    fps = context.info.fps
    if has_other_rate(video.view, fps=fps):
        yield finding(
            FPS,
            f"{video.view.frames_per_second:.6g} frames per second",
            f"{fps:g}, the fps of meta/info.json",
            Location(file=file.path, camera=file.camera_key),
        )


def check_frame_count(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID023 or VID023W unless the file has as many frames as its episodes together."""
    found, expected = video.view.frame_count, int(file.length.sum())
    if found == expected or (found > expected and not context.is_complete):
        return
    where = Location(file=file.path, camera=file.camera_key)
    yield finding(
        VIDEO_SHORT if found < expected else VIDEO_LONG,
        f"{found} frames",
        f"{expected}, the sum of its episodes' lengths",
        where,
    )


def check_grid(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID024 unless each episode's seconds hold its frames, without gaps and at k/fps; VID024W for drift."""
    view, fps = video.view, context.info.fps
    # With another rate, which INF002 reports, seconds cannot be compared with k/fps.
    if has_other_rate(view, fps=fps) or not len(file.length):
        yield from _check_frames(file, view, np.ones(len(file.length), np.bool_))
        return
    start, stop, length = file.from_timestamp, file.to_timestamp, file.length
    is_reported = np.zeros(len(length), np.bool_)

    declared = (stop - start) * fps
    wrong = np.abs(declared - length) > HALF_FRAME
    for row in np.flatnonzero(wrong).tolist():
        found = f"seconds {start[row]:.6f} to {stop[row]:.6f}, which are {declared[row]:.2f} frames"
        yield _grid_error(file, row, found, f"{length[row]}, the episode's length")
    is_reported |= wrong

    step = np.zeros(len(length))
    step[1:] = (start[1:] - stop[:-1]) * fps
    overlaps = step < -HALF_FRAME
    leaves_gap = (step > LARGEST_DRIFT_STEP_FRAMES) & view.is_counted
    for row in np.flatnonzero((overlaps | leaves_gap) & ~is_reported).tolist():
        found = f"from_timestamp {start[row]:.6f} s, {abs(step[row]):.2f} frames {'into' if overlaps[row] else 'after the end of'}"
        expected = f"{stop[row - 1]:.6f} s, the end of episode {file.episode_index[row - 1]}"
        yield _grid_error(file, row, f"{found} the episode before", expected)
    is_reported |= overlaps | leaves_gap

    yield from _check_frames(file, view, ~is_reported)
    is_reported |= view.frames.is_doubtful | (view.stop - view.first != length)

    sound = np.flatnonzero(~is_reported & (length > 0) & (view.stop <= view.frame_count))
    yield from _check_times(context, file, view, sound, timescale=video.table.timescale)


def check_sync_start(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID025 for episodes whose first frame is not a sync sample, so that decoding cannot start there."""
    view = video.view
    # Then the frame at which an episode starts is unknown.
    if not view.is_counted and has_other_rate(view, fps=context.info.fps):
        return
    rows = np.flatnonzero((view.first < view.frame_count) & (view.stop > view.first))
    position = view.decode_position[view.first[rows]]
    wrong = rows[~video.table.is_sync[position]]
    sync = np.flatnonzero(video.table.is_sync)
    for row in wrong.tolist():
        sample = int(view.decode_position[view.first[row]])
        before = sync[: np.searchsorted(sync, sample)]
        nearest = f" (the last one before is sample {before[-1]})" if len(before) else ""
        where = Location(file.path, int(file.episode_index[row]), file.camera_key)
        yield finding(
            SYNC_START,
            f"sample {sample}, which is not a sync sample{nearest}",
            "a sync sample as the episode's first frame",
            where,
        )


VIDEO_RULES = (check_container, check_rate, check_frame_count, check_grid, check_sync_start)


def _check_times(
    context: VerificationContext, file: VideoFile, view: FrameView, rows: np.ndarray, *, timescale: int
) -> Iterator[Finding]:
    """Check that frame k is k/fps after frame 0 within each episode, and that frame 0 is at from_timestamp."""
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
        found = f"a frame that is {worst[number]:.2f} frames off its time at {fps:g} fps"
        yield _grid_error(file, int(rows[number]), found, "frame k at k/fps seconds after frame 0")

    drift_seconds = file.from_timestamp[rows] - view.seconds[first]
    drift = np.abs(drift_seconds) * fps
    # One tick is allowed, since Matroska counts in milliseconds.
    tolerance = max(context.options.tolerance_seconds, 1 / timescale)
    drifting = np.flatnonzero((np.abs(drift_seconds) > tolerance) & ~irregular)
    if len(drifting):
        number = int(drifting[np.argmax(np.abs(drift_seconds[drifting]))])
        row = int(rows[number])
        found = (
            f"from_timestamp {file.from_timestamp[row]:.6f} s, {drift[number]:.2f} frames off, the most in this file"
        )
        expected = f"{view.seconds[first[number]]:.6f} s, the time of the episode's first frame"
        where = Location(file.path, int(file.episode_index[row]), file.camera_key, column="from_timestamp")
        yield finding(DRIFT, found, expected, where, more=len(drifting) - 1)


def _check_frames(file: VideoFile, view: FrameView, rows: BoolArray) -> Iterator[Finding]:
    """Check that seconds and the lengths before agree on each episode's frames, and that it has as many as its length."""
    doubtful = view.frames.is_doubtful & rows
    is_first = doubtful & ~np.concatenate([[False], doubtful[:-1]])
    # Neighbours are doubtful for the same reason, so each run of them is one finding.
    run_length = np.bincount(np.cumsum(is_first)[doubtful])[1:]
    for row, count in zip(np.flatnonzero(is_first).tolist(), run_length.tolist(), strict=True):
        found, expected = disagreement(view.frames, file.length, row, view.frame_count)
        decided = "" if view.frames.is_placed[row] else ", so that its frames are uncertain"
        where = Location(file.path, int(file.episode_index[row]), file.camera_key)
        yield finding(FRAME_GRID, f"{found}{decided}", expected, where, more=count - 1)

    held = np.maximum(view.stop - view.first, 0)
    for row in np.flatnonzero((held != file.length) & rows & ~doubtful).tolist():
        seconds = f"seconds {file.from_timestamp[row]:.6f} to {file.to_timestamp[row]:.6f}"
        found = f"{held[row]} of the file's {view.frame_count} frames in {seconds}"
        yield _grid_error(file, row, found, f"{file.length[row]}, the episode's length")


def _grid_error(file: VideoFile, row: int, found: str, expected: str) -> Finding:
    where = Location(file.path, int(file.episode_index[row]), file.camera_key)
    return finding(FRAME_GRID, found, expected, where)

"""Check one video file with all rules. This module contains the rules INF002, VID022 to VID025 and VID040."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from episeek.errors import Mp4Error
from episeek.mp4.moov.video_track import video_tracks
from episeek.stores.byte_source import ByteSource, CountingSource
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import CheckResult, VerificationContext, VideoFile
from episeek_pipelines.verify.findings.figures import CameraFigures
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded, run_rules
from episeek_pipelines.verify.findings.observations import KeyframeCounts, Observations, VideoFormat, WindowCounts
from episeek_pipelines.verify.rules import (
    CUT_SHORT,
    DRIFT,
    FPS,
    FRAME_GRID,
    NOT_FASTSTART,
    SYNC_START,
    UNUSABLE_VIDEO,
    VIDEO_LONG,
    VIDEO_SHORT,
)
from episeek_pipelines.verify.rules.videos import FRAME_REMEDIES, RESAMPLE_REMEDY, RETIME_REMEDY, WITHIN_GROUP_REMEDY
from episeek_pipelines.verify.videos.boundary_strips import strip_of_ends, strip_of_problem
from episeek_pipelines.verify.videos.choice import FrameWindow, choose_windows
from episeek_pipelines.verify.videos.decode_rules import check_pictures
from episeek_pipelines.verify.videos.format import FORMAT_RULES, frame_entry, keyframe_intervals
from episeek_pipelines.verify.videos.frame_prints import frame_prints
from episeek_pipelines.verify.videos.frame_times import irregular_times, regular_episodes
from episeek_pipelines.verify.videos.frames import (
    FrameView,
    ParsedVideo,
    declared_episodes,
    has_other_rate,
)
from episeek_pipelines.verify.videos.lerobot_reading import check_lerobot_reading
from episeek_pipelines.verify.videos.other_files import free_frames, lacking_frames
from episeek_pipelines.verify.videos.parse import parse_video
from episeek_pipelines.verify.videos.reference import (
    LONG_LEAD,
    SHORT_LEAD,
    EpisodeReference,
    FileReference,
    Lead,
)
from episeek_pipelines.verify.videos.span_rules import SPAN_RULES
from episeek_pipelines.verify.videos.window_rules import check_windows
from episeek_pipelines.video.frame_problems import FrameProblem, frame_problems
from episeek_pipelines.words import counted

_MOST_PLACES = 8
"""Greatest number of places that a message about frames of no episode lists."""


def check_video_file(context: VerificationContext, source: ByteSource, file: VideoFile) -> CheckResult:
    """Check the header of a video file, and decoded pictures of the chosen episodes and windows (short ranges of frames).

    Damaged contents never raise an error; they lead to findings.
    """
    where = Location(file=file.path, camera=file.camera_key)
    findings: list[Finding] = []
    observations = Observations()
    counting = CountingSource(source)
    with guarded(findings, "read header", where):
        try:
            video = parse_video(context, counting, file)
        except Mp4Error as error:
            findings.append(finding(UNUSABLE_VIDEO, error.found, error.expected, where))
        else:
            header = video.header
            findings += run_rules((*VIDEO_RULES, *FORMAT_RULES, check_lerobot_reading), where, context, file, video)
            if context.sidecars is not None:
                findings += run_rules(SPAN_RULES, where, context, file, video)
            counts = WindowCounts()
            with guarded(findings, "decode", where):
                decoded, counts = _check_decoding(context, file, video, counting)
                findings += decoded
            with guarded(findings, "figures", where):
                observations = Observations(
                    windows=counts,
                    keyframes=KeyframeCounts(header.sync_sample_count, header.sync_samples_inspected),
                    video_formats=(VideoFormat(file.camera_key, file.path, frame_entry(video, file.path)),),
                    figures=(camera_figures(file, video),),
                    frame_times=irregular_times(context, file, video),
                    frame_prints=frame_prints(context, file, video),
                    free_frames=free_frames(file, video),
                    lacking_frames=lacking_frames(context, file, video),
                )
    return CheckResult(tuple(findings), counting.byte_count, 1, observations)


def _check_decoding(
    context: VerificationContext, file: VideoFile, video: ParsedVideo, source: ByteSource
) -> tuple[list[Finding], WindowCounts]:
    """Decode the chosen episodes and windows (short ranges of frames), and compare their pictures with reference pictures.

    Return the findings, and the numbers of windows that were and were not compared.
    """
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
    """Return the figures of one file that the plots of the report page show."""
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
    """Yield VID022 unless the file has exactly one video track, and VID022W if its moov box comes after the media data."""
    if not video.header.moov:
        return
    where = Location(file=file.path, camera=file.camera_key)
    tracks = len(video_tracks(video.header.moov, where=file.path))
    if tracks != 1:
        yield finding(UNUSABLE_VIDEO, f"{tracks} video tracks (readers use the first one)", "one video track", where)
    if not video.header.is_faststart:
        yield finding(
            NOT_FASTSTART,
            f"moov box at byte {video.header.moov_offset}, after the media data",
            "the moov box before the media data",
            where,
        )


def check_end(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID040 for a fragmented file whose end is missing."""
    if video.header.missing:
        where = Location(file=file.path, camera=file.camera_key)
        yield finding(CUT_SHORT, f"a file without {video.header.missing}", "a file with all its fragments", where)


def check_rate(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield INF002 for a file whose frames have a steady rate that is not the dataset's fps."""
    fps = context.info.fps
    if has_other_rate(video.view, fps=fps):
        # The other episodes have all frames of a file in which an episode is absent.
        is_whole = video.view.frame_count == int(file.length.sum()) or bool(video.view.frames.is_absent.any())
        yield finding(
            FPS,
            f"{video.view.frames_per_second:.6g} frames per second",
            f"{fps:g}, the fps of meta/info.json",
            Location(file=file.path, camera=file.camera_key),
            remedy=RETIME_REMEDY if is_whole else RESAMPLE_REMEDY,
        )


def check_frame_count(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID023 if a file has fewer frames than the lengths of its episodes add up to, and VID023W if it has more.

    VID023W is yielded only if every row of meta/episodes is usable. VID023 is not yielded if the episodes that VID024 reports
    account for all missing frames.
    """
    found, expected = video.view.frame_count, int(file.length.sum())
    if found == expected or (found > expected and not context.is_complete):
        return
    frames = video.view.frames
    lacking = np.where(frames.is_placed, np.maximum(file.length - frames.count, 0), 0)
    if lacking.sum() == expected - found or frames.is_absent.any() or frames.is_contested.any():
        return
    where = Location(file=file.path, camera=file.camera_key)
    places = "" if found < expected else _unclaimed(file, video.view)
    yield finding(
        VIDEO_SHORT if found < expected else VIDEO_LONG,
        f"{counted(found, 'frame')}{places}",
        f"{expected}, the sum of its episodes' lengths",
        where,
        strip=strip_of_ends(video.view, is_short=found < expected),
    )


def check_grid(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID024 for episodes whose declared seconds do not cover exactly their frames.

    Yield VID024W instead if only from_timestamp is off, by less than half a frame.
    """
    view, fps = video.view, context.info.fps
    episodes = declared_episodes(file)
    problems = list(frame_problems(view.file, episodes, view.frames, fps=fps))
    for group in _in_runs(problems):
        first = group[0]
        where = Location(file.path, int(file.episode_index[first.row]), file.camera_key)
        remedy, strip = FRAME_REMEDIES[first.kind], strip_of_problem(view, first)
        more = len(group) - 1
        yield finding(FRAME_GRID, first.found, first.expected, where, more=more, remedy=remedy, strip=strip)
    # If the file has another rate, which INF002 reports, seconds cannot be compared with k/fps.
    if has_other_rate(view, fps=fps):
        return
    is_sound = (view.stop - view.first == file.length) & (file.length > 0)
    is_sound[[problem.row for problem in problems]] = False
    yield from _check_times(context, file, view, np.flatnonzero(is_sound), timescale=video.table.timescale)


def _in_runs(problems: list[FrameProblem]) -> Iterator[list[FrameProblem]]:
    """Yield each problem in its own list, except that consecutive episodes with an `uncertain` problem share a list.

    Such problems have the same cause.
    """
    run: list[FrameProblem] = []
    for problem in problems:
        if run and not (problem.kind == run[-1].kind == "uncertain" and problem.row == run[-1].row + 1):
            yield run
            run = []
        run.append(problem)
    if run:
        yield run


def _unclaimed(file: VideoFile, view: FrameView) -> str:
    """Return a clause that says where the file has frames that belong to no episode; empty if this is unknown."""
    frames = view.frames
    if not frames.is_placed.all() or not len(frames.first):
        return ""
    before = np.concatenate([[frames.head], (frames.surplus - frames.tail)[:-1]])
    places = [(int(frames.tail[row]), f"after episode {file.episode_index[row]}") for row in range(len(frames.first))]
    places += [(int(before[row]), f"before episode {file.episode_index[row]}") for row in range(len(frames.first))]
    places.append((int((frames.surplus - frames.tail)[-1]), "at the end"))
    named = [f"{count} {place}" for count, place in places if count > 0]
    more = f" and {len(named) - _MOST_PLACES} more places" if len(named) > _MOST_PLACES else ""
    return f"; frames of no episode: {', '.join(named[:_MOST_PLACES])}{more}" if named else ""


def check_sync_start(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID025 for episodes whose first frame is not a sync sample.

    The finding is an error if no sync sample precedes the frame, or if it is doubtful which frame is the episode's first. Otherwise
    the finding is a warning, because a reader can start at the preceding sync sample. All warnings of a file share one finding.
    """
    view = video.view
    # If the file has another rate, it is unknown at which frame an episode starts, unless frames were assigned by counting.
    if not view.is_counted and has_other_rate(view, fps=context.info.fps):
        return
    rows = np.flatnonzero((view.first < view.frame_count) & (view.stop > view.first))
    position = view.decode_position[view.first[rows]]
    wrong = rows[~video.table.is_sync[position]]
    sync = np.flatnonzero(video.table.is_sync)
    exact: list[Finding] = []
    for row in wrong.tolist():
        sample = int(view.decode_position[view.first[row]])
        before = sync[: np.searchsorted(sync, sample)]
        nearest = f" (the last sync sample before it is {before[-1]})" if len(before) else ""
        is_exact = bool(len(before)) and not view.frames.is_doubtful[row]
        found = finding(
            SYNC_START,
            f"first frame in sample {sample}, which is not a sync sample{nearest}",
            "a sync sample as the episode's first frame",
            Location(file.path, int(file.episode_index[row]), file.camera_key),
            remedy=WITHIN_GROUP_REMEDY if is_exact else "",
            severity="warning" if is_exact else None,
        )
        if is_exact:
            exact.append(found)
        else:
            yield found
    if exact:
        yield replace(exact[0], more=len(exact) - 1)


VIDEO_RULES = (check_container, check_end, check_rate, check_frame_count, check_grid, check_sync_start)


def _check_times(
    context: VerificationContext, file: VideoFile, view: FrameView, rows: Int64Array, *, timescale: int
) -> Iterator[Finding]:
    """Yield VID024W for episodes whose first frame is not at from_timestamp.

    The module `frame_times` checks the times of the other frames.

    Args:
        context: The dataset.
        file: The file and its episodes.
        view: The frames of the file.
        rows: The positions of the episodes to check.
        timescale: The number of ticks per second in the file.
    """
    rows = regular_episodes(view, file.length, rows, fps=context.info.fps)
    if not len(rows):
        return
    first = view.first[rows]
    drift_seconds = file.from_timestamp[rows] - view.seconds[first]
    drift = np.abs(drift_seconds) * context.info.fps
    # An error of one tick is allowed, since times in Matroska files are rounded to milliseconds.
    tolerance = max(context.options.tolerance_seconds, 1 / timescale)
    drifting = np.flatnonzero(np.abs(drift_seconds) > tolerance)
    if len(drifting):
        number = int(drifting[np.argmax(np.abs(drift_seconds[drifting]))])
        row = int(rows[number])
        found = (
            f"from_timestamp {file.from_timestamp[row]:.6f} s, {drift[number]:.2f} frames off (the most in this file)"
        )
        expected = f"{view.seconds[first[number]]:.6f} s, the time of the episode's first frame"
        where = Location(file.path, int(file.episode_index[row]), file.camera_key, column="from_timestamp")
        yield finding(DRIFT, found, expected, where, more=len(drifting) - 1)

"""VID026W and VID039: rules on the order and the keyframes of the encoded frames, according to the header."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from episeek.mp4.moov.sample_description import VisualSampleEntry, read_entries
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import KEYFRAME_INTERVAL, REORDERED
from episeek_pipelines.verify.videos.frames import ParsedVideo

LONG_INTERVAL_SECONDS: Final = 2.0
"""Longest interval between keyframes without a finding. LeRobot's default is 2 frames; encoders default to 8 to 10 seconds."""


def check_order(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID026W for a file whose frames are stored in a different order than they are shown."""
    later = np.flatnonzero(np.diff(video.view.decode_position) < 0)
    if len(later):
        found = f"{len(later)} of {video.view.frame_count} frames stored after a frame that is shown later"
        where = Location(file=file.path, camera=file.camera_key)
        yield finding(REORDERED, found, "frames stored in the order in which they are shown", where)


def check_keyframe_interval(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID039 for a file in which a keyframe is too far from the next one.

    The largest allowed distance is `LONG_INTERVAL_SECONDS`, but at least two frames.
    """
    limit = max(int(LONG_INTERVAL_SECONDS * context.info.fps), 2)
    intervals = keyframe_intervals(video)
    long = intervals[intervals > limit]
    if len(long):
        where = Location(file=file.path, camera=file.camera_key)
        yield finding(
            KEYFRAME_INTERVAL,
            f"{int(long.max())} frames from one keyframe to the next",
            f"at most {limit}, which are {LONG_INTERVAL_SECONDS:g} s at {context.info.fps:g} fps",
            where,
            more=len(long) - 1,
        )


FORMAT_RULES = (check_order, check_keyframe_interval)


def keyframe_intervals(video: ParsedVideo) -> Int64Array:
    """Return the number of frames from each keyframe to the next in decode order, and from the last keyframe to the file's end."""
    sync = np.flatnonzero(video.table.is_sync)
    return np.diff(np.append(sync, len(video.table)))


def frame_entry(video: ParsedVideo, path: str) -> VisualSampleEntry:
    """Return the first sample description of a video.

    All descriptions of a video agree in codec, picture size and bit depth, since the parser refuses any other video.
    """
    return read_entries(video.table.sample_description, where=path)[0]


def format_text(entry: VisualSampleEntry) -> str:
    """Return a text with codec, picture size, bits and chroma subsampling, as far as the header states them.

    Two formats are equal if their texts are equal.
    """
    subsampling = None if entry.pictures is None else entry.pictures.subsampling
    return str(entry) if subsampling is None else f"{entry}, chroma {subsampling}"

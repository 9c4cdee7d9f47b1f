"""VID046: find frames that LeRobot cannot read from a file, according to the file's header.

LeRobot requests from TorchCodec the frame at `from_timestamp + timestamp`, and raises FrameTimestampError if the time of the
returned frame is off by 1e-4 seconds or more. LeRobot 0.4.4 with TorchCodec 0.10 and PyAV 15, reading in random order, fails on

- leading pictures of a keyframe in H.264 and HEVC (open groups of pictures, the default of libx265). They are stored after the
  keyframe and shown before it. FFmpeg seeks to that keyframe, and a decoder that starts there drops them. LeRobot does read frames
  that are merely reordered within closed groups of pictures.
- samples that are flagged as sync samples although decoding cannot start there: recovery points of periodic intra refresh (x264's
  `intra-refresh`), or all samples if the file has no stss box. A decoder that starts there returns other pictures or errors.
- episodes whose `from_timestamp` is not the time of their first frame, for example because rounded durations were added up.

Only episodes whose frames are at k/fps are checked for the last cause. LeRobot reads other episodes correctly if the timestamps
of the rows are the times of the frames, which `frame_times` checks.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.verify.findings.arrays import BoolArray
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import LEROBOT_READING
from episeek_pipelines.verify.videos.frames import FrameView, ParsedVideo
from episeek_pipelines.words import counted
from episeek_schemas import lerobot

OPEN_GROUPS_REMEDY: Final = (
    "read the dataset with episeek (`episeek index`), or encode the recording with closed groups of pictures "
    "(libx265: x265-params open-gop=0), which LeRobot reads"
)
FLAGS_REMEDY: Final = (
    "restore the file from its source if it is damaged, which VID027 reports at level decode; otherwise read the dataset with "
    "episeek (`episeek index`), which starts decoding only where the samples show that it can, or encode the recording again"
)
SECONDS_REMEDY: Final = (
    "set from_timestamp to the time of the episode's first frame in the file, and to_timestamp to that time plus length / "
    "fps"
)

_WITH_LEADING_PICTURES: Final = frozenset({"avc1", "avc3", "hvc1", "hev1"})


def check_lerobot_reading(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield one VID046 for each cause, with the number of frames that LeRobot cannot read, or of sync samples that are none."""
    where = Location(file=file.path, camera=file.camera_key)
    spec = context.features.get(file.camera_key)
    # LeRobot reads depth maps with PyAV, and seeks one tick before the requested time.
    margin = 1 if isinstance(spec, Mapping) and lerobot.is_depth(spec) else 0
    lost = int(lost_frames(video.table, margin_ticks=margin).sum())
    if lost:
        yield finding(
            LEROBOT_READING,
            f"{lost} of {video.view.frame_count} frames stored after a keyframe and shown before it",
            "no frame that is lost if decoding starts at a keyframe",
            where,
            remedy=OPEN_GROUPS_REMEDY,
        )
    is_flagged = video.header.is_flagged
    wrong_flags = int(np.count_nonzero(is_flagged & ~video.table.is_sync))
    if wrong_flags:
        yield finding(
            LEROBOT_READING,
            f"{wrong_flags} of {counted(int(is_flagged.sum()), 'sync sample')} at which decoding cannot start",
            "sync samples only where decoding can start",
            where,
            remedy=FLAGS_REMEDY,
        )
    tolerance = max(context.options.tolerance_seconds, 1 / video.table.timescale)
    off = _seconds_off(file, video.view, fps=context.info.fps, tolerance_seconds=tolerance)
    wrong = np.flatnonzero(np.abs(off) > tolerance)
    if len(wrong):
        worst = int(wrong[np.argmax(np.abs(off[wrong]))])
        frames = counted(int(file.length[wrong].sum()), "frame")
        yield finding(
            LEROBOT_READING,
            f"{frames} that LeRobot requests at times that are up to {abs(off[worst]):.6f} s off",
            f"times within LeRobot's tolerance of {context.options.tolerance_seconds:g} s",
            Location(file.path, int(file.episode_index[worst]), file.camera_key, column="from_timestamp"),
            more=len(wrong) - 1,
            remedy=SECONDS_REMEDY,
        )


def lost_frames(table: SampleTable, *, margin_ticks: int = 0) -> BoolArray:
    """Return whether each sample is lost to a reader that seeks to the time of the sample; shape [samples].

    FFmpeg seeks to the last sync sample whose decode time, plus the delay between decoding and showing, is not after the requested
    time (`mov_seek_stream` of libavformat/mov.c). A sample that is shown before that sync sample is lost. Only H.264 and HEVC have
    such samples.

    Args:
        table: The sample table.
        margin_ticks: How many ticks before the time of the sample the reader seeks to.
    """
    sync, order = np.flatnonzero(table.is_sync), table.presentation_order()
    if table.codec not in _WITH_LEADING_PICTURES or not len(sync) or not len(order):
        return np.zeros(len(table), np.bool_)
    delay = table.pts[order[0]] - table.dts[0]
    reached = np.searchsorted(table.dts[sync], table.pts - margin_ticks - delay, side="right") - 1
    is_lost: BoolArray = table.is_presented & (table.pts[sync[np.maximum(reached, 0)]] > table.pts)
    return is_lost


def _seconds_off(file: VideoFile, view: FrameView, *, fps: float, tolerance_seconds: float) -> np.ndarray:
    """Return from_timestamp minus the time of the first frame for each episode, in seconds; shape [episodes].

    The value is 0 for an episode whose frames are not at k/fps, and for an episode that is off by half a frame or more, which
    VID024 reports.
    """
    off = np.zeros(len(file.length))
    for row, (first, length) in enumerate(zip(view.first.tolist(), file.length.tolist(), strict=True)):
        stop = first + length
        if length <= 0 or first < 0 or stop > view.frame_count:
            continue
        seconds = view.seconds[first:stop]
        steady = np.abs(seconds - seconds[0] - np.arange(length) / fps).max() <= tolerance_seconds
        difference = float(file.from_timestamp[row] - seconds[0])
        if steady and abs(difference) * fps < 0.5:
            off[row] = difference
    return off

"""Rules on how frames are encoded, according to the header: VID026, VID026W, VID039."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from episeek.mp4.moov.sample_description import PictureFormat, VisualSampleEntry, read_entries
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile, VideoFormat
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import KEYFRAME_INTERVAL, REORDERED, VIDEO_FORMAT
from episeek_pipelines.verify.videos.frames import ParsedVideo
from episeek_schemas import layout, lerobot

LONG_INTERVAL_SECONDS: Final = 2.0
"""Longest interval of keyframes. LeRobot's default is two frames; the encoders' own defaults are 8 to 10 seconds."""

_FOURCCS: Final = {
    "av1": {"av01"},
    "h264": {"avc1", "avc3"},
    "hevc": {"hvc1", "hev1"},
    "h265": {"hvc1", "hev1"},
    "vp9": {"vp09"},
    "vp8": {"vp08"},
    "vvc": {"vvc1", "vvi1"},
    "mpeg4": {"mp4v"},
}
"""Sample entries by FFmpeg's names of codecs, which LeRobot writes. Codecs with other names are not compared."""

_PIXEL_FORMAT = re.compile(
    r"(?:(?P<gray>gray)|yuvj?(?P<chroma>420|422|444)p|gbrp|nv12|nv16|p0)(?P<bits>\d{1,2})?(?:le|be)?"
)
"""Planar formats of encoded video; "yuv420p10le" is 4:2:0 of 10 bits."""


def check_declared_format(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID026 where codec, picture size or pixel format is not the one declared in `features`."""
    spec = context.features.get(file.camera_key)
    entry = frame_entry(video, file.path)
    where = Location(file=file.path, camera=file.camera_key)
    for what, found, expected in _differences(spec if isinstance(spec, Mapping) else {}, entry):
        yield finding(VIDEO_FORMAT, f"{what} {found}", f"{expected}, as in {layout.INFO_PATH}", where)


def check_order(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID026W where frames are stored in another order than they are shown."""
    later = np.flatnonzero(np.diff(video.view.decode_position) < 0)
    if len(later):
        found = f"{len(later)} of {video.view.frame_count} frames stored after a frame that is shown later"
        where = Location(file=file.path, camera=file.camera_key)
        yield finding(REORDERED, found, "frames in the order in which they are shown", where)


def check_keyframe_interval(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield VID039 where keyframes are further apart than `LONG_INTERVAL_SECONDS`."""
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


FORMAT_RULES = (check_declared_format, check_order, check_keyframe_interval)


def check_same_format(formats: Sequence[VideoFormat]) -> Iterator[Finding]:
    """Yield VID026 for files of a camera whose format is not that of most of its files."""
    for camera in sorted({each.camera_key for each in formats}):
        members = sorted((each for each in formats if each.camera_key == camera), key=lambda each: each.path)
        counts = Counter(each.text for each in members)
        usual = max(counts, key=lambda text: (counts[text], text))
        for each in members:
            if each.text != usual:
                where = Location(file=each.path, camera=camera)
                yield finding(
                    VIDEO_FORMAT,
                    each.text,
                    f"{usual}, as in {counts[usual]} of the camera's {len(members)} files",
                    where,
                )


def keyframe_intervals(video: ParsedVideo) -> Int64Array:
    """Return the number of frames from each keyframe to the next, in decode order, or to the end of the file."""
    sync = np.flatnonzero(video.table.is_sync)
    return np.diff(np.append(sync, len(video.table)))


def frame_entry(video: ParsedVideo, path: str) -> VisualSampleEntry:
    """Return the first sample description; a file whose descriptions disagree about pictures was refused before."""
    return read_entries(video.table.sample_description, where=path)[0]


def format_text(entry: VisualSampleEntry) -> str:
    """Return codec, size, bits and chroma subsampling, where the header has them; equal texts mean equal formats."""
    subsampling = None if entry.pictures is None else entry.pictures.subsampling
    return str(entry) if subsampling is None else f"{entry}, chroma {subsampling}"


def _differences(spec: Mapping[str, Any], entry: VisualSampleEntry) -> Iterator[tuple[str, str, str]]:
    """Yield (property, found, expected) for each property of a video feature that differs from its declaration."""
    info: Mapping[str, Any] = next(iter(lerobot.video_infos(spec)), {})
    codec = info.get("video.codec")
    fourccs = _FOURCCS.get(codec.lower()) if isinstance(codec, str) else None
    if fourccs is not None and entry.codec not in fourccs:
        yield "codec", entry.codec, f"{codec} ({' or '.join(sorted(fourccs))})"
    height, width = _declared_size(spec, info)
    if height is not None and width is not None and (entry.height, entry.width) != (height, width):
        yield "picture size", f"{entry.width}x{entry.height}", f"{width}x{height}"
    declared = _declared_pixels(info.get("video.pix_fmt"))
    found = entry.pictures
    if declared is not None and found is not None:
        is_other_chroma = None not in (declared.subsampling, found.subsampling) and (
            declared.subsampling != found.subsampling
        )
        if is_other_chroma or (found.is_monochrome, found.bit_depth) != (declared.is_monochrome, declared.bit_depth):
            yield "pixel format", _pixels_text(found), f"{info['video.pix_fmt']} ({_pixels_text(declared)})"


def _declared_size(spec: Mapping[str, Any], info: Mapping[str, Any]) -> tuple[int | None, int | None]:
    size = info.get("video.height"), info.get("video.width")
    if not all(isinstance(value, int) and value > 0 for value in size):
        shape, names = spec.get("shape"), spec.get("names")
        if not (isinstance(shape, list) and isinstance(names, list) and len(shape) == len(names)):
            return None, None
        by_name = {str(name).rstrip("s"): value for name, value in zip(names, shape, strict=True)}
        size = by_name.get("height"), by_name.get("width")
    height, width = size
    return (height, width) if isinstance(height, int) and isinstance(width, int) else (None, None)


def _declared_pixels(name: object) -> PictureFormat | None:
    """Return the picture format that FFmpeg's name of a pixel format stands for; None for an unknown name."""
    match = _PIXEL_FORMAT.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        return None
    return PictureFormat(match["gray"] is not None, int(match["bits"] or 8), match["chroma"])


def _pixels_text(pictures: PictureFormat) -> str:
    colour = "one plane" if pictures.is_monochrome else f"colour {pictures.subsampling or ''}".strip()
    return f"{colour} of {pictures.bit_depth} bits"

"""Rules about how frames are encoded, from the header: VID026 with its warning, VID039."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from episeek.mp4.sample_description import PictureFormat, VisualSampleEntry, read_entries
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile, VideoFormat
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import KEYFRAME_INTERVAL, REORDERED, VIDEO_FORMAT
from episeek_pipelines.verify.videos.frames import ParsedVideo
from episeek_schemas import layout, lerobot

LONG_INTERVAL_SECONDS: Final = 2.0
"""Of keyframes; LeRobot's default is two frames, and encoders' own is 8 to 10 seconds."""

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
"""Sample entries by FFmpeg's names of codecs, which LeRobot writes. Names that are not here are not compared."""

_PIXEL_FORMAT = re.compile(
    r"(?:(?P<gray>gray)|yuvj?(?P<chroma>420|422|444)p|gbrp|nv12|nv16|p0)(?P<bits>\d{1,2})?(?:le|be)?"
)
"""Planar formats of encoded video; "yuv420p10le" is 4:2:0 of 10 bits."""


def check_declared_format(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """VID026: codec, picture size and pixel format, where `features` says them."""
    spec = context.features.get(file.camera_key)
    entry = frame_entry(video, file.path)
    where = Location(file=file.path, camera=file.camera_key)
    for what, found, expected in _differences(spec if isinstance(spec, Mapping) else {}, entry):
        yield finding(VIDEO_FORMAT, f"{what} {found}; expected {expected}, as {layout.INFO_PATH} says", where)


def check_order(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """VID026W."""
    later = np.flatnonzero(np.diff(video.view.decode_position) < 0)
    if len(later):
        message = (
            f"{len(later)} of {video.view.frame_count} frames are stored behind one that is shown after them; "
            "expected frames in the order they are shown in"
        )
        yield finding(REORDERED, message, Location(file=file.path, camera=file.camera_key))


def check_keyframe_interval(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """VID039."""
    limit = max(int(LONG_INTERVAL_SECONDS * context.info.fps), 2)
    intervals = keyframe_intervals(video)
    long = intervals[intervals > limit]
    if len(long):
        message = (
            f"{int(long.max())} frames from one keyframe to the next; expected at most {limit}, "
            f"{LONG_INTERVAL_SECONDS:g} s at {context.info.fps:g} fps"
        )
        where = Location(file=file.path, camera=file.camera_key)
        yield finding(KEYFRAME_INTERVAL, message, where, more=len(long) - 1)


FORMAT_RULES = (check_declared_format, check_order, check_keyframe_interval)


def check_same_format(formats: Sequence[VideoFormat]) -> Iterator[Finding]:
    """VID026 over the files of a camera: what most of them are is expected of all."""
    for camera in sorted({known.camera_key for known in formats}):
        members = sorted((known for known in formats if known.camera_key == camera), key=lambda known: known.path)
        counts = Counter(known.text for known in members)
        usual = max(counts, key=lambda text: (counts[text], text))
        for known in members:
            if known.text != usual:
                where = Location(file=known.path, camera=camera)
                message = f"{known.text}; expected {usual}, as in {counts[usual]} of the camera's {len(members)} files"
                yield finding(VIDEO_FORMAT, message, where)


def keyframe_intervals(video: ParsedVideo) -> Int64Array:
    """Frames from each keyframe to the next, in decode order, the last to the end of the file."""
    sync = np.flatnonzero(video.table.is_sync)
    return np.diff(np.append(sync, len(video.table)))


def frame_entry(video: ParsedVideo, path: str) -> VisualSampleEntry:
    """What the first sample description says of the pictures; they agree, or the file would have been refused."""
    return read_entries(video.table.sample_description, where=path)[0]


def format_text(entry: VisualSampleEntry) -> str:
    """Codec, size, bits and chroma subsampling, as far as the header says them: equal texts, equal formats."""
    subsampling = None if entry.pictures is None else entry.pictures.subsampling
    return str(entry) if subsampling is None else f"{entry}, chroma {subsampling}"


def _differences(spec: Mapping[str, Any], entry: VisualSampleEntry) -> Iterator[tuple[str, str, str]]:
    """(what, found, expected) of one video feature."""
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
    """What FFmpeg's name of a pixel format says; None for one that is not understood."""
    match = _PIXEL_FORMAT.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        return None
    return PictureFormat(match["gray"] is not None, int(match["bits"] or 8), match["chroma"])


def _pixels_text(pictures: PictureFormat) -> str:
    colour = "one plane" if pictures.is_monochrome else f"colour {pictures.subsampling or ''}".strip()
    return f"{colour} of {pictures.bit_depth} bits"

"""VID026: compare the formats of a camera's videos with meta/info.json and with each other.

LeRobot reads each file according to the file's own header and returns pictures as RGB of 8 bits. Therefore a codec or pixel format
that differs from the declaration is only a warning. A different picture size is an error, since policies are built for the declared
shape. Colour pictures of a camera that is declared as a depth map are an error, too: the depths are lost. LeRobot reads the
declaration from the key `info`; old versions wrote it to `video_info`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from episeek.mp4.moov.sample_description import PictureFormat, VisualSampleEntry
from episeek_pipelines.verify.findings.findings import Finding, Location, Severity, finding
from episeek_pipelines.verify.findings.observations import VideoFormat
from episeek_pipelines.verify.findings.quoting import quoted
from episeek_pipelines.verify.rules import VIDEO_FORMAT
from episeek_pipelines.verify.videos.format import format_text
from episeek_pipelines.video.ffmpeg_names import picture_format, sample_entries
from episeek_schemas import layout, lerobot

INFO_REMEDY: Final = (
    "run `episeek repair SRC DST`, or change the value in the camera's `info` in meta/info.json to the value of its "
    "files; the files need no change, and LeRobot "
    "reads them"
)
SEVERAL_REMEDY: Final = (
    "nothing has to be done for LeRobot and episeek, which read each file by its own header. Decide whether another reader needs "
    "all files of a camera in one format; if so, encode the recording of this file again in the format of the others"
)
SIZE_REMEDY: Final = (
    "decide which is right: if the pictures have the recorded size, set shape and `info` in meta/info.json to this size; "
    "otherwise restore the recorded files"
)
ODD_SIZE_REMEDY: Final = "restore the file, or encode its recording at the picture size of the camera's other files"
DEPTH_REMEDY: Final = (
    "restore the depth video from the recording: the depths are not in this file, and no change of meta/info.json brings "
    "them back"
)
CHANNELS_REMEDY: Final = (
    "decide which is right: if colours were recorded, set the channels in shape and `info` to 3 in meta/info.json; otherwise "
    "restore the recorded files"
)
STALE_REMEDY: Final = (
    "run `episeek repair SRC DST`, or remove `video_info` from the feature in meta/info.json: LeRobot reads only "
    "`info`, and writes `info` if it is missing"
)


@dataclass(frozen=True, slots=True)
class _Difference:
    """A property of a file that differs from its declaration."""

    what: str
    found: str
    expected: str
    severity: Severity
    is_size: bool = False


def check_formats(formats: Sequence[VideoFormat], features: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield VID026 for files whose format differs from the declared format, or from the format of most of the camera's files.

    Args:
        formats: The formats of all video files that could be read.
        features: `features` of meta/info.json.
    """
    for camera in sorted({each.camera_key for each in formats}):
        members = sorted((each for each in formats if each.camera_key == camera), key=lambda each: each.path)
        spec = features.get(camera)
        yield from _check_declared(camera, members, spec if isinstance(spec, Mapping) else {})
        yield from _check_same(camera, members)


def _check_declared(camera: str, members: Sequence[VideoFormat], spec: Mapping[str, Any]) -> Iterator[Finding]:
    info, old = (lerobot.video_info(spec, key) for key in lerobot.VIDEO_INFO_KEYS)
    is_one = len({format_text(each.entry) for each in members}) == 1
    for each in members:
        where = Location(file=each.path, camera=camera)
        problem = _channel_problem(spec, info, each.entry)
        if problem is not None:
            found, expected, remedy = problem
            yield finding(VIDEO_FORMAT, found, expected, where, remedy=remedy)
            if remedy == DEPTH_REMEDY:
                # The other differences have the same cause, and their remedies would hide it.
                continue
        for difference in _differences(spec, info, each.entry):
            remedy = INFO_REMEDY if is_one else SEVERAL_REMEDY
            if difference.is_size and difference.severity == "error":
                remedy = SIZE_REMEDY if is_one else ODD_SIZE_REMEDY
            expected = f"{difference.expected}, as in {layout.INFO_PATH}"
            found = f"{difference.what} {difference.found}"
            yield finding(VIDEO_FORMAT, found, expected, where, remedy=remedy, severity=difference.severity)
    stale = list(dict.fromkeys(problem for each in members for problem in _differences({}, old, each.entry)))
    if stale:
        yield finding(
            VIDEO_FORMAT,
            f"`video_info` with {stale[0].what} {stale[0].expected}",
            f"{stale[0].found}, as in the files, or no `video_info`",
            Location(file=layout.INFO_PATH, camera=camera, column="video_info"),
            more=len(stale) - 1,
            remedy=STALE_REMEDY,
            severity="warning",
        )


def _check_same(camera: str, members: Sequence[VideoFormat]) -> Iterator[Finding]:
    texts = [format_text(each.entry) for each in members]
    counts = Counter(texts)
    usual = max(counts, key=lambda text: (counts[text], text))
    usual_entry = members[texts.index(usual)].entry
    for each, text in zip(members, texts, strict=True):
        if text == usual:
            continue
        is_other_size = (each.entry.height, each.entry.width) != (usual_entry.height, usual_entry.width)
        yield finding(
            VIDEO_FORMAT,
            text,
            f"{usual}, as in {counts[usual]} of the camera's {len(members)} files",
            Location(file=each.path, camera=camera),
            remedy=ODD_SIZE_REMEDY if is_other_size else SEVERAL_REMEDY,
            severity="error" if is_other_size else "warning",
        )


def _channel_problem(
    spec: Mapping[str, Any], info: Mapping[str, Any], entry: VisualSampleEntry
) -> tuple[str, str, str] | None:
    """Return (found, expected, remedy) if a file has colour pictures although one channel or a depth map is declared, else None."""
    pictures = entry.pictures
    if pictures is None or pictures.is_monochrome:
        return None
    found = f"{entry.codec}, {_pixels_text(pictures)}"
    if lerobot.is_depth(spec):
        declared = ", ".join(
            str(info[key]) for key in ("video.codec", "video.pix_fmt") if isinstance(info.get(key), str)
        )
        return (
            found,
            f"pictures of one plane, since {layout.INFO_PATH} declares a depth map ({declared or 'is_depth_map'})",
            DEPTH_REMEDY,
        )
    if 1 in (info.get("video.channels"), _by_name(spec).get("channel")):
        return found, f"one channel, as in {layout.INFO_PATH}", CHANNELS_REMEDY
    return None


def _differences(spec: Mapping[str, Any], info: Mapping[str, Any], entry: VisualSampleEntry) -> Iterator[_Difference]:
    """Yield each property of a file that differs from the declarations of its feature.

    Args:
        spec: The feature, whose shape declares the picture size; empty to ignore the shape.
        info: The content of the feature's key `info` or `video_info`, which declares the encoding.
        entry: The sample description of the file.
    """
    codec = info.get("video.codec")
    fourccs = sample_entries(codec)
    if fourccs is not None and entry.codec not in fourccs:
        yield _Difference("codec", entry.codec, f"{codec} ({' or '.join(sorted(fourccs))})", "warning")
    shape = _by_name(spec)
    sizes: list[tuple[Any, Any, Severity]] = [
        (shape.get("height"), shape.get("width"), "error"),
        (info.get("video.height"), info.get("video.width"), "warning"),
    ]
    for height, width, severity in sizes:
        is_declared = all(isinstance(value, int) and value > 0 for value in (height, width))
        if is_declared and (entry.height, entry.width) != (height, width):
            found, expected = f"{entry.width}x{entry.height}", f"{width}x{height}"
            yield _Difference("picture size", found, expected, severity, is_size=True)
            break
    declared, pictures = picture_format(info.get("video.pix_fmt")), entry.pictures
    if declared is not None and pictures is not None:
        is_other_chroma = None not in (declared.subsampling, pictures.subsampling) and (
            declared.subsampling != pictures.subsampling
        )
        other = (pictures.is_monochrome, pictures.bit_depth) != (declared.is_monochrome, declared.bit_depth)
        if is_other_chroma or other:
            expected = f"{quoted(info['video.pix_fmt'])[1:-1]} ({_pixels_text(declared)})"
            yield _Difference("pixel format", _pixels_text(pictures), expected, "warning")


def _by_name(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers in a feature's `shape` by their `names`, without a final s: "channels" becomes "channel"."""
    shape, names = spec.get("shape"), spec.get("names")
    if not (isinstance(shape, list) and isinstance(names, list) and len(shape) == len(names)):
        return {}
    return {str(name).rstrip("s"): value for name, value in zip(names, shape, strict=True)}


def _pixels_text(pictures: PictureFormat) -> str:
    colour = "one plane" if pictures.is_monochrome else f"colour {pictures.subsampling or ''}".strip()
    return f"{colour} of {pictures.bit_depth} bits"

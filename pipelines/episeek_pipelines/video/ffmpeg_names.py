"""Translate FFmpeg's names of codecs and pixel formats, which LeRobot writes into meta/info.json, to the values of an MP4
header.
"""

import re
from typing import Final

from episeek.mp4.moov.sample_description import PictureFormat

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
"""Types of sample entries, by FFmpeg's name of the codec. Names that are missing here count as unknown."""

_PIXEL_FORMAT = re.compile(
    r"(?:(?P<gray>gray)|yuvj?(?P<chroma>420|422|444)p|gbrp|nv12|nv16|p0)(?P<bits>\d{1,2})?(?:le|be)?"
)
"""Pattern of the names of pixel formats. The name "yuv420p10le", for example, means 4:2:0 subsampling and 10 bits per value."""


def sample_entries(codec: object) -> set[str] | None:
    """Return the types of the sample entries of a codec, given FFmpeg's name of the codec, or None for an unknown name."""
    return _FOURCCS.get(codec.lower()) if isinstance(codec, str) else None


def codec_name(sample_entry: str) -> str | None:
    """Return FFmpeg's name of the codec of a sample entry, or None for an unknown type."""
    return next((name for name, entries in _FOURCCS.items() if sample_entry in entries), None)


def picture_format(name: object) -> PictureFormat | None:
    """Return the picture format that the name of a pixel format means, or None for an unknown name."""
    match = _PIXEL_FORMAT.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        return None
    return PictureFormat(match["gray"] is not None, int(match["bits"] or 8), match["chroma"])


def pixel_format_name(pictures: PictureFormat) -> str | None:
    """Return the name of the planar pixel format of a file's pictures, or None if the chroma subsampling is unknown."""
    bits = "" if pictures.bit_depth == 8 else f"{pictures.bit_depth}le"
    if pictures.is_monochrome:
        return f"gray{bits}"
    return None if pictures.subsampling is None else f"yuv{pictures.subsampling}p{bits}"

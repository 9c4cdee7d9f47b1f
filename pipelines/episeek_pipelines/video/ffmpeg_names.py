"""FFmpeg's names of codecs and pixel formats, which LeRobot writes into meta/info.json, and their meaning in a header."""

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
"""Sample entries by the names of codecs. Codecs with other names are not known here."""

_PIXEL_FORMAT = re.compile(
    r"(?:(?P<gray>gray)|yuvj?(?P<chroma>420|422|444)p|gbrp|nv12|nv16|p0)(?P<bits>\d{1,2})?(?:le|be)?"
)
"""Planar formats of encoded video; "yuv420p10le" is 4:2:0 of 10 bits."""


def sample_entries(codec: object) -> set[str] | None:
    """Return the sample entries of a codec by its name; None for a name that is not known."""
    return _FOURCCS.get(codec.lower()) if isinstance(codec, str) else None


def codec_name(sample_entry: str) -> str | None:
    """Return the name of the codec of a sample entry; None for one that is not known."""
    return next((name for name, entries in _FOURCCS.items() if sample_entry in entries), None)


def picture_format(name: object) -> PictureFormat | None:
    """Return the picture format that a name of a pixel format stands for; None for an unknown name."""
    match = _PIXEL_FORMAT.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        return None
    return PictureFormat(match["gray"] is not None, int(match["bits"] or 8), match["chroma"])


def pixel_format_name(pictures: PictureFormat) -> str | None:
    """Return the name of the planar pixel format of a file's pictures; None where its subsampling is not known."""
    bits = "" if pictures.bit_depth == 8 else f"{pictures.bit_depth}le"
    if pictures.is_monochrome:
        return f"gray{bits}"
    return None if pictures.subsampling is None else f"yuv{pictures.subsampling}p{bits}"

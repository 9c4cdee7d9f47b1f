"""Choose the `Codec` for the samples of a sample entry, from the entry's type and decoder configuration."""

from collections.abc import Callable
from functools import partial

from episeek.mp4.moov.sample_description import decoder_configuration
from episeek_pipelines.video.bitstreams.av1 import Av1
from episeek_pipelines.video.bitstreams.ffv1 import Ffv1
from episeek_pipelines.video.bitstreams.h264 import H264
from episeek_pipelines.video.bitstreams.hevc import Hevc
from episeek_pipelines.video.bitstreams.intra_only import INTRA_ONLY
from episeek_pipelines.video.bitstreams.mjpeg import Mjpeg
from episeek_pipelines.video.bitstreams.mpeg2 import Mpeg2
from episeek_pipelines.video.bitstreams.mpeg4 import Mpeg4
from episeek_pipelines.video.bitstreams.sample import Codec
from episeek_pipelines.video.bitstreams.vpx import Vp8, Vp9
from episeek_pipelines.video.bitstreams.vvc import Vvc

_LEAST_BYTES = {"avcC": 5, "hvcC": 22, "vvcC": 5, "av1C": 4, "vpcC": 0, "esds": 4}
_CONFIGURATIONS = tuple(_LEAST_BYTES)

_MPEG4_OBJECT = 0x20
MPEG1_OBJECT = 0x6A
_MPEG2_OBJECTS = (*range(0x60, 0x66), MPEG1_OBJECT)
_JPEG_OBJECT = 0x6C
_INTRA_ONLY_OBJECTS = (0x6D, 0x6E)
"""Values of objectTypeIndication in esds for PNG and JPEG 2000 (ISO/IEC 14496-1, 7.2.6.6)."""

_MPEG2_TYPES = ("mp1v", "mp2v", "mpg1", "mpg2", "m1v ", "m2v1", "mpeg")
_MPEG2_FAMILIES = tuple(
    f"{family}{number:x}" for family in ("hdv", "xdv", "mx5", "mx4", "mx3") for number in range(1, 16)
)

_PARSERS: dict[str, Callable[[], Codec]] = {
    **{name: partial(H264, None, name) for name in ("avc1", "avc3")},
    **{name: partial(Hevc, None, name) for name in ("hvc1", "hev1")},
    **{name: partial(Vvc, None, name) for name in ("vvc1", "vvi1")},
    "av01": Av1,
    "vp08": Vp8,
    "vp09": Vp9,
    "jpeg": Mjpeg,
    "mjpa": Mjpeg,
    "FFV1": Ffv1,
    "mp4v": lambda: Mpeg4(b""),
    **dict.fromkeys((*_MPEG2_TYPES, *_MPEG2_FAMILIES), lambda: Mpeg2(b"")),
}
"""Functions that make the `Codec` for samples of an entry without a decoder configuration, by entry type.

NAL units of such samples have start codes.
"""


def codec_of_entry(stsd: bytes, description_index: int, codec: str, *, where: str) -> Codec | None:
    """Return the `Codec` for the samples of a sample entry, or None if samples of this codec are not inspected.

    Args:
        stsd: The whole stsd box.
        description_index: Number of the entry in the box, from 1.
        codec: Type of the entry, four characters.
        where: The file, for messages.

    Raises:
        Mp4Error: The stsd box is damaged.
    """
    found = decoder_configuration(stsd, _CONFIGURATIONS, description_index=description_index, where=where)
    if found is not None and len(found[1]) >= _LEAST_BYTES[found[0]]:
        kind, payload = found
        if kind == "avcC":
            return H264(payload, codec)
        if kind == "hvcC":
            return Hevc(payload, codec)
        if kind == "vvcC":
            return Vvc(payload, codec)
        if kind == "av1C":
            return Av1(payload)
        if kind == "esds":
            return _of_descriptor(payload[4:])
    make = _PARSERS.get(codec)
    return None if make is None else make()


def is_intra_only(stsd: bytes, description_index: int, codec: str, *, where: str) -> bool:
    """Return whether the codec of a sample entry codes every picture by itself.

    Args:
        stsd: The whole stsd box.
        description_index: Number of the entry in the box, from 1.
        codec: Type of the entry, four characters.
        where: The file, for messages.

    Raises:
        Mp4Error: The stsd box is damaged.
    """
    found = decoder_configuration(stsd, ("esds",), description_index=description_index, where=where)
    if found is None:
        return codec in INTRA_ONLY
    descriptors = found[1][4:]
    place = object_type_place(descriptors)
    return place is not None and descriptors[place] in _INTRA_ONLY_OBJECTS


def _of_descriptor(descriptors: bytes) -> Codec | None:
    """Return the `Codec` for an ES_Descriptor (ISO/IEC 14496-1, 7.2.6.5), or None if samples of its codec are not inspected."""
    place, configuration = _decoder_config(descriptors)
    object_type = -1 if place is None else descriptors[place]
    if object_type == _MPEG4_OBJECT:
        return Mpeg4(configuration)
    if object_type in _MPEG2_OBJECTS:
        return Mpeg2(configuration)
    return Mjpeg() if object_type == _JPEG_OBJECT else None


def object_type_place(descriptors: bytes) -> int | None:
    """Return the byte offset of objectTypeIndication in an ES_Descriptor, or None if it is missing."""
    return _decoder_config(descriptors)[0]


def _decoder_config(data: bytes) -> tuple[int | None, bytes]:
    """Return the byte offset of objectTypeIndication, and DecoderSpecificInfo (ISO/IEC 14496-1, 7.2.6.6 and 7.2.6.7).

    A missing objectTypeIndication gives None, and a missing DecoderSpecificInfo gives empty bytes.
    """
    place: int | None = None
    position = 0
    while position + 2 <= len(data):
        tag, position = data[position], position + 1
        size = 0
        while position < len(data):
            byte, position = data[position], position + 1
            size = size << 7 | byte & 127
            if not byte & 128:
                break
        if tag == 3 and position + 3 <= len(data):
            # the id of the stream, then flags for optional fields: the stream on which it depends, a URL, and a clock
            flags = data[position + 2]
            position += 3 + 2 * (flags >> 7)
            if flags >> 6 & 1 and position < len(data):
                position += 1 + data[position]
            position += 2 * (flags >> 5 & 1)
        elif tag == 4 and position < len(data):
            place = position
            position += 13
        elif tag == 5:
            return place, data[position : position + size]
        else:
            position += size
    return place, b""

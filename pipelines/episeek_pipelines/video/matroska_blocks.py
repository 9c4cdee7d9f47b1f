"""Find the blocks of a Matroska or WebM file in its EBML structure, and check every length (RFC 8794, RFC 9559).

`episeek_pipelines.video.matroska` compares the packets that FFmpeg demuxes with these blocks, since FFmpeg silently skips what
it cannot read and silently undoes compression. No picture is read here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from episeek.errors import MalformedBoxError, TruncatedMp4Error
from episeek.mp4.container_signature import EBML
from episeek_pipelines.video.demuxer_file import DemuxerFile

_EBML = int.from_bytes(EBML)
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
_CLUSTER_TIMESTAMP = 0xE7
_BLOCK_GROUP = 0xA0
_BLOCK = 0xA1
_REFERENCE_BLOCK = 0xFB
_SIMPLE_BLOCK = 0xA3
_TRACKS = 0x1654AE6B
_TRACK_ENTRY = 0xAE
_TRACK_NUMBER = 0xD7
_CONTENT_ENCODINGS = 0x6D80
_CONTENT_ENCODING = 0x6240
_CONTENT_ENCODING_TYPE = 0x5033
_ENCRYPTION = 1

_MAX_ID_BYTES = 4
_MAX_SIZE_BYTES = 8
_KEYFRAME_FLAG = 0x80
_LACING_FLAGS = 0x06
_INVISIBLE_FLAG = 0x08


@dataclass(frozen=True, slots=True)
class Track:
    """How a track stores its pictures, from its TrackEntry element (RFC 9559, 5.1.4.1)."""

    is_encoded: bool = False
    """Whether the track has ContentEncodings: its blocks are compressed, stripped of their first bytes, or encrypted."""
    is_encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """The structure of a file up to its first cluster."""

    tracks: dict[int, Track]
    """The tracks by number."""
    clusters_offset: int
    """Offset of the first cluster, in bytes."""
    end: int
    """End of the segment, in bytes; the end of the file if the segment's size is unknown."""


@dataclass(frozen=True, slots=True)
class Block:
    """One Block or SimpleBlock (RFC 9559, 10.1 and 10.2); offsets are absolute, in bytes."""

    position: int
    """Offset of the first byte after the element's header; FFmpeg calls it `pos`."""
    track: int
    offset: int
    """Offset of the first byte after the block's header, where the frame starts or, in a laced block, the sizes of its frames."""
    size: int
    """Number of bytes from `offset` to the end of the block; not 0."""
    tick: int | None
    """Presentation time in ticks; None if the cluster has no timestamp to count from."""
    is_key: bool
    is_laced: bool
    is_invisible: bool


@dataclass(frozen=True, slots=True)
class _Element:
    id: int
    payload: int
    end: int | None
    """End of the element, in bytes; None for an element of unknown size, which live streams have."""


def read_layout(file: DemuxerFile) -> Layout:
    """Return the tracks and the offset of the first cluster (RFC 9559, 5.1).

    Raises:
        MalformedBoxError: The file is not EBML, or an element has an impossible size or content.
        TruncatedMp4Error: The segment reaches past the end of the file, or has no cluster.
        MissingFileError, ShortReadError, ReadError: The source cannot deliver the file.
    """
    header = _element(file, 0, file.size)
    if header.id != _EBML or header.end is None:
        raise MalformedBoxError(file.path, f"element 0x{header.id:X} at the start", "an EBML header")
    position = header.end
    while (segment := _element(file, position, file.size)).id != _SEGMENT:
        position = _end_of(file, segment)
    end = file.size if segment.end is None else segment.end
    tracks: dict[int, Track] = {}
    position = segment.payload
    while position < end:
        element = _element(file, position, end)
        if element.id == _CLUSTER:
            return Layout(tracks, position, end)
        if element.id == _TRACKS:
            for entry in _children(file, element):
                if entry.id == _TRACK_ENTRY:
                    number, track = _track(file, entry)
                    tracks.setdefault(number, track)
        position = _end_of(file, element)
    raise TruncatedMp4Error(file.path, f"no cluster in {file.size} bytes", "a complete Matroska file with media data")


def read_blocks(file: DemuxerFile, layout: Layout) -> Iterator[Block]:
    """Yield the blocks of all tracks, in file order, without blocks that hold no frame.

    The sizes of elements lead from one element to the next, so that no block is missed.

    Raises:
        MalformedBoxError: An element has an impossible size or content.
        TruncatedMp4Error: An element reaches past the end of the segment.
        MissingFileError, ShortReadError, ReadError: The source cannot deliver the file.
    """
    position = layout.clusters_offset
    origin: int | None = None
    while position < layout.end:
        element = _element(file, position, layout.end)
        if element.id == _CLUSTER:
            position, origin = element.payload, None
            continue
        position = _end_of(file, element)
        if element.id == _CLUSTER_TIMESTAMP:
            origin = _unsigned(file, element)
        elif element.id == _SIMPLE_BLOCK:
            yield from _block(file, element, origin, is_key=None)
        elif element.id == _BLOCK_GROUP:
            parts = list(_children(file, element))
            is_key = not any(part.id == _REFERENCE_BLOCK for part in parts)
            for part in parts:
                if part.id == _BLOCK:
                    yield from _block(file, part, origin, is_key=is_key)


def _block(file: DemuxerFile, element: _Element, origin: int | None, *, is_key: bool | None) -> Iterator[Block]:
    """Yield the block in an element, or nothing if the block holds no frame (RFC 9559, 10.1 and 10.2).

    A block starts with the number of its track, its signed time relative to the cluster (two bytes), and flags. If `is_key` is
    None, the flags say whether the block is a keyframe.
    """
    start, end = element.payload, _end_of(file, element)
    data = file.read_at(start, min(end, start + _MAX_SIZE_BYTES + 3))
    number, length = _variable_length(data, 0, _MAX_SIZE_BYTES, file, start)
    if length + 3 > len(data):
        raise MalformedBoxError(file.path, f"a block of {end - start} bytes at offset {start}", "a block header")
    relative = int.from_bytes(data[length : length + 2], "big", signed=True)
    flags = data[length + 2]
    offset = start + length + 3
    if offset == end:
        return
    yield Block(
        position=start,
        track=number & (1 << 7 * length) - 1,
        offset=offset,
        size=end - offset,
        tick=None if origin is None else origin + relative,
        is_key=bool(flags & _KEYFRAME_FLAG) if is_key is None else is_key,
        is_laced=bool(flags & _LACING_FLAGS),
        is_invisible=bool(flags & _INVISIBLE_FLAG),
    )


def _track(file: DemuxerFile, entry: _Element) -> tuple[int, Track]:
    number = 0
    is_encoded = is_encrypted = False
    for element in _children(file, entry):
        if element.id == _TRACK_NUMBER:
            number = _unsigned(file, element)
        elif element.id == _CONTENT_ENCODINGS:
            is_encoded = True
            is_encrypted = any(
                part.id == _CONTENT_ENCODING_TYPE and _unsigned(file, part) == _ENCRYPTION
                for encoding in _children(file, element)
                if encoding.id == _CONTENT_ENCODING
                for part in _children(file, encoding)
            )
    return number, Track(is_encoded, is_encrypted)


def _children(file: DemuxerFile, parent: _Element) -> Iterator[_Element]:
    position, end = parent.payload, _end_of(file, parent)
    while position < end:
        element = _element(file, position, end)
        yield element
        position = _end_of(file, element)


def _unsigned(file: DemuxerFile, element: _Element) -> int:
    end = _end_of(file, element)
    if end - element.payload > _MAX_SIZE_BYTES:
        found = f"element 0x{element.id:X} of {end - element.payload} bytes at offset {element.payload}"
        raise MalformedBoxError(file.path, found, "an integer of at most 8 bytes")
    return int.from_bytes(file.read_at(element.payload, end), "big")


def _end_of(file: DemuxerFile, element: _Element) -> int:
    if element.end is None:
        found = f"element 0x{element.id:X} of unknown size at offset {element.payload}"
        raise MalformedBoxError(file.path, found, "a known size: only segments and clusters may have an unknown size")
    return element.end


def _element(file: DemuxerFile, position: int, limit: int) -> _Element:
    """Return the element at `position`, which has to end at or before `limit` (RFC 8794, 4 to 6)."""
    data = file.read_at(position, min(position + _MAX_ID_BYTES + _MAX_SIZE_BYTES, limit))
    element_id, id_bytes = _variable_length(data, 0, _MAX_ID_BYTES, file, position)
    coded_size, size_bytes = _variable_length(data, id_bytes, _MAX_SIZE_BYTES, file, position)
    unknown = (1 << 7 * size_bytes) - 1
    size = coded_size & unknown
    payload = position + id_bytes + size_bytes
    if size == unknown:
        return _Element(element_id, payload, None)
    if payload + size > limit:
        found = f"element 0x{element_id:X} of {size} bytes at offset {position}"
        expected = f"at most {limit - payload} bytes, to the end of the file or the enclosing element"
        raise TruncatedMp4Error(file.path, found, expected)
    return _Element(element_id, payload, payload + size)


def _variable_length(data: bytes, start: int, max_bytes: int, file: DemuxerFile, position: int) -> tuple[int, int]:
    """Return a variable-length integer with its length marker, and its length in bytes (RFC 8794, 4)."""
    if start >= len(data):
        raise TruncatedMp4Error(file.path, f"{len(data)} bytes at offset {position}", "a whole element or block")
    length = 9 - data[start].bit_length()
    if length > max_bytes:
        found = f"byte 0x{data[start]:02X} in the header of an element at offset {position}"
        raise MalformedBoxError(file.path, found, f"a number of at most {max_bytes} bytes")
    if start + length > len(data):
        raise TruncatedMp4Error(file.path, f"{len(data)} bytes at offset {position}", "a whole element or block")
    return int.from_bytes(data[start : start + length], "big"), length

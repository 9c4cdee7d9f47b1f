"""Make the sample table of a Matroska or WebM file, with the byte range of each picture (RFC 9559).

FFmpeg, through PyAV, gives the packets, their presentation times and the keyframes. `matroska_blocks` finds the blocks in the
file. Both have to agree on every block, and each block has to contain exactly the bytes of its packet. Compressed, stripped and
laced blocks are therefore refused. The sample description comes from a stream copy (`stream_copy`). Pictures that hold the
transparency of a video (AlphaMode) are left out, as in FFmpeg's decoders.

A file that declares its size and was cut short is refused. A live stream declares no size. If it was cut between two blocks, it
looks complete, and its frames are indexed.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from episeek.errors import (
    BackendUnavailableError,
    ContainerError,
    EncryptedMp4Error,
    EpiseekError,
    NoVideoTrackError,
    SampleDescriptionError,
    SampleTableError,
    first_line,
    install_hint,
)
from episeek.mp4.container_signature import EBML
from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteSource
from episeek_pipelines.video.demuxer_file import DemuxerFile
from episeek_pipelines.video.matroska_blocks import Block, Layout, read_blocks, read_layout
from episeek_pipelines.video.stream_copy import CODECS, REENCODE, StreamCopy

if TYPE_CHECKING:
    from av import Packet, VideoStream
    from av.container import InputContainer

_MAX_TICKS = 1 << 52
"""Bound of presentation times, in ticks. A file with larger times is damaged."""


_TAGS_OF_PICTURES_IN_ORDER = frozenset({"FFV1", "MJPG", "MPNG", "b16g"})
"""FourCCs of codecs that have a sample entry in QuickTime and store pictures in presentation order."""

_DAMAGED_HINT = "check whether the file is damaged"


def is_matroska(first_bytes: bytes) -> bool:
    """Return whether a file begins with an EBML header, as Matroska and WebM files do, whatever its name."""
    return first_bytes.startswith(EBML)


def demux_matroska(source: ByteSource, path: str, *, file_size: int) -> SampleTable:
    """Return the samples of the first video track of a Matroska or WebM file. Reads the whole file.

    Presentation times are in ticks of the file's clock, which usually counts milliseconds. Matroska has no decode times, so `dts`
    contains the presentation times in ascending order. Every sample is presented.

    Args:
        source: The source that holds the file.
        path: Path relative to the source's root.
        file_size: Size of the file in bytes.

    Raises:
        NoVideoTrackError: There is no video track.
        EncryptedMp4Error: The pictures are encrypted.
        SampleDescriptionError: MP4 has no sample entry for the codec.
        ContainerError: Blocks differ from FFmpeg's packets, or FFmpeg cannot read the file.
        SampleTableError: A sample has no usable time, or there are no samples.
        MalformedBoxError, TruncatedMp4Error: The EBML structure is damaged, or the file was cut short.
        MissingFileError, ShortReadError, ReadError: The source cannot deliver the file.
        BackendUnavailableError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        expected = "the package av, which reads Matroska"
        raise BackendUnavailableError("PyAV", first_line(error), expected, install_hint("prepare")) from error
    file = DemuxerFile(source, path, file_size)
    layout = read_layout(file)
    try:
        with av.open(file, mode="r", format="matroska", metadata_errors="replace") as container:
            table = _read_table(container, file, layout)
    except (EpiseekError, av.error.FFmpegError) as error:
        if file.error is None and isinstance(error, EpiseekError):
            raise
        if file.error is None:
            found = f"FFmpeg: {first_line(error)}"
            raise ContainerError(path, found, "a Matroska file that FFmpeg reads") from error
    # the source failed, so that FFmpeg has not read the whole file
    if file.error is not None:
        raise file.error
    return table


def _read_table(container: "InputContainer", file: DemuxerFile, layout: Layout) -> SampleTable:
    stream = _video_stream(container, file.path)
    copy = StreamCopy(stream, file.path)
    # PyAV adds an empty packet at the end
    packets = (packet for packet in container.demux(stream) if packet.size)
    rows = []
    for packet, block in _with_blocks(packets, file, layout):
        tick = _tick(packet, block, file.path)
        # FFmpeg also marks the start of an intra refresh as a keyframe, and the block's flag may be wrong: both have to agree
        is_key = packet.is_keyframe and block.is_key
        rows.append((block.offset, block.size, tick, packet.duration or 0, is_key))
        copy.add(packet)
    return _table(np.array(rows, np.int64).reshape(-1, 5), copy.finish(), stream.time_base, file.path)


def _video_stream(container: "InputContainer", where: str) -> "VideoStream":
    from av.stream import Disposition

    for stream in container.streams.video:
        # a cover picture is not a video
        if not stream.disposition & Disposition.attached_pic:
            _check_codec(stream, where)
            return stream
    kinds = [stream.type for stream in container.streams]
    raise NoVideoTrackError(where, f"tracks {kinds}" if kinds else "no tracks", "a video track")


def _check_codec(stream: "VideoStream", where: str) -> None:
    if stream.codec_context is None:
        raise SampleDescriptionError(where, "video of a codec that FFmpeg does not know", CODECS, REENCODE)
    # with codec ids such as V_MS/VFW/FOURCC, times may be decode times, and decoders need a FourCC that MP4 cannot store
    tag = stream.codec_context.codec_tag.strip("\0")
    if tag and tag not in _TAGS_OF_PICTURES_IN_ORDER:
        raise ContainerError(
            where, f"video in the form of AVI or QuickTime ({tag!r})", "a codec that has a codec id in Matroska"
        )


def _tick(packet: "Packet[VideoStream]", block: Block, where: str) -> int:
    """Return the presentation time of a block in ticks. FFmpeg guesses missing times, so the block and FFmpeg have to agree.

    Raises:
        SampleTableError: The block has no time, or FFmpeg reads another time.
    """
    tick = packet.pts
    if tick is None or tick != block.tick or abs(tick) >= _MAX_TICKS:
        found = f"a picture at byte {block.position} with tick {block.tick} in its block, and tick {tick} from FFmpeg"
        raise SampleTableError(where, found, "the same presentation time from both, below 2^52 ticks")
    return tick


def _with_blocks(
    packets: "Iterator[Packet[VideoStream]]", file: DemuxerFile, layout: Layout
) -> "Iterator[tuple[Packet[VideoStream], Block]]":
    """Yield each packet with its block, after comparing the packet with the bytes of the file.

    Raises:
        ContainerError: Packets and blocks differ in number, position or contents.
    """
    blocks = read_blocks(file, layout)
    track: int | None = None
    skipped: set[int] = set()
    for packet in packets:
        for block in blocks:
            if block.track == track or (track is None and block.position == packet.pos):
                break
            skipped.add(block.track)
        else:
            block = None
        if block is None or block.position != packet.pos or (track is None and block.track in skipped):
            found = f"a picture that FFmpeg reads at byte {packet.pos}, which is not the next block of the video track"
            raise ContainerError(file.path, found, "one picture for each block, in order", _DAMAGED_HINT)
        if track is None:
            track = block.track
            _check_track(track, layout, file.path)
        _check_block(packet, block, file)
        yield packet, block
    for block in blocks:
        if block.track == track:
            found = f"a block at byte {block.position} that FFmpeg does not read"
            raise ContainerError(file.path, found, "one picture for each block", _DAMAGED_HINT)


def _check_track(number: int, layout: Layout, where: str) -> None:
    track = layout.tracks.get(number)
    if track is None:
        raise ContainerError(
            where, f"blocks of track {number}", f"blocks of the declared tracks {sorted(layout.tracks)}"
        )
    if track.is_encrypted:
        raise EncryptedMp4Error(where, "encrypted video (ContentEncryption)", "samples that are not encrypted")
    if track.is_encoded:
        found = "compressed blocks (ContentEncodings)"
        raise ContainerError(where, found, "blocks without compression", "remux the file without compression")


def _check_block(packet: "Packet[VideoStream]", block: Block, file: DemuxerFile) -> None:
    where, name = file.path, f"a picture at byte {block.position}"
    if block.is_laced:
        raise ContainerError(where, f"{name} in a block of several frames (lacing)", "a block for each frame")
    if block.is_invisible:
        raise ContainerError(where, f"{name} that is not shown (invisible block)", "pictures that are all shown")
    if packet.is_corrupt or packet.is_discard:
        raise ContainerError(where, f"{name} that FFmpeg marks as damaged or hidden", "pictures that are all shown")
    if file.read_at(block.offset, block.offset + block.size) != bytes(packet):
        raise ContainerError(where, f"{name} whose bytes FFmpeg changes", "blocks that FFmpeg returns unchanged")


def _table(
    rows: np.ndarray[Any, np.dtype[np.int64]], copied: SampleTable, time_base: Fraction | None, where: str
) -> SampleTable:
    """Return the sample table with these rows (offset, size, pts, duration, is_key), which are in decode order."""
    if not time_base or not 0 < time_base.denominator < 1 << 31:
        raise SampleTableError(where, f"ticks of {time_base} s", "a positive tick length with a 31-bit denominator")
    offset, size, pts, packet_duration, is_key = rows.T.copy()
    if int(np.abs(pts).max()) * time_base.numerator >= _MAX_TICKS:
        raise SampleTableError(
            where, f"a picture at {float(np.abs(pts).max() * time_base):g} s", "a time below 2^52 ticks"
        )
    pts *= time_base.numerator
    order = np.argsort(pts, kind="stable")
    steps = np.diff(pts[order])
    declared = int(packet_duration[order[-1]]) * time_base.numerator
    usual = int(np.median(steps)) if len(steps) else 0
    duration = np.empty_like(pts)
    duration[order] = np.append(steps, declared if 0 < declared < _MAX_TICKS else max(usual, 1))
    is_sync = is_key.astype(np.bool_)
    # decoding of the whole file starts at the first sample, whatever its flag says
    is_sync[0] = True
    return SampleTable(
        offset=offset,
        size=size,
        dts=pts[order] - pts[order[0]],
        pts=pts,
        duration=duration,
        is_sync=is_sync,
        is_presented=np.ones(len(pts), np.bool_),
        timescale=time_base.denominator,
        codec=copied.codec,
        width=copied.width,
        height=copied.height,
        sample_description=copied.sample_description,
        matrix=copied.matrix,
    )

"""Matroska and WebM files to the sample table that an MP4 gives: each picture where it lies in the file as it is.

FFmpeg (PyAV) says what the packets are, when they are shown and which are keyframes; `matroska_blocks` says where the
blocks are. Both have to agree on every one of them, and the bytes at each recorded place have to be the packet's: what
is compressed, stripped or laced is refused. The sample description is the one FFmpeg's own MP4 muxer writes for a
stream copy, which may not change a byte of any sample. A file of known size that was cut short is refused; a live
stream, of unknown size, that was cut between two blocks cannot be told from a whole one, and gives the frames it has.
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
from episeek_pipelines.video.demuxer_file import SourceFile
from episeek_pipelines.video.matroska_blocks import Block, Layout, read_blocks, read_layout
from episeek_pipelines.video.stream_copy import CODECS, StreamCopy

if TYPE_CHECKING:
    from av import Packet, VideoStream
    from av.container import InputContainer

_MAX_TICKS = 1 << 52
"""Of any presentation time; more is damage."""


def is_matroska(first_bytes: bytes) -> bool:
    """Whether a file that begins so is EBML: Matroska or WebM, whatever its name says."""
    return first_bytes.startswith(EBML)


def demux_matroska(source: ByteSource, path: str, *, file_size: int) -> SampleTable:
    """The samples of the first video track of a Matroska or WebM file. Reads the whole file.

    Presentation times are the file's own, in its clock (mostly milliseconds). Decode times are not kept in Matroska:
    `dts` are the presentation times in order. Every sample is presented.

    Args:
        source: Where the file is.
        path: Relative to the source's root.
        file_size: Bytes.

    Raises:
        NoVideoTrackError: There is no video track.
        EncryptedMp4Error: The pictures are encrypted.
        SampleDescriptionError: MP4 has no sample entry for the codec.
        ContainerError: Samples do not lie in the file as they are, or FFmpeg cannot read it.
        SampleTableError: Samples without a usable time, or no samples.
        MalformedBoxError, TruncatedMp4Error: The EBML structure is damaged, or the file was cut short.
        MissingFileError, ShortReadError, ReadError: The source's.
        BackendUnavailableError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        expected = "the package av, to read Matroska"
        raise BackendUnavailableError("PyAV", first_line(error), expected, install_hint("prepare")) from error
    file = SourceFile(source, path, file_size)
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
    if file.error is not None:  # what came of it does not matter
        raise file.error
    return table


def _read_table(container: "InputContainer", file: SourceFile, layout: Layout) -> SampleTable:
    stream = _video_stream(container, file.path)
    copy = StreamCopy(stream, file.path)
    packets = (packet for packet in container.demux(stream) if packet.size)  # the last one, of no bytes, is PyAV's own
    rows = []
    for packet, block in _with_blocks(packets, file, layout):
        tick = _tick(packet, block, file.path)
        # FFmpeg also calls the start of an intra refresh a keyframe, and believes the flag where a codec's parser says nothing
        is_key = packet.is_keyframe and block.is_key
        rows.append((block.offset, block.size, tick, packet.duration or 0, is_key))
        copy.add(packet)
    return _table(np.array(rows, np.int64).reshape(-1, 5), copy.finish(), stream.time_base, file.path)


def _video_stream(container: "InputContainer", where: str) -> "VideoStream":
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # a cover is no video
            _check_codec(stream, where)
            return stream
    kinds = [stream.type for stream in container.streams]
    raise NoVideoTrackError(where, f"tracks {kinds}" if kinds else "no tracks", "a video track")


def _check_codec(stream: "VideoStream", where: str) -> None:
    if stream.codec_context is None:
        raise SampleDescriptionError(where, "video of a codec that FFmpeg does not know", CODECS)
    # V_MS/VFW/FOURCC and the like: times may be those of decoding, and decoders go by a FourCC that MP4 has no place for
    tag = stream.codec_context.codec_tag.strip("\0")
    if tag:
        raise ContainerError(where, f"video as AVI or QuickTime keep it ({tag!r})", "a codec by Matroska's own name")


def _tick(packet: "Packet[VideoStream]", block: Block, where: str) -> int:
    """FFmpeg guesses times that are missing; a guess is refused."""
    tick = packet.pts
    if tick is None or tick != block.tick or abs(tick) >= _MAX_TICKS:
        found = f"a picture at byte {block.position} that its block shows at tick {block.tick}, FFmpeg at {tick}"
        raise SampleTableError(where, found, "a presentation time for every block")
    return tick


def _with_blocks(
    packets: "Iterator[Packet[VideoStream]]", file: SourceFile, layout: Layout
) -> "Iterator[tuple[Packet[VideoStream], Block]]":
    """Each packet with the block it lies in, compared with the file's bytes.

    Raises:
        ContainerError: Packets and blocks are not the same in number, place or contents.
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
            found = f"a picture that FFmpeg reads at byte {packet.pos}"
            raise ContainerError(file.path, found, "every block of the video track, in order: the file may be damaged")
        if track is None:
            track = block.track
            _check_track(track, layout, file.path)
        _check_block(packet, block, file)
        yield packet, block
    for block in blocks:
        if block.track == track:
            found = f"a block at byte {block.position} that FFmpeg does not read"
            raise ContainerError(file.path, found, "blocks that are read: the file may be damaged")


def _check_track(number: int, layout: Layout, where: str) -> None:
    track = layout.tracks.get(number)
    if track is None:
        raise ContainerError(where, f"blocks of track {number}", f"one of the tracks {sorted(layout.tracks)}")
    if track.is_encrypted:
        raise EncryptedMp4Error(where, "encrypted video (ContentEncryption)", "samples in the clear")
    if track.is_encoded:
        found = "compressed blocks (ContentEncodings)"
        raise ContainerError(where, found, "samples that lie in the file as they are: remux it without compression")
    if track.has_alpha:
        raise ContainerError(where, "transparency in pictures of its own (AlphaMode)", "one picture a frame")


def _check_block(packet: "Packet[VideoStream]", block: Block, file: SourceFile) -> None:
    where, name = file.path, f"a picture at byte {block.position}"
    if block.is_laced:
        raise ContainerError(where, f"{name} in a block of several frames (lacing)", "a block for each frame")
    if block.is_invisible:
        raise ContainerError(where, f"{name} that is not to be shown (invisible block)", "pictures to be shown")
    if packet.is_corrupt or packet.is_discard:
        raise ContainerError(where, f"{name} that FFmpeg calls damaged or not to be shown", "pictures to be shown")
    if file.read_at(block.offset, block.offset + block.size) != bytes(packet):
        raise ContainerError(where, f"{name} whose bytes FFmpeg changes", "samples that lie in the file as they are")


def _table(
    rows: np.ndarray[Any, np.dtype[np.int64]], copied: SampleTable, time_base: Fraction | None, where: str
) -> SampleTable:
    """Rows of offset, size, pts, duration, is_key in decode order."""
    if not time_base or not 0 < time_base.denominator < 1 << 31:
        raise SampleTableError(where, f"a clock of {time_base} s", "ticks of a known length")
    offset, size, pts, packet_duration, is_key = rows.T.copy()
    if int(np.abs(pts).max()) * time_base.numerator >= _MAX_TICKS:
        raise SampleTableError(where, f"a picture at {float(np.abs(pts).max() * time_base):g} s", "a time that can be")
    pts *= time_base.numerator
    order = np.argsort(pts, kind="stable")
    steps = np.diff(pts[order])
    declared = int(packet_duration[order[-1]]) * time_base.numerator
    usual = int(np.median(steps)) if len(steps) else 0
    duration = np.empty_like(pts)
    duration[order] = np.append(steps, declared if 0 < declared < _MAX_TICKS else max(usual, 1))
    is_sync = is_key.astype(np.bool_)
    is_sync[0] = True  # decoding the whole file starts here too
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

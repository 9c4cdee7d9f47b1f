"""Make the sample description that an MP4 would have for a stream, by copying the stream's packets with FFmpeg's muxer.

The muxer may convert samples or join several packets. Every sample is therefore compared with its packet. For H.264 and HEVC with
start codes (Annex B), the sample entry gets its parameter sets with start codes, which tell decoders that the samples also have
start codes. For codecs without a sample entry in MP4, QuickTime's entry is used, which decoders read in the same way.
"""

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from episeek.errors import ContainerError, SampleDescriptionError, SampleTableError, first_line
from episeek.mp4.boxes import parse_box
from episeek.mp4.sample_table import SampleTable, parse_sample_table
from episeek_pipelines.video.entry_boxes import visual_entry, with_boxes, with_colour_range

if TYPE_CHECKING:
    from av import Packet, VideoStream

BATCH_BYTES = 1 << 23
"""Number of bytes of packets that are copied into one MP4."""

CODECS = "a codec that FFmpeg writes into MP4"

REENCODE = "re-encode the video"

_IS_FULL_RANGE = {1: False, 2: True}
"""Whether samples use the full range of values, by FFmpeg's number of the colour range. Other numbers mean that it is unknown."""

_OWN_ENTRIES = {"vp8": b"vp08"}
"""Sample entries of codecs that FFmpeg reads from MP4 but does not write. These entries hold no configuration."""

_UNSPECIFIED_COLOUR = (0, 2, 2, 2)
"""FFmpeg's numbers for unspecified range, primaries, transfer and matrix."""


class StreamCopy:
    """Copies the packets of one stream into MP4 files in memory, one batch at a time.

    Args:
        stream: The stream of the packets.
        where: The file, for messages.
    """

    def __init__(self, stream: "VideoStream", where: str) -> None:
        self._stream = stream
        self._where = where
        self._packets: list[Packet[VideoStream]] = []
        self._bytes = 0
        self._table: SampleTable | None = None
        codec = stream.codec_context
        self._has_start_codes = codec.name in ("h264", "hevc") and (codec.extradata or b"").startswith(b"\0\0")
        self._format = "mp4"

        own = _OWN_ENTRIES.get(codec.name)
        if own is not None:
            self._table = _without_samples(own, codec.width, codec.height)

    def add(self, packet: "Packet[VideoStream]") -> None:
        """Add a packet. Its times are overwritten when its batch is copied. Raises the errors of `finish`."""
        if self._stream.codec_context.name in _OWN_ENTRIES:
            return
        self._packets.append(packet)
        self._bytes += packet.size
        if self._bytes >= BATCH_BYTES:
            self._flush()

    def finish(self) -> SampleTable:
        """Return a sample table that holds the sample description, codec, picture size and matrix of all samples of the stream.

        Raises:
            SampleDescriptionError: MP4 has no sample entry for the codec, or the stream lacks data that the entry needs.
            ContainerError: The muxer changed samples.
            SampleTableError: No packet was added.
        """
        if self._packets:
            self._flush()
        if self._table is None:
            raise SampleTableError(self._where, "0 video samples", "at least one")
        return self._table

    def _flush(self) -> None:
        contents = [bytes(packet) for packet in self._packets]
        try:
            mp4 = self._mux(self._format)
        except SampleDescriptionError:
            if self._format != "mp4":
                raise
            self._format = "mov"
            mp4 = self._mux(self._format)
        table = parse_sample_table(_moov(mp4, self._where), file_size=len(mp4), where=self._where)
        places = zip(table.offset.tolist(), table.size.tolist(), strict=True)
        if self._has_start_codes:
            kind = "avcC" if self._stream.codec_context.name == "h264" else "hvcC"
            payload = self._stream.codec_context.extradata or b""
            table = replace(
                table, sample_description=with_boxes(table.sample_description, {kind: payload}, where=self._where)
            )
        elif [mp4[offset : offset + size] for offset, size in places] != contents:
            found = f"{self._stream.codec_context.name} samples in a form that MP4 does not store"
            raise ContainerError(self._where, found, "samples in the form of MP4", "remux the file to MP4")
        is_full = _IS_FULL_RANGE.get(int(self._stream.codec_context.color_range or 0))
        description = with_colour_range(table.sample_description, is_full, where=self._where)
        table = replace(table, sample_description=description)
        self._table = self._table or table
        self._packets.clear()
        self._bytes = 0

    def _mux(self, format_name: str) -> bytes:
        import av

        codec = self._stream.codec_context
        # the bit rate of a batch differs from the bit rate of the file
        options = {"write_btrt": "0"}
        if (codec.color_range, codec.color_primaries, codec.color_trc, codec.colorspace) != _UNSPECIFIED_COLOUR:
            # a single specified value is enough, since the pictures themselves may not carry it
            options["movflags"] = "+write_colr"
        buffer = io.BytesIO()
        try:
            with av.open(buffer, mode="w", format=format_name, options=options) as container:
                try:
                    # an opaque stream needs no encoder
                    output = container.add_stream_from_template(self._stream, opaque=True)
                except ValueError as error:
                    raise SampleDescriptionError(self._where, f"{codec.name} video", CODECS, REENCODE) from error
                ticks = 0
                for packet in self._packets:
                    # times do not matter: only the samples and their description are used
                    packet.pts = packet.dts = ticks
                    ticks += max(packet.duration or 0, 1)
                    packet.stream = output
                    container.mux_one(packet)
        except av.error.FFmpegError as error:
            found = f"{codec.name} video that FFmpeg cannot copy to MP4: {first_line(error)}"
            raise SampleDescriptionError(self._where, found, CODECS, REENCODE) from error
        return buffer.getvalue()


def _without_samples(code: bytes, width: int, height: int) -> SampleTable:
    none, no = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    return SampleTable(
        none, none, none, none, none, no, no,
        timescale=1, codec=code.decode(), width=width, height=height, sample_description=visual_entry(code, width, height),
    )  # fmt: skip


def _moov(mp4: bytes, where: str) -> bytes:
    box = parse_box(mp4, 0, len(mp4), where=where)
    while box.type != "moov":
        box = parse_box(mp4, box.end, len(mp4), where=where)
    return mp4[box.start : box.end]

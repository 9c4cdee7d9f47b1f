"""Make the sample description that an MP4 would have for a stream, by copying the stream's packets with FFmpeg's muxer.

The muxer may convert samples, from Annex B for example, or join several packets. Every sample is therefore compared with its
packet.
"""

import io
from typing import TYPE_CHECKING

from episeek.errors import ContainerError, SampleDescriptionError, SampleTableError, first_line
from episeek.mp4.boxes import parse_box
from episeek.mp4.sample_table import SampleTable, parse_sample_table

if TYPE_CHECKING:
    from av import Packet, VideoStream

BATCH_BYTES = 1 << 23
"""Bytes of packets that are copied into one MP4."""

CODECS = "a codec that FFmpeg writes into MP4"

REENCODE = "re-encode the video"

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

    def add(self, packet: "Packet[VideoStream]") -> None:
        """Take over a packet, whose times are overwritten. Raises the errors of `finish`."""
        self._packets.append(packet)
        self._bytes += packet.size
        if self._bytes >= BATCH_BYTES:
            self._flush()

    def finish(self) -> SampleTable:
        """Return the sample table of the first batch, for its description, codec, picture size and matrix, which hold for all.

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
        mp4 = self._mux()
        table = parse_sample_table(_moov(mp4, self._where), file_size=len(mp4), where=self._where)
        places = zip(table.offset.tolist(), table.size.tolist(), strict=True)
        if [mp4[offset : offset + size] for offset, size in places] != contents:
            found = f"{self._stream.codec_context.name} samples that an MP4 keeps in another form"
            raise ContainerError(self._where, found, "samples in the form that MP4 has", "remux the file to MP4")
        self._table = self._table or table
        self._packets.clear()
        self._bytes = 0

    def _mux(self) -> bytes:
        import av

        codec = self._stream.codec_context
        # bit rates of a batch are not those of the file
        options = {"write_btrt": "0"}
        if (codec.color_range, codec.color_primaries, codec.color_trc, codec.colorspace) != _UNSPECIFIED_COLOUR:
            # also where only one of them is specified: the pictures themselves may not carry it
            options["movflags"] = "+write_colr"
        buffer = io.BytesIO()
        try:
            with av.open(buffer, mode="w", format="mp4", options=options) as container:
                try:
                    # opaque: no encoder is needed
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


def _moov(mp4: bytes, where: str) -> bytes:
    box = parse_box(mp4, 0, len(mp4), where=where)
    while box.type != "moov":
        box = parse_box(mp4, box.end, len(mp4), where=where)
    return mp4[box.start : box.end]

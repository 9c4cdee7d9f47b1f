"""Recognise containers other than MP4 by their first bytes, so that a message can name them."""

EBML = b"\x1a\x45\xdf\xa3"
"""First bytes of Matroska and WebM files (RFC 8794, 11.2.1)."""

_SIGNATURES = (
    (EBML, "Matroska or WebM"),
    (b"RIFF", "AVI"),
    (b"OggS", "Ogg"),
    (b"FLV\x01", "FLV"),
    (b"\x30\x26\xb2\x75", "ASF"),
    (b"\x00\x00\x01\xba", "an MPEG program stream"),
    (b"\x00\x00\x00\x01", "H.264 or HEVC without a container"),
    (b"GIF8", "GIF"),
)
_TRANSPORT_STREAM_PACKET_BYTES = 188


def other_container(start: bytes) -> str | None:
    """Return the name of the container whose signature a file starts with, or None if it may be an MP4.

    Args:
        start: The first bytes of the file. An MPEG transport stream is recognised from 189 bytes.
    """
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            return name
    sync_bytes = start[:1], start[_TRANSPORT_STREAM_PACKET_BYTES : _TRANSPORT_STREAM_PACKET_BYTES + 1]
    return "an MPEG transport stream" if sync_bytes == (b"\x47", b"\x47") else None

"""Files of any size that take no room: a real MP4 with a hole in front of its media data."""

import struct
from pathlib import Path


def write_with_hole(path: Path, mp4: bytes, hole_bytes: int, *, first_chunk: int = 0) -> None:
    """An MP4 whose one mdat, of a 64-bit size, comes before moov, and whose chunks have 64-bit offsets, with a hole in its media
    data before one of its chunks: this one and all after it move.
    """
    mdat, moov = mp4.index(b"mdat") - 4, mp4.rindex(b"moov") - 4
    marker, _, mdat_size = struct.unpack_from(">I4sQ", mp4, mdat)
    assert marker == 1
    assert mdat + mdat_size == moov
    header = bytearray(mp4[moov:])
    table = header.index(b"co64") + 8
    (chunk_count,) = struct.unpack_from(">I", header, table)
    places = range(table + 4, table + 4 + 8 * chunk_count, 8)[first_chunk:]
    (hole_start,) = struct.unpack_from(">Q", header, places[0])
    for place in places:
        (offset,) = struct.unpack_from(">Q", header, place)
        struct.pack_into(">Q", header, place, offset + hole_bytes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(mp4[:mdat] + struct.pack(">I4sQ", 1, b"mdat", mdat_size + hole_bytes) + mp4[mdat + 16 : hole_start])
        file.seek(hole_bytes, 1)
        file.write(mp4[hole_start:moov] + header)

"""The header of one video file, whatever its container: its facts and its sample table.

MP4, progressive or fragmented, is parsed from its boxes; the first bytes of one keyframe of H.264 are read, too, and
where a file starts in the middle of an open GOP those of a few samples. Matroska and WebM are demuxed, which reads all of
the file; any other container is refused by name.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from episeek.errors import ContainerError
from episeek.mp4.container_signature import EBML
from episeek.mp4.header import read_header
from episeek.mp4.sample_table import SampleTable, parse_sample_table
from episeek.sidecars.file_record import FileRecord
from episeek.sidecars.header_digest import header_digest
from episeek.stores.byte_source import ByteSource
from episeek_pipelines.video.leading_pictures import without_skipped_pictures
from episeek_pipelines.video.matroska import demux_matroska, is_matroska
from episeek_pipelines.video.recovery_points import without_recovery_points


@dataclass(frozen=True, slots=True, eq=False)
class VideoHeader:
    """What is known of a video file without its pictures."""

    file_path: str
    file_size: int
    container: str
    """One of `episeek_schemas.sidecars.CONTAINERS`."""
    digest: str
    """SHA-256, hex, of what the table was read from: the moov and moof boxes; of the table itself where it was demuxed."""
    moov: bytes
    """Empty where there is none."""
    moov_offset: int
    mdat_offset: int
    """First byte of the first mdat box; the file's size without one, 0 where the file was demuxed."""
    table: SampleTable

    @property
    def is_faststart(self) -> bool:
        """Whether moov comes before mdat; false where there is no moov."""
        return self.moov_offset < self.mdat_offset


def read_video_header(source: ByteSource, path: str, *, file_size: int | None = None) -> VideoHeader:
    """Read the header of a video file.

    Args:
        source: Where the file is.
        path: Relative to the source's root.
        file_size: Bytes, where the caller knows it already; otherwise the source is asked.

    Raises:
        MissingFileError, ReadError: It is not there or cannot be read.
        Mp4Error: One of its leaves, by what is wrong.
    """
    size = source.identity(path).size if file_size is None else file_size
    try:
        header = read_header(source, path, file_size=size)
    except ContainerError:
        if not is_matroska(source.get_ranges(path, [(0, min(len(EBML), size))])[0]):
            raise
        table = _without_lies(source, path, demux_matroska(source, path, file_size=size))
        return VideoHeader(path, size, "matroska", _digest(table), b"", 0, 0, table)
    table = parse_sample_table(header.moov, fragments=header.fragments, file_size=size, where=path)
    table = _without_lies(source, path, table)
    return VideoHeader(
        path, size, header.container, header.digest, header.moov, header.moov_offset, header.mdat_offset, table
    )


def recorded_header_digest(source: ByteSource, record: FileRecord) -> str:
    """Return the digest of a video file's header as it is now, to be compared with `record.moov_sha256`.

    Args:
        source: Where the file is.
        record: Its row in `files`; the file has the size that it says.

    Raises:
        MissingFileError, ReadError: The file cannot be read.
        Mp4Error: It has no header that can be read.
    """
    if record.container == "matroska":
        return read_video_header(source, record.file_path, file_size=record.file_size).digest
    return header_digest(source, record)


def _without_lies(source: ByteSource, path: str, table: SampleTable) -> SampleTable:
    """What headers do not say: the first bytes of a sample or a few do."""
    return without_recovery_points(source, path, without_skipped_pictures(source, path, table))


def _digest(table: SampleTable) -> str:
    digest = hashlib.sha256(table.sample_description + table.matrix + str(table.timescale).encode())
    for array in (table.offset, table.size, table.pts, table.is_sync):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

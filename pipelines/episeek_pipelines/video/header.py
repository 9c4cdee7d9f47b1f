"""Read the header of a video file: its properties and its sample table.

The boxes of an MP4 file, progressive or fragmented, are parsed. The first bytes of its sync samples are read as well, since the
header's flags may be wrong (`decoding_starts`). Matroska and WebM files are demuxed, which reads the whole file. A file of any
other container is refused.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from episeek.errors import ContainerError
from episeek.mp4.container_signature import EBML
from episeek.mp4.header import read_header
from episeek.mp4.sample_table import SampleTable, parse_sample_table
from episeek.sidecars.file_record import FileRecord
from episeek.sidecars.header_digest import header_digest
from episeek.stores.byte_source import ByteSource
from episeek_pipelines.video.decoding_starts.correct import Correction, corrected
from episeek_pipelines.video.decoding_starts.in_force import StreamUnits
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_pipelines.video.matroska import demux_matroska, is_matroska
from episeek_pipelines.video.mpeg1_entries import declared_as_mpeg2
from episeek_pipelines.words import counted


@dataclass(frozen=True, slots=True, eq=False)
class VideoHeader:
    """The properties and the sample table of a video file."""

    file_path: str
    file_size: int
    container: str
    """One of `episeek_schemas.sidecars.CONTAINERS`."""
    digest: str
    """SHA-256, hex, of the moov and moof boxes of an MP4 file, or of the sample table of a Matroska file."""
    moov: bytes
    """The whole moov box; empty for a Matroska file."""
    moov_offset: int
    mdat_offset: int
    """Offset of the first mdat box, in bytes; the file's size if the file has no mdat box, and 0 for a Matroska file."""
    table: SampleTable
    is_flagged: npt.NDArray[np.bool_]
    """Whether the file's header flags each sample as a sync sample; shape [samples].

    `table.is_sync` shows at which of them decoding can start.
    """
    sync_samples_inspected: int
    """Number of flagged samples whose bytes were read."""
    missing: str = ""
    """A noun phrase for what is missing from a recording that was cut short; empty for a complete file."""
    units: StreamUnits | None = None
    """The parameter sets, headers and tables in the file's samples, as in `Correction.units`; None for a Matroska file, too."""

    @property
    def sync_sample_count(self) -> int:
        """Number of sync samples that the file's header flags."""
        return int(np.count_nonzero(self.is_flagged))

    @property
    def is_faststart(self) -> bool:
        """Whether the moov box comes before the mdat box; False for a Matroska file."""
        return self.moov_offset < self.mdat_offset


def read_video_header(
    source: ByteSource, path: str, *, file_size: int | None = None, keyframes: KeyframeChoice = "auto"
) -> VideoHeader:
    """Read the header of a video file, and the first bytes of sync samples.

    Args:
        source: The source that holds the file.
        path: Path relative to the source's root.
        file_size: Size of the file in bytes; None asks the source for the size.
        keyframes: "all" reads the first bytes of every sync sample, and of all other samples if these may hold parameter sets.
            "auto" does the same for a local file. For a file in a store, it reads a few sync samples, and reads the others only if
            the few allow no conclusion about them. It reads none if the codec's header is trusted (`Codec.is_header_trusted`).

    Raises:
        MissingFileError: The file does not exist.
        ReadError: The file cannot be read.
        Mp4Error: The file cannot be indexed; the subclass says why.
    """
    size = source.identity(path).size if file_size is None else file_size
    try:
        header = read_header(source, path, file_size=size)
    except ContainerError:
        if not is_matroska(source.get_ranges(path, [(0, min(len(EBML), size))])[0]):
            raise
        demuxed = demux_matroska(source, path, file_size=size)
        found = _corrected(source, path, demuxed, keyframes)
        flags = (found.is_flagged, found.inspected_count)
        return VideoHeader(path, size, "matroska", _digest(demuxed), b"", 0, 0, found.table, *flags)
    table = parse_sample_table(
        header.moov,
        fragments=header.fragments,
        segment_indexes=header.segment_indexes,
        file_size=size,
        where=path,
    )
    missing = header.missing
    if table.missing_sample_count:
        missing = f"{missing or 'its end'} ({counted(table.missing_sample_count, 'sample')})"
    found = _corrected(source, path, table, keyframes)
    return VideoHeader(
        path,
        size,
        header.container,
        header.digest,
        header.moov,
        header.moov_offset,
        header.mdat_offset,
        found.table,
        found.is_flagged,
        found.inspected_count,
        missing,
        found.units,
    )


def recorded_header_digest(source: ByteSource, record: FileRecord) -> str:
    """Return the digest of the header that a video file has now, to compare with `record.moov_sha256`.

    Args:
        source: The source that holds the file.
        record: The file's row of `files`, with the size that the file has now.

    Raises:
        MissingFileError: The file does not exist.
        ReadError: The file cannot be read.
        Mp4Error: The file has no readable header.
    """
    if record.container == "matroska":
        return read_video_header(source, record.file_path, file_size=record.file_size).digest
    return header_digest(source, record)


def _corrected(source: ByteSource, path: str, table: SampleTable, keyframes: KeyframeChoice) -> Correction:
    found = corrected(source, path, table, keyframes=keyframes)
    description = declared_as_mpeg2(found.table.sample_description, where=path)
    if description == found.table.sample_description:
        return found
    return replace(found, table=replace(found.table, sample_description=description))


def _digest(table: SampleTable) -> str:
    digest = hashlib.sha256(table.sample_description + table.matrix + str(table.timescale).encode())
    for array in (table.offset, table.size, table.pts, table.is_sync):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

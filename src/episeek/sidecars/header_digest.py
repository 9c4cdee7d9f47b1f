"""Compute the digest of the header that an MP4 has now, to compare it with the digest of the indexed header (table `files`)."""

import hashlib

from episeek.mp4.header import read_header
from episeek.sidecars.file_record import FileRecord
from episeek.stores.byte_source import ByteSource


def header_digest(source: ByteSource, record: FileRecord) -> str:
    """Return the SHA-256, hex, of a file's moov box and its moof boxes.

    The moov box of a progressive MP4 is read with one request, from its recorded offset. A file that has changed has other bytes
    there.

    Args:
        source: The source of the file.
        record: The row of the file in `files`. Its `file_size` must be the current size of the file.

    Raises:
        MissingFileError, ReadError: The file cannot be read.
        Mp4Error: The file has no readable header, as Matroska files have none.
    """
    if record.container == "mp4":
        moov = (record.moov_offset, record.moov_offset + record.moov_length)
        return hashlib.sha256(source.get_ranges(record.file_path, [moov])[0]).hexdigest()
    return read_header(source, record.file_path, file_size=record.file_size).digest

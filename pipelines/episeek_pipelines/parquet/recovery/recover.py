"""Recover the row groups of a Parquet file without a footer, and write the file with a new footer.

A Parquet writer writes the footer when it is closed, so a recording that was killed leaves a file without a footer, which no reader
opens. The complete row groups of the file are intact. LeRobot writes one row group for each episode.
"""

import os
import uuid
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import AmbiguousPagesError, ChangedFileError, ParquetError, WriteError, first_line
from episeek_pipelines.parquet.recovery.footer import footer_of
from episeek_pipelines.parquet.recovery.groups import Loss, RecoveredGroup, find_groups, open_with_footer
from episeek_pipelines.parquet.recovery.pages.codecs import CODEC_NUMBERS, codec_names, find_codecs
from episeek_pipelines.parquet.recovery.pages.headers import MAGIC, read_parts
from episeek_pipelines.parquet.recovery.pages.leaves import template_of
from episeek_pipelines.parquet.recovery.pages.source import Bytes, LocalBytes

_COPY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Recovered:
    """The complete row groups of a file without a footer."""

    where: str
    schema: pa.Schema
    groups: tuple[RecoveredGroup, ...]
    file_bytes: int
    stop: int
    """The end of the last complete row group. The recovered file consists of the bytes `[0, stop)` and `footer`."""
    footer: bytes = field(repr=False)
    losses: tuple[Loss, ...]

    @property
    def row_count(self) -> int:
        """Number of rows of all row groups."""
        return sum(group.row_count for group in self.groups)

    @property
    def episodes(self) -> tuple[int, ...]:
        """Numbers of the episodes of all row groups, in the order of their rows."""
        return tuple(dict.fromkeys(episode for group in self.groups for episode in group.episodes))


def recover(
    file: Path | str | Bytes,
    schema: pa.Schema,
    *,
    codec: str | None = None,
    fps: float | None = None,
    where: str | None = None,
) -> Recovered:
    """Return the complete row groups of a file whose footer is missing, damaged or cut.

    Pages are combined into row groups by their kinds, sizes and levels. If they fit in several ways, the rows decide; if the rows
    do not decide, the file is refused. Every row group is read in full: its rows are checked (`RowChecks`), its values are compared
    with the minimum and maximum in the page headers, and checksums are verified where pages have them. An altered value in a page
    without a checksum is noticed only if it breaks the page, the row numbers, or the minimum and maximum.

    The names of columns come from the schema, whose columns must have the same order as those of the file. A wrong order of two
    columns of the same type is noticed only if they count rows, like `frame_index`. The schema of another file from the same writer
    has the right order.

    Args:
        file: The path of the file, or its bytes.
        schema: The Arrow schema with which the file was written. `declared_schema` returns the schema of a dataset's data files.
        codec: Compression of the pages, as `pyarrow.parquet.ParquetWriter` names it; None to find it.
        fps: The rate for the check that timestamps are frame_index / fps; None for no such check.
        where: The name of the file in errors; its path if None.

    Raises:
        AmbiguousPagesError: Pages can be read in several ways, and the rows do not decide.
        ParquetError: The file is not a Parquet file, or no codec or no declared column fits its pages.
        ReadError: The operating system failed.
        ValueError: The codec is unknown.
    """
    name = where if where is not None else str(file) if isinstance(file, Path | str) else "file"
    number = None if codec is None else _codec_number(codec)
    template = template_of(schema)
    with ExitStack() as stack:
        source = stack.enter_context(LocalBytes(file, name)) if isinstance(file, Path | str) else file
        _require_magic(source, name)
        found = read_parts(source)
        codecs = find_codecs(source, found.parts, name) if number is None else [number]
        outcomes = [find_groups(source, found, template, codec, name, fps) for codec in codecs]
        fitting = [number for number, (groups, _, _) in enumerate(outcomes) if groups]
        if len(fitting) > 1:
            names = codec_names([codecs[number] for number in fitting])
            hint = "give the codec with which the file was written"
            raise AmbiguousPagesError(name, f"pages that several codecs decompress ({names})", "one codec", hint)
        codec_number = codecs[fitting[0] if fitting else 0]
        groups, checked, losses = outcomes[fitting[0] if fitting else 0]
        stop = groups[-1].chunks[-1].parts[-1].stop if groups else len(MAGIC)
        return Recovered(
            where=name,
            schema=schema,
            groups=tuple(checked),
            file_bytes=source.size,
            stop=stop,
            footer=footer_of(template, groups, codec_number),
            losses=tuple(losses),
        )


def open_recovered(file: Path | str | Bytes, recovered: Recovered) -> pq.ParquetFile:
    """Open a file as if it had its new footer, without writing anything. Closing the result closes the file.

    Raises:
        ChangedFileError: The file has another size than when it was recovered.
        ReadError: The file cannot be opened.
    """
    source = LocalBytes(file, recovered.where) if isinstance(file, Path | str) else file
    if source.size != recovered.file_bytes:
        if isinstance(source, LocalBytes):
            source.close()
        raise ChangedFileError(recovered.where, f"{source.size} bytes", f"{recovered.file_bytes} bytes, as before")
    return open_with_footer(source, recovered.stop, recovered.footer)


def write_recovered(path: Path | str, recovered: Recovered, target: Path | str) -> None:
    """Write the intact bytes of a file and its new footer to another path. The new file appears complete or not at all.

    Raises:
        ChangedFileError: The file has another size than when it was recovered.
        ReadError: The file cannot be read.
        WriteError: The target cannot be written, or is the file itself.
    """
    target = Path(target)
    with LocalBytes(path, recovered.where) as source:
        if source.size != recovered.file_bytes:
            raise ChangedFileError(recovered.where, f"{source.size} bytes", f"{recovered.file_bytes} bytes, as before")
        if target.exists() and target.samefile(path):
            raise WriteError(str(target), "the damaged file itself", "another file")
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        try:
            with open(temporary, "xb") as stream:
                for start in range(0, recovered.stop, _COPY_BYTES):
                    stream.write(source.read_at(start, min(start + _COPY_BYTES, recovered.stop)))
                stream.write(recovered.footer)
            os.replace(temporary, target)
        except OSError as error:
            if isinstance(error, ChangedFileError):
                raise
            raise WriteError(str(target), first_line(error), "a writable destination with free space") from error
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()


def lacks_footer(source: Bytes) -> bool:
    """Return whether a file begins like a Parquet file but does not end like one."""
    magic = len(MAGIC)
    if source.size < magic or source.read_at(0, magic) != MAGIC:
        return False
    return source.size < 3 * magic or source.read_at(source.size - magic, source.size) != MAGIC


def _require_magic(source: Bytes, where: str) -> None:
    head = source.read_at(0, min(len(MAGIC), source.size))
    if not head:
        raise ParquetError(where, "an empty file", "a Parquet file")
    if head != MAGIC:
        raise ParquetError(where, f"a file that begins with {head!r}", f"a Parquet file, which begins with {MAGIC!r}")


def _codec_number(codec: str) -> int:
    name = "none" if codec.lower() == "uncompressed" else codec.lower()
    if name not in CODEC_NUMBERS:
        raise ValueError(f"unknown codec {codec!r}; expected one of {', '.join(sorted(CODEC_NUMBERS))}")
    return CODEC_NUMBERS[name]

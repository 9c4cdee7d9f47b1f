"""The row groups of a Parquet file without a footer, and the same file with a new one.

A Parquet writer writes the footer when it is closed, so the file of a recording that was killed has none, and no reader opens it.
All its complete row groups are there. LeRobot writes one for each episode.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import (
    AmbiguousPagesError,
    ChangedFileError,
    ParquetError,
    WriteError,
    first_line,
)
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS
from episeek_pipelines.parquet.recovery.codecs import CODEC_NUMBERS, codec_names, find_codecs
from episeek_pipelines.parquet.recovery.extremes import ExtremeChecks
from episeek_pipelines.parquet.recovery.footer import footer_of
from episeek_pipelines.parquet.recovery.layout import GroupLayout, Layouts
from episeek_pipelines.parquet.recovery.leaves import Template, template_of
from episeek_pipelines.parquet.recovery.pages import MAGIC, PartList, read_parts
from episeek_pipelines.parquet.recovery.row_checks import RowChecks, RowProblem, counting_columns
from episeek_pipelines.parquet.recovery.source import Bytes, LocalBytes, WithFooter

_MAX_READINGS: Final = 8
_MAX_BATCH_ROWS: Final = 1024
_BATCH_BYTES: Final = 8 << 20
_COPY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RecoveredGroup:
    """A complete row group, at the bytes `[start, stop)` of the file."""

    start: int
    stop: int
    row_count: int
    episodes: tuple[int, ...]
    """The episodes of its rows; empty where the schema has no columns that tell them."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Bytes `[start, stop)` of the file that hold no complete row group, and a noun phrase for what they are."""

    start: int
    stop: int
    reason: str

    def __str__(self) -> str:
        return f"bytes {self.start:,} to {self.stop:,}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Recovered:
    """The complete row groups of a file without a footer."""

    where: str
    schema: pa.Schema
    groups: tuple[RecoveredGroup, ...]
    file_bytes: int
    stop: int
    """The end of the last complete row group: the recovered file has the bytes `[0, stop)` and `footer`."""
    footer: bytes = field(repr=False)
    losses: tuple[Loss, ...]

    @property
    def row_count(self) -> int:
        """Rows of all groups."""
        return sum(group.row_count for group in self.groups)

    @property
    def episodes(self) -> tuple[int, ...]:
        """Episodes of all groups, in the order of their rows."""
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

    Every row group is read entirely, and its rows are checked (`RowChecks`), its values against the extremes of page headers, and
    the checksum of each page that has one. Pages are put together by their kinds, sizes and levels. Where they fit in several ways,
    the rows decide; where these do not, nothing is guessed. A value that was altered within a page without a checksum is noticed
    only where it breaks the page, the numbers of rows or the extremes. Names come from the schema: a file does not tell columns of
    one type from each other, except where they count. So the schema must have the order of the file's columns, as another file of
    the same writer has it.

    Args:
        file: The path of the file, or its bytes.
        schema: The Arrow schema with which the file was written; `declared_schema` gives that of a dataset.
        codec: Compression of the pages, as `pyarrow.parquet.ParquetWriter` names it; None to find it.
        fps: The rate of the grid on which timestamps lie; None where they need not.
        where: The name of the file in errors; its path if None.

    Raises:
        AmbiguousPagesError: Pages can be read in several ways.
        ParquetError: The file is no Parquet file, or no codec or no declared column fits its pages.
        ReadError: The system failed.
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
        outcomes = [_find_groups(source, found, template, codec, name, fps) for codec in codecs]
        fitting = [number for number, (groups, _, _) in enumerate(outcomes) if groups]
        if len(fitting) > 1:
            names = codec_names([codecs[number] for number in fitting])
            hint = "name the codec with which the file was written"
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
    """Open a file as if it had its new footer; nothing is written. Closing the result closes the file.

    Raises:
        ChangedFileError: The file has another size than when it was recovered.
        ReadError: The file cannot be opened.
    """
    source = LocalBytes(file, recovered.where) if isinstance(file, Path | str) else file
    if source.size != recovered.file_bytes:
        if isinstance(source, LocalBytes):
            source.close()
        raise ChangedFileError(recovered.where, f"{source.size} bytes", f"{recovered.file_bytes}, as before")
    return _opened(source, recovered.stop, recovered.footer)


def write_recovered(path: Path | str, recovered: Recovered, target: Path | str) -> None:
    """Write the intact bytes of a file and its new footer to another path, which appears complete or not at all.

    Raises:
        ChangedFileError: The file has another size than when it was recovered.
        ReadError: The file cannot be read.
        WriteError: The target cannot be written, or is the file itself.
    """
    target = Path(target)
    with LocalBytes(path, recovered.where) as source:
        if source.size != recovered.file_bytes:
            raise ChangedFileError(recovered.where, f"{source.size} bytes", f"{recovered.file_bytes}, as before")
        if target.exists() and target.samefile(path):
            raise WriteError(str(target), "the file that is recovered", "another file")
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
            raise WriteError(str(target), first_line(error), "a writable destination with room") from error
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()


def lacks_footer(source: Bytes) -> bool:
    """Return whether a file begins as a Parquet file does and does not end as one."""
    magic = len(MAGIC)
    if source.size < magic or source.read_at(0, magic) != MAGIC:
        return False
    return source.size < 3 * magic or source.read_at(source.size - magic, source.size) != MAGIC


def _find_groups(
    source: Bytes,
    found: PartList,
    template: Template,
    codec: int,
    where: str,
    fps: float | None,
) -> tuple[list[GroupLayout], list[RecoveredGroup], list[Loss]]:
    parts = found.parts
    layouts = Layouts(source, parts, template.leaves, codec, where)
    groups: list[GroupLayout] = []
    checked: list[RecoveredGroup] = []
    losses: list[Loss] = []
    at = layouts.start_of_rows(0)
    while at < len(parts):
        readings = layouts.complete(at, _MAX_READINGS + 1)
        if not readings and layouts.is_empty_dictionary(at):
            # the last one of a row group without rows
            at += 1
            continue
        if len(readings) > _MAX_READINGS:
            raise AmbiguousPagesError(
                where, f"more than {_MAX_READINGS} readings from byte {parts[at].start} on", "one"
            )
        outcomes = [_outcome(source, reading, template, codec, fps) for reading in readings]
        whole = [(reading, one) for reading, one in zip(readings, outcomes, strict=True) if not isinstance(one, str)]
        is_proved = bool(counting_columns(template.schema))
        if len(whole) > 1 or (whole and not is_proved and layouts.may_be_cut(at)):
            ways = [f"a row group of {reading.row_count} rows" for reading, _ in whole]
            ways += [] if len(whole) > 1 else ["the beginning of a longer one"]
            raise AmbiguousPagesError(
                where,
                f"pages from byte {parts[at].start} on that can be read as {' and as '.join(ways)}",
                "one reading",
            )
        if whole and groups and not _may_begin(layouts, whole[0][0].stop):
            text = "pages that fit all columns, and pages after them that are not of the first one"
            losses.append(Loss(parts[at].start, found.stop, text))
            break
        if whole:
            groups.append(whole[0][0])
            checked.append(whole[0][1])
            if len(groups) == 1 and not _may_follow(layouts, groups[0].stop, len(parts)):
                raise ParquetError(
                    where,
                    f"pages after byte {checked[0].stop} that begin no row group of the declared columns",
                    "pages of all columns of the file",
                    "give the schema with which the file was written",
                )
        elif len(readings) == 1:
            pages = readings[0].chunks[-1].parts
            losses.append(Loss(parts[at].start, pages[-1].stop, f"a row group with {outcomes[0]}"))
        else:
            pages_left = f"{len(parts) - at} page{'s' if len(parts) - at > 1 else ''}"
            text = f"{pages_left} that are no complete row group of the declared columns"
            if not readings and layouts.may_be_cut(at):
                text = f"{pages_left} of a row group that is cut off"
            losses.append(Loss(parts[at].start, found.stop, text))
            break
        at = layouts.start_of_rows((whole[0][0] if whole else readings[0]).stop)
    if found.stop < source.size:
        losses.append(Loss(found.stop, source.size, found.reason))
    return groups, checked, losses


def _may_follow(layouts: Layouts, at: int, end: int) -> bool:
    """Return whether the parts from `at` on are none, or begin with a row group that is complete or cut off.

    If they are neither, the declared columns are probably not those of the file, although they fitted its first row group.
    """
    at = layouts.start_of_rows(at)
    return at == end or layouts.is_empty_dictionary(at) or bool(layouts.complete(at, 1)) or layouts.may_be_cut(at)


def _may_begin(layouts: Layouts, at: int) -> bool:
    """Return whether the part at `at` may begin a row group.

    If it may not, a page too many or too few has shifted the columns of the row group before it.
    """
    at = layouts.start_of_rows(at)
    return layouts.may_begin(at)


def _outcome(
    source: Bytes, layout: GroupLayout, template: Template, codec: int, fps: float | None
) -> RecoveredGroup | str:
    """Return a row group whose rows were read and checked, or a noun phrase for what is wrong with them."""
    start, stop = layout.chunks[0].parts[0].start, layout.chunks[-1].parts[-1].stop
    checks = RowChecks(template.schema, fps)
    extremes = ExtremeChecks(template.schema, layout.chunks)
    try:
        with closing(_opened(source, stop, footer_of(template, [layout], codec))) as parquet:
            for batch in _batches(parquet):
                checks.add(batch)
                extremes.add(batch)
    except RowProblem as error:
        return str(error)
    except ParquetError as error:
        return error.found
    if checks.row_count != layout.row_count:
        return f"{checks.row_count} rows in place of {layout.row_count}"
    if problem := extremes.problem():
        return problem
    return RecoveredGroup(start, stop, layout.row_count, tuple(checks.episodes))


def _batches(parquet: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Yield all rows of a file with one row group, and all columns of them, each value of which is valid."""
    group = parquet.metadata.row_group(0)
    batch_rows = max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES * group.num_rows // max(group.total_byte_size, 1)))
    batches = parquet.iter_batches(batch_rows, use_threads=False)
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)
        except OSError as error:
            # pyarrow raises OSError for corrupt pages as well, but without a number
            if error.errno is not None:
                raise
            raise ParquetError("", f"pages that do not decode ({first_line(error)})") from None
        except (pa.ArrowException, EOFError, ValueError, MemoryError) as error:
            raise ParquetError("", f"pages that do not decode ({first_line(error)})") from None
        yield batch


def _opened(source: Bytes, stop: int, footer: bytes) -> pq.ParquetFile:
    file = pa.PythonFile(WithFooter(source, stop, footer), "r")
    return pq.ParquetFile(file, page_checksum_verification=True, **READ_OPTIONS)


def _require_magic(source: Bytes, where: str) -> None:
    head = source.read_at(0, min(len(MAGIC), source.size))
    if not head:
        raise ParquetError(where, "an empty file", "a Parquet file")
    if head != MAGIC:
        raise ParquetError(where, f"a file that begins with {head!r}", f"{MAGIC!r}, as every Parquet file begins")


def _codec_number(codec: str) -> int:
    name = "none" if codec.lower() == "uncompressed" else codec.lower()
    if name not in CODEC_NUMBERS:
        raise ValueError(f"unknown codec {codec!r}; one of {', '.join(sorted(CODEC_NUMBERS))}")
    return CODEC_NUMBERS[name]

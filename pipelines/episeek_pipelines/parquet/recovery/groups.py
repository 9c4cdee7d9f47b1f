"""Find the row groups of a file without a footer: group its pages into column chunks, and read and check their rows."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import AmbiguousPagesError, ParquetError, first_line
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS
from episeek_pipelines.parquet.recovery.extremes import ExtremeChecks
from episeek_pipelines.parquet.recovery.footer import footer_of
from episeek_pipelines.parquet.recovery.layout import GroupLayout, Layouts
from episeek_pipelines.parquet.recovery.pages.headers import FOOTER, PartList
from episeek_pipelines.parquet.recovery.pages.leaves import Template
from episeek_pipelines.parquet.recovery.pages.source import Bytes, WithFooter
from episeek_pipelines.parquet.recovery.row_checks import RowChecks, RowProblem, counting_columns
from episeek_pipelines.words import counted

_MAX_READINGS: Final = 8
_MAX_BATCH_ROWS: Final = 1024
_BATCH_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class RecoveredGroup:
    """A complete row group, at the bytes `[start, stop)` of the file."""

    start: int
    stop: int
    row_count: int
    episodes: tuple[int, ...]
    """The numbers of the episodes of the rows; empty if the schema lacks columns that number episodes (`counting_columns`)."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Bytes `[start, stop)` of the file that contain no complete row group. `reason` is a noun phrase for their contents."""

    start: int
    stop: int
    reason: str

    @property
    def holds_rows(self) -> bool:
        """Whether these bytes may contain lost rows. False for the remains of a footer, which contain no rows."""
        return self.reason != FOOTER

    def __str__(self) -> str:
        return f"bytes {self.start:,} to {self.stop:,}: {self.reason}"


def find_groups(
    source: Bytes,
    found: PartList,
    template: Template,
    codec: int,
    where: str,
    fps: float | None,
) -> tuple[list[GroupLayout], list[RecoveredGroup], list[Loss]]:
    """Return the layouts and the contents of the complete row groups of a file, and the bytes that belong to no such row group.

    Raises:
        AmbiguousPagesError: Pages can be read in several ways, and the rows do not decide.
        ParquetError: The pages after the first row group fit no row group, so the file probably has another schema.
    """
    parts = found.parts
    layouts = Layouts(source, parts, template.leaves, codec, where)
    groups: list[GroupLayout] = []
    checked: list[RecoveredGroup] = []
    losses: list[Loss] = []
    at = layouts.start_of_rows(0)
    while at < len(parts):
        readings = layouts.complete(at, _MAX_READINGS + 1)
        if not readings and layouts.is_empty_dictionary(at):
            # this dictionary is the last page of a row group without rows
            at += 1
            continue
        if len(readings) > _MAX_READINGS:
            raise AmbiguousPagesError(
                where, f"pages from byte {parts[at].start} on with more than {_MAX_READINGS} readings", "one reading"
            )
        outcomes = [_outcome(source, reading, template, codec, fps) for reading in readings]
        whole = [(reading, one) for reading, one in zip(readings, outcomes, strict=True) if not isinstance(one, str)]
        is_proved = bool(counting_columns(template.schema))
        if len(whole) > 1 or (whole and not is_proved and layouts.may_be_cut(at)):
            ways = [f"a row group of {counted(reading.row_count, 'row')}" for reading, _ in whole]
            ways += [] if len(whole) > 1 else ["the beginning of a longer one"]
            raise AmbiguousPagesError(
                where,
                f"pages from byte {parts[at].start} on that can be read as {' and as '.join(ways)}",
                "one reading",
            )
        if whole and groups and not _may_begin(layouts, whole[0][0].stop):
            text = "pages that fit all columns, followed by pages that do not fit the first column"
            losses.append(Loss(parts[at].start, found.stop, text))
            break
        if whole:
            groups.append(whole[0][0])
            checked.append(whole[0][1])
            if len(groups) == 1 and not _may_follow(layouts, groups[0].stop, len(parts)):
                raise ParquetError(
                    where,
                    f"pages after byte {checked[0].stop} that begin no row group of the declared columns",
                    "pages of all declared columns",
                    "give the schema with which the file was written",
                )
        elif len(readings) == 1:
            pages = readings[0].chunks[-1].parts
            losses.append(Loss(parts[at].start, pages[-1].stop, f"a row group with {outcomes[0]}"))
        else:
            pages_left = f"{len(parts) - at} page{'s' if len(parts) - at > 1 else ''}"
            text = f"{pages_left} that form no complete row group of the declared columns"
            if not readings and layouts.may_be_cut(at):
                text = f"{pages_left} of a row group that is cut off"
            losses.append(Loss(parts[at].start, found.stop, text))
            break
        at = layouts.start_of_rows((whole[0][0] if whole else readings[0]).stop)
    if found.stop < source.size:
        losses.append(Loss(found.stop, source.size, found.reason))
    return groups, checked, losses


def _may_follow(layouts: Layouts, at: int, end: int) -> bool:
    """Return whether a row group, complete or cut off, may begin at the part `at`; True also at the end of the parts.

    A part is a page or a copy of column metadata. If the result is False, the file probably has other columns than the declared
    ones, although these fit its first row group.
    """
    at = layouts.start_of_rows(at)
    return at == end or layouts.is_empty_dictionary(at) or bool(layouts.complete(at, 1)) or layouts.may_be_cut(at)


def _may_begin(layouts: Layouts, at: int) -> bool:
    """Return whether the part at `at` (a page or a copy of column metadata) may begin a row group.

    If the result is False, the previous row group was probably read with a page too many or too few.
    """
    at = layouts.start_of_rows(at)
    return layouts.may_begin(at)


def _outcome(
    source: Bytes, layout: GroupLayout, template: Template, codec: int, fps: float | None
) -> RecoveredGroup | str:
    """Read and check the rows of a row group. Return the row group, or a noun phrase that says what is wrong with its rows."""
    start, stop = layout.chunks[0].parts[0].start, layout.chunks[-1].parts[-1].stop
    checks = RowChecks(template.schema, fps)
    extremes = ExtremeChecks(template.schema, layout.chunks)
    try:
        with closing(open_with_footer(source, stop, footer_of(template, [layout], codec))) as parquet:
            for batch in _batches(parquet):
                checks.add(batch)
                extremes.add(batch)
    except RowProblem as error:
        return str(error)
    except ParquetError as error:
        return error.found
    if checks.row_count != layout.row_count:
        return f"{counted(checks.row_count, 'row')} instead of {layout.row_count}"
    if problem := extremes.problem():
        return problem
    return RecoveredGroup(start, stop, layout.row_count, tuple(checks.episodes))


def _batches(parquet: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Yield all rows and columns of a file with one row group, after checking that every value is valid."""
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
            # pyarrow also raises OSError for corrupt pages, but without an error number
            if error.errno is not None:
                raise
            raise ParquetError("", f"pages that cannot be decoded ({first_line(error)})") from None
        except (pa.ArrowException, EOFError, ValueError, MemoryError) as error:
            raise ParquetError("", f"pages that cannot be decoded ({first_line(error)})") from None
        yield batch


def open_with_footer(source: Bytes, stop: int, footer: bytes) -> pq.ParquetFile:
    """Open the bytes `[0, stop)` of a file, followed by a footer, as a Parquet file."""
    file = pa.PythonFile(WithFooter(source, stop, footer), "r")
    return pq.ParquetFile(file, page_checksum_verification=True, **READ_OPTIONS)

"""Check data files: their schemas and footers, their rows if these are read, and the rows of a rewrite against its source."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import EpiseekError, ParquetError, first_line
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS
from episeek_pipelines.parquet.numpy_values import is_valid
from episeek_pipelines.parquet.row_cursor import batch_rows, column_bytes
from episeek_pipelines.verify.data.feature_scan import FeatureScan
from episeek_pipelines.verify.data.footer_rules import BOUND_RULES, FOOTER_RULES, footer_observations
from episeek_pipelines.verify.data.footer_scan import scan_footer
from episeek_pipelines.verify.data.language_rules import LanguageScan
from episeek_pipelines.verify.data.lost_footer import describe_lost_footer
from episeek_pipelines.verify.data.motion_scan import MotionScan
from episeek_pipelines.verify.data.row_prints import RowPrintScan, printed_features
from episeek_pipelines.verify.data.row_rules import ROW_RULES, RUN_RULES, is_per_episode, row_observations
from episeek_pipelines.verify.data.row_scan import SCANNED_COLUMNS, RowScan, RowScanner, integers
from episeek_pipelines.verify.data.schema_rules import check_feature_types
from episeek_pipelines.verify.data.source_rows import compare_data_file
from episeek_pipelines.verify.data.statistics_scan import StatisticsScan
from episeek_pipelines.verify.data.subtask_scan import SubtaskScan
from episeek_pipelines.verify.data.task_scan import TaskScan, has_other_task_columns
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import UNKNOWN_TASK, CheckResult, DataFile, DataGroup, VerificationContext
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded, run_rules
from episeek_pipelines.verify.findings.lags import Lags
from episeek_pipelines.verify.findings.observations import Observations
from episeek_pipelines.verify.findings.prints import RowPrints
from episeek_pipelines.verify.findings.ranges import FeatureRanges
from episeek_pipelines.verify.findings.totals import FeatureTotals
from episeek_pipelines.verify.findings.unicode_forms import FORM_REMEDY, form_of, in_other_form
from episeek_pipelines.verify.rules import COLUMNS, DATA_FOOTER
from episeek_schemas import layout, lerobot
from episeek_schemas.features import declared_dtype, is_known_dtype

LEROBOT_COLUMNS = (*SCANNED_COLUMNS, lerobot.TASK_INDEX)


class Scanner(Protocol):
    """An object that scans some columns of a data file, batch by batch."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of the columns that `add` scans."""

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Scan the next rows, which begin at row `first_row` of the file."""


class RowRules(Scanner, Protocol):
    """A scanner that returns the defects that it found as findings."""

    def findings(self) -> Iterable[Finding]:
        """Return the findings. Call this method after all rows were scanned."""


def check_data_group(context: VerificationContext, group: DataGroup) -> CheckResult:
    """Check the data files of a group, and open each file once. Damaged contents never raise: they become findings."""
    findings: list[Finding] = []
    observations: list[Observations] = []
    bytes_read = 0
    with ExitStack() as stack:
        opened: dict[str, pq.ParquetFile] = {}
        for file in group.files:
            where = Location(file=file.path)
            with guarded(findings, "read data file", where):
                try:
                    opening = context.root.open_parquet(file.path, file_size=file.file_size, **READ_OPTIONS)
                    parquet = stack.enter_context(opening)
                    found, observed, count = _check_open_file(context, file, parquet)
                except (ParquetError, pa.ArrowException, OSError, EOFError) as error:
                    if isinstance(error, EpiseekError) and not isinstance(error, ParquetError):
                        raise
                    reason = error.found if isinstance(error, ParquetError) else first_line(error).rstrip(".")
                    reason = describe_lost_footer(context, file.path) or reason
                    findings.append(finding(DATA_FOOTER, reason, "a readable Parquet file", where))
                    continue
                opened[file.path] = parquet
                findings += found
                observations.append(observed)
                bytes_read += count
            if not group.sources:
                stack.close()
        if context.against is not None:
            for source in group.sources:
                found, count = compare_data_file(context.against, source, opened)
                findings += found
                bytes_read += count
    return CheckResult(
        tuple(findings), bytes_read, len(group.files) + len(group.sources), Observations.merged(observations)
    )


def _check_open_file(
    context: VerificationContext, file: DataFile, parquet: pq.ParquetFile
) -> tuple[list[Finding], Observations, int]:
    where = Location(file=file.path)
    findings = run_rules((check_columns,), where, context, file, parquet)
    with guarded(findings, "check_feature_types", where):
        findings += check_feature_types(file.path, parquet.schema_arrow, context.features)
    footer = scan_footer(parquet)
    bytes_read = footer.footer_bytes
    findings += run_rules(FOOTER_RULES, where, context, file, footer)
    runs: RowScan | None = footer.runs()
    rows = _Rows()
    if context.options.looks_at("rows"):
        rows = _read_rows(context, file, parquet)
        findings += rows.findings
        bytes_read += rows.bytes_read
        if rows.scan is not None:
            runs = rows.scan
            runs.row_group_starts = footer.group_starts
            findings += run_rules(ROW_RULES, where, context, file, runs)
    if runs is None:
        findings += run_rules(BOUND_RULES, where, context, file, footer)
        return findings, rows.observed(footer_observations(file, footer)), bytes_read
    findings += run_rules(RUN_RULES, where, context, file, runs)
    observations = replace(
        row_observations(file, runs),
        row_group_count=len(footer.group_rows),
        collapsed_file_count=int(not is_per_episode(runs)),
    )
    return findings, rows.observed(observations), bytes_read


@dataclass(slots=True)
class _Rows:
    """The results of one pass over the rows of a file."""

    scan: RowScan | None = None
    """The runs of the file; None if LeRobot's own columns are missing or have wrong types."""
    ranges: tuple[FeatureRanges, ...] = ()
    totals: tuple[FeatureTotals, ...] = ()
    prints: tuple[RowPrints, ...] = ()
    lags: tuple[Lags, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    bytes_read: int = 0

    def observed(self, observations: Observations) -> Observations:
        """Return `observations` after adding what the scan of the rows found: ranges, totals, digests (prints) and lags."""
        return replace(observations, ranges=self.ranges, totals=self.totals, row_prints=self.prints, lags=self.lags)


def _read_rows(context: VerificationContext, file: DataFile, parquet: pq.ParquetFile) -> _Rows:
    """Scan the rows of a file in one pass, which reads only the columns that rules need.

    If a scanner fails, the other scanners continue.
    """
    where = Location(file=file.path)
    rows = _Rows()
    schema = parquet.schema_arrow
    numbers: RowScanner | None = None
    if _has_scanned_columns(parquet):
        first_index = _FirstIndex(file.episode_index, file.dataset_from_index) if context.has_tiling else None
        options = context.options
        numbers = RowScanner(fps=context.info.fps, tolerance_seconds=options.tolerance_seconds, first_index=first_index)
    others: list[RowRules] = []
    with guarded(rows.findings, "features", where):
        others.append(FeatureScan(context.features, file.path))
    if numbers is not None:
        with guarded(rows.findings, "tasks", where):
            if context.task_texts is not None and _has_integers(schema, lerobot.TASK_INDEX):
                others.append(_TaskRows(context, context.task_texts, file))
        with guarded(rows.findings, "subtasks", where):
            if context.subtask_count is not None and _has_integers(schema, lerobot.SUBTASK_INDEX):
                others.append(SubtaskScan(file.path, context.subtask_count))
        with guarded(rows.findings, "statistics", where):
            if file.statistics or context.quantiles:
                scan = StatisticsScan(
                    context.features,
                    tuple(schema.names),
                    file.episode_index,
                    file.length,
                    file.statistics,
                    context.quantiles,
                )
                others.append(scan)
        with guarded(rows.findings, "prints", where):
            printed = printed_features(context.features, schema.names)
            others.append(RowPrintScan(file.path, printed, file.episode_index, file.length))
        with guarded(rows.findings, "motion", where):
            others.append(MotionScan(context.features, schema.names, file.path))
        with guarded(rows.findings, "language", where):
            others.append(LanguageScan(context.features, schema, file.path))
    scanners: list[RowScanner | RowRules] = [*([] if numbers is None else [numbers]), *others]
    failed: set[int] = set()
    wanted = {name for scanner in scanners for name in scanner.columns}
    columns = [name for name in schema.names if name in wanted]
    rows.bytes_read = column_bytes(parquet.metadata, columns)
    first_row = 0
    for batch in parquet.iter_batches(batch_rows(parquet, columns), columns=columns, use_threads=False):
        for number, scanner in enumerate(scanners):
            if number in failed:
                continue
            before = len(rows.findings)
            with guarded(rows.findings, type(scanner).__name__, where):
                scanner.add(batch, first_row)
            if len(rows.findings) > before:
                failed.add(number)
        first_row += len(batch)
    for number, scanner in enumerate(scanners):
        if number in failed:
            continue
        with guarded(rows.findings, type(scanner).__name__, where):
            if isinstance(scanner, RowScanner):
                rows.scan = scanner.result()
                continue
            rows.findings += scanner.findings()
            if isinstance(scanner, FeatureScan):
                rows.ranges = (scanner.ranges(),)
            if isinstance(scanner, StatisticsScan):
                rows.totals = scanner.totals()
            if isinstance(scanner, RowPrintScan):
                rows.prints = (scanner.prints(),)
            if isinstance(scanner, MotionScan):
                rows.lags = (scanner.lags(),)
    return rows


class _TaskRows:
    """A scanner that passes the tasks of rows to a `TaskScan` (TSK014)."""

    columns = (lerobot.EPISODE_INDEX, lerobot.TASK_INDEX)

    def __init__(self, context: VerificationContext, texts: tuple[str, ...], file: DataFile) -> None:
        declared = zip(file.episode_index.tolist(), file.tasks or (), strict=False)
        self._scan = TaskScan(
            file.path,
            dict(enumerate(texts)),
            {episode: [texts[number] for number in tasks if number != UNKNOWN_TASK] for episode, tasks in declared},
            expects_every_task=not has_other_task_columns(context.features),
        )

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        episode, task = (batch.column(name) for name in self.columns)
        is_null = ~is_valid(task)
        self._scan.add(integers(episode), integers(task), is_null)

    def findings(self) -> Iterator[Finding]:
        return self._scan.findings()


def check_columns(context: VerificationContext, file: DataFile, parquet: pq.ParquetFile) -> Iterator[Finding]:
    """Yield INF003 for missing, repeated and undeclared columns, and for columns of LeRobot itself that are not numeric."""
    schema = parquet.schema_arrow
    found, expected = set(schema.names), {*context.columns, *LEROBOT_COLUMNS}
    # INF001 reports features of unknown dtype. They may or may not have a column.
    unknown = {key for key in context.columns if not is_known_dtype(declared_dtype(context.features[key]) or "")}
    forms = {column: form for column in expected - found if (form := in_other_form(column, found)) is not None}
    for column, form in sorted(forms.items()):
        where = Location(file=file.path, column=column)
        text = f"a column of this name in the Unicode form {form_of(form)}"
        yield finding(COLUMNS, text, f"{form_of(column)}, as in {layout.INFO_PATH}", where, remedy=FORM_REMEDY)
    expected, found = expected - forms.keys(), found - set(forms.values())
    for column in sorted(expected - found - unknown):
        origin = (
            f"a column for the feature of {layout.INFO_PATH}" if column in context.columns else "LeRobot's own column"
        )
        yield finding(COLUMNS, "no such column", origin, Location(file=file.path, column=column))
    for column in sorted({name for name in schema.names if schema.names.count(name) > 1}):
        yield finding(
            COLUMNS, "two columns or more of this name", "one column", Location(file=file.path, column=column)
        )
    for column in sorted(found - expected):
        yield finding(
            COLUMNS,
            f"a column that {layout.INFO_PATH} does not list",
            "only columns for its features",
            Location(file=file.path, column=column),
        )
    for column in SCANNED_COLUMNS:
        if schema.names.count(column) == 1 and not _is_numeric(schema.field(column)):
            wanted = "floats" if column == lerobot.TIMESTAMP else "whole numbers"
            yield finding(COLUMNS, f"type {schema.field(column).type}", wanted, Location(file=file.path, column=column))


class _FirstIndex:
    """A function that maps the file's episodes to their dataset_from_index, and other episodes to -1."""

    def __init__(self, episode_index: Int64Array, first: Int64Array) -> None:
        self._episode_index = episode_index
        self._first = first

    def __call__(self, episodes: Int64Array) -> Int64Array:
        if not len(self._episode_index):
            return np.full(len(episodes), -1, np.int64)
        position = np.minimum(np.searchsorted(self._episode_index, episodes), len(self._episode_index) - 1)
        return np.where(self._episode_index[position] == episodes, self._first[position], -1)


def _has_scanned_columns(parquet: pq.ParquetFile) -> bool:
    schema = parquet.schema_arrow
    return all(schema.names.count(name) == 1 and _is_numeric(schema.field(name)) for name in SCANNED_COLUMNS)


def _has_integers(schema: pa.Schema, name: str) -> bool:
    return schema.names.count(name) == 1 and bool(pa.types.is_integer(schema.field(name).type))


def _is_numeric(field: pa.Field) -> bool:
    if pa.types.is_integer(field.type):
        return True
    return field.name == lerobot.TIMESTAMP and bool(pa.types.is_floating(field.type))

"""Pandera models of `meta/episodes` and of the four sidecars, which check every column's type, nulls and range.

No other module imports pandera, and this one does so only when a table is checked, since the import takes a second.
`check_table` never raises for the contents of a table: it lists all problems as plain values. Pandera names the column and
the check that failed; the rows are found here, since its failure cases for Arrow tables carry no row number.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from episeek_schemas import lerobot, sidecars

if TYPE_CHECKING:
    import pandera.pyarrow

TableName = Literal["meta/episodes", "files", "episodes", "keyframes", "samples"]

MAX_ROWS_PER_PROBLEM: Final = 1000
"""Number of rows that are listed for one failed check of one column. The last one carries the number of further rows."""

_INT64_MAX: Final = (1 << 63) - 1
_MAX_SECONDS: Final = 1e12

_validating = threading.Lock()
"""Held during a validation. Pandera tries to import PySpark for every column. If two threads do so at once, one of them may find a
half-imported module, and report a problem in a correct table.
"""


@dataclass(frozen=True, slots=True)
class ColumnProblem:
    """A problem of one value, or of one column where `row` is None; `more` unlisted rows have the same problem."""

    table: str
    column: str
    row: int | None
    check: str
    found: str
    expected: str
    more: int = 0


@dataclass(frozen=True, slots=True)
class _ColumnModel:
    """The type of a column, and either its range of numbers or its pattern of text."""

    dtype: pa.DataType
    low: int | float | None = None
    high: int | float | None = None
    pattern: str | None = None

    @property
    def range_text(self) -> str:
        """The allowed range of numbers in words."""
        if self.high in (_INT64_MAX, _MAX_SECONDS) or self.high is None:
            return f"a number, {self.low} or more"
        return f"a number from {self.low} to {self.high}"

    def accepts(self, dtype: pa.DataType) -> bool:
        """Return whether a column of meta/episodes may have a type. It may have another width, unlike a column of a sidecar."""
        if pa.types.is_integer(self.dtype):
            return bool(pa.types.is_integer(dtype))
        if pa.types.is_floating(self.dtype):
            return bool(pa.types.is_floating(dtype) or pa.types.is_integer(dtype))
        return bool(dtype == self.dtype)

    def pandera_column(self, dtype: pa.DataType) -> "pandera.pyarrow.Column":
        """Return the model of a column with this type."""
        import pandera.pyarrow as pandera

        check = None
        if self.pattern is not None:
            check = pandera.Check.str_matches(self.pattern)
        elif self.low is not None:
            check = pandera.Check.in_range(self.low, self.high)
        # pandera's Arrow engine has no binary type: `_type_problems` compares every type of a sidecar exactly anyway
        return pandera.Column(None if pa.types.is_binary(dtype) else dtype, check, nullable=False)


def check_table(
    table: pa.Table,
    name: TableName,
    *,
    video_keys: Sequence[str] = (),
    path: str | None = None,
    first_row: int = 0,
    format_version: str = str(sidecars.FORMAT_VERSION),
) -> list[ColumnProblem]:
    """Return all problems of the columns of a table, or of some row groups of it.

    Errors of pandera for a table that it cannot check at all pass through.

    Args:
        table: The table, or some row groups of it.
        name: The model to check against.
        video_keys: The cameras for which `meta/episodes` must have columns.
        path: The file, for the problems; None puts the model's name there.
        first_row: The row number in the file of the table's first row.
        format_version: The format version of a sidecar.

    Example:
        >>> import pyarrow as pa
        >>> broken = pa.table({"byte_offset": pa.array([None], pa.uint32()), "byte_size": pa.array([1], pa.uint32())})
        >>> [(problem.column, problem.row, problem.check) for problem in check_table(broken, "samples", format_version="1")]
        [('byte_offset', 0, 'not_nullable'), ('pts', None, 'column_in_dataframe')]
    """
    is_sidecar = name != "meta/episodes"
    if is_sidecar:
        columns = sidecars.schema_of(name, version=format_version, found=table.schema)
        models = {field.name: _sidecar_model(name, field) for field in columns}
    else:
        models = _episode_models(tuple(video_keys))
    where = path or name
    duplicates = sorted({column for column in table.column_names if table.column_names.count(column) > 1})
    problems = [
        ColumnProblem(where, column, None, "unique_column_names", "the column twice", "once") for column in duplicates
    ]
    problems += _type_problems(table, models, where, exact=is_sidecar)
    unchecked = {problem.column for problem in problems}
    checked = table.select(
        [column for column in table.column_names if column not in unchecked and (is_sidecar or column in models)]
    )
    applicable = {column: model for column, model in models.items() if column not in unchecked}
    for error in _pandera_errors(checked, applicable, exact=is_sidecar):
        problems += _located(error, checked, models, where, first_row)
    return sorted(set(problems), key=lambda p: (p.column, -1 if p.row is None else p.row, p.check, p.found))


def _pandera_errors(table: pa.Table, models: dict[str, _ColumnModel], *, exact: bool) -> list[Any]:
    """Validate a table and return pandera's errors; `exact` refuses other columns and another order."""
    if _is_sound(table, models, exact=exact):
        return []
    with _validating:
        import pandera.pyarrow as pandera
        from pandera.errors import SchemaErrors

        columns = {
            column: model.pandera_column(
                table.schema.field(column).type if column in table.column_names else model.dtype
            )
            for column, model in models.items()
        }
        try:
            pandera.DataFrameSchema(columns, strict=exact, ordered=exact).validate(table, lazy=True)
        except SchemaErrors as errors:
            return list(errors.schema_errors)
    return []


def _is_sound(table: pa.Table, models: dict[str, _ColumnModel], *, exact: bool) -> bool:
    """Return whether pandera would find no problem. Most tables have none, and this check is faster than importing pandera."""
    names = table.column_names
    if names != list(models) if exact else not models.keys() <= set(names):
        return False
    return all(_holds(model, table[column]) for column, model in models.items())


def _holds(model: _ColumnModel, values: pa.ChunkedArray) -> bool:
    if values.null_count or (pa.types.is_floating(values.type) and pc.any(pc.is_nan(values)).as_py()):
        return False
    if model.pattern is not None:
        return pc.all(pc.match_substring_regex(values, model.pattern)).as_py() is not False
    if model.low is None or not len(values):
        return True
    extremes = pc.min_max(values)
    return bool(model.low <= extremes["min"].as_py() and (model.high is None or extremes["max"].as_py() <= model.high))


def _type_problems(table: pa.Table, models: dict[str, _ColumnModel], where: str, *, exact: bool) -> list[ColumnProblem]:
    problems = []
    for field in table.schema:
        model = models.get(field.name)
        if model is not None and not (field.type == model.dtype if exact else model.accepts(field.type)):
            problems.append(
                ColumnProblem(where, field.name, None, "dtype", f"type {field.type}", f"type {model.dtype}")
            )
    return problems


def _located(
    error: Any, table: pa.Table, models: dict[str, _ColumnModel], where: str, first_row: int
) -> list[ColumnProblem]:
    """Return the problems that one pandera error reports: one for each row if it is about values."""
    from pandera.errors import SchemaErrorReason

    reason = error.reason_code
    check = getattr(error.check, "name", None) or str(error.check)
    if reason is SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
        return [
            ColumnProblem(
                where, str(error.failure_cases), None, check, "no such column", "the column, with a value in every row"
            )
        ]
    if reason is SchemaErrorReason.COLUMN_NOT_IN_SCHEMA:
        return [
            ColumnProblem(where, str(error.failure_cases), None, check, "a column the format does not have", "none")
        ]
    if reason is SchemaErrorReason.COLUMN_NOT_ORDERED:
        return [
            ColumnProblem(
                where, str(error.failure_cases), None, check, "a column out of place", "the format's column order"
            )
        ]
    column = error.schema.name
    if column not in models or column not in table.column_names:
        return [
            ColumnProblem(
                where, str(column or "(table)"), None, check, str(error)[:200], "a table that the model describes"
            )
        ]
    model, values = models[column], table[column]
    if reason is SchemaErrorReason.SERIES_CONTAINS_NULLS:
        return _rows(where, column, check, values, _is_missing(values), "a value", first_row)
    if reason is SchemaErrorReason.DATAFRAME_CHECK and model.pattern is not None:
        bad = pc.invert(pc.match_substring_regex(values, model.pattern))
        return _rows(where, column, check, values, _mask(bad), f"text like {model.pattern}", first_row)
    if reason is SchemaErrorReason.DATAFRAME_CHECK and model.low is not None:
        bad = pc.or_(pc.less(values, model.low), pc.greater(values, model.high))
        return _rows(where, column, check, values, _mask(bad), model.range_text, first_row)
    return [ColumnProblem(where, column, None, check, str(error)[:200], "a column that the model describes")]


def _rows(
    where: str,
    column: str,
    check: str,
    values: pa.ChunkedArray,
    bad: npt.NDArray[np.bool_],
    expected: str,
    first_row: int,
) -> list[ColumnProblem]:
    rows = np.flatnonzero(bad)
    listed = rows[:MAX_ROWS_PER_PROBLEM].tolist()
    more = len(rows) - len(listed)
    return [
        ColumnProblem(
            where, column, first_row + row, check, _text(values[row]), expected, more if row == listed[-1] else 0
        )
        for row in listed
    ]


def _is_missing(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    missing = _mask(pc.is_null(values))
    return missing | _mask(pc.is_nan(values)) if pa.types.is_floating(values.type) else missing


def _mask(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(values, False).to_numpy(), dtype=np.bool_)


def _text(value: pa.Scalar) -> str:
    return "null" if not value.is_valid else ("NaN" if value.as_py() != value.as_py() else repr(value.as_py())[:80])


@cache
def _episode_models(video_keys: tuple[str, ...]) -> dict[str, _ColumnModel]:
    count = _ColumnModel(pa.int64(), 0, _INT64_MAX)
    seconds = _ColumnModel(pa.float64(), 0, _MAX_SECONDS)
    models = dict.fromkeys(lerobot.EPISODE_COLUMNS, count)
    models[lerobot.LENGTH] = _ColumnModel(pa.int64(), 1, _INT64_MAX)
    for key in video_keys:
        for field in lerobot.VIDEO_FIELDS:
            models[lerobot.video_column(key, field)] = seconds if field.endswith("_timestamp") else count
    return models


_SIGNED: Final = frozenset(
    {("episodes", "first_frame_tick"), ("keyframes", "pts"), ("keyframes", "frame_index"), ("samples", "pts")}
)
"""Columns that may hold negative numbers, since lead-in samples come before frame 0."""

_AT_LEAST_ONE: Final = frozenset(
    {
        ("files", "file_size"), ("files", "width"), ("files", "height"), ("files", "timescale"),
        ("files", "sample_count"), ("files", "sync_sample_count"), ("episodes", "mdat_length"), ("episodes", "frame_count"),
        ("episodes", "sample_count"), ("episodes", "keyframe_count"),
    }
)  # fmt: skip

_PATTERNS: Final = {
    ("files", "file_path"): r"^[^/].*[^/]$",
    ("files", "store_id"): r"^((sha256|xet|etag):.+)?$",
    ("files", "moov_sha256"): r"^[0-9a-f]{64}$",
    ("files", "episodes_sha256"): r"^[0-9a-f]{64}$",
    ("files", "codec"): r"^.{4}$",
    ("files", "container"): rf"^({'|'.join(sidecars.CONTAINERS)})$",
    ("episodes", "camera_key"): r"^.+$",
}


def _sidecar_model(name: str, field: pa.Field) -> _ColumnModel:
    key = (name, field.name)
    if key in _PATTERNS:
        return _ColumnModel(field.type, pattern=_PATTERNS[key])
    if pa.types.is_floating(field.type):
        return _ColumnModel(field.type, 0, _MAX_SECONDS)
    if not pa.types.is_integer(field.type) or key in _SIGNED:
        return _ColumnModel(field.type)
    largest = (1 << (field.type.bit_width - pa.types.is_signed_integer(field.type))) - 1
    return _ColumnModel(field.type, 1 if key in _AT_LEAST_ONE else 0, largest)

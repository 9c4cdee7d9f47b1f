"""Check every column of `meta/episodes` and of the four sidecars (the byte index) with Pandera: type, nulls and range of values.

`check_table` returns the problems that it finds in a table, and does not raise errors for them. Pandera reports which check of
which column failed. This module finds the rows, because Pandera does not report row numbers for Arrow tables. No other module
imports Pandera, and this module imports it only to check a table that has problems, because the import takes a second.
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
"""Largest number of rows that are listed for one failed check of one column. `ColumnProblem.more` of the last row is the number of
rows that are not listed.
"""

_INT64_MAX: Final = (1 << 63) - 1
_MAX_SECONDS: Final = 1e12

_validating = threading.Lock()
"""Lock that lets only one thread validate at a time.

Pandera tries to import PySpark for every column. If two threads did so at once, one of them could find a half-imported module, and
report a problem of a correct table.
"""


@dataclass(frozen=True, slots=True)
class ColumnProblem:
    """A problem of one value, or of a whole column if `row` is None.

    `more` is the number of further rows with the same problem that are not listed.
    """

    table: str
    column: str
    row: int | None
    check: str
    found: str
    expected: str
    more: int = 0


@dataclass(frozen=True, slots=True)
class _ColumnModel:
    """The expected type of a column, and optionally the allowed range of its numbers or the pattern of its text."""

    dtype: pa.DataType
    low: int | float | None = None
    high: int | float | None = None
    pattern: str | None = None

    @property
    def range_text(self) -> str:
        """Return the allowed range of numbers as text for a message."""
        if self.high in (_INT64_MAX, _MAX_SECONDS) or self.high is None:
            return f"a number, {self.low} or more"
        return f"a number from {self.low} to {self.high}"

    def accepts(self, dtype: pa.DataType) -> bool:
        """Return whether a column of `meta/episodes` may have the type `dtype`.

        If the expected type is an integer type, every integer type is accepted. If it is a floating-point type, every integer and
        floating-point type is accepted. Columns of sidecars, which this method does not check, need exactly the expected type.
        """
        if pa.types.is_integer(self.dtype):
            return bool(pa.types.is_integer(dtype))
        if pa.types.is_floating(self.dtype):
            return bool(pa.types.is_floating(dtype) or pa.types.is_integer(dtype))
        return bool(dtype == self.dtype)

    def pandera_column(self, dtype: pa.DataType) -> "pandera.pyarrow.Column":
        """Return Pandera's model of a column that has the type `dtype`."""
        import pandera.pyarrow as pandera

        check = None
        if self.pattern is not None:
            check = pandera.Check.str_matches(self.pattern)
        elif self.low is not None:
            check = pandera.Check.in_range(self.low, self.high)
        # Pandera's Arrow engine has no binary type. `_type_problems` compares the types of sidecars in any case.
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
    """Return all problems that the columns of a table have.

    If Pandera fails for a reason other than a problem of the table, Pandera's error is not caught.

    Args:
        table: The table, or some of its row groups.
        name: The name of the table, which selects the expected columns.
        video_keys: The keys of the cameras for which `meta/episodes` must have columns.
        path: The path of the file, for `ColumnProblem.table`; None stands for `name`.
        first_row: The row number that the first row of `table` has in the file.
        format_version: The format version of the sidecars.

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
    """Validate a table, and return Pandera's errors. With `exact`, additional columns and a different order are errors as well."""
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
    """Return whether Pandera would find no problem in a table.

    Most tables have no problem, and this function is faster than importing Pandera.
    """
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
    """Return the problems that one error of Pandera reports: one problem for each row if the error is about values."""
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
                where,
                str(error.failure_cases),
                None,
                check,
                "a column in the wrong position",
                "the columns in the order of the format",
            )
        ]
    column = error.schema.name
    if column not in models or column not in table.column_names:
        return [
            ColumnProblem(
                where, str(column or "(table)"), None, check, str(error)[:200], "a table that matches the model"
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
    return [ColumnProblem(where, column, None, check, str(error)[:200], "a column that matches the model")]


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
"""Columns that may contain negative numbers: times and frames are counted from frame 0 of the episode, and the tables
also list the samples before frame 0 that are needed to decode the episode.
"""

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

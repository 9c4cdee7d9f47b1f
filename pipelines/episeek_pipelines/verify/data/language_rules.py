"""ROW030: scan the language columns of a data file once.

LeRobot (`datasets/language.py`, `language_render.py` and the writer of `annotations/steerable_pipeline`) expects that
- `language_persistent` and `language_events` are found by name, and are declared with the dtype `language`;
- every row of an episode has the same persistent annotations, since LeRobot renders each row from its own annotations;
- each persistent annotation has a timestamp, from which on it applies;
- the style decides in which column LeRobot looks for an annotation (styles that users register are not checked here);
- a row has at most one annotation of style `vqa` for a role and a camera, since LeRobot refuses two as ambiguous;
- an event annotation belongs to its row. If it has a timestamp, as in the first version of the format, this is the row's timestamp.

Memory is limited to one batch of rows and the annotations of one row. Columns whose type LeRobot cannot read are skipped, since
`schema_rules` reports them (INF003).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.parquet.numpy_values import numpy_values, positions_of
from episeek_pipelines.verify.data.row_scan import NULL_NUMBER, floats, integers
from episeek_pipelines.verify.data.schema_rules import language_problem
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.options import TIMESTAMP_TOLERANCE_SECONDS
from episeek_pipelines.verify.findings.quoting import one_line
from episeek_pipelines.verify.rules import LANGUAGE
from episeek_schemas import layout, lerobot
from episeek_schemas.features import declared_dtype

PERSISTENT_STYLES: Final = frozenset({"subtask", "plan", "memory", "motion", "task_aug"})
EVENT_STYLES: Final = frozenset({"interjection", "vqa", "trace"})
VQA: Final = "vqa"

_SHOWN = 40

STYLE_REMEDY: Final = (
    "decide in which rows the annotation applies, and move it to these rows of the other language column, where LeRobot looks for "
    "annotations of this style"
)
"""Remedy for an annotation in the wrong one of the two language columns."""

_STYLE: Final = "style "


class LanguageScan:
    """Scans the language columns of one data file, batch by batch.

    Args:
        features: `features` of meta/info.json; its contents may be invalid.
        schema: The file's Arrow schema.
        path: The file.
    """

    def __init__(self, features: Mapping[str, Any], schema: pa.Schema, path: str) -> None:
        self._path = path
        self._declared = [
            name
            for name, spec in features.items()
            if name in lerobot.LANGUAGE_COLUMNS or declared_dtype(spec) == "language"
        ]
        self._features = features
        types = {column.name: column.type for column in schema}
        is_keyed = lerobot.EPISODE_INDEX in types and pa.types.is_integer(types[lerobot.EPISODE_INDEX])
        self._language = tuple(
            name
            for name in lerobot.LANGUAGE_COLUMNS
            if is_keyed
            and name in types
            and schema.names.count(name) == 1
            and language_problem(name, types[name]) is None
        )
        self._has_event_times = lerobot.LANGUAGE_EVENTS in self._language and _is_timed(types)
        self._findings: dict[tuple[str, int, str], tuple[int, str, str, int]] = {}
        self._episode: int | None = None
        self._annotations: pa.Array | None = None
        """Persistent annotations in the first row of the current episode; shape [1]."""
        self._text = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that `add` scans; empty if the file has no usable language column."""
        if not self._language:
            return ()
        return (lerobot.EPISODE_INDEX, *([lerobot.TIMESTAMP] if self._has_event_times else []), *self._language)

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Scan the next rows, which begin at row `first_row` of the file."""
        if not self._language or not len(batch):
            return
        episode = integers(_column(batch, lerobot.EPISODE_INDEX))
        if lerobot.LANGUAGE_PERSISTENT in self._language:
            self._add_persistent(_column(batch, lerobot.LANGUAGE_PERSISTENT), episode, first_row)
        if lerobot.LANGUAGE_EVENTS in self._language:
            self._add_events(batch, episode, first_row)

    def findings(self) -> Iterator[Finding]:
        """Yield one ROW030 for each feature with a wrong dtype, and for each episode, column and kind of defect.

        `Finding.more` counts further rows of the same episode.
        """
        for name in self._declared:
            dtype = declared_dtype(self._features[name])
            where = Location(file=layout.INFO_PATH, column=name)
            if name not in lerobot.LANGUAGE_COLUMNS:
                names = " and ".join(lerobot.LANGUAGE_COLUMNS)
                expected = f"dtype language only for {names}, which LeRobot finds by name"
                yield finding(LANGUAGE, "dtype language", expected, where)
            elif dtype != "language":
                found = "no dtype" if dtype is None else f"dtype {one_line(dtype, _SHOWN)}"
                yield finding(LANGUAGE, found, "dtype language", where)
        for (column, episode, kind), (row, found, expected, row_count) in self._findings.items():
            place = Location(
                file=self._path, episode=None if episode == NULL_NUMBER else episode, row=row, column=column
            )
            remedy = STYLE_REMEDY if kind.startswith(_STYLE) else ""
            yield finding(LANGUAGE, found, expected, place, more=row_count - 1, remedy=remedy)

    def _add_persistent(self, values: pa.Array, episode: Int64Array, first_row: int) -> None:
        starts = np.concatenate([[0], np.flatnonzero(episode[1:] != episode[:-1]) + 1]).tolist()
        for start, stop in zip(starts, [*starts[1:], len(episode)], strict=True):
            number = int(episode[start])
            if number == NULL_NUMBER:
                continue
            if number != self._episode or self._annotations is None:
                self._episode = number
                self._annotations = values.take(positions_of(np.array([start])))
                self._text = _text(self._annotations)
                self._check_persistent(self._annotations, number, first_row + start)
            run, first = values.slice(start, stop - start), self._annotations
            # Arrow compares all rows at once, but takes NaN for a difference. If it finds a difference, rows are compared as text.
            if run.slice(0, 1).equals(first) and run.slice(1).equals(run.slice(0, len(run) - 1)):
                continue
            rows = [run.slice(row, 1) for row in range(len(run))]
            odd = [row for row, held in enumerate(rows) if not held.equals(first) and _text(held) != self._text]
            if odd:
                found = "annotations that differ from those of the episode's first row"
                expected = "the same annotations in every row"
                row = first_row + start + odd[0]
                self._note(lerobot.LANGUAGE_PERSISTENT, number, "differ", row, found, expected, len(odd))

    def _check_persistent(self, first: pa.Array, episode: int, row: int) -> None:
        annotations = [annotation for annotation in (first[0].as_py() or []) if annotation is not None]
        for annotation in annotations:
            style, timestamp = annotation["style"], annotation[lerobot.TIMESTAMP]
            if style is None or style in EVENT_STYLES:
                self._note_style(lerobot.LANGUAGE_PERSISTENT, episode, row, style)
            if timestamp is None or not np.isfinite(timestamp):
                value = "null" if timestamp is None else str(timestamp)
                found = f"timestamp {value} of an annotation ({_style_text(style)})"
                expected = "the time in seconds from which on the annotation applies"
                self._note(lerobot.LANGUAGE_PERSISTENT, episode, "timestamp", row, found, expected, 0)

    def _add_events(self, batch: pa.RecordBatch, episode: Int64Array, first_row: int) -> None:
        values = _column(batch, lerobot.LANGUAGE_EVENTS)
        lengths = numpy_values(pc.list_value_length(values))
        rows = np.flatnonzero(lengths)
        if not len(rows):
            return
        seconds = floats(_column(batch, lerobot.TIMESTAMP)) if self._has_event_times else None
        fields = _event_fields(values.take(positions_of(rows)), self._has_event_times)
        for row, annotations in zip(rows.tolist(), fields, strict=True):
            self._check_events(
                annotations, int(episode[row]), first_row + row, None if seconds is None else seconds[row]
            )

    def _check_events(self, annotations: list[Any], episode: int, row: int, seconds: float | None) -> None:
        questions: set[tuple[str, str]] = set()
        noted: set[str] = set()
        for annotation in annotations:
            if annotation is None:
                continue
            style = annotation["style"]
            if style in PERSISTENT_STYLES and f"style {style}" not in noted:
                noted.add(f"style {style}")
                self._note_style(lerobot.LANGUAGE_EVENTS, episode, row, style)
            timestamp = annotation.get(lerobot.TIMESTAMP)
            is_timed = timestamp is not None and seconds is not None and not np.isnan(seconds)
            if is_timed and "timestamp" not in noted and not abs(timestamp - seconds) <= TIMESTAMP_TOLERANCE_SECONDS:
                noted.add("timestamp")
                found, expected = f"an event at {timestamp:.6f} s", f"{seconds:.6f} s, the time of its row"
                self._note(lerobot.LANGUAGE_EVENTS, episode, "timestamp", row, found, expected, 1)
            camera, role = annotation.get("camera"), annotation["role"]
            if style != VQA or camera is None or role is None:
                continue
            if (camera, role) in questions and "ambiguous" not in noted:
                noted.add("ambiguous")
                kind = f"style {VQA}, role {one_line(role, _SHOWN)}, camera {one_line(camera, _SHOWN)}"
                found, expected = (
                    f"several annotations of {kind} in one row",
                    "one, since LeRobot refuses several as ambiguous",
                )
                self._note(lerobot.LANGUAGE_EVENTS, episode, "ambiguous", row, found, expected, 1)
            questions.add((camera, role))

    def _note_style(self, column: str, episode: int, row: int, style: str | None) -> None:
        other = lerobot.LANGUAGE_EVENTS if column == lerobot.LANGUAGE_PERSISTENT else lerobot.LANGUAGE_PERSISTENT
        found, expected = (
            f"an annotation of {_style_text(style)}",
            f"such annotations in {other}, where LeRobot looks for them",
        )
        row_count = 1 if column == lerobot.LANGUAGE_EVENTS else 0
        self._note(column, episode, f"{_STYLE}{style}", row, found, expected, row_count)

    def _note(self, column: str, episode: int, kind: str, row: int, found: str, expected: str, row_count: int) -> None:
        """Record rows with a defect; `row` is the first such row.

        A `row_count` of 0 means that the defect concerns the whole episode, so that its rows are not counted.
        """
        noted = self._findings.get((column, episode, kind))
        if noted is None:
            self._findings[column, episode, kind] = (row, found, expected, max(row_count, 1))
        else:
            self._findings[column, episode, kind] = (*noted[:3], noted[3] + row_count)


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    return batch.column(batch.schema.get_field_index(name))


def _text(values: pa.Array) -> str:
    """Return the annotations of one row as text, to compare them so that NaN equals NaN and null equals an empty list."""
    return repr(values[0].as_py() or [])


def _event_fields(values: pa.Array, has_times: bool) -> list[list[Any]]:
    """Return the events of each row, with only the fields that the rules need. Other fields, such as tool calls, may be large."""
    flat = values.flatten()
    if not pa.types.is_struct(flat.type):
        return [[] for _ in range(len(values))]
    wanted = ["role", "style", "camera", *([lerobot.TIMESTAMP] if has_times else [])]
    names = [name for name in wanted if flat.type.get_field_index(name) >= 0]
    columns = [pc.struct_field(flat, name).to_pylist() for name in names]
    is_null = flat.is_null().to_pylist()
    annotations = [
        None if null else dict(zip(names, row, strict=True)) for null, *row in zip(is_null, *columns, strict=True)
    ]
    stops = np.cumsum(numpy_values(pc.list_value_length(values))).tolist()
    return [annotations[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def _is_timed(types: Mapping[str, pa.DataType]) -> bool:
    """Return whether both the events and the rows have timestamps, so that the two can be compared."""
    row = types[lerobot.LANGUAGE_EVENTS].value_type
    position = row.get_field_index(lerobot.TIMESTAMP) if pa.types.is_struct(row) else -1
    of_rows = types.get(lerobot.TIMESTAMP)
    return bool(
        position >= 0
        and of_rows is not None
        and pa.types.is_floating(of_rows)
        and (pa.types.is_floating(row[position].type) or pa.types.is_integer(row[position].type))
    )


def _style_text(style: str | None) -> str:
    return "no style" if style is None else f"style {one_line(style, _SHOWN)}"

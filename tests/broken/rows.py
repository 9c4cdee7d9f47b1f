"""Data files: INF003 and ROW, except for comparisons with a source."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.verify.rules import Level
from tests.broken import language
from tests.broken.case import AV1, IMAGES, Case
from tests.support.broken_datasets import (
    change_column,
    change_metadata,
    change_type,
    collapse,
    data,
    data_files,
    drop_column,
    drop_rows,
    edit_features,
    edit_parquet,
    edit_statistics,
    schema_metadata,
    set_page_index,
    set_value,
    swap_rows,
    truncate,
)


def append_column(root: Path, path: str, name: str, value: object) -> None:
    edit_parquet(root, path, lambda groups: [t.append_column(name, pa.array([value] * len(t))) for t in groups])


def first_index(root: Path, path: str) -> int:
    """Return the number of a file's first row in the whole dataset."""
    return int(pq.read_table(root / path, columns=["index"])["index"][0].as_py())


def shorten_vectors(root: Path) -> None:
    """Shorten vectors to five joints where meta/info.json declares six."""

    def change(column: pa.ChunkedArray) -> pa.ChunkedArray:
        return pa.chunked_array([pa.array([vector[:5] for vector in column.to_pylist()], pa.list_(pa.float32(), 5))])

    change_column(root, data(0), "observation.state", change)


def interleave(groups: list[pa.Table]) -> list[pa.Table]:
    """Move the last row of episode 0 after the first of episode 1."""
    table = pa.concat_tables(groups[:2]).combine_chunks()
    return [swap_rows(table, len(groups[0]) - 1), *groups[2:]]


def append_rows_of_unlisted_episode(groups: list[pa.Table]) -> list[pa.Table]:
    last = groups[-1]
    place = last.schema.get_field_index("episode_index")
    ghost = last.set_column(place, last.schema.field(place), pa.array([99] * len(last)))
    return [*groups, ghost]


def repeat_rows(groups: list[pa.Table]) -> list[pa.Table]:
    """Repeat ten rows of episode 1 and drop ten of episode 0, in one row group, so that the counts stay right."""
    return [pa.concat_tables([groups[0].slice(0, 42), groups[1], groups[1].slice(28), *groups[2:]]).combine_chunks()]


def copy_rows(root: Path, source: str, target: str) -> None:
    """Copy the rows of the first episode of one file to another file."""
    first = pq.ParquetFile(root / source).read_row_group(0)
    edit_parquet(root, target, lambda groups: [*groups, first])


def swap_row_groups(groups: list[pa.Table]) -> list[pa.Table]:
    return [groups[1], groups[0], *groups[2:]]


def set_component(root: Path, value: float) -> None:
    """Set one joint of one action."""
    with pq.ParquetFile(root / data(1)) as file:
        vector = file.read(columns=["action"])["action"][7].as_py()
    set_value(root, data(1), "action", 7, [*vector[:3], value, *vector[4:]])


def lose_metadata(root: Path) -> None:
    change_metadata(root, data(0), None)


def drop_pictures(root: Path, *rows: int) -> None:
    """Set the pictures of these rows to null, which the statistics count."""
    change_pictures(root, rows, lambda picture: None)


def drop_picture_bytes(root: Path, *rows: int) -> None:
    """Leave these rows a path alone, as recorders write it before pictures are embedded."""
    change_pictures(root, rows, lambda picture: {"bytes": None, "path": picture["path"] or "frame.png"})


def change_pictures(root: Path, rows: Sequence[int], picture_of: Callable[[Any], Any]) -> None:
    def change(groups: list[pa.Table]) -> list[pa.Table]:
        [name] = [name for name in groups[0].column_names if name.startswith("observation.images")]
        position = groups[0].column_names.index(name)
        values = [picture_of(value) if row in rows else value for row, value in enumerate(groups[0][name].to_pylist())]
        column = pa.array(values, groups[0].schema.field(name).type)
        return [groups[0].set_column(position, groups[0].schema.field(name), column), *groups[1:]]

    edit_parquet(root, data(0), change)


def column_in_other_form(root: Path) -> None:
    """Rename a feature, and its column to the same name in another Unicode form."""
    edit_features(root, lambda features: features.update({"\u00e9tat": features.pop("next.done")}))
    edit_statistics(root, lambda statistics: statistics.update({"\u00e9tat": statistics.pop("next.done")}))
    for path in data_files(root):
        edit_parquet(root, path, lambda groups: [
            table.rename_columns(["e\u0301tat" if name == "next.done" else name for name in table.column_names])
            for table in groups
        ])  # fmt: skip


def lists_of_one(root: Path) -> None:
    def change(column: pa.ChunkedArray) -> pa.ChunkedArray:
        return pa.chunked_array([pa.FixedSizeListArray.from_arrays(column.combine_chunks(), 1)])

    for path in data_files(root):
        change_column(root, path, "task_index", change)


def scalars(root: Path) -> None:
    for path in data_files(root):
        change_column(root, path, "task_index", lambda column: pa.chunked_array([column.combine_chunks().flatten()]))


def grow_footer(root: Path) -> None:
    """Add a note that is as large as the footers of a thousand episodes."""
    change_metadata(root, data(0), {**schema_metadata(root, data(0)), "note": "recorded " * 70_000})


def many_row_groups(root: Path) -> None:
    """Write row groups of one row in a file of many columns, so that the footer is larger than the rows."""
    names = [f"note_{number:02d}" for number in range(40)]
    described = json.loads(schema_metadata(root, data(0))["huggingface"])
    described["info"]["features"].update({name: {"dtype": "string", "_type": "Value"} for name in names})
    for path in data_files(root):
        for name in names:
            append_column(root, path, name, "x" * 60)
        change_metadata(root, path, {"huggingface": json.dumps(described)})
    collapse(root, data(0))
    edit_parquet(root, data(0), lambda groups: [groups[0].slice(row, 1) for row in range(len(groups[0]))])
    feature = {"dtype": "string", "shape": [1], "names": None}
    edit_features(root, lambda features: features.update(dict.fromkeys(names, feature)))


def rewrite_timestamps(root: Path) -> None:
    """Rewrite timestamp as frame_index / fps, in the file whose timestamps are damaged."""

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        return [_with_timestamps(table, np.array(table["frame_index"]) / 30) for table in groups]

    edit_parquet(root, data(1), change)


def jitter_timestamps(root: Path) -> None:
    """Give the rows the times of a clock that is read late, by more than half a frame now and then."""
    rng = np.random.default_rng(3)

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        return [
            _with_timestamps(table, np.cumsum(np.append(0, rng.normal(1 / 30, 0.004, len(table) - 1))))
            for table in groups
        ]

    edit_parquet(root, data(1), change)


def _with_timestamps(table: pa.Table, seconds: np.ndarray) -> pa.Table:
    place = table.schema.get_field_index("timestamp")
    return table.set_column(place, table.schema.field(place), pa.array(seconds.astype(np.float32)))


ROW015_IN_ROWS: Final[dict[str, Level]] = {"ROW015": "rows"}

COLUMNS: Final = [
    Case("a feature is missing", AV1, "INF003 INF003W", lambda r: drop_column(r, data(0), "action")),
    Case("a column in another Unicode form", AV1, "INF003 INF003W", column_in_other_form),
    Case("a feature too many", AV1, "INF003 INF003W", lambda r: append_column(r, data(0), "extra", 0)),
    Case("no frame_index", AV1, "INF003 INF003W", lambda r: drop_column(r, data(0), "frame_index")),
    Case("frame_index is text", AV1, "INF003", lambda r: change_type(r, data(0), "frame_index", pa.string())),
    Case("actions in double precision", AV1, "INF003W", lambda r: change_type(r, data(0), "action", pa.list_(pa.float64(), 6)),
         remedied=lambda r: change_type(r, data(0), "action", pa.list_(pa.float32(), 6))),
    Case("task_index in half the bits", AV1, "INF003W", lambda r: change_type(r, data(0), "task_index", pa.int32())),
    Case("a flag became a number", AV1, "INF003", lambda r: change_type(r, data(0), "next.done", pa.int64())),
    Case("vectors of another length", AV1, "INF003", shorten_vectors),
    Case("fixed-size lists became lists", AV1, "INF003W", lambda r: change_type(r, data(0), "action", pa.list_(pa.float32())),
         "lerobot's aggregate_datasets",
         remedied=lambda r: change_type(r, data(0), "action", pa.list_(pa.float32(), 6))),
    Case("schema metadata lost", AV1, "INF003W", lose_metadata),
]  # fmt: skip

ROWS: Final = [
    Case("no footer", AV1, "ROW005", lambda r: truncate(r, data(1), 3000), "lerobot#2529, lerobot#3522"),
    Case("the last row is missing", AV1, "ROW015", lambda r: drop_rows(r, data(0), 51)),
    Case("a row in the middle is missing", AV1, "ROW015 ROW016 ROW017", lambda r: drop_rows(r, data(0), 20)),
    Case("rows of two episodes mixed", AV1, "ROW015", lambda r: edit_parquet(r, data(0), interleave), shows_at=ROW015_IN_ROWS),
    Case("all rows of an episode are missing", AV1, "ROW015", lambda r: drop_rows(r, data(0), *range(52, 90))),
    Case("rows of no episode", AV1, "ROW015", lambda r: edit_parquet(r, data(0), append_rows_of_unlisted_episode)),
    Case("an episode twice", AV1, "ROW015", lambda r: copy_rows(r, data(1), data(0))),
    Case("rows twice, others missing", AV1, "ROW015 ROW016 ROW017", lambda r: edit_parquet(r, data(0), repeat_rows),
         shows_at=ROW015_IN_ROWS),
    Case("a null episode_index in a row", IMAGES, "ROW015", lambda r: set_value(r, data(0), "episode_index", 54, None)),
    Case("pictures that are a path alone", IMAGES, "ROW041", lambda r: drop_picture_bytes(r, 3, 4)),
    Case("a scalar in lists of one", AV1, "INF003", lists_of_one, "lerobot#3771", remedied=scalars),
    Case("rows without a picture", IMAGES, "ROW041", lambda r: drop_pictures(r, 3, 4)),
    Case("a column twice", AV1, "INF003", lambda r: edit_parquet(
        r, data(0), lambda groups: [t.append_column("action", t["action"]) for t in groups])),
    Case("index jumps", AV1, "ROW016", lambda r: set_value(r, data(1), "index", 7, 4000),
         remedied=lambda r: set_value(r, data(1), "index", 7, first_index(r, data(1)) + 7)),
    Case("frame_index jumps", AV1, "ROW016", lambda r: set_value(r, data(1), "frame_index", 7, 4000)),
    Case("a null index", AV1, "ROW016", lambda r: set_value(r, data(1), "index", 7, None)),
    Case("timestamp off", AV1, "ROW017", lambda r: set_value(r, data(1), "timestamp", 7, 0.24),
         "lerobot#933, lerobot#1875, lerobot#2814", remedied=rewrite_timestamps),
    Case("timestamps of another clock", AV1, "ROW017", jitter_timestamps, "lerobot#3513", remedied=rewrite_timestamps),
    Case("timestamp off by less than the tolerance", AV1, "", lambda r: set_value(r, data(1), "timestamp", 7, 0.24),
         options={"tolerance_seconds": 0.01}),
    Case("a null timestamp", AV1, "ROW017", lambda r: set_value(r, data(1), "timestamp", 7, None),
         remedied=rewrite_timestamps),
    Case("a NaN timestamp", AV1, "ROW017", lambda r: set_value(r, data(1), "timestamp", 7, float("nan")),
         remedied=rewrite_timestamps),
    Case("NaN in an action", AV1, "ROW020", lambda r: set_component(r, float("nan"))),
    Case("infinity in an action", AV1, "ROW020", lambda r: set_component(r, float("inf"))),
]  # fmt: skip

LAYOUT: Final = [
    Case("collapsed", AV1, "", lambda r: collapse(r, data(0))),
    Case("collapsed, prepared", AV1, "ROW018", lambda r: collapse(r, data(0)), prepared=True),
    Case("collapsed, with sidecars", AV1, "ROW018", lambda r: collapse(r, data(0)), indexed=True),
    Case("collapsed, indexed and declared not to be prepared", AV1, "ROW018W", lambda r: collapse(r, data(0)), indexed=True,
         prepared=False),
    Case("row groups swapped", AV1, "ROW018 ROW016", lambda r: edit_parquet(r, data(0), swap_row_groups), prepared=True),
    Case("episodes in another order", AV1, "ROW016", lambda r: edit_parquet(r, data(0), swap_row_groups),
         remedied=lambda r: edit_parquet(r, data(0), lambda groups: sorted(groups, key=lambda group: group["index"][0].as_py()))),
    Case("an episode in two row groups", AV1, "ROW018", lambda r: edit_parquet(
        r, data(0), lambda g: [g[0].slice(0, 9), g[0].slice(9), *g[1:]]), prepared=True),
    Case("a large footer", AV1, "ROW019", grow_footer),
    Case("a row group a row", AV1, "ROW019", many_row_groups),
    Case("no page index", AV1, "ROW038", lambda r: set_page_index(r, False), prepared=True),
    Case("prepared", AV1, "", lambda r: None, prepared=True),
]  # fmt: skip

LANGUAGE: Final = [
    Case("annotations as they should be", IMAGES, "", language.annotate),
    Case("a persistent annotation in half an episode", IMAGES, "ROW030", lambda r: language.annotate(
        r, persistent=lambda row: language.PLANS if row.episode != 2 or row.frame < 7 else language.PLANS[:1])),
    Case("a persistent annotation without a time", IMAGES, "ROW030", lambda r: language.annotate(
        r, persistent=lambda row: [*language.PLANS, language.plan("let go", float("nan"))])),
    Case("one question twice", IMAGES, "ROW030", lambda r: language.annotate(
        r, events=lambda row: [language.question()] * 2 if row.episode == 2 and row.frame == 3 else [])),
    Case("a subtask among the events", IMAGES, "ROW030", lambda r: language.annotate(
        r, events=lambda row: [{**language.question(), "style": "subtask"}] if row.frame == 0 else [])),
    Case("an event among the persistent annotations", IMAGES, "ROW030", lambda r: language.annotate(
        r, persistent=lambda row: [*language.PLANS, {**language.plan("stop!", 0.1), "style": "interjection"}])),
]  # fmt: skip

CASES: Final = [*COLUMNS, *ROWS, *LAYOUT, *LANGUAGE]

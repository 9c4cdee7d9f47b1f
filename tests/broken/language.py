"""LeRobot's optional language columns, as `lerobot.datasets.language` and `docs/source/language_and_recipes.mdx` define them.

`language_persistent` holds the same annotations in every row of an episode, each with the second from which it holds;
`language_events` holds those of its own row. Only `vqa` and `trace` are about one camera.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from tests.support.broken_datasets import TOP, data, edit_features, edit_parquet, schema_metadata

PERSISTENT: Final = "language_persistent"
EVENTS: Final = "language_events"

Annotation = dict[str, Any]

_TEXT: Final = {"role": pa.string(), "content": pa.string(), "style": pa.string()}
_REST: Final = {"camera": pa.string(), "tool_calls": pa.list_(pa.string())}
PERSISTENT_TYPE: Final = pa.list_(pa.struct({**_TEXT, "timestamp": pa.float32(), **_REST}))
EVENTS_TYPE: Final = pa.list_(pa.struct({**_TEXT, **_REST}))


@dataclass(frozen=True, slots=True)
class RowPlace:
    """The row that is annotated."""

    episode: int
    frame: int


def plan(content: str, timestamp: float) -> Annotation:
    """Return a subtask that holds from a second of the episode on."""
    return {
        "role": "assistant",
        "content": content,
        "style": "subtask",
        "timestamp": timestamp,
        "camera": None,
        "tool_calls": None,
    }


def question(camera: str | None = TOP) -> Annotation:
    """Return a question about the current picture of a camera."""
    return {"role": "user", "content": "where is the cube?", "style": "vqa", "camera": camera, "tool_calls": None}


PLANS: Final = [plan("reach for the cube", 0.0), plan("close the gripper", 0.2)]


def planned(row: RowPlace) -> list[Annotation]:
    return PLANS


def asked_once(row: RowPlace) -> list[Annotation]:
    return [question()] if row.frame == 3 else []


def annotate(
    root: Path,
    *,
    persistent: Callable[[RowPlace], Sequence[Annotation]] = planned,
    events: Callable[[RowPlace], Sequence[Annotation]] = asked_once,
) -> None:
    """Add both columns to the only data file, and to its descriptions."""
    described = json.loads(schema_metadata(root, data(0))["huggingface"])

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        changed = []
        for table in groups:
            places = [
                RowPlace(episode, frame)
                for episode, frame in zip(
                    table["episode_index"].to_pylist(), table["frame_index"].to_pylist(), strict=True
                )
            ]
            for name, annotations, kind in ((PERSISTENT, persistent, PERSISTENT_TYPE), (EVENTS, events, EVENTS_TYPE)):
                table = table.append_column(name, pa.array([list(annotations(place)) for place in places], kind))
                described["info"]["features"][name] = _described(kind)
            changed.append(table.replace_schema_metadata({"huggingface": json.dumps(described)}))
        return changed

    edit_parquet(root, data(0), change)
    feature = {"dtype": "language", "shape": [1], "names": None}
    edit_features(root, lambda features: features.update({PERSISTENT: feature, EVENTS: feature}))


def _described(kind: pa.DataType) -> Any:
    """Return a type as `datasets` writes it into the schema metadata."""
    if pa.types.is_list(kind):
        return {"feature": _described(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _described(field.type) for field in kind}
    return {"dtype": "float32" if kind == pa.float32() else str(kind), "_type": "Value"}

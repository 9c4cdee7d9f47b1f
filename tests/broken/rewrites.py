"""Rewrites that differ from their source: ROW021, EPI021, INF021."""

import json
from pathlib import Path
from typing import Final

import pyarrow as pa

from tests.broken.case import AV1, Case
from tests.broken.rows import lose_metadata
from tests.support.broken_datasets import (
    EPISODES,
    change_metadata,
    change_type,
    data,
    drop_column,
    edit_info,
    schema_metadata,
    set_value,
)


def negative_zero(root: Path) -> None:
    """Flip the sign of a zero, which only a comparison of bits shows."""
    set_value(root, data(0), "timestamp", 0, -0.0)


def other_fingerprint(root: Path) -> None:
    described = json.loads(schema_metadata(root, data(0))["huggingface"])
    change_metadata(root, data(0), {"huggingface": json.dumps({**described, "fingerprint": "0" * 16})})


CASES: Final = [
    Case("rewritten without a change", AV1, "", lambda r: None, against=True),
    Case("a value", AV1, "ROW021 STA029", lambda r: set_value(r, data(1), "next.done", 7, True), against=True,
         shows_at={"STA029": "rows"}),
    Case("a zero became negative", AV1, "ROW021", negative_zero, against=True),
    Case("a null", AV1, "ROW021 ROW020", lambda r: set_value(r, data(1), "next.done", 7, None), against=True),
    Case("a type", AV1, "ROW021 INF003W", lambda r: change_type(r, data(0), "task_index", pa.int32()), against=True),
    Case("fixed-size lists became lists in a rewrite", AV1, "ROW021 INF003W", lambda r: change_type(
        r, data(0), "action", pa.list_(pa.float32())), against=True),
    Case("schema metadata lost in a rewrite", AV1, "ROW021 INF003W", lose_metadata, against=True),
    Case("schema metadata changed", AV1, "ROW021", other_fingerprint, against=True),
    Case("a task", AV1, "EPI021 TSK014", lambda r: set_value(r, EPISODES, "tasks", 4, ["other"]), against=True),
    Case("metadata of the episodes lost", AV1, "EPI021", lambda r: drop_column(r, EPISODES, "stats/action/mean"), against=True),
    Case("the tasks are missing", AV1, "INF021 TSK014", lambda r: (r / "meta/tasks.parquet").unlink(), against=True),
    Case("the statistics", AV1, "INF021 STA029", lambda r: (r / "meta/stats.json").write_text("{}"), against=True),
    Case("a key of info.json", AV1, "INF021", lambda r: edit_info(r, robot_type="other"), against=True),
]  # fmt: skip

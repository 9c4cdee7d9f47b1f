"""meta/stats.json, and dimensions that never change: STA."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from episeek_pipelines.verify.rules import Level
from tests.broken.case import AV1, Case
from tests.support.broken_datasets import EPISODES, change_column, data_files, edit_statistics, restore, set_value

QUANTILES: Final = ("q01", "q10", "q50", "q90", "q99")


def drop_quantiles(statistics: dict[str, Any]) -> None:
    for values in statistics.values():
        for name in QUANTILES:
            del values[name]


def set_statistic(feature: str, name: str, position: int, value: float) -> Any:
    def change(statistics: dict[str, Any]) -> None:
        statistics[feature][name][position] = value

    return change


def swap_bounds(statistics: dict[str, Any]) -> None:
    action = statistics["action"]
    action["min"], action["max"] = action["max"], action["min"]


def hold_still(root: Path, dimension: int) -> None:
    """Hold a joint still in all rows, and keep the statistics."""

    def still(column: pa.ChunkedArray) -> pa.ChunkedArray:
        values = column.combine_chunks()
        vectors = np.array(values.flatten()).reshape(-1, values.type.list_size)
        vectors[:, dimension] = 0.25
        return pa.chunked_array([pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), type=values.type)])

    for path in data_files(root):
        change_column(root, path, "action", still)


ROWS: Final[dict[str, Level]] = {"STA029": "rows"}

CASES: Final = [
    Case("no stats.json", AV1, "STA029", lambda r: (r / "meta/stats.json").unlink()),
    Case("no quantiles", AV1, "STA029", lambda r: edit_statistics(r, drop_quantiles), "lerobot#2105"),
    Case("no statistics of a feature", AV1, "STA029", lambda r: edit_statistics(r, lambda s: s.pop("action"))),
    Case("a standard deviation of zero", AV1, "STA029", lambda r: edit_statistics(r, set_statistic("action", "std", 2, 0.0)),
         "lerobot#3280"),
    Case("a statistic of another shape", AV1, "STA029", lambda r: edit_statistics(r, lambda s: s["action"]["mean"].pop())),
    Case("minimum above maximum", AV1, "STA029", lambda r: edit_statistics(r, swap_bounds)),
    Case("a mean that is NaN", AV1, "STA029", lambda r: edit_statistics(r, set_statistic("action", "mean", 1, float("nan")))),
    Case("a joint that does not move", AV1, "STA020 STA029", lambda r: hold_still(r, 2), shows_at=ROWS),
    Case("a maximum that no row has", AV1, "STA029", lambda r: edit_statistics(r, set_statistic("action", "max", 1, 1e3)),
         shows_at=ROWS, remedied=lambda r: restore(r, AV1, "meta/stats.json")),
    Case("a minimum of an episode that no row has", AV1, "STA029", lambda r: set_value(
        r, EPISODES, "stats/action/min", 3, [-1e3] * 6), shows_at=ROWS, remedied=lambda r: restore(r, AV1, EPISODES)),
    Case("a count of another episode", AV1, "STA029", lambda r: set_value(
        r, EPISODES, "stats/observation.state/count", 3, [7]), shows_at=ROWS, remedied=lambda r: restore(r, AV1, EPISODES)),
]  # fmt: skip

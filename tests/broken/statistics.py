"""meta/stats.json, and dimensions that never change: STA."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.dataset.recomputed_statistics import (
    all_episodes,
    measure,
    measured_features,
    recomputed_document,
    recomputed_episodes,
)
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.rules import Level
from tests.broken.case import AV1, EDITED, Case
from tests.support.broken_datasets import (
    EPISODES,
    change_column,
    data_files,
    edit_statistics,
    restore,
    set_value,
    set_values,
)

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


def change_statistic(feature: str, name: str, dimension: int, by: float) -> Callable[[Path], None]:
    """Change one statistic of the dataset in one dimension."""

    def changed(statistics: dict[str, Any]) -> None:
        statistics[feature][name][dimension] += by

    return lambda root: edit_statistics(root, changed)


def change_episode(episode: int, feature: str, name: str, dimension: int, by: float) -> Callable[[Path], None]:
    """Change one statistic of an episode in one dimension."""
    column = f"stats/{feature}/{name}"

    def changed(root: Path) -> None:
        held = pq.read_table(root / EPISODES)[column][episode].as_py()
        held[dimension] += by
        set_value(root, EPISODES, column, episode, held)

    return changed


def from_all_rows(root: Path) -> None:
    """Give the dataset the quantiles of all its rows, and deviations as of a sample: other programs do."""
    rows = pa.concat_tables([pq.read_table(root / path) for path in data_files(root)])

    def changed(statistics: dict[str, Any]) -> None:
        for feature in ("action", "observation.state"):
            values = np.array(rows[feature].to_pylist(), np.float32)
            statistics[feature]["std"] = values.std(axis=0, ddof=1).tolist()
            for name in QUANTILES:
                statistics[feature][name] = np.quantile(values, int(name[1:]) / 100, axis=0).tolist()

    edit_statistics(root, changed)


def stale(root: Path) -> None:
    """Put the episodes in another order, and keep the statistics: each has those of another episode."""
    table = pq.read_table(root / EPISODES)
    names = [
        name
        for name in table.column_names
        if name.startswith("stats/observation.state/") and not name.endswith("/count")
    ]
    reversed_values = {
        (name, episode): value for name in names for episode, value in enumerate(reversed(table[name].to_pylist()))
    }
    set_values(root, EPISODES, reversed_values)


def recompute(root: Path) -> None:
    """Recompute all statistics of numbers from the rows."""
    source = Root(str(root))
    features = measured_features(json.loads((root / "meta/info.json").read_text())["features"])
    measured = all_episodes(measure(source, path, features) for path in data_files(root))
    pq.write_table(recomputed_episodes(pq.read_table(root / EPISODES), measured), root / EPISODES)
    document = recomputed_document(json.loads((root / "meta/stats.json").read_text()), measured)
    (root / "meta/stats.json").write_text(json.dumps(document))


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
    Case("a mean that is not that of the rows", AV1, "STA029", change_statistic("action", "mean", 2, 0.01),
         shows_at=ROWS, remedied=recompute),
    Case("a median that is not that of the rows", AV1, "STA029", change_statistic("action", "q50", 1, 0.2),
         shows_at=ROWS, remedied=recompute),
    Case("a deviation of an episode that is not that of its rows", AV1, "STA029",
         change_episode(3, "observation.state", "std", 5, 0.01), shows_at=ROWS, remedied=recompute),
    Case("a quantile of an episode that is not that of its rows", AV1, "STA029", change_episode(9, "action", "q50", 0, 0.9),
         shows_at=ROWS, remedied=recompute),
    Case("statistics of other episodes", AV1, "STA029", stale, shows_at=ROWS, remedied=recompute),
    Case("statistics recomputed from rows", EDITED, "", recompute),
    Case("quantiles of all rows together and deviations of a sample", AV1, "", from_all_rows),
]  # fmt: skip

"""Compute, from the rows of written data files, the statistics that version 3.0 has and version 2.x lacks.

Version 2.1 has no quantiles, and version 2.0 has no statistics of single episodes. Both are computed for numeric features. Pictures
are not decoded and get no quantiles; no policy of LeRobot normalizes pictures with quantiles.
"""

import io
import json
from typing import Any

import pyarrow.parquet as pq

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.v2.tables import EPISODES_FILE
from episeek_pipelines.statistics.aggregate import stats_entry
from episeek_pipelines.statistics.columns import columns_of
from episeek_pipelines.statistics.episodes import EpisodeStatistics
from episeek_pipelines.statistics.names import QUANTILES
from episeek_schemas import layout, lerobot


def add_row_statistics(root: Root, measured: EpisodeStatistics) -> None:
    """Complete the statistics of a written dataset: the columns of its `meta/episodes`, and `meta/stats.json`.

    A feature that already has statistics for each episode gets only quantiles. A feature without such statistics gets all of them.

    Args:
        root: The dataset, with one file of `meta/episodes`.
        measured: Statistics of every episode, in the order of `meta/episodes`.
    """
    with root.open_parquet(EPISODES_FILE) as file:
        table = file.read(use_threads=False)
        rows_per_group = file.metadata.row_group(0).num_rows if file.metadata.num_row_groups else 1
    totals: dict[str, Any] = {}
    if root.exists(layout.STATS_PATH):
        totals = lerobot.parse_document(root.read_bytes(layout.STATS_PATH))
    for feature, entry in measured.features.items():
        if len(entry["count"]) != table.num_rows:
            continue
        has_basic = lerobot.statistics_column(feature, "count") in table.column_names
        added = {name: values for name, values in entry.items() if name in QUANTILES or not has_basic}
        for name, column in columns_of({feature: added}):
            table = table.append_column(name, column)
        known = totals.get(feature)
        computed = stats_entry(entry)
        basic = known if has_basic and isinstance(known, dict) else computed
        totals[feature] = {**basic, **{name: computed[name] for name in QUANTILES}}
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="snappy", row_group_size=rows_per_group)
    root.write_bytes(EPISODES_FILE, stream.getvalue())
    root.write_bytes(layout.STATS_PATH, json.dumps(totals, indent=4, ensure_ascii=False).encode())

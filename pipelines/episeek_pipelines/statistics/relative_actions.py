"""Recognize statistics of relative actions in meta/stats.json, which cannot be compared with the rows.

LeRobot can train on relative actions, the differences of the actions from the state. It then records their statistics under
`action`, and counts them in chunks of actions instead of rows.
"""

from collections.abc import Mapping
from typing import Any

from episeek_schemas import lerobot


def may_be_relative(feature: str, statistics: Mapping[str, Any], row_count: int) -> bool:
    """Return whether the recorded statistics of a feature may describe relative actions instead of the rows.

    The result is True only for the feature `action`, and only if its recorded count is missing or is not a number of rows. A count
    is a number of rows if it equals `row_count` or the recorded count of one of LeRobot's own columns, such as `index`. The count
    of such a column may differ from `row_count`, if rows were added or removed after the statistics were recorded.

    Args:
        feature: The key of the feature.
        statistics: Parsed meta/stats.json.
        row_count: The number of rows of the dataset.
    """
    if feature != lerobot.ACTION:
        return False
    count = _count(statistics, feature)
    counts_of_rows = {float(row_count), *(_count(statistics, name) for name in lerobot.ROW_COLUMNS)}
    return count is None or count not in counts_of_rows


def _count(statistics: Mapping[str, Any], feature: str) -> float | None:
    """Return the recorded count of a feature, or None if it is not one number."""
    entry = statistics.get(feature)
    value = entry.get("count") if isinstance(entry, Mapping) else None
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return float(value) if isinstance(value, (int, float)) and abs(value) < 2**63 else None

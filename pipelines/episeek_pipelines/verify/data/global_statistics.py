"""STA029 where all rows were read: minimum and maximum in `meta/stats.json` are those of the rows."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from episeek_pipelines.verify.data.feature_ranges import dimension_text
from episeek_pipelines.verify.data.statistics_scan import differs
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.ranges import FeatureRanges
from episeek_pipelines.verify.metadata.statistics_rules import number_array
from episeek_pipelines.verify.rules import STATISTICS
from episeek_schemas import layout, lerobot
from episeek_schemas.features import declared_shape

STATISTICS_REMEDY: Final = (
    "recompute meta/stats.json from the statistics of the episodes with LeRobot's aggregate_stats, once these are those of the "
    "rows"
)


def check_global_statistics(
    ranges: FeatureRanges, features: Mapping[str, Any], statistics: Mapping[str, Any], total_frames: int
) -> Iterator[Finding]:
    """Yield STA029 for features whose extremes are not those of the rows, one finding for each feature and statistic.

    Left out are LeRobot's own columns, whose statistics merging leaves as they are, features with values that are not finite or
    with other rows than `total_frames`, and statistics of another shape, which other findings are about.

    Args:
        ranges: Of all data files.
        features: `features` of meta/info.json.
        statistics: Parsed meta/stats.json.
        total_frames: `total_frames` of meta/info.json.
    """
    for name, ranged in ranges.of.items():
        entry, spec = statistics.get(name), features.get(name)
        if name in lerobot.ROW_COLUMNS or not isinstance(entry, Mapping) or not isinstance(spec, Mapping):
            continue
        if not ranged.is_whole or ranged.row_count != total_frames or _is_relative(name, entry, total_frames):
            continue
        shape = declared_shape(spec) or (1,)
        for statistic, truth in (("min", ranged.minimum), ("max", ranged.maximum)):
            values = number_array(entry.get(statistic))
            if values is None or values.size != truth.size:
                continue
            wrong = np.flatnonzero(differs(values.ravel(), ranged.minimum, ranged.maximum, truth)).tolist()
            if wrong:
                place = f" in dimension {dimension_text(wrong[0], shape, spec)}" if shape != (1,) else ""
                yield finding(
                    STATISTICS,
                    f"{statistic} {values.flat[wrong[0]]:.6g}{place}",
                    f"{truth[wrong[0]]:.6g}, as in the rows",
                    Location(file=layout.STATS_PATH, column=name),
                    more=len(wrong) - 1,
                    remedy=STATISTICS_REMEDY,
                )


def _is_relative(name: str, entry: Mapping[str, Any], total_frames: int) -> bool:
    """Return whether the statistics may be of relative actions, which are counted by chunk."""
    count = number_array(entry.get("count"))
    return name == lerobot.ACTION and (count is None or count.size != 1 or float(count.flat[0]) != total_frames)

"""STA029: compare the statistics of each episode with its rows, and compute the statistics of all rows for `meta/stats.json`.

The statistics of `action` may describe relative actions. Differences in them are therefore not reported if an episode's recorded
`count` of `action` is not its number of rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek_pipelines.statistics.differences import differing
from episeek_pipelines.statistics.episodes import EpisodeStatistics
from episeek_pipelines.statistics.names import NAMES, FeatureStatistics
from episeek_pipelines.statistics.scan import EpisodeScan
from episeek_pipelines.statistics.values import Unusable, sample_values
from episeek_pipelines.verify.data.feature_ranges import dimension_text
from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.episode_statistics import RecordedStatistics, compared_features
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.totals import FeatureTotal, FeatureTotals
from episeek_pipelines.verify.rules import STATISTICS
from episeek_schemas import layout, lerobot
from episeek_schemas.features import declared_shape

EPISODE_REMEDY: Final = (
    "run `episeek repair SRC DST`: it recomputes the statistics of the episodes and of the dataset from the rows, unless the rows "
    "may be damaged, and keeps the statistics of pictures"
)


@dataclass(slots=True)
class _Difference:
    """The first statistic of a feature that differs from the rows, and the number of episodes with such a difference."""

    statistic: str
    episode: int
    dimension: int
    found: float
    expected: float
    others: tuple[str, ...]
    """Names of further statistics of the same episode that differ."""
    episode_count: int = 1


@dataclass(slots=True)
class StatisticsScan:
    """Compares the rows of one data file, batch by batch, with the statistics that are recorded for its episodes.

    Args:
        features: `features` of meta/info.json.
        columns_present: Names of the columns of the file.
        episode_index: The episodes of the file, sorted; shape [episodes].
        length: The lengths of these episodes. Episodes with another number of rows are not compared, since ROW015 reports them.
        recorded: The recorded statistics of these episodes by feature, in the same order.
        quantiles: Quantiles of meta/stats.json by feature, shape [quantiles, dimensions].
    """

    features: Mapping[str, Any]
    columns_present: tuple[str, ...]
    episode_index: Int64Array
    length: Int64Array
    recorded: Mapping[str, RecordedStatistics]
    quantiles: Mapping[str, Float64Array]
    _measured: dict[str, int] = field(init=False)
    _scan: EpisodeScan = field(init=False)
    _parts: list[EpisodeStatistics] = field(default_factory=list)
    _differences: dict[str, _Difference] = field(default_factory=dict)
    _relative: set[str] = field(default_factory=set)
    _below: dict[str, Int64Array] = field(default_factory=dict)
    _until: dict[str, Int64Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        widths = compared_features(self.features)
        self._measured = {name: width for name, width in widths.items() if self.columns_present.count(name) == 1}
        self._scan = EpisodeScan(tuple(self._measured))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that `add` scans."""
        return (lerobot.EPISODE_INDEX, *self._measured)

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Scan the next rows."""
        if not len(batch):
            return
        for name, limits in self.quantiles.items():
            if name in self._measured:
                self._count(name, sample_values(batch.column(name)), limits)
        for part in self._scan.add(batch):
            self._take(part)

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each feature, at the first episode whose statistics differ.

        `Finding.more` counts further episodes.
        """
        for part in self._scan.finish():
            self._take(part)
        for name, odd in self._differences.items():
            if name in self._relative:
                continue
            shape = declared_shape(self.features[name]) or (1,)
            is_vector = shape != (1,) and odd.statistic != "count"
            place = f" in dimension {dimension_text(odd.dimension, shape, self.features[name])}" if is_vector else ""
            others = f" (also {', '.join(odd.others)})" if odd.others else ""
            if odd.statistic == "count":
                found, expected = f"count {odd.found:g}", f"{odd.expected:g}, the rows of the episode"
            else:
                found, expected = f"{odd.statistic} {odd.found:.6g}{place}", f"{odd.expected:.6g}, as in the rows"
            where = Location(layout.EPISODES_DIR, odd.episode, column=lerobot.statistics_column(name, odd.statistic))
            more = odd.episode_count - 1
            yield finding(STATISTICS, found + others, expected, where, more=more, remedy=EPISODE_REMEDY)

    def totals(self) -> tuple[FeatureTotals, ...]:
        """Return a tuple with one `FeatureTotals` for all rows together; the tuple is empty for a file without rows.

        Call `findings` first.
        """
        whole = EpisodeStatistics.joined(self._parts)
        if not len(whole.episode_index):
            return ()
        nothing = np.zeros((0, 0), np.int64)
        totals = {
            name: FeatureTotal.of_episodes(entry, self._below.get(name, nothing), self._until.get(name, nothing))
            for name, entry in whole.features.items()
            if entry["min"].shape[1] == self._measured[name]
        }
        return (FeatureTotals(totals),)

    def _take(self, part: EpisodeStatistics) -> None:
        self._parts.append(part)
        if not len(self.episode_index):
            return
        places = np.minimum(np.searchsorted(self.episode_index, part.episode_index), len(self.episode_index) - 1)
        is_whole = (self.episode_index[places] == part.episode_index) & (self.length[places] == part.row_count)
        runs, rows = np.flatnonzero(is_whole), places[is_whole]
        if not len(runs):
            return
        for name, held in self.recorded.items():
            if name == lerobot.ACTION and bool((held.count[rows] != part.row_count[runs]).any()):
                self._relative.add(name)
            if name in part.features and part.features[name]["min"].shape[1] == self._measured[name]:
                self._compare(name, held, {each: values[runs] for each, values in part.features[name].items()}, rows)

    def _compare(self, name: str, held: RecordedStatistics, truth: FeatureStatistics, rows: Int64Array) -> None:
        counts = truth["count"][:, 0].astype(np.float64)
        spec = self.features[name]
        odd = {
            statistic: differing(statistic, held.values[statistic][rows], truth, counts, spec)
            for statistic in ("count", *NAMES)
            if statistic in held.values
        }
        is_odd = np.any([each.any(axis=1) for each in odd.values()], axis=0)
        odd_rows = np.flatnonzero(is_odd)
        if not len(odd_rows):
            return
        noted = self._differences.get(name)
        if noted is not None:
            noted.episode_count += len(odd_rows)
            return
        first = int(odd_rows[0])
        names = [statistic for statistic, each in odd.items() if each[first].any()]
        dimension = int(np.argmax(odd[names[0]][first]))
        self._differences[name] = _Difference(
            names[0],
            int(self.episode_index[rows[first]]),
            dimension,
            float(held.values[names[0]][rows[first], dimension]),
            float(truth[names[0]][first, dimension]),
            tuple(names[1:]),
            len(odd_rows),
        )

    def _count(self, name: str, numbers: npt.NDArray[Any] | Unusable, limits: Float64Array) -> None:
        """Count, for each quantile in `limits`, the rows below it and the rows not above it.

        A value that differs from the quantile by no more than rounding counts as equal.
        """
        if isinstance(numbers, Unusable) or numbers.shape[1:] != (1, limits.shape[1]):
            return
        columns = np.ascontiguousarray(numbers[:, 0, :].T)
        below, until = (self._at(kept, name, limits.shape) for kept in (self._below, self._until))
        slack = 1e-6 * np.abs(limits) + 1e-9
        # NumPy compares plain floats in the type of the column, so the limits are not arrays.
        lower, upper = (limits - slack).tolist(), (limits + slack).tolist()
        with np.errstate(over="ignore"):
            for number, dimension in np.ndindex(limits.shape):
                column = columns[dimension]
                below[number, dimension] += np.count_nonzero(column < lower[number][dimension])
                until[number, dimension] += np.count_nonzero(column <= upper[number][dimension])

    @staticmethod
    def _at(kept: dict[str, Int64Array], name: str, shape: tuple[int, ...]) -> Int64Array:
        return kept.setdefault(name, np.zeros(shape, np.int64))

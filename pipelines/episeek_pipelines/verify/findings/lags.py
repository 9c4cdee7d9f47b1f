"""The lag between the action and the state of a robot in each episode, as a number of rows."""

from dataclasses import dataclass

from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.charts import RowChart


@dataclass(frozen=True, slots=True, eq=False)
class Lags:
    """The lags in a data file, for the episodes in which action and state make the same movements. Arrays have shape [episodes]."""

    episode_index: Int64Array
    row_count: Int64Array
    """Number of rows by which the state lags behind the action; negative if the action lags behind the state."""

    late: RowChart | None = None
    """Some rows of the first episode whose action lags behind the state; None if there is no such episode."""

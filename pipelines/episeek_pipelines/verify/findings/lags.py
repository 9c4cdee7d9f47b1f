"""The numbers of rows by which the state of a robot lags behind its action, or the action behind the state, by episode."""

from dataclasses import dataclass

from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.charts import RowChart


@dataclass(frozen=True, slots=True, eq=False)
class Lags:
    """The lags of the episodes of a data file in which action and state move alike. Arrays have shape [episodes]."""

    episode_index: Int64Array
    row_count: Int64Array
    """Number of rows by which the state lags behind the action; negative where the action lags behind the state."""

    late: RowChart | None = None
    """Some rows of the first episode whose action lags behind the state; None where there is none."""

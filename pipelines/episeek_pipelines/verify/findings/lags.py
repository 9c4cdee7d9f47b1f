"""Lags between the action and the state."""

from dataclasses import dataclass

from episeek_pipelines.verify.findings.arrays import Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class Lags:
    """Lags of the episodes of a data file in which one follows the other; arrays have shape [episodes]."""

    episode_index: Int64Array
    row_count: Int64Array
    """Rows by which the state follows the action; negative where the action follows the state."""

"""TSK014: check that each `subtask_index` in data files is the number of a row of `meta/subtasks.parquet`.

LeRobot looks the text up by position, `subtasks.iloc[subtask_index].name`: -1 gives the last subtask, and a number beyond the table
raises an error.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from episeek_pipelines.parquet.numpy_values import is_valid
from episeek_pipelines.verify.data.row_scan import integers
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import TASKS
from episeek_schemas import layout, lerobot

SUBTASK_REMEDY: Final = (
    "give each of these data rows the number of a row of meta/subtasks.parquet. For data rows without a subtask, add a row such as "
    "'none' to meta/subtasks.parquet and use its number: LeRobot reads -1 as the last subtask"
)


class SubtaskScan:
    """Scans the column `subtask_index` of one data file, batch by batch.

    Args:
        path: The data file.
        subtask_count: The number of rows of meta/subtasks.parquet.
    """

    columns: Final = (lerobot.EPISODE_INDEX, lerobot.SUBTASK_INDEX)

    def __init__(self, path: str, subtask_count: int) -> None:
        self._path = path
        self._subtask_count = subtask_count
        self._first: dict[str, tuple[int, int, str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Scan the next rows, which begin at row `first_row` of the file."""
        episode, column = (batch.column(name) for name in self.columns)
        is_null = ~is_valid(column)
        number = integers(column)
        kinds = {
            "null": is_null,
            "negative": ~is_null & (number < 0),
            "beyond": ~is_null & (number >= self._subtask_count),
        }
        for kind, is_wrong in kinds.items():
            rows = np.flatnonzero(is_wrong)
            if len(rows):
                row = int(rows[0])
                text = "null" if kind == "null" else str(int(number[row]))
                self._first.setdefault(kind, (first_row + row, int(integers(episode)[row]), text))
                self._counts[kind] = self._counts.get(kind, 0) + len(rows)

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each kind of defect, at its first row."""
        for kind, (row, episode, text) in sorted(self._first.items(), key=lambda item: item[1]):
            yield finding(
                TASKS,
                f"{lerobot.SUBTASK_INDEX} {text}",
                f"the number of a row of {layout.SUBTASKS_PATH}, 0 to {self._subtask_count - 1}",
                Location(self._path, episode, row=row, column=lerobot.SUBTASK_INDEX),
                more=self._counts[kind] - 1,
                remedy=SUBTASK_REMEDY,
            )

"""EPI011: check, with a pandera model, the columns of meta/episodes that locate episodes."""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import EPISODE_VALUES
from episeek_schemas import lerobot
from episeek_schemas.checks import check_table
from episeek_schemas.lerobot import DatasetInfo

RENAMED_REMEDY: Final = (
    "EPI013 reports columns of a camera that `features` does not list. Decide whether it is the same camera under another "
    "name: if so, rename these columns or the feature; if not, restore the missing columns from a copy. Do not drop the "
    "columns that EPI013 reports: only they say where the frames are"
)

DOUBLED_REMEDY: Final = "compare the two columns, and remove the wrong one from the file"


def check_columns(
    table: pa.Table,
    info: DatasetInfo,
    path: str,
    first_row: int,
    *,
    has_other_cameras: bool = False,
    doubled: frozenset[str] = frozenset(),
) -> Iterator[Finding]:
    """Yield EPI011 for a block of rows of one file. Problems of whole columns are reported with the first block.

    Args:
        table: The rows, with only the columns that locate episodes.
        info: Parsed meta/info.json, for the cameras.
        path: The file.
        first_row: Number of the table's first row in the file.
        has_other_cameras: Whether the file has columns of cameras that `features` does not declare.
        doubled: Columns that the file has twice. The table lacks them, which is not reported.
    """
    for problem in check_table(table, "meta/episodes", video_keys=info.video_keys, path=path, first_row=first_row):
        if problem.row is None and (first_row or problem.column in doubled):
            continue
        episode = _episode_of(table, None if problem.row is None else problem.row - first_row)
        where = Location(path, episode, lerobot.camera_of_column(problem.column), problem.row, problem.column)
        is_renamed = has_other_cameras and problem.row is None and where.camera is not None
        remedy = RENAMED_REMEDY if is_renamed else ""
        yield finding(EPISODE_VALUES, problem.found, problem.expected, where, more=problem.more, remedy=remedy)


def _episode_of(table: pa.Table, row: int | None) -> int | None:
    if row is None or lerobot.EPISODE_INDEX not in table.column_names:
        return None
    value = table[lerobot.EPISODE_INDEX][row].as_py()
    return value if isinstance(value, int) else None

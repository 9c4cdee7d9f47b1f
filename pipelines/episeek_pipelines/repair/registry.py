"""The table of all repairs, with the code, title and proof of each repair and the `verify` rules whose findings it removes."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

REPAIR_VERSION: Final = 7
"""Version of the repairs. Increase it when a repair changes, so that datasets that an older version repaired are repaired again."""


@dataclass(frozen=True, slots=True)
class RepairRule:
    """One kind of repair, as an entry of `REPAIRS`."""

    code: str
    title: str
    """The values that the repair corrects, as a noun phrase."""
    proof: str
    """The evidence that proves the correction, as a clause."""
    answers: tuple[str, ...]
    """Codes of the rules of `verify` whose findings the repair removes."""
    needs: tuple[str, ...] = ()
    """Codes of the repairs on which the new values build. If one of them is left out where it concerns the same values, this repair
    is refused."""


_registered: dict[str, RepairRule] = {}

REPAIRS: Final[Mapping[str, RepairRule]] = MappingProxyType(_registered)
"""All repairs by code, in the order of the table in docs/repair.md."""


def _repair(code: str, title: str, proof: str, *answers: str, needs: tuple[str, ...] = ()) -> RepairRule:
    if code in _registered:
        raise ValueError(f"repair code {code} is already in use")
    _registered[code] = RepairRule(code, title, proof, answers, needs)
    return _registered[code]


TEMPLATES: Final = _repair(
    "REP001", "path templates with the backslashes of Windows",
    "files exist at the paths that the templates give with / in place of each backslash",
    "INF001",
)  # fmt: skip
RECOVERED: Final = _repair(
    "REP002", "data files and files of meta/episodes without a footer",
    "every page of the complete row groups can be read, and the numbers in their rows are consecutive; lost bytes are "
    "reported",
    "ROW005", "EPI005",
)  # fmt: skip
COLUMN_TYPES: Final = _repair(
    "REP003", "columns that do not have the types that `features` declares",
    "every value is bit for bit the same after a cast to the declared type and back",
    "INF003", "INF003W", needs=("REP002", "REP005"),
)  # fmt: skip
SCHEMA_METADATA: Final = _repair(
    "REP004", "the `huggingface` metadata of data files",
    "the types of the file's own columns determine the metadata that `datasets` writes",
    "INF003W", needs=("REP002", "REP003"),
)  # fmt: skip
EPISODE_ORDER: Final = _repair(
    "REP005", "the order of the rows of meta/episodes",
    "each episode number from 0 to N-1 occurs once, and no row has the range of another episode; if one number is missing and one "
    "row has none, that row has the length and the range of the data rows of the missing number",
    "EPI008", "EPI011", needs=("REP002",),
)  # fmt: skip
ROW_EPISODES: Final = _repair(
    "REP006", "the episode_index of single rows",
    "frame_index continues from the rows of one episode through these rows, and only with them does the episode have its declared "
    "length",
    "ROW015", needs=("REP002", "REP003"),
)  # fmt: skip
DATA_POINTERS: Final = _repair(
    "REP007", "data/chunk_index and data/file_index of episodes",
    "exactly one data file contains rows of the episode, and the path of this file fits the path template; "
    "and if files are not in the order of their rows, another episode of the file declares it",
    "EPI012", "EPI011", "INF004", needs=("REP002", "REP005"),
)  # fmt: skip
LENGTHS: Final = _repair(
    "REP008", "the length of episodes",
    "the rows of the episode are consecutive and in order, and more of the evidence (the rows, length, dataset_from_index and "
    "dataset_to_index, the count of the statistics, the `index` of the next episode) agrees with their number than with any other "
    "number",
    "ROW015", "EPI010", "EPI011", needs=("REP002", "REP005", "REP006"),
)  # fmt: skip
ROW_RANGES: Final = _repair(
    "REP009", "dataset_from_index and dataset_to_index",
    "the number of rows of every episode is proved, and each range begins where the previous range ends",
    "EPI010", "EPI011", needs=("REP002", "REP005", "REP006"),
)  # fmt: skip
ROW_NUMBERS: Final = _repair(
    "REP010", "index and frame_index of rows",
    "the number of rows of the episode is proved, another column (frame_index, index or timestamp) shows their order, and the "
    "wrong numbers cannot be those of other rows (for datasets with pictures in the rows: numbers that rise from row to row "
    "are enough)",
    "ROW016", needs=("REP002", "REP003", "REP006"),
)  # fmt: skip
TIMESTAMPS: Final = _repair(
    "REP011", "the timestamp of single rows",
    "frame_index or index counts up through all rows of the episode, at least nine of ten rows (or all but one) have the "
    "timestamp frame_index / fps, and the other timestamps cannot be the times of other frames",
    "ROW017", needs=("REP002", "REP003", "REP006"),
)  # fmt: skip
TASK_TABLE: Final = _repair(
    "REP012", "the index, the order and the texts of meta/tasks.parquet",
    "rows and episodes agree on one text for each task_index, no text of the table is left over, total_tasks is not greater, and "
    "LeRobot reads the texts from the pandas index of the table",
    "TSK014",
)  # fmt: skip
ROW_TASKS: Final = _repair(
    "REP013", "the task_index of single rows",
    "no task has this task_index, and all other rows of the episode have the task_index of the episode's only task, which was the "
    "only one when the statistics of the episode were recorded",
    "TSK014", needs=("REP002", "REP003", "REP012"),
)  # fmt: skip
EPISODE_TASKS: Final = _repair(
    "REP014", "the tasks of episodes in meta/episodes",
    "the rows have the task_index of other tasks, and already had it when the statistics of the episode were recorded",
    "TSK014", needs=("REP002", "REP005", "REP012"),
)  # fmt: skip
TOTALS: Final = _repair(
    "REP015", "the totals of meta/info.json",
    "the data files and meta/episodes agree on the right totals, and the recorded totals are no evidence of lost episodes",
    "INF009", "TSK014", needs=("REP002", "REP012"),
)  # fmt: skip
SPLITS: Final = _repair(
    "REP016", "splits that reach beyond the episodes",
    "the split begins at an existing episode, no episode is missing, and no other split has an episode from there on, so that the "
    "split ends with the last episode",
    "INF009W", needs=("REP002",),
)  # fmt: skip
LOST_EPISODES: Final = _repair(
    "REP022", "episodes whose rows are lost (only on request: they are left out, and the remaining episodes are renumbered)",
    "no readable data file contains a row of the episode, or its data file was cut off within it, and all values of meta/episodes "
    "agree on the number of rows that it had; or the last file of meta/episodes was cut off before the episode",
    "ROW015", needs=("REP002", "REP003", "REP005", "REP006"),
)  # fmt: skip
VIDEO_INFO: Final = _repair(
    "REP017", "`info` and `video_info` of cameras",
    "the headers of all files of the camera agree with each other and with the shape of the feature",
    "VID026", "INF002",
)  # fmt: skip
VIDEO_POINTERS: Final = _repair(
    "REP021", "chunk_index and file_index of videos",
    "the episode declares no file, and the file of the episode before or after has exactly as many frames of no episode as "
    "this episode needs, where the order of the files or the episode's seconds leave no other place; or the episode declares "
    "a missing file that has no place in the order of the files, and the file of the episode before or after has exactly "
    "these frames, at the episode's seconds and after other episodes; or other episodes have all frames of the declared file, "
    "and a file from that of the episode before to that of the episode after has exactly these frames, at the episode's "
    "seconds; and the files of the other episodes are in the order of the episodes; and no other file of the camera has "
    "enough frames of no episode",
    "EPI011", "INF004", "VID024", needs=("REP002", "REP005"),
)  # fmt: skip
SECONDS: Final = _repair(
    "REP018", "from_timestamp and to_timestamp of episodes",
    "the lengths of all episodes of the file are proved, and only one range of frames agrees with the frames of the file, these "
    "lengths, the encoded streams and the seconds of the neighbouring episodes, it is not next to frames of no episode, no "
    "other reading of the seconds contradicts as few of the recorded values, and no other file of the camera has frames of no "
    "episode at the declared seconds; several episodes without seconds have different lengths, and their streams or neighbours "
    "leave one order",
    "VID024", "VID024W", "EPI011", needs=("REP002", "REP005", "REP021"),
)  # fmt: skip
EPISODE_STATISTICS: Final = _repair(
    "REP019", "statistics of episodes",
    "the recorded statistics differ from the episode's rows by more than rounding, and meta/stats.json agrees with the rows, or "
    "the recorded count is not the number of rows",
    "STA029", needs=("REP002", "REP005", "REP006"),
)  # fmt: skip
STATISTICS: Final = _repair(
    "REP020", "meta/stats.json",
    "statistics of numbers are missing, or differ from the rows while the statistics of the episodes agree with them; "
    "statistics of pictures are missing and follow from the statistics of the episodes",
    "STA029", needs=("REP002", "REP006", "REP010", "REP011", "REP013"),
)  # fmt: skip
PICTURES: Final = _repair(
    "REP023", "statistics of pictures, for each episode and for the dataset (only on request)",
    "the pictures that LeRobot would sample are decoded, and their statistics are computed",
    "STA029", needs=("REP002", "REP005", "REP006", "REP008", "REP018", "REP021"),
)  # fmt: skip

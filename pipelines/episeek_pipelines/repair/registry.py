"""The table of all repairs: code, title, proof in words, and the rules of `verify` whose findings they answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

REPAIR_VERSION: Final = 1
"""Version of the repairs. Increase it when they change: a dataset that was repaired by another version is repaired anew."""


@dataclass(frozen=True, slots=True)
class RepairRule:
    """A kind of repair."""

    code: str
    title: str
    """A noun phrase for what the repair corrects."""
    proof: str
    """The evidence that proves the correction, as a clause."""
    answers: tuple[str, ...]
    """Codes of the rules of `verify` whose findings the repair removes."""


_registered: dict[str, RepairRule] = {}

REPAIRS: Final[Mapping[str, RepairRule]] = MappingProxyType(_registered)
"""All repairs by code, in the order in which they are applied."""


def _repair(code: str, title: str, proof: str, *answers: str) -> RepairRule:
    if code in _registered:
        raise ValueError(f"code {code} is taken")
    _registered[code] = RepairRule(code, title, proof, answers)
    return _registered[code]


TEMPLATES: Final = _repair(
    "REP001", "path templates with / in place of the backslashes of Windows",
    "files exist at the paths that the templates give with /",
    "INF001",
)  # fmt: skip
RECOVERED: Final = _repair(
    "REP002", "data files and files of meta/episodes without a footer",
    "every page of the complete row groups can be read, and the numbers in their rows count the rows; lost bytes are "
    "reported",
    "ROW005", "EPI005",
)  # fmt: skip
COLUMN_TYPES: Final = _repair(
    "REP003", "columns of data files in the types that `features` declares",
    "every value survives exactly: cast to the declared type and back, it is the same bit for bit",
    "INF003", "INF003W",
)  # fmt: skip
SCHEMA_METADATA: Final = _repair(
    "REP004", "the `huggingface` metadata of data files",
    "the types of the file's own columns determine it, as `datasets` writes it",
    "INF003W",
)  # fmt: skip
EPISODE_ORDER: Final = _repair(
    "REP005", "the rows of meta/episodes in the order of the episodes",
    "each episode number from 0 to N-1 occurs once; if one number is missing and one row has none, that row has the missing number",
    "EPI008", "EPI011",
)  # fmt: skip
ROW_EPISODES: Final = _repair(
    "REP006", "the episode_index of single rows",
    "frame_index continues from the rows of one episode through these rows, and only with them the episode has its declared length",
    "ROW015",
)  # fmt: skip
DATA_POINTERS: Final = _repair(
    "REP007", "data/chunk_index and data/file_index of episodes",
    "exactly one data file holds rows of the episode, all of them consecutive, and the path template can give its path",
    "EPI012", "EPI011", "INF004",
)  # fmt: skip
LENGTHS: Final = _repair(
    "REP008", "the length of episodes",
    "the rows of the episode are consecutive and in order, and of the other evidence (dataset_from_index and dataset_to_index, the "
    "count of the statistics, the `index` of the next episode) more agrees with their number than with any other",
    "ROW015", "EPI010", "EPI011",
)  # fmt: skip
ROW_RANGES: Final = _repair(
    "REP009", "dataset_from_index and dataset_to_index",
    "the number of rows of every episode is proved, so that each range begins where the one before it ends",
    "EPI010", "EPI011",
)  # fmt: skip
ROW_NUMBERS: Final = _repair(
    "REP010", "index and frame_index of rows",
    "the number of rows of the episode is proved, and another column (frame_index, index or timestamp) shows their order",
    "ROW016",
)  # fmt: skip
TIMESTAMPS: Final = _repair(
    "REP011", "the timestamp of single rows",
    "frame_index counts through the row, and at least nine of ten rows of the episode have exactly the timestamp frame_index / fps",
    "ROW017",
)  # fmt: skip
TASK_TABLE: Final = _repair(
    "REP012", "meta/tasks.parquet: its index, its order and its texts",
    "rows and episodes agree on one text for each number, and LeRobot takes the text from the index of the table",
    "TSK014",
)  # fmt: skip
ROW_TASKS: Final = _repair(
    "REP013", "the task_index of single rows",
    "no task has the number, and all other rows of the episode have the number of the episode's only task",
    "TSK014",
)  # fmt: skip
EPISODE_TASKS: Final = _repair(
    "REP014", "the tasks of episodes in meta/episodes",
    "the rows have the numbers of other tasks, and already had them when the statistics of the episode were recorded",
    "TSK014",
)  # fmt: skip
TOTALS: Final = _repair(
    "REP015", "the totals of meta/info.json",
    "the data files and meta/episodes agree on the right totals, and the recorded totals do not agree on lost episodes",
    "INF009", "TSK014",
)  # fmt: skip
SPLITS: Final = _repair(
    "REP016", "splits that reach beyond the episodes",
    "the split begins within the existing episodes, none of which is missing: it ends with the last one",
    "INF009W",
)  # fmt: skip
LOST_EPISODES: Final = _repair(
    "REP022", "episodes whose rows are lost, on request: they are left out, and the remaining episodes are renumbered",
    "no readable data file holds a row of the episode, or a file that was cut off ends within it, and all values of meta/episodes "
    "agree on the number of rows that it had; or the last file of meta/episodes was cut off before the episode",
    "ROW015",
)  # fmt: skip
VIDEO_INFO: Final = _repair(
    "REP017", "`info` and `video_info` of cameras",
    "the headers of all files of the camera agree with each other and with the shape of the feature",
    "VID026", "INF002",
)  # fmt: skip
VIDEO_POINTERS: Final = _repair(
    "REP021", "chunk_index and file_index of videos",
    "of the files that hold the episodes before and after, exactly one has the missing frames",
    "EPI011", "INF004",
)  # fmt: skip
SECONDS: Final = _repair(
    "REP018", "from_timestamp and to_timestamp of episodes",
    "the file's frames, the lengths of its episodes, encoded streams and the seconds of neighbours leave one possible place",
    "VID024", "VID024W", "EPI011",
)  # fmt: skip
EPISODE_STATISTICS: Final = _repair(
    "REP019", "statistics of episodes",
    "they differ from the episode's rows by more than rounding; they are recomputed from the rows",
    "STA029",
)  # fmt: skip
STATISTICS: Final = _repair(
    "REP020", "meta/stats.json",
    "statistics of numbers differ from the rows or are missing; statistics of pictures follow from those of the episodes",
    "STA029",
)  # fmt: skip
PICTURES: Final = _repair(
    "REP023", "statistics of pictures, of episodes and of the dataset, on request",
    "they are recomputed from the pictures that LeRobot would sample, which are decoded",
    "STA029",
)  # fmt: skip

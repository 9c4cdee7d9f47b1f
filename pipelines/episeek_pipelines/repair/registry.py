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
    "files of the dataset have the paths that the templates give with /",
    "INF001",
)  # fmt: skip
RECOVERED: Final = _repair(
    "REP002", "data files without a footer",
    "every page of the complete row groups is read, and frame_index and index count through their rows; what was cut off is said",
    "ROW005",
)  # fmt: skip
COLUMN_TYPES: Final = _repair(
    "REP003", "columns of data files in the types that `features` declares",
    "every value is kept exactly: cast to the declared type and back, it is the same bit for bit",
    "INF003", "INF003W",
)  # fmt: skip
SCHEMA_METADATA: Final = _repair(
    "REP004", "the `huggingface` metadata of data files",
    "it follows from the types of the file's own columns, as `datasets` writes it",
    "INF003W",
)  # fmt: skip
EPISODE_ORDER: Final = _repair(
    "REP005", "the rows of meta/episodes in the order of the episodes",
    "each number from 0 to N-1 is there once; a single missing number is that of a row without one",
    "EPI008", "EPI011",
)  # fmt: skip
ROW_EPISODES: Final = _repair(
    "REP006", "the episode_index of single rows",
    "frame_index counts on through them from the rows of one episode, which has its length with them and not without them",
    "ROW015",
)  # fmt: skip
DATA_POINTERS: Final = _repair(
    "REP007", "data/chunk_index and data/file_index of episodes",
    "one data file alone holds rows of the episode, in one run, and the template gives its path",
    "EPI012", "EPI011", "INF004",
)  # fmt: skip
LENGTHS: Final = _repair(
    "REP008", "the length of episodes",
    "the rows of the episode lie in one run in their order, and more of the other witnesses of their number (dataset_from_index "
    "and dataset_to_index, the count of the statistics, the `index` of the next episode) agree with them than with another number",
    "ROW015", "EPI010", "EPI011",
)  # fmt: skip
ROW_RANGES: Final = _repair(
    "REP009", "dataset_from_index and dataset_to_index",
    "the number of rows of every episode is proved, so that the ranges follow one another",
    "EPI010", "EPI011",
)  # fmt: skip
ROW_NUMBERS: Final = _repair(
    "REP010", "index and frame_index of rows",
    "the number of rows of the episode is proved, and another of frame_index, index and timestamp shows their order",
    "ROW016",
)  # fmt: skip
TIMESTAMPS: Final = _repair(
    "REP011", "the timestamp of single rows",
    "frame_index counts through the row, and nine of ten rows of the episode are at frame_index / fps exactly",
    "ROW017",
)  # fmt: skip
TASK_TABLE: Final = _repair(
    "REP012", "meta/tasks.parquet: its index, its order and its texts",
    "rows and episodes name the same text for each number, and LeRobot takes the index of the table for the text",
    "TSK014",
)  # fmt: skip
ROW_TASKS: Final = _repair(
    "REP013", "the task_index of single rows",
    "the number is that of no task, and all other rows of the episode have the number of its one task",
    "TSK014",
)  # fmt: skip
EPISODE_TASKS: Final = _repair(
    "REP014", "the tasks of episodes in meta/episodes",
    "the rows have the numbers of other tasks, and so had they when the statistics of the episode were recorded",
    "TSK014",
)  # fmt: skip
TOTALS: Final = _repair(
    "REP015", "the totals of meta/info.json",
    "they count what the data files and meta/episodes hold, and not two of them speak of episodes that are lost",
    "INF009", "TSK014",
)  # fmt: skip
SPLITS: Final = _repair(
    "REP016", "splits that reach beyond the episodes",
    "the split begins within the episodes, all of which are there: those that exist are the split",
    "INF009W",
)  # fmt: skip
LOST_EPISODES: Final = _repair(
    "REP022", "episodes whose rows are lost: they are left out, and the others are numbered anew, on request",
    "no data file that can be read holds a row of the episode, or one that was cut off ends within it, and all values of "
    "meta/episodes that tell how many rows it had agree",
    "ROW015",
)  # fmt: skip
VIDEO_INFO: Final = _repair(
    "REP017", "`info` and `video_info` of cameras",
    "the headers of all files of the camera say the same, and the shape of the feature agrees with them",
    "VID026", "INF002",
)  # fmt: skip
VIDEO_POINTERS: Final = _repair(
    "REP021", "chunk_index and file_index of videos",
    "the episodes before and after are in one file of the camera, or in two, of which one alone has exactly the missing frames",
    "EPI011", "INF004",
)  # fmt: skip
SECONDS: Final = _repair(
    "REP018", "from_timestamp and to_timestamp of episodes",
    "the frames of the file, the lengths of its episodes, where streams begin and the seconds of neighbours leave one place for it",
    "VID024", "VID024W", "EPI011",
)  # fmt: skip
EPISODE_STATISTICS: Final = _repair(
    "REP019", "statistics of episodes",
    "they are not those of the episode's rows, beyond what rounding explains; they are recomputed from the rows",
    "STA029",
)  # fmt: skip
STATISTICS: Final = _repair(
    "REP020", "meta/stats.json",
    "statistics of numbers are not those of the rows, or are missing; those of pictures follow from the episodes' own",
    "STA029",
)  # fmt: skip
PICTURES: Final = _repair(
    "REP023", "statistics of pictures, of episodes and of the dataset: they are recomputed, on request",
    "the pictures that LeRobot would sample are decoded",
    "STA029",
)  # fmt: skip

"""Every rule of `episeek verify`: a stable code, what it protects, and one line on what to do.

A code is the family of the file concerned (INF `meta/info.json` and the files it implies, EPI `meta/episodes`, ROW data
files, VID videos, IDX sidecars, VER the verification itself) and the number of the invariant. Numbers are unique over
all families, so that an invariant keeps its number wherever it is checked. Where one invariant is broken in a harmless
way, too, a second rule has the same number with the suffix `W`: a warning. Codes never change their meaning; a rule
that goes away leaves its number unused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One invariant: its code, a short name, how bad a violation is, what it protects, and the remedy."""

    code: str
    name: str
    severity: Severity
    protects: str
    remedy: str


_registered: dict[str, Rule] = {}


def _rule(code: str, name: str, severity: Severity, protects: str, remedy: str) -> Rule:
    if code in _registered:
        raise ValueError(f"code {code} is taken")
    _registered[code] = Rule(code, name, severity, protects, remedy)
    return _registered[code]


# --- the verification itself -----------------------------------------------------------------------------------------------------

CRASHED: Final = _rule(
    "VER000", "a check could not be completed", "error",
    "that no finding is no proof only when everything was looked at",
    "report it with the message: the input is unusual, or this is a defect of episeek",
)  # fmt: skip
UNREADABLE: Final = _rule(
    "VER001", "a file could not be read", "error",
    "that every file was looked at",
    "check permissions and the store, then verify again",
)  # fmt: skip

# --- meta/info.json and the files it implies -------------------------------------------------------------------------------------

FPS: Final = _rule(
    "INF002", "fps is a whole number and the rate of every video", "error",
    "frame k of an episode is at k/fps seconds, in the rows and in the videos",
    "set fps in meta/info.json to the recorded rate, or re-encode the videos at fps",
)  # fmt: skip
COLUMNS: Final = _rule(
    "INF003", "data files have the columns of `features`, and LeRobot's own", "error",
    "readers that look columns up by the names in meta/info.json",
    "write the data files with every non-video feature and episode_index, frame_index, index, timestamp, task_index",
)  # fmt: skip
MISSING_FILE: Final = _rule(
    "INF004", "every file that the metadata names exists and is not empty", "error",
    "training jobs from failing when they reach the episode",
    "restore the file (it may not have been uploaded), or delete its episodes with LeRobot",
)  # fmt: skip
ORPHAN_FILE: Final = _rule(
    "INF004W", "no file without an episode", "warning",
    "downloads and the dataset viewer, which include every file",
    "remove the file, or restore its episodes in meta/episodes",
)  # fmt: skip
TOTALS: Final = _rule(
    "INF009", "the totals of meta/info.json add up", "error",
    "samplers and splits, which trust the totals",
    "set total_episodes and total_frames to what meta/episodes holds",
)  # fmt: skip
INFO_CHANGED: Final = _rule(
    "INF021", "a rewrite left the other metadata alone", "error",
    "tasks, statistics and features of the source dataset",
    "prepare again into an empty directory",
)  # fmt: skip

# --- meta/episodes ---------------------------------------------------------------------------------------------------------------

EPISODES_FOOTER: Final = _rule(
    "EPI005", "every file of meta/episodes is readable Parquet", "error",
    "every episode listed in the file",
    "restore the file from its source: a recording that was interrupted leaves no footer",
)  # fmt: skip
EPISODE_ORDER: Final = _rule(
    "EPI008", "row i of meta/episodes is episode i", "error",
    "LeRobot looks episodes up by position",
    "sort meta/episodes by episode_index and number it 0 to N-1",
)  # fmt: skip
TILING: Final = _rule(
    "EPI010", "dataset_from_index and dataset_to_index tile the dataset", "error",
    "samplers that map a global row to its episode",
    "recompute both from the lengths, in episode order",
)  # fmt: skip
EPISODE_VALUES: Final = _rule(
    "EPI011", "every column of meta/episodes is there, without null or NaN", "error",
    "every look-up of an episode's rows and frames",
    "fill the value from the data and video files, or delete the episode with LeRobot",
)  # fmt: skip
DATA_POINTER: Final = _rule(
    "EPI012", "each episode points at the data file that holds it", "error",
    "reading an episode's rows from the file its metadata names",
    "set data/chunk_index and data/file_index to the file that holds the rows",
)  # fmt: skip
VIDEO_COLUMNS: Final = _rule(
    "EPI013", "video columns for every camera and no other", "warning",
    "tools that take the cameras from the columns",
    "drop the columns, or declare the camera in `features` with dtype video",
)  # fmt: skip
EPISODES_CHANGED: Final = _rule(
    "EPI021", "a rewrite changed nothing in meta/episodes but the data file", "error",
    "lengths, tasks, statistics and video locations of the source dataset",
    "prepare again into an empty directory",
)  # fmt: skip

# --- data files ------------------------------------------------------------------------------------------------------------------

DATA_FOOTER: Final = _rule(
    "ROW005", "every data file is readable Parquet", "error",
    "every row of the file",
    "restore the file from its source: a recording that was interrupted leaves no footer",
)  # fmt: skip
EPISODE_ROWS: Final = _rule(
    "ROW015", "an episode's rows are as many as its length, contiguous, in one file", "error",
    "reading an episode as one run of rows",
    "write the rows of each episode once, together, or correct `length`",
)  # fmt: skip
ROW_NUMBERS: Final = _rule(
    "ROW016", "index and frame_index run without a gap", "error",
    "windows over neighbouring frames and look-ups by global row",
    "renumber: frame_index from 0 in each episode, index from dataset_from_index",
)  # fmt: skip
TIMESTAMPS: Final = _rule(
    "ROW017", "timestamp is frame_index / fps within the tolerance", "error",
    "LeRobot's look-up of frames by time, tolerance 1e-4 s",
    "rewrite timestamp as frame_index / fps, or load with the tolerance named in the message",
)  # fmt: skip
ROW_GROUPS: Final = _rule(
    "ROW018", "prepared data: row group k is episode k", "error",
    "one range request for an episode's rows",
    "run `episeek prepare` or `episeek rewrite` again",
)  # fmt: skip
ROW_GROUPS_OF_INDEXED: Final = _rule(
    "ROW018W", "a dataset with sidecars has one row group per episode", "warning",
    "one range request for an episode's rows",
    "run `episeek rewrite`: the index alone makes videos seekable, not rows",
)  # fmt: skip
ROWS_CHANGED: Final = _rule(
    "ROW021", "a rewrite changed no value, type or schema metadata", "error",
    "the recorded data",
    "do not use the rewritten files: prepare again into an empty directory, and report it when it persists",
)  # fmt: skip

# --- video files -----------------------------------------------------------------------------------------------------------------

UNUSABLE_VIDEO: Final = _rule(
    "VID022", "an MP4 is complete, with one video track that can be indexed", "error",
    "every frame of the file",
    "restore the file from its source, or remux it: ffmpeg -i in.mp4 -map 0:v:0 -c copy out.mp4",
)  # fmt: skip
NOT_FASTSTART: Final = _rule(
    "VID022W", "the moov box comes before the media data", "warning",
    "players that stream a whole file; sidecars make up for it",
    "remux with: ffmpeg -i in.mp4 -c copy -movflags +faststart out.mp4, then prepare again",
)  # fmt: skip
VIDEO_SHORT: Final = _rule(
    "VID023", "an MP4 holds the frames of all its episodes", "error",
    "the last episodes of the file",
    "encode the missing frames again, or delete the episodes concerned with LeRobot",
)  # fmt: skip
VIDEO_LONG: Final = _rule(
    "VID023W", "an MP4 holds no frames without an episode", "warning",
    "downloads; and it may mean that episodes point at the wrong file",
    "nothing when frames were cut on purpose; otherwise compare the lengths with the recording",
)  # fmt: skip
FRAME_GRID: Final = _rule(
    "VID024", "[from_timestamp, to_timestamp) holds exactly the episode's frames, on the grid", "error",
    "the right pictures for an episode: one frame off is a silent mistake",
    "recompute from_timestamp and to_timestamp from the frame counts of the file's episodes",
)  # fmt: skip
DRIFT: Final = _rule(
    "VID024W", "from_timestamp is the time of the episode's first frame", "warning",
    "readers that look frames up by seconds, tolerance 1e-4 s; episeek counts frames",
    "recompute from_timestamp and to_timestamp from the frame counts of the file's episodes",
)  # fmt: skip
SYNC_START: Final = _rule(
    "VID025", "an episode starts on a sync sample", "error",
    "decoding an episode without the one before it",
    "encode the file again with a keyframe at the start of each episode",
)  # fmt: skip

# --- sidecars --------------------------------------------------------------------------------------------------------------------

INDEXED_FILES: Final = _rule(
    "IDX031", "the sidecars list every MP4 of the dataset, as it is", "error",
    "byte ranges, which are wrong for a file that changed",
    "run `episeek index` again",
)  # fmt: skip
INDEXED_SPANS: Final = _rule(
    "IDX032", "the sidecars have one span per episode and camera, inside its file, from a sync sample", "error",
    "look-ups by row number and clips that decode on their own",
    "run `episeek index` again",
)  # fmt: skip
INDEXED_SAMPLES: Final = _rule(
    "IDX033", "the sidecars' samples and keyframes are those of the video's header", "error",
    "frame mappings made from the sidecars alone: a wrong one returns other pictures silently",
    "run `episeek index` again",
)  # fmt: skip
SIDECAR_FORMAT: Final = _rule(
    "IDX034", "the sidecars have a known version, one build, the format's columns, order and layout", "error",
    "mapping the tables instead of loading them",
    "run `episeek index` again; do not edit sidecars with other tools",
)  # fmt: skip

RULES: Final[Mapping[str, Rule]] = MappingProxyType(_registered)
"""All rules by code."""

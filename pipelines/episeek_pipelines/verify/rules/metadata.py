"""Rules about `meta/` and the files that it implies, the dataset card, and what training needs of the layout."""

from typing import Final

from episeek_pipelines.verify.rules.registry import rule

# --- meta/info.json --------------------------------------------------------------------------------------------------

INFO: Final = rule(
    "INF001", "meta/info.json is that of a LeRobot v3 dataset", "error", "meta",
    protects="everything: it says what the dataset is and where its files are",
    remedy="correct what is named; convert a dataset of version 2 with LeRobot's convert_dataset_v21_to_v30",
    broke_in="most public datasets are still v2.x",
)  # fmt: skip
FPS: Final = rule(
    "INF002", "fps is a whole number and the rate of every video", "error", "meta",
    protects="frame k of an episode is at k/fps seconds, in the rows and in the videos",
    remedy="set fps in meta/info.json to the recorded rate, or re-encode the videos at fps",
    broke_in="lerobot#4025",
)  # fmt: skip
COLUMNS: Final = rule(
    "INF003", "data files have the columns of `features`, with their types, and LeRobot's own", "error", "layout",
    protects="readers that look columns up by the names in meta/info.json",
    remedy="write the data files with every non-video feature and episode_index, frame_index, index, timestamp, task_index",
)  # fmt: skip
COLUMN_STYLE: Final = rule(
    "INF003W", "vectors are fixed-size lists, and the schema keeps its `huggingface` metadata", "warning", "layout",
    protects="readers that take shapes and types from the Parquet schema",
    remedy="write the data files again with `datasets.Features` of the dataset",
    broke_in="what LeRobot's aggregate_datasets writes",
)  # fmt: skip
MISSING_FILE: Final = rule(
    "INF004", "every file that the metadata names exists and is not empty", "error", "meta",
    protects="training jobs from failing when they reach the episode",
    remedy="restore the file (it may not have been uploaded), or delete its episodes with LeRobot",
    broke_in="lerobot#2861",
)  # fmt: skip
ORPHAN_FILE: Final = rule(
    "INF004W", "no file without an episode", "warning", "meta",
    protects="downloads and the dataset viewer, which include every file",
    remedy="remove the file, or restore its episodes in meta/episodes",
    broke_in="droid_1.0.1: 44 % of its rows are in no episode",
)  # fmt: skip
FOLDER_LIMITS: Final = rule(
    "INF006", "folders and the dataset hold no more files than the Hub and chunks_size allow", "warning", "meta",
    protects="uploads: the Hub takes 10,000 entries a folder and 100,000 files a repository",
    remedy="use chunks_size 1000, and larger files",
)  # fmt: skip
TOTALS: Final = rule(
    "INF009", "the totals of meta/info.json add up", "error", "meta",
    protects="samplers and splits, which trust the totals",
    remedy="set total_episodes and total_frames to what meta/episodes holds",
)  # fmt: skip
SPLITS: Final = rule(
    "INF009W", "the splits of meta/info.json lie within its episodes", "warning", "meta",
    protects="tools that train and evaluate on splits",
    remedy='set splits to ranges of episodes, for example {"train": "0:10"}',
)  # fmt: skip
INFO_CHANGED: Final = rule(
    "INF021", "a rewrite left the other metadata alone", "error", "meta",
    protects="tasks, statistics and features of the source dataset",
    remedy="prepare again into an empty directory",
)  # fmt: skip

FILE_ORDER: Final = rule(
    "INF043", "LeRobot finds the files of data/ and meta/episodes, in the order of their rows", "error", "meta",
    protects="every look-up by row: LeRobot reads */*.parquet below both folders, in the order of the paths",
    remedy="name the files data/chunk-NNN/file-NNN.parquet, numbered in the order of their episodes (`episeek prepare` does)",
)  # fmt: skip
LFS_POINTER: Final = rule(
    "INF040",
    "files are here, not pointers of Git LFS to them",
    "error",
    "meta",
    protects="every reader of a clone: a pointer is a text of three lines",
    remedy="run `git lfs pull` in the clone; in GitHub Actions, check out with `lfs: true`",
)

# --- meta/episodes ---------------------------------------------------------------------------------------------------

EPISODES_FOOTER: Final = rule(
    "EPI005", "every file of meta/episodes is readable Parquet", "error", "meta",
    protects="every episode listed in the file",
    remedy="restore the file from its source: a recording that was interrupted leaves no footer",
    broke_in="lerobot#2529, lerobot#3522",
)  # fmt: skip
EPISODE_ORDER: Final = rule(
    "EPI008", "row i of meta/episodes is episode i", "error", "meta",
    protects="LeRobot looks episodes up by position",
    remedy="sort meta/episodes by episode_index and number it 0 to N-1",
    broke_in="axol#158",
)  # fmt: skip
TILING: Final = rule(
    "EPI010", "dataset_from_index and dataset_to_index tile the dataset", "error", "meta",
    protects="samplers that map a global row to its episode",
    remedy="recompute both from the lengths, in episode order",
    broke_in="lerobot#1919",
)  # fmt: skip
EPISODE_VALUES: Final = rule(
    "EPI011", "every column of meta/episodes is there, without null or NaN", "error", "meta",
    protects="every look-up of an episode's rows and frames",
    remedy="fill the value from the data and video files, or delete the episode with LeRobot",
    broke_in="lerobot#2283, lerobot#2429",
)  # fmt: skip
DATA_POINTER: Final = rule(
    "EPI012", "each episode points at the data file that holds it", "error", "layout",
    protects="reading an episode's rows from the file its metadata names",
    remedy="set data/chunk_index and data/file_index to the file that holds the rows",
    broke_in="lerobot#2401, lerobot/libero",
)  # fmt: skip
VIDEO_COLUMNS: Final = rule(
    "EPI013", "video columns for every camera and no other", "warning", "meta",
    protects="tools that take the cameras from the columns",
    remedy="drop the columns, or declare the camera in `features` with dtype video",
)  # fmt: skip
EPISODES_CHANGED: Final = rule(
    "EPI021", "a rewrite changed nothing in meta/episodes but the data file", "error", "meta",
    protects="lengths, tasks, statistics and video locations of the source dataset",
    remedy="prepare again into an empty directory",
)  # fmt: skip

# --- tasks, statistics, card, training -------------------------------------------------------------------------------

TASKS: Final = rule(
    "TSK014", "tasks and task_index agree", "error", "meta",
    protects="the instruction that a policy is trained with",
    remedy="make meta/tasks.parquet list each task once, numbered from 0, and let rows and episodes name those",
)  # fmt: skip
CONSTANT_DIMENSION: Final = rule(
    "STA020", "every dimension of a feature varies", "warning", "rows",
    protects="normalization: a constant dimension is divided by a standard deviation of zero",
    remedy="leave the dimension out, or normalize with a floor for the standard deviation",
)  # fmt: skip
STATISTICS: Final = rule(
    "STA029", "meta/stats.json is complete and consistent, without a standard deviation of zero", "warning", "meta",
    protects="normalization of what a policy sees and does",
    remedy="recompute the statistics with LeRobot (lerobot-edit-dataset, or augment_dataset_quantile_stats for q01 to q99)",
    broke_in="lerobot#2105, lerobot#3280",
)  # fmt: skip
CARD_GLOB: Final = rule(
    "HUB007", "the dataset card pins its data files to data/*/*.parquet", "warning", "meta",
    protects="the dataset viewer and `load_dataset`, which otherwise take every Parquet file, those of meta/ included",
    remedy="add to the front matter of README.md: configs: [{config_name: default, data_files: data/*/*.parquet}]",
)  # fmt: skip
CARD_SIDECARS: Final = rule(
    "HUB035", "the sidecars do not match the card's data files", "error", "meta",
    protects="the dataset viewer and `load_dataset`, which would mix index tables with rows",
    remedy="pin data_files in the front matter of README.md to data/*/*.parquet",
)  # fmt: skip
SHARDS: Final = rule(
    "TRN037", "there are enough shards for every rank", "error", "layout",
    protects="ranks from waiting for one that has no data",
    remedy="run `episeek prepare`: each episode becomes a row group, which is a shard for `datasets`; or use fewer ranks",
)  # fmt: skip
WORKER_SHARDS: Final = rule(
    "TRN037W", "there are enough shards for every worker of every rank", "warning", "layout",
    protects="the throughput that the workers are there for",
    remedy="use fewer workers, or run `episeek prepare`: each episode becomes a row group, which is a shard for `datasets`",
)  # fmt: skip

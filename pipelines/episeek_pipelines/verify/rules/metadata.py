"""Rules about `meta/` and the files that it refers to, the dataset card, and the layout that training needs."""

from typing import Final

from episeek_pipelines.verify.rules.registry import rule

# --- meta/info.json --------------------------------------------------------------------------------------------------

INFO: Final = rule(
    "INF001", "error", "meta",
    problem="meta/info.json does not describe a LeRobot dataset",
    invariant="meta/info.json describes a LeRobot dataset, of version 3.0, 2.1 or 2.0",
    protects="every reader, since the file describes the dataset and gives the paths of its files",
    remedy="restore meta/info.json, or the value of the key that is reported, from a copy, or decide from the dataset's files "
    "which value is right",
    broke_in="most public datasets are still v2.x",
)  # fmt: skip
FPS: Final = rule(
    "INF002", "error", "meta",
    problem="fps is not a whole number, or is not the frame rate of every video",
    invariant="fps is a whole number and the frame rate of every video",
    protects="the times of frames: frame k of an episode is at k/fps seconds, in the rows and in the videos",
    remedy="find out at which rate the rows were recorded: their `timestamp` shows it. Set fps to that rate, and make sure that"
    " the videos have one frame for each row at that rate",
    broke_in="lerobot#4025",
)  # fmt: skip
FRACTIONAL_FPS_REMEDY: Final = (
    "nothing has to be done if the cameras recorded at this rate, since readers find the frames. Decide not to delete "
    "episodes from this dataset or split it with LeRobot, which then rounds fps down to a whole number"
)
"""Remedy for a rate that is not a whole number, such as 29.97."""
COLUMNS: Final = rule(
    "INF003", "error", "layout",
    problem="A data file does not have the columns that `features` declares",
    invariant="Data files have the columns that `features` declares, with their types, and LeRobot's own columns",
    protects="readers that look up columns by the names in meta/info.json",
    remedy="decide whether the column or its feature in meta/info.json is right. Restore a lost column from the file's source, "
    "and declare a column that belongs to the dataset; do not change a type without converting the values",
)  # fmt: skip
COLUMN_STYLE: Final = rule(
    "INF003W", "warning", "layout",
    problem="A data file keeps vectors in lists of variable size, or lacks usable `huggingface` metadata",
    invariant="Data files keep vectors in lists of fixed size, and their schema has `huggingface` metadata",
    protects="readers that take shapes and types from the Parquet schema",
    remedy="run `episeek repair SRC DST`, which writes the `huggingface` metadata, and converts columns to the declared types "
    "where that changes no value",
    broke_in="datasets that LeRobot's aggregate_datasets writes",
)  # fmt: skip
MISSING_FILE: Final = rule(
    "INF004", "error", "meta",
    problem="A file that the metadata refers to is missing or empty",
    invariant="Every file that the metadata refers to exists and is not empty",
    protects="training jobs, which otherwise fail when they reach the episode",
    remedy="if only a few episodes of a camera refer to missing videos, run `episeek repair SRC DST`, which sets chunk_index "
    "and file_index if a neighbouring file has exactly their frames and the missing file has no place in the order of "
    "the files. Otherwise restore the file (perhaps it was never uploaded, or has another name: see INF004W). Without a "
    "copy of a data file, run `episeek repair SRC DST --skip-lost-episodes`, which leaves its episodes out; without a "
    "copy of a video, delete its episodes with LeRobot",
    broke_in="lerobot#2861",
)  # fmt: skip
ORPHAN_FILE: Final = rule(
    "INF004W", "warning", "meta",
    problem="A data or video file belongs to no episode",
    invariant="Every data and video file belongs to an episode",
    protects="downloads and the dataset viewer, which include every file",
    remedy="decide what the file is before you move it out of the dataset: it may be the only copy of episodes that are "
    "missing from meta/episodes, or of an episode that refers to another file (VID024, EPI012)",
    broke_in="droid_1.0.1: 44 % of its rows are in no episode",
)  # fmt: skip
FOLDER_LIMITS: Final = rule(
    "INF006", "warning", "meta",
    problem="A folder, or the dataset, has more files than the Hub or chunks_size allows",
    invariant="Every folder, and the dataset, has no more files than the Hub and chunks_size allow",
    protects="uploads: the Hub takes 10,000 entries per folder and 100,000 files per repository",
    remedy="decide on larger files (LeRobot's data_files_size_in_mb and video_files_size_in_mb) or on more folders; chunks_size"
    " is the number of files that LeRobot puts into a folder",
)  # fmt: skip
TOTALS: Final = rule(
    "INF009", "error", "meta",
    problem="The totals of meta/info.json do not match meta/episodes",
    invariant="The totals of meta/info.json match meta/episodes",
    protects="samplers and splits, which rely on the totals",
    remedy="run `episeek repair SRC DST`, which sets the totals to the numbers that the data files and meta/episodes agree on, "
    "unless episodes may be lost",
)  # fmt: skip
SPLITS: Final = rule(
    "INF009W", "warning", "meta",
    problem="A split of meta/info.json reaches beyond the episodes",
    invariant="The splits of meta/info.json are ranges of existing episodes",
    protects="tools that train and evaluate on splits",
    remedy="if INF009 reports total_episodes, correct it first: the split may be right. Otherwise decide which episodes belong to "
    'the split, and set splits in meta/info.json to "START:STOP", where STOP is at most the number of episodes; '
    "`episeek repair SRC DST` corrects both, and shortens a split to end with the last episode",
)  # fmt: skip
INFO_CHANGED: Final = rule(
    "INF021", "error", "meta",
    problem="Files of meta/ other than meta/episodes, or the record of repairs, do not agree with the source dataset",
    invariant="The files of meta/ other than meta/episodes, and the record of repairs, agree with the source dataset",
    protects="the tasks, statistics and features of the source dataset",
    remedy="run `episeek prepare` again into an empty directory",
)  # fmt: skip
EMPTY: Final = rule(
    "INF044", "error", "meta",
    problem="The dataset has no episodes",
    invariant="The dataset has episodes",
    protects="every reader: LeRobot cannot open a dataset without episodes",
    remedy="record or edit the dataset again, into a new folder; if LeRobot edited the dataset NAME in place, NAME_old contains"
    " the dataset before the edit",
    broke_in="datasets that an interrupted edit or merge of LeRobot leaves",
)  # fmt: skip
FILE_ORDER: Final = rule(
    "INF043", "error", "meta",
    problem="LeRobot does not read data/ or meta/episodes in the order of the rows",
    invariant="LeRobot reads the files of data/ and meta/episodes in the order of their rows",
    protects="every look-up by row: LeRobot reads */*.parquet below both folders, sorted by path",
    remedy="if EPI012 is reported as well (`episeek verify --level layout`), correct that first: files may have been renamed or "
    "swapped, and then only need their former names. Otherwise rename the files of data/ so that their paths sort in the order of "
    "their rows, and set data/chunk_index and data/file_index of their episodes to the new names; never do one without the other",
)  # fmt: skip
LFS_POINTER: Final = rule(
    "INF040", "error", "meta",
    problem="Files are pointers of Git LFS or git-annex, without their contents",
    invariant="Files have their contents, and are not pointers of Git LFS or git-annex",
    protects="every reader of a clone: a pointer is a text of a few lines, without the content of the file",
    remedy="run `git lfs pull` in the clone, or `git annex get .` if it is a repository of git-annex or DataLad; "
    "in GitHub Actions, check out with `lfs: true`",
)  # fmt: skip

# --- meta/episodes ---------------------------------------------------------------------------------------------------

EPISODES_FOOTER: Final = rule(
    "EPI005", "error", "meta",
    problem="A file of meta/episodes cannot be read",
    invariant="Every file of meta/episodes is readable Parquet",
    protects="every episode that the file lists",
    remedy="if a recording was stopped, run `episeek repair SRC DST`, which keeps the complete episodes of a file without a "
    "footer; restore any other file from a copy of the same revision: no other file records where its episodes are",
    broke_in="lerobot#2529, lerobot#3522",
)  # fmt: skip
EPISODE_ORDER: Final = rule(
    "EPI008", "error", "meta",
    problem="Episodes are not numbered in order, from 0",
    invariant="Row i of meta/episodes is episode i",
    protects="LeRobot's look-up of episodes by position",
    remedy="run `episeek repair SRC DST`, which sorts the rows of meta/episodes if each number from 0 to N-1 occurs once. "
    "Otherwise restore meta/episodes from a copy; do not renumber the episodes, since the rows of data files have the same numbers",
    broke_in="axol#158",
)  # fmt: skip
TILING: Final = rule(
    "EPI010", "error", "meta",
    problem="dataset_from_index and dataset_to_index leave gaps or overlap",
    invariant="dataset_from_index and dataset_to_index divide the rows among the episodes without gap or overlap",
    protects="samplers that map a global row to its episode",
    remedy="run `episeek repair SRC DST`, which recomputes length and both columns from the rows if no row is missing; if it "
    "refuses because rows are missing, restore them first",
    broke_in="lerobot#1919",
)  # fmt: skip
EPISODE_VALUES: Final = rule(
    "EPI011", "error", "meta",
    problem="A column of meta/episodes is missing, or contains null, NaN or an impossible value",
    invariant="Every column of meta/episodes exists, and has a possible value for each episode",
    protects="every look-up of an episode's rows and frames",
    remedy="run `episeek repair SRC DST`, which derives files, lengths, row ranges and timestamps from the rows and videos again; "
    "restore other values from a copy of meta/episodes, or delete the episode with LeRobot",
    broke_in="lerobot#2283, lerobot#2429",
)  # fmt: skip
DATA_POINTER: Final = rule(
    "EPI012", "error", "layout",
    problem="An episode refers to a data file that does not contain its rows",
    invariant="Every episode refers to the data file that contains its rows",
    protects="reading an episode's rows from the file that its metadata gives",
    remedy="run `episeek repair SRC DST`, which sets data/chunk_index and data/file_index to the file that contains the rows; "
    "`episeek prepare` does the same",
    broke_in="lerobot#2401, lerobot/libero",
)  # fmt: skip
VIDEO_COLUMNS: Final = rule(
    "EPI013", "warning", "meta",
    problem="The video columns of meta/episodes do not match the cameras",
    invariant="meta/episodes has video columns for every camera, and no other video columns",
    protects="tools that take the cameras from the columns",
    remedy="decide whether the camera belongs to the dataset: if so, declare it in `features` with dtype video; if not, drop its "
    "columns",
)  # fmt: skip
EPISODES_CHANGED: Final = rule(
    "EPI021", "error", "meta",
    problem="meta/episodes differs from the source dataset in more than the columns that name the data files",
    invariant="meta/episodes is the same as in the source dataset, except for the columns that name the data files",
    protects="the lengths, tasks, statistics and video locations of the source dataset",
    remedy="run `episeek prepare` again into an empty directory",
)  # fmt: skip

# --- tasks, statistics, card, training -------------------------------------------------------------------------------

TASKS: Final = rule(
    "TSK014", "error", "meta",
    problem="Tasks and task_index do not agree",
    invariant="Tasks and task_index agree",
    protects="the instruction that a policy is trained with",
    remedy="run `episeek repair SRC DST`, which corrects the tasks if the rows and meta/episodes agree on the number and the text "
    "of each task. If it refuses, restore meta/tasks.parquet, or decide which text each task_index stands for, and correct "
    "the other places",
)  # fmt: skip
TASK_TEXTS: Final = rule(
    "TSK047", "warning", "meta",
    problem="The text of a task is a placeholder, or differs from another only in its spelling",
    invariant="The text of each task is an instruction, and differs from the others in more than its spelling",
    protects="policies that are conditioned on language, and counts and splits by task",
    remedy="decide what the robot was to do, and replace the text by that instruction in meta/tasks.parquet and in `tasks` of "
    "meta/episodes; rows refer to the number of the task and stay as they are",
)  # fmt: skip
SAME_TASK_REMEDY: Final = (
    "decide which text is right. In the rows that have the number of the wrong text, set `task_index` to the number of the right "
    "text; in their episodes in meta/episodes, replace the wrong text in `tasks`. Then remove the wrong text from "
    "meta/tasks.parquet, lower total_tasks, and renumber the tasks from 0 without a gap. If each episode has one task, LeRobot's "
    "modify_tasks does all of this"
)
"""Remedy for two texts of one task."""
CONSTANT_DIMENSION: Final = rule(
    "STA020", "warning", "rows",
    problem="A dimension of a feature is constant",
    invariant="Every dimension of a feature varies",
    protects="normalization, which divides a constant dimension by a standard deviation of zero",
    remedy="decide how to train: leave the dimension out, or normalize with a lower limit for the standard deviation",
)  # fmt: skip
STATISTICS: Final = rule(
    "STA029", "warning", "meta",
    problem="Statistics are incomplete or inconsistent, differ from the rows, or contain a standard deviation of zero",
    invariant="Statistics are complete and consistent, agree with the rows, and contain no standard deviation of zero",
    protects="normalization of a policy's inputs and outputs",
    remedy="run `episeek repair SRC DST`, which recomputes the statistics of numbers from the rows; with --picture-statistics "
    "it also recomputes those of pictures, from sampled pictures",
    broke_in="lerobot#2105, lerobot#3280",
)  # fmt: skip
CARD_GLOB: Final = rule(
    "HUB007", "warning", "meta",
    problem="The dataset card does not limit the data files to data/*/*.parquet",
    invariant="The dataset card limits the data files to data/*/*.parquet",
    protects="the dataset viewer and `load_dataset`, which otherwise take every Parquet file, including those of meta/",
    remedy="add to the front matter of README.md: configs: [{config_name: default, data_files: data/*/*.parquet}]",
)  # fmt: skip
CARD_SIDECARS: Final = rule(
    "HUB035", "error", "meta",
    problem="The dataset card lists sidecars among the data files",
    invariant="The dataset card lists no sidecars among the data files",
    protects="the dataset viewer and `load_dataset`, which would mix the tables of the sidecars with the rows",
    remedy="limit data_files in the front matter of README.md to data/*/*.parquet",
)  # fmt: skip
SHARDS: Final = rule(
    "TRN037", "error", "layout",
    problem="There are fewer shards than ranks",
    invariant="There is a shard for every rank",
    protects="training jobs, in which a rank without data stops all others",
    remedy="run `episeek prepare`, which writes each episode as one row group, a shard for `datasets`; or use fewer ranks",
)  # fmt: skip
WORKER_SHARDS: Final = rule(
    "TRN037W", "warning", "layout",
    problem="There are fewer shards than workers of all ranks",
    invariant="There is a shard for every worker of every rank",
    protects="the throughput of data loading: workers without a shard are idle",
    remedy="use fewer workers, or run `episeek prepare`, which writes each episode as one row group, a shard for `datasets`",
)  # fmt: skip

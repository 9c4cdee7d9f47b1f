"""Rules about data files."""

from typing import Final

from episeek_pipelines.verify.rules.registry import rule

DATA_FOOTER: Final = rule(
    "ROW005", "error", "layout",
    problem="A data file is not readable Parquet",
    invariant="Every data file is readable Parquet",
    protects="every row of the file",
    remedy="if an interrupted recording left the file without a footer, but with complete episodes, run `episeek repair SRC DST`, "
    "which keeps these. Restore any other file from its source, or leave its episodes out with `episeek repair "
    "--skip-lost-episodes`",
    broke_in="lerobot#2529, lerobot#3522",
)  # fmt: skip
EPISODE_ROWS: Final = rule(
    "ROW015", "error", "layout",
    problem="The rows of an episode do not match its length, or are not contiguous in one file",
    invariant="An episode has as many rows as its length, and they are contiguous and in one file",
    protects="reading an episode as one range of rows",
    remedy="run `episeek repair SRC DST`, which corrects `length` if the other evidence shows that no row is missing. If it "
    "refuses, restore the rows from the source of the file",
)  # fmt: skip
LOST_ROWS_REMEDY: Final = (
    "run `episeek repair SRC DST`, which corrects `length` if the other evidence shows that no row is missing. If it refuses, "
    "restore the rows from the source of the file, or run it with --skip-lost-episodes, which leaves out episodes without any row"
)
"""Remedy for a file with another number of rows than its episodes, if it is unknown which episodes have lost rows."""
UNLISTED_REMEDY: Final = (
    "decide whether the episode belongs to the dataset: if so, restore its row of meta/episodes and the totals in meta/info.json; "
    "if it does not, since an edit or a recording was stopped, delete these rows from the data file"
)
"""Remedy for rows of an episode that meta/episodes does not list."""
ROW_NUMBERS: Final = rule(
    "ROW016", "error", "rows",
    problem="index or frame_index does not count up by one",
    invariant="index and frame_index count up by one from row to row",
    protects="windows over neighbouring frames, and look-ups by global row",
    remedy="run `episeek repair SRC DST`, which numbers frame_index from 0 in each episode and index from dataset_from_index. If "
    "it refuses, rows may be missing, or the wrong numbers may show that rows were removed or exchanged: restore these first",
)  # fmt: skip
EPISODE_ORDER_REMEDY: Final = (
    "sort the rows of the data file by index: LeRobot takes the position of a row for its index, so that windows over frames get "
    "rows of other episodes"
)
"""Remedy for a data file in which an episode precedes one with a smaller number."""
TIMESTAMPS: Final = rule(
    "ROW017", "error", "rows",
    problem="A timestamp is not frame_index / fps",
    invariant="Every timestamp is frame_index / fps within the tolerance",
    protects="LeRobot's look-up of frames by time, which has a tolerance of 1e-4 s",
    remedy="decide which picture each row belongs to: if row k belongs to frame k of its video, rewrite timestamp as "
    "frame_index / fps. If only single timestamps are wrong, `episeek repair SRC DST` corrects them",
    broke_in="lerobot#933, lerobot#1875, lerobot#2814, lerobot#3513",
)  # fmt: skip
TIMES_REMEDY: Final = (
    "if fps is right and no row is missing, set timestamp to frame_index / fps: each row keeps its picture, since no valid time is "
    "nearer to another frame"
)
"""Remedy for timestamps that are off by up to half a frame, or are not numbers."""
NEIGHBOUR_TIMES_REMEDY: Final = (
    "do not load with a larger tolerance: these rows would get pictures of neighbouring frames. Decide whether row k belongs to "
    "frame k of its video, as in every recording of LeRobot; if so, rewrite timestamp as frame_index / fps"
)
"""Remedy for timestamps that are off by more than half a frame."""
OTHER_FPS_REMEDY: Final = (
    "decide whether fps or timestamp is right, by the frame rate of the videos (INF002 at level layout). If the videos have "
    "the rate of the timestamps, correct fps and video.fps in meta/info.json, and keep the timestamps. If they have fps, "
    "rewrite timestamp as frame_index / fps. Without videos, take the rate of the recording"
)
"""Remedy for timestamps that are frame_index / r for another rate r than fps."""
TIMES_OF_OTHER_ROWS_REMEDY: Final = (
    "do not change timestamp, which agrees with frame_index: rows are missing or occur twice. Restore the missing rows, or remove "
    "the copies, so that frame_index counts up by one"
)
"""Remedy for timestamps that are frame_index / fps, in rows whose frame_index does not count up by one."""
ROW_GROUPS: Final = rule(
    "ROW018", "error", "layout",
    problem="The dataset is prepared or has sidecars, but a data file does not have one row group per episode",
    invariant="Every data file of a dataset that is prepared or has sidecars has one row group per episode, in order",
    protects="reading an episode's rows with one range request",
    remedy="run `episeek verify --fix` on a local dataset, or run `episeek prepare` or `episeek rewrite` again; if only the videos "
    "have to be seekable, verify with --no-prepared",
)  # fmt: skip
ROW_GROUPS_OF_INDEXED: Final = rule(
    "ROW018W", "warning", "layout",
    problem="The dataset has sidecars, but not one row group per episode",
    invariant="A dataset with sidecars has one row group per episode",
    protects="reading an episode's rows with one range request",
    remedy="run `episeek rewrite`, or `episeek verify --fix` on a local dataset: sidecars make videos seekable, not rows",
)  # fmt: skip
FOOTER_SIZE: Final = rule(
    "ROW019", "warning", "layout",
    problem="The footer of a data file is large",
    invariant="The footers of data files are small",
    protects="readers that fetch the whole footer for each row group: 952 MB for a file of 1,000 episodes",
    remedy="run `episeek prepare`, which splits large files, or record with a smaller data_files_size_in_mb",
)  # fmt: skip
FINITE: Final = rule(
    "ROW020", "warning", "rows",
    problem="A numeric feature contains NaN or infinity",
    invariant="Numeric features contain no NaN and no infinity",
    protects="training: one NaN in a batch turns every weight into NaN",
    remedy="restore the rows from the recording, or delete the episode with LeRobot",
)  # fmt: skip
ROWS_CHANGED: Final = rule(
    "ROW021", "error", "rows",
    problem="Rows, types or schema metadata differ from the source dataset",
    invariant="Every value, type and schema metadata entry is the same as in the source dataset",
    protects="the recorded data",
    remedy="do not use the rewritten files: run `episeek prepare` again into an empty directory; if the problem remains, report it",
)  # fmt: skip
DUPLICATE: Final = rule(
    "ROW048", "warning", "rows",
    problem="An episode has the same rows as another episode",
    invariant="No two episodes have the same rows",
    protects="training and evaluation: a copy counts twice, and may be in the training split and in the test split at once",
    remedy="decide whether the episode is a copy, which a merge or an upload that ran twice leaves; if so, delete it with LeRobot "
    "(delete_episodes)",
)  # fmt: skip
OTHER_PICTURES_REMEDY: Final = (
    "decide whether the pictures differ on purpose, as in a replay under other light: if so, keep the episode, in the same split "
    "as the other one; if the same pictures were only encoded again, delete the copy with LeRobot (delete_episodes)"
)
"""Remedy for an episode that has the same rows as another episode, but other coded frames."""
STILL: Final = rule(
    "ROW049", "warning", "rows",
    problem="The action or the state does not move in an episode",
    invariant="The action and the state move in every episode",
    protects="policies, which learn from such an episode not to move",
    remedy="decide whether the robot was meant to rest. If not, its driver or a cable may have failed while the cameras recorded: "
    "delete the episode with LeRobot (delete_episodes)",
)  # fmt: skip
SPIKE: Final = rule(
    "ROW050", "warning", "rows",
    problem="The action or the state jumps away for one row and comes back",
    invariant="The action and the state do not jump away for one row",
    protects="training, and normalization by `min` and `max`: one spike squeezes all other values into a small range",
    remedy="find out from the recording whether the value was measured. If a sensor's packet was lost, replace the value by one "
    "between its neighbours, then run `episeek repair SRC DST`, which computes the statistics again",
)  # fmt: skip
LATE_ACTION: Final = rule(
    "ROW051", "warning", "rows",
    problem="The action lags behind the state",
    invariant="The state lags behind the action, or both are recorded at the same time",
    protects="training: a late action is a movement that the robot has already made, so a policy learns not to move",
    remedy="find out how the action was recorded: if its clock or buffer was late, shift the action to the rows in which it was "
    "given",
)  # fmt: skip
LANGUAGE: Final = rule(
    "ROW030", "warning", "rows",
    problem="Language columns are inconsistent",
    invariant="Language columns are consistent",
    protects="policies that are conditioned on annotations",
    remedy="decide what the annotations are to say, and write them again as LeRobot reads them: the same list of persistent "
    "annotations in every row of an episode, each with the time at which it begins to apply; and each event in its own row",
)  # fmt: skip
RUNS_REMEDY: Final = (
    "decide which rows belong to the episode: if rows occur twice, remove the copies; otherwise sort the rows of the file by "
    "episode_index and frame_index. `episeek repair` does not join rows that lie apart"
)
"""Remedy for an episode whose rows are not consecutive."""
IMAGES: Final = rule(
    "ROW041", "error", "layout",
    problem="A row of an image feature does not contain the bytes of a picture",
    invariant="Every row of an image feature contains the bytes of a picture",
    protects="training on pictures that are stored in the data files",
    remedy="copy the picture's file from the recording into `bytes`; a path alone is useful only on the machine that has the file."
    " If the picture is lost, delete the episode with LeRobot",
)  # fmt: skip
PAGE_INDEX: Final = rule(
    "ROW038", "warning", "layout",
    problem="A prepared data file has no page index",
    invariant="Every prepared data file has a page index",
    protects="readers that skip pages within a row group",
    remedy="run `episeek prepare` or `episeek rewrite` again, or `episeek verify --fix` on a local dataset",
)  # fmt: skip

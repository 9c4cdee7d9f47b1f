"""Rules about data files."""

from typing import Final

from episeek_pipelines.verify.rules.registry import rule

DATA_FOOTER: Final = rule(
    "ROW005", "error", "layout",
    problem="A data file is not readable Parquet",
    invariant="Every data file is readable Parquet",
    protects="every row of the file",
    remedy="run `episeek repair SRC DST`, which keeps the complete episodes of a file without a footer, as a recording that was"
    " interrupted leaves it; restore any other file from its source, or leave its episodes out with --skip-lost-episodes",
    broke_in="lerobot#2529, lerobot#3522",
)  # fmt: skip
EPISODE_ROWS: Final = rule(
    "ROW015", "error", "layout",
    problem="The rows of an episode do not match its length, or are not contiguous in one file",
    invariant="The rows of an episode are as many as its length, contiguous and in one file",
    protects="reading an episode as one run of rows",
    remedy="restore the rows from the source of the file; `episeek repair SRC DST` corrects `length` where no row is missing, and "
    "says what is open; with --skip-lost-episodes it leaves out episodes whose rows are lost",
)  # fmt: skip
UNLISTED_REMEDY: Final = (
    "decide whether the episode belongs to the dataset: if so, restore its row of meta/episodes and the totals in meta/info.json; "
    "if not (an edit or a recording that was stopped), delete these rows from the data file"
)
"""For rows of an episode that meta/episodes does not list."""
ROW_NUMBERS: Final = rule(
    "ROW016", "error", "rows",
    problem="index or frame_index does not count up by one",
    invariant="index and frame_index count up by one from row to row",
    protects="windows over neighbouring frames, and look-ups by global row",
    remedy="restore the missing rows; if none is missing, run `episeek repair SRC DST`, which numbers frame_index from 0 in each "
    "episode and index from dataset_from_index",
)  # fmt: skip
TIMESTAMPS: Final = rule(
    "ROW017", "error", "rows",
    problem="A timestamp is not frame_index / fps",
    invariant="Every timestamp is frame_index / fps within the tolerance",
    protects="LeRobot's look-up of frames by time, which has a tolerance of 1e-4 s",
    remedy="decide which picture each row belongs to; `episeek repair SRC DST` corrects single timestamps. "
    "Where row k belongs to frame k of its video, rewrite timestamp as "
    "frame_index / fps",
    broke_in="lerobot#933, lerobot#1875, lerobot#2814, lerobot#3513",
)  # fmt: skip
TIMES_REMEDY: Final = (
    "if fps is right and no row is missing, rewrite timestamp as frame_index / fps: no time is nearer to another frame, so that no "
    "picture changes"
)
"""For timestamps that are off by up to half a frame, or are no numbers."""
NEIGHBOUR_TIMES_REMEDY: Final = (
    "do not load with a larger tolerance: these rows would get pictures of neighbouring frames. Decide whether row k belongs to "
    "frame k of its video, as in every recording of LeRobot; if so, rewrite timestamp as frame_index / fps"
)
"""For timestamps that are off by more than half a frame."""
TIMES_OF_OTHER_ROWS_REMEDY: Final = (
    "leave timestamp as it is: it is right for frame_index. Restore the rows that are missing, or remove those that are there "
    "twice"
)
"""For timestamps that are right for their frame_index, which does not count up."""
ROW_GROUPS: Final = rule(
    "ROW018", "error", "layout",
    problem="The dataset is prepared or has sidecars, but a data file does not have one row group per episode",
    invariant="Every data file of a dataset that is prepared or has sidecars has one row group per episode, in order",
    protects="reading an episode's rows with one range request",
    remedy="run `episeek verify --fix` on a local dataset, or `episeek prepare` or `episeek rewrite` again; verify with "
    "--no-prepared where the videos alone are to be seekable",
)  # fmt: skip
ROW_GROUPS_OF_INDEXED: Final = rule(
    "ROW018W", "warning", "layout",
    problem="The dataset has sidecars, but not one row group per episode",
    invariant="A dataset with sidecars has one row group per episode",
    protects="reading an episode's rows with one range request",
    remedy="run `episeek rewrite`, or `episeek verify --fix` on a local dataset: the index makes videos seekable, not rows",
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
    problem="A numeric feature holds NaN or infinity",
    invariant="Numeric features hold no NaN and no infinity",
    protects="training: one NaN in a batch becomes a NaN in every weight",
    remedy="restore the rows from the recording, or delete the episode with LeRobot",
)  # fmt: skip
ROWS_CHANGED: Final = rule(
    "ROW021", "error", "rows",
    problem="Rows, types or schema metadata differ from the source dataset",
    invariant="Every value, type and schema metadata entry is that of the source dataset",
    protects="the recorded data",
    remedy="do not use the rewritten files: prepare again into an empty directory, and report the problem if it remains",
)  # fmt: skip
DUPLICATE: Final = rule(
    "ROW048", "warning", "rows",
    problem="An episode has the rows of another",
    invariant="Every episode has rows of its own",
    protects="training and evaluation: a copy counts twice, and may be in the training split and in the test split at once",
    remedy="decide whether the episode is a copy, as a merge or an upload that ran twice leaves it; delete it with LeRobot "
    "(delete_episodes) if so",
)  # fmt: skip
OTHER_PICTURES_REMEDY: Final = (
    "decide whether the pictures are to differ, as in a replay under other light, or were encoded anew: keep the episode in the "
    "first case, in the same split as the other; in the second it is a copy, which LeRobot's delete_episodes deletes"
)
"""For an episode with the rows of another and other coded frames."""
STILL: Final = rule(
    "ROW049", "warning", "rows",
    problem="The action or the state does not move in an episode",
    invariant="The action and the state move in every episode",
    protects="training, which learns to stand still from it",
    remedy="decide whether the robot was to rest; if not, its driver or a cable was off while the cameras recorded: delete the "
    "episode with LeRobot (delete_episodes)",
)  # fmt: skip
SPIKE: Final = rule(
    "ROW050", "warning", "rows",
    problem="The action or the state jumps away for one row and comes back",
    invariant="The action and the state do not jump away for one row",
    protects="training, and `min` and `max`, by which values are normalized: one spike squeezes all others",
    remedy="decide by the recording whether the value was measured: a lost packet of a sensor is replaced by the values around it, "
    "and the statistics are computed again with `episeek repair SRC DST`",
)  # fmt: skip
LATE_ACTION: Final = rule(
    "ROW051", "warning", "rows",
    problem="The action follows the state",
    invariant="The state follows the action, or is recorded with it",
    protects="training: such an action is what the robot has done already, and a policy learns to stay where it is",
    remedy="decide how the action was recorded: if by a clock or a buffer that is late, shift it to the rows at which it was given",
)  # fmt: skip
LANGUAGE: Final = rule(
    "ROW030", "warning", "rows",
    problem="Language columns are inconsistent",
    invariant="Language columns are consistent",
    protects="policies that are conditioned on annotations",
    remedy="decide what the annotations say and write them again: persistent ones the same in every row of an episode, "
    "events in their own row",
)  # fmt: skip
IMAGES: Final = rule(
    "ROW041", "error", "layout",
    problem="A row of an image feature has no bytes of a picture",
    invariant="Every row of an image feature has the bytes of a picture",
    protects="training on pictures that are stored in the data files",
    remedy="put the picture's file into `bytes`, from the recording; a path alone is of use only where the file lies. Delete"
    " the episode with LeRobot if the picture is lost",
)  # fmt: skip
PAGE_INDEX: Final = rule(
    "ROW038", "warning", "layout",
    problem="A prepared data file has no page index",
    invariant="Every prepared data file has a page index",
    protects="readers that skip pages within a row group",
    remedy="run `episeek prepare` or `episeek rewrite` again, or `episeek verify --fix` on a local dataset",
)  # fmt: skip

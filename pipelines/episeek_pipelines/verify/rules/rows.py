"""Rules about data files."""

from typing import Final

from episeek_pipelines.verify.rules.registry import rule

DATA_FOOTER: Final = rule(
    "ROW005", "every data file is readable Parquet", "error", "layout",
    protects="every row of the file",
    remedy="restore the file from its source: a recording that was interrupted leaves no footer",
    broke_in="lerobot#2529, lerobot#3522",
)  # fmt: skip
EPISODE_ROWS: Final = rule(
    "ROW015", "an episode's rows are as many as its length, contiguous, in one file", "error", "layout",
    protects="reading an episode as one run of rows",
    remedy="restore the rows from the source of the file; correct `length` only where no row is missing",
)  # fmt: skip
ROW_NUMBERS: Final = rule(
    "ROW016", "index and frame_index run without a gap", "error", "rows",
    protects="windows over neighbouring frames and look-ups by global row",
    remedy="restore missing rows; where none is, renumber: frame_index from 0 in each episode, index from dataset_from_index",
)  # fmt: skip
TIMESTAMPS: Final = rule(
    "ROW017", "timestamp is frame_index / fps within the tolerance", "error", "rows",
    protects="LeRobot's look-up of frames by time, tolerance 1e-4 s",
    remedy="where fps is right and no row missing, rewrite timestamp as frame_index / fps, or load with a larger tolerance",
    broke_in="lerobot#933, lerobot#1875, lerobot#2814",
)  # fmt: skip
ROW_GROUPS: Final = rule(
    "ROW018", "prepared data: row group k is episode k", "error", "layout",
    protects="one range request for an episode's rows",
    remedy="run `episeek prepare` or `episeek rewrite` again, or `episeek verify --fix` on a local dataset",
)  # fmt: skip
ROW_GROUPS_OF_INDEXED: Final = rule(
    "ROW018W", "a dataset with sidecars has one row group per episode", "warning", "layout",
    protects="one range request for an episode's rows",
    remedy="run `episeek rewrite`, or `episeek verify --fix` on a local dataset: the index alone makes videos seekable, not rows",
)  # fmt: skip
FOOTER_SIZE: Final = rule(
    "ROW019", "footers of data files stay small", "warning", "layout",
    protects="readers that fetch the whole footer for every row group: 952 MB for a file of 1,000 episodes",
    remedy="run `episeek prepare`, which splits files, or record with a smaller data_files_size_in_mb",
)  # fmt: skip
FINITE: Final = rule(
    "ROW020", "numeric features hold no NaN and no infinity", "warning", "rows",
    protects="training: one NaN in a batch is a NaN in every weight",
    remedy="repair the rows from the recording, or delete the episode with LeRobot",
)  # fmt: skip
ROWS_CHANGED: Final = rule(
    "ROW021", "a rewrite changed no value, type or schema metadata", "error", "rows",
    protects="the recorded data",
    remedy="do not use the rewritten files: prepare again into an empty directory, and report it when it persists",
)  # fmt: skip
LANGUAGE: Final = rule(
    "ROW030", "language columns are consistent", "warning", "rows",
    protects="policies that are conditioned on annotations",
    remedy="write the annotations again: the same persistent annotations in every row of an episode, events at their own row",
)  # fmt: skip
IMAGES: Final = rule(
    "ROW041", "every row of an image feature has a picture", "error", "layout",
    protects="training on pictures that are kept in the data files",
    remedy="restore the rows from the recording, or delete the episode with LeRobot",
)  # fmt: skip
PAGE_INDEX: Final = rule(
    "ROW038", "prepared data files have a page index", "warning", "layout",
    protects="readers that skip pages within a row group",
    remedy="run `episeek prepare` or `episeek rewrite` again, or `episeek verify --fix` on a local dataset",
)  # fmt: skip

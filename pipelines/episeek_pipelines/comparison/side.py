"""One of the two datasets of a comparison: its documents, its table of episodes, and the listing of its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from episeek.errors import MetadataError, MissingFileError
from episeek.stores.identity import FileIdentity
from episeek_pipelines.comparison.results import DatasetSummary
from episeek_pipelines.dataset.metadata import Dataset, Int64Array, open_dataset, read_columns, read_info_document
from episeek_pipelines.dataset.provenance import recorded_videos
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.task_table import pandas_index
from episeek_pipelines.parquet.arrow_types import is_text
from episeek_pipelines.parquet.numpy_values import numpy_values
from episeek_pipelines.video.episode_frames import DeclaredEpisodes
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot

Files = Mapping[str, FileIdentity | None]
"""The identities of the files of a listing, by path."""


@dataclass(frozen=True, eq=False)
class Side:
    """One dataset of a comparison. A dataset of version 2.x is converted to version 3.0 when it is opened."""

    dataset: Dataset
    document: Mapping[str, Any]
    """Parsed meta/info.json in the form of version 3.0."""
    videos: Root
    """The root of the videos."""
    files: Files
    """All files below the root, except the declared videos."""
    video_files: Files
    """The declared videos that exist."""

    @property
    def root(self) -> Root:
        """The root of the dataset."""
        return self.dataset.root

    @property
    def numbers(self) -> Int64Array:
        """The number of each episode, by row of the table of episodes."""
        return self.dataset.episodes.episode_index

    @cached_property
    def row_of(self) -> dict[int, int]:
        """The row of each episode in the table of episodes."""
        return {number: row for row, number in enumerate(self.numbers.tolist())}

    @cached_property
    def places(self) -> Int64Array:
        """The number of rows before each episode: the sum of the lengths in meta/episodes of all episodes before it."""
        length = self.dataset.episodes.length
        before: Int64Array = np.cumsum(length) - length
        return before

    @cached_property
    def data_paths(self) -> list[str]:
        """The path of the data file of each episode according to meta/episodes, by row of the table of episodes."""
        return self.dataset.data_paths()

    @cached_property
    def video_paths(self) -> dict[str, list[str]]:
        """The path of the video of each episode according to meta/episodes, by camera and row of the table of episodes."""
        return {camera: self.dataset.video_paths(camera) for camera in self.dataset.info.video_keys}

    @cached_property
    def tasks(self) -> dict[int, str]:
        """The text of each task by its number; empty if the dataset has no table of tasks."""
        # in version 2.x only the root provides the table, so it cannot be read through a byte source
        return _task_texts(self.root, layout.TASKS_PATH, lerobot.TASK_INDEX)

    @cached_property
    def subtasks(self) -> dict[int, str]:
        """The text of each subtask by its number; empty if the dataset has no table of subtasks."""
        return _task_texts(self.root, layout.SUBTASKS_PATH, lerobot.SUBTASK_INDEX)

    @cached_property
    def task_labels(self) -> list[str]:
        """The text that LeRobot reads for each `task_index`, by row of meta/tasks.parquet."""
        return _labels(self.root, layout.TASKS_PATH)

    @cached_property
    def subtask_labels(self) -> list[str]:
        """The text that LeRobot reads for each `subtask_index`, by row of meta/subtasks.parquet."""
        return _labels(self.root, layout.SUBTASKS_PATH)

    @cached_property
    def statistics(self) -> Mapping[str, Any]:
        """Parsed meta/stats.json; empty if the file does not exist."""
        try:
            return lerobot.parse_document(self.root.read_bytes(layout.STATS_PATH))
        except MissingFileError:
            return {}
        except lerobot.DocumentError as error:
            raise MetadataError(self.root.join(layout.STATS_PATH), error.found, error.expected) from None

    @cached_property
    def episode_tasks(self) -> list[tuple[str, ...]] | None:
        """The task texts of each episode in meta/episodes, by row; None if the column `tasks` is missing."""
        texts: list[tuple[str, ...]] = []
        for path, _ in self.dataset.episodes.shards:
            try:
                values = read_columns(self.root, path, [lerobot.TASKS])[lerobot.TASKS].to_pylist()
            except MetadataError:
                return None
            texts += [(value,) if isinstance(value, str) else tuple(map(str, value or ())) for value in values]
        return texts

    def declared_in(self, camera: str) -> dict[str, DeclaredEpisodes]:
        """Return the episodes that the metadata declares in each video of a camera, by the path of the video."""
        table = self.dataset.episodes
        columns = table.cameras[camera]
        return {
            path: DeclaredEpisodes.sorted(
                table.episode_index[rows],
                table.length[rows],
                columns.from_timestamp[rows],
                columns.to_timestamp[rows],
            )
            for path, rows in self.dataset.video_rows(camera).items()
        }

    def summary(self) -> DatasetSummary:
        """Return a short description of the dataset."""
        table = self.dataset.episodes
        elsewhere = self.videos.url if self.videos.url != self.root.url else ""
        return DatasetSummary(self.root.url, self.dataset.found_version, len(table), int(table.length.sum()), elsewhere)


def open_side(root: str, *, data_root: str | None, needs_videos: bool = True) -> Side:
    """Read the metadata and list the files of a dataset.

    Args:
        root: The dataset, or an overlay (a prepared dataset without its videos).
        data_root: The dataset with the videos, if `root` neither has videos nor records a source.
        needs_videos: Whether all videos that meta/episodes refers to have to exist. If False, only videos below `root` are listed.

    Raises:
        MissingFileError: A video that meta/episodes refers to is missing, or the recorded source of an overlay no longer exists.
        EpiseekError: `root` is not a dataset, or cannot be read.
    """
    dataset = open_dataset(root)
    table, where = dataset.episodes, dataset.root
    doubled = len(table) - len(np.unique(table.episode_index))
    if doubled:
        found = f"{counted(doubled, 'episode')} with the number of an earlier episode"
        raise MetadataError(where.join(layout.EPISODES_DIR), found, "a different number for each episode")
    listed = where.files()
    videos = _root_of_videos(dataset, listed, data_root) if needs_videos else where
    declared = {path for camera in dataset.info.video_keys for path in dataset.video_rows(camera)}
    there = listed if videos.url == where.url else videos.files(_folder_of(declared)) if declared else {}
    missing = sorted(path for path in declared if path not in there)
    if missing and needs_videos:
        hint = "give the dataset with the videos as --data-root (data_root)" if videos.url == where.url else ""
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise MissingFileError(videos.join(missing[0]), f"no such file{others}", "a declared video", hint)
    return Side(
        dataset,
        read_info_document(where),
        videos,
        {path: identity for path, identity in listed.items() if path not in declared},
        {path: there[path] for path in sorted(declared) if path in there},
    )


def _root_of_videos(dataset: Dataset, listed: Files, data_root: str | None) -> Root:
    """Return the root of the videos: the dataset itself if it has videos, else the source that it records, else `data_root`.

    A recorded source takes precedence over `data_root`, because `data_root` may be meant for the other dataset, whose videos must
    not be used here.
    """
    root = dataset.root
    declared = {path for camera in dataset.info.video_keys for path in dataset.video_rows(camera)}
    if not declared or any(path in listed for path in declared):
        return root
    try:
        recorded = recorded_videos(root)
    except MissingFileError:
        if data_root is None:
            raise
        recorded = None
    if recorded is not None:
        return recorded.pinned()
    return root if data_root is None else Root(data_root).pinned()


def _folder_of(paths: set[str]) -> str:
    """Return the outermost folder of all paths, or an empty text if their outermost folders differ."""
    first = {path.partition("/")[0] for path in paths}
    return first.pop() if len(first) == 1 else ""


def _task_texts(root: Root, path: str, number: str) -> dict[int, str]:
    try:
        with root.open_parquet(path) as file:
            names = file.schema_arrow.names
            texts = [field.name for field in file.schema_arrow if is_text(field.type)]
    except MissingFileError:
        return {}
    text = next((name for name in (*lerobot.TASK_TEXT_COLUMNS, *texts) if name in names), None)
    if text is None or number not in names:
        raise MetadataError(
            root.join(path), f"columns {', '.join(names)}", f"a column of texts and the column {number}"
        )
    table = read_columns(root, path, [text, number])
    return dict(zip(numpy_values(table[number]).tolist(), map(str, table[text].to_pylist()), strict=True))


def _labels(root: Root, path: str) -> list[str]:
    """Return the pandas index of a table of tasks as texts: LeRobot looks up task n with `tasks.iloc[n].name`."""
    try:
        with root.open_parquet(path) as file:
            table = file.read(use_threads=False)
    except MissingFileError:
        return []
    index = pandas_index(table)
    return list(map(str, range(len(table)) if index is None else table[index].to_pylist()))

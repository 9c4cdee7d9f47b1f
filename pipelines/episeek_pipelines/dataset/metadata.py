"""A LeRobot v3.0 dataset's metadata as arrays: `meta/info.json` and the location columns of `meta/episodes`.

Statistics and task strings are not read: 100,000 episodes take some tens of megabytes here. Values are not judged
beyond what reading needs; `verify` does that.
"""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek.errors import (
    EpiseekError,
    MetadataError,
    MissingFileError,
    NotADatasetError,
    ParquetError,
    UnsupportedVersionError,
    first_line,
)
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.numpy_values import numpy_values
from episeek_schemas import layout, lerobot
from episeek_schemas.lerobot import DatasetInfo, InfoProblemsError

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CameraColumns:
    """Where one camera's frames are, by episode; arrays of shape [episode_count]."""

    chunk_index: Int64Array
    file_index: Int64Array
    from_timestamp: Float64Array  # seconds inside the MP4
    to_timestamp: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeTable:
    """`meta/episodes`, in file order; arrays of shape [episode_count].

    LeRobot looks episodes up by position: row i should hold episode i.
    """

    episode_index: Int64Array
    length: Int64Array  # frames
    data_chunk_index: Int64Array
    data_file_index: Int64Array
    dataset_from_index: Int64Array  # global row numbers, end exclusive
    dataset_to_index: Int64Array
    cameras: dict[str, CameraColumns]
    shards: tuple[tuple[str, int], ...]
    """(relative path, rows) of each file of meta/episodes, in order."""

    def __len__(self) -> int:
        return len(self.episode_index)

    def locate(self, row: int) -> tuple[str, int]:
        """The file and the row in it of a row of this table."""
        for path, rows in self.shards:
            if row < rows:
                return path, row
            row -= rows
        raise IndexError(row)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """One dataset: where it is, what it says of itself, and where its episodes are."""

    root: Root
    info: DatasetInfo
    episodes: EpisodeTable

    def data_paths(self) -> list[str]:
        """Relative path of each episode's data file, by row of `episodes`."""
        table = self.episodes
        return [
            self.info.data_file(chunk, file)
            for chunk, file in zip(table.data_chunk_index.tolist(), table.data_file_index.tolist(), strict=True)
        ]

    def video_paths(self, camera_key: str) -> list[str]:
        """Relative path of each episode's MP4 for one camera, by row of `episodes`."""
        columns = self.episodes.cameras[camera_key]
        path_of = partial(self.info.video_file, camera_key)
        return [
            path_of(chunk, file)
            for chunk, file in zip(columns.chunk_index.tolist(), columns.file_index.tolist(), strict=True)
        ]


def open_dataset(root: str | Root) -> Dataset:
    """Read a dataset's metadata; of a repository on the Hub, at the commit that its revision is now.

    Raises:
        NotADatasetError: No directory, or no usable `meta/info.json`.
        UnsupportedVersionError: Another major version than 3.
        MetadataError: `meta/episodes` lacks a column, or has nulls or other types in one that is needed.
        ParquetError: A file of `meta/episodes` cannot be read.
    """
    where = (root if isinstance(root, Root) else Root(root)).pinned()
    info = read_info(where)
    return Dataset(where, info, read_episodes(where, info))


def read_info(root: Root) -> DatasetInfo:
    """Read and check `meta/info.json`."""
    document = read_info_document(root)
    major = lerobot.codebase_major(document.get("codebase_version"))
    if major is not None and major != lerobot.SUPPORTED_MAJOR:
        raise UnsupportedVersionError(
            root.join(layout.INFO_PATH),
            f"codebase_version {document['codebase_version']!r}",
            f"v{lerobot.SUPPORTED_MAJOR}.x: convert it with LeRobot's convert_dataset_v21_to_v30 first",
        )
    try:
        return lerobot.parse_info(document)
    except InfoProblemsError as error:
        raise NotADatasetError(
            root.join(layout.INFO_PATH), str(error), "the info.json of a LeRobot v3.0 dataset"
        ) from None


def read_info_document(root: Root) -> dict[str, Any]:
    """`meta/info.json` as it is, parsed."""
    expected = "the root of a LeRobot v3.0 dataset"
    if root.is_local and not root.is_dir():
        raise NotADatasetError(str(root), "no such directory", expected)
    try:
        data = root.read_bytes(layout.INFO_PATH)
    except MissingFileError:
        found = f"no {layout.INFO_PATH}" if root.is_local or root.is_dir() else "no such directory"
        raise NotADatasetError(str(root), found, expected) from None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotADatasetError(root.join(layout.INFO_PATH), first_line(error), "a JSON document") from None
    if not isinstance(document, dict):
        raise NotADatasetError(root.join(layout.INFO_PATH), type(document).__name__, "a JSON object")
    return document


def read_episodes(root: Root, info: DatasetInfo) -> EpisodeTable:
    """Read the location columns of every file of `meta/episodes`, in the order of their names."""
    paths = root.list(layout.EPISODES_DIR, suffix=".parquet")
    if not paths:
        raise NotADatasetError(
            root.join(layout.EPISODES_DIR), "no Parquet files", "the episodes of a LeRobot v3.0 dataset"
        )
    names = list(lerobot.EPISODE_COLUMNS)
    for key in info.video_keys:
        names += [lerobot.video_column(key, field) for field in lerobot.VIDEO_FIELDS]
    tables = [read_columns(root, path, names) for path in paths]
    column = {
        name: _column(root, [(path, table[name]) for path, table in zip(paths, tables, strict=True)], name)
        for name in names
    }
    cameras = {
        key: CameraColumns(*(column[lerobot.video_column(key, field)] for field in lerobot.VIDEO_FIELDS))
        for key in info.video_keys
    }
    shards = tuple((path, table.num_rows) for path, table in zip(paths, tables, strict=True))
    return EpisodeTable(
        episode_index=column[lerobot.EPISODE_INDEX],
        length=column[lerobot.LENGTH],
        data_chunk_index=column[lerobot.DATA_CHUNK_INDEX],
        data_file_index=column[lerobot.DATA_FILE_INDEX],
        dataset_from_index=column[lerobot.DATASET_FROM_INDEX],
        dataset_to_index=column[lerobot.DATASET_TO_INDEX],
        cameras=cameras,
        shards=shards,
    )


def read_columns(root: Root, path: str, names: list[str]) -> pa.Table:
    """Some columns of one Parquet file.

    Raises:
        MetadataError: A column is not there.
        ParquetError: The file cannot be read.
    """
    with root.open_parquet(path) as file:
        present = file.schema_arrow.names
        doubled = [name for name in names if present.count(name) > 1]
        if doubled:
            raise MetadataError(root.join(path), f"column {doubled[0]!r} twice", "one column of each name")
        missing = [name for name in names if name not in file.schema_arrow.names]
        if missing:
            raise MetadataError(root.join(path), f"no column {missing[0]!r}", f"the columns {', '.join(names[:6])} ...")
        try:
            return file.read(
                columns=names, use_threads=False
            )  # a process that ends soon after may abort (apache/arrow#34314)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, EpiseekError):
                raise
            raise ParquetError(root.join(path), first_line(error), "readable columns") from None


def _column(root: Root, parts: list[tuple[str, pa.ChunkedArray]], name: str) -> npt.NDArray[Any]:
    is_seconds = name.endswith("_timestamp")
    target, test = (pa.float64(), pa.types.is_floating) if is_seconds else (pa.int64(), pa.types.is_integer)
    arrays = []
    for path, part in parts:
        if not (test(part.type) or (is_seconds and pa.types.is_integer(part.type))):
            raise MetadataError(root.join(path), f"column {name!r} of type {part.type}", str(target))
        if part.null_count:
            raise MetadataError(root.join(path), f"{part.null_count} nulls in column {name!r}", "a value in every row")
        try:
            arrays.append(numpy_values(part if part.type == target else part.cast(target)))
        except pa.ArrowInvalid as error:
            raise MetadataError(root.join(path), f"column {name!r}: {first_line(error)}", str(target)) from None
    values = np.concatenate(arrays)
    values.setflags(write=False)
    return values

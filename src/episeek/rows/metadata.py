"""Read the metadata of a dataset that training needs: features, locations of the episodes' rows, tasks and statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek.errors import MetadataError, MissingFileError, NotADatasetError, UnsupportedVersionError
from episeek.rows.parquet_ranges import ParquetRanges
from episeek.stores.byte_source import ByteSource
from episeek_schemas import layout, lerobot, lerobot_v2
from episeek_schemas.lerobot import DatasetInfo, DocumentError, InfoProblemsError

Int64Array = npt.NDArray[np.int64]

_PLACE_COLUMNS = (
    lerobot.EPISODE_INDEX,
    lerobot.LENGTH,
    lerobot.DATA_CHUNK_INDEX,
    lerobot.DATA_FILE_INDEX,
)


@dataclass(frozen=True, slots=True, eq=False)
class InfoDocument:
    """The contents of `meta/info.json`: the checked values, and the whole document."""

    info: DatasetInfo
    document: Mapping[str, Any]

    @property
    def features(self) -> Mapping[str, Mapping[str, Any]]:
        """The features by their keys, as the document describes them."""
        features: Mapping[str, Mapping[str, Any]] = self.document["features"]
        return features


@dataclass(frozen=True, slots=True, eq=False)
class EpisodePlaces:
    """The locations of the rows of each episode. Arrays have shape [episodes]."""

    length: Int64Array
    """Number of frames of each episode."""
    chunk_index: Int64Array
    file_index: Int64Array
    first_row: Int64Array
    """First row of the episode in its data file."""


def read_document(source: ByteSource, path: str) -> dict[str, Any]:
    """Return a JSON document of a dataset.

    Raises:
        MissingFileError: The file does not exist.
        MetadataError: The file is not a JSON object.
    """
    data = source.get_ranges(path, [(0, source.identity(path).size)])[0]
    try:
        return lerobot.parse_document(data)
    except DocumentError as error:
        raise MetadataError(f"{source.root}/{path}", error.found, error.expected) from None


def read_info(source: ByteSource) -> InfoDocument:
    """Read and check `meta/info.json`, and return its contents.

    Raises:
        UnsupportedVersionError: The dataset is of version 2.x.
        NotADatasetError: The document does not describe a dataset.
        MetadataError: The file is not a JSON object.
        MissingFileError: The file does not exist.
    """
    document = read_document(source, layout.INFO_PATH)
    if lerobot_v2.is_v2(document):
        found = f"codebase_version {document['codebase_version']!r}, whose rows are stored in other files"
        hint = "convert the dataset with `episeek prepare` or `episeek upgrade` to read rows; clips need no conversion"
        raise UnsupportedVersionError(f"{source.root}/{layout.INFO_PATH}", found, "version 3.x", hint)
    try:
        return InfoDocument(lerobot.parse_info(document), document)
    except InfoProblemsError as error:
        first = error.problems[0]
        where = f"{source.root}/{layout.INFO_PATH}"
        raise NotADatasetError(where, f"{first.key}: {first.found}", first.expected) from None


def has_info(source: ByteSource) -> bool:
    """Return whether `meta/info.json` exists."""
    try:
        source.get_ranges(layout.INFO_PATH, [(0, 1)])
    except MissingFileError:
        return False
    return True


def read_places(source: ByteSource, info: DatasetInfo) -> EpisodePlaces:
    """Return the locations of all episodes' rows, from `meta/episodes`.

    Not every store can list files, so the files are read in the order of their numbers until all episodes are found.

    Raises:
        MetadataError: Episodes are missing or out of order, or values are missing.
        ParquetError: A file cannot be read.
    """
    parts: list[pa.Table] = []
    rows = number = 0
    while rows < info.total_episodes:
        chunk, file = divmod(number, info.chunks_size)
        path = f"{layout.EPISODES_DIR}/chunk-{chunk:03d}/file-{file:03d}.parquet"
        try:
            shard = ParquetRanges(source, path)
        except MissingFileError:
            found = f"{rows} episodes in {number} files, and no {path}"
            raise MetadataError(
                f"{source.root}/{layout.EPISODES_DIR}", found, f"the {info.total_episodes} episodes of info.json"
            ) from None
        parts.append(shard.read(0, shard.row_count, _PLACE_COLUMNS))
        rows += shard.row_count
        number += 1
    where = f"{source.root}/{layout.EPISODES_DIR}"
    columns = {name: _whole_numbers(parts, name, where) for name in _PLACE_COLUMNS}
    displaced = np.flatnonzero(columns[lerobot.EPISODE_INDEX] != np.arange(rows))
    if len(displaced):
        found = f"episode {columns[lerobot.EPISODE_INDEX][displaced[0]]} in row {displaced[0]}"
        raise MetadataError(where, found, "episodes in order from 0", "run `episeek verify`")
    length = columns[lerobot.LENGTH]
    chunk_index, file_index = columns[lerobot.DATA_CHUNK_INDEX], columns[lerobot.DATA_FILE_INDEX]
    return EpisodePlaces(length, chunk_index, file_index, _first_rows(length, chunk_index, file_index))


def read_tasks(source: ByteSource) -> dict[int, str]:
    """Return the text of each task by its task_index.

    Raises:
        MissingFileError: `meta/tasks.parquet` does not exist.
        MetadataError: The file has no column of texts, or no column `task_index`.
        ParquetError: The file cannot be read.
    """
    file = ParquetRanges(source, layout.TASKS_PATH)
    text = next((name for name in lerobot.TASK_TEXT_COLUMNS if name in file.column_names), None)
    if text is None or lerobot.TASK_INDEX not in file.column_names:
        raise MetadataError(file.where, f"columns {file.column_names}", "a column of task texts, and task_index")
    table = file.read(0, file.row_count, [text, lerobot.TASK_INDEX])
    return dict(zip(table[lerobot.TASK_INDEX].to_pylist(), table[text].to_pylist(), strict=True))


def read_stats(source: ByteSource) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Return the statistics as arrays, by feature and name; empty if `meta/stats.json` does not exist.

    Raises:
        MetadataError: The file does not contain statistics of features.
    """
    try:
        document = read_document(source, layout.STATS_PATH)
    except MissingFileError:
        return {}
    try:
        return {
            key: {name: np.asarray(value) for name, value in statistics.items()} for key, statistics in document.items()
        }
    except (AttributeError, ValueError) as error:
        raise MetadataError(f"{source.root}/{layout.STATS_PATH}", str(error), "statistics of each feature") from None


def _first_rows(length: Int64Array, chunk_index: Int64Array, file_index: Int64Array) -> Int64Array:
    """Return the number of each episode's first row in its data file, which contains its episodes in order and without gaps."""
    by_file = np.lexsort((np.arange(len(length)), file_index, chunk_index))
    sorted_length = length[by_file]
    before = np.cumsum(sorted_length) - sorted_length
    is_first = np.ones(len(length), np.bool_)
    is_first[1:] = (np.diff(chunk_index[by_file]) != 0) | (np.diff(file_index[by_file]) != 0)
    # the number of rows before the first episode of the same file
    origin = np.maximum.accumulate(np.where(is_first, before, 0))
    first = np.empty_like(length)
    first[by_file] = before - origin
    return first


def _whole_numbers(parts: list[pa.Table], name: str, where: str) -> Int64Array:
    arrays = [np.zeros(0, np.int64)]
    for part in parts:
        column = part[name]
        if column.null_count or not pa.types.is_integer(column.type):
            raise MetadataError(
                where, f"column {name!r} of {column.type}, {column.null_count} nulls", "integers, no nulls"
            )
        arrays.append(column.cast(pa.int64()).to_numpy())
    return np.concatenate(arrays)

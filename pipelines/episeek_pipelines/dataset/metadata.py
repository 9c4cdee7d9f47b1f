"""The metadata of a LeRobot v3.0 dataset: `meta/info.json`, and the location columns of `meta/episodes` as arrays.

Statistics and task texts are not read, so that 100,000 episodes take only a few tens of megabytes. Values are checked as far as
reading needs it; `verify` checks the rest.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
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
from episeek_pipelines.dataset.v2.documents import require_no_problems
from episeek_pipelines.dataset.v2.root import V2Root, is_v2_dataset, open_v2
from episeek_pipelines.parquet.numpy_values import numpy_values
from episeek_schemas import layout, lerobot, lerobot_v2
from episeek_schemas.lerobot import DatasetInfo, DocumentError, InfoProblemsError

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]

_EXPECTED = "the root of a LeRobot dataset"
_OLD_HINT = "convert the dataset to version 3.0 with `episeek upgrade SRC DST`"


@dataclass(frozen=True, slots=True, eq=False)
class CameraColumns:
    """The video file and the times of each episode's frames for one camera. Arrays have shape [episode_count]."""

    chunk_index: Int64Array
    file_index: Int64Array
    from_timestamp: Float64Array
    """Start of each episode in its MP4, in seconds."""
    to_timestamp: Float64Array
    """End of each episode in its MP4, in seconds, exclusive."""


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeTable:
    """The location columns of `meta/episodes`, in the order of its files. Arrays have shape [episode_count].

    LeRobot looks up episodes by position, so row i should describe episode i.
    """

    episode_index: Int64Array
    length: Int64Array
    """Number of frames of each episode."""
    data_chunk_index: Int64Array
    data_file_index: Int64Array
    dataset_from_index: Int64Array
    """Number of each episode's first row, counted over the whole dataset."""
    dataset_to_index: Int64Array
    """Number of the row after each episode's last row, counted over the whole dataset."""
    cameras: dict[str, CameraColumns]
    shards: tuple[tuple[str, int], ...]
    """Relative path and number of rows of each file of meta/episodes, in order."""

    def __len__(self) -> int:
        return len(self.episode_index)

    def locate(self, row: int) -> tuple[str, int]:
        """Return the path of the file that contains a row of this table, and the number of the row in that file."""
        for path, rows in self.shards:
            if row < rows:
                return path, row
            row -= rows
        raise IndexError(row)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A dataset: its root, its description and its table of episodes."""

    root: Root
    info: DatasetInfo
    episodes: EpisodeTable

    def data_rows(self) -> dict[str, Int64Array]:
        """Return the rows of `episodes` that describe the episodes of each data file: row numbers by the file's relative path.

        The files are ordered by their first row number.
        """
        return rows_by_path(self.episodes.data_chunk_index, self.episodes.data_file_index, self.info.data_file)

    def video_rows(self, camera_key: str) -> dict[str, Int64Array]:
        """Return the rows of `episodes` that describe the episodes of each MP4 of a camera: row numbers by relative path.

        The files are ordered by their first row number.
        """
        columns = self.episodes.cameras[camera_key]
        return rows_by_path(columns.chunk_index, columns.file_index, partial(self.info.video_file, camera_key))

    @property
    def found_version(self) -> str:
        """The `codebase_version` of the stored dataset, before any conversion to version 3.0."""
        return self.root.version if isinstance(self.root, V2Root) else self.info.codebase_version

    @property
    def is_file_an_episode(self) -> bool:
        """Whether the stored dataset is of version 2.x, which has one data file for each episode."""
        return isinstance(self.root, V2Root)

    def require_sound_documents(self) -> None:
        """Raise MetadataError if a document of version 2.x has any problem.

        Opening a dataset of version 2.x is less strict: the documents only have to say which files belong to which episode.
        """
        if isinstance(self.root, V2Root):
            require_no_problems(self.root.view.problems, self.root.url)

    def data_paths(self) -> list[str]:
        """Return the relative path of each episode's data file, by row of `episodes`."""
        table = self.episodes
        return [
            self.info.data_file(chunk, file)
            for chunk, file in zip(table.data_chunk_index.tolist(), table.data_file_index.tolist(), strict=True)
        ]

    def video_paths(self, camera_key: str) -> list[str]:
        """Return the relative path of each episode's MP4 for one camera, by row of `episodes`."""
        columns = self.episodes.cameras[camera_key]
        path_of = partial(self.info.video_file, camera_key)
        return [
            path_of(chunk, file)
            for chunk, file in zip(columns.chunk_index.tolist(), columns.file_index.tolist(), strict=True)
        ]


def rows_by_path(
    chunk_index: Int64Array, file_index: Int64Array, path_of: Callable[[int, int], str]
) -> dict[str, Int64Array]:
    """Group the rows of a table by the file that each row refers to. Return the ascending row numbers by the path of the file.

    Args:
        chunk_index: The chunk of each row's file, shape [rows].
        file_index: The number of each row's file in its chunk, shape [rows].
        path_of: Returns the path of a file, given these two numbers. It is called once for each file.
    """
    if not len(chunk_index):
        return {}
    is_other = (np.diff(chunk_index) != 0) | (np.diff(file_index) != 0)
    bounds = [0, *(np.flatnonzero(is_other) + 1).tolist(), len(chunk_index)]
    runs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for start, stop in pairwise(bounds):
        runs.setdefault((int(chunk_index[start]), int(file_index[start])), []).append((start, stop))
    found: dict[str, list[tuple[int, int]]] = {}
    for numbers, pieces in runs.items():
        found.setdefault(path_of(*numbers), []).extend(pieces)
    return {path: np.concatenate([np.arange(*piece) for piece in sorted(pieces)]) for path, pieces in found.items()}


def open_dataset(root: str | Root, *, skipped: tuple[int, ...] = ()) -> Dataset:
    """Read the metadata of a dataset. A repository on the Hub is read at the commit that its revision points to now.

    A dataset of version 2.x is opened as if it were of version 3.0: its root shows converted metadata.

    Args:
        root: The dataset.
        skipped: Numbers of episodes to leave out of a dataset of version 2.x. The remaining episodes are renumbered.

    Raises:
        NotADatasetError: There is no directory, no usable `meta/info.json`, or no file of `meta/episodes`.
        UnsupportedVersionError: The major version is neither 2 nor 3, or it is 3 and `skipped` is not empty. Or `meta/info.json`
            declares version 3.0, but the root contains only documents of version 2.1.
        MetadataError: A required column of `meta/episodes` is missing, has nulls or has another type. Or the documents of version
            2.x do not say which files belong to which episode, or an episode to leave out does not exist.
        ParquetError: A file of `meta/episodes` cannot be read.
    """
    where = (root if isinstance(root, Root) else Root(root)).pinned()
    document = read_info_document(where)
    if is_v2_dataset(where, document):
        opened = open_v2(where, document, skipped=skipped)
        opened.view.documents.require_translatable(where.url)
        where, document = opened, read_info_document(opened)
    elif skipped:
        found = f"codebase_version {document.get('codebase_version')!r}, and episodes to leave out"
        hint = "delete episodes of version 3.0 with LeRobot's lerobot-edit-dataset first"
        raise UnsupportedVersionError(where.join(layout.INFO_PATH), found, "version 2.x", hint)
    info = _checked_info(where, document)
    return Dataset(where, info, read_episodes(where, info))


def as_v3(root: Root, *, skipped: tuple[int, ...] = ()) -> Root:
    """Return a root that shows a dataset of version 2.x with the metadata of version 3.0, or the same root for any other version.

    Args:
        root: The dataset.
        skipped: Numbers of episodes to leave out of a dataset of version 2.x.

    Raises:
        NotADatasetError: There is no usable `meta/info.json`.
        MetadataError: An episode to leave out does not exist, or no episode would remain.
    """
    document = read_info_document(root)
    return open_v2(root, document, skipped=skipped) if is_v2_dataset(root, document) else root


def read_info(root: Root) -> DatasetInfo:
    """Read and check `meta/info.json`.

    Raises:
        NotADatasetError: The file does not exist or cannot be used.
        UnsupportedVersionError: The major version of the dataset is not 3.
    """
    return _checked_info(root, read_info_document(root))


def _checked_info(root: Root, document: dict[str, Any]) -> DatasetInfo:
    major = lerobot.codebase_major(document.get("codebase_version"))
    if major is not None and major != lerobot.SUPPORTED_MAJOR:
        raise UnsupportedVersionError(
            root.join(layout.INFO_PATH),
            f"codebase_version {document['codebase_version']!r}",
            f"v{lerobot.SUPPORTED_MAJOR}.x",
            _OLD_HINT if major == lerobot_v2.MAJOR else "convert the dataset with LeRobot's converters first",
        )
    try:
        return lerobot.parse_info(document)
    except InfoProblemsError as error:
        raise NotADatasetError(
            root.join(layout.INFO_PATH), str(error), "the info.json of a LeRobot v3.0 dataset"
        ) from None


def read_info_document(root: Root) -> dict[str, Any]:
    """Return the parsed `meta/info.json` without checking its contents.

    Raises:
        NotADatasetError: The file does not exist, or is not a JSON object.
    """
    require_directory(root)
    try:
        return lerobot.parse_document(read_info_bytes(root))
    except DocumentError as error:
        raise NotADatasetError(root.join(layout.INFO_PATH), error.found, error.expected) from None


def require_directory(root: Root) -> None:
    """Raise an error if a local root is not a directory.

    Raises:
        NotADatasetError: Nothing exists at the path, or only a file.
    """
    if root.is_local and not root.is_dir():
        found = "a file" if root.local.exists() else "no such directory"
        raise NotADatasetError(str(root), found, _EXPECTED, _hint_for(root))


def read_info_bytes(root: Root, *, file_size: int | None = None) -> bytes:
    """Return the contents of `meta/info.json`.

    Args:
        root: The root of the dataset.
        file_size: The size of the file in bytes, if a listing gives it.

    Raises:
        NotADatasetError: The file does not exist.
    """
    try:
        return root.read_bytes(layout.INFO_PATH, file_size=file_size)
    except MissingFileError:
        found = f"no {layout.INFO_PATH}" if root.is_local or root.is_dir() else "no such directory"
        raise NotADatasetError(str(root), found, _EXPECTED, _hint_for(root)) from None


def _hint_for(root: Root) -> str:
    """Return a hint that names a folder with the missing metadata; empty if none is found.

    The folder may be `meta/` in another spelling, such as `Meta/`, or the folder `NAME_old`, to which LeRobot renames a dataset
    before an edit.
    """
    if not root.is_local:
        return ""
    for name in root.folders() if root.is_dir() else ():
        if name.casefold() == layout.META_DIR and root.exists(f"{name}/{layout.INFO_PATH.rpartition('/')[2]}"):
            return f"rename {name}/ to {layout.META_DIR}/"
    old = Root(f"{root.url}_old")
    return f"use {old}, to which LeRobot renames a dataset before an edit" if old.exists(layout.INFO_PATH) else ""


def read_episodes(root: Root, info: DatasetInfo) -> EpisodeTable:
    """Read the location columns of every file of `meta/episodes`, in the order of their names."""
    paths = root.list(layout.EPISODES_DIR, suffix=".parquet")
    if not paths:
        beside = {path.rpartition("/")[2] for path in root.list(layout.META_DIR, suffix=".jsonl")}
        old = [path for path in lerobot.OLD_DOCUMENTS if path.rpartition("/")[2] in beside]
        if old:
            raise UnsupportedVersionError(
                root.join(layout.META_DIR),
                f"{' and '.join(old)} of version 2.1, and no {layout.EPISODES_DIR}/",
                f"the files of version {info.codebase_version}, as {layout.INFO_PATH} says",
                "run `episeek verify`, which says how to convert the dataset",
            )
        raise NotADatasetError(
            root.join(layout.EPISODES_DIR), "no Parquet files", "the episodes of a LeRobot v3.0 dataset"
        )
    names = list(lerobot.EPISODE_COLUMNS)
    for key in info.video_keys:
        names += [lerobot.video_column(key, field) for field in lerobot.VIDEO_FIELDS]
    parts = [read_location_columns(root, path, names) for path in paths]
    shards = tuple((path, len(part[lerobot.EPISODE_INDEX])) for path, part in zip(paths, parts, strict=True))
    column = {name: _joined([part.pop(name) for part in parts]) for name in names}
    cameras = {
        key: CameraColumns(*(column[lerobot.video_column(key, field)] for field in lerobot.VIDEO_FIELDS))
        for key in info.video_keys
    }
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


def refuse_doubled(names: list[str], where: str) -> None:
    """Raise MetadataError if two columns of a file have the same name.

    Args:
        names: The names of the columns.
        where: The path or URL of the file.
    """
    doubled = next((name for name, count in Counter(names).items() if count > 1), None)
    if doubled is not None:
        raise MetadataError(where, f"column {doubled!r} twice", "one column of each name")


def read_columns(root: Root, path: str, names: list[str]) -> pa.Table:
    """Return the columns `names` of a Parquet file.

    Raises:
        MetadataError: A column is missing, or two columns have the same name.
        ParquetError: The file cannot be read.
    """
    with root.open_parquet(path) as file:
        present = file.schema_arrow.names
        refuse_doubled([name for name in present if name in names], root.join(path))
        missing = [name for name in names if name not in present]
        if missing:
            raise MetadataError(root.join(path), f"no column {missing[0]!r}", f"the columns {', '.join(names[:6])} ...")
        try:
            # With threads, a process that ends soon after the read may abort (apache/arrow#34314).
            return file.read(columns=names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, EpiseekError):
                raise
            raise ParquetError(root.join(path), first_line(error), "readable columns") from None


def read_location_columns(root: Root, path: str, names: list[str]) -> dict[str, npt.NDArray[Any]]:
    """Return columns of one file of `meta/episodes` that locate episodes: float64 for seconds, int64 for all others.

    Raises:
        MetadataError: A column is missing, exists twice, has another type, or has nulls.
        ParquetError: The file cannot be read.
    """
    table = read_columns(root, path, names)
    return {name: _column(root, path, table[name], name) for name in names}


def _column(root: Root, path: str, part: pa.ChunkedArray, name: str) -> npt.NDArray[Any]:
    is_seconds = name.endswith("_timestamp")
    target, test = (pa.float64(), pa.types.is_floating) if is_seconds else (pa.int64(), pa.types.is_integer)
    if not (test(part.type) or (is_seconds and pa.types.is_integer(part.type))):
        raise MetadataError(root.join(path), f"column {name!r} of type {part.type}", str(target))
    if part.null_count:
        raise MetadataError(root.join(path), f"{part.null_count} nulls in column {name!r}", "a value in every row")
    try:
        return numpy_values(part if part.type == target else part.cast(target))
    except pa.ArrowInvalid as error:
        raise MetadataError(root.join(path), f"column {name!r}: {first_line(error)}", str(target)) from None


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    values = np.concatenate(parts)
    values.setflags(write=False)
    return values

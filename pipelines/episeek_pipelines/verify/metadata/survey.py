"""The survey of a dataset: a listing of its files, and the small documents of `meta/`, each read once.

The rules on documents and the comparison with a source use these copies. Later checks take the existence and the size of a file
from the listing if it has them, which saves a request to the store.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import MissingFileError, NotADatasetError, ReadError, first_line
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.metadata import read_info_bytes, require_directory
from episeek_pipelines.dataset.provenance import skipped_episodes
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.source_changes import changed_source_files
from episeek_pipelines.dataset.unfetched import find_pointers
from episeek_pipelines.dataset.v2.root import V2Root, is_v2_dataset, open_v2
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import unreadable
from episeek_pipelines.verify.metadata.feature_rules import check_features
from episeek_pipelines.verify.metadata.lfs_pointers import check_pointers
from episeek_pipelines.verify.metadata.old_version import document_findings
from episeek_pipelines.verify.rules import INFO, STATISTICS, TASKS
from episeek_schemas import layout, lerobot, lerobot_v2
from episeek_schemas.lerobot import DatasetInfo, DocumentError

Files = Mapping[str, FileIdentity | None]
"""A listing: the identity of each file, by path. It includes the size, and is None if the store does not give the size."""

_UNREADABLE = (
    "restore meta/info.json from a copy, or correct its text, which has to be one JSON object: the finding names the first place "
    "where it is none"
)

_SLASHES = (
    "run `episeek repair SRC DST`, or replace each backslash in data_path and video_path of meta/info.json by /; do not move "
    "the files"
)

_CONVERT_OLD = (
    "decide which version the files have: if it is 3.0, set codebase_version to v3.0; if it is older, convert the dataset with "
    "LeRobot's converters"
)
_CONVERT = (
    "set codebase_version in meta/info.json back to v2.1, and run `episeek upgrade SRC DST`, or `episeek prepare SRC DST`, which "
    "also writes the sidecars"
)

_OWN_CHECKS = (f"{layout.EPISODES_DIR}/", f"{layout.BYTE_INDEX_DIR}/", f"{layout.BYTE_INDEX_PARTIAL_DIR}/")


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """The listings of a dataset, and the contents of its documents."""

    root: Root
    data_root: Root
    """The root with the videos."""
    against: Root | None
    """The source that the dataset is compared with; None without one."""
    files: Files
    """Files below meta/ and data/ of `root`."""
    videos: Files
    """Files below videos/ of `data_root`."""
    documents: Mapping[str, bytes]
    """Contents, by path, of the files below meta/ that rules parse or compare with a source."""
    source_documents: Mapping[str, bytes]
    """Contents, by path, of the source's files below meta/, except for meta/episodes and the byte index."""
    source_files: Files
    """Files below meta/ of the source; empty without a source."""
    info: DatasetInfo | None
    """The checked values of meta/info.json; None if it cannot be used, for a reason that `findings` contains."""
    document: Mapping[str, Any]
    """The JSON object of meta/info.json; empty if it cannot be parsed."""
    tasks: pa.Table | None
    """Table of meta/tasks.parquet; None if the file does not exist or cannot be read."""
    subtasks: pa.Table | None
    """Table of meta/subtasks.parquet; None if no feature refers to it, or if the file does not exist or cannot be read."""
    statistics: Mapping[str, Any] | None
    """Parsed meta/stats.json; None if the file does not exist or cannot be parsed."""
    card: str | None
    """Text of README.md; None without such a file."""
    source_changes: tuple[str, ...] = ()
    """Files of an overlay's source that have changed since the overlay was prepared; empty if the dataset is no overlay.

    An overlay consists of data/ and meta/, and uses the videos of its source.
    """
    has_source_record: bool = False
    """Whether the dataset is local and has a record of the source files that it was prepared from."""
    skipped_videos: frozenset[str] = frozenset()
    """Videos of the source whose episodes were left out when the dataset was prepared, so that no episode refers to them."""
    pointers: frozenset[str] = frozenset()
    """Files of the listings that are pointers of Git LFS or git-annex; no other rule opens them."""
    has_other_videos: bool = False
    """Whether the dataset has video files that the source does not have, so that frames are in other files or at other times."""
    findings: tuple[Finding, ...] = ()
    bytes_read: int = 0
    files_read: int = 0

    @property
    def moved_columns(self) -> frozenset[str]:
        """Return the columns of meta/episodes that may differ from the source because the dataset has other videos than its source.

        These are the columns that locate frames in videos. The result is empty for a dataset with the videos of its source.
        """
        if self.info is None or not self.has_other_videos:
            return frozenset()
        return frozenset(
            lerobot.video_column(key, name) for key in self.info.video_keys for name in lerobot.VIDEO_FIELDS
        )

    @property
    def is_lone_overlay(self) -> bool:
        """Return whether the dataset has cameras and a byte index but no videos.

        An overlay is such a dataset: it consists of data/ and meta/, and the user has to give the root with its videos.
        """
        has_cameras = self.info is not None and bool(self.info.video_keys)
        return has_cameras and not self.videos and layout.FILES_PATH in self.files

    @property
    def episode_paths(self) -> tuple[str, ...]:
        """Return the paths of the files of meta/episodes, sorted."""
        return _episode_paths(self.files)

    @property
    def source_episode_paths(self) -> tuple[str, ...]:
        """Return the sorted paths of the meta/episodes files of the dataset with which this dataset is compared."""
        return _episode_paths(self.source_files)

    def require_info(self) -> DatasetInfo:
        """Return the checked values of meta/info.json.

        Raises:
            NotADatasetError: meta/info.json cannot be used.
        """
        if self.info is None:
            raise NotADatasetError(str(self.root), f"an unusable {layout.INFO_PATH}", "a LeRobot v3.0 dataset")
        return self.info


@dataclass(slots=True)
class _Reader:
    """Reads documents, counts the files and bytes that it reads, and collects findings about files that cannot be read."""

    findings: list[Finding] = field(default_factory=list)
    bytes_read: int = 0
    files_read: int = 0

    def read(self, root: Root, path: str, listed: Files) -> bytes | None:
        """Return the content of a file; None if it does not exist or cannot be read."""
        try:
            data = root.read_bytes(path, file_size=listed_size(listed, path))
        except MissingFileError:
            return None
        except ReadError as error:
            self.findings.append(unreadable(error, Location(file=path)))
            return None
        self.bytes_read += len(data)
        self.files_read += 1
        return data


def survey(root: Root, *, data_root: Root | None = None, against: Root | None = None) -> Survey:
    """Return the listings of a dataset's files and the contents of its documents.

    Args:
        root: The dataset, or an overlay, which consists of data/ and meta/ without videos.
        data_root: The root with the videos, if `root` is an overlay.
        against: The source dataset, if `root` is a rewrite of it.

    Raises:
        NotADatasetError: `root` or `against` is not a directory or has no meta/info.json, or `data_root` is not a directory.
    """
    videos_root = data_root if data_root is not None else root
    reader = _Reader()
    require_directory(root)
    metadata = root.files(layout.META_DIR)
    info_bytes = _require_info_file(reader, root, metadata)
    if not isinstance(root, V2Root) and (seen := _as_old_version(root, info_bytes)) is not None:
        return _survey_old_version(seen, data_root, against)
    document, info = _parse_info(reader, info_bytes)
    data_folder, videos_folder = _folders(info)
    files = {**metadata, **root.files(data_folder)}
    videos = videos_root.files(videos_folder)
    if data_root is not None and not videos and not data_root.is_dir():
        raise NotADatasetError(str(data_root), "no such directory", "the root that has the dataset's videos/")
    pointers = find_pointers(root, _sizes(files)) | find_pointers(videos_root, _sizes(videos))
    reader.findings += check_pointers(pointers)
    if layout.INFO_PATH in pointers:
        reader.findings, document, info = [*check_pointers(pointers)], {}, None
    old = [path for path in lerobot.OLD_DOCUMENTS if path in metadata]
    if info is not None and old and not _episode_paths(files):
        found = f"{document['codebase_version']}, but files of version 2.1: {' and '.join(old)}, and no {layout.EPISODES_DIR}/"
        where = Location(file=layout.INFO_PATH, column="codebase_version")
        reader.findings = [finding(INFO, found, "the version of the files", where, remedy=_CONVERT)]
        document, info = {}, None
    documents = {layout.INFO_PATH: info_bytes}
    source_documents: dict[str, bytes] = {}
    source_files: Files = {}
    wanted: list[str] = [path for path in (layout.TASKS_PATH, layout.SUBTASKS_PATH, layout.STATS_PATH) if path in files]
    if against is not None:
        require_directory(against)
        source_files = against.files(layout.META_DIR)
        source_documents[layout.INFO_PATH] = _require_info_file(reader, against, source_files)
        compared = [path for path in source_files if path != layout.INFO_PATH and not path.startswith(_OWN_CHECKS)]
        read = ((path, reader.read(against, path, source_files)) for path in compared)
        source_documents |= {path: data for path, data in read if data is not None}
        wanted = sorted({*wanted, *(path for path in compared if path in files)})
    documents |= {path: data for path in wanted if (data := reader.read(root, path, files)) is not None}
    card = reader.read(root, layout.CARD_PATH, files)
    has_subtasks = info is not None and lerobot.SUBTASK_INDEX in document["features"]
    parsed = {path: data for path, data in documents.items() if path not in pointers}
    return Survey(
        root=root,
        data_root=videos_root,
        against=against,
        files=files,
        videos=videos,
        documents=documents,
        source_documents=source_documents,
        source_files=source_files,
        info=info,
        document=document,
        tasks=_parse_tasks(reader, layout.TASKS_PATH, parsed.get(layout.TASKS_PATH)),
        subtasks=_parse_tasks(reader, layout.SUBTASKS_PATH, parsed.get(layout.SUBTASKS_PATH)) if has_subtasks else None,
        statistics=_parse_statistics(reader, parsed.get(layout.STATS_PATH)),
        card=None if card is None else card.decode("utf-8", "replace"),
        source_changes=() if data_root is None else changed_source_files(root, data_root),
        has_source_record=root.is_local and root.exists(layout.SOURCE_RECORD_PATH),
        skipped_videos=frozenset() if data_root is None or info is None else _skipped_videos(root, against, info),
        pointers=pointers,
        has_other_videos=against is not None and against.url != videos_root.url and _are_others(videos, against),
        findings=tuple(reader.findings),
        bytes_read=reader.bytes_read,
        files_read=reader.files_read,
    )


def _as_old_version(root: Root, info_bytes: bytes) -> V2Root | None:
    """Return a root that presents a dataset of version 2.x with metadata of version 3.0; None for any other dataset."""
    try:
        document = lerobot.parse_document(info_bytes)
    except DocumentError:
        return None
    return open_v2(root, document) if is_v2_dataset(root, document) else None


def _survey_old_version(root: V2Root, data_root: Root | None, against: Root | None) -> Survey:
    """Return the survey of a dataset of version 2.x, with the metadata of version 3.0 that is made from its documents.

    Its findings include the problems of the documents themselves.
    """
    problems = tuple(document_findings(root.view.problems))
    if root.view.files:
        surveyed = survey(root, data_root=data_root, against=against)
        return replace(surveyed, findings=(*problems, *surveyed.findings))
    return Survey(
        root=root,
        data_root=root if data_root is None else data_root,
        against=against,
        files={},
        videos={},
        documents={},
        source_documents={},
        source_files={},
        info=None,
        document={},
        tasks=None,
        subtasks=None,
        statistics=None,
        card=None,
        findings=problems,
        files_read=len(lerobot_v2.DOCUMENTS),
    )


def _skipped_videos(root: Root, against: Root | None, info: DatasetInfo) -> frozenset[str]:
    """Return the paths of the videos that belong to episodes of a source of version 2.x that the preparation left out."""
    skipped = against.skipped if isinstance(against, V2Root) else skipped_episodes(root)
    return frozenset(
        info.video_file(camera, number // info.chunks_size, number) for camera in info.video_keys for number in skipped
    )


def _folders(info: DatasetInfo | None) -> tuple[str, str]:
    """Return the top folders of data files and of videos, from `data_path` and `video_path`.

    A folder is the empty string if the template has no folder, or starts with a folder that contains a placeholder.
    """
    if info is None:
        return layout.DATA_DIR, layout.VIDEOS_DIR
    paths = (info.data_path, info.video_path or layout.DEFAULT_VIDEO_PATH)
    data, videos = (path.partition("/")[0] if "/" in path else "" for path in paths)
    return "" if "{" in data else data, "" if "{" in videos else videos


def listed_size(listed: Files, path: str) -> int | None:
    """Return the size of a file in bytes; None if the listing does not have the file or its size."""
    identity = listed.get(path)
    return None if identity is None else identity.size


def _sizes(listed: Files) -> Iterator[tuple[str, int | None]]:
    return ((path, listed_size(listed, path)) for path in listed)


def _episode_paths(files: Files) -> tuple[str, ...]:
    return tuple(path for path in files if path.startswith(f"{layout.EPISODES_DIR}/") and path.endswith(".parquet"))


def _require_info_file(reader: _Reader, root: Root, listed: Files) -> bytes:
    data = read_info_bytes(root, file_size=listed_size(listed, layout.INFO_PATH))
    reader.bytes_read += len(data)
    reader.files_read += 1
    return data


def _parse_info(reader: _Reader, data: bytes) -> tuple[dict[str, Any], DatasetInfo | None]:
    """Return the JSON object of meta/info.json and its checked values, and add INF001 to the reader's findings for each defect.

    The checked values are None if meta/info.json cannot be used.
    """
    where = Location(file=layout.INFO_PATH)
    try:
        document = lerobot.parse_document(data)
    except DocumentError as error:
        reader.findings.append(finding(INFO, error.found, error.expected, where, remedy=_UNREADABLE))
        return {}, None
    document, with_backslashes = lerobot.with_slashes(document)
    if with_backslashes:
        found = f"backslashes in {' and '.join(with_backslashes)}, which do not separate folders"
        at = Location(file=layout.INFO_PATH, column=with_backslashes[0])
        reader.findings.append(finding(INFO, found, "paths with the separator /", at, remedy=_SLASHES))
    problems = lerobot.validate_info(document)
    for problem in problems:
        at = Location(file=layout.INFO_PATH, column=problem.key)
        is_old = (
            lerobot.codebase_major(document.get("codebase_version")) in (1, 2) and problem.key == "codebase_version"
        )
        remedy = _CONVERT_OLD if is_old else ""
        reader.findings.append(finding(INFO, problem.found, problem.expected, at, remedy=remedy))
    if not problems:
        reader.findings += check_features(document["features"])
    return document, None if problems else lerobot.parse_info(document)


def _parse_tasks(reader: _Reader, path: str, data: bytes | None) -> pa.Table | None:
    if data is None:
        return None
    try:
        return pq.ParquetFile(io.BytesIO(data), pre_buffer=False).read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        where = Location(file=path)
        reader.findings.append(finding(TASKS, first_line(error).rstrip("."), "a readable Parquet file", where))
        return None


def _parse_statistics(reader: _Reader, data: bytes | None) -> dict[str, Any] | None:
    if data is None:
        return None
    where = Location(file=layout.STATS_PATH)
    try:
        return lerobot.parse_document(data)
    except DocumentError as error:
        reader.findings.append(finding(STATISTICS, error.found, error.expected, where))
        return None


def _are_others(videos: Files, source: Root) -> bool:
    """Return whether any of the videos is missing from the source, or has a different size there."""
    folder = next(iter(videos), "").partition("/")[0]
    there = source.files(folder) if folder else {}
    return any(
        path.endswith(".mp4") and (path not in there or listed_size(there, path) != listed_size(videos, path))
        for path in videos
    )

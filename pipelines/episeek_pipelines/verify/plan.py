"""From a dataset's metadata to checks: which files there are, what the metadata says of each, and how they are batched."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from episeek.errors import NotADatasetError
from episeek_pipelines.dataset import read_info, read_info_document
from episeek_pipelines.storage import Root
from episeek_pipelines.verify.episodes import RawEpisodes, episode_columns, read_raw_episodes
from episeek_pipelines.verify.findings import Finding, Location, finding
from episeek_pipelines.verify.guard import run_rules
from episeek_pipelines.verify.metadata_rules import METADATA_RULES, has_tiling
from episeek_pipelines.verify.rules import ORPHAN_FILE
from episeek_pipelines.verify.sidecar_format import TABLES, examine_sidecars
from episeek_pipelines.verify.tasks import (
    Check,
    DataCheck,
    DataFile,
    EpisodesCheck,
    IndexedFile,
    Int64Array,
    MetadataCheck,
    RewriteCheck,
    SidecarCheck,
    SidecarTables,
    SourceFile,
    VerificationContext,
    VerificationPlan,
    VideoCheck,
    VideoFile,
)
from episeek_schemas import layout, lerobot
from episeek_schemas.lerobot import DatasetInfo

T = TypeVar("T")

MAX_CHECKS_PER_KIND = 2000
"""A million episodes are some ten thousand files: a few files to a check, thousands of checks."""

FILES_PER_VIDEO_CHECK = 8
"""A header is a few kilobytes: too little for a task of its own."""

REMOTE_FILES_PER_VIDEO_CHECK = 64
"""Of a store, many are read at once."""


def plan_verification(
    root: Root, *, data_root: Root | None = None, against: Root | None = None, prepared: bool | None = None
) -> VerificationPlan:
    """Read the metadata and lay out the checks. Reads no rows and no video headers.

    Args:
        root: The dataset, or an overlay with its data/ and meta/.
        data_root: Where the videos are, when `root` is an overlay.
        against: The source dataset, when `root` is a rewrite of it: then nothing but the layout may differ.
        prepared: Whether one row group per episode is promised (ROW018). None: it is when `against` is given. Without
            the promise, a dataset that has sidecars gets a warning (ROW018W), since `episeek index` alone does not
            rewrite rows; one without sidecars gets nothing.

    Raises:
        NotADatasetError: `root`, `data_root` or `against` is no directory, or not a LeRobot v3.0 dataset.
        UnsupportedVersionError: Another major version than 3.
    """
    info = read_info(root)
    videos = data_root if data_root is not None else root
    if not videos.is_dir():
        raise NotADatasetError(str(videos), "no such directory", "the root that holds the dataset's videos/")
    features = read_info_document(root)["features"]
    episodes, findings = read_raw_episodes(root, info)
    metadata_findings = run_rules(METADATA_RULES, Location(file=layout.EPISODES_DIR), info, episodes)
    findings += metadata_findings

    there = set(root.list(layout.BYTE_INDEX_DIR, suffix=".parquet"))
    has_sidecars = any(path in there for path, _ in TABLES.values())
    tables: SidecarTables | None = None
    sidecar_bytes = 0
    if has_sidecars:
        tables, found, sidecar_bytes = examine_sidecars(root, info)
        findings += found
    is_complete = episodes.all_valid(*episode_columns(info))
    context = VerificationContext(
        root=root,
        data_root=videos,
        against=against,
        info=info,
        features=tuple(key for key in features if key not in info.video_keys),
        is_complete=is_complete,
        has_tiling=has_tiling(metadata_findings, episodes),
        is_prepared=against is not None if prepared is None else prepared,
        has_sidecars=has_sidecars,
        sidecars=tables,
    )
    data_path, data_file = _data_files(info, episodes)
    data_files = _plan_data(data_path, data_file, episodes)
    indexed = _read_indexed(root) if tables is not None else {}
    video_files = _plan_videos(info, episodes, indexed)
    if is_complete:
        findings += _orphans(root, layout.DATA_DIR, ".parquet", {file.path for file in data_files})
        findings += _orphans(videos, layout.VIDEOS_DIR, ".mp4", {file.path for file in video_files})

    checks: list[Check] = [EpisodesCheck(tuple(batch)) for batch in _batched([path for path, _ in episodes.shards], 1)]
    checks += [DataCheck(tuple(batch)) for batch in _batched(data_files, 1)]
    least = FILES_PER_VIDEO_CHECK if videos.is_local else REMOTE_FILES_PER_VIDEO_CHECK
    checks += [VideoCheck(tuple(batch)) for batch in _batched(video_files, least)]
    if tables is not None:
        unreferenced = tuple(sorted(set(indexed) - {file.path for file in video_files}))
        checks += [SidecarCheck(name, unreferenced if name == "files" else ()) for name in TABLES]
    if against is not None:
        checks += _plan_comparison(against, episodes, data_path, data_file)
    return VerificationPlan(
        context=context,
        checks=tuple(checks),
        findings=tuple(findings),
        episode_count=len(episodes),
        data_file_count=len(data_files),
        video_file_count=len(video_files),
        episode_index=np.where(episodes.valid(lerobot.EPISODE_INDEX), episodes.values(lerobot.EPISODE_INDEX), -1),
        data_path=data_path,
        data_file=data_file,
        shards=episodes.shards,
        bytes_read=episodes.bytes_read + sidecar_bytes,
    )


def _data_files(info: DatasetInfo, episodes: RawEpisodes) -> tuple[tuple[str, ...], Int64Array]:
    columns = (lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX)
    return _paths(info.data_file, episodes, *columns)


def _paths(
    path_of: Callable[[int, int], str], episodes: RawEpisodes, chunk: str, file: str
) -> tuple[tuple[str, ...], Int64Array]:
    """The distinct paths that rows name, sorted, and which of them each row names; -1 where it is not said."""
    is_valid = episodes.valid(chunk, file)
    pairs = np.stack([episodes.values(chunk), episodes.values(file)], axis=1)[is_valid]
    distinct, which = np.unique(pairs, axis=0, return_inverse=True)
    paths = [path_of(*pair) for pair in distinct.tolist()]
    order = sorted(range(len(paths)), key=paths.__getitem__)
    rank = np.empty(len(paths), np.int64)
    rank[order] = np.arange(len(paths))
    named = np.full(len(is_valid), -1, np.int64)
    named[is_valid] = rank[which.reshape(-1)] if len(paths) else 0
    return tuple(paths[number] for number in order), named


def _plan_data(paths: tuple[str, ...], named: Int64Array, episodes: RawEpisodes) -> list[DataFile]:
    index, length = episodes.values(lerobot.EPISODE_INDEX), _or_unknown(episodes, lerobot.LENGTH)
    first = _or_unknown(episodes, lerobot.DATASET_FROM_INDEX)
    usable = episodes.valid(lerobot.EPISODE_INDEX)
    files = []
    for path, rows in zip(paths, _rows_by_file(named, len(paths)), strict=True):
        rows = rows[usable[rows]]
        rows = rows[np.argsort(index[rows], kind="stable")]
        files.append(DataFile(path, index[rows], length[rows], first[rows]))
    return files


def _plan_videos(info: DatasetInfo, episodes: RawEpisodes, indexed: dict[str, IndexedFile]) -> list[VideoFile]:
    files = []
    for camera in info.video_keys:
        chunk, file, start, stop = (lerobot.video_column(camera, field) for field in lerobot.VIDEO_FIELDS)
        paths, named = _paths(partial(info.video_file, camera), episodes, chunk, file)
        usable = episodes.valid(lerobot.EPISODE_INDEX, lerobot.LENGTH, start, stop)
        index = episodes.values(lerobot.EPISODE_INDEX)
        for path, rows in zip(paths, _rows_by_file(named, len(paths)), strict=True):
            rows = rows[usable[rows]]
            rows = rows[np.lexsort((index[rows], episodes.values(start)[rows]))]
            length, begin, end = (episodes.values(name)[rows] for name in (lerobot.LENGTH, start, stop))
            files.append(VideoFile(path, camera, index[rows], length, begin, end, indexed.get(path)))
    return files


def _rows_by_file(named: Int64Array, file_count: int) -> list[Int64Array]:
    """Rows of each file, rising; in one pass, not one per file."""
    order = np.argsort(named, kind="stable")
    bounds = np.searchsorted(named[order], np.arange(file_count + 1))
    return [order[bounds[number] : bounds[number + 1]] for number in range(file_count)]


def _or_unknown(episodes: RawEpisodes, column: str) -> Int64Array:
    values: npt.NDArray[Any] = np.where(episodes.valid(column), episodes.values(column), -1)
    return values


def _plan_comparison(
    against: Root, episodes: RawEpisodes, data_path: tuple[str, ...], data_file: Int64Array
) -> list[Check]:
    """Source files with their episodes and where these are now. Episodes are matched by their index."""
    info = read_info(against)
    source, _ = read_raw_episodes(against, info)  # what is wrong with the source is for a verification of the source
    paths, named = _data_files(info, source)
    index = episodes.values(lerobot.EPISODE_INDEX)
    known = np.flatnonzero(episodes.valid(lerobot.EPISODE_INDEX) & (data_file >= 0))
    known = known[np.argsort(index[known], kind="stable")]
    source_index = source.values(lerobot.EPISODE_INDEX)
    files = []
    for path, rows in zip(paths, _rows_by_file(named, len(paths)), strict=True):
        wanted = np.sort(source_index[rows[source.valid(lerobot.EPISODE_INDEX)[rows]]])
        if not len(known):
            continue
        position = np.minimum(np.searchsorted(index[known], wanted), len(known) - 1)
        is_there = index[known[position]] == wanted
        now, which = np.unique(data_file[known[position[is_there]]], return_inverse=True)
        files.append(SourceFile(path, wanted[is_there], tuple(data_path[number] for number in now), which.reshape(-1)))
    checks: list[Check] = [RewriteCheck(tuple(batch)) for batch in _batched(files, 1)]
    others = [
        path
        for path in against.list(layout.META_DIR)
        if not path.startswith(
            (f"{layout.EPISODES_DIR}/", f"{layout.BYTE_INDEX_DIR}/", f"{layout.BYTE_INDEX_PARTIAL_DIR}/")
        )
    ]
    return [*checks, MetadataCheck(tuple(others))]


def _read_indexed(root: Root) -> dict[str, IndexedFile]:
    """The rows of the sidecar table `files`, by path."""
    with root.open_parquet(layout.FILES_PATH) as file:
        rows = file.read().to_pylist()
    return {row["file_path"]: IndexedFile(number, row) for number, row in enumerate(rows)}


def _orphans(root: Root, directory: str, suffix: str, named: set[str]) -> list[Finding]:
    message = "no episode refers to this file; expected only files that meta/episodes names"
    unnamed = sorted(set(root.list(directory, suffix=suffix)) - named)
    return [finding(ORPHAN_FILE, message, Location(file=path)) for path in unnamed]


def _batched(items: Sequence[T], least: int) -> list[Sequence[T]]:
    size = max(least, -(-len(items) // MAX_CHECKS_PER_KIND))
    return [items[start : start + size] for start in range(0, len(items), size)]

"""From a dataset's metadata to checks: which files there are, what the metadata says of each, and how they are batched.

`survey` lists and reads documents, `read_shard` reads one file of meta/episodes; `plan_checks` puts both together and reads
nothing but the sidecars' footers. `plan_verification` does all of it, one after the other.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from episeek_pipelines.storage import Root
from episeek_pipelines.verify.arrays import Int64Array
from episeek_pipelines.verify.card_rules import check_card
from episeek_pipelines.verify.decode_rules import choose_episodes
from episeek_pipelines.verify.episodes import SOURCE_COLUMNS, RawEpisodes, Shard, episode_columns, joined, read_shard
from episeek_pipelines.verify.figures import Figures
from episeek_pipelines.verify.findings import Finding, Location, finding
from episeek_pipelines.verify.guard import guarded, run_rules
from episeek_pipelines.verify.layout_rules import check_folders, check_splits
from episeek_pipelines.verify.metadata_rules import METADATA_RULES, check_declared_rates, has_tiling
from episeek_pipelines.verify.options import DEFAULT_OPTIONS, VerifyOptions
from episeek_pipelines.verify.rewrite_rules import check_documents
from episeek_pipelines.verify.rules import (
    EPISODES_CHANGED,
    EPISODES_FOOTER,
    FILE_ORDER,
    INDEXED_FILES,
    MISSING_FILE,
    ORPHAN_FILE,
)
from episeek_pipelines.verify.sidecar_format import TABLES, ExaminedSidecars, examine_sidecars
from episeek_pipelines.verify.statistics_rules import check_statistics
from episeek_pipelines.verify.survey import Files, Survey, survey
from episeek_pipelines.verify.task_rules import check_tasks, task_numbers
from episeek_pipelines.verify.tasks import (
    Check,
    DataCheck,
    DataFile,
    DataGroup,
    IndexedFile,
    SidecarCheck,
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

FOOTERS_PER_DATA_CHECK = 4
"""Where rows are not looked at."""


def plan_verification(
    root: Root,
    *,
    data_root: Root | None = None,
    against: Root | None = None,
    prepared: bool | None = None,
    options: VerifyOptions = DEFAULT_OPTIONS,
) -> VerificationPlan:
    """Read the metadata and lay out the checks. Reads no rows and no video headers.

    Args:
        root: The dataset, or an overlay with its data/ and meta/.
        data_root: Where the videos are, when `root` is an overlay.
        against: The source dataset, when `root` is a rewrite of it: then nothing but the layout may differ.
        prepared: Whether one row group per episode is promised (ROW018). None: it is when `against` is given. Without
            the promise, a dataset that has sidecars gets a warning (ROW018W), since `episeek index` alone does not
            rewrite rows; one without sidecars gets nothing.
        options: Level and measures.

    Raises:
        NotADatasetError: `root`, `data_root` or `against` is no directory, or has no meta/info.json.
    """
    surveyed = survey(root, data_root=data_root, against=against)
    shards = (
        []
        if surveyed.info is None
        else [read_shard(path, *shard_arguments(surveyed)) for path in surveyed.episode_paths]
    )
    return plan_checks(shards, surveyed, prepared=prepared, options=options)


def shard_arguments(
    surveyed: Survey,
) -> tuple[Root, DatasetInfo, dict[str, int] | None, Root | None, Files, Files, frozenset[str]]:
    """What `read_shard` needs beside the path."""
    numbers = None if surveyed.tasks is None else task_numbers(surveyed.tasks)
    return (
        surveyed.root,
        surveyed.require_info(),
        numbers,
        surveyed.against,
        surveyed.files,
        surveyed.source_files,
        surveyed.pointers,
    )


def plan_checks(
    shards: Sequence[Shard], surveyed: Survey, *, prepared: bool | None = None, options: VerifyOptions = DEFAULT_OPTIONS
) -> VerificationPlan:
    """Lay out the checks of a dataset whose metadata has been read. Arguments as `plan_verification`."""
    info = surveyed.info
    if info is None:
        return VerificationPlan(
            root=str(surveyed.root),
            context=None,
            options=options,
            checks=(),
            findings=surveyed.findings,
            figures=Figures(),
            bytes_read=surveyed.bytes_read,
            files_read=surveyed.files_read,
        )
    episodes = joined(shards, info)
    findings = [*surveyed.findings, *(found for shard in shards for found in shard.findings)]
    metadata_findings = run_rules(METADATA_RULES, Location(file=layout.EPISODES_DIR), info, episodes)
    findings += metadata_findings
    findings += _check_documents(surveyed, info, episodes)
    has_sidecars = any(path in surveyed.files for path, _ in TABLES.values())
    examined = ExaminedSidecars(None, {}, ())
    is_here = surveyed.pointers.isdisjoint(path for path, _ in TABLES.values())
    if has_sidecars and is_here and options.looks_at("layout"):
        examined = examine_sidecars(surveyed.root, info, surveyed.files)
        findings += examined.findings
    features = surveyed.document.get("features", {})
    context = VerificationContext(
        root=surveyed.root,
        data_root=surveyed.data_root,
        against=surveyed.against,
        info=info,
        features=features,
        options=options,
        task_texts=_task_texts(surveyed),
        is_complete=episodes.all_valid(*episode_columns(info)),
        has_tiling=has_tiling(metadata_findings, episodes),
        is_prepared=surveyed.against is not None if prepared is None else prepared,
        has_sidecars=has_sidecars,
        sidecars=examined.tables,
    )
    data_path, data_file = _data_files(info, episodes)
    with_tasks = options.looks_at("rows")
    data_files = _plan_data(data_path, data_file, episodes, surveyed.files, with_tasks=with_tasks)
    video_files = _plan_videos(info, episodes, examined.files, surveyed.videos)
    if context.is_complete:
        named = {*data_path, *(file.path for file in video_files)}
        findings += _orphans(surveyed.files, layout.DATA_DIR, ".parquet", named)
        findings += _orphans(surveyed.videos, layout.VIDEOS_DIR, ".mp4", named)
    findings += run_rules((check_file_order,), Location(file=layout.DATA_DIR), surveyed, data_files)
    findings += [*_missing(data_files, surveyed.files), *_missing(video_files, surveyed.videos)]
    if examined.tables is not None:
        findings += _unknown_rows(examined.files, video_files, surveyed.videos)
    index = np.where(episodes.valid(lerobot.EPISODE_INDEX), episodes.values(lerobot.EPISODE_INDEX), -1)
    sources = _plan_sources(info, shards, index, data_path, data_file)
    checks = _checks(context, data_files, video_files, sources, surveyed)
    return VerificationPlan(
        root=str(surveyed.root),
        context=context,
        options=options,
        checks=tuple(checks),
        findings=tuple(findings),
        figures=_figures(info, episodes),
        data_file_count=len(data_files),
        video_file_count=len(video_files),
        episode_index=index,
        data_path=data_path,
        data_file=data_file,
        shards=episodes.shards,
        bytes_read=surveyed.bytes_read + sum(shard.bytes_read for shard in shards),
        files_read=surveyed.files_read + len(shards),
    )


def _check_documents(surveyed: Survey, info: DatasetInfo, episodes: RawEpisodes) -> list[Finding]:
    """Rules over what was read whole, and over the listing."""
    findings: list[Finding] = []
    names = {*surveyed.files, *surveyed.videos}
    has_sidecars = layout.FILES_PATH in surveyed.files
    features = surveyed.document.get("features", {})
    if not surveyed.episode_paths and info.total_episodes:
        where = Location(file=layout.EPISODES_DIR)
        findings.append(finding(EPISODES_FOOTER, "no Parquet files; expected the episodes of the dataset", where))
    with guarded(findings, "check_declared_rates", Location(file=layout.INFO_PATH)):
        findings += check_declared_rates(features, info)
    with guarded(findings, "check_tasks", Location(file=layout.TASKS_PATH)):
        if surveyed.tasks is not None or layout.TASKS_PATH not in surveyed.files:
            findings += check_tasks(surveyed.document, surveyed.tasks)
    with guarded(findings, "check_statistics", Location(file=layout.STATS_PATH)):
        if surveyed.statistics is not None or layout.STATS_PATH not in surveyed.files:
            findings += check_statistics(features, surveyed.statistics, info.total_frames)
    with guarded(findings, "check_card", Location(file=layout.CARD_PATH)):
        card, is_published = surveyed.card, surveyed.root.is_history
        findings += check_card(card, names, is_published=is_published, has_sidecars=has_sidecars)
    with guarded(findings, "check_folders", Location()):
        findings += check_folders(names, info.chunks_size)
    with guarded(findings, "check_splits", Location(file=layout.INFO_PATH)):
        findings += check_splits(surveyed.document, info.total_episodes)
    if surveyed.against is not None:
        with guarded(findings, "check_documents", Location(file=layout.META_DIR)):
            findings += check_documents(surveyed.documents, surveyed.source_documents)
        for path in sorted(set(surveyed.source_episodes) - set(surveyed.episode_paths)):
            message = "no such file; expected it as in the source"
            findings.append(finding(EPISODES_CHANGED, message, Location(file=path)))
    return findings


def _task_texts(surveyed: Survey) -> tuple[str, ...] | None:
    """By number, where these run from 0 without a gap; otherwise TSK014 says so."""
    if surveyed.tasks is None:
        return None
    numbers = task_numbers(surveyed.tasks)
    texts = sorted(numbers, key=numbers.__getitem__)
    return tuple(texts) if [numbers[text] for text in texts] == list(range(len(texts))) else None


def _checks(
    context: VerificationContext,
    data_files: Sequence[DataFile],
    video_files: Sequence[VideoFile],
    sources: Sequence[SourceFile],
    surveyed: Survey,
) -> list[Check]:
    options = context.options
    if not options.looks_at("layout"):
        return []
    there = [file for file in data_files if _there(file, surveyed.files, surveyed.pointers)]
    compared = sources if options.looks_at("rows") else ()
    groups = _grouped(there, compared)
    least = 1 if options.looks_at("rows") else FOOTERS_PER_DATA_CHECK
    checks: list[Check] = [DataCheck(tuple(batch)) for batch in _batched(groups, least)]
    videos = [file for file in video_files if _there(file, surveyed.videos, surveyed.pointers)]
    if options.looks_at("decode"):
        videos = _with_decoded(videos, options)
    least = FILES_PER_VIDEO_CHECK if context.data_root.is_local else REMOTE_FILES_PER_VIDEO_CHECK
    checks += [VideoCheck(tuple(batch)) for batch in _batched(videos, 1 if options.looks_at("decode") else least)]
    if context.sidecars is not None:
        checks += [SidecarCheck(name) for name in TABLES]
    return checks


def _grouped(files: Sequence[DataFile], sources: Sequence[SourceFile]) -> list[DataGroup]:
    """Files that share a source file, together with it, and so on: no file is in two groups."""
    group_of = {file.path: file.path for file in files}

    def leader(path: str) -> str:
        while group_of[path] != path:
            path = group_of[path]
        return path

    for source in sources:
        known = [path for path in source.rewritten_paths if path in group_of]
        for path in known[1:]:
            first, other = sorted((leader(known[0]), leader(path)))
            group_of[other] = first
    members: dict[str, list[DataFile]] = {}
    for file in files:
        members.setdefault(leader(file.path), []).append(file)
    origins: dict[str, list[SourceFile]] = {}
    for source in sources:
        known = [path for path in source.rewritten_paths if path in group_of]
        if known:
            origins.setdefault(leader(known[0]), []).append(source)
    return [DataGroup(tuple(group), tuple(origins.get(path, ()))) for path, group in members.items()]


def _with_decoded(files: Sequence[VideoFile], options: VerifyOptions) -> list[VideoFile]:
    """Choose the episodes that are decoded, of each camera the same."""
    known = np.unique(np.concatenate([file.episode_index for file in files])) if files else np.zeros(0, np.int64)
    chosen = choose_episodes(known, options)
    return [
        replace(file, decoded=tuple(np.flatnonzero(np.isin(file.episode_index, chosen)).tolist())) for file in files
    ]


def _figures(info: DatasetInfo, episodes: RawEpisodes) -> Figures:
    rows = np.flatnonzero(episodes.valid(lerobot.EPISODE_INDEX, lerobot.LENGTH))
    index = episodes.values(lerobot.EPISODE_INDEX)[rows]
    order = np.argsort(index, kind="stable")
    return Figures(index[order], episodes.values(lerobot.LENGTH)[rows][order], info.fps)


def _missing(files: Sequence[DataFile | VideoFile], there: Files) -> Iterator[Finding]:
    """INF004: files that the listing does not hold, or as empty."""
    for file in files:
        where = Location(file=file.path, camera=file.camera_key if isinstance(file, VideoFile) else None)
        if file.path not in there:
            yield finding(MISSING_FILE, "no such file; expected a file that the metadata names", where)
        elif file.file_size == 0:
            yield finding(MISSING_FILE, "an empty file; expected what its episodes hold", where)


def check_file_order(surveyed: Survey, files: Sequence[DataFile]) -> Iterator[Finding]:
    """INF043: `*/*.parquet` below meta/episodes and data/ is what LeRobot reads, sorted by path."""
    for path in surveyed.episode_paths:
        if path.count("/") != layout.EPISODES_DIR.count("/") + 2:
            message = "not in one folder below meta/episodes; expected meta/episodes/*/*.parquet"
            yield finding(FILE_ORDER, message, Location(file=path))
    before, reached = "", -1
    for file in files:
        if file.path not in surveyed.files:
            continue
        if file.path.count("/") != 2 or not file.path.startswith(f"{layout.DATA_DIR}/"):
            yield finding(
                FILE_ORDER, "not in one folder below data; expected data/*/*.parquet", Location(file=file.path)
            )
        known = file.dataset_from_index[file.dataset_from_index >= 0]
        if not len(known):
            continue
        first = int(known.min())
        if first < reached:
            message = f"rows from {first} on, behind {before} with rows from {reached} on; expected paths in the order of rows"
            yield finding(FILE_ORDER, message, Location(file=file.path))
        before, reached = file.path, first


def _there(file: DataFile | VideoFile, there: Files, pointers: frozenset[str]) -> bool:
    return file.path in there and file.file_size != 0 and file.path not in pointers


def _unknown_rows(indexed: dict[str, IndexedFile], videos: Sequence[VideoFile], there: Files) -> list[Finding]:
    """IDX031: rows of files that no episode refers to and that do not exist."""
    unknown = sorted(set(indexed) - {file.path for file in videos} - set(there))
    return [
        finding(
            INDEXED_FILES,
            f"a row for {path}, which does not exist; expected the files as they were indexed",
            Location(file=layout.FILES_PATH, row=indexed[path].row),
        )
        for path in unknown
    ]


def _data_files(info: DatasetInfo, episodes: RawEpisodes) -> tuple[tuple[str, ...], Int64Array]:
    columns = (lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX)
    return _paths(info.data_file, episodes.valid(*columns), *(episodes.values(name) for name in columns))


def _paths(
    path_of: Callable[[int, int], str], is_valid: npt.NDArray[np.bool_], chunk: Int64Array, file: Int64Array
) -> tuple[tuple[str, ...], Int64Array]:
    """The distinct paths that rows name, sorted, and which of them each row names; -1 where it is not said."""
    pairs = np.stack([chunk, file], axis=1)[is_valid]
    distinct, which = np.unique(pairs, axis=0, return_inverse=True)
    paths = [path_of(*pair) for pair in distinct.tolist()]
    order = sorted(range(len(paths)), key=paths.__getitem__)
    rank = np.empty(len(paths), np.int64)
    rank[order] = np.arange(len(paths))
    named = np.full(len(is_valid), -1, np.int64)
    named[is_valid] = rank[which.reshape(-1)] if len(paths) else 0
    return tuple(paths[number] for number in order), named


def _plan_data(
    paths: tuple[str, ...], named: Int64Array, episodes: RawEpisodes, there: Files, *, with_tasks: bool
) -> list[DataFile]:
    index, length = episodes.values(lerobot.EPISODE_INDEX), _or_unknown(episodes, lerobot.LENGTH)
    first = _or_unknown(episodes, lerobot.DATASET_FROM_INDEX)
    usable = episodes.valid(lerobot.EPISODE_INDEX)
    files = []
    for path, rows in zip(paths, _rows_by_file(named, len(paths)), strict=True):
        rows = rows[usable[rows]]
        rows = rows[np.argsort(index[rows], kind="stable")]
        tasks = None
        if with_tasks and episodes.tasks is not None:
            tasks = tuple(tuple(episodes.tasks.of(row).tolist()) for row in rows.tolist())
        files.append(DataFile(path, _size(there, path), index[rows], length[rows], first[rows], tasks))
    return files


def _plan_videos(
    info: DatasetInfo, episodes: RawEpisodes, indexed: dict[str, IndexedFile], there: Files
) -> list[VideoFile]:
    files = []
    for camera in info.video_keys:
        chunk, file, start, stop = (lerobot.video_column(camera, field) for field in lerobot.VIDEO_FIELDS)
        places = (episodes.valid(chunk, file), episodes.values(chunk), episodes.values(file))
        paths, named = _paths(partial(info.video_file, camera), *places)
        usable = episodes.valid(lerobot.EPISODE_INDEX, lerobot.LENGTH, start, stop)
        index = episodes.values(lerobot.EPISODE_INDEX)
        for path, rows in zip(paths, _rows_by_file(named, len(paths)), strict=True):
            rows = rows[usable[rows]]
            rows = rows[np.lexsort((index[rows], episodes.values(start)[rows]))]
            length, begin, end = (episodes.values(name)[rows] for name in (lerobot.LENGTH, start, stop))
            size = _size(there, path)
            files.append(VideoFile(path, camera, size, index[rows], length, begin, end, indexed.get(path)))
    return files


def _size(there: Files, path: str) -> int | None:
    identity = there.get(path)
    return None if identity is None else identity.size


def _rows_by_file(named: Int64Array, file_count: int) -> list[Int64Array]:
    """Rows of each file, rising; in one pass, not one per file."""
    order = np.argsort(named, kind="stable")
    bounds = np.searchsorted(named[order], np.arange(file_count + 1))
    return [order[bounds[number] : bounds[number + 1]] for number in range(file_count)]


def _or_unknown(episodes: RawEpisodes, column: str) -> Int64Array:
    values: npt.NDArray[Any] = np.where(episodes.valid(column), episodes.values(column), -1)
    return values


def _plan_sources(
    info: DatasetInfo, shards: Sequence[Shard], index: Int64Array, data_path: tuple[str, ...], data_file: Int64Array
) -> list[SourceFile]:
    """Source files with their episodes and where these are now. Episodes are matched by their index.

    A source that names its files by another template than `info` has had that found in its meta/info.json (INF021).
    """
    parts = [shard.source for shard in shards if shard.source is not None]
    if not parts:
        return []
    source_index, chunk, file = (np.concatenate([part[name].values for part in parts]) for name in SOURCE_COLUMNS)
    is_valid = np.logical_and.reduce(
        [np.concatenate([part[name].is_valid for part in parts]) for name in SOURCE_COLUMNS]
    )
    paths, named = _paths(info.data_file, is_valid, chunk, file)
    known = np.flatnonzero((index >= 0) & (data_file >= 0))
    known = known[np.argsort(index[known], kind="stable")]
    files = []
    for path, rows in zip(paths, _rows_by_file(named, len(paths)), strict=True):
        wanted = np.sort(source_index[rows])
        if not len(known):
            continue
        position = np.minimum(np.searchsorted(index[known], wanted), len(known) - 1)
        is_there = index[known[position]] == wanted
        now, which = np.unique(data_file[known[position[is_there]]], return_inverse=True)
        files.append(SourceFile(path, wanted[is_there], tuple(data_path[number] for number in now), which.reshape(-1)))
    return files


def _orphans(there: Files, directory: str, suffix: str, named: set[str]) -> list[Finding]:
    message = "no episode refers to this file; expected only files that meta/episodes names"
    unnamed = [p for p in there if p.startswith(f"{directory}/") and p.endswith(suffix) and p not in named]
    return [finding(ORPHAN_FILE, message, Location(file=path)) for path in unnamed]


def _batched(items: Sequence[T], least: int) -> list[Sequence[T]]:
    size = max(least, -(-len(items) // MAX_CHECKS_PER_KIND))
    return [items[start : start + size] for start in range(0, len(items), size)]

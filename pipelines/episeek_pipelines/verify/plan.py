"""Functions that plan a verification: they turn the metadata of a dataset into checks.

`survey` lists the files and reads the documents of meta/, and `read_shard` reads one file of meta/episodes. From these results,
`plan_checks` makes the checks. `plan_checks` also reads the sidecars, the index tables in `meta/byte_index/`: all their footers,
and the rows of the table `files`. `plan_verification` calls all of these functions in one process.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from episeek_pipelines.dataset.metadata import read_info
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.v2.root import V2Root
from episeek_pipelines.verify.batches import batched_checks
from episeek_pipelines.verify.data.global_statistics import recorded_quantiles
from episeek_pipelines.verify.episodes.declared_files import (
    collect_data_files,
    collect_source_files,
    collect_video_files,
    data_paths,
    undeclared_data_files,
    undeclared_video_files,
)
from episeek_pipelines.verify.episodes.file_rules import (
    check_file_order,
    check_indexed_files,
    check_missing,
    check_orphans,
)
from episeek_pipelines.verify.episodes.rules import (
    METADATA_RULES,
    agreed_frame_count,
    check_not_empty,
    counted_totals,
    has_tiling,
)
from episeek_pipelines.verify.episodes.shard import read_shard
from episeek_pipelines.verify.episodes.table import RawEpisodes, Shard, episode_columns, joined
from episeek_pipelines.verify.findings.checks import VerificationContext, VerificationPlan
from episeek_pipelines.verify.findings.episode_statistics import recorded_names
from episeek_pipelines.verify.findings.figures import Figures
from episeek_pipelines.verify.findings.findings import Location
from episeek_pipelines.verify.findings.guard import run_rules
from episeek_pipelines.verify.findings.options import DEFAULT_OPTIONS, VerifyOptions, with_level
from episeek_pipelines.verify.metadata.survey import Files, Survey, survey
from episeek_pipelines.verify.metadata.survey_rules import check_survey
from episeek_pipelines.verify.metadata.task_rules import task_numbers, texts_by_position
from episeek_pipelines.verify.sidecars.format import TABLES, ExaminedSidecars, examine_sidecars
from episeek_schemas import layout, lerobot
from episeek_schemas.lerobot import DatasetInfo


def plan_verification(
    root: Root,
    *,
    data_root: Root | None = None,
    against: Root | None = None,
    prepared: bool | None = None,
    options: VerifyOptions = DEFAULT_OPTIONS,
) -> VerificationPlan:
    """Return the plan of all checks of a dataset. Planning reads metadata and index tables, but no rows and no video headers.

    Args:
        root: The dataset, or an overlay: a folder with new data/ and meta/ for a dataset that has the videos.
        data_root: The root of the dataset that has the videos, if `root` is an overlay.
        against: The source dataset, if `root` is a rewrite of this source. Only the layout of the two datasets may differ.
        prepared: Whether the data files must have the layout that `episeek prepare` writes: one row group per episode (ROW018) and
            a page index (ROW038). None requires this layout if `against` is given or the dataset records its source. In any other
            dataset with sidecars, None requires only one row group per episode (ROW018), and False makes other row groups a
            warning (ROW018W).
        options: The options, including the level. If the level is None, `with_level` chooses a level.

    Raises:
        NotADatasetError: `root`, `data_root` or `against` is not a directory, or has no meta/info.json.
    """
    surveyed = survey(root, data_root=data_root, against=against)
    shards = (
        []
        if surveyed.info is None
        else [read_shard(path, *shard_arguments(surveyed, options)) for path in surveyed.episode_paths]
    )
    return plan_checks(shards, surveyed, prepared=prepared, options=options)


def shard_arguments(
    surveyed: Survey, options: VerifyOptions = DEFAULT_OPTIONS
) -> tuple[Root, DatasetInfo, dict[str, int] | None, Root | None, Files, Files, frozenset[str], Any, frozenset[str]]:
    """Return all arguments of `read_shard` after the first one, which is the path of a file of meta/episodes."""
    numbers = None if surveyed.tasks is None else task_numbers(surveyed.tasks)
    return (
        surveyed.root,
        surveyed.require_info(),
        numbers,
        surveyed.against,
        surveyed.files,
        surveyed.source_files,
        surveyed.pointers,
        surveyed.document.get("features") if _with_level(options, surveyed).looks_at("rows") else None,
        surveyed.moved_columns,
    )


def _with_level(options: VerifyOptions, surveyed: Survey) -> VerifyOptions:
    return with_level(options, is_local=surveyed.root.is_local, is_compared=surveyed.against is not None)


def plan_checks(
    shards: Sequence[Shard], surveyed: Survey, *, prepared: bool | None = None, options: VerifyOptions = DEFAULT_OPTIONS
) -> VerificationPlan:
    """Return the plan of all checks of a dataset whose metadata has been read.

    Args:
        shards: The contents of the files of meta/episodes, as `read_shard` returned them, in the order of their paths.
        surveyed: The listings and documents of the dataset.
        prepared: As in `plan_verification`.
        options: As in `plan_verification`.
    """
    options = _with_level(options, surveyed)
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
    listed = {*surveyed.files, *surveyed.videos}
    findings += run_rules((check_not_empty,), Location(file=layout.INFO_PATH), info, episodes, listed)
    findings += check_survey(surveyed, info, frame_count=agreed_frame_count(info, episodes))
    has_sidecars = any(path in surveyed.files for path, _ in TABLES.values())
    examined = ExaminedSidecars(None, {}, ())
    is_fetched = surveyed.pointers.isdisjoint(path for path, _ in TABLES.values())
    if has_sidecars and is_fetched and options.looks_at("layout"):
        examined = examine_sidecars(surveyed.root, info, surveyed.files, counted_totals(info, episodes))
        findings += examined.findings
    features = surveyed.document.get("features", {})
    is_prepared = surveyed.has_source_record or surveyed.against is not None if prepared is None else prepared
    has_tasks = options.looks_at("rows") and episodes.has_tasks
    context = VerificationContext(
        root=surveyed.root,
        data_root=surveyed.data_root,
        against=surveyed.against,
        info=info,
        features=features,
        options=options,
        task_texts=None if surveyed.tasks is None else texts_by_position(surveyed.tasks),
        subtask_count=None if surveyed.subtasks is None else surveyed.subtasks.num_rows,
        is_complete=episodes.all_valid(*episode_columns(info)),
        has_tiling=has_tiling(metadata_findings, episodes),
        is_prepared=is_prepared,
        has_promised_row_groups=is_prepared or (has_sidecars and prepared is None),
        has_sidecars=has_sidecars,
        sidecars=examined.tables,
        shards=episodes.shards,
        shard_versions={path: str(surveyed.files.get(path)) for path, _ in episodes.shards},
        task_numbers=task_numbers(surveyed.tasks) if has_tasks and surveyed.tasks is not None else None,
        statistics=recorded_names(features, episodes.statistics),
        quantiles=recorded_quantiles(features, surveyed.statistics) if options.looks_at("rows") else {},
    )
    data_path, data_file = data_paths(info, episodes)
    data_files = collect_data_files(data_path, data_file, episodes, surveyed.files)
    video_files = collect_video_files(info, episodes, examined.files, surveyed.videos)
    missing, meant_data = check_missing(data_files, surveyed.files, surveyed.root)
    missing_videos, meant_videos = check_missing(video_files, surveyed.videos, surveyed.data_root)
    findings += [*missing, *missing_videos]
    declared = {*data_path, *(file.path for file in video_files)}
    if context.is_complete:
        findings += check_orphans(surveyed.files, layout.DATA_DIR, ".parquet", declared, meant_data)
        if not surveyed.source_changes:
            # If the source has changed, its new videos belong to episodes that the overlay does not have.
            findings += check_orphans(
                surveyed.videos, layout.VIDEOS_DIR, ".mp4", declared | surveyed.skipped_videos, meant_videos
            )
    else:
        # The rows and frames of unreadable episodes may be in any file that no readable episode refers to.
        data_files += undeclared_data_files(surveyed.files, declared)
        video_files += undeclared_video_files(info, examined.files, surveyed.videos, declared)
    findings += run_rules((check_file_order,), Location(file=layout.DATA_DIR), surveyed, data_files)
    if examined.tables is not None:
        findings += check_indexed_files(examined.files, video_files, surveyed.videos)
    index = np.where(episodes.valid(lerobot.EPISODE_INDEX), episodes.values(lerobot.EPISODE_INDEX), -1)
    sources = collect_source_files(_source_paths(surveyed, info), shards, index, data_path, data_file)
    checks = batched_checks(context, data_files, video_files, sources, surveyed)
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
        statistics=surveyed.statistics,
        shards=episodes.shards,
        bytes_read=surveyed.bytes_read + sum(shard.bytes_read for shard in shards),
        files_read=surveyed.files_read + len(shards),
    )


def _source_paths(surveyed: Survey, info: DatasetInfo) -> Callable[[int, int], str]:
    """Return the function that maps a chunk index and a file index to the path of a data file of the source.

    A source of version 3.0 is expected to have the `data_path` of the rewritten dataset. INF021 reports a different `data_path`.
    """
    return read_info(surveyed.against).data_file if isinstance(surveyed.against, V2Root) else info.data_file


def _figures(info: DatasetInfo, episodes: RawEpisodes) -> Figures:
    rows = np.flatnonzero(episodes.valid(lerobot.EPISODE_INDEX, lerobot.LENGTH))
    index = episodes.values(lerobot.EPISODE_INDEX)[rows]
    order = np.argsort(index, kind="stable")
    return Figures(index[order], episodes.values(lerobot.LENGTH)[rows][order], info.fps)

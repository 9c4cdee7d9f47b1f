"""Run the main job, which rewrites, indexes and verifies a dataset.

`prepare` builds one graph: data files and MP4 files are its items, the sidecars and `meta/` are reductions over them, and checks of
the written dataset follow. A file that fails is reported by name, and the work of the other files is kept. If the call is repeated,
it processes only the remaining files.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from episeek.errors import EpiseekError, UnsupportedVersionError
from episeek_pipelines.dataset.declared_videos import require_videos
from episeek_pipelines.dataset.folder_digests import source_digests
from episeek_pipelines.dataset.metadata import Dataset, open_dataset
from episeek_pipelines.dataset.provenance import SKIPPED_KEY
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import DatasetStaging, open_dataset_staging, require_no_history
from episeek_pipelines.index.fragments import FragmentSummary
from episeek_pipelines.index.units import IndexUnit, plan_index
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution, Graph
from episeek_pipelines.jobs.node_functions import CopiedFile, RewriteReceipt, Sidecars
from episeek_pipelines.jobs.overlay_sources import require_own_videos
from episeek_pipelines.jobs.packing import Packing, pack_videos
from episeek_pipelines.jobs.picture_statistics import sample_pictures
from episeek_pipelines.jobs.preparation_plan import PreparationPlan, plan_of
from episeek_pipelines.jobs.reruns import is_current
from episeek_pipelines.jobs.results import (
    CopySummary,
    IndexSummary,
    PackSummary,
    PrepareResult,
    RewriteSummary,
    version_fields,
)
from episeek_pipelines.jobs.run_options import REPAIR_KEY, preparation_options, recorded_options, writing_options
from episeek_pipelines.jobs.run_record import record_run
from episeek_pipelines.jobs.running import added_up, run_graph, values_of
from episeek_pipelines.jobs.step_nodes import (
    WAYS,
    add_copy_nodes,
    add_index_nodes,
    add_merge_node,
    add_metadata_node,
    add_rewrite_nodes,
)
from episeek_pipelines.jobs.verify import add_verification_nodes, survey_all
from episeek_pipelines.jobs.video_choice import Videos
from episeek_pipelines.pack.plan import size_limit
from episeek_pipelines.repair.layer import write_layer
from episeek_pipelines.repair.plan import RepairPlan, plan_repairs
from episeek_pipelines.repair.record import read_repairs, write_repairs
from episeek_pipelines.repair.registry import EPISODE_STATISTICS, PICTURES, STATISTICS
from episeek_pipelines.repair.values import RepairChoice
from episeek_pipelines.rewrite.plan import RewritePlan, plan_rewrite
from episeek_pipelines.rewrite.rewrite import WrittenMetadata
from episeek_pipelines.verify import VerificationReport, VerifyOptions
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_pipelines.words import counted
from episeek_schemas import layout

PREPARED_OPTIONS: Final = VerifyOptions(level="rows", level_reason="as every row was written anew", decoded_windows=2)
"""The options with which `prepare` verifies its result: it compares rows with the source, and decodes two windows of each video."""

_LOCAL_FIRST: Final = "to a local DST first"
"""The words that follow "write" in the hint for a destination that is a repository."""
_STATISTICS: Final = frozenset({EPISODE_STATISTICS.code, STATISTICS.code, PICTURES.code})
"""The codes of repairs of statistics."""


def prepare(
    source: str,
    destination: str,
    *,
    max_episodes_per_file: int | None = None,
    videos: Videos = "none",
    video_file_size_mb: float | None = None,
    keyframes: KeyframeChoice = "auto",
    skip_episodes: Sequence[int] = (),
    repair: RepairChoice | None = None,
    force: bool = False,
    execution: Execution = DEFAULT_EXECUTION,
) -> PrepareResult:
    """Rewrite, index and verify a dataset as one graph. Do nothing if a run with the same source and options has finished before.

    Args:
        source: Root of a LeRobot dataset of version 3.0, 2.1 or 2.0: a path or an fsspec URL. It is never written to.
        destination: Root of the result: a new or empty directory, or the result of a previous run. A result without videos is an
            overlay, which has only `data/` and `meta/` and is opened with `data_root=source`.
        max_episodes_per_file: Split data files with more episodes; None derives the limit from the size of footers.
        videos: "none" leaves the videos in the source. All other values add the videos and the other files of the source, so
            that the destination is complete: "link" clones files, or copies them if the file system cannot clone; "copy" copies
            them; "hardlink" makes hard links, so that a tool that writes into the destination's videos changes the source; "pack"
            joins the videos of each camera into a few files, without encoding. Files that are reached through symbolic links are
            copied, never hard-linked. Folders that tools left in the source are left out.
        video_file_size_mb: With "pack", the size up to which episodes are added to a file, in LeRobot's megabytes of 2**20 bytes.
            None for `video_files_size_in_mb` of meta/info.json, or 200 if it has no such key.
        keyframes: As for `index`.
        skip_episodes: Episodes of a dataset of version 2.x to leave out. The remaining episodes are renumbered.
        repair: The choice of repairs that are made before the dataset is rewritten; None for no repairs.
        force: Write everything anew. A local destination of a previous run is replaced once the new one is complete.
        execution: Scheduler, workers, progress.

    Raises:
        EpiseekError: The source or the destination cannot be used; nothing was written.
        WorkFailedError: Some files could not be processed; the finished work is kept, and the same call resumes.
    """
    options = preparation_options(
        source,
        max_episodes_per_file=max_episodes_per_file,
        videos=videos,
        video_file_size_mb=video_file_size_mb,
        keyframes=keyframes,
        skip_episodes=skip_episodes,
        repair=repair,
    )
    return _prepared(source, destination, options, keyframes, execution, force=force)


def upgrade(
    source: str,
    destination: str,
    *,
    max_episodes_per_file: int | None = None,
    videos: Videos = "none",
    video_file_size_mb: float | None = None,
    skip_episodes: Sequence[int] = (),
    force: bool = False,
    execution: Execution = DEFAULT_EXECUTION,
) -> PrepareResult:
    """Convert a dataset of version 2.x to version 3.0 and verify it, as `prepare` does, but without sidecars.

    The headers of all videos are read, too, since each video has to contain exactly the frames of its episode. Arguments and
    errors are those of `prepare`; a source of version 3.0 raises `UnsupportedVersionError`.
    """
    writing = writing_options(max_episodes_per_file, videos, video_file_size_mb, skip_episodes)
    options = recorded_options("upgrade", source, **writing)
    return _prepared(source, destination, options, "auto", execution, force=force)


def _prepared(
    source: str,
    destination: str,
    options: dict[str, Any],
    keyframes: KeyframeChoice,
    execution: Execution,
    *,
    force: bool,
) -> PrepareResult:
    """Run the command that the options name: `prepare` or `upgrade`."""
    started = time.perf_counter()
    target = Root(destination)
    require_no_history(target, _LOCAL_FIRST)
    require_own_videos(Root(source), repairs=REPAIR_KEY in options)
    choice = None if REPAIR_KEY not in options else RepairChoice.of_document(options[REPAIR_KEY])
    # a source that is repaired is opened with its repairs made, since it may not be usable without them
    opened = _usable_source(source, options) if choice is None else None
    files = Root(source).pinned() if opened is None else opened.root.physical
    if not force and is_current(files, target, options):
        seconds = time.perf_counter() - started
        return PrepareResult(target.url, seconds, is_resumed=False, is_current=True, repairs=read_repairs(target))
    read = source_digests(files)
    repairing = None if choice is None else plan_repairs(files, choice)
    with _refusals_in_errors(repairing), open_dataset_staging(files, target, options, force=force) as staging:
        if repairing is not None:
            repairing = sample_pictures(repairing, Root(staging.work.join("pictures")), execution)
            opened = open_dataset(write_layer(repairing.draft, staging.repaired))
        assert opened is not None
        work = _plan_work(opened, files, staging, options, keyframes, execution)
        summaries, stage_seconds = _run(work, opened, files, staging, options, execution)
        result = PrepareResult(
            destination=staging.final.url,
            seconds=time.perf_counter() - started,
            is_resumed=staging.is_resumed,
            **summaries,
            **_repair_fields(repairing),
            **version_fields(opened),
        )
        if work.packing is not None:
            stage_seconds = added_up(work.packing.stage_seconds, stage_seconds)
        record_run(result, opened.root.physical, read, staging, options, execution, stage_seconds)
        if repairing is not None:
            write_repairs(staging.root, repairing.made)
        staging.commit()
    return replace(result, seconds=time.perf_counter() - started)


@contextmanager
def _refusals_in_errors(repairing: RepairPlan | None) -> Iterator[None]:
    """Add the refused repairs to the hint of an error in the `with` block, since an unrepaired defect probably caused the error.

    Refused repairs of statistics are left out, since no statistics prevent a preparation.
    """
    try:
        yield
    except EpiseekError as error:
        refusals = (
            [] if repairing is None else [each for each in repairing.made.refusals if each.code not in _STATISTICS]
        )
        if refusals:
            first = f"{refusals[0].place}: {refusals[0].found}"
            seen = f"run `episeek repair SRC DST --dry-run` to see {counted(len(refusals), 'refused repair')}, {first}"
            error.hint = f"{error.hint}; {seen}" if error.hint else seen
        raise


def _usable_source(source: str, options: dict[str, Any]) -> Dataset:
    """Return the source, or raise the error that says why the command cannot use it."""
    dataset = open_dataset(source, skipped=tuple(options.get(SKIPPED_KEY, ())))
    if options["command"] == "upgrade" and not dataset.is_file_an_episode:
        found, hint = f"codebase_version {dataset.found_version!r}", "use `episeek prepare SRC DST`"
        where = dataset.root.physical.join(layout.INFO_PATH)
        raise UnsupportedVersionError(where, found, "version 2.0 or 2.1", hint)
    dataset.require_sound_documents()
    return dataset


@dataclass(frozen=True, slots=True)
class _Work:
    """The planned work of a run, and its packed videos, which are written before the graph is built."""

    rewriting: RewritePlan
    indexing: list[IndexUnit]
    packing: Packing | None


def _plan_work(
    dataset: Dataset,
    files: Root,
    staging: DatasetStaging,
    options: dict[str, Any],
    keyframes: KeyframeChoice,
    execution: Execution,
) -> _Work:
    """Return the work of a run. With `videos="pack"`, first pack the videos, since the index describes the packed files."""
    if options["videos"] != "pack":
        indexing = plan_index(dataset, files, keyframes=keyframes, is_whole=dataset.is_file_an_episode)
        return _Work(plan_rewrite(dataset, max_episodes_per_file=options["cap"]), indexing, None)
    declared = require_videos(dataset, files)
    rewriting = plan_rewrite(dataset, max_episodes_per_file=options["cap"])
    limit_bytes = size_limit(dataset, options["video_file_size_mb"])
    packing = pack_videos(dataset, declared, staging, limit_bytes=limit_bytes, keyframes=keyframes, execution=execution)
    return _Work(rewriting, plan_index(packing.dataset, staging.root, keyframes=keyframes), packing)


def _run(
    work: _Work, dataset: Dataset, files: Root, staging: DatasetStaging, options: dict[str, Any], execution: Execution
) -> tuple[dict[str, Any], dict[str, float]]:
    """Run the graph of `prepare` or `upgrade`.

    Returns:
        The fields of the result that summarize the steps, and the seconds of each stage.

    Raises:
        WorkFailedError: Items failed; the error lists all of them.
    """
    videos: Videos = options["videos"]
    is_upgrade = options["command"] == "upgrade"
    graph = Graph()
    indexed_root = files if work.packing is None else staging.root
    index_nodes = add_index_nodes(graph, dataset, indexed_root, staging.work, work.indexing)
    rewrite_nodes = add_rewrite_nodes(graph, dataset, staging, work.rewriting)
    copy_nodes, left_out = add_copy_nodes(graph, dataset, staging, videos)
    merged = [] if is_upgrade else [add_merge_node(graph, dataset, staging.work, staging.root, index_nodes)]
    written = [*rewrite_nodes, *copy_nodes, *merged]
    # an upgrade ends if the header of a video shows other frames than those of its episode
    finished = [*written, *index_nodes] if is_upgrade else written
    packed = None if work.packing is None else work.packing.plan
    metadata = add_metadata_node(graph, dataset, staging, work.rewriting, finished, packed)
    data_root = files if videos == "none" else staging.root
    roots = (staging.root, data_root, dataset.root)
    surveyed = graph.reduce(survey_all, [metadata], *roots, label="verify")
    verification = add_verification_nodes(graph, surveyed, None, PREPARED_OPTIONS)
    values, stage_seconds = run_graph(graph, [*index_nodes, *written, metadata, verification], staging, execution)
    receipts, metadata_written = values_of(values, RewriteReceipt), values_of(values, WrittenMetadata)[0]
    verified = replace(values_of(values, VerificationReport)[0], root=staging.final.url)
    summaries = {
        "rewrite": RewriteSummary.of(receipts, work.rewriting, metadata_written),
        "index": _index_summary(values, staging),
        "verification": verified,
        "copies": None if videos == "none" else CopySummary.of(values_of(values, CopiedFile), left_out, WAYS[videos]),
        "packing": None if work.packing is None else PackSummary.of(work.packing),
    }
    return summaries, stage_seconds


def plan_preparation(
    source: str,
    destination: str,
    *,
    max_episodes_per_file: int | None = None,
    videos: Videos = "none",
    video_file_size_mb: float | None = None,
    keyframes: KeyframeChoice = "auto",
    skip_episodes: Sequence[int] = (),
    force: bool = False,
) -> PreparationPlan:
    """Return what `prepare` would read and write with these arguments. Nothing is written.

    Raises:
        EpiseekError: `prepare` would refuse the source or the destination with this error. Errors that need the headers of videos,
            or the free space of the destination, are not found here.
    """
    require_no_history(Root(destination), _LOCAL_FIRST)
    require_own_videos(Root(source), repairs=False)
    options = preparation_options(
        source,
        max_episodes_per_file=max_episodes_per_file,
        videos=videos,
        video_file_size_mb=video_file_size_mb,
        keyframes=keyframes,
        skip_episodes=skip_episodes,
    )
    return plan_of(
        open_dataset(source, skipped=tuple(options.get(SKIPPED_KEY, ()))),
        destination,
        options,
        max_episodes_per_file=max_episodes_per_file,
        videos=videos,
        keyframes=keyframes,
        force=force,
    )


def _repair_fields(repairing: RepairPlan | None) -> dict[str, Any]:
    """Return the fields of the result that describe repairs of the source."""
    if repairing is None:
        return {}
    return {
        "repairs": repairing.made,
        "skipped_episodes": tuple(sorted({*repairing.draft.lost, *repairing.draft.unlisted})),
    }


def _index_summary(values: list[Any], staging: DatasetStaging) -> IndexSummary | None:
    """Return the totals of indexing, or None if no sidecars were written."""
    written = values_of(values, Sidecars)
    if not written:
        return None
    return IndexSummary.of(values_of(values, FragmentSummary), staging.root, written[0].build_id)

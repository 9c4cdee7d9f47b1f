"""Run the main job, which rewrites, indexes and verifies a dataset, or only rewrite or only index one.

`prepare` builds one graph: data files and MP4 files are its items, the sidecars and `meta/` are reductions over them, and checks of
the written dataset follow. A file that fails is reported by name, and the work of the other files is kept: the same call resumes.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from episeek.errors import ChangedFileError, DestinationError, UnsupportedVersionError
from episeek_pipelines.dataset.declared_videos import require_videos
from episeek_pipelines.dataset.folder_digests import source_digests
from episeek_pipelines.dataset.metadata import Dataset, open_dataset
from episeek_pipelines.dataset.provenance import SKIPPED_KEY, record_source, recorded_videos, write_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.sidecar_staging import SidecarStaging
from episeek_pipelines.dataset.source_changes import changed_source_files
from episeek_pipelines.dataset.staging import DatasetStaging, open_dataset_staging
from episeek_pipelines.dataset.v2.root import V2Root
from episeek_pipelines.dataset.v2.strays import stray_files
from episeek_pipelines.index.fragments import FragmentSummary
from episeek_pipelines.index.reuse import with_unchanged
from episeek_pipelines.index.units import plan_index
from episeek_pipelines.jobs import node_functions
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution, Graph
from episeek_pipelines.jobs.node_functions import CopiedFile, RewriteReceipt, Sidecars
from episeek_pipelines.jobs.packing import pack_videos
from episeek_pipelines.jobs.picture_statistics import sample_pictures
from episeek_pipelines.jobs.preparation_plan import PreparationPlan, plan_of
from episeek_pipelines.jobs.reruns import is_current
from episeek_pipelines.jobs.results import CopySummary, IndexSummary, PackSummary, PrepareResult, RewriteSummary
from episeek_pipelines.jobs.run_record import write_run_record
from episeek_pipelines.jobs.running import added_up, run_graph
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
from episeek_pipelines.pack.plan import PACK_VERSION, size_limit
from episeek_pipelines.repair.layer import write_layer
from episeek_pipelines.repair.plan import RepairPlan, plan_repairs
from episeek_pipelines.repair.record import read_repairs, write_repairs
from episeek_pipelines.repair.registry import REPAIR_VERSION
from episeek_pipelines.repair.values import RepairChoice
from episeek_pipelines.rewrite.rewrite import REWRITE_VERSION, WrittenMetadata, plan_rewrite
from episeek_pipelines.verify import VerificationReport, VerifyOptions
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_schemas import layout, sidecars

PREPARED_OPTIONS: Final = VerifyOptions(level="rows", level_reason="as every row was written anew", decoded_windows=2)
"""The checks of what `prepare` wrote: rows, compared with the source, and pictures of two windows of each local video."""

REPAIR_KEY: Final = "repair"
"""Key of the recorded preparation: the version of the repairs, and the choice among them."""

T = TypeVar("T")


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
        destination: Root of the result: a new or empty directory, or the result of a previous run. It holds `data/` and `meta/`,
            an overlay that is opened with `data_root=source`.
        max_episodes_per_file: Split data files with more episodes; None derives the limit from the size of footers.
        videos: "none" leaves the videos in the source. All other values add the videos and the other files of the source, so that
            the
            destination is complete: "link" clones files, or copies them if the file system cannot clone; "copy" copies them;
            "hardlink" makes hard links, so that a tool that writes into the destination's videos changes the source; "pack" joins
            the videos of each camera into a few files, without encoding. Files behind symbolic links are copied, never
            hard-linked. Folders that tools left in the source are left out.
        video_file_size_mb: With "pack", the size up to which episodes are added to a file, in LeRobot's megabytes of 2**20 bytes.
            None for `video_files_size_in_mb` of meta/info.json, or 200 if it has no such key.
        keyframes: As for `index`.
        skip_episodes: Episodes of a dataset of version 2.x to leave out. The remaining episodes are renumbered.
        repair: Which repairs to make in the source; None for none.
        force: Write everything anew. A local destination of a previous run is replaced once the new one is complete.
        execution: Scheduler, workers, progress.

    Raises:
        EpiseekError: The source or the destination cannot be used; nothing was written.
        WorkFailedError: Some files could not be processed; the finished work is kept, and the same call resumes.
    """
    plan = preparation_options(
        source,
        max_episodes_per_file=max_episodes_per_file,
        videos=videos,
        video_file_size_mb=video_file_size_mb,
        keyframes=keyframes,
        skip_episodes=skip_episodes,
        repair=repair,
    )
    return _prepared(source, destination, plan, keyframes, execution, force=force)


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

    The headers of all videos are read, too, since each video has to hold exactly the frames of its episode. Arguments and errors
    are those of `prepare`; a source of version 3.0 raises `UnsupportedVersionError`.
    """
    options = _writing_options(max_episodes_per_file, videos, video_file_size_mb, skip_episodes)
    plan = _plan(source, "upgrade", **options)
    return _prepared(source, destination, plan, "auto", execution, force=force)


def _prepared(
    source: str,
    destination: str,
    plan: dict[str, Any],
    keyframes: KeyframeChoice,
    execution: Execution,
    *,
    force: bool,
) -> PrepareResult:
    """Run the command that the recorded options `plan` name: prepare or upgrade."""
    started = time.perf_counter()
    videos: Videos = plan["videos"]
    is_upgrade = plan["command"] == "upgrade"
    _require_no_history(Root(destination), "to a local DST first")
    choice = None if REPAIR_KEY not in plan else RepairChoice.of_document(plan[REPAIR_KEY])
    opened = None
    if choice is None:
        opened = open_dataset(source, skipped=tuple(plan.get(SKIPPED_KEY, ())))
        _require_usable(opened, is_upgrade=is_upgrade)
    files = Root(source).pinned() if opened is None else opened.root.physical
    if not force and is_current(files, Root(destination), plan):
        seconds = time.perf_counter() - started
        known = read_repairs(Root(destination))
        return PrepareResult(Root(destination).url, seconds, is_resumed=False, is_current=True, repairs=known)
    read = source_digests(files)
    repairing = None if choice is None else plan_repairs(files, choice)
    with open_dataset_staging(files, Root(destination), plan, force=force) as staging:
        dataset = opened
        if dataset is None:
            assert repairing is not None
            repairing = sample_pictures(repairing, Root(staging.work.join("pictures")), execution)
            dataset = open_dataset(write_layer(repairing.draft, staging.repaired))
        declared = require_videos(dataset, files) if videos == "pack" else []
        is_whole = dataset.is_file_an_episode
        units = [] if videos == "pack" else plan_index(dataset, files, keyframes=keyframes, is_whole=is_whole)
        rewriting = plan_rewrite(dataset, max_episodes_per_file=plan["cap"])
        packing = None
        if videos == "pack":
            limit_bytes = size_limit(dataset, plan["video_file_size_mb"])
            packing = pack_videos(
                dataset, declared, staging, limit_bytes=limit_bytes, keyframes=keyframes, execution=execution
            )
            units = plan_index(packing.dataset, staging.root, keyframes=keyframes)
        graph = Graph()
        indexed_root = files if packing is None else staging.root
        index_nodes = add_index_nodes(graph, dataset, indexed_root, staging.work, units)
        rewrite_nodes = add_rewrite_nodes(graph, dataset, staging, rewriting)
        copy_nodes, left_out = add_copy_nodes(graph, dataset, staging, videos)
        merged = [] if is_upgrade else [add_merge_node(graph, dataset, staging.work, staging.root, index_nodes)]
        written = [*rewrite_nodes, *copy_nodes, *merged]
        packed = None if packing is None else packing.plan
        # with the headers: a video with other frames than those of its episode ends the run
        finished = [*written, *index_nodes] if is_upgrade else written
        metadata = add_metadata_node(graph, dataset, staging, rewriting, finished, packed)
        data_root = files if videos == "none" else staging.root
        roots = (staging.root, data_root, dataset.root)
        surveyed = graph.reduce(survey_all, [metadata], *roots, label="verify")
        verification = add_verification_nodes(graph, surveyed, None, PREPARED_OPTIONS)
        values, stage_seconds = run_graph(graph, [*index_nodes, *written, metadata, verification], staging, execution)
        result = PrepareResult(
            destination=staging.final.url,
            seconds=time.perf_counter() - started,
            is_resumed=staging.is_resumed,
            rewrite=RewriteSummary.of(_of(values, RewriteReceipt), rewriting, _of(values, WrittenMetadata)[0]),
            index=_index_summary(values, staging),
            verification=replace(_of(values, VerificationReport)[0], root=staging.final.url),
            copies=None if videos == "none" else CopySummary.of(_of(values, CopiedFile), left_out, WAYS[videos]),
            packing=None if packing is None else PackSummary.of(packing),
            **_repair_facts(repairing),
            **_version_facts(dataset),
        )
        if packing is not None:
            stage_seconds = added_up(packing.stage_seconds, stage_seconds)
        _record(result, dataset, staging, plan, execution, stage_seconds, read)
        if repairing is not None:
            write_repairs(staging.root, repairing.made)
        staging.commit()
    return replace(result, seconds=time.perf_counter() - started)


def _require_usable(dataset: Dataset, *, is_upgrade: bool) -> None:
    if is_upgrade and not dataset.is_file_an_episode:
        found, hint = f"codebase_version {dataset.found_version!r}", "use `episeek prepare SRC DST`"
        where = dataset.root.physical.join(layout.INFO_PATH)
        raise UnsupportedVersionError(where, found, "version 2.0 or 2.1", hint)
    dataset.require_sound_documents()


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
    _require_no_history(Root(destination), "to a local DST first")
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


def rewrite(
    source: str,
    destination: str,
    *,
    max_episodes_per_file: int | None = None,
    force: bool = False,
    execution: Execution = DEFAULT_EXECUTION,
) -> PrepareResult:
    """Rewrite the data files and `meta/` of a dataset. Arguments and errors are those of `prepare`."""
    started = time.perf_counter()
    _require_no_history(Root(destination), "to a local DST first")
    dataset = open_dataset(source)
    dataset.require_sound_documents()
    plan = _plan(source, "rewrite", cap=max_episodes_per_file)
    if not force and is_current(dataset.root.physical, Root(destination), plan):
        seconds = time.perf_counter() - started
        return PrepareResult(Root(destination).url, seconds, is_resumed=False, is_current=True)
    read = source_digests(dataset.root.physical)
    rewriting = plan_rewrite(dataset, max_episodes_per_file=max_episodes_per_file)
    with open_dataset_staging(dataset.root.physical, Root(destination), plan, force=force) as staging:
        graph = Graph()
        nodes = add_rewrite_nodes(graph, dataset, staging, rewriting)
        metadata = add_metadata_node(graph, dataset, staging, rewriting, nodes)
        values, stage_seconds = run_graph(graph, [*nodes, metadata], staging, execution)
        summary = RewriteSummary.of(_of(values, RewriteReceipt), rewriting, _of(values, WrittenMetadata)[0])
        result = PrepareResult(
            staging.final.url,
            time.perf_counter() - started,
            staging.is_resumed,
            rewrite=summary,
            **_version_facts(dataset),
        )
        _record(result, dataset, staging, plan, execution, stage_seconds, read)
        staging.commit()
    return replace(result, seconds=time.perf_counter() - started)


def index(
    source: str,
    *,
    output: str | None = None,
    data_root: str | None = None,
    keyframes: KeyframeChoice = "auto",
    execution: Execution = DEFAULT_EXECUTION,
) -> PrepareResult:
    """Write the sidecars of a dataset, in place or below another root. Existing sidecars are replaced all at once.

    In a store whose listing gives identities, only files whose rows in the existing sidecars are not up to date are read.

    Args:
        source: Root of a LeRobot dataset of version 3.0, 2.1 or 2.0.
        output: Root below which `meta/byte_index/` is written; None is `source`.
        data_root: The dataset with the videos if `source` is an overlay. None for `source`, or for the source that a local overlay
            records.
        keyframes: Which samples are read to find where decoding can start, and parameter sets. "auto" reads the first bytes of all
            samples of a local video, and of a few keyframes of a video in a store, or of all if these do not decide. "all" reads
            all.
        execution: Scheduler, workers, progress.

    Raises:
        EpiseekError: The source or the output cannot be used; nothing was written.
        WorkFailedError: Some files could not be indexed; nothing was replaced, the finished work is kept, and the same call
            resumes.
    """
    started = time.perf_counter()
    _require_no_history(Root(source if output is None else output), "with --output DIR")
    dataset = open_dataset(source)
    files = dataset.root.physical
    videos = Root(data_root).pinned() if data_root is not None else recorded_videos(files) or files
    units = plan_index(dataset, videos, keyframes=keyframes)
    target = files if output is None else Root(output)
    with SidecarStaging(target) as staging:
        is_resumed = bool(staging.work.list("index"))
        units, existing = with_unchanged(units, target, dataset.info)
        graph = Graph()
        nodes = add_index_nodes(graph, dataset, videos, staging.work, units, existing)
        merged = add_merge_node(graph, dataset, staging.work, staging.root, nodes)
        values, _ = run_graph(graph, [*nodes, merged], staging, execution)
        summary = IndexSummary.of(_of(values, FragmentSummary), staging.root, _of(values, Sidecars)[0].build_id)
        staging.commit()
    changes = changed_source_files(files, videos)
    lacks_pin = target.is_local and target.exists(layout.CARD_PATH) and node_functions.card_with_pin(target) is not None
    return PrepareResult(
        target.url,
        time.perf_counter() - started,
        is_resumed,
        index=summary,
        source_changes=changes,
        lacks_pin=lacks_pin,
    )


def preparation_options(
    source: str,
    *,
    max_episodes_per_file: int | None = None,
    videos: Videos = "none",
    video_file_size_mb: float | None = None,
    keyframes: KeyframeChoice = "auto",
    skip_episodes: Sequence[int] = (),
    repair: RepairChoice | None = None,
) -> dict[str, Any]:
    """Return all options that decide the result of `prepare`. A run is resumed or skipped only if these are the same."""
    options = _writing_options(max_episodes_per_file, videos, video_file_size_mb, skip_episodes)
    if repair is not None:
        options[REPAIR_KEY] = {"version": REPAIR_VERSION, **repair.as_document()}
    # of videos of this machine, all keyframes are looked at anyway
    looking = {} if keyframes == "auto" or Root(source).is_local else {"keyframes": keyframes}
    return _plan(source, "prepare", index_version=sidecars.INDEX_VERSION, **options, **looking)


def _writing_options(
    max_episodes_per_file: int | None,
    videos: Videos,
    video_file_size_mb: float | None,
    skip_episodes: Sequence[int],
) -> dict[str, Any]:
    """Return the options that decide which data and videos are written, without unused options."""
    packing = {"pack_version": PACK_VERSION, "video_file_size_mb": video_file_size_mb} if videos == "pack" else {}
    skipping = {SKIPPED_KEY: sorted({*skip_episodes})} if skip_episodes else {}
    return {"cap": max_episodes_per_file, "videos": videos, **packing, **skipping}


def _version_facts(dataset: Dataset) -> dict[str, Any]:
    """Return the fields of the result that describe a source of version 2.x."""
    if not isinstance(dataset.root, V2Root):
        return {}
    return {
        "source_version": dataset.found_version,
        "strays": stray_files(dataset),
        "skipped_episodes": dataset.root.skipped,
    }


def _repair_facts(repairing: RepairPlan | None) -> dict[str, Any]:
    """Return the fields of the result that describe repairs of the source."""
    if repairing is None:
        return {}
    return {
        "repairs": repairing.made,
        "skipped_episodes": tuple(sorted({*repairing.draft.lost, *repairing.draft.unlisted})),
    }


def _index_summary(values: list[Any], staging: DatasetStaging) -> IndexSummary | None:
    """Return the totals of indexing, or None if no sidecars were written."""
    written = _of(values, Sidecars)
    if not written:
        return None
    return IndexSummary.of(_of(values, FragmentSummary), staging.root, written[0].build_id)


def _record(
    result: PrepareResult,
    dataset: Dataset,
    staging: DatasetStaging,
    plan: dict[str, Any],
    execution: Execution,
    stage_seconds: dict[str, float],
    read: dict[str, str],
) -> None:
    """Write the record of the source, for publications and readers of an overlay, and the record of the run, for later runs.

    Raises:
        ChangedFileError: The source changed since its digests `read` were taken.
    """
    source = dataset.root.physical
    now = source_digests(source)
    if now != read:
        changed = " and ".join(
            f"{folder}/" if folder else "other files" for folder in now if now[folder] != read[folder]
        )
        found, hint = f"{changed} changed while it was read", "run the same command again when nothing writes there"
        raise ChangedFileError(str(source), found, "a source that stays as it is", hint)
    if staging.is_resumed:
        # a run that was killed may have written records
        staging.root.remove(layout.SOURCE_RECORD_DIR)
    record = replace(record_source(source, plan), version=result.source_version)
    write_record(staging.root, record)
    write_run_record(result, read, staging.root, plan, execution, stage_seconds)


def _require_no_history(destination: Root, remedy: str) -> None:
    """Raise DestinationError for a repository as destination, where each file would be a commit of its own."""
    if destination.kind.has_history:
        expected = "a place without a history of commits"
        hint = f"write {remedy}, and then run `episeek publish`"
        raise DestinationError(str(destination), "a repository on the Hub, as destination", expected, hint)


def _plan(source: str, command: str, **options: Any) -> dict[str, Any]:
    where = Root(source)
    # it is read again from other working directories
    url = os.path.abspath(where.url) if where.is_local else where.url
    return {"command": command, "source": url, "rewrite_version": REWRITE_VERSION, **options}


def _of(values: list[Any], kind: type[T]) -> list[T]:
    return [value for value in values if isinstance(value, kind)]

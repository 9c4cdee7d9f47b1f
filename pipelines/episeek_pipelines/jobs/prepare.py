"""The main job and its parts as graphs: rewrite, index and verify a dataset, or one of these alone.

`prepare` builds one graph: data files and MP4 files are the units of work, the sidecars and `meta/` are reductions over
them, and the checks follow on what was written. A file that fails names itself and the others' work is kept: run the
same command again to go on.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, TypeVar

from episeek.errors import DestinationError, EpiseekError, MissingFileError
from episeek_pipelines.dataset.metadata import Dataset, open_dataset
from episeek_pipelines.dataset.provenance import record_source, source_commit, write_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.sidecar_staging import SidecarStaging
from episeek_pipelines.dataset.staging import DatasetStaging, open_dataset_staging
from episeek_pipelines.index.existing_rows import ExistingRows
from episeek_pipelines.index.fragments import FragmentSummary
from episeek_pipelines.index.reuse import with_unchanged
from episeek_pipelines.index.units import IndexUnit, plan_index
from episeek_pipelines.jobs import tasks
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution, Graph, Node, values_and_failures
from episeek_pipelines.jobs.results import (
    IndexSummary,
    PrepareResult,
    RewriteSummary,
    WorkFailedError,
)
from episeek_pipelines.jobs.tasks import CopiedFile, RewriteReceipt, Sidecars
from episeek_pipelines.rewrite.rewrite import REWRITE_VERSION, RewritePlan, plan_rewrite
from episeek_pipelines.verify import DEFAULT_OPTIONS, Survey, VerificationReport, VerifyOptions, survey
from episeek_schemas import layout, sidecars

Videos = Literal["none", "link", "copy"]

MAX_VERIFICATION_SLICES = 32
"""Each gets the whole plan; more would cost more in passing it on than in waiting for the last."""

MAX_SHARD_SLICES = 8
"""Of the files of meta/episodes: each gets the whole survey."""

T = TypeVar("T")


def prepare(
    source: str,
    destination: str,
    *,
    max_episodes_per_file: int | None = None,
    videos: Videos = "none",
    execution: Execution = DEFAULT_EXECUTION,
) -> PrepareResult:
    """Rewrite, index and verify a dataset as one graph.

    Args:
        source: Root of a LeRobot v3.0 dataset: a path or an fsspec URL; never written to.
        destination: Where the result appears: not there yet, or empty. It holds `data/` and `meta/`: an overlay, to be
            opened with `data_root=source`.
        max_episodes_per_file: Split data files above this; None chooses from the footers' facts.
        videos: "link" or "copy" to add everything else of the source, so that the destination is a dataset of its own.
        execution: Scheduler, workers, progress.

    Raises:
        EpiseekError: What was found before any work was done.
        WorkFailedError: Some files could not be done; the finished work is kept for another run.
    """
    started = time.perf_counter()
    _require_no_history(Root(destination), "to a local DST first")
    dataset = open_dataset(source)
    units = plan_index(dataset, dataset.root)
    rewriting = plan_rewrite(dataset, max_episodes_per_file=max_episodes_per_file)
    plan = preparation_plan(source, max_episodes_per_file=max_episodes_per_file, videos=videos)
    with open_dataset_staging(dataset.root, Root(destination), plan) as staging:
        graph = Graph()
        index_nodes = _index_nodes(graph, dataset, staging.work, units)
        rewrite_nodes = _rewrite_nodes(graph, dataset, staging, rewriting)
        copy_nodes = _copy_nodes(graph, dataset, staging, videos)
        merged = _merge_node(graph, dataset, staging.work, staging.root, index_nodes)
        written = [*rewrite_nodes, *copy_nodes, merged]
        metadata = graph.reduce(
            tasks.finish_metadata, written, dataset.root, staging.root, rewriting, label=layout.META_DIR
        )
        data_root = dataset.root if videos == "none" else staging.root
        roots = (staging.root, data_root, dataset.root)
        surveyed = graph.reduce(tasks.survey_all, [metadata], *roots, label="verify")
        verification = _verification_node(graph, surveyed, None, VerifyOptions(level="rows"))
        values = _run(graph, [*index_nodes, *written, metadata, verification], staging, execution)
        index = IndexSummary.of(_of(values, FragmentSummary), staging.root, _of(values, Sidecars)[0].build_id)
        report = _of(values, VerificationReport)[0]
        _record_source(dataset, staging, plan, error_count=report.error_count)
        staging.commit()
    return PrepareResult(
        destination=staging.final.url,
        seconds=time.perf_counter() - started,
        is_resumed=staging.is_resumed,
        rewrite=RewriteSummary.of(_of(values, RewriteReceipt), rewriting),
        index=index,
        verification=replace(report, root=staging.final.url),
        copied_files=len(_of(values, CopiedFile)),
    )


def rewrite(
    source: str,
    destination: str,
    *,
    max_episodes_per_file: int | None = None,
    execution: Execution = DEFAULT_EXECUTION,
) -> PrepareResult:
    """Rewrite the data files and `meta/` of a dataset. Arguments and errors as for `prepare`."""
    started = time.perf_counter()
    _require_no_history(Root(destination), "to a local DST first")
    dataset = open_dataset(source)
    rewriting = plan_rewrite(dataset, max_episodes_per_file=max_episodes_per_file)
    plan = _plan(source, "rewrite", cap=max_episodes_per_file)
    with open_dataset_staging(dataset.root, Root(destination), plan) as staging:
        graph = Graph()
        nodes = _rewrite_nodes(graph, dataset, staging, rewriting)
        metadata = graph.reduce(
            tasks.finish_metadata, nodes, dataset.root, staging.root, rewriting, label=layout.META_DIR
        )
        values = _run(graph, [*nodes, metadata], staging, execution)
        _record_source(dataset, staging, plan)
        staging.commit()
    summary = RewriteSummary.of(_of(values, RewriteReceipt), rewriting)
    seconds = time.perf_counter() - started
    return PrepareResult(staging.final.url, seconds, staging.is_resumed, rewrite=summary)


def index(
    source: str,
    *,
    output: str | None = None,
    execution: Execution = DEFAULT_EXECUTION,
) -> PrepareResult:
    """Write the sidecars of a dataset, in place or below another root; those that are there are replaced as a whole.

    Of a store that gives files identities, only those are read that are not what the sidecars that are there say of them.

    Args:
        source: Root of a LeRobot v3.0 dataset.
        output: Root below which `meta/byte_index/` is written; None is `source`.
        execution: Scheduler, workers, progress.

    Raises:
        EpiseekError: What was found before any work was done.
        WorkFailedError: Some files could not be indexed; nothing was replaced, and the finished work is kept for
            another run.
    """
    started = time.perf_counter()
    _require_no_history(Root(source if output is None else output), "with --output DIR")
    dataset = open_dataset(source)
    units = plan_index(dataset, dataset.root)
    target = dataset.root if output is None else Root(output)
    with SidecarStaging(target) as staging:
        is_resumed = bool(staging.work.list("index"))
        units, existing = with_unchanged(units, target, dataset.info)
        graph = Graph()
        nodes = _index_nodes(graph, dataset, staging.work, units, existing)
        merged = _merge_node(graph, dataset, staging.work, staging.root, nodes)
        values = _run(graph, [*nodes, merged], staging, execution)
        summary = IndexSummary.of(_of(values, FragmentSummary), staging.root, _of(values, Sidecars)[0].build_id)
        staging.commit()
    return PrepareResult(target.url, time.perf_counter() - started, is_resumed, index=summary)


def verify(
    root: str,
    *,
    data_root: str | None = None,
    against: str | None = None,
    prepared: bool | None = None,
    options: VerifyOptions = DEFAULT_OPTIONS,
    execution: Execution = DEFAULT_EXECUTION,
) -> VerificationReport:
    """Check a dataset. See `episeek_pipelines.verify` for what is checked.

    Args:
        root: The dataset, or an overlay of one.
        data_root: Where the videos are, when `root` is an overlay.
        against: The dataset that `root` was rewritten from: its values have to be the same.
        prepared: Whether one row group per episode is promised; None: it is with `against`.
        options: Level and measures.
        execution: Scheduler, workers, progress.

    Raises:
        EpiseekError: It is not a dataset that can be checked.
    """
    where = Root(root).pinned()
    videos, source = (None if url is None else Root(url).pinned() for url in (data_root, against))
    surveyed = survey(where, data_root=videos, against=source)
    if data_root is None and surveyed.is_lone_overlay:
        found = "sidecars and no videos/: an overlay"
        raise MissingFileError(str(where), found, "the dataset it was prepared from as --data-root (data_root)")
    graph = Graph()
    verification = _verification_node(graph, surveyed, prepared, options)
    values, failures = values_and_failures(_compute(graph, [verification], execution))
    if failures:
        raise WorkFailedError.of(failures, item_count=graph.item_count, kept="nothing was written", where=root)
    return replace(_of(values, VerificationReport)[0], revision=_known_commit(where))


def _known_commit(root: Root) -> str | None:
    """Return the commit of a dataset; None where it is not known, or where its record is damaged."""
    with suppress(EpiseekError):
        return source_commit(root)
    return None


def preparation_plan(
    source: str, *, max_episodes_per_file: int | None = None, videos: Videos = "none"
) -> dict[str, Any]:
    """What decides the result of `prepare`: a run goes on, or is left out, only where this is the same."""
    return _plan(source, "prepare", cap=max_episodes_per_file, videos=videos, index_version=sidecars.INDEX_VERSION)


def _record_source(dataset: Dataset, staging: DatasetStaging, plan: dict[str, Any], *, error_count: int = 0) -> None:
    """What a publication compares with what it would replace."""
    if staging.root.is_local:  # nothing else is published
        if staging.is_resumed:
            staging.root.remove(layout.SOURCE_RECORD_DIR)  # what a run that was killed may have left
        write_record(staging.root, record_source(dataset.root, plan, error_count=error_count))


def _require_no_history(destination: Root, remedy: str) -> None:
    """Every file that is written to a repository is a commit of its own."""
    if destination.kind.has_history:
        expected = f"another place: write {remedy}, and then `episeek publish`"
        raise DestinationError(str(destination), "a repository on the Hub, as destination", expected)


def _index_nodes(
    graph: Graph, dataset: Dataset, work: Root, units: list[IndexUnit], existing: ExistingRows | None = None
) -> list[Node]:
    numbered = [(f"index/{number:07d}.npz", unit) for number, unit in enumerate(units)]
    shared = (dataset.root, work, dataset.info.fps, existing)
    in_flight = dataset.root.in_flight
    return graph.map(tasks.index_one, numbered, *shared, label=lambda item: item[1].path, in_flight=in_flight)


def _merge_node(graph: Graph, dataset: Dataset, work: Root, destination: Root, nodes: list[Node]) -> Node:
    counts = (len(dataset.episodes), int(dataset.episodes.length.sum()))
    return graph.reduce(tasks.merge, nodes, work, destination, dataset.info, *counts, label=layout.BYTE_INDEX_DIR)


def _rewrite_nodes(graph: Graph, dataset: Dataset, staging: DatasetStaging, plan: RewritePlan) -> list[Node]:
    numbered = [(f"rewrite/{number:07d}.json", unit) for number, unit in enumerate(plan.units)]
    roots = (dataset.root, staging.root, staging.work)
    return graph.map(tasks.rewrite_one, numbered, *roots, label=lambda item: item[1].path)


def _copy_nodes(graph: Graph, dataset: Dataset, staging: DatasetStaging, videos: Videos) -> list[Node]:
    """Everything that is neither rewritten nor metadata."""
    if videos == "none":
        return []
    rewritten = set(dataset.root.list(layout.DATA_DIR, suffix=".parquet"))
    paths = [
        path for path in dataset.root.list() if path not in rewritten and not path.startswith(f"{layout.META_DIR}/")
    ]
    numbered = [(f"copy/{number:07d}.json", path) for number, path in enumerate(paths)]
    arguments = (dataset.root, staging.root, staging.work, videos == "link")
    return graph.map(tasks.copy_one, numbered, *arguments, label=lambda item: item[1])


def _verification_node(graph: Graph, surveyed: Survey | Node, prepared: bool | None, options: VerifyOptions) -> Node:
    """Files of meta/episodes, then what they name, then rules over all of it: each part a slice of what is there."""
    numbers = range(MAX_VERIFICATION_SLICES)
    known = len(surveyed.episode_paths) if isinstance(surveyed, Survey) else MAX_SHARD_SLICES
    parts = range(max(1, min(known, MAX_SHARD_SLICES)))
    shards = graph.map(
        tasks.read_shards, parts, len(parts), surveyed, label=lambda number: f"meta/episodes, part {number}"
    )
    plan = graph.reduce(tasks.plan_slices, shards, surveyed, prepared, options, label="verify")
    checks = graph.map(tasks.check_slice, numbers, len(numbers), plan, label=lambda number: f"verify, part {number}")
    return graph.reduce(tasks.conclude_slices, checks, plan, label="verify")


def _plan(source: str, command: str, **options: Any) -> dict[str, Any]:
    where = Root(source)
    url = os.path.abspath(where.url) if where.is_local else where.url  # it is read again from other working directories
    return {"command": command, "source": url, "rewrite_version": REWRITE_VERSION, **options}


def _run(
    graph: Graph, wanted: Sequence[Node], staging: DatasetStaging | SidecarStaging, execution: Execution
) -> list[Any]:
    values, failures = values_and_failures(_compute(graph, wanted, execution))
    if failures:
        kept = "nothing was written"
        if staging.holds_work():
            kept = f"finished work is kept in {staging.root}: mend what failed, and the same command goes on from there"
        raise WorkFailedError.of(failures, item_count=graph.item_count, kept=kept, where=staging.final.url)
    return values


def _compute(graph: Graph, wanted: Sequence[Node], execution: Execution) -> list[Any]:
    progress = execution.progress(graph.item_count) if execution.progress is not None else None
    return graph.compute(wanted, scheduler=execution.scheduler, workers=execution.workers, progress=progress)


def _of(values: list[Any], kind: type[T]) -> list[T]:
    return [value for value in values if isinstance(value, kind)]

"""Run the job that verifies a dataset, and add its nodes to the graphs of other jobs.

This module does not import the other steps. For a small local dataset it does not import Dask either. These imports would take
longer than the checks.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from episeek.errors import EpiseekError, MissingFileError
from episeek_pipelines.dataset.metadata import as_v3
from episeek_pipelines.dataset.provenance import recorded_videos, skipped_episodes, source_commit
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution, Graph
from episeek_pipelines.jobs.nodes import Node, values_and_failures
from episeek_pipelines.jobs.progress import CHECKING
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.verify import (
    DEFAULT_OPTIONS,
    Check,
    CheckResult,
    Shard,
    Survey,
    VerificationPlan,
    VerificationReport,
    VerifyOptions,
    conclude,
    plan_checks,
    read_shard,
    run_check,
    shard_arguments,
    survey,
    with_level,
)
from episeek_schemas import layout

MAX_VERIFICATION_SLICES: Final = 32
"""Greatest number of slices into which the checks are divided. Each slice gets the whole plan, which takes time to transfer."""

MAX_SHARD_SLICES: Final = 8
"""Greatest number of slices into which the files of meta/episodes are divided for reading. Each slice gets the whole survey."""

MAX_QUICK_FILES: Final = 64
"""Greatest number of files below meta/ and data/ of a dataset that one thread verifies, and greatest number below videos/."""

MAX_QUICK_BYTES: Final = 16 * 2**20
"""Greatest number of bytes below meta/ and data/ that one thread reads faster than Dask can be imported."""


def verify(
    root: str,
    *,
    data_root: str | None = None,
    against: str | None = None,
    prepared: bool | None = None,
    options: VerifyOptions = DEFAULT_OPTIONS,
    execution: Execution = DEFAULT_EXECUTION,
) -> VerificationReport:
    """Check a dataset. The module `episeek_pipelines.verify` describes the checks.

    Args:
        root: The dataset, or an overlay (a prepared copy without videos).
        data_root: The dataset with the videos if `root` is an overlay. None for the source that a local overlay records,
            and for `root` itself if there is no such record.
        against: The dataset from which `root` was rewritten; both must have the same values.
        prepared: Whether the data files have to have the layout that `prepare` writes. None to find this out from the dataset
            (`verify.plan_verification`).
        options: The level and its limits. Without a level, the level is "rows" for a local dataset or a comparison with a source,
            otherwise "layout".
        execution: Scheduler, workers, progress.

    Raises:
        EpiseekError: `root` is not a dataset that can be checked.
    """
    where = Root(root).pinned()
    if against is not None and where.is_local and where.exists(layout.REPAIRS_PATH):
        # only repaired datasets need the repair step
        from episeek_pipelines.jobs.repaired_source import repaired_source

        with repaired_source(where, Root(against).pinned(), execution) as (repaired, findings):
            if "://" in execution.scheduler:
                # workers on other machines would not see the temporary files of the repaired source
                execution = Execution(progress=execution.progress)
            report = _verify(where, data_root, repaired, prepared, options, execution)
        return replace(report, findings=tuple(sorted((*report.findings, *findings))))
    source = None if against is None else as_v3(Root(against).pinned(), skipped=skipped_episodes(where))
    return _verify(where, data_root, source, prepared, options, execution)


def _verify(
    where: Root,
    data_root: str | None,
    source: Root | None,
    prepared: bool | None,
    options: VerifyOptions,
    execution: Execution,
) -> VerificationReport:
    """Check a dataset, and compare it with the root `source`, if one is given."""
    videos = recorded_videos(where) if data_root is None else Root(data_root)
    surveyed = survey(where, data_root=None if videos is None else videos.pinned(), against=source)
    if videos is None and surveyed.is_lone_overlay:
        hint = "give the dataset it was prepared from as --data-root (data_root)"
        raise MissingFileError(str(where), "an overlay, with sidecars but without videos/", "the videos", hint)
    options = with_level(options, is_local=where.is_local, is_compared=source is not None)
    graph = Graph()
    verification = add_verification_nodes(graph, surveyed, prepared, options)
    if _is_quick(surveyed, options) and execution == Execution(progress=execution.progress):
        # importing Dask would take longer than the checks
        execution = replace(execution, scheduler="sync")
    values, failures = values_and_failures(execution.compute(graph, [verification]))
    if failures:
        raise WorkFailedError.of(failures, item_count=graph.item_count, where=where.url)
    report: VerificationReport = values[0]
    return replace(report, revision=_commit_of(where), data_root=None if videos is None else videos.url)


def _is_quick(surveyed: Survey, options: VerifyOptions) -> bool:
    """Return whether one thread checks a dataset in about a second: few small local files, and no pictures to decode."""
    is_local = surveyed.root.is_local and surveyed.data_root.is_local
    if not is_local or surveyed.against is not None or options.looks_at("decode") or options.window_count:
        return False
    if max(len(surveyed.files), len(surveyed.videos)) > MAX_QUICK_FILES:
        return False
    sizes = [identity.size for identity in surveyed.files.values() if identity is not None]
    return not options.looks_at("rows") or sum(sizes) <= MAX_QUICK_BYTES


def _commit_of(root: Root) -> str | None:
    """Return the commit of a dataset, or None if the commit is unknown or its record is damaged."""
    with suppress(EpiseekError):
        return source_commit(root)
    return None


def add_verification_nodes(
    graph: Graph, surveyed: Survey | Node, prepared: bool | None, options: VerifyOptions
) -> Node:
    """Add nodes that read meta/episodes, plan the checks and run them in slices. Return the node whose value is the report."""
    shard_count = len(surveyed.episode_paths) if isinstance(surveyed, Survey) else MAX_SHARD_SLICES
    parts = range(max(1, min(shard_count, MAX_SHARD_SLICES)))
    shards = graph.map(
        _read_shards,
        parts,
        len(parts),
        surveyed,
        options,
        label=lambda number: f"meta/episodes, part {number}",
        phase=CHECKING,
        unit="part",
    )
    plan = graph.reduce(_plan_slices, shards, surveyed, prepared, options, label="verify")
    slices = range(MAX_VERIFICATION_SLICES)
    checks = graph.map(
        _check_slice,
        slices,
        len(slices),
        plan,
        label=lambda number: f"verify, part {number}",
        phase=CHECKING,
        unit="part",
    )
    return graph.reduce(_conclude_slices, checks, plan, label="verify")


def survey_all(_: list[Any], root: Root, data_root: Root | None, against: Root | None) -> Survey:
    """Survey a dataset that earlier nodes have written: list its files, and read the documents below meta/."""
    return survey(root, data_root=data_root, against=against)


def _read_shards(number: int, slices: int, surveyed: Survey, options: VerifyOptions) -> list[Shard]:
    """Read every `slices`-th file of meta/episodes, beginning with file `number`."""
    if surveyed.info is None:
        return []
    arguments = shard_arguments(surveyed, options)
    return [read_shard(path, *arguments) for path in surveyed.episode_paths[number::slices]]


def _plan_slices(
    shards: list[list[Shard]], surveyed: Survey, prepared: bool | None, options: VerifyOptions
) -> VerificationPlan:
    """Plan the checks of a dataset, from the files of meta/episodes that several calls of `_read_shards` have read."""
    read = sorted((shard for part in shards for shard in part), key=lambda shard: shard.path)
    return plan_checks(read, surveyed, prepared=prepared, options=options)


def _check_slice(number: int, slices: int, plan: VerificationPlan) -> list[CheckResult]:
    """Run one slice of a plan: consecutive checks of each kind, since neighbouring checks read the same files."""
    by_kind: dict[type, list[Check]] = {}
    for check in plan.checks:
        by_kind.setdefault(type(check), []).append(check)
    chosen = [
        check
        for same in by_kind.values()
        for check in same[len(same) * number // slices : len(same) * (number + 1) // slices]
    ]
    return [run_check(plan.require_context(), check) for check in chosen]


def _conclude_slices(results: list[list[CheckResult]], plan: VerificationPlan) -> VerificationReport:
    """Return the report from the results of the checks in all slices of the plan."""
    return conclude(plan, [result for part in results for result in part])

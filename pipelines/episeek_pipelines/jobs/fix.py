"""Fix a local dataset in place, as far as that is safe: row groups and page indexes of data files, and stale sidecars.

`plan_fix` plans actions for the findings of a verification, `apply_fix` carries them out, `fix` does both. A data file keeps its
name, values, types and schema metadata, so `meta/` stays unchanged. Sidecars are rebuilt from the headers of the videos and
replaced all at once. Nothing is deleted from `data/` and `videos/`. All other findings stay unfixed and are reported with a remedy.
"""

from dataclasses import dataclass

from episeek.errors import DatasetError, MissingFileError, WriteError
from episeek_pipelines.dataset.locks import exclusive_lock
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.fix_plan import (
    DATA_CODES,
    FIX_AND_VERIFY_AGAIN,
    SIDECAR_CODES,
    Action,
    FixPlan,
    RebuildSidecars,
    RewriteDataFile,
    Unfixed,
    plan_fix,
    require_local_with_videos,
    sorted_unfixed,
)
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution, Graph
from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.nodes import Failure, values_and_failures
from episeek_pipelines.jobs.progress import REWRITING
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.rewrite.in_place import InPlaceUnit, ReplacedFile, remove_leftovers, rewrite_in_place
from episeek_pipelines.verify import VerificationReport
from episeek_pipelines.words import counted, human_bytes

__all__ = [
    "DATA_CODES",
    "SIDECAR_CODES",
    "Action",
    "Done",
    "FixPlan",
    "FixResult",
    "RebuildSidecars",
    "RewriteDataFile",
    "Unfixed",
    "apply_fix",
    "fix",
    "plan_fix",
]


@dataclass(frozen=True, slots=True)
class Done:
    """An action that was carried out."""

    action: Action
    result: str
    """The result in a few words."""


@dataclass(frozen=True, slots=True)
class FixResult:
    """The actions that were carried out, and the findings that are not fixed."""

    root: str
    plan: FixPlan
    done: tuple[Done, ...]
    unfixed: tuple[Unfixed, ...]
    """The findings that the plan does not cover, and the findings whose action failed."""
    is_dry_run: bool


def fix(
    root: str, report: VerificationReport, *, dry_run: bool = False, execution: Execution = DEFAULT_EXECUTION
) -> FixResult:
    """Fix the findings of a verification, as far as that is safe. The caller should verify the dataset again afterwards.

    Args:
        root: A local dataset with its videos.
        report: Report of a verification of `root` in its current state.
        dry_run: Whether to write nothing. The result then contains the planned actions.
        execution: Scheduler, workers, progress.

    Raises:
        DestinationError: `root` is in a store, is an overlay, or is being fixed by another run.
        EpiseekError: `root` is not a dataset.
        WorkFailedError: The disk is full, a permission is missing, or an unforeseen error occurred. Every file is either fixed
            or unchanged.
    """
    where = Root(root)
    plan = plan_fix(report, where)
    if dry_run:
        return FixResult(where.url, plan, (), plan.unfixed, is_dry_run=True)
    return apply_fix(plan, where, execution=execution)


def apply_fix(plan: FixPlan, root: Root, *, execution: Execution = DEFAULT_EXECUTION) -> FixResult:
    """Carry out a plan: first the data files, each on its own, then the sidecars.

    A file that has changed since the plan was made, or that cannot be read, stays unfixed; the others are fixed.

    Raises:
        DestinationError: `root` is in a store, is an overlay, or is being fixed by another run.
        WorkFailedError: As for `fix`.
    """
    require_local_with_videos(root)
    rewrites = {action.path: action for action in plan.actions if isinstance(action, RewriteDataFile)}
    done: list[Done] = []
    unfixed = list(plan.unfixed)
    with exclusive_lock(
        root.local, where=str(root), found="another run that is fixing it", is_required=False
    ) as is_locked:
        for path in rewrites if is_locked else ():
            remove_leftovers(root, path)
        replaced, failures = _rewrite(list(rewrites.values()), root, execution)
        for file in replaced:
            sizes = f"{human_bytes(file.bytes_before)} -> {human_bytes(file.bytes_after)}"
            done.append(Done(rewrites[file.path], sizes))
        for failure in failures:
            unfixed += _unfixed_by(rewrites[failure.label], failure.message)
        for action in plan.actions:
            if isinstance(action, RebuildSidecars):
                try:
                    done.append(_rebuild(action, root, execution))
                except (WorkFailedError, DatasetError, MissingFileError) as error:
                    if isinstance(error, WorkFailedError) and any(map(_stops_the_fix, error.failures)):
                        raise
                    unfixed += _unfixed_by(action, str(error))
    return FixResult(root.url, plan, tuple(done), sorted_unfixed(unfixed), is_dry_run=False)


def _rewrite(
    actions: list[RewriteDataFile], root: Root, execution: Execution
) -> tuple[list[ReplacedFile], list[Failure]]:
    if not actions:
        return [], []
    units = [InPlaceUnit(action.path, action.before.stamp, action.encodings) for action in actions]
    size_of = {action.path: action.before.stamp.size_bytes for action in actions}
    graph = Graph()
    nodes = graph.map(
        rewrite_in_place,
        units,
        root,
        label=lambda unit: unit.path,
        phase=REWRITING,
        byte_count=lambda unit: size_of[unit.path],
    )
    values, failures = values_and_failures(execution.compute(graph, nodes))
    stopping = [failure for failure in failures if _stops_the_fix(failure)]
    if stopping:
        fixed = f"{counted(len(values), 'file')} fixed, the other files unchanged"
        hint = f"remove the cause and run the fix again; {fixed}"
        raise WorkFailedError.of(stopping, item_count=graph.item_count, where=root.url, hint=hint)
    return values, failures


def _unfixed_by(action: Action, reason: str) -> list[Unfixed]:
    return [Unfixed(code, 1, FIX_AND_VERIFY_AGAIN, action.path, reason) for code in action.codes]


def _rebuild(action: RebuildSidecars, root: Root, execution: Execution) -> Done:
    summary = index(root.url, execution=execution).index
    assert summary is not None
    return Done(action, f"build {summary.build_id[:12]}, {human_bytes(summary.sidecar_bytes)}")


def _stops_the_fix(failure: Failure) -> bool:
    """Return whether a failure stops the whole fix: the next file would fail, too, or the error was unforeseen."""
    return bool(failure.trace) or failure.kind == WriteError.__name__

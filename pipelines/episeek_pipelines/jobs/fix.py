"""Mending a local dataset in place, as far as that is safe: row groups and page indexes of data files, and stale sidecars.

`plan_fix` says what will be done about the findings of a verification and what will not, `apply_fix` does it, `fix` is both. A data
file keeps its name, values, types and schema metadata, so that `meta/` stays as it is; sidecars are built anew from the videos'
headers and replaced all at once. Nothing is deleted from `data/` and `videos/`. All else that was found is left, with a remedy.
"""

from dataclasses import dataclass

from episeek.errors import DatasetError, MissingFileError, WriteError
from episeek_pipelines.dataset.locks import exclusive_lock
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs import prepare
from episeek_pipelines.jobs.fix_plan import (
    DATA_CODES,
    SIDECAR_CODES,
    Action,
    FixPlan,
    Left,
    RebuildSidecars,
    RewriteDataFile,
    plan_fix,
    require_whole_and_local,
    sorted_left,
)
from episeek_pipelines.jobs.graph import (
    DEFAULT_EXECUTION,
    Execution,
    Failure,
    Graph,
    values_and_failures,
)
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.rewrite.in_place import (
    InPlaceUnit,
    ReplacedFile,
    remove_leftovers,
    rewrite_in_place,
)
from episeek_pipelines.verify import VerificationReport
from episeek_pipelines.words import (
    counted,
    human_bytes,
)

__all__ = [
    "DATA_CODES",
    "SIDECAR_CODES",
    "Action",
    "Done",
    "FixPlan",
    "FixResult",
    "Left",
    "RebuildSidecars",
    "RewriteDataFile",
    "apply_fix",
    "fix",
    "plan_fix",
]


@dataclass(frozen=True, slots=True)
class Done:
    """An action that was carried out."""

    action: Action
    result: str
    """What came of it, in a few words."""


@dataclass(frozen=True, slots=True)
class FixResult:
    """What was done; `left` holds what the plan leaves and what turned out not to be possible."""

    root: str
    plan: FixPlan
    done: tuple[Done, ...]
    left: tuple[Left, ...]
    is_dry_run: bool


def fix(
    root: str, report: VerificationReport, *, dry_run: bool = False, execution: Execution = DEFAULT_EXECUTION
) -> FixResult:
    """Mend what a verification found, as far as that is safe. Verify again afterwards.

    Args:
        root: A local dataset with its videos.
        report: Of a verification of `root` as it is now.
        dry_run: Write nothing; the result says what would be done.
        execution: Scheduler, workers, progress.

    Raises:
        DestinationError: `root` is in a store, or an overlay, or another run is mending it.
        EpiseekError: It is not a dataset.
        WorkFailedError: There is no room or no permission, or something unforeseen. Every file is either mended or as it was.
    """
    where = Root(root)
    plan = plan_fix(report, where)
    if dry_run:
        return FixResult(where.url, plan, (), plan.left, is_dry_run=True)
    return apply_fix(plan, where, execution=execution)


def apply_fix(plan: FixPlan, root: Root, *, execution: Execution = DEFAULT_EXECUTION) -> FixResult:
    """Carry out a plan: data files first, each on its own, then the sidecars.

    A file that is not what the plan was made from any more, or that cannot be read, is left, and the others are mended.

    Raises:
        DestinationError: `root` is in a store, or an overlay, or another run is mending it.
        WorkFailedError: There is no room or no permission, or something unforeseen. Every file is either mended or as it was.
    """
    require_whole_and_local(root)
    rewrites = {action.path: action for action in plan.actions if isinstance(action, RewriteDataFile)}
    done: list[Done] = []
    left = list(plan.left)
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
            left += _left_after(rewrites[failure.label], failure.message)
        for action in plan.actions:
            if isinstance(action, RebuildSidecars):
                try:
                    done.append(_rebuild(action, root, execution))
                except (WorkFailedError, DatasetError, MissingFileError) as error:
                    if isinstance(error, WorkFailedError) and any(map(_is_trouble, error.failures)):
                        raise
                    left += _left_after(action, str(error))
    return FixResult(root.url, plan, tuple(done), sorted_left(left), is_dry_run=False)


# --- doing ------------------------------------------------------------------------------------------------------------------------


def _rewrite(
    actions: list[RewriteDataFile], root: Root, execution: Execution
) -> tuple[list[ReplacedFile], list[Failure]]:
    if not actions:
        return [], []
    units = [InPlaceUnit(action.path, action.before.stamp, action.encodings) for action in actions]
    graph = Graph()
    nodes = graph.map(rewrite_in_place, units, root, label=lambda unit: unit.path)
    progress = execution.progress(graph.item_count) if execution.progress is not None else None
    results = graph.compute(nodes, scheduler=execution.scheduler, workers=execution.workers, progress=progress)
    values, failures = values_and_failures(results)
    trouble = [failure for failure in failures if _is_trouble(failure)]
    if trouble:
        kept = f"{counted(len(values), 'file')} mended, the others as they were: run it again when that is mended"
        raise WorkFailedError.of(trouble, item_count=graph.item_count, kept=kept, where=root.url)
    return values, failures


def _left_after(action: Action, reason: str) -> list[Left]:
    return [Left(code, 1, "mend that, and verify again", action.path, reason) for code in action.codes]


def _rebuild(action: RebuildSidecars, root: Root, execution: Execution) -> Done:
    summary = prepare.index(root.url, execution=execution).index
    assert summary is not None
    return Done(action, f"build {summary.build_id[:12]}, {human_bytes(summary.sidecar_bytes)}")


def _is_trouble(failure: Failure) -> bool:
    """Whether it says nothing about the file: the next one would fail as well, or nobody knows."""
    return bool(failure.trace) or failure.kind == WriteError.__name__

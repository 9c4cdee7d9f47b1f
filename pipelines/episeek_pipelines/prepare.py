"""The main job and its parts as graphs: rewrite, index and verify a dataset, or one of these alone.

`prepare` builds one graph: data files and MP4 files are the units of work, the sidecars and `meta/` are reductions over
them, and the checks follow on what was written. A file that fails names itself and the others' work is kept: run the
same command again to go on.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from episeek.errors import EpiseekError
from episeek_pipelines.dataset import Dataset, open_dataset
from episeek_pipelines.graph import Failure, Graph, Node, Progress, values_and_failures
from episeek_pipelines.index import WRITER, FragmentSummary, IndexUnit, index_to_fragment, plan_index
from episeek_pipelines.rewrite import (
    RewritePlan,
    RewriteResult,
    RewriteUnit,
    WrittenFile,
    plan_rewrite,
    rewrite_file,
    write_metadata,
)
from episeek_pipelines.sidecar_merge import write_sidecars
from episeek_pipelines.staging import ReplacingStaging, Staging, open_replacing_staging, open_staging, prune
from episeek_pipelines.storage import Root
from episeek_pipelines.verify import (
    CheckResult,
    VerificationPlan,
    VerificationReport,
    conclude,
    plan_verification,
    run_check,
)
from episeek_schemas import layout

SIDECAR_PATHS = (layout.FILES_PATH, layout.EPISODES_PATH, layout.KEYFRAMES_PATH, layout.SAMPLES_PATH)

Videos = Literal["none", "link", "copy"]

MAX_VERIFICATION_SLICES = 32
"""Each gets the whole plan; more would cost more in passing it on than in waiting for the last."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Where and how a graph runs."""

    scheduler: str = "threads"
    workers: int | None = None
    progress: Callable[[int], Progress] | None = None
    """Called once with the number of items; gives what is told of finished ones."""


class WorkFailedError(EpiseekError, RuntimeError):
    """Some files could not be done; `failures` says which and why."""

    def __init__(self, where: str, found: str, expected: str, failures: tuple[Failure, ...] = ()) -> None:
        super().__init__(where, found, expected)
        self.failures = failures

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.found, self.expected, self.failures)


@dataclass(frozen=True, slots=True)
class RewriteSummary:
    """What rewriting did."""

    source_files: int
    files: int
    row_groups: int
    rows: int
    source_bytes: int
    written_bytes: int
    max_episodes_per_file: int
    reason: str
    reused_files: int


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What indexing did."""

    files: int
    file_bytes: int
    samples: int
    request_count: int
    bytes_read: int
    sidecar_bytes: int
    build_id: str
    reused_files: int


@dataclass(frozen=True, slots=True)
class PrepareResult:
    """What a run did; parts that were not asked for are None."""

    destination: str
    seconds: float
    is_resumed: bool
    rewrite: RewriteSummary | None = None
    index: IndexSummary | None = None
    verification: VerificationReport | None = None
    copied_files: int = 0


@dataclass(frozen=True, slots=True)
class RewriteReceipt:
    """The result of one data file, and whether an earlier run had finished it."""

    result: RewriteResult
    is_reused: bool


def prepare(
    source: str,
    destination: str,
    *,
    max_episodes_per_file: int | None = None,
    videos: Videos = "none",
    execution: Execution = Execution(),
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
    dataset = open_dataset(source)
    units = plan_index(dataset, dataset.root)
    rewriting = plan_rewrite(dataset, max_episodes_per_file=max_episodes_per_file)
    staging = _open(dataset, destination, "prepare", cap=max_episodes_per_file, videos=videos)
    graph = Graph()
    index_nodes = _index_nodes(graph, dataset, staging.work, units)
    rewrite_nodes = _rewrite_nodes(graph, dataset, staging, rewriting)
    copy_nodes = _copy_nodes(graph, dataset, staging, videos)
    sidecars = _sidecar_node(graph, dataset, staging.work, staging.root, index_nodes)
    metadata = graph.reduce(
        _write_metadata,
        [*rewrite_nodes, *copy_nodes, sidecars],
        dataset.root,
        staging.root,
        rewriting,
        label=layout.META_DIR,
    )
    verification = _verification_node(
        graph,
        staging.root,
        staging.root if videos != "none" else dataset.root,
        dataset.root,
        after=[metadata],
        slices=min(len(units) + len(rewriting.units), MAX_VERIFICATION_SLICES),
    )
    results = _run(
        graph, [*rewrite_nodes, *index_nodes, *copy_nodes, sidecars, metadata, verification], staging, execution
    )
    receipts = [value for value in results if isinstance(value, RewriteReceipt)]
    fragments = [value for value in results if isinstance(value, FragmentSummary)]
    report = next(value for value in results if isinstance(value, VerificationReport))
    index = _index_summary(
        fragments, staging.root, next(value.build_id for value in results if isinstance(value, Sidecars))
    )
    copied = sum(isinstance(value, CopiedFile) for value in results)
    staging.commit()
    return PrepareResult(
        staging.final.url,
        time.perf_counter() - started,
        staging.is_resumed,
        _rewrite_summary(receipts, rewriting),
        index,
        replace(report, root=staging.final.url),
        copied,
    )


def rewrite(
    source: str,
    destination: str,
    *,
    max_episodes_per_file: int | None = None,
    execution: Execution = Execution(),
) -> PrepareResult:
    """Rewrite the data files and `meta/` of a dataset. Arguments and errors as for `prepare`."""
    started = time.perf_counter()
    dataset = open_dataset(source)
    rewriting = plan_rewrite(dataset, max_episodes_per_file=max_episodes_per_file)
    staging = _open(dataset, destination, "rewrite", cap=max_episodes_per_file)
    graph = Graph()
    nodes = _rewrite_nodes(graph, dataset, staging, rewriting)
    metadata = graph.reduce(_write_metadata, nodes, dataset.root, staging.root, rewriting, label=layout.META_DIR)
    results = _run(graph, [*nodes, metadata], staging, execution)
    receipts = [value for value in results if isinstance(value, RewriteReceipt)]
    staging.commit()
    seconds = time.perf_counter() - started
    return PrepareResult(staging.final.url, seconds, staging.is_resumed, _rewrite_summary(receipts, rewriting))


def index(
    source: str,
    *,
    output: str | None = None,
    execution: Execution = Execution(),
) -> PrepareResult:
    """Write the sidecars of a dataset, in place or below another root; sidecars that are there are replaced as a whole.

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
    dataset = open_dataset(source)
    units = plan_index(dataset, dataset.root)
    target = dataset.root if output is None else Root(output)
    staging = open_replacing_staging(target)
    is_resumed = bool(staging.work.list("index"))
    graph = Graph()
    nodes = _index_nodes(graph, dataset, staging.work, units)
    sidecars = _sidecar_node(graph, dataset, staging.work, staging.root, nodes)
    results = _run(graph, [*nodes, sidecars], staging, execution)
    fragments = [value for value in results if isinstance(value, FragmentSummary)]
    build_id = next(value.build_id for value in results if isinstance(value, Sidecars))
    summary = _index_summary(fragments, staging.root, build_id)
    staging.commit()
    return PrepareResult(target.url, time.perf_counter() - started, is_resumed, index=summary)


def verify(
    root: str,
    *,
    data_root: str | None = None,
    against: str | None = None,
    execution: Execution = Execution(),
) -> VerificationReport:
    """Check a dataset. See `episeek_pipelines.verify` for what is checked.

    Raises:
        EpiseekError: It is not a dataset that can be checked.
    """
    plan = plan_verification(
        Root(root),
        data_root=None if data_root is None else Root(data_root),
        against=None if against is None else Root(against),
    )
    graph = Graph()
    nodes = graph.map(_check, plan.checks, plan.context, label=_check_label)
    results = graph.compute(
        nodes, scheduler=execution.scheduler, workers=execution.workers, progress=_progress(graph, execution)
    )
    values, failures = values_and_failures(results)
    if failures:
        raise _work_failed(failures, graph.item_count, "nothing was written", root)
    return conclude(plan, values)


# --- nodes -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sidecars:
    """The reduction's result."""

    build_id: str


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file of the source that is in the destination as it is."""

    path: str


def _index_nodes(graph: Graph, dataset: Dataset, work: Root, units: list[IndexUnit]) -> list[Node]:
    numbered = [(f"index/{number:07d}.npz", unit) for number, unit in enumerate(units)]
    return graph.map(_index, numbered, dataset.root, work, dataset.info.fps, label=lambda item: item[1].path)


def _index(item: tuple[str, IndexUnit], data_root: Root, work: Root, fps: float) -> FragmentSummary:
    fragment, unit = item
    return index_to_fragment(data_root, work, fragment, unit, fps=fps)


def _sidecar_node(graph: Graph, dataset: Dataset, work: Root, destination: Root, nodes: list[Node]) -> Node:
    facts = (work, destination, dataset.info, len(dataset.episodes), int(dataset.episodes.length.sum()))
    return graph.reduce(_write_sidecars, nodes, *facts, label=layout.BYTE_INDEX_DIR)


def _write_sidecars(
    fragments: list[FragmentSummary], work: Root, destination: Root, info: Any, episode_count: int, frame_count: int
) -> Sidecars:
    build_id = write_sidecars(work, fragments, destination, info, episode_count=episode_count, frame_count=frame_count)
    return Sidecars(build_id)


def _rewrite_nodes(graph: Graph, dataset: Dataset, staging: Staging, plan: RewritePlan) -> list[Node]:
    numbered = [(f"rewrite/{number:07d}.json", unit) for number, unit in enumerate(plan.units)]
    return graph.map(_rewrite, numbered, dataset.root, staging.root, staging.work, label=lambda item: item[1].path)


def _rewrite(item: tuple[str, RewriteUnit], source: Root, destination: Root, work: Root) -> RewriteReceipt:
    """`rewrite_file`, unless a receipt says that an earlier run did it with the same input."""
    receipt, unit = item
    identity = hashlib.sha256(f"{WRITER} {unit!r} {unit.encodings!r} {source.identity(unit.path)}".encode()).hexdigest()
    finished = _finished_rewrite(destination, work, receipt, identity)
    if finished is not None:
        return RewriteReceipt(finished, is_reused=True)
    result = rewrite_file(source, destination, unit)
    work.write_bytes(receipt, json.dumps({"identity": identity, "result": asdict(result)}).encode())
    return RewriteReceipt(result, is_reused=False)


def _finished_rewrite(destination: Root, work: Root, receipt: str, identity: str) -> RewriteResult | None:
    if not work.exists(receipt):
        return None
    document = json.loads(work.read_bytes(receipt))
    if document["identity"] != identity:
        return None
    stored = document["result"]
    outputs = tuple(WrittenFile(**output) for output in stored["outputs"])
    if any(
        not destination.exists(output.path) or destination.size(output.path) != output.size_bytes for output in outputs
    ):
        return None
    return RewriteResult(stored["path"], stored["source_bytes"], outputs)


def _write_metadata(values: list[Any], source: Root, destination: Root, plan: RewritePlan) -> tuple[str, ...]:
    """`meta/`, and an end to what an earlier run wrote from a source that has changed since."""
    written = write_metadata(source, destination, plan)
    expected = set(written)
    for value in values:
        if isinstance(value, RewriteReceipt):
            expected.update(output.path for output in value.result.outputs)
        elif isinstance(value, CopiedFile):
            expected.add(value.path)
        elif isinstance(value, Sidecars):
            expected.update(SIDECAR_PATHS)
    prune(destination, expected)
    return written


def _copy_nodes(graph: Graph, dataset: Dataset, staging: Staging, videos: Videos) -> list[Node]:
    if videos == "none":
        return []
    own = (f"{layout.DATA_DIR}/", f"{layout.META_DIR}/")
    parquet = set(dataset.root.list(layout.DATA_DIR, suffix=".parquet"))
    paths = [
        path
        for path in dataset.root.list()
        if not path.startswith(own) or (path.startswith(own[0]) and path not in parquet)
    ]
    return graph.map(_copy, paths, dataset.root, staging.root, videos == "link", label=str)


def _copy(path: str, source: Root, destination: Root, link: bool) -> CopiedFile:
    if not (destination.exists(path) and destination.size(path) == source.size(path)):
        destination.copy_from(source, path, link=link)
    return CopiedFile(path)


def _verification_node(
    graph: Graph, root: Root, data_root: Root, against: Root, *, after: list[Node], slices: int
) -> Node:
    plan = graph.reduce(_plan_verification, after, root, data_root, against, label="verify")
    checks = graph.map(_check_slice, list(range(slices)), slices, plan, label=lambda number: f"verify, part {number}")
    return graph.reduce(_conclude, checks, plan, label="verify")


def _plan_verification(_: list[Any], root: Root, data_root: Root, against: Root) -> VerificationPlan:
    return plan_verification(root, data_root=data_root, against=against)


def _check_slice(number: int, slices: int, plan: VerificationPlan) -> list[CheckResult]:
    return [run_check(plan.context, check) for check in plan.checks[number::slices]]


def _conclude(results: list[list[CheckResult]], plan: VerificationPlan) -> VerificationReport:
    return conclude(plan, [result for part in results for result in part])


def _check(check: Any, context: Any) -> CheckResult:
    return run_check(context, check)


def _check_label(check: Any) -> str:
    return type(check).__name__


# --- running ---------------------------------------------------------------------------------------------------------------------


def _open(dataset: Dataset, destination: str, command: str, **options: Any) -> Staging:
    plan = {"command": command, "source": dataset.root.url, "writer": WRITER, **options}
    return open_staging(dataset.root, Root(destination), plan)


def _run(graph: Graph, wanted: list[Node], staging: "Staging | ReplacingStaging", execution: Execution) -> list[Any]:
    try:
        results = graph.compute(
            wanted, scheduler=execution.scheduler, workers=execution.workers, progress=_progress(graph, execution)
        )
    except BaseException:  # the interrupt of a person, too
        staging.abandon_if_empty()
        raise
    values, failures = values_and_failures(results)
    if failures:
        staging.abandon_if_empty()
        kept = (
            f"finished work is kept in {staging.root}: run the same command again to go on"
            if staging.root.is_dir()
            else ""
        )
        raise _work_failed(failures, graph.item_count, kept or "nothing was written", staging.final.url)
    return values


def _progress(graph: Graph, execution: Execution) -> Progress | None:
    return execution.progress(graph.item_count) if execution.progress is not None else None


def _work_failed(failures: list[Failure], total: int, kept: str, where: str) -> WorkFailedError:
    unique = tuple(dict.fromkeys(failures))  # a reduction repeats the failures that block it
    first = unique[0]
    more = f" (and {len(unique) - 1} more)" if len(unique) > 1 else ""
    return WorkFailedError(
        where, f"{len(unique)} of {total} pieces of work failed{more}: {first.message}", kept, unique
    )


def _rewrite_summary(receipts: list[RewriteReceipt], plan: RewritePlan) -> RewriteSummary:
    written = [output for receipt in receipts for output in receipt.result.outputs]
    return RewriteSummary(
        source_files=len(receipts),
        files=len(written),
        row_groups=sum(output.row_groups for output in written),
        rows=sum(output.rows for output in written),
        source_bytes=sum(receipt.result.source_bytes for receipt in receipts),
        written_bytes=sum(output.size_bytes for output in written),
        max_episodes_per_file=plan.max_episodes_per_file,
        reason=plan.reason,
        reused_files=sum(receipt.is_reused for receipt in receipts),
    )


def _index_summary(fragments: list[FragmentSummary], root: Root, build_id: str) -> IndexSummary:
    return IndexSummary(
        files=len(fragments),
        file_bytes=sum(fragment.facts.file_size for fragment in fragments),
        samples=sum(fragment.facts.sample_count for fragment in fragments),
        request_count=sum(fragment.request_count for fragment in fragments),
        bytes_read=sum(fragment.bytes_read for fragment in fragments),
        sidecar_bytes=sum(root.size(path) for path in SIDECAR_PATHS),
        build_id=build_id,
        reused_files=sum(fragment.is_reused for fragment in fragments),
    )

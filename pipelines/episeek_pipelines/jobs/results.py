"""Results of the jobs: small values for people and for JSON."""

from dataclasses import dataclass
from typing import Any

from episeek.errors import EpiseekError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.fragments import FragmentSummary
from episeek_pipelines.jobs.node_functions import RewriteReceipt
from episeek_pipelines.jobs.nodes import Failure
from episeek_pipelines.rewrite.rewrite import RewritePlan
from episeek_pipelines.verify import VerificationReport
from episeek_schemas import sidecars


@dataclass(frozen=True, slots=True)
class RewriteSummary:
    """Totals of rewriting data files."""

    source_files: int
    files: int
    row_groups: int
    rows: int
    source_bytes: int
    written_bytes: int
    max_episodes_per_file: int
    reason: str
    """How `max_episodes_per_file` was chosen."""
    reused_files: int
    """Files that the run that was stopped had finished."""

    @classmethod
    def of(cls, receipts: list[RewriteReceipt], plan: RewritePlan) -> "RewriteSummary":
        """Return the totals over all data files."""
        written = [output for receipt in receipts for output in receipt.result.outputs]
        return cls(
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


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """Totals of indexing. Files that a stopped run had finished count with the bytes and requests of that run."""

    files: int
    file_bytes: int
    samples: int
    request_count: int
    bytes_read: int
    sidecar_bytes: int
    build_id: str
    reused_files: int
    unchanged_files: int
    """Files that were not read because the existing sidecars are up to date for them."""

    @classmethod
    def of(cls, fragments: list[FragmentSummary], root: Root, build_id: str) -> "IndexSummary":
        """Return the totals over all MP4 files; the sizes are those of the tables below `root`."""
        return cls(
            files=len(fragments),
            file_bytes=sum(fragment.properties.file_size for fragment in fragments),
            samples=sum(fragment.properties.sample_count for fragment in fragments),
            request_count=sum(fragment.request_count for fragment in fragments),
            bytes_read=sum(fragment.bytes_read for fragment in fragments),
            sidecar_bytes=sum(root.size(path) for path, _ in sidecars.TABLES.values()),
            build_id=build_id,
            reused_files=sum(fragment.is_reused for fragment in fragments),
            unchanged_files=sum(fragment.is_unchanged for fragment in fragments),
        )


@dataclass(frozen=True, slots=True)
class PrepareResult:
    """The result of a job; parts that the job does not have are None."""

    destination: str
    seconds: float
    is_resumed: bool
    """Whether the job used finished work of a run that was stopped."""
    rewrite: RewriteSummary | None = None
    index: IndexSummary | None = None
    verification: VerificationReport | None = None
    copied_files: int = 0


class WorkFailedError(EpiseekError, RuntimeError):
    """Some files could not be processed.

    Args:
        where: The dataset.
        found: The number of failed items, and the first failure.
        expected: The expected outcome.
        hint: Advice on how to continue, and what was kept.
        failures: Each failed item with its reason.
    """

    def __init__(
        self, where: str, found: str, expected: str, hint: str = "", failures: tuple[Failure, ...] = ()
    ) -> None:
        super().__init__(where, found, expected, hint)
        self.failures = failures

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.found, self.expected, self.hint, self.failures)

    @classmethod
    def of(cls, failures: list[Failure], *, item_count: int, where: str, hint: str = "") -> "WorkFailedError":
        """Return the error for the failures of a graph, each once: a reduction repeats those that block it.

        Args:
            failures: At least one.
            item_count: Items of the graph.
            where: The dataset.
            hint: Advice on how to continue, and what was kept.
        """
        unique = tuple(dict.fromkeys(failures))
        more = f" (and {len(unique) - 1} more)" if len(unique) > 1 else ""
        found = f"{len(unique)} of {item_count} items failed{more}: {unique[0].message}"
        return cls(where, found, "every item to succeed", hint, unique)

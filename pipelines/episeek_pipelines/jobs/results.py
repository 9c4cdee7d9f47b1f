"""The results of the jobs, as small values that are printed and written as JSON."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from episeek.errors import EpiseekError
from episeek_pipelines.dataset.contents import LeftOut
from episeek_pipelines.dataset.copying import Way
from episeek_pipelines.dataset.metadata import Dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.v2.root import V2Root
from episeek_pipelines.dataset.v2.strays import stray_files
from episeek_pipelines.jobs.nodes import Failure
from episeek_schemas import sidecars

if TYPE_CHECKING:
    from episeek_pipelines.index.fragments import FragmentSummary
    from episeek_pipelines.jobs.node_functions import CopiedFile, RewriteReceipt
    from episeek_pipelines.jobs.packing import Packing
    from episeek_pipelines.repair.record import MadeRepairs
    from episeek_pipelines.rewrite.rewrite import RewritePlan, WrittenMetadata
    from episeek_pipelines.verify import VerificationReport


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
    """The reason why this `max_episodes_per_file` was chosen."""
    reused_files: int
    """Number of files that an earlier run, which was stopped, had finished."""
    corrected_episodes: int = 0
    """Number of episodes for which `meta/episodes` of the source names the wrong data file. The result names the right one."""
    request_count: int = 0
    """Number of requests to a store; 0 for local files."""
    retry_count: int = 0

    @classmethod
    def of(cls, receipts: "list[RewriteReceipt]", plan: "RewritePlan", metadata: "WrittenMetadata") -> "RewriteSummary":
        """Return the totals over all data files."""
        written = [output for receipt in receipts for output in receipt.result.outputs]
        return cls(
            source_files=sum(len(unit.paths) for unit in plan.units),
            files=len(written),
            row_groups=sum(output.row_groups for output in written),
            rows=sum(output.rows for output in written),
            source_bytes=sum(receipt.result.source_bytes for receipt in receipts),
            written_bytes=sum(output.size_bytes for output in written),
            max_episodes_per_file=plan.max_episodes_per_file,
            reason=plan.reason,
            reused_files=sum(receipt.is_reused for receipt in receipts),
            corrected_episodes=metadata.corrected_episodes,
            request_count=sum(receipt.result.request_count for receipt in receipts),
            retry_count=sum(receipt.result.retry_count for receipt in receipts),
        )


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """Totals of indexing. A file that a stopped run had finished counts with the bytes and requests of that run."""

    files: int
    file_bytes: int
    samples: int
    request_count: int
    """Number of requests to a store; 0 for local files."""
    bytes_read: int
    sidecar_bytes: int
    build_id: str
    reused_files: int
    unchanged_files: int
    """Number of files that were not read, since the existing sidecars are up to date for them."""
    sync_samples: int = 0
    """Number of keyframes according to the headers of the files."""
    sync_samples_inspected: int = 0
    """Number of keyframes whose bytes were read to check whether decoding can start there."""
    warnings: tuple[str, ...] = ()
    """Warnings about episodes whose declaration contradicts their file. These episodes are indexed as the file shows."""
    retry_count: int = 0

    @classmethod
    def of(cls, fragments: "list[FragmentSummary]", root: Root, build_id: str) -> "IndexSummary":
        """Return the totals over all video files, and the sizes of the tables below `root`."""
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
            sync_samples=sum(fragment.properties.sync_sample_count for fragment in fragments),
            sync_samples_inspected=sum(fragment.properties.sync_samples_inspected for fragment in fragments),
            warnings=tuple(sorted(warning for fragment in fragments for warning in fragment.warnings)),
            retry_count=sum(fragment.retry_count for fragment in fragments),
        )


@dataclass(frozen=True, slots=True)
class CopySummary:
    """Counts of the files that were copied, cloned or linked to the destination, and the folders that were left out."""

    cloned: int
    """Number of clones of files of the source. A clone shares the file's disk blocks until one of the two is written to."""
    copied: int
    copied_instead: int
    """Number of files that were copied because they could not be cloned or hard-linked."""
    hard_linked: int
    """Number of hard links to files of the source. A write to a link also changes the file of the source."""
    left_out: tuple[LeftOut, ...]
    """Folders of the source that are not part of the dataset."""
    is_card_pinned: bool = False
    """Whether `README.md` was changed so that readers do not treat the sidecars as data."""

    @classmethod
    def of(cls, files: "list[CopiedFile]", left_out: tuple[LeftOut, ...], wanted: Way) -> "CopySummary":
        """Return the totals over all files. `wanted` is the way in which all files should have been copied or linked."""
        ways = Counter(file.way for file in files)
        instead = sum(file.way != wanted and not file.is_pinned for file in files)
        is_pinned = any(file.is_pinned for file in files)
        return cls(ways["clone"], ways["copy"], instead, ways["hardlink"], left_out, is_pinned)

    @property
    def files(self) -> int:
        """The number of files that were copied, cloned or linked."""
        return self.cloned + self.copied + self.hard_linked


@dataclass(frozen=True, slots=True)
class PackSummary:
    """Totals of packed videos."""

    source_files: int
    """Number of video files of the source that contain episodes."""
    files: int
    file_bytes: int
    samples: int
    reused_files: int
    """Number of files that a stopped run had finished."""

    @classmethod
    def of(cls, packing: "Packing") -> "PackSummary":
        """Return the totals over all packed files."""
        return cls(
            source_files=packing.plan.source_files,
            files=len(packing.written),
            file_bytes=sum(each.file.size_bytes for each in packing.written),
            samples=sum(each.file.samples for each in packing.written),
            reused_files=sum(each.is_reused for each in packing.written),
        )


@dataclass(frozen=True, slots=True)
class PrepareResult:
    """The result of a job. The part for a step is None if the job does not include the step."""

    destination: str
    seconds: float
    is_resumed: bool
    """Whether the job reused finished work of a stopped run."""
    rewrite: RewriteSummary | None = None
    index: IndexSummary | None = None
    verification: "VerificationReport | None" = None
    copies: CopySummary | None = None
    packing: PackSummary | None = None
    source_changes: tuple[str, ...] = ()
    """Files of the source of an indexed overlay that have changed since the overlay was prepared."""
    source_command: str = ""
    """The command line that prepares this source again as before, as the overlay records it; empty if no file has changed."""
    source_version: str = ""
    """The `codebase_version` of a source of version 2.x, which was converted to version 3.0; empty for other sources."""
    strays: tuple[str, ...] = ()
    """Files below data/ and videos/ of a source of version 2.x that belong to no episode, and were left out."""
    skipped_episodes: tuple[int, ...] = ()
    """Numbers, in the source, of the episodes that were left out. The remaining episodes were renumbered."""
    lacks_pin: bool = False
    """Whether readers of the dataset treat the sidecars as data, since `README.md` does not leave them out (finding HUB035)."""
    repairs: "MadeRepairs | None" = None
    """The repairs that were made and the repairs that were refused; None if no repair was requested."""
    is_current: bool = False
    """Whether the job did nothing because an earlier run with the same source and options had finished."""

    @property
    def copied_files(self) -> int:
        """The number of files that were copied, cloned or linked."""
        return 0 if self.copies is None else self.copies.files


def version_fields(dataset: Dataset) -> dict[str, Any]:
    """Return the fields of a `PrepareResult` that describe a source of version 2.x; an empty dict for other sources."""
    if not isinstance(dataset.root, V2Root):
        return {}
    return {
        "source_version": dataset.found_version,
        "strays": stray_files(dataset),
        "skipped_episodes": dataset.root.skipped,
    }


class WorkFailedError(EpiseekError, RuntimeError):
    """Raised when some files could not be processed.

    Args:
        where: The dataset.
        found: The number of failed items, and the first failure.
        expected: The expected outcome.
        hint: Advice on how to continue, and which work was kept.
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
        """Return the error for the failures of a graph. A failure that also blocked other nodes is listed once.

        Args:
            failures: The failures, at least one.
            item_count: Number of items of the graph.
            where: The dataset.
            hint: Advice on how to continue, and which work was kept.
        """
        unique = tuple(dict.fromkeys(failures))
        more = "; the first error" if len(unique) > 1 else ""
        found = f"{len(unique)} of {item_count} items failed{more}: {unique[0].message}"
        return cls(where, found, "every item to succeed", hint, unique)

"""The functions that the nodes of a job's graph call: they call the steps, and write a receipt for each finished file.

A receipt identifies all inputs of its work: the version of the source file, the plan for it, and the version of the step. A run
that resumes a stopped run reuses finished work only if all these inputs are the same.
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from episeek_pipelines.dataset.copying import Way, copy_file
from episeek_pipelines.dataset.recomputed_statistics import measure
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import remove_unlisted_files
from episeek_pipelines.dataset.v2.row_statistics import add_row_statistics
from episeek_pipelines.index.existing_rows import ExistingRows
from episeek_pipelines.index.fragments import FragmentSummary, index_to_fragment
from episeek_pipelines.index.merge import write_sidecars
from episeek_pipelines.index.units import IndexUnit
from episeek_pipelines.jobs.card.front_matter import pinned_card
from episeek_pipelines.jobs.receipts import finished_result, read_receipt, write_receipt
from episeek_pipelines.pack.plan import PackPlan
from episeek_pipelines.rewrite.rewrite import (
    REWRITE_VERSION,
    RewritePlan,
    RewriteResult,
    RewriteUnit,
    WrittenFile,
    WrittenMetadata,
    rewrite_file,
    write_metadata,
)
from episeek_pipelines.statistics.columns import from_bytes, to_bytes
from episeek_pipelines.statistics.episodes import EpisodeStatistics
from episeek_pipelines.verify.metadata.card_rules import CardError
from episeek_schemas import layout, sidecars
from episeek_schemas.lerobot import DatasetInfo

STATISTICS_DIR: Final = "statistics"
"""The folder of the work directory that holds the statistics of rewritten rows."""


@dataclass(frozen=True, slots=True)
class RewriteReceipt:
    """The result of rewriting one data file, as a node returns it."""

    result: RewriteResult
    """The result without the episodes of each written file.

    They are only in the receipt file, so that schedulers transfer little.
    """
    receipt: str
    """Path of the receipt, relative to the work directory."""
    is_reused: bool
    """Whether an earlier run, which was stopped, had finished the file."""


@dataclass(frozen=True, slots=True)
class Sidecars:
    """A written build of the four sidecar tables."""

    build_id: str


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file of the source that was copied or linked into the destination."""

    path: str
    way: Way
    """The way in which the file was copied or linked."""
    is_pinned: bool = False
    """Whether the file is the dataset's card (`README.md`) and its configs were restricted to the data files."""


def index_one(
    item: tuple[str, IndexUnit], data_root: Root, work: Root, fps: float, existing: ExistingRows | None
) -> FragmentSummary:
    """Index one video file, and write its rows of the sidecars to the work directory as a fragment."""
    fragment, unit = item
    return index_to_fragment(data_root, work, fragment, unit, fps=fps, existing=existing)


def merge(
    fragments: list[FragmentSummary],
    work: Root,
    destination: Root,
    info: DatasetInfo,
    episode_count: int,
    frame_count: int,
) -> Sidecars:
    """Merge all fragments (the rows of one video file each) into the sidecars."""
    build_id = write_sidecars(work, fragments, destination, info, episode_count=episode_count, frame_count=frame_count)
    return Sidecars(build_id)


def rewrite_receipt(number: int) -> str:
    """Return the path, in the work directory, of the receipt for unit `number` of a rewrite plan.

    A unit is one data file, or several that are merged.
    """
    return f"rewrite/{number:07d}.json"


def rewrite_one(
    item: tuple[str, RewriteUnit], source: Root, destination: Root, work: Root, measured: tuple[str, ...] = ()
) -> RewriteReceipt:
    """Rewrite one data file, or merge several into one.

    Write the statistics of the features `measured` to the work directory, too.
    """
    receipt, unit = item
    identity = _identity(f"{unit!r} {unit.encodings!r}", source, *unit.paths)
    stored = read_receipt(work, receipt, identity)
    if stored is not None:
        outputs = tuple(_written_file(output) for output in stored["outputs"])
        is_measured = not measured or work.exists(_statistics_path(receipt))
        if is_measured and all(
            destination.exists(file.path) and destination.size(file.path) == file.size_bytes for file in outputs
        ):
            result = RewriteResult(stored["path"], stored["source_bytes"], outputs)
            return RewriteReceipt(result.without_episodes(), receipt, is_reused=True)
    result = rewrite_file(source, destination, unit)
    if measured:
        (output,) = result.outputs
        work.write_bytes(_statistics_path(receipt), to_bytes(measure(destination, output.path, measured)))
    write_receipt(work, receipt, identity, asdict(result))
    return RewriteReceipt(result.without_episodes(), receipt, is_reused=False)


def _statistics_path(receipt: str) -> str:
    """Return the path, in the work directory, of the statistics of a rewritten file's rows."""
    return f"{STATISTICS_DIR}/{receipt.rpartition('/')[2].partition('.')[0]}.npz"


def copy_one(item: tuple[str, str], source: Root, destination: Root, work: Root, way: Way) -> CopiedFile:
    """Copy, clone or link one file that is not rewritten."""
    receipt, path = item
    identity = _identity(f"way={way}", source, path)
    stored = read_receipt(work, receipt, identity)
    if stored is not None and destination.exists(path):
        return CopiedFile(path, stored["way"], stored["is_pinned"])
    pinned = card_with_pin(source) if path == layout.CARD_PATH else None
    if pinned is None:
        done = copy_file(source, destination, path, way=way)
    else:
        done = "copy"
        destination.write_bytes(path, pinned)
    write_receipt(work, receipt, identity, {"way": done, "is_pinned": pinned is not None})
    return CopiedFile(path, done, pinned is not None)


def card_with_pin(source: Root) -> bytes | None:
    """Return the dataset's card, changed so that readers do not treat the sidecars as data.

    Return None if the card needs no change, or if it has a form that cannot be edited. In the second case, the finding HUB035 says
    what to write.
    """
    content = source.read_bytes(layout.CARD_PATH)
    try:
        pinned = pinned_card(content.decode("utf-8")).encode()
    except (CardError, UnicodeDecodeError):
        return None
    return None if pinned == content else pinned


def finish_metadata(
    values: list[Any],
    source: Root,
    destination: Root,
    work: Root,
    plan: RewritePlan,
    packed: PackPlan | None = None,
    is_measured: bool = False,
) -> WrittenMetadata:
    """Write `meta/`, and remove the files in the destination that a stopped run wrote and this run does not write.

    Args:
        values: The results of all other nodes of the job.
        source: The root of the source.
        destination: The root to write to.
        work: The work directory.
        plan: The plan of the data files.
        packed: The plan of the packed videos, whose locations are written; None if videos are not packed.
        is_measured: Whether to write statistics that were computed from the rewritten rows.
    """
    receipts = [value for value in values if isinstance(value, RewriteReceipt)]
    outputs = (output for receipt in receipts for output in _outputs(work, receipt.receipt))
    locations = None if packed is None else packed.locations
    written = write_metadata(source, destination, plan, outputs, videos=locations)
    if is_measured:
        kept = [from_bytes(work.read_bytes(_statistics_path(receipt.receipt))) for receipt in receipts]
        add_row_statistics(destination, EpisodeStatistics.joined(kept))
        written = replace(written, paths=tuple(sorted({*written.paths, layout.STATS_PATH})))
    expected = {*written.paths, *(output.path for receipt in receipts for output in receipt.result.outputs)}
    expected.update(() if packed is None else packed.paths)
    for value in values:
        if isinstance(value, CopiedFile):
            expected.add(value.path)
        elif isinstance(value, Sidecars):
            expected.update(path for path, _ in sidecars.TABLES.values())
    remove_unlisted_files(destination, expected)
    return written


def _outputs(work: Root, receipt: str) -> list[WrittenFile]:
    """Return the files that were written for one data file, with their episodes, from its receipt."""
    return [_written_file(stored) for stored in finished_result(work, receipt)["outputs"]]


def _written_file(stored: dict[str, Any]) -> WrittenFile:
    return WrittenFile(**{**stored, "episodes": tuple((episode, rows) for episode, rows in stored["episodes"])})


def _identity(plan: str, source: Root, *paths: str) -> str:
    versions = " ".join(source.version_of(path) for path in paths)
    return hashlib.sha256(f"rewrite {REWRITE_VERSION} {paths[0]} {plan} {versions}".encode()).hexdigest()

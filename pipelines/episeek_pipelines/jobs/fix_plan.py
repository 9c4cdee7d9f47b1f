"""Planning what can be mended in place: which data files to rewrite, whether to build the sidecars anew, and what is left.

Reads metadata, the footers and the column `episode_index` of the data files concerned, and, where sidecars are to be built, the
headers of the videos. Writes nothing.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from episeek.errors import DatasetError, DestinationError, EpiseekError, ParquetError, RowOrderError
from episeek_pipelines.dataset.metadata import Dataset, open_dataset, read_info
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.staleness import check_index
from episeek_pipelines.index.units import (
    plan_index,
)
from episeek_pipelines.rewrite.encodings import ColumnEncodings
from episeek_pipelines.rewrite.in_place import DataFileLayout, examine_data_file, require_no_link
from episeek_pipelines.rewrite.rewrite import plan_rewrite
from episeek_pipelines.verify import RULES, Finding, VerificationReport
from episeek_pipelines.verify.rules import (
    DATA_FOOTER,
    EPISODE_ROWS,
    INDEXED_FILES,
    INDEXED_SAMPLES,
    INDEXED_SPANS,
    PAGE_INDEX,
    ROW_GROUPS,
    ROW_GROUPS_OF_INDEXED,
    SIDECAR_FORMAT,
    STALE,
)
from episeek_pipelines.words import (
    counted,
)
from episeek_schemas import layout

DATA_CODES: Final = frozenset(rule.code for rule in (ROW_GROUPS, ROW_GROUPS_OF_INDEXED, PAGE_INDEX))
"""What rewriting a data file mends."""

SIDECAR_CODES: Final = frozenset(
    rule.code for rule in (INDEXED_FILES, INDEXED_SPANS, INDEXED_SAMPLES, SIDECAR_FORMAT, STALE)
)
"""What building the sidecars anew mends."""


@dataclass(frozen=True, slots=True)
class RewriteDataFile:
    """One data file to rewrite in place."""

    path: str
    codes: tuple[str, ...]
    before: DataFileLayout
    max_episodes_per_file: int
    """Above this, `episeek prepare` would split the file for the size of its footer."""
    encodings: ColumnEncodings = field(default=ColumnEncodings(), repr=False)

    @property
    def what(self) -> str:
        """What changes, in a few words."""
        parts = []
        if not self.before.is_one_per_episode:
            parts.append(f"row groups {self.before.row_group_count:,} -> {self.before.episode_count:,}")
        if not self.before.page_index.is_whole:
            parts.append("page index added")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class RebuildSidecars:
    """All sidecars to build anew."""

    codes: tuple[str, ...]
    build_id: str
    """Of the sidecars that are there; empty where they cannot be read."""
    file_count: int
    """Video files that episodes name."""
    stale: tuple[str, ...]
    """What is wrong with the rows of which file, a line for each."""
    path: str = layout.BYTE_INDEX_DIR

    @property
    def what(self) -> str:
        """What changes, in a few words."""
        return f"built anew from {counted(self.file_count, 'video file')}"


Action = RewriteDataFile | RebuildSidecars


@dataclass(frozen=True, slots=True)
class Left:
    """Findings of one rule that are not mended: all of them, or those of one file that might have been."""

    code: str
    count: int
    remedy: str
    path: str | None = None
    reason: str | None = None
    """Why a file that might have been mended is not."""


@dataclass(frozen=True, slots=True)
class FixPlan:
    """What will be done, by path, sidecars last; and what will not."""

    actions: tuple[Action, ...]
    left: tuple[Left, ...]


def plan_fix(report: VerificationReport, root: Root) -> FixPlan:
    """Decide what to do. Reads metadata, footers, the column `episode_index` of the files concerned, and, where sidecars are to be
    built, the headers of the videos; writes nothing.

    Raises:
        DestinationError: `root` is in a store, or an overlay.
        EpiseekError: It is not a dataset.
    """
    require_whole_and_local(root)
    data = [found for found in report.findings if found.code in DATA_CODES]
    sidecar = [found for found in report.findings if found.code in SIDECAR_CODES]
    others = [found for found in report.findings if found.code not in DATA_CODES | SIDECAR_CODES]
    actions: list[Action] = []
    left = _left(others)
    if data or sidecar:
        try:
            dataset = open_dataset(root)
        except DatasetError as error:
            return FixPlan((), sorted_left([*left, *_left([*data, *sidecar], error=error)]))
        for planned in (_plan_data(dataset, data), _plan_sidecars(dataset, sidecar)):
            actions += planned.actions
            left += planned.left
    return FixPlan(tuple(actions), sorted_left(left))


def _plan_data(dataset: Dataset, findings: list[Finding]) -> FixPlan:
    if not findings:
        return FixPlan((), ())
    of_path: dict[str, list[Finding]] = defaultdict(list)
    rows_of_path: dict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(dataset.data_paths()):
        rows_of_path[path].append(row)
    for found in findings:
        for path in rows_of_path if found.location.file is None else [found.location.file]:
            of_path[path].append(found)
    rewriting = plan_rewrite(dataset)
    encodings = {unit.path: unit.encodings for unit in rewriting.units}
    actions: list[Action] = []
    left: list[Left] = []
    for path, found_here in sorted(of_path.items()):
        try:
            before = examine_data_file(
                dataset.root, path, dataset.episodes.episode_index[np.array(rows_of_path[path], int)]
            )
        except EpiseekError as error:
            left += _left(found_here, path=path, error=error)
            continue
        if before.is_seekable:
            reason = "one row group per episode and a page index: a rewrite would change nothing"
            left += _left(found_here, path=path, reason=reason, remedy="verify again")
            continue
        codes = tuple(sorted({found.code for found in found_here}))
        known = encodings.get(path, ColumnEncodings())
        actions.append(RewriteDataFile(path, codes, before, rewriting.max_episodes_per_file, known))
    return FixPlan(tuple(actions), tuple(left))


def _plan_sidecars(dataset: Dataset, findings: list[Finding]) -> FixPlan:
    if not findings:
        return FixPlan((), ())
    where = layout.BYTE_INDEX_DIR
    if not dataset.root.list(where, suffix=".parquet"):
        left = _left(findings, path=where, reason="no sidecars", remedy="write them with `episeek index`")
        return FixPlan((), tuple(left))
    try:
        require_no_link(dataset.root, where)
        units = plan_index(dataset, dataset.root)
    except EpiseekError as error:
        return FixPlan((), tuple(_left(findings, path=where, error=error)))
    check = check_index(dataset.root.url)
    stale = {item.path: f"{item.reason}: found {item.found}; expected {item.expected}" for item in check.stale}
    for found in findings:
        stale.setdefault(found.location.file or where, f"{found.code}: {found.message}")
    lines = tuple(f"{path}: {reason}" for path, reason in sorted(stale.items()))
    codes = tuple(sorted({found.code for found in findings}))
    return FixPlan((RebuildSidecars(codes, check.build_id, len(units), lines),), ())


def _left(
    findings: list[Finding],
    *,
    path: str | None = None,
    error: EpiseekError | None = None,
    reason: str | None = None,
    remedy: str | None = None,
) -> list[Left]:
    """One for each rule: its own remedy, unless something is in the way."""
    counts: dict[str, int] = defaultdict(int)
    for found in findings:
        counts[found.code] += 1 + found.more
    if error is not None:
        reason, remedy = f"found {error.found}; expected {error.expected}", _remedy(error)
    return [
        Left(code, count, RULES[code].remedy if remedy is None else remedy, path, reason)
        for code, count in counts.items()
    ]


def _remedy(error: EpiseekError) -> str:
    if isinstance(error, DestinationError):
        return error.expected
    if isinstance(error, RowOrderError):
        return EPISODE_ROWS.remedy
    return DATA_FOOTER.remedy if isinstance(error, ParquetError) else "mend that, and verify again"


def sorted_left(left: list[Left]) -> tuple[Left, ...]:
    """By rule, then by path."""
    return tuple(sorted(left, key=lambda item: (item.code, item.path or "")))


def require_whole_and_local(root: Root) -> None:
    """Refuse what is not mended in place.

    Raises:
        DestinationError: `root` is in a store, or an overlay.
        EpiseekError: It is not a dataset.
    """
    if not root.is_local:
        raise DestinationError(
            str(root),
            "a dataset in a store, to be mended in place",
            f"a local one; `episeek prepare {root} DST` writes a mended copy of this one",
        )
    if read_info(root).video_keys and not root.list(layout.VIDEOS_DIR):
        raise DestinationError(
            str(root),
            "no videos/: an overlay, to be mended in place",
            "a dataset with its videos; make the overlay anew with `episeek prepare SRC DST`",
        )

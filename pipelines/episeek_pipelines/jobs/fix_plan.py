"""The plan of a fix: data files to rewrite in place, whether to rebuild the sidecars, and findings that stay unfixed.

Planning reads metadata, the footers and the column `episode_index` of the data files concerned, and, if the sidecars are to be
rebuilt, the headers of the videos. It writes nothing.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from episeek.errors import DatasetError, DestinationError, EpiseekError, ParquetError, RowOrderError
from episeek_pipelines.dataset.metadata import Dataset, open_dataset, read_info
from episeek_pipelines.dataset.provenance import preparation_command
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.staleness import check_index
from episeek_pipelines.index.units import plan_index
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
from episeek_pipelines.words import counted
from episeek_schemas import layout

DATA_CODES: Final = frozenset(rule.code for rule in (ROW_GROUPS, ROW_GROUPS_OF_INDEXED, PAGE_INDEX))
"""Codes of the findings that are fixed by rewriting a data file."""

SIDECAR_CODES: Final = frozenset(
    rule.code for rule in (INDEXED_FILES, INDEXED_SPANS, INDEXED_SAMPLES, SIDECAR_FORMAT, STALE)
)
"""Codes of the findings that are fixed by rebuilding the sidecars."""

FIX_AND_VERIFY_AGAIN: Final = "fix this and verify again"
"""The remedy of findings that have no other remedy."""


@dataclass(frozen=True, slots=True)
class RewriteDataFile:
    """The action of rewriting one data file in place."""

    path: str
    codes: tuple[str, ...]
    before: DataFileLayout
    max_episodes_per_file: int
    """Number of episodes above which `episeek prepare` would split the file, since its footer would become too large."""
    encodings: ColumnEncodings = field(default=ColumnEncodings(), repr=False)

    @property
    def summary(self) -> str:
        """The changes in a few words."""
        parts = []
        if not self.before.is_one_per_episode:
            parts.append(f"row groups {self.before.row_group_count:,} -> {self.before.episode_count:,}")
        if not self.before.page_index.is_whole:
            parts.append("page index added")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class RebuildSidecars:
    """The action of rebuilding all sidecars."""

    codes: tuple[str, ...]
    build_id: str
    """The build id of the existing sidecars; empty if they cannot be read."""
    file_count: int
    """Number of video files to which episodes refer."""
    stale: tuple[str, ...]
    """One line for each path whose rows are stale, with the reason."""
    path: str = layout.BYTE_INDEX_DIR

    @property
    def summary(self) -> str:
        """The changes in a few words."""
        return f"rebuilt from {counted(self.file_count, 'video file')}"


Action = RewriteDataFile | RebuildSidecars


@dataclass(frozen=True, slots=True)
class Unfixed:
    """Findings of one rule that stay unfixed.

    They are the findings in one file that could not be fixed, or all findings of a rule that a fix does not cover.
    """

    code: str
    count: int
    remedy: str
    path: str | None = None
    """The file that could not be fixed; None for a rule that a fix does not cover."""
    reason: str | None = None
    """Why the file could not be fixed."""


@dataclass(frozen=True, slots=True)
class FixPlan:
    """The actions of a fix, sorted by path with the sidecars last, and the findings that these actions do not fix."""

    actions: tuple[Action, ...]
    unfixed: tuple[Unfixed, ...]


def plan_fix(report: VerificationReport, root: Root) -> FixPlan:
    """Plan the actions that fix a report's findings. Nothing is written.

    Raises:
        DestinationError: `root` is in a store, or is an overlay.
        EpiseekError: `root` is not a dataset.
    """
    require_local_with_videos(root)
    data = [found for found in report.findings if found.code in DATA_CODES]
    sidecar = [found for found in report.findings if found.code in SIDECAR_CODES]
    others = [found for found in report.findings if found.code not in DATA_CODES | SIDECAR_CODES]
    actions: list[Action] = []
    unfixed = _unfixed(others)
    if data or sidecar:
        try:
            dataset = open_dataset(root)
        except DatasetError as error:
            return FixPlan((), sorted_unfixed([*unfixed, *_unfixed([*data, *sidecar], error=error)]))
        for plan in (_plan_data_files(dataset, data), _plan_sidecars(dataset, sidecar)):
            actions += plan.actions
            unfixed += plan.unfixed
    return FixPlan(tuple(actions), sorted_unfixed(unfixed))


def _plan_data_files(dataset: Dataset, findings: list[Finding]) -> FixPlan:
    if not findings:
        return FixPlan((), ())
    findings_of: dict[str, list[Finding]] = defaultdict(list)
    rows_of = dataset.data_rows()
    for found in findings:
        for path in rows_of if found.location.file is None else [found.location.file]:
            findings_of[path].append(found)
    rewrite_plan = plan_rewrite(dataset)
    encodings = {path: unit.encodings for unit in rewrite_plan.units for path in unit.paths}
    actions: list[Action] = []
    unfixed: list[Unfixed] = []
    for path, findings_here in sorted(findings_of.items()):
        episodes = dataset.episodes.episode_index[rows_of.get(path, np.zeros(0, np.int64))]
        try:
            before = examine_data_file(dataset.root, path, episodes)
        except EpiseekError as error:
            unfixed += _unfixed(findings_here, path=path, error=error)
            continue
        if before.is_seekable:
            reason = "the file already has one row group per episode and a page index"
            unfixed += _unfixed(findings_here, path=path, reason=reason, remedy="verify again")
            continue
        codes = tuple(sorted({found.code for found in findings_here}))
        chosen = encodings.get(path, ColumnEncodings())
        actions.append(RewriteDataFile(path, codes, before, rewrite_plan.max_episodes_per_file, chosen))
    return FixPlan(tuple(actions), tuple(unfixed))


def _plan_sidecars(dataset: Dataset, findings: list[Finding]) -> FixPlan:
    if not findings:
        return FixPlan((), ())
    folder = layout.BYTE_INDEX_DIR
    if not dataset.root.list(folder, suffix=".parquet"):
        unfixed = _unfixed(findings, path=folder, reason="no sidecars", remedy="run `episeek index`")
        return FixPlan((), tuple(unfixed))
    try:
        require_no_link(dataset.root, folder)
        units = plan_index(dataset, dataset.root)
    except EpiseekError as error:
        return FixPlan((), tuple(_unfixed(findings, path=folder, error=error)))
    check = check_index(dataset.root.url)
    stale = {item.path: f"{item.reason}: found {item.found}; expected {item.expected}" for item in check.stale}
    for found in findings:
        stale.setdefault(found.location.file or folder, f"{found.code}: {found.message}")
    lines = tuple(f"{path}: {reason}" for path, reason in sorted(stale.items()))
    codes = tuple(sorted({found.code for found in findings}))
    return FixPlan((RebuildSidecars(codes, check.build_id, len(units), lines),), ())


def _unfixed(
    findings: list[Finding],
    *,
    path: str | None = None,
    error: EpiseekError | None = None,
    reason: str | None = None,
    remedy: str | None = None,
) -> list[Unfixed]:
    """Return one `Unfixed` for each rule that the findings violate.

    The remedy is that of `error` if an error is given, otherwise `remedy` if it is given, otherwise the rule's own remedy.
    """
    counts: dict[str, int] = defaultdict(int)
    for found in findings:
        counts[found.code] += 1 + found.more
    if error is not None:
        reason, remedy = f"found {error.found}; expected {error.expected}", remedy_of(error)
    return [
        Unfixed(code, count, RULES[code].remedy if remedy is None else remedy, path, reason)
        for code, count in counts.items()
    ]


def remedy_of(error: EpiseekError) -> str:
    """Return the remedy for an error that prevents a fix: an imperative sentence for the user."""
    if isinstance(error, RowOrderError):
        return EPISODE_ROWS.remedy
    if isinstance(error, ParquetError):
        return DATA_FOOTER.remedy
    return error.hint or FIX_AND_VERIFY_AGAIN


def sorted_unfixed(unfixed: list[Unfixed]) -> tuple[Unfixed, ...]:
    """Return the values sorted by rule, then by path."""
    return tuple(sorted(unfixed, key=lambda item: (item.code, item.path or "")))


def require_local_with_videos(root: Root) -> None:
    """Raise an error if a dataset cannot be fixed in place.

    Raises:
        DestinationError: `root` is in a store, or is an overlay.
        EpiseekError: `root` is not a dataset.
    """
    if not root.is_local:
        hint = f"run `episeek prepare {root} DST` to write a fixed copy"
        raise DestinationError(str(root), "a dataset in a store", "a local dataset to fix in place", hint)
    if read_info(root).video_keys and not root.list(layout.VIDEOS_DIR):
        hint = f"run `{preparation_command(root)}` on the source to write a new overlay"
        raise DestinationError(
            str(root), "an overlay without videos/", "a dataset with its videos to fix in place", hint
        )

"""Functions that run checks, one at a time and in any order, and that turn their results into a report."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial, reduce
from pathlib import PurePosixPath

import numpy as np

from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.v2.root import V2Root
from episeek_pipelines.verify.coverage import coverage_of, separate_notes
from episeek_pipelines.verify.data.duplicates import check_duplicates
from episeek_pipelines.verify.data.feature_ranges import check_constant_dimensions
from episeek_pipelines.verify.data.global_statistics import check_global_statistics
from episeek_pipelines.verify.data.motion_charts import with_ranges
from episeek_pipelines.verify.data.motion_scan import check_lags
from episeek_pipelines.verify.data.row_scan import NULL_NUMBER
from episeek_pipelines.verify.data.rules import check_data_group
from episeek_pipelines.verify.episodes.declared_rows import forget_blocks, with_declared_rows
from episeek_pipelines.verify.episodes.table import locate
from episeek_pipelines.verify.findings.checks import (
    Check,
    CheckResult,
    DataCheck,
    DataGroup,
    SidecarCheck,
    VerificationContext,
    VerificationPlan,
    VideoCheck,
)
from episeek_pipelines.verify.findings.figures import CameraFigures, Figures
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded
from episeek_pipelines.verify.findings.observations import ForeignRows, Observations
from episeek_pipelines.verify.findings.options import DEFAULT_OPTIONS, VerifyOptions
from episeek_pipelines.verify.findings.ranges import FeatureRanges
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.findings.totals import FeatureTotals
from episeek_pipelines.verify.metadata.layout_rules import check_shards
from episeek_pipelines.verify.metadata.old_version import as_found
from episeek_pipelines.verify.plan import plan_verification
from episeek_pipelines.verify.rules import (
    COLUMNS,
    CRASHED,
    DATA_FOOTER,
    DATA_POINTER,
    EPISODE_ROWS,
    MISSING_FILE,
    UNREADABLE,
)
from episeek_pipelines.verify.rules.rows import UNLISTED_REMEDY
from episeek_pipelines.verify.sidecars.buffers import forget_sidecars, release_pages
from episeek_pipelines.verify.sidecars.opened_index import forget_index
from episeek_pipelines.verify.sidecars.rules import check_sidecar
from episeek_pipelines.verify.strips.pictures import with_pictures
from episeek_pipelines.verify.videos.declared_format import check_formats
from episeek_pipelines.verify.videos.frame_times import compare_times
from episeek_pipelines.verify.videos.lengths_first import with_lengths_first
from episeek_pipelines.verify.videos.other_files import with_other_files
from episeek_pipelines.verify.videos.rules import check_video_file
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot

_ROWS_UNKNOWN = frozenset(rule.code for rule in (MISSING_FILE, COLUMNS, DATA_FOOTER, CRASHED, UNREADABLE))
"""Codes of findings after which it is unknown which episodes have rows in the data file."""


def run_check(context: VerificationContext, check: Check) -> CheckResult:
    """Return the result of one check.

    An exception that a rule raises because of the content of a file becomes a finding (VER000), and the other rules still run.

    Raises:
        TypeError: `check` is not a DataCheck, a VideoCheck or a SidecarCheck.
    """
    if isinstance(check, DataCheck):
        check_group = partial(_check_data_group, context)
        return _merged(map_in_threads(check_group, check.groups, max_in_flight=context.root.in_flight))
    try:
        if isinstance(check, VideoCheck):
            check_file = partial(check_video_file, context, context.data_root.source())
            return _merged(map_in_threads(check_file, check.files, max_in_flight=context.data_root.in_flight))
        if isinstance(check, SidecarCheck):
            return check_sidecar(context, check)
    finally:
        release_pages()
        if context.root.is_local:
            forget_index()
    raise TypeError(f"check: found a {type(check).__name__}; expected a DataCheck, a VideoCheck or a SidecarCheck")


def conclude(plan: VerificationPlan, results: Iterable[CheckResult]) -> VerificationReport:
    """Return the report of all checks, after applying the rules that need several files.

    Args:
        plan: The plan that contains the checks.
        results: The results of all checks of the plan, in any order.
    """
    finished = list(results)
    findings = [*plan.findings, *(found for result in finished for found in result.findings)]
    observations = Observations.merged([result.observations for result in finished])
    context = plan.context
    if context is not None:
        with guarded(findings, "compare_times", Location()):
            findings = list(compare_times(context, observations, findings))
        with guarded(findings, "rules that compare several files", Location()):
            findings += _misplaced_rows(plan, context, observations, findings)
        with guarded(findings, "rules that compare videos with rows and other videos", Location()):
            findings = with_other_files(context, observations, findings)
            if not isinstance(context.root, V2Root):
                # The advice for version 2.x names ROW015 itself, and repairs need version 3.0.
                findings = with_lengths_first(plan.checks, findings)
        with guarded(findings, "check_formats", Location()):
            findings += check_formats(observations.video_formats, context.features)
        with guarded(findings, "check_duplicates", Location()):
            findings += check_duplicates(observations, context.info.video_keys)
        with guarded(findings, "check_lags", Location()):
            findings += check_lags(observations.lags)
        with guarded(findings, "check_constant_dimensions", Location(file=layout.INFO_PATH)):
            ranges = reduce(FeatureRanges.merge, observations.ranges, FeatureRanges())
            findings += check_constant_dimensions(ranges, context.features)
            findings[:] = with_ranges(findings, ranges)
            # ROW015 reports rows that are missing or occur twice. Such rows also change the statistics.
            if plan.statistics is not None and all(found.code != EPISODE_ROWS.code for found in findings):
                totals = FeatureTotals.merged(observations.totals)
                findings += check_global_statistics(
                    ranges, totals, context.features, plan.statistics, context.info.total_frames
                )
        if context.options.looks_at("layout"):
            with guarded(findings, "check_shards", Location()):
                findings += _check_shards(plan, context, observations)
        forget_sidecars(context.root)
        forget_blocks()
        forget_index()
    coverage = coverage_of(plan, findings, observations.windows, observations.keyframes)
    findings, notes = separate_notes(plan, findings)
    strip_bytes = 0
    if context is not None and context.options.looks_at("decode"):
        files = {file.path: file for check in plan.checks if isinstance(check, VideoCheck) for file in check.files}
        findings, strip_bytes = with_pictures(context, files, findings)
    if context is not None and isinstance(context.root, V2Root):
        findings = as_found(context.root, findings)
    return VerificationReport(
        root=plan.root,
        findings=tuple(sorted(findings)),
        episode_count=len(plan.episode_index),
        data_file_count=plan.data_file_count,
        video_file_count=plan.video_file_count,
        files_read=plan.files_read + sum(result.files_read for result in finished),
        bytes_read=plan.bytes_read + sum(result.bytes_read for result in finished) + strip_bytes,
        timestamp_tolerance_seconds=observations.timestamp_tolerance_seconds,
        window_count=observations.windows.compared,
        level=plan.options.require_level(),
        against=None if context is None or context.against is None else str(context.against),
        figures=_figures(plan, context, observations),
        notes=notes,
        coverage=coverage,
        options=plan.options,
    )


def verify(
    root: Root,
    *,
    data_root: Root | None = None,
    against: Root | None = None,
    prepared: bool | None = None,
    options: VerifyOptions = DEFAULT_OPTIONS,
) -> VerificationReport:
    """Verify a dataset, one check after the other, and return the report.

    The arguments and the errors are the same as for `plan_verification`.

    Example:
        >>> report = verify(Root("/data/pusht"))
        >>> report.is_clean
        True
    """
    plan = plan_verification(root, data_root=data_root, against=against, prepared=prepared, options=options)
    return conclude(plan, (run_check(plan.require_context(), check) for check in plan.checks))


def _check_data_group(context: VerificationContext, group: DataGroup) -> CheckResult:
    """Check a group of data files. From the level `rows` on, first read the tasks and statistics that meta/episodes records."""
    findings: list[Finding] = []
    files = list(group.files)
    if context.options.looks_at("rows"):
        for number, file in enumerate(files):
            with guarded(findings, "read declared rows", Location(file=file.path)):
                files[number] = with_declared_rows(context, file)
    result = check_data_group(context, replace(group, files=tuple(files)))
    return replace(result, findings=(*findings, *result.findings)) if findings else result


def _merged(results: list[CheckResult]) -> CheckResult:
    return CheckResult(
        tuple(found for result in results for found in result.findings),
        sum(result.bytes_read for result in results),
        sum(result.files_read for result in results),
        Observations.merged([result.observations for result in results]),
    )


def _check_shards(
    plan: VerificationPlan, context: VerificationContext, observations: Observations
) -> Iterable[Finding]:
    return check_shards(
        context.options,
        row_groups=observations.row_group_count,
        data_files=plan.data_file_count,
        is_prepared_layout=not observations.collapsed_file_count,
    )


def _figures(plan: VerificationPlan, context: VerificationContext | None, observations: Observations) -> Figures:
    if context is None:
        return plan.figures
    parts: dict[str, list[CameraFigures]] = {key: [] for key in context.info.video_keys}
    for part in observations.figures:
        parts[part.camera_key].append(part)
    return replace(
        plan.figures, cameras=tuple(CameraFigures.joined(key, files) for key, files in parts.items() if files)
    )


def _misplaced_rows(
    plan: VerificationPlan, context: VerificationContext, observations: Observations, findings: list[Finding]
) -> list[Finding]:
    """Return the findings about rows that are not in the data file that meta/episodes declares.

    EPI012 reports an episode whose rows are in another file. ROW015 reports an episode that has no rows, has rows in two files, or
    has rows but is not listed in meta/episodes.
    """
    absent = dict(observations.absent_episodes)
    foreign = sorted(observations.foreign_rows, key=lambda rows: (rows.episode_index, rows.path))
    unreadable = {found.location.file for found in findings if found.code in _ROWS_UNKNOWN}
    order = np.argsort(plan.episode_index, kind="stable")
    by_index = plan.episode_index[order]

    def row_of(episode: int) -> int | None:
        position = int(np.searchsorted(by_index, episode))
        return int(order[position]) if position < len(by_index) and by_index[position] == episode else None

    found: list[Finding] = []
    unlisted: dict[str, list[ForeignRows]] = defaultdict(list)
    placed = set()
    for rows in foreign:
        row = row_of(rows.episode_index)
        if row is None:
            if context.is_complete:
                unlisted[rows.path].append(rows)
            continue
        declared = plan.data_path[plan.data_file[row]] if plan.data_file[row] >= 0 else None
        shard, local_row = locate(plan.shards, row)
        if rows.episode_index in absent or (declared is not None and _is_at_or_below(declared, unreadable)):
            placed.add(rows.episode_index)
            where = Location(shard, rows.episode_index, row=local_row, column=lerobot.DATA_FILE_INDEX)
            expected = f"{rows.path}, which contains {_counted(rows)} of the episode"
            found.append(finding(DATA_POINTER, f"data file {declared}", expected, where))
        elif declared is not None:
            # EPI011 reports episodes without a declared file.
            where = Location(rows.path, rows.episode_index, row=rows.first_row)
            text = f"{_counted(rows)} of an episode that also has rows in {declared}"
            found.append(finding(EPISODE_ROWS, text, "all rows of the episode in one file", where))
    for path, all_rows in unlisted.items():
        first = all_rows[0]
        is_null = first.episode_index == NULL_NUMBER
        where = Location(path, None if is_null else first.episode_index, row=first.first_row)
        owner = "episode null" if is_null else "an episode that meta/episodes does not list"
        text = f"{_counted(first)} of {owner}"
        found.append(
            finding(
                EPISODE_ROWS,
                text,
                "only rows of listed episodes",
                where,
                more=len(all_rows) - 1,
                remedy="" if is_null else UNLISTED_REMEDY,
            )
        )
    for episode, path in sorted(absent.items()):
        if episode not in placed:
            text = "no rows of the episode in any data file"
            found.append(
                finding(EPISODE_ROWS, text, "rows in the file that meta/episodes declares", Location(path, episode))
            )
    return found


def _is_at_or_below(path: str, places: Collection[str | None]) -> bool:
    """Return whether `places` contains a path or one of the folders above it."""
    return path in places or any(str(folder) in places for folder in PurePosixPath(path).parents)


def _counted(rows: ForeignRows) -> str:
    return "rows" if rows.row_count is None else counted(rows.row_count, "row")

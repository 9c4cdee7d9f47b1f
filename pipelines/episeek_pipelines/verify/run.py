"""Running one check, and concluding from all results: plain functions that any scheduler may call, in any order."""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial

import numpy as np

from episeek.workers import map_in_threads
from episeek_pipelines.storage import Root
from episeek_pipelines.verify.episodes import locate
from episeek_pipelines.verify.findings import Finding, Location, finding
from episeek_pipelines.verify.guard import guarded
from episeek_pipelines.verify.metadata_rules import check_values
from episeek_pipelines.verify.plan import plan_verification
from episeek_pipelines.verify.rewrite_rules import check_other_metadata, check_rewritten_episodes, check_rewritten_file
from episeek_pipelines.verify.row_rules import check_data_file
from episeek_pipelines.verify.row_scan import NULL_NUMBER
from episeek_pipelines.verify.rules import DATA_POINTER, EPISODE_ROWS
from episeek_pipelines.verify.sidecar_rules import check_sidecar
from episeek_pipelines.verify.tasks import (
    Check,
    CheckResult,
    DataCheck,
    EpisodesCheck,
    Facts,
    ForeignRows,
    MetadataCheck,
    RewriteCheck,
    SidecarCheck,
    VerificationContext,
    VerificationPlan,
    VerificationReport,
    VideoCheck,
)
from episeek_pipelines.verify.video_rules import check_video_file


def run_check(context: VerificationContext, check: Check) -> CheckResult:
    """Do one check. Never raises for what is in the files; a rule that fails is a finding (VER000), the others still run."""
    if isinstance(check, DataCheck):
        return _merged([check_data_file(context, file) for file in check.files])
    if isinstance(check, VideoCheck):
        check_file = partial(check_video_file, context, context.data_root.source())
        return _merged(map_in_threads(check_file, check.files, max_in_flight=context.data_root.in_flight))
    if isinstance(check, EpisodesCheck):
        return _merged([_check_episodes(context, path) for path in check.paths])
    if isinstance(check, SidecarCheck):
        return check_sidecar(context, check)
    if context.against is None:
        raise ValueError(f"{type(check).__name__} needs a source to compare with")
    if isinstance(check, RewriteCheck):
        return _merged([check_rewritten_file(context, context.against, file) for file in check.files])
    if isinstance(check, MetadataCheck):
        return check_other_metadata(context, context.against, check.paths)
    raise TypeError(type(check).__name__)


def conclude(plan: VerificationPlan, results: Iterable[CheckResult]) -> VerificationReport:
    """Apply the rules over several files, and sort. The order of the results makes no difference."""
    finished = list(results)
    findings = [*plan.findings, *(found for result in finished for found in result.findings)]
    with guarded(findings, "conclude", Location()):
        findings += _misplaced_rows(plan, [result.facts for result in finished], findings)
    return VerificationReport(
        root=str(plan.context.root),
        findings=tuple(sorted(findings)),
        episode_count=plan.episode_count,
        data_file_count=plan.data_file_count,
        video_file_count=plan.video_file_count,
        files_read=sum(result.files_read for result in finished),
        bytes_read=plan.bytes_read + sum(result.bytes_read for result in finished),
        timestamp_tolerance_seconds=max((result.facts.timestamp_tolerance_seconds for result in finished), default=0.0),
    )


def verify(
    root: Root, *, data_root: Root | None = None, against: Root | None = None, prepared: bool | None = None
) -> VerificationReport:
    """Verify a dataset, one check after the other. Arguments and errors as `plan_verification`.

    Example:
        >>> report = verify(Root("/data/pusht"))
        >>> report.is_clean
        True
    """
    plan = plan_verification(root, data_root=data_root, against=against, prepared=prepared)
    return conclude(plan, (run_check(plan.context, check) for check in plan.checks))


def _check_episodes(context: VerificationContext, path: str) -> CheckResult:
    findings: list[Finding] = []
    bytes_read = 0
    with guarded(findings, "check columns", Location(file=path)):
        found, bytes_read = check_values(context.root, path, context.info)
        findings += found
    if context.against is not None:
        findings += check_rewritten_episodes(context, context.against, path)
    return CheckResult(tuple(findings), bytes_read, 1)


def _merged(results: list[CheckResult]) -> CheckResult:
    facts = [result.facts for result in results]
    return CheckResult(
        tuple(found for result in results for found in result.findings),
        sum(result.bytes_read for result in results),
        sum(result.files_read for result in results),
        Facts(
            tuple(absent for fact in facts for absent in fact.absent_episodes),
            tuple(rows for fact in facts for rows in fact.foreign_rows),
            max((fact.timestamp_tolerance_seconds for fact in facts), default=0.0),
        ),
    )


def _misplaced_rows(plan: VerificationPlan, facts: list[Facts], findings: list[Finding]) -> list[Finding]:
    """EPI012 and the part of ROW015 that takes more than one file to see."""
    absent = {episode: path for fact in facts for episode, path in fact.absent_episodes}
    foreign = sorted(
        (rows for fact in facts for rows in fact.foreign_rows), key=lambda rows: (rows.episode_index, rows.path)
    )
    unreadable = {
        found.location.file for found in findings if found.code in ("INF004", "ROW005", "VER000", "VER001", "INF003")
    }
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
            if plan.context.is_complete:
                unlisted[rows.path].append(rows)
            continue
        named = plan.data_path[plan.data_file[row]] if plan.data_file[row] >= 0 else None
        shard, local_row = locate(plan.shards, row)
        if rows.episode_index in absent or named in unreadable:
            placed.add(rows.episode_index)
            where = Location(shard, rows.episode_index, row=local_row, column="data/file_index")
            message = f"points at {named}; expected {rows.path}, which holds its {rows.row_count} rows"
            found.append(finding(DATA_POINTER, message, where))
        elif named is not None:  # where the metadata does not say, EPI011 does
            where = Location(rows.path, rows.episode_index, row=rows.first_row)
            message = f"{rows.row_count} rows of an episode that is in {named} too; expected it there only"
            found.append(finding(EPISODE_ROWS, message, where))
    for path, all_rows in unlisted.items():
        first = all_rows[0]
        is_null = first.episode_index == NULL_NUMBER
        where = Location(path, None if is_null else first.episode_index, row=first.first_row)
        owner = "episode null" if is_null else "an episode that meta/episodes does not list"
        message = f"{first.row_count} rows of {owner}; expected only listed episodes"
        found.append(finding(EPISODE_ROWS, message, where, more=len(all_rows) - 1))
    for episode, path in sorted(absent.items()):
        if episode not in placed:
            message = "no rows in the file that meta/episodes names, nor in any other; expected the episode's rows"
            found.append(finding(EPISODE_ROWS, message, Location(path, episode)))
    return found

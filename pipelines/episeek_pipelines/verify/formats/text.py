"""Write a report as plain text for people."""

import math
from typing import Final

from episeek_pipelines.verify.findings.options import TIMESTAMP_TOLERANCE_SECONDS
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.formats.grouping import and_more, grouped
from episeek_pipelines.verify.formats.names import MAX_FINDINGS, Paint, Role, plain
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.words import counted, human_bytes

MISLEADING_FRAMES: Final = 0.5
"""Error of timestamps, in frames, from which a reader may return a neighbour of the right frame."""


def format_text(report: VerificationReport, *, max_findings: int = MAX_FINDINGS, paint: Paint = plain) -> str:
    """Return a report as text: the findings, the remarks and a summary line. For the arguments see `format_findings`."""
    videos = "" if report.data_root is None else f", videos of {visible(report.data_root)}"
    parts = (
        format_findings(report, max_findings=max_findings, paint=paint),
        format_remarks(report),
        f"{visible(report.root)}{videos}: {format_counts(report, paint=paint)}",
    )
    return "\n".join(part for part in parts if part)


def format_findings(report: VerificationReport, *, max_findings: int = MAX_FINDINGS, paint: Paint = plain) -> str:
    """Return the findings as text by rule, errors first, each rule with its remedy; empty if there are no findings.

    Args:
        report: The result of `conclude` or `verify`.
        max_findings: The number of findings to show. Every rule with findings shows at least one.
        paint: The function that colours severities and codes; by default there are no colours.
    """
    lines = []
    for group in grouped(report.findings, max_findings=max_findings):
        severity, code = paint(group.severity, group.severity), paint(group.rule.code, "code")
        lines.append(f"{severity} {code}  {group.rule.problem}")
        lines += [f"  {visible(f'{found.location}: {found.message}')}{and_more(found)}" for found in group.shown]
        if group.hidden_count:
            lines.append(f"  ... and {group.hidden_count} more")
        lines.append(f"  remedy: {group.remedy}")
    return "\n".join(lines)


def format_remarks(report: VerificationReport) -> str:
    """Return lines with the notes of a report, the reason for its level, and the checked and unchecked parts of the dataset.

    The text is empty if the report has no such content.
    """
    lines = [f"note {note.code}  {note}" for note in report.notes]
    if report.level_reason:
        lines.append(f"level: {report.level}, {report.level_reason}")
    if report.coverage.checked:
        lines.append(f"checked: {', '.join(report.coverage.checked)}")
    if report.coverage.not_checked:
        lines += ["not checked:", *(f"  {part}" for part in report.coverage.not_checked)]
    return "\n".join(map(visible, lines))


def format_verdict(report: VerificationReport) -> str:
    """Return the counts of errors and warnings, and the level, for example `2 errors, 1 warning at level rows`."""
    errors, warnings = counted(report.error_count, "error"), counted(report.warning_count, "warning")
    return f"{errors}, {warnings} at level {report.level}"


def format_counts(report: VerificationReport, *, paint: Paint = plain) -> str:
    """Return a line with the verdict, the numbers of episodes and files, and the bytes read.

    If a report has ignored or accepted findings, or timestamps that need a larger tolerance, the line mentions these, too.
    """
    parts = [counted(report.episode_count, "episode"), counted(report.data_file_count, "data file")]
    if report.video_file_count:
        parts.append(counted(report.video_file_count, "video"))
    role: Role = "error" if report.error_count else "warning" if report.warning_count else "passed"
    summary = f"{paint(format_verdict(report), role)} ({', '.join(parts)}; {human_bytes(report.bytes_read)} read)"
    if report.ignored_count:
        summary += f"; {report.ignored_count} ignored"
    if report.accepted_count:
        summary += f"; {report.accepted_count} accepted by the baseline"
    tolerance = report.timestamp_tolerance_seconds
    if TIMESTAMP_TOLERANCE_SECONDS < tolerance < math.inf:
        frames = tolerance * report.figures.fps
        if frames < MISLEADING_FRAMES:
            summary += f"; every timestamp passes with a tolerance of {tolerance:.3g} s"
        else:
            summary += f"; timestamps are off by up to {tolerance:.3g} s ({frames:.1f} frames)"
    return summary

"""A report as text for people."""

import math
from typing import Final

from episeek_pipelines.verify.findings.checks import VerificationReport
from episeek_pipelines.verify.findings.options import TIMESTAMP_TOLERANCE_SECONDS
from episeek_pipelines.verify.formats.grouping import and_more, grouped
from episeek_pipelines.verify.formats.names import MAX_FINDINGS
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.verify.rules import Severity

MISLEADING_FRAMES: Final = 0.5
"""With a tolerance of as many, a reader may take the frame beside the right one."""

_LISTED: Final[tuple[Severity, ...]] = ("error",)


def format_text(report: VerificationReport, *, max_findings: int = MAX_FINDINGS) -> str:
    """`format_findings`, and a summary line at the end."""
    lines = [format_findings(report, max_findings=max_findings), f"{visible(report.root)}: {format_counts(report)}"]
    return "\n".join(line for line in lines if line)


def format_findings(report: VerificationReport, *, max_findings: int = MAX_FINDINGS) -> str:
    """Findings by rule, errors first, each rule with its remedy; empty when there are none.

    Args:
        report: From `conclude` or `verify`.
        max_findings: Lines of findings at most, though every rule that was broken has one. Warnings have one line a rule.
    """
    lines = []
    for group in grouped(report.findings, max_findings=max_findings, severities=_LISTED):
        lines.append(f"{group.severity} {group.rule.code}  {group.rule.name}")
        lines += [f"  {visible(f'{found.location}: {found.message}')}{and_more(found)}" for found in group.shown]
        if group.hidden_count:
            lines.append(f"  ... and {group.hidden_count} more")
        lines.append(f"  remedy: {group.rule.remedy}")
    return "\n".join(lines)


def format_verdict(report: VerificationReport) -> str:
    """`2 errors, 1 warning at level rows`."""
    errors, warnings = _plural(report.error_count, "error"), _plural(report.warning_count, "warning")
    return f"{errors}, {warnings} at level {report.level}"


def format_counts(report: VerificationReport) -> str:
    """How much was found, and in how much."""
    parts = [_plural(report.episode_count, "episode"), _plural(report.data_file_count, "data file")]
    parts.append(_plural(report.video_file_count, "video"))
    summary = f"{format_verdict(report)} ({', '.join(parts)}; {report.bytes_read / 1e6:.3f} MB read)"
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
            summary += f"; timestamps are off by up to {tolerance:.3g} s, {frames:.1f} frames"
    return summary


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

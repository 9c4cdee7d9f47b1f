"""A report as text for people and as JSON for programs."""

import json
import math
from itertools import groupby

from episeek_pipelines.verify.findings import Finding
from episeek_pipelines.verify.options import TIMESTAMP_TOLERANCE_SECONDS
from episeek_pipelines.verify.rules import RULES
from episeek_pipelines.verify.tasks import VerificationReport


def format_text(report: VerificationReport, *, max_findings: int = 20) -> str:
    """`format_findings`, and a summary line at the end."""
    lines = [format_findings(report, max_findings=max_findings), f"{report.root}: {format_counts(report)}"]
    return "\n".join(line for line in lines if line)


def format_findings(report: VerificationReport, *, max_findings: int = 20) -> str:
    """Findings by rule, errors first, each rule with its remedy; empty when there are none.

    Args:
        report: From `conclude` or `verify`.
        max_findings: Lines of findings at most, though every rule that was broken has one. Warnings have one line a rule.
    """
    groups = [(code, list(members)) for code, members in groupby(report.findings, key=lambda found: found.code)]
    room = max(max_findings - len(groups), 0)
    lines = []
    for code, members in groups:
        rule = RULES[code]
        shown = 1
        if rule.severity == "error":
            shown += min(room, len(members) - 1)
            room -= shown - 1
        lines.append(f"{rule.severity} {code}, expected: {rule.name}")
        lines += [f"  {found.location}: {found.message}{_and_more(found.more)}" for found in members[:shown]]
        hidden = sum(1 + found.more for found in members[shown:])
        if hidden:
            lines.append(f"  ... and {hidden} more")
        lines.append(f"  remedy: {rule.remedy}")
    return "\n".join(lines)


def format_json(report: VerificationReport) -> str:
    """`{"findings": [...], "summary": {...}}`, all findings, sorted; the same report gives the same text."""
    tolerance = report.timestamp_tolerance_seconds
    document = {
        "findings": [found.as_dict() for found in report.findings],
        "summary": {
            "root": report.root,
            "errors": report.error_count,
            "warnings": report.warning_count,
            "by_code": _count_by_code(report.findings),
            "episodes": report.episode_count,
            "data_files": report.data_file_count,
            "video_files": report.video_file_count,
            "files_read": report.files_read,
            "bytes_read": report.bytes_read,
            "timestamp_tolerance_seconds": tolerance if math.isfinite(tolerance) else None,
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _count_by_code(findings: tuple[Finding, ...]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for found in findings:
        counts[found.code] = counts.get(found.code, 0) + 1 + found.more
    return counts


def format_counts(report: VerificationReport) -> str:
    """How much was found, and in how much."""
    errors, warnings = _plural(report.error_count, "error"), _plural(report.warning_count, "warning")
    parts = [_plural(report.episode_count, "episode"), _plural(report.data_file_count, "data file")]
    parts.append(_plural(report.video_file_count, "video"))
    summary = f"{errors}, {warnings} ({', '.join(parts)}; {report.bytes_read / 1e6:.3f} MB read)"
    tolerance = report.timestamp_tolerance_seconds
    if TIMESTAMP_TOLERANCE_SECONDS < tolerance < math.inf:
        summary += f"; every timestamp passes with a tolerance of {tolerance:.3g} s"
    return summary


def _and_more(count: int) -> str:
    return f" (and {count} more)" if count else ""


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

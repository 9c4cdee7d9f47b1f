"""Write a report as workflow commands of GitHub Actions, which annotate files.

Control characters are made visible. Then text is escaped in the same way as by the Actions toolkit (`escapeData` and
`escapeProperty` in its command.ts). GitHub shows ten errors, ten warnings and ten notices per step, and silently drops the others.
Therefore one finding of each rule comes first, and the last line counts all findings.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from episeek_pipelines.verify.findings.findings import Finding, finding_count
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.formats.grouping import and_more, grouped, place_in_file
from episeek_pipelines.verify.formats.names import MAX_FINDINGS
from episeek_pipelines.verify.formats.text import format_counts, format_remarks
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.verify.rules import RULES, Severity

_SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning")
_MAX_LENGTH: Final = 4000
"""Largest number of characters of a text in a command. GitHub allows 64 KiB for the message of an annotation."""


def format_github(report: VerificationReport, *, max_findings: int = MAX_FINDINGS) -> str:
    """Return `::error` and `::warning` lines, at most `max_findings` of each, and a `::notice` with the summary."""
    return format_github_all([report], max_findings=max_findings)


def format_github_all(reports: Sequence[VerificationReport], *, max_findings: int = MAX_FINDINGS) -> str:
    """Return `::error` and `::warning` lines, at most `max_findings` of each for all reports, and a `::notice` for each report."""
    lines = []
    hidden = 0
    for severity in _SEVERITIES:
        parts = [_one_of_each_rule_first([f for f in each.findings if f.severity == severity]) for each in reports]
        found = [
            (report.root, finding)
            for is_further in (False, True)
            for report, (first, further) in zip(reports, parts, strict=True)
            for finding in (further if is_further else first)
        ]
        lines += [_annotation(root, finding) for root, finding in found[:max_findings]]
        hidden += finding_count(finding for _, finding in found[max_findings:])
    for number, report in enumerate(reports, 1):
        summary = f"{visible(report.root, max_length=_MAX_LENGTH)}: {format_counts(report)}"
        if hidden and number == len(reports):
            summary += f"; {hidden} of {'these' if number == 1 else 'all'} findings are not annotated"
        remarks = format_remarks(report)
        notice = f"{summary}\n{remarks}" if remarks else summary
        lines.append(command("notice", notice, title="episeek verify"))
    return "\n".join(lines)


def command(name: str, message: str, **properties: str) -> str:
    """Return one workflow command, without properties that have an empty value."""
    given = ",".join(f"{key}={_escape_property(value)}" for key, value in properties.items() if value)
    return f"::{name}{' ' if given else ''}{given}::{_escape_data(message)}"


def _annotation(root: str, found: Finding) -> str:
    rule = RULES[found.code]
    place = place_in_file(found.location)
    text = visible(f"{place}: {found.message}" if place else found.message, max_length=_MAX_LENGTH)
    message = f"{text}{and_more(found)}\nremedy: {found.advice}"
    return command(found.severity, message, file=_path(root, found.location.file), title=f"{found.code} {rule.problem}")


def _path(root: str, file: str | None) -> str:
    """Return the path of a file for an annotation: the root of the dataset, and the path within the dataset.

    A relative root gives a path relative to the working directory of the step, which GitHub converts to a path in the repository. A
    file of another dataset already has its full path or URL, which does not change. The result is empty if `file` is None.
    """
    if not file:
        return ""
    is_full = file.startswith("/") or "://" in file
    return visible(file if is_full else f"{root}/{file}", max_length=_MAX_LENGTH)


def _one_of_each_rule_first(findings: Iterable[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Return two lists: the first finding for each pair of rule and remedy, and all other findings."""
    groups = grouped(findings, max_findings=0)
    return [group.findings[0] for group in groups], [f for group in groups for f in group.findings[1:]]


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")

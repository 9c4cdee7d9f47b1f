"""Write a report as GitHub Markdown, for the summary of a workflow's job or for a comment.

Text from a dataset cannot act as Markdown. Within a line it is in `<code>`, with its punctuation as character references. Findings
are in a `<pre>` of an HTML block, in which GitHub reads no Markdown before the next blank line.
"""

import html
import re
from dataclasses import replace
from typing import Final

from episeek.version import __version__
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.formats.grouping import Group, and_more, grouped
from episeek_pipelines.verify.formats.names import MAX_FINDINGS
from episeek_pipelines.verify.formats.text import format_counts, format_verdict
from episeek_pipelines.verify.formats.visible import visible

MAX_BYTES: Final = 1_000_000
"""Largest size of the document in bytes. GitHub drops the summary of a step if it has more than 1 MiB."""
_MAX_LENGTH: Final = 2000
# All punctuation characters of ASCII except "-", "." and "/".
_PUNCTUATION: Final = re.compile(r"[!-,:-@\[-`{-~]")


def format_markdown(report: VerificationReport, *, max_findings: int = MAX_FINDINGS, max_bytes: int = MAX_BYTES) -> str:
    """Return a heading with the verdict, a table of counts, the findings by rule, and the remarks.

    Args:
        report: The result of `conclude` or `verify`.
        max_findings: The number of findings to show. Every rule with findings shows at least one.
        max_bytes: The largest size of the text in bytes. It is exceeded only if one finding for each rule needs more.
    """
    groups = grouped(report.findings, max_findings=max_findings)
    verdict = "passed" if report.is_clean else "failed"
    blocks = [
        f"## episeek verify {verdict}: {format_verdict(report)}",
        f"{code_span(report.root)}: {format_counts(report)}",
    ]
    if groups:
        blocks.append(
            "\n".join(["| code | severity | found | problem |", "|---|---|--:|---|", *map(_table_row, groups)])
        )
    remarks = _remarks(report)
    hidden = 0
    # 1,000 bytes are reserved for the line about hidden findings.
    room = max_bytes - 1000 - sum(_byte_count(block) for block in [*blocks, *remarks])
    for index, group in enumerate(groups):
        fitted = _fitted(group, room // (len(groups) - index))
        hidden += fitted.hidden_count
        blocks.append(_details(fitted))
        room -= _byte_count(blocks[-1])
    if hidden:
        blocks.append(f"{hidden} of the findings are counted but not listed.")
    return "\n\n".join([*blocks, *remarks]) + "\n"


def _remarks(report: VerificationReport) -> list[str]:
    """Return blocks of text about the notes, the level, the checked and unchecked parts of the dataset, and the run.

    The revision is the only text that does not come from episeek, so only the revision is escaped.
    """
    blocks = [f"Note {note.code}: {note}." for note in report.notes]
    if report.level_reason:
        blocks.append(f"Level {report.level}: {report.level_reason}.")
    if report.coverage.checked:
        blocks.append(f"Checked: {', '.join(report.coverage.checked)}.")
    if report.coverage.not_checked:
        blocks.append("\n".join(["Not checked:", "", *(f"- {part}" for part in report.coverage.not_checked)]))
    if report.date is not None:
        revision = f", revision {code_span(report.revision)}" if report.revision is not None else ""
        blocks.append(f"Verified {report.date:%Y-%m-%d %H:%M %Z} with episeek {__version__}{revision}.")
    return blocks


def code_span(text: str) -> str:
    """Return a text as a `<code>` element that is safe within a line of Markdown or a table cell."""
    return f"<code>{_references(visible(text, max_length=_MAX_LENGTH))}</code>"


def _references(text: str) -> str:
    return _PUNCTUATION.sub(lambda match: f"&#{ord(match[0])};", text)


def _table_row(group: Group) -> str:
    return f"| {group.rule.code} | {group.severity} | {group.count} | {_references(group.rule.problem)} |"


def _fitted(group: Group, room_bytes: int) -> Group:
    """Halve the number of findings that a group shows until its text fits into `room_bytes` or shows one finding."""
    while group.shown_count > 1 and _byte_count(_details(group)) > room_bytes:
        group = replace(group, shown_count=group.shown_count // 2)
    return group


def _details(group: Group) -> str:
    lines = [visible(f"{f.location}: {f.message}", max_length=_MAX_LENGTH) + and_more(f) for f in group.shown]
    if group.hidden_count:
        lines.append(f"... and {group.hidden_count} more")
    listing = html.escape("\n".join(lines), quote=False)
    summary = f"<summary>{group.severity} {group.rule.code}: {group.count} found</summary>"
    remedy = html.escape(group.remedy, quote=False)
    # A blank line would end the HTML block.
    return f"<details>\n{summary}\n<pre>\n{listing}\n</pre>\n<p>Remedy: {remedy}</p>\n</details>"


def _byte_count(block: str) -> int:
    return len(block.encode()) + 2

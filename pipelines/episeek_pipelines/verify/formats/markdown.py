"""A report as GitHub Markdown: the summary of a workflow's job, or a comment.

What a dataset can influence is never Markdown: in a line it stands in `<code>` with its punctuation as character references,
which mean nothing to Markdown; findings are a `<pre>` inside an HTML block, where nothing is Markdown until a blank line.
"""

import html
import re
from dataclasses import replace
from typing import Final

from episeek_pipelines.verify.findings.checks import VerificationReport
from episeek_pipelines.verify.formats.grouping import Group, and_more, grouped
from episeek_pipelines.verify.formats.names import MAX_FINDINGS
from episeek_pipelines.verify.formats.text import format_counts, format_verdict
from episeek_pipelines.verify.formats.visible import visible

MAX_BYTES: Final = 1_000_000
"""GitHub drops the summary of a step that has more than 1 MiB."""
_MAX_LENGTH: Final = 2000
_PUNCTUATION: Final = re.compile(r"[!-,:-@\[-`{-~]")  # of ASCII, but - . /


def format_markdown(report: VerificationReport, *, max_findings: int = MAX_FINDINGS) -> str:
    """A heading with the verdict, a table of counts, and findings by rule that unfold; less than 1 MiB.

    Args:
        report: From `conclude` or `verify`.
        max_findings: Findings at most, warnings included, though every rule that was broken has one.
    """
    groups = grouped(report.findings, max_findings=max_findings)
    verdict = "passed" if report.is_clean else "failed"
    blocks = [
        f"## episeek verify {verdict}: {format_verdict(report)}",
        f"{code_span(report.root)}: {format_counts(report)}",
    ]
    if groups:
        blocks.append(
            "\n".join(["| code | severity | found | expected |", "|---|---|--:|---|", *map(_table_row, groups)])
        )
    hidden = 0
    room = MAX_BYTES - 1000 - sum(_byte_count(block) for block in blocks)  # bytes for the last line are kept
    for index, group in enumerate(groups):
        fitted = _fitted(group, room // (len(groups) - index))
        hidden += fitted.hidden_count
        blocks.append(_details(fitted))
        room -= _byte_count(blocks[-1])
    if hidden:
        blocks.append(f"{hidden} of the findings are counted, but not listed.")
    return "\n\n".join(blocks) + "\n"


def code_span(text: str) -> str:
    """Any text as code in a line of Markdown, a cell of a table included."""
    return f"<code>{_references(visible(text, max_length=_MAX_LENGTH))}</code>"


def _references(text: str) -> str:
    return _PUNCTUATION.sub(lambda match: f"&#{ord(match[0])};", text)


def _table_row(group: Group) -> str:
    return f"| {group.rule.code} | {group.severity} | {group.count} | {_references(group.rule.name)} |"


def _fitted(group: Group, room_bytes: int) -> Group:
    """The group with as many findings as have room, one at least."""
    while group.shown_count > 1 and _byte_count(_details(group)) > room_bytes:
        group = replace(group, shown_count=group.shown_count // 2)
    return group


def _details(group: Group) -> str:
    lines = [visible(f"{f.location}: {f.message}", max_length=_MAX_LENGTH) + and_more(f) for f in group.shown]
    if group.hidden_count:
        lines.append(f"... and {group.hidden_count} more")
    listing = html.escape("\n".join(lines), quote=False)
    summary = f"<summary>{group.severity} {group.rule.code}: {group.count} found</summary>"
    remedy = html.escape(group.rule.remedy, quote=False)
    # A blank line would end the HTML block.
    return f"<details>\n{summary}\n<pre>\n{listing}\n</pre>\n<p>Remedy: {remedy}</p>\n</details>"


def _byte_count(block: str) -> int:
    return len(block.encode()) + 2

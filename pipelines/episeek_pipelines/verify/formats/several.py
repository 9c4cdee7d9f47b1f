"""Write the reports of several datasets as one document, in any of the formats.

A single report gives the same document as `render`.
"""

import json
from collections.abc import Callable, Sequence
from typing import Final

from episeek.version import __version__
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.formats import render
from episeek_pipelines.verify.formats.names import FORMATS, MAX_FINDINGS, Format, Paint, Role, plain
from episeek_pipelines.words import counted

MARKDOWN_BYTES: Final = 1_000_000
"""Largest size of the Markdown document in bytes. GitHub drops the summary of a step if it has more than 1 MiB."""


def render_all(reports: Sequence[VerificationReport], format: Format, *, max_findings: int = MAX_FINDINGS) -> str:
    """Return one document with all reports, in one of the formats.

    Args:
        reports: One report or more.
        format: One of `FORMATS`.
        max_findings: The number of findings to show: for each dataset in `text` and `markdown`, and for all datasets together in
            `github`.

    Raises:
        ValueError: `format` is not one of `FORMATS`.
    """
    if len(reports) == 1 or format not in FORMATS:
        return render(reports[0], format, max_findings=max_findings)
    return _FORMATS[format](reports, max_findings)


def total_line(reports: Sequence[VerificationReport], *, paint: Paint = plain) -> str:
    """Return a line with the numbers of datasets, of datasets with errors, and of errors and warnings in all datasets."""
    errors, warnings = (sum(getattr(report, f"{name}_count") for report in reports) for name in ("error", "warning"))
    failed = sum(not report.is_clean for report in reports)
    role: Role = "error" if errors else "warning" if warnings else "passed"
    found = paint(f"{counted(errors, 'error')}, {counted(warnings, 'warning')}", role)
    return f"{counted(len(reports), 'dataset')}, {failed:,} of them with errors: {found}"


def format_texts(
    reports: Sequence[VerificationReport], *, max_findings: int = MAX_FINDINGS, paint: Paint = plain
) -> str:
    """Return the texts of all reports, and a last line with the totals."""
    from episeek_pipelines.verify.formats.text import format_text

    parts = [format_text(report, max_findings=max_findings, paint=paint) for report in reports]
    return "\n\n".join([*parts, total_line(reports, paint=paint)])


def _text(reports: Sequence[VerificationReport], max_findings: int) -> str:
    return format_texts(reports, max_findings=max_findings)


def _json(reports: Sequence[VerificationReport], _: int) -> str:
    """Return a JSON document in which `datasets` contains the document of each report, and `summary` contains the totals."""
    from episeek_pipelines.verify.formats.json_document import SCHEMA_VERSION, dump_json, format_json

    documents = [json.loads(format_json(report)) for report in reports]
    summaries = [document["summary"] for document in documents]
    by_code: dict[str, int] = {}
    for summary in summaries:
        for code, count in summary["by_code"].items():
            by_code[code] = by_code.get(code, 0) + count
    totals = ("errors", "warnings", "ignored", "accepted", "episodes", "data_files", "video_files", "bytes_read")
    return dump_json(
        {
            "schema_version": SCHEMA_VERSION,
            "tool": {"name": "episeek", "version": __version__},
            "datasets": documents,
            "summary": {
                "datasets": len(reports),
                "failed": sum(not report.is_clean for report in reports),
                **{name: sum(summary[name] for summary in summaries) for name in totals},
                "by_code": dict(sorted(by_code.items())),
            },
        }
    )


def _junit(reports: Sequence[VerificationReport], _: int) -> str:
    from episeek_pipelines.verify.formats.junit import SUITE, junit_document
    from episeek_pipelines.verify.formats.visible import visible

    return junit_document([(f"{SUITE} {visible(report.root)}", report) for report in reports])


def _sarif(reports: Sequence[VerificationReport], _: int) -> str:
    from episeek_pipelines.verify.formats.sarif import format_sarif_all

    return format_sarif_all(reports)


def _github(reports: Sequence[VerificationReport], max_findings: int) -> str:
    from episeek_pipelines.verify.formats.github import format_github_all

    return format_github_all(reports, max_findings=max_findings)


def _markdown(reports: Sequence[VerificationReport], max_findings: int) -> str:
    """Return a table of all datasets, and the reports of the datasets with findings, up to the size that GitHub accepts."""
    from episeek_pipelines.verify.formats.markdown import code_span, format_markdown

    verdict = "passed" if all(report.is_clean for report in reports) else "failed"
    rows = [
        f"| {code_span(report.root)} | {'passed' if report.is_clean else 'failed'} | {report.error_count} | "
        f"{report.warning_count} | {report.episode_count} |"
        for report in reports
    ]
    table = "\n".join(["| dataset | verdict | errors | warnings | episodes |", "|---|---|--:|--:|--:|", *rows])
    parts = [f"## episeek verify {verdict}: {total_line(reports)}", table]
    room = MARKDOWN_BYTES - sum(len(part.encode()) + 2 for part in parts) - 100
    found = [report for report in reports if report.findings]
    for number, report in enumerate(found):
        text = format_markdown(report, max_findings=max_findings, max_bytes=room // (len(found) - number))
        # The heading of each report is one level below the heading of the document.
        part = f"#{text.rstrip()}"
        if len(part.encode()) + 2 > room:
            parts.append(f"The reports of {counted(len(found) - number, 'further dataset')} are left out here.")
            break
        room -= len(part.encode()) + 2
        parts.append(part)
    return "\n\n".join(parts) + "\n"


def _html(reports: Sequence[VerificationReport], _: int) -> str:
    from episeek_pipelines.verify.formats.html.several import format_html_all

    return format_html_all(reports)


_FORMATS: Final[dict[Format, Callable[[Sequence[VerificationReport], int], str]]] = {
    "text": _text,
    "json": _json,
    "junit": _junit,
    "sarif": _sarif,
    "github": _github,
    "markdown": _markdown,
    "html": _html,
}

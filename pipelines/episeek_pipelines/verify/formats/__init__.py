"""Formats of a verification report; each module is one format, a pure function of the report."""

from episeek_pipelines.verify.findings.checks import VerificationReport
from episeek_pipelines.verify.formats.github import format_github
from episeek_pipelines.verify.formats.grouping import MAX_FINDINGS
from episeek_pipelines.verify.formats.json_document import format_json
from episeek_pipelines.verify.formats.junit import format_junit
from episeek_pipelines.verify.formats.markdown import format_markdown
from episeek_pipelines.verify.formats.names import FORMATS, Format, parse_output
from episeek_pipelines.verify.formats.sarif import format_sarif
from episeek_pipelines.verify.formats.text import format_counts, format_findings, format_remarks, format_text

__all__ = [
    "FORMATS",
    "Format",
    "format_counts",
    "format_findings",
    "format_github",
    "format_json",
    "format_junit",
    "format_markdown",
    "format_remarks",
    "format_sarif",
    "format_text",
    "parse_output",
    "render",
]


def render(report: VerificationReport, format: Format, *, max_findings: int = MAX_FINDINGS) -> str:
    """Return a report in one of the formats.

    Args:
        report: From `conclude` or `verify`.
        format: One of `FORMATS`.
        max_findings: The number of findings to show in `text`, `markdown` and `github`. The other formats hold all findings, as
            far as their readers take them.

    Raises:
        ValueError: There is no such format.
    """
    match format:
        case "text":
            return format_text(report, max_findings=max_findings)
        case "json":
            return format_json(report)
        case "junit":
            return format_junit(report)
        case "sarif":
            return format_sarif(report)
        case "github":
            return format_github(report, max_findings=max_findings)
        case "markdown":
            return format_markdown(report, max_findings=max_findings)
        case "html":
            from episeek_pipelines.verify.formats.html.page import format_html

            return format_html(report)
    raise ValueError(f"format: found {format!r}; expected one of {', '.join(FORMATS)}")

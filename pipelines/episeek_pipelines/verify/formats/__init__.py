"""The formats of a verification report. For each format, a module contains a pure function that returns a report as text.

The function of a format is imported when it is first used, so that the command line starts without importing any format.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from episeek_pipelines.verify.formats.names import FORMATS, MAX_FINDINGS, Format, parse_output

if TYPE_CHECKING:
    from episeek_pipelines.verify.findings.report import VerificationReport
    from episeek_pipelines.verify.formats.github import format_github
    from episeek_pipelines.verify.formats.html.page import format_html
    from episeek_pipelines.verify.formats.json_document import format_json
    from episeek_pipelines.verify.formats.junit import format_junit
    from episeek_pipelines.verify.formats.markdown import format_markdown
    from episeek_pipelines.verify.formats.sarif import format_sarif
    from episeek_pipelines.verify.formats.several import format_texts, render_all
    from episeek_pipelines.verify.formats.text import format_counts, format_findings, format_remarks, format_text

__all__ = [
    "FORMATS",
    "Format",
    "format_counts",
    "format_findings",
    "format_github",
    "format_html",
    "format_json",
    "format_junit",
    "format_markdown",
    "format_remarks",
    "format_sarif",
    "format_text",
    "format_texts",
    "parse_output",
    "render",
    "render_all",
]

_MODULE_OF: Final = {
    "format_counts": "text",
    "format_findings": "text",
    "format_github": "github",
    "format_html": "html.page",
    "format_json": "json_document",
    "format_junit": "junit",
    "format_markdown": "markdown",
    "format_remarks": "text",
    "format_sarif": "sarif",
    "format_text": "text",
    "format_texts": "several",
    "render_all": "several",
}
_SHORTENED: Final[frozenset[Format]] = frozenset({"text", "markdown", "github"})


def render(report: "VerificationReport", format: Format, *, max_findings: int = MAX_FINDINGS) -> str:
    """Return a report as text in one of the formats.

    Args:
        report: The result of `conclude` or `verify`.
        format: One of `FORMATS`.
        max_findings: The number of findings to show in `text`, `markdown` and `github`. The other formats contain all findings, up
            to the limits of the programs that read them.

    Raises:
        ValueError: `format` is not one of `FORMATS`.
    """
    if format not in FORMATS:
        raise ValueError(f"format: found {format!r}; expected one of {', '.join(FORMATS)}")
    formatted = __getattr__(f"format_{format}")
    text: str = formatted(report, max_findings=max_findings) if format in _SHORTENED else formatted(report)
    return text


def __getattr__(name: str) -> Any:
    """Return the function of a format, and import its module on first use (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)

"""A report as one HTML page that needs nothing else: no other file, no network, and no script to be read.

The page is the same for the same report. Its policy allows the one style sheet and the one script that it carries, by their
digests, so that nothing from the dataset could run even if it were not escaped.
"""

import base64
import hashlib
import math
from importlib import resources

from episeek.version import __version__
from episeek_pipelines.verify.findings.checks import VerificationReport
from episeek_pipelines.verify.findings.options import TIMESTAMP_TOLERANCE_SECONDS
from episeek_pipelines.verify.formats.html.findings import findings_html, group_findings
from episeek_pipelines.verify.formats.html.plots import plots
from episeek_pipelines.verify.formats.html.text import byte_size, escaped, number, plural, significant
from episeek_pipelines.verify.rules import LEVELS, includes

_LOOKED_AT = {
    "meta": "metadata and the listing of files",
    "layout": "Parquet footers and video headers",
    "rows": "rows",
    "decode": "pictures",
}


def format_html(report: VerificationReport) -> str:
    """The page; may be written as UTF-8 whatever the dataset's names are."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    verdict, sentence = _verdict(report)
    sections = '<a href="#findings">Findings</a> <a href="#figures">Figures</a>'
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta name="generator" content="episeek {escaped(__version__)}">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{verdict}: {escaped(report.root)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<header><div class="kind">Verification of a dataset <nav aria-label="Sections">{sections}</nav></div>'
        f"<h1>{escaped(report.root)}</h1>\n"
        f'<p class="verdict {verdict.lower()}"><strong>{verdict}</strong> <span>{sentence}</span></p>\n'
        f"{_counts(report)}\n{_facts(report)}\n</header>\n<main>\n"
        f'<section id="findings" aria-labelledby="findings-title"><h2 id="findings-title">Findings</h2>\n'
        f"{findings_html(group_findings(report.findings))}\n</section>\n"
        f'<section id="figures" aria-labelledby="figures-title"><h2 id="figures-title">Figures</h2>\n'
        f'<div class="figures">{plots(report.figures, report.level)}</div>\n</section>\n</main>\n'
        f"<footer>episeek {escaped(__version__)}</footer>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    text = resources.files("episeek_pipelines.verify.formats.html").joinpath(name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")  # as a browser reads it, whose digest has to agree


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _verdict(report: VerificationReport) -> tuple[str, str]:
    errors, warnings = plural(report.error_count, "error"), plural(report.warning_count, "warning")
    if not report.is_clean:
        return "Failed", f"with {errors} and {warnings}" if report.warning_count else f"with {errors}"
    return "Passed", f"with {warnings}" if report.warning_count else "without errors or warnings"


def _counts(report: VerificationReport) -> str:
    counts = (
        ("Errors", report.error_count, "error"),
        ("Warnings", report.warning_count, "warning"),
        ("Ignored by configuration", report.ignored_count, ""),
        ("Accepted by the baseline", report.accepted_count, ""),
    )
    tiles = "".join(
        f'<div class="{kind if value else "none"}"><dt>{name}</dt><dd>{number(value)}</dd></div>'
        for name, value, kind in counts
    )
    return f'<dl class="counts">{tiles}</dl>'


def _facts(report: VerificationReport) -> str:
    seen = [_LOOKED_AT[part] for part in LEVELS if includes(report.level, part)]
    unseen = [_LOOKED_AT[part] for part in LEVELS if not includes(report.level, part)]
    facts = [("Level", report.level), ("Looked at", "; ".join(seen))]
    if unseen:
        facts.append(("Not looked at", "; ".join(unseen)))
    facts += [
        ("Compared with", "no source" if report.against is None else report.against),
        (
            "Dataset",
            f"{plural(report.episode_count, 'episode')}, {plural(report.data_file_count, 'data file')}, "
            f"{plural(report.video_file_count, 'video')}",
        ),
        ("Read", f"{byte_size(report.bytes_read)} of {plural(report.files_read, 'file')}"),
    ]
    tolerance = report.timestamp_tolerance_seconds
    if TIMESTAMP_TOLERANCE_SECONDS < tolerance < math.inf:
        facts.append(("Timestamps", f"all pass with a tolerance of {significant(tolerance)} s"))
    facts.append(("Tool", f"episeek {__version__}"))
    return f'<dl class="facts">{"".join(f"<dt>{term}</dt><dd>{escaped(text)}</dd>" for term, text in facts)}</dl>'

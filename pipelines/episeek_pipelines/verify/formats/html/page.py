"""Render a report as one HTML page that needs no other file and no network, and that can be read without its script.

The same report always gives the same page. Templates escape every value, and the Content Security Policy of the page allows only
its own style sheet and script, by their digests. Thus no text of a dataset can run as code.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from episeek.version import __version__
from episeek_pipelines.verify.findings.options import DEFAULT_OPTIONS, TIMESTAMP_TOLERANCE_SECONDS, VerifyOptions
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.formats.html.assets import asset, page_environment, policy_of
from episeek_pipelines.verify.formats.html.findings import RuleGroup, filters_of, group_findings
from episeek_pipelines.verify.formats.html.plots import plots
from episeek_pipelines.verify.formats.html.text import byte_size, significant
from episeek_pipelines.verify.rules import RULES, Rule
from episeek_pipelines.words import counted

_PACKAGE = "episeek_pipelines.verify.formats.html"


def format_html(report: VerificationReport) -> str:
    """Return the HTML page of a report. UTF-8 can encode it even if file names of the dataset contain lone surrogates."""
    style, script = asset(_PACKAGE, "page.css"), asset(_PACKAGE, "page.js")
    verdict, sentence = _verdict(report)
    groups = group_findings(report.findings)
    return (
        page_environment(_PACKAGE)
        .get_template("page.html.jinja")
        .render(
            report=report,
            version=__version__,
            policy=Markup(policy_of(style, script)),
            style=Markup(style),
            script=Markup(script),
            verdict=verdict,
            sentence=sentence,
            counts=_counts(report),
            about_run=_about_run(report),
            groups=groups,
            filters=filters_of(groups),
            listed_count=sum(group.listed for group in groups),
            found_count=len(report.findings),
            plots=plots(report.figures, report.level),
            rules=_rules(report, groups),
        )
    )


def _verdict(report: VerificationReport) -> tuple[str, str]:
    errors, warnings = counted(report.error_count, "error"), counted(report.warning_count, "warning")
    if not report.is_clean:
        return "Failed", f"with {errors} and {warnings}" if report.warning_count else f"with {errors}"
    return "Passed", f"with {warnings}" if report.warning_count else "without errors or warnings"


def _counts(report: VerificationReport) -> list[tuple[str, int, str]]:
    """Return the name, the count and the CSS class of each counter at the top of the page."""
    return [
        ("Errors", report.error_count, "error"),
        ("Warnings", report.warning_count, "warning"),
        ("Ignored by configuration", report.ignored_count, ""),
        ("Accepted by the baseline", report.accepted_count, ""),
    ]


def _about_run(report: VerificationReport) -> list[tuple[str, str]]:
    """Return (term, text) pairs that describe the dataset and the run, such as ("Level", "rows")."""
    entries = []
    if report.date is not None:
        entries.append(("Date", f"{report.date:%Y-%m-%d %H:%M %Z}".rstrip()))
    if report.revision is not None:
        entries.append(("Revision", report.revision))
    entries += [
        ("Tool", f"episeek {__version__}"),
        ("Level", ", ".join(filter(None, (report.level, report.level_reason)))),
        ("Options", ", ".join(_changed_options(report.options)) or "defaults"),
        ("Compared with", "no source" if report.against is None else report.against),
        (
            "Dataset",
            f"{counted(report.episode_count, 'episode')}, {counted(report.data_file_count, 'data file')}, "
            f"{counted(report.video_file_count, 'video')}",
        ),
        ("Read", f"{byte_size(report.bytes_read)} of {counted(report.files_read, 'file')}"),
    ]
    tolerance = report.timestamp_tolerance_seconds
    if TIMESTAMP_TOLERANCE_SECONDS < tolerance < math.inf:
        entries.append(("Timestamps", f"all pass with a tolerance of {significant(tolerance)} s"))
    return entries


def _changed_options(options: VerifyOptions) -> list[str]:
    """Return the command line options that do not have their default values, each with its value."""
    texts = []
    for name, flag in _FLAGS.items():
        value = getattr(options, name)
        if value != getattr(DEFAULT_OPTIONS, name):
            texts.append(f"--{flag} {'all' if value is None else value}")
    return texts


_FLAGS = {
    "tolerance_seconds": "tolerance-seconds",
    "world_size": "world-size",
    "num_workers": "num-workers",
    "decoded_episodes": "decode-episodes",
    "decoded_windows": "decode-windows",
    "seed": "seed",
    "burned_in_bits": "burned-in-bits",
}
"""The command line option of each field of `VerifyOptions`. The level is missing, since the page shows it separately."""


def _rules(report: VerificationReport, groups: Sequence[RuleGroup]) -> list[Rule]:
    """Return the rules that the page explains: the rules of all findings and notes."""
    codes = {group.code for group in groups} | {note.code for note in report.notes}
    return [RULES[code] for code in sorted(codes)]

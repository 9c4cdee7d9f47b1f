"""Render the reports of several datasets as one HTML page: a table of the datasets, and all their findings by rule."""

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from episeek.version import __version__
from episeek_pipelines.verify.findings.findings import Finding
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.formats.html.assets import asset, page_environment, policy_of
from episeek_pipelines.verify.formats.html.findings import filters_of, group_findings
from episeek_pipelines.verify.rules import RULES
from episeek_pipelines.words import counted

_PACKAGE = "episeek_pipelines.verify.formats.html"


def format_html_all(reports: Sequence[VerificationReport]) -> str:
    """Return the HTML page of several reports. It has no plots, and the file of each finding has its full path or URL."""
    style, script = asset(_PACKAGE, "page.css"), asset(_PACKAGE, "page.js")
    findings = sorted(_placed(report.root, found) for report in reports for found in report.findings)
    groups = group_findings(findings)
    notes = sorted({note.code for report in reports for note in report.notes})
    failed = sum(not report.is_clean for report in reports)
    errors, warnings = (sum(getattr(report, f"{name}_count") for report in reports) for name in ("error", "warning"))
    codes = sorted({group.code for group in groups} | set(notes))
    return (
        page_environment(_PACKAGE)
        .get_template("several.html.jinja")
        .render(
            # The shared templates show the notes of one dataset, so this page shows none.
            report=replace(reports[0], notes=()),
            reports=sorted(reports, key=lambda report: (report.is_clean, report.root)),
            title=counted(len(reports), "dataset"),
            version=__version__,
            policy=Markup(policy_of(style, script)),
            style=Markup(style),
            script=Markup(script),
            verdict="Failed" if failed else "Passed",
            sentence=f"{failed:,} of {counted(len(reports), 'dataset')} with errors",
            counts=[
                ("Datasets", len(reports), ""),
                ("With errors", failed, "error"),
                ("Errors", errors, "error"),
                ("Warnings", warnings, "warning"),
            ],
            groups=groups,
            filters=filters_of(groups),
            listed_count=sum(group.listed for group in groups),
            found_count=len(findings),
            rules=[RULES[code] for code in codes],
        )
    )


def _placed(root: str, found: Finding) -> Finding:
    """Return a finding with the path or URL of its dataset in front of its file."""
    file = found.location.file
    is_full = file is not None and (file.startswith("/") or "://" in file)
    place = file if is_full else f"{root}/{file}" if file else root
    return replace(found, location=replace(found.location, file=place))

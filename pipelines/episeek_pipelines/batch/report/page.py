"""Make the HTML page about a batch.

It contains totals, failures, findings by rule, the slowest datasets, and a link to the page of each dataset. The page loads no
other file and has the style of the report page of one dataset. Templates escape every value.
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from markupsafe import Markup

from episeek.version import __version__
from episeek_pipelines.batch.ledger import key_of
from episeek_pipelines.batch.status import BatchStatus, DatasetState, batch_status
from episeek_pipelines.verify.formats.html.assets import asset, page_environment, policy_of
from episeek_pipelines.verify.rules import RULES, Rule
from episeek_pipelines.words import counted, human_bytes
from episeek_schemas.batch import PAGES_DIR

SLOWEST: Final = 10
_PACKAGE: Final = "episeek_pipelines.batch.report"
_STYLE: Final = "episeek_pipelines.verify.formats.html"


@dataclass(slots=True)
class RuleRow:
    """All findings of one rule that have the same severity, in all datasets."""

    code: str
    severity: str
    count: int = 0
    """Number of findings in all datasets."""
    datasets: list[tuple[DatasetState, int]] = field(default_factory=list)
    """The datasets that have such findings, each with the number of these findings."""

    @property
    def rule(self) -> Rule:
        """Return the rule with this code."""
        return RULES[self.code]


def batch_report(out: str, *, pages: str = PAGES_DIR) -> str:
    """Return the page about a batch as HTML.

    Args:
        out: The folder of the results, or the prefix in a store.
        pages: The folder of the pages about single datasets, as a URL or as a path relative to the page of the batch.

    Raises:
        PlanError: The folder of the results contains no plan, or the plan was changed.
        ReadError: A store does not answer.
    """
    return format_batch(batch_status(out), pages=pages)


def format_batch(status: BatchStatus, *, pages: str = PAGES_DIR) -> str:
    """Return the page about a batch as HTML.

    Args:
        status: The state of the batch.
        pages: The folder of the pages about single datasets, as for `batch_report`.
    """
    style = asset(_STYLE, "page.css") + asset(_PACKAGE, "report.css")
    verdict, kind, sentence = _verdict(status)

    def link(dataset: DatasetState) -> str:
        return f"{quote(pages, safe='/:.')}/{quote(key_of(dataset.destination))}.html"

    timed = [dataset for dataset in status.datasets if dataset.row is not None and dataset.row.seconds > 0]
    return (
        page_environment(_PACKAGE)
        .get_template("page.html.jinja")
        .render(
            version=__version__,
            policy=Markup(policy_of(style)),
            style=Markup(style),
            out=status.out,
            verdict=verdict,
            kind=kind,
            sentence=sentence,
            counts=_counts(status),
            totals=_totals(status),
            problems=[dataset for dataset in status.datasets if dataset.row is not None and dataset.row.problem],
            rules=_rules(status),
            slowest=sorted(timed, key=lambda each: (-_seconds(each), each.destination))[:SLOWEST],
            datasets=sorted(status.datasets, key=lambda each: (_order(each), each.destination)),
            link=link,
            human_bytes=human_bytes,
        )
    )


def _verdict(status: BatchStatus) -> tuple[str, str, str]:
    """Return the verdict about a batch as one word, the CSS class of this word, and the sentence that follows it."""
    finished = sum(dataset.state in ("done", "current") for dataset in status.datasets)
    sentence = f"{finished:,} of {counted(len(status.datasets), 'dataset')} done"
    errors = sum(row.error_count for row in status.rows)
    if errors:
        sentence += f", with {counted(errors, 'error')}"
    if any(row.problem is not None for row in status.rows):
        return "Failed", "failed", sentence
    if not status.is_done:
        return "Unfinished", "failed", sentence
    return ("Failed", "failed", sentence) if errors else ("Done", "passed", sentence)


def _counts(status: BatchStatus) -> list[tuple[str, int, str]]:
    """Return the counters at the top of the page, each with its name, its value and its CSS class."""
    states = dict(status.counts)
    errors, warnings = (sum(getattr(row, f"{name}_count") for row in status.rows) for name in ("error", "warning"))
    return [
        ("Done", states.get("done", 0) + states.get("current", 0), ""),
        ("Not done", states.get("planned", 0) + states.get("running", 0), "warning"),
        ("Refused or failed", states.get("refused", 0) + states.get("failed", 0), "error"),
        ("Errors found", errors, "error"),
        ("Warnings found", warnings, "warning"),
    ]


def _totals(status: BatchStatus) -> list[tuple[str, str]]:
    """Return (label, text) pairs: the number of datasets in each state, and totals over all finished datasets."""
    rows = [
        dataset.row for dataset in status.datasets if dataset.row is not None and dataset.state in ("done", "current")
    ]

    def total(part: str, name: str) -> int:
        return sum(int(getattr(row, part).get(name, 0)) for row in rows)

    versions = sorted({row.versions["episeek"] for row in rows if "episeek" in row.versions})
    codebases = sorted({row.versions["codebase"] for row in rows if "codebase" in row.versions})
    frames = f"{counted(total('counts', 'episodes'), 'episode')}, {counted(total('counts', 'frames'), 'frame')}"
    files = f"{counted(total('counts', 'data_files'), 'data file')}, {counted(total('counts', 'video_files'), 'video')}"
    requests = sum(row.requests for row in rows)
    return [
        ("States", ", ".join(f"{count:,} {state}" for state, count in status.counts.items())),
        ("Contents", f"{frames}; {files}"),
        ("Read", human_bytes(total("bytes", "read")) + (f" in {counted(requests, 'request')}" if requests else "")),
        ("Written", human_bytes(total("bytes", "written"))),
        ("Work", f"{sum(row.seconds for row in rows):,.1f} s, all datasets together"),
        (
            "Versions",
            ", ".join([*(f"episeek {name}" for name in versions), *(f"LeRobot {name}" for name in codebases)]),
        ),
    ]


def _rules(status: BatchStatus) -> list[RuleRow]:
    """Return the rules that have findings, errors first, each with the datasets in which they were found."""
    found: dict[tuple[str, str], RuleRow] = {}
    for dataset in status.datasets:
        for code, entry in (dataset.row.findings if dataset.row is not None else {}).items():
            if code not in RULES:
                continue
            row = found.setdefault((entry["severity"], code), RuleRow(code, entry["severity"]))
            row.count += entry["count"]
            row.datasets.append((dataset, entry["count"]))
    return [found[key] for key in sorted(found)]


def _order(dataset: DatasetState) -> int:
    """Return the sort key of a dataset: 0 if it has a problem or errors, 1 if it is unfinished, 2 if it is finished."""
    if dataset.row is not None and (dataset.row.problem is not None or dataset.row.error_count):
        return 0
    return 2 if dataset.state in ("done", "current") else 1


def _seconds(dataset: DatasetState) -> float:
    return 0.0 if dataset.row is None else dataset.row.seconds

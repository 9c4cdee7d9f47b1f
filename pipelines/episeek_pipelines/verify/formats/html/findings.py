"""Arrange findings in tables, one for each rule with findings, and collect the choices of the page's filters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from episeek_pipelines.verify.findings.charts import MOST_CHARTED
from episeek_pipelines.verify.findings.findings import Finding, finding_count
from episeek_pipelines.verify.findings.strips import MOST_STRIPS
from episeek_pipelines.verify.rules import RULES, Rule, Severity
from episeek_pipelines.words import counted

MOST_ROWS: Final = 20_000
"""Greatest number of findings that the page lists."""
_OPEN_ROWS: Final = 60
"""Small tables are open when the page is loaded, as long as together they have at most this many rows."""
_SMALL_TABLE: Final = 20
_WARNING_ROWS: Final = 100
"""Number of findings of each warning rule that are listed even if there are more errors than the page can list."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the tables of findings, which shows one part of a finding's location."""

    name: str
    cell_class: str
    """The CSS class of the cells, which the script and the style sheet refer to."""
    heading: str

    def value_of(self, found: Finding) -> object:
        """Return the value of a finding in this column; an empty text if its location lacks this part."""
        value = getattr(found.location, self.name)
        return "" if value is None else value


_COLUMNS: Final = (
    Column("file", "f", "File"),
    Column("episode", "e", "Episode"),
    Column("camera", "c", "Camera"),
    Column("row", "r", "Row"),
    Column("column", "k", "Column"),
)


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """The findings of one rule with one severity. The page lists the first `listed` of them."""

    code: str
    severity: Severity
    findings: tuple[Finding, ...]
    listed: int
    is_open: bool = False
    chartable: int = 0
    """The number of findings with charts, before the charts of all but a few findings are removed."""

    @property
    def rule(self) -> Rule:
        """The rule of the findings."""
        return RULES[self.code]

    @property
    def count(self) -> int:
        """The number of findings, including the further violations that each of them represents (`Finding.more`)."""
        return finding_count(self.findings)

    @property
    def rows(self) -> tuple[Finding, ...]:
        """The findings that are listed."""
        return self.findings[: self.listed]

    @property
    def picturable(self) -> int:
        """The number of findings with a strip of frames, whether or not its pictures were decoded."""
        return sum(found.strip is not None for found in self.findings)

    @property
    def pictured(self) -> int:
        """The number of listed findings that are shown with pictures."""
        return sum(found.strip is not None and bool(found.strip.pictures) for found in self.rows)

    @property
    def charted(self) -> int:
        """The number of listed findings that are shown with charts."""
        return sum(bool(found.charts) for found in self.rows)

    @property
    def remedies(self) -> list[str]:
        """The distinct remedies of the findings, in the order in which they first occur."""
        return list(dict.fromkeys(found.advice for found in self.findings))

    @property
    def columns(self) -> list[Column]:
        """The columns in which at least one listed finding has a value."""
        return [
            column
            for column in _COLUMNS
            if any(getattr(found.location, column.name) is not None for found in self.rows)
        ]


@dataclass(frozen=True, slots=True)
class Filters:
    """The choices of the page's filters, as pairs of value and text."""

    severities: list[tuple[str, str]]
    cameras: list[tuple[str, str]]
    rules: list[tuple[str, str]]


def group_findings(findings: Sequence[Finding], *, most_rows: int = MOST_ROWS) -> list[RuleGroup]:
    """Group findings by severity and code, errors first.

    If there are more findings than the page can list, errors take precedence, but some findings of every rule are listed.
    """
    groups = [
        (severity, code, tuple(members))
        for (severity, code), members in groupby(sorted(findings), key=lambda found: (found.severity, found.code))
    ]
    error_sizes = [len(members) for severity, _, members in groups if severity == "error"]
    warning_sizes = [len(members) for severity, _, members in groups if severity != "error"]
    error_rooms = _share(error_sizes, most_rows - sum(min(size, _WARNING_ROWS) for size in warning_sizes))
    rooms = error_rooms + _share(warning_sizes, most_rows - sum(error_rooms))
    made = []
    open_rows = 0
    for (severity, code, members), room in zip(groups, rooms, strict=True):
        is_open = room <= _SMALL_TABLE and open_rows + room <= _OPEN_ROWS
        open_rows += room if is_open else 0
        chartable = sum(bool(found.charts) for found in members)
        shown = _with_few_charts(_with_few_pictures(members))
        made.append(RuleGroup(code, severity, shown, room, is_open, chartable))
    return made


def _with_few_pictures(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings, with pictures only in the first `MOST_STRIPS` of the findings that have pictures.

    The findings of a single report never need this limit, but the findings of several reports together may exceed it.
    """
    kept: list[Finding] = []
    count = 0
    for found in findings:
        strip = found.strip
        count += strip is not None and bool(strip.pictures)
        kept.append(
            found
            if strip is None or count <= MOST_STRIPS
            else replace(found, strip=replace(strip, pictures=(), references=()))
        )
    return tuple(kept)


def _with_few_charts(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings, with charts only in the first `MOST_CHARTED` of the findings that have charts."""
    kept: list[Finding] = []
    count = 0
    for found in findings:
        count += bool(found.charts)
        kept.append(replace(found, charts=()) if found.charts and count > MOST_CHARTED else found)
    return tuple(kept)


def filters_of(groups: Sequence[RuleGroup]) -> Filters:
    """Return the filter choices that occur in the findings of the groups."""
    severities: dict[str, int] = {}
    for group in groups:
        severities[group.severity] = severities.get(group.severity, 0) + group.count
    cameras = sorted({str(found.location.camera) for group in groups for found in group.rows if found.location.camera})
    codes = sorted({group.code for group in groups})
    return Filters(
        severities=[(name, counted(count, name)) for name, count in severities.items()],
        cameras=[(camera, camera) for camera in cameras],
        rules=[(code, f"{code}: {RULES[code].problem}") for code in codes],
    )


def _share(sizes: Sequence[int], room: int) -> list[int]:
    """Divide `room` rows among groups, and return the rows of each group.

    Each group gets at least one row. Rows that small groups do not need go to larger groups.

    Args:
        sizes: The number of rows that each group needs.
        room: The number of rows to divide.
    """
    given = [0] * len(sizes)
    by_size = sorted(range(len(sizes)), key=sizes.__getitem__)
    for remaining, position in zip(range(len(sizes), 0, -1), by_size, strict=True):
        given[position] = max(min(sizes[position], room // remaining), 1)
        room -= given[position]
    return given

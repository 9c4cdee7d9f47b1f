"""Findings as tables, one for each rule that was broken, with the rule's words."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from episeek_pipelines.verify.findings.findings import Finding, finding_count
from episeek_pipelines.verify.formats.html.text import escaped, number, plural
from episeek_pipelines.verify.rules import RULES, Severity

MOST_ROWS: Final = 20_000
"""Findings that the page lists."""
_OPEN_ROWS: Final = 60
"""Small tables are open at first, until they hold as many rows together: all rules should be seen at a glance."""
_SMALL_TABLE: Final = 20
_WARNING_ROWS: Final = 100
"""Of each rule, kept even where there are more errors than can be listed."""

_COLUMNS: Final = (
    ("file", "f", "File"),
    ("episode", "e", "Episode"),
    ("camera", "c", "Camera"),
    ("row", "r", "Row"),
    ("column", "k", "Column"),
)
"""Part of a location, class of its cells, heading. The script and the style sheet know the classes."""


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """The findings of one rule with one severity; `listed` of them are on the page."""

    code: str
    severity: Severity
    findings: tuple[Finding, ...]
    listed: int

    @property
    def count(self) -> int:
        """Those that a finding stands for included."""
        return finding_count(self.findings)


def group_findings(findings: Sequence[Finding], *, most_rows: int = MOST_ROWS) -> list[RuleGroup]:
    """By severity and code, errors first. When there are too many to list, errors take precedence and every rule keeps some."""
    groups = [
        (severity, code, tuple(members))
        for (severity, code), members in groupby(sorted(findings), key=lambda found: (found.severity, found.code))
    ]
    error_sizes = [len(members) for severity, _, members in groups if severity == "error"]
    warning_sizes = [len(members) for severity, _, members in groups if severity != "error"]
    error_rooms = _share(error_sizes, most_rows - sum(min(size, _WARNING_ROWS) for size in warning_sizes))
    rooms = error_rooms + _share(warning_sizes, most_rows - sum(error_rooms))
    return [
        RuleGroup(code, severity, members, room) for (severity, code, members), room in zip(groups, rooms, strict=True)
    ]


def _share(sizes: Sequence[int], room: int) -> list[int]:
    """Of each size as much as goes, small ones first: what one does not need, the larger ones get. At least one each."""
    given = [0] * len(sizes)
    for left, position in zip(range(len(sizes), 0, -1), sorted(range(len(sizes)), key=sizes.__getitem__), strict=True):
        given[position] = max(min(sizes[position], room // left), 1)
        room -= given[position]
    return given


def findings_html(groups: Sequence[RuleGroup]) -> str:
    """The filters, hidden until a script shows them, and a `details` element of each group."""
    if not groups:
        return '<p class="absent">Nothing was found.</p>'
    listed, found = sum(group.listed for group in groups), sum(len(group.findings) for group in groups)
    parts = [_filters(groups)]
    if listed < found:
        parts.append(
            f'<p class="note">{number(listed)} of {number(found)} findings are listed, errors first and some of every rule; '
            "<code>--format json</code> lists all of them.</p>"
        )
    shown = 0
    for group in groups:
        is_open = group.listed <= _SMALL_TABLE and shown + group.listed <= _OPEN_ROWS
        shown += group.listed if is_open else 0
        parts.append(_group(group, is_open=is_open))
    parts.append('<p class="absent" id="none-match" hidden>No finding passes the filters.</p>')
    return "".join(parts)


def _group(group: RuleGroup, *, is_open: bool) -> str:
    rule = RULES[group.code]
    rows = group.findings[: group.listed]
    columns = [column for column in _COLUMNS if any(getattr(found.location, column[0]) is not None for found in rows)]
    head = "".join(f'<th scope="col" class="{cell_class}">{heading}</th>' for _, cell_class, heading in columns)
    words = [("Protects", rule.protects), ("Remedy", rule.remedy), ("Broke in", rule.broke_in)]
    about = "".join(f"<dt>{term}</dt><dd>{escaped(text)}</dd>" for term, text in words if text)
    left_out = len(group.findings) - group.listed
    note = f'<p class="note">The first {number(group.listed)} of {number(len(group.findings))}.</p>' if left_out else ""
    return (
        f'<details class="rule {group.severity}" id="{group.code}-{group.severity}"{" open" if is_open else ""}'
        f' data-code="{group.code}" data-severity="{group.severity}" data-count="{group.count}">'
        f'<summary><span class="badge">{group.severity}</span> <span class="code">{group.code}</span> '
        f'<span class="name">{escaped(rule.name)}</span> <span class="count">{number(group.count)}</span></summary>'
        f'<div class="body"><dl class="about">{about}</dl>{note}'
        f'<table class="findings" aria-label="{group.code}"><thead><tr>{head}<th scope="col" class="m">Found</th></tr></thead>'
        f"<tbody>{''.join(_row(found, columns) for found in rows)}</tbody></table></div></details>"
    )


def _row(found: Finding, columns: Sequence[tuple[str, str, str]]) -> str:
    cells = []
    for name, cell_class, _ in columns:
        value = getattr(found.location, name)
        cells.append(f"<td class={cell_class}>{'' if value is None else escaped(value)}</td>")
    message, more = escaped(found.message), ""
    if found.more:
        more = f" data-more={found.more}"
        message += f" <small>and {number(found.more)} more like it</small>"
    return f"<tr{more}>{''.join(cells)}<td class=m>{message}</td></tr>\n"


def _filters(groups: Sequence[RuleGroup]) -> str:
    codes = sorted({group.code for group in groups})
    cameras = sorted(
        {found.location.camera for group in groups for found in group.findings[: group.listed]} - {None}, key=str
    )
    severities: dict[str, int] = {}
    for group in groups:
        severities[group.severity] = severities.get(group.severity, 0) + group.count
    severity = _options("Any", [(name, plural(count, name)) for name, count in severities.items()])
    rule = _options("Any", [(code, f"{code}: {RULES[code].name}") for code in codes])
    camera = _options("Any", [(str(name), str(name)) for name in cameras])  # spelt as in the cells
    fields = [
        _field("text", "Search", '<input id="filter-text" type="search" autocomplete="off" spellcheck="false">'),
        _field("severity", "Severity", f'<select id="filter-severity">{severity}</select>'),
        _field("camera", "Camera", f'<select id="filter-camera">{camera}</select>'),
        _field("code", "Rule", f'<select id="filter-code">{rule}</select>'),
        _field("file", "File", '<input id="filter-file" type="search" autocomplete="off" spellcheck="false">'),
        _field(
            "episode",
            "Episode",
            '<input id="filter-episode" type="text" inputmode="numeric" autocomplete="off" placeholder="7 or 10-20">',
        ),
    ]
    return (
        f'<form id="filters" aria-label="Filters" hidden><div class="fields">{"".join(fields)}</div><div class="actions">'
        '<output id="shown" aria-live="polite"></output><span class="buttons">'
        '<button type="button" id="open-all">Open all</button><button type="button" id="close-all">Close all</button>'
        '<button type="reset" id="reset">Clear filters</button></span></div></form>'
    )


def _field(name: str, label: str, control: str) -> str:
    return f'<div class="field for-{name}"><label for="filter-{name}">{label}</label>{control}</div>'


def _options(first: str, choices: Sequence[tuple[str, str]]) -> str:
    rest = "".join(f'<option value="{escaped(value)}">{escaped(text)}</option>' for value, text in choices)
    return f'<option value="">{first}</option>{rest}'

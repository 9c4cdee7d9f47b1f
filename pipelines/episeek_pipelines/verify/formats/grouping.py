"""Findings grouped by rule and remedy, and how many of each group are shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from episeek_pipelines.verify.findings.findings import Finding, Location, finding_count
from episeek_pipelines.verify.rules import RULES, Rule, Severity


@dataclass(frozen=True, slots=True)
class Group:
    """The findings of one rule and severity with one remedy; the first `shown_count` of them are shown."""

    severity: Severity
    rule: Rule
    findings: tuple[Finding, ...]
    shown_count: int

    @property
    def remedy(self) -> str:
        """Return the advice on these findings."""
        return self.findings[0].advice

    @property
    def shown(self) -> tuple[Finding, ...]:
        """Return the findings to show."""
        return self.findings[: self.shown_count]

    @property
    def count(self) -> int:
        """Return the number of findings, including those that a finding stands for."""
        return finding_count(self.findings)

    @property
    def hidden_count(self) -> int:
        """Return the number of findings that are not shown, including those that they stand for."""
        return finding_count(self.findings[self.shown_count :])


def grouped(findings: Iterable[Finding], *, max_findings: int) -> list[Group]:
    """Group sorted findings by severity, rule and remedy, in their order.

    Args:
        findings: The findings of a report.
        max_findings: The number of findings to show. Each group shows one in any case; the remaining room goes to the first
            groups, which are errors where there are any.
    """
    parts = [
        part for _, members in groupby(findings, key=lambda f: (f.severity, f.code)) for part in by_remedy(members)
    ]
    room = max(max_findings - len(parts), 0)
    groups = []
    for members in parts:
        further = min(room, len(members) - 1)
        room -= further
        groups.append(Group(members[0].severity, RULES[members[0].code], members, 1 + further))
    return groups


def by_remedy(findings: Iterable[Finding]) -> list[tuple[Finding, ...]]:
    """Part findings by their remedies, each in the order of its first finding."""
    parts: dict[str, list[Finding]] = {}
    for found in findings:
        parts.setdefault(found.advice, []).append(found)
    return [tuple(members) for members in parts.values()]


def and_more(found: Finding) -> str:
    """Return the text to put after a finding's message: how many more findings it stands for."""
    return f" (and {found.more} more)" if found.more else ""


def place_in_file(location: Location) -> str:
    """Return a location without its file as text; empty if it has no other parts."""
    parts = location.as_dict()
    parts.pop("file", None)
    return ", ".join(f"{name} {value}" for name, value in parts.items())

"""Findings grouped by rule, and how many of each group are shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from episeek_pipelines.verify.findings.findings import Finding, Location, finding_count
from episeek_pipelines.verify.rules import RULES, Rule, Severity


@dataclass(frozen=True, slots=True)
class Group:
    """The findings of one rule and severity; the first `shown_count` of them are shown."""

    severity: Severity
    rule: Rule
    findings: tuple[Finding, ...]
    shown_count: int

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
    """Group sorted findings by severity and rule, in their order.

    Args:
        findings: The findings of a report.
        max_findings: The number of findings to show. Each group shows one in any case; the remaining room goes to the first
            groups, which are errors where there are any.
    """
    parts = [(key, tuple(members)) for key, members in groupby(findings, key=lambda f: (f.severity, f.code))]
    room = max(max_findings - len(parts), 0)
    groups = []
    for (severity, code), members in parts:
        further = min(room, len(members) - 1)
        room -= further
        groups.append(Group(severity, RULES[code], members, 1 + further))
    return groups


def and_more(found: Finding) -> str:
    """Return the text to put after a finding's message: how many more findings it stands for."""
    return f" (and {found.more} more)" if found.more else ""


def place_in_file(location: Location) -> str:
    """Return a location without its file as text; empty if it has no other parts."""
    parts = location.as_dict()
    parts.pop("file", None)
    return ", ".join(f"{name} {value}" for name, value in parts.items())

"""Findings by rule, and how many of each there is room for."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby

from episeek_pipelines.verify.findings.findings import Finding, Location, finding_count
from episeek_pipelines.verify.rules import RULES, Rule, Severity


@dataclass(frozen=True, slots=True)
class Group:
    """The findings of one rule, all of one severity; the first `shown_count` of them are to be shown."""

    severity: Severity
    rule: Rule
    findings: tuple[Finding, ...]
    shown_count: int

    @property
    def shown(self) -> tuple[Finding, ...]:
        """The findings to show."""
        return self.findings[: self.shown_count]

    @property
    def count(self) -> int:
        """All findings, those that a finding stands for included."""
        return finding_count(self.findings)

    @property
    def hidden_count(self) -> int:
        """The findings not shown, those that they stand for included."""
        return finding_count(self.findings[self.shown_count :])


def grouped(
    findings: Iterable[Finding], *, max_findings: int, severities: Collection[Severity] = ("error", "warning")
) -> list[Group]:
    """Groups of sorted findings, in their order. At most `max_findings` are shown, but one of each group in any case, and
    only of `severities` more than that.
    """
    parts = [(key, tuple(members)) for key, members in groupby(findings, key=lambda f: (f.severity, f.code))]
    room = max(max_findings - len(parts), 0)
    groups = []
    for (severity, code), members in parts:
        further = min(room, len(members) - 1) if severity in severities else 0
        room -= further
        groups.append(Group(severity, RULES[code], members, 1 + further))
    return groups


def and_more(found: Finding) -> str:
    """What a finding stands for besides itself, to be put behind its message."""
    return f" (and {found.more} more)" if found.more else ""


def place_in_file(location: Location) -> str:
    """A location without its file; empty when nothing more is known."""
    parts = location.as_dict()
    parts.pop("file", None)
    return ", ".join(f"{name} {value}" for name, value in parts.items())

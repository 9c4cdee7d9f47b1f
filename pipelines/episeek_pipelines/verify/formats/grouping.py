"""Group findings by rule and remedy, and decide how many findings of each group are shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from episeek_pipelines.verify.findings.findings import Finding, Location, finding_count
from episeek_pipelines.verify.rules import RULES, Rule, Severity


@dataclass(frozen=True, slots=True)
class Group:
    """The findings that share rule, severity and remedy. The first `shown_count` of them are shown."""

    severity: Severity
    rule: Rule
    findings: tuple[Finding, ...]
    shown_count: int

    @property
    def remedy(self) -> str:
        """The remedy that all findings of the group share."""
        return self.findings[0].advice

    @property
    def shown(self) -> tuple[Finding, ...]:
        """The findings to show."""
        return self.findings[: self.shown_count]

    @property
    def count(self) -> int:
        """The number of violations of the rule: the findings, and the further violations that they represent (`Finding.more`)."""
        return finding_count(self.findings)

    @property
    def hidden_count(self) -> int:
        """The number of violations that are not shown: the hidden findings, and the further violations that they represent."""
        return finding_count(self.findings[self.shown_count :])


def grouped(findings: Iterable[Finding], *, max_findings: int) -> list[Group]:
    """Group sorted findings by severity, rule and remedy. Groups and findings keep their order.

    Args:
        findings: The sorted findings of a report: errors come before warnings.
        max_findings: The number of findings to show. Each group shows at least one finding, even if this exceeds the number. The
            first groups show more until the number is reached.
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
    """Return a tuple of findings for each remedy, in the order in which the remedies first occur."""
    parts: dict[str, list[Finding]] = {}
    for found in findings:
        parts.setdefault(found.advice, []).append(found)
    return [tuple(members) for members in parts.values()]


def and_more(found: Finding) -> str:
    """Return the text after the message of a finding, such as " (and 3 more)"; empty if it represents no further violations."""
    return f" (and {found.more} more)" if found.more else ""


def place_in_file(location: Location) -> str:
    """Return a location without its file as text, for example "episode 3, row 7"; empty if it has no other parts."""
    parts = location.as_dict()
    parts.pop("file", None)
    return ", ".join(f"{name} {value}" for name, value in parts.items())

"""Findings and their places: plain values that pickle, compare and sort."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import total_ordering
from typing import Any

from episeek_pipelines.verify.findings.strips import Strip
from episeek_pipelines.verify.rules import RULES, Rule, Severity

__all__ = ["Finding", "Location", "Severity", "finding", "finding_count"]

_TEXTS = ".jsonl"
"""Suffix of files whose rows are lines of text."""

_SEVERITY_ORDER = {"error": 0, "warning": 1}


@dataclass(frozen=True, slots=True)
class Location:
    """The place of a finding, as exactly as it is known.

    `row` counts from 0 within `file`, rows of a table or lines of a text; `column` is a column name, or a key of a JSON file.
    """

    file: str | None = None
    episode: int | None = None
    camera: str | None = None
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        parts = [self.file] if self.file else []
        is_text = (self.file or "").endswith(_TEXTS)
        for part in fields(self)[1:]:
            value = getattr(self, part.name)
            if value is not None:
                # editors count lines from 1
                parts.append(f"line {value + 1}" if is_text and part.name == "row" else f"{part.name} {value}")
        return ", ".join(parts) or "dataset"

    def as_dict(self) -> dict[str, str | int]:
        """Return the known parts, for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """Return a key that sorts places by file, row and so on; a whole file comes before its parts."""
        episode = -1 if self.episode is None else self.episode
        row = -1 if self.row is None else self.row
        return (self.file or "", episode, self.camera or "", row, self.column or "")


@total_ordering
@dataclass(frozen=True, slots=True)
class Finding:
    """A violation of a registered rule.

    It has the severity of the rule, unless it does less harm than the rule's violations do, or a configuration changes it.

    Raises:
        ValueError: The code or the severity does not exist.
    """

    code: str
    severity: Severity
    found: str
    expected: str
    """Empty if `found` needs no explanation."""
    location: Location
    more: int = 0
    """Number of similar findings close by that are not listed."""
    remedy: str = ""
    """Advice chosen by what was found: one of a few texts, without values of the dataset. Empty where the rule's own holds."""
    strip: Strip | None = field(default=None, compare=False, repr=False)
    """Frames that show it, for the report page; None where no pictures do."""

    def __post_init__(self) -> None:
        if self.code not in RULES or self.severity not in _SEVERITY_ORDER:
            raise ValueError(f"{self.code} is not a registered code, or {self.severity} no severity")

    def __lt__(self, other: "Finding") -> bool:
        return self.sort_key < other.sort_key

    @property
    def message(self) -> str:
        """Return one sentence that says what was found and what was expected."""
        return f"{self.found}; expected {self.expected}" if self.expected else self.found

    @property
    def advice(self) -> str:
        """Return the finding's remedy, or that of its rule."""
        return self.remedy or RULES[self.code].remedy

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """Return a key that sorts errors first, then by code, place and message: a total order."""
        return (_SEVERITY_ORDER[self.severity], self.code, self.location.sort_key, self.message, self.more, self.remedy)

    @property
    def fingerprint(self) -> str:
        """Return 32 hex digits, equal for findings of the same rule at the same place, whatever was found."""
        place = json.dumps(self.location.as_dict(), sort_keys=True)
        return hashlib.sha256(f"{self.code} {place}".encode()).hexdigest()[:32]

    def as_dict(self) -> dict[str, Any]:
        """Return the finding for JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "found": self.found,
            "expected": self.expected,
            "location": self.location.as_dict(),
            "more": self.more,
        }


def finding(
    rule: Rule,
    found: str,
    expected: str,
    location: Location | None = None,
    *,
    more: int = 0,
    remedy: str = "",
    severity: Severity | None = None,
    strip: Strip | None = None,
) -> Finding:
    """Return a violation of `rule`.

    Args:
        rule: The rule.
        found: A noun phrase.
        expected: A noun phrase; empty if `found` needs no explanation.
        location: The place; None for the whole dataset.
        more: Number of similar findings close by that are not listed.
        remedy: Advice chosen by what was found; empty for the rule's own.
        severity: None for the rule's own.
        strip: Frames that show it; None where no pictures do.
    """
    place = location if location is not None else Location()
    return Finding(rule.code, severity or rule.severity, found, expected, place, more, remedy, strip)


def finding_count(findings: Iterable[Finding]) -> int:
    """Return the number of findings, including those that a finding stands for."""
    return sum(1 + found.more for found in findings)

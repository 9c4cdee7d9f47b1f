"""Findings, each a violation of a rule, and their locations. Both are plain values that can be pickled, compared and sorted."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import total_ordering
from typing import Any

from episeek_pipelines.verify.findings.charts import FindingChart
from episeek_pipelines.verify.findings.strips import Strip
from episeek_pipelines.verify.rules import RULES, Rule, Severity

__all__ = ["Finding", "Location", "Severity", "finding", "finding_count"]

_TEXTS = ".jsonl"
_DOCUMENTS = (".json", ".md")
"""Suffix of JSON Lines files, whose rows are lines of text."""

_SEVERITY_ORDER = {"error": 0, "warning": 1}


@dataclass(frozen=True, slots=True)
class Location:
    """The place of a finding in a dataset.

    A field is None if it is unknown or does not apply. If all fields are None, the finding is about the whole dataset.
    """

    file: str | None = None
    """Path relative to the root of the dataset."""
    episode: int | None = None
    """The episode_index."""
    camera: str | None = None
    """The key of the video feature."""
    row: int | None = None
    """Number of a row of a table, or of a line of a text file, counted from 0 within `file`."""
    column: str | None = None
    """Name of a column of a table, or a key of a JSON document or of the front matter of a card."""

    def __str__(self) -> str:
        parts = [self.file] if self.file else []
        is_text = (self.file or "").endswith(_TEXTS)
        is_document = (self.file or "").endswith(_DOCUMENTS)
        for part in fields(self)[1:]:
            value = getattr(self, part.name)
            if value is not None:
                # Editors count lines from 1.
                if is_text and part.name == "row":
                    parts.append(f"line {value + 1}")
                else:
                    parts.append(f"{'key' if is_document and part.name == 'column' else part.name} {value}")
        return ", ".join(parts) or "dataset"

    def as_dict(self) -> dict[str, str | int]:
        """Return the fields that are not None as a JSON object."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """Return a key that sorts locations by file, episode, camera, row and column; a whole file comes before its parts."""
        episode = -1 if self.episode is None else self.episode
        row = -1 if self.row is None else self.row
        return (self.file or "", episode, self.camera or "", row, self.column or "")


@total_ordering
@dataclass(frozen=True, slots=True)
class Finding:
    """A violation of a registered rule.

    The severity is the severity of the rule, unless this violation is more or less harmful than usual, or a configuration sets
    another severity.

    Raises:
        ValueError: The code or the severity does not exist.
    """

    code: str
    severity: Severity
    found: str
    """A noun phrase for the contents of the dataset that break the rule."""
    expected: str
    """A noun phrase for the contents that the rule expects; empty if `found` needs no explanation."""
    location: Location
    more: int = 0
    """Number of further violations of the same kind that this finding represents, such as other rows of the file."""
    remedy: str = ""
    """Advice for this finding; empty if the rule's own advice applies. The text contains no values of the dataset."""
    strip: Strip | None = field(default=None, compare=False, repr=False)
    """The frames that illustrate the finding on the report page; None if pictures do not help."""

    charts: tuple[FindingChart, ...] = field(default=(), compare=False, repr=False)
    """The charts that illustrate the finding on the report page."""

    def __post_init__(self) -> None:
        if self.code not in RULES or self.severity not in _SEVERITY_ORDER:
            raise ValueError(f"{self.code} is not the code of a rule, or {self.severity} is neither error nor warning")

    def __lt__(self, other: "Finding") -> bool:
        return self.sort_key < other.sort_key

    @property
    def message(self) -> str:
        """Return the text `found; expected ...`, or only `found` if `expected` is empty."""
        return f"{self.found}; expected {self.expected}" if self.expected else self.found

    @property
    def advice(self) -> str:
        """Return the advice for this finding: its own remedy, or else the remedy of its rule."""
        return self.remedy or RULES[self.code].remedy

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """Return a key that sorts errors before warnings, and then by code, location and message."""
        return (_SEVERITY_ORDER[self.severity], self.code, self.location.sort_key, self.message, self.more, self.remedy)

    @property
    def fingerprint(self) -> str:
        """Return 32 hex digits that depend only on the rule and the location, not on what was found there."""
        place = json.dumps(self.location.as_dict(), sort_keys=True)
        return hashlib.sha256(f"{self.code} {place}".encode()).hexdigest()[:32]

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
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
    charts: tuple[FindingChart, ...] = (),
) -> Finding:
    """Return a finding: a violation of `rule`.

    Args:
        rule: The violated rule.
        found: What the dataset contains, as a noun phrase.
        expected: What the dataset should contain, as a noun phrase; empty if `found` needs no explanation.
        location: The place of the violation; None for the whole dataset.
        more: Number of further violations of the same kind that the finding represents.
        remedy: Advice for this finding; empty if the rule's own advice applies.
        severity: Severity of this finding; None for the severity of the rule.
        strip: The frames that illustrate the finding; None if pictures do not help.
        charts: The charts that illustrate the finding.
    """
    place = location if location is not None else Location()
    return Finding(rule.code, severity or rule.severity, found, expected, place, more, remedy, strip, charts)


def finding_count(findings: Iterable[Finding]) -> int:
    """Return the number of findings, including the further violations that `Finding.more` counts."""
    return sum(1 + found.more for found in findings)

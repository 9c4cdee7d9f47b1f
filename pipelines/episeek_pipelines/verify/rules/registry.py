"""What a rule is, and the registry that every rule is in."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

Severity = Literal["error", "warning"]

Level = Literal["meta", "layout", "rows", "decode"]
"""What is read: `meta/` and a listing; Parquet footers and video headers, too; rows, too; pictures, too."""

LEVELS: Final[tuple[Level, ...]] = get_args(Level)

FailOn = Literal["error", "warning", "never"]
"""The least that makes a verification fail."""

FAIL_ON: Final[tuple[FailOn, ...]] = get_args(FailOn)


@dataclass(frozen=True, slots=True)
class Rule:
    """One invariant.

    `level` is the lowest at which it is looked at; more of it may be seen at a higher one. `broke_in` names public
    datasets, issues or tools where it was broken; empty where none is known.
    """

    code: str
    name: str
    severity: Severity
    level: Level
    protects: str
    remedy: str
    broke_in: str = ""


_registered: dict[str, Rule] = {}

RULES: Final[Mapping[str, Rule]] = MappingProxyType(_registered)
"""All rules by code."""


def rule(
    code: str, name: str, severity: Severity, level: Level, *, protects: str, remedy: str, broke_in: str = ""
) -> Rule:
    """Register a rule.

    Raises:
        ValueError: The code is taken.
    """
    if code in _registered:
        raise ValueError(f"code {code} is taken")
    _registered[code] = Rule(code, name, severity, level, protects, remedy, broke_in)
    return _registered[code]


def includes(level: Level, part: Level) -> bool:
    """Whether a verification of `level` looks at what `part` looks at."""
    return LEVELS.index(level) >= LEVELS.index(part)

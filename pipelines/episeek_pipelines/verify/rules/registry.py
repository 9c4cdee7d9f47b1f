"""The definition of a rule, and the registry of all rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

Severity = Literal["error", "warning"]

Level = Literal["meta", "layout", "rows", "decode"]
"""How much of a dataset is read; each level adds to the one before. `meta` reads the documents below meta/ and a listing of the
files, `layout` adds Parquet footers and video headers, `rows` adds the rows, and `decode` adds decoded pictures.
"""

LEVELS: Final[tuple[Level, ...]] = get_args(Level)

FailOn = Literal["error", "warning", "never"]
"""The least severity that makes a verification fail."""

FAIL_ON: Final[tuple[FailOn, ...]] = get_args(FailOn)


@dataclass(frozen=True, slots=True)
class Rule:
    """An invariant of a dataset, with the texts that a report shows when it is violated.

    A rule has two titles: `invariant` says what is true of a good dataset, and `problem` says what is wrong with a bad one.
    Reports show findings under `problem`.
    """

    code: str
    severity: Severity
    level: Level
    """The lowest level that applies the rule; a higher level may check the invariant in more places."""
    problem: str
    invariant: str
    protects: str
    """The readers or uses that depend on the invariant, as a noun phrase."""
    remedy: str
    """Advice on a finding, in the imperative."""
    broke_in: str = ""
    """Public datasets, issues or tools in which the rule was broken; empty where none is known."""
    moot_because: str = ""
    """Why the problem does not matter in a video that the sidecars index; empty where it always matters."""


_registered: dict[str, Rule] = {}

RULES: Final[Mapping[str, Rule]] = MappingProxyType(_registered)
"""All rules by code."""


def rule(
    code: str,
    severity: Severity,
    level: Level,
    *,
    problem: str,
    invariant: str,
    protects: str,
    remedy: str,
    broke_in: str = "",
    moot_because: str = "",
) -> Rule:
    """Create a rule, add it to `RULES` and return it.

    Raises:
        ValueError: Another rule has the code.
    """
    if code in _registered:
        raise ValueError(f"code {code} belongs to another rule")
    _registered[code] = Rule(code, severity, level, problem, invariant, protects, remedy, broke_in, moot_because)
    return _registered[code]


def includes(level: Level, part: Level) -> bool:
    """Return whether a verification at `level` reads everything that the level `part` reads."""
    return LEVELS.index(level) >= LEVELS.index(part)

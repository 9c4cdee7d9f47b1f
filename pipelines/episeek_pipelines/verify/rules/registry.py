"""The definition of a rule, and the registry of all rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

Severity = Literal["error", "warning"]

Level = Literal["meta", "layout", "rows", "decode"]
"""How much is read. `meta`: the documents below meta/ and a listing of the files. `layout`: also Parquet footers and video
headers. `rows`: also rows. `decode`: also pictures.
"""

LEVELS: Final[tuple[Level, ...]] = get_args(Level)

FailOn = Literal["error", "warning", "never"]
"""The least severity that makes a verification fail."""

FAIL_ON: Final[tuple[FailOn, ...]] = get_args(FailOn)


@dataclass(frozen=True, slots=True)
class Rule:
    """An invariant of a dataset.

    A rule has two titles: `invariant` says what holds in a good dataset, `problem` what is wrong with a bad one. Findings
    are shown under `problem`.
    """

    code: str
    severity: Severity
    level: Level
    """The lowest level that applies the rule; a higher level may apply more of it."""
    problem: str
    invariant: str
    protects: str
    """Who depends on the invariant, or for what."""
    remedy: str
    """Advice on a finding: an imperative."""
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
    """Register a rule.

    Raises:
        ValueError: The code is taken.
    """
    if code in _registered:
        raise ValueError(f"code {code} is taken")
    _registered[code] = Rule(code, severity, level, problem, invariant, protects, remedy, broke_in, moot_because)
    return _registered[code]


def includes(level: Level, part: Level) -> bool:
    """Return whether a verification at `level` reads everything that the level `part` reads."""
    return LEVELS.index(level) >= LEVELS.index(part)

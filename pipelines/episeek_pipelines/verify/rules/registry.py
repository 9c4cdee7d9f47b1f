"""The definition of a rule, and the registry of all rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

Severity = Literal["error", "warning"]

Level = Literal["meta", "layout", "rows", "decode"]
"""The level of a verification, which says how much of a dataset is read. `meta` reads the documents below meta/ and a listing of
the files. `layout` also reads Parquet footers and video headers, `rows` also reads the rows, and `decode` also decodes pictures.
"""

LEVELS: Final[tuple[Level, ...]] = get_args(Level)

FailOn = Literal["error", "warning", "never"]
"""The least severity of a finding that makes a verification fail. With "never", no finding makes it fail."""

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
    """The lowest level at which the rule is applied. A higher level may check the invariant more thoroughly."""
    problem: str
    invariant: str
    protects: str
    """The readers or uses that depend on the invariant, as a noun phrase."""
    remedy: str
    """Advice for a finding of this rule, in the imperative."""
    broke_in: str = ""
    """Examples of violations in public datasets, issues or tools; empty if there is no example."""
    moot_because: str = ""
    """The reason why the problem does not matter in a video that the sidecars index; empty if it always matters."""


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

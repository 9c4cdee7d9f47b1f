"""What `episeek rules` says: every rule in a table, one rule in a few lines, all of them for programs and for documentation."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from episeek_pipelines.verify.rules import RULES, Level, Rule
from episeek_pipelines.verify.settings.configuration_keys import CONFIGURATION_FILE
from episeek_pipelines.verify.settings.rule_codes import (
    ALWAYS_COUNTED,
    FAMILY_LENGTH,
    WHY_ALWAYS_COUNTED,
    ConfigurationError,
    suggested_code,
)

FAMILY_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "INF": "meta/info.json and the files that it implies",
        "EPI": "meta/episodes",
        "TSK": "tasks",
        "STA": "statistics",
        "ROW": "data files",
        "VID": "videos",
        "IDX": "sidecars",
        "HUB": "the dataset card",
        "TRN": "training",
        "VER": "the verification itself",
    }
)
"""In the order of all tables."""

LEVEL_MEANINGS: Final[Mapping[Level, str]] = MappingProxyType(
    {
        "meta": " or higher; meta/ and a listing tell",
        "layout": " or higher; Parquet footers and video headers tell",
        "rows": " or higher; rows tell",
        "decode": "; pictures tell",
    }
)

_GLOB_OF_FAMILY: Final = {"ROW": "data/**", "VID": "videos/**", "IDX": "meta/byte_index/**"}


def rule_lines() -> Iterator[str]:
    """A line for each rule, below one for its family, with an empty line between families."""
    for position, family in enumerate(FAMILY_TITLES):
        if position:
            yield ""
        yield f"{family}: {FAMILY_TITLES[family]}"
        for rule in _rules_of(family):
            yield f"  {_line(rule)}"


def family_lines(text: str) -> list[str]:
    """A line for each rule whose code starts with a text of three letters or more, in upper or lower case.

    Empty where there is none, and for the whole code of a rule, which has a page.
    """
    start = text.strip().upper()
    if start in RULES:
        return []
    rules = [rule for rule in RULES.values() if len(start) >= FAMILY_LENGTH and rule.code.startswith(start)]
    return [_line(rule) for rule in sorted(rules, key=lambda rule: rule.code)]


def rule_page(code: str) -> str:
    """All there is to say about one rule.

    Args:
        code: A whole code, in upper or lower case.

    Raises:
        ConfigurationError: There is no such rule.
    """
    rule = RULES.get(code.strip().upper())
    if rule is None:
        raise ConfigurationError(
            "CODE", f"{code!r}{suggested_code(code, whole=True)}", "the whole code of a rule, such as VID024"
        )
    entries = [
        ("severity", rule.severity),
        ("level", f"{rule.level}{LEVEL_MEANINGS[rule.level]}"),
        ("protects", rule.protects),
        ("remedy", rule.remedy),
        ("broke in", rule.broke_in),
        *(("see also", f"{other.code}: {other.name}") for other in _rules_of_same_number(rule)),
        ("ignore", _how_to_ignore(rule)),
    ]
    return "\n".join([f"{rule.code}: {rule.name}", *(f"  {name + ':':<10}{text}" for name, text in entries if text)])


def rules_json() -> list[dict[str, Any]]:
    """All rules, in the order of `rule_lines`, for JSON; `broke_in` is empty where nothing is known."""
    return [
        {
            "code": rule.code,
            "family": family,
            "name": rule.name,
            "severity": rule.severity,
            "level": rule.level,
            "protects": rule.protects,
            "remedy": rule.remedy,
            "broke_in": rule.broke_in,
            "can_be_ignored": rule.code not in ALWAYS_COUNTED,
        }
        for family in FAMILY_TITLES
        for rule in _rules_of(family)
    ]


def rules_markdown() -> str:
    """One table of all rules, in the order of `rule_lines`, in GitHub's Markdown."""
    rows = [
        (rule.code, rule.severity, rule.level, *map(_markdown, (rule.name, rule.protects, rule.broke_in)))
        for family in FAMILY_TITLES
        for rule in _rules_of(family)
    ]
    header = ("Code", "Severity", "Level", "What holds", "What that protects", "Where it broke")
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _rules_of(family: str) -> list[Rule]:
    return [RULES[code] for code in sorted(RULES) if code[:FAMILY_LENGTH] == family]


def _rules_of_same_number(rule: Rule) -> list[Rule]:
    """The harmless way of breaking the same invariant, or the harmful one."""
    number = rule.code.rstrip("W")
    return [RULES[code] for code in (number, f"{number}W") if code in RULES and code != rule.code]


def _how_to_ignore(rule: Rule) -> str:
    if rule.code in ALWAYS_COUNTED:
        return f"not possible: {WHY_ALWAYS_COUNTED}"
    ways = f'--ignore {rule.code}, or in {CONFIGURATION_FILE} ignore = ["{rule.code}"]'
    glob = _GLOB_OF_FAMILY.get(rule.code[:FAMILY_LENGTH])
    return f'{ways}; for some files per-path-ignores = {{"{glob}" = ["{rule.code}"]}}' if glob else ways


def _markdown(text: str) -> str:
    """Text for a cell: what Markdown would take for markup is escaped, except in code, where only bars have to be."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([\\*_<>\[\]])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts).replace("|", r"\|")


def _line(rule: Rule) -> str:
    return f"{rule.code:<7}  {rule.severity:<7}  {rule.level:<6}  {rule.name}"

"""Show the rules of `episeek verify`: as a list, as a page about one rule, as JSON and as Markdown.

A family is the set of rules whose codes begin with the same three letters.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
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
"""The title of each family of rules, in the order in which lists show the families."""

LEVEL_MEANINGS: Final[Mapping[Level, str]] = MappingProxyType(
    {
        "meta": "or higher: needs meta/ and a listing of the files",
        "layout": "or higher: needs Parquet footers and video headers",
        "rows": "or higher: needs rows",
        "decode": "alone: needs pictures",
    }
)

_GLOB_OF_FAMILY: Final = {"ROW": "data/**", "VID": "videos/**", "IDX": "meta/byte_index/**"}


def rule_lines() -> Iterator[str]:
    """Yield the lines of the list of all rules: the title of each family, and then two lines for each rule of the family.

    An empty line separates families.
    """
    for position, family in enumerate(FAMILY_TITLES):
        if position:
            yield ""
        yield f"{family}: {FAMILY_TITLES[family]}"
        for rule in _rules_of(family):
            yield from (f"  {line}" for line in _lines(rule))


def family_lines(text: str) -> list[str]:
    """Return two lines for each rule whose code begins with `text`, in upper or lower case.

    The list is empty if no rule matches, if `text` has fewer than three letters, or if `text` is the whole code of a rule.
    `rule_page` shows a single rule.
    """
    return [line for rule in _family(text) for line in _lines(rule)]


def _family(text: str) -> list[Rule]:
    start = text.strip().upper()
    if start in RULES:
        return []
    rules = [rule for rule in RULES.values() if len(start) >= FAMILY_LENGTH and rule.code.startswith(start)]
    return sorted(rules, key=lambda rule: rule.code)


def rule_page(code: str) -> str:
    """Return the page about one rule: its code, problem, severity, level, remedy and the other texts.

    Args:
        code: The whole code of the rule, in upper or lower case.

    Raises:
        ConfigurationError: No rule has this code.
    """
    rule = _rule_of(code)
    entries = [
        ("expected", rule.invariant),
        ("severity", rule.severity),
        ("level", f"{rule.level} {LEVEL_MEANINGS[rule.level]}"),
        ("protects", rule.protects),
        ("remedy", rule.remedy),
        ("broke in", rule.broke_in),
        ("harmless", f"in videos that the sidecars index: {rule.moot_because}" if rule.moot_because else ""),
        *(("see also", f"{other.code}: {other.problem}") for other in _rules_of_same_number(rule)),
        ("ignore", _how_to_ignore(rule)),
    ]
    return "\n".join([f"{rule.code}: {rule.problem}", *(f"  {name + ':':<10}{text}" for name, text in entries if text)])


def rules_json(texts: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return rules as a JSON document, in the order of `rule_lines`.

    Args:
        texts: Codes of rules and names of families, in upper or lower case. Without any, all rules are returned.

    Raises:
        ConfigurationError: A text matches no rule.
    """
    codes = {rule.code for text in texts for rule in _family(text) or [_rule_of(text)]} if texts else set(RULES)
    return [
        {
            "code": rule.code,
            "family": family,
            "name": rule.invariant,
            "problem": rule.problem,
            "severity": rule.severity,
            "level": rule.level,
            "protects": rule.protects,
            "remedy": rule.remedy,
            "broke_in": rule.broke_in,
            "moot_because": rule.moot_because,
            "can_be_ignored": rule.code not in ALWAYS_COUNTED,
        }
        for family in FAMILY_TITLES
        for rule in _rules_of(family)
        if rule.code in codes
    ]


def rules_markdown() -> str:
    """Return a table of all rules in GitHub's Markdown, in the order of `rule_lines`."""
    rows = [
        (
            rule.code,
            rule.severity,
            rule.level,
            *map(_markdown, (rule.problem, rule.invariant, rule.protects, rule.broke_in)),
        )
        for family in FAMILY_TITLES
        for rule in _rules_of(family)
    ]
    header = ("Code", "Severity", "Level", "Problem", "Expected", "Protects", "Seen in")
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _rule_of(code: str) -> Rule:
    rule = RULES.get(code.strip().upper())
    if rule is None:
        found = f"{code!r}{suggested_code(code, whole=True)}"
        expected = "the code of a rule, such as VID024, or a family, such as VID"
        raise ConfigurationError("CODE", found, expected, "run `episeek rules` to list all of them")
    return rule


def _rules_of(family: str) -> list[Rule]:
    return [RULES[code] for code in sorted(RULES) if code[:FAMILY_LENGTH] == family]


def _rules_of_same_number(rule: Rule) -> list[Rule]:
    """Return the other variant of a rule, or nothing if the rule has no variant. VID024W is the harmless variant of VID024."""
    number = rule.code.rstrip("W")
    return [RULES[code] for code in (number, f"{number}W") if code in RULES and code != rule.code]


def _how_to_ignore(rule: Rule) -> str:
    if rule.code in ALWAYS_COUNTED:
        return f"not possible: {WHY_ALWAYS_COUNTED}"
    ways = f'--ignore {rule.code}, or in {CONFIGURATION_FILE} ignore = ["{rule.code}"]'
    glob = _GLOB_OF_FAMILY.get(rule.code[:FAMILY_LENGTH])
    return f'{ways}; for some files per-path-ignores = {{"{glob}" = ["{rule.code}"]}}' if glob else ways


def _markdown(text: str) -> str:
    """Return text for a cell of a Markdown table, with its markup escaped. In code spans, only vertical bars are escaped."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([\\*_<>\[\]])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts).replace("|", r"\|")


def _lines(rule: Rule) -> list[str]:
    head = f"{rule.code:<7}  {rule.severity:<7}  {rule.level:<6}  "
    return [f"{head}{rule.problem}", f"{' ' * len(head)}expected: {rule.invariant}"]

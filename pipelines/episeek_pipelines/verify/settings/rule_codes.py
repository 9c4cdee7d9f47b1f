"""Functions that match the texts in options and configuration files with the codes of rules.

A text is a whole code (`VID024`), a family (`VID`) or another beginning of codes (`VID02`). A whole code matches only its rule:
`VID024` does not include `VID024W`. A text that matches no rule is an error.

VER000 and VER001 report a check that failed and a file that could not be read. An incomplete verification proves nothing, so both
always count: they cannot be ignored or become warnings, and every selection includes them.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Final, get_args

from episeek.errors import EpiseekError
from episeek_pipelines.verify.findings.quoting import as_json
from episeek_pipelines.verify.rules import HOLES, RULES, Severity

SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

ALWAYS_COUNTED: Final = HOLES
"""Codes of the rules that no policy can ignore and no baseline can accept."""

WHY_ALWAYS_COUNTED: Final = f"{' and '.join(sorted(ALWAYS_COUNTED))} always count, since an unread file proves nothing"

FAMILY_LENGTH: Final = 3
FAMILIES: Final = tuple(dict.fromkeys(code[:FAMILY_LENGTH] for code in RULES))


class ConfigurationError(EpiseekError, ValueError):
    """The error for an invalid option, configuration file or rule code."""


def matching_codes(text: str) -> frozenset[str]:
    """Return the codes that a text matches: the code itself if it exists, or else all codes that start with the text.

    A text of fewer than three characters matches no code: it is shorter than a family such as `VID`.
    """
    if text in RULES:
        return frozenset({text})
    if len(text) < FAMILY_LENGTH:
        return frozenset()
    return frozenset(code for code in RULES if code.startswith(text))


def validate_codes(texts: Iterable[str], where: str) -> None:
    """Raise ConfigurationError if a text matches no rule. The error lists all such texts.

    Args:
        texts: Codes, families and other beginnings of codes.
        where: The option or key that contains the texts, for messages.
    """
    unknown = [text for text in texts if not matching_codes(text)]
    if unknown:
        found = ", ".join(f"{text!r}{suggested_code(text)}" for text in unknown)
        raise ConfigurationError(where, found, "codes such as VID024, or beginnings of codes such as VID")


def validate_ignored(texts: Collection[str], where: str) -> None:
    """Raise ConfigurationError if a text matches no rule, or matches VER000 or VER001, which always count.

    Args:
        texts: Codes, families and other beginnings of codes.
        where: The option or key that contains the texts, for messages.
    """
    validate_codes(texts, where)
    for text in texts:
        held = matching_codes(text) & ALWAYS_COUNTED
        if held:
            raise ConfigurationError(where, repr(text), f"rules that can be ignored ({WHY_ALWAYS_COUNTED})")


def validate_severity(code: str, severity: object, where: str) -> None:
    """Raise ConfigurationError if the code or the severity does not exist, or if the severity of this rule cannot be changed.

    Args:
        code: The whole code of a rule.
        severity: The severity that the rule is to have.
        where: The option or key with the code and the severity, for messages.
    """
    if code not in RULES:
        raise ConfigurationError(
            where, f"{code!r}{suggested_code(code, whole=True)}", "the whole code of one rule, such as VID024"
        )
    if severity not in SEVERITIES:
        raise ConfigurationError(where, as_json(severity), f"one of {', '.join(SEVERITIES)}")
    if code in ALWAYS_COUNTED and severity != RULES[code].severity:
        raise ConfigurationError(where, as_json(severity), f"{RULES[code].severity} ({WHY_ALWAYS_COUNTED})")


def suggested_code(text: str, *, whole: bool = False) -> str:
    """Return a text such as ` (did you mean VID024?)` with the most similar code; empty if no code is similar.

    Args:
        text: The text that matches no rule.
        whole: Whether to suggest only whole codes. Otherwise families such as `VID` can be suggested, too.
    """
    upper = text.upper()
    matching = matching_codes(upper)
    if matching and (not whole or upper in RULES):
        return did_you_mean(upper, [upper])
    if matching:
        # The text is the start of several codes, none of which is more likely than another.
        return ""
    same_family = matching_codes(upper[:FAMILY_LENGTH])
    return did_you_mean(upper, sorted(same_family) or [*RULES, *(() if whole else FAMILIES)])


def did_you_mean(text: str, choices: Iterable[str]) -> str:
    """Return a text such as ` (did you mean level?)` with the choice most similar to `text`; empty if no choice is similar."""
    likely = get_close_matches(text, list(choices), n=1)
    return f" (did you mean {likely[0]}?)" if likely else ""


def codes_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the codes of all rules that at least one of the texts matches."""
    return frozenset().union(*(matching_codes(text) for text in texts))

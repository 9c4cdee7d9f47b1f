"""Codes in options and configuration files: a whole code, a family (`VID`) or the start of codes (`VID02`).

A whole code selects one rule alone: `VID024` does not include `VID024W`. Text that matches no rule is an error.

VER000 and VER001 say that something was not checked. An incomplete verification proves nothing, so both always count: they
cannot be ignored or become warnings, and every selection includes them.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Final, get_args

from episeek.errors import EpiseekError
from episeek_pipelines.verify.findings.quoting import as_json
from episeek_pipelines.verify.rules import HOLES, RULES, Severity

SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

ALWAYS_COUNTED: Final = HOLES
"""Codes that no policy ignores and no baseline accepts."""

WHY_ALWAYS_COUNTED: Final = f"{' and '.join(sorted(ALWAYS_COUNTED))} always count, since an unread file proves nothing"

FAMILY_LENGTH: Final = 3
FAMILIES: Final = tuple(dict.fromkeys(code[:FAMILY_LENGTH] for code in RULES))


class ConfigurationError(EpiseekError, ValueError):
    """An option, a configuration file or a code is invalid."""


def matching_codes(text: str) -> frozenset[str]:
    """Return the codes that match a whole code, a family or the start of a code; empty if none does."""
    if text in RULES:
        return frozenset({text})
    if len(text) < FAMILY_LENGTH:
        return frozenset()
    return frozenset(code for code in RULES if code.startswith(text))


def validate_codes(texts: Iterable[str], where: str) -> None:
    """Check that each text matches one or more rules.

    Raises:
        ConfigurationError: Some texts match no rule; the error lists all of them.
    """
    unknown = [text for text in texts if not matching_codes(text)]
    if unknown:
        found = ", ".join(f"{text!r}{suggested_code(text)}" for text in unknown)
        raise ConfigurationError(where, found, "codes such as VID024, or the start of some such as VID")


def validate_ignored(texts: Collection[str], where: str) -> None:
    """Check that each text matches rules that can be ignored.

    Raises:
        ConfigurationError: A text matches no rule, or one that always counts.
    """
    validate_codes(texts, where)
    for text in texts:
        held = matching_codes(text) & ALWAYS_COUNTED
        if held:
            raise ConfigurationError(where, repr(text), f"rules that can be ignored ({WHY_ALWAYS_COUNTED})")


def validate_severity(code: str, severity: object, where: str) -> None:
    """Check that a rule can have a severity.

    Raises:
        ConfigurationError: The code or severity does not exist, or the rule always counts as an error.
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
    """Return ` (did you mean VID024?)`, or nothing if no code is similar; with `whole` suggest only whole codes."""
    upper = text.upper()
    matching = matching_codes(upper)
    if matching and (not whole or upper in RULES):
        return did_you_mean(upper, [upper])
    if matching:
        # None of them is more likely than another.
        return ""
    same_family = matching_codes(upper[:FAMILY_LENGTH])
    return did_you_mean(upper, sorted(same_family) or [*RULES, *(() if whole else FAMILIES)])


def did_you_mean(text: str, choices: Iterable[str]) -> str:
    """Return ` (did you mean ...?)` with the choice that is most similar to the text, or nothing if none is."""
    likely = get_close_matches(text, list(choices), n=1)
    return f" (did you mean {likely[0]}?)" if likely else ""


def codes_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the codes that match any of the texts."""
    return frozenset().union(*(matching_codes(text) for text in texts))

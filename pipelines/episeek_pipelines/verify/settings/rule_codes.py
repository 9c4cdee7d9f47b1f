"""How rules are named by whoever selects or ignores some: by the whole code, by a family (`VID`) or by its start (`VID02`).

A whole code means that rule alone: `VID024` is not `VID024W`. A name that means no rule is an error, never silence.

VER000 and VER001 say that something was not looked at. Nothing follows from a verification with holes, so both always
count: they can be neither ignored nor made warnings, and a selection includes them.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Final, get_args

from episeek.errors import EpiseekError
from episeek_pipelines.verify.findings.quoting import as_json
from episeek_pipelines.verify.rules import HOLES, RULES, Severity

SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

ALWAYS_COUNTED: Final = HOLES
"""Codes that no policy and no baseline leaves out."""

WHY_ALWAYS_COUNTED: Final = f"{' and '.join(sorted(ALWAYS_COUNTED))} always count, an unread file proves nothing"

FAMILY_LENGTH: Final = 3
FAMILIES: Final = tuple(dict.fromkeys(code[:FAMILY_LENGTH] for code in RULES))


class ConfigurationError(EpiseekError, ValueError):
    """An option, a configuration file or a code that cannot be meant."""


def matching_codes(text: str) -> frozenset[str]:
    """The codes that a whole code, a family or the start of a code means; empty when it means nothing."""
    if text in RULES:
        return frozenset({text})
    if len(text) < FAMILY_LENGTH:
        return frozenset()
    return frozenset(code for code in RULES if code.startswith(text))


def validate_codes(texts: Iterable[str], where: str) -> None:
    """Check that each text means a rule or several.

    Raises:
        ConfigurationError: Some do not; all of those are named.
    """
    unknown = [text for text in texts if not matching_codes(text)]
    if unknown:
        found = ", ".join(f"{text!r}{suggested_code(text)}" for text in unknown)
        raise ConfigurationError(where, found, "codes such as VID024, or the start of some such as VID")


def validate_ignored(texts: Collection[str], where: str) -> None:
    """Check that each text means rules that may be left out.

    Raises:
        ConfigurationError: One means nothing, or something that always counts.
    """
    validate_codes(texts, where)
    for text in texts:
        held = matching_codes(text) & ALWAYS_COUNTED
        if held:
            raise ConfigurationError(where, repr(text), f"other rules: {WHY_ALWAYS_COUNTED}")


def validate_severity(code: str, severity: object, where: str) -> None:
    """Check that a rule may have this severity.

    Raises:
        ConfigurationError: It is no whole code, no severity, or it would make a warning of what always counts.
    """
    if code not in RULES:
        raise ConfigurationError(
            where, f"{code!r}{suggested_code(code, whole=True)}", "the whole code of one rule, such as VID024"
        )
    if severity not in SEVERITIES:
        raise ConfigurationError(where, as_json(severity), f"one of {', '.join(SEVERITIES)}")
    if code in ALWAYS_COUNTED and severity != RULES[code].severity:
        raise ConfigurationError(where, as_json(severity), f"{RULES[code].severity}: {WHY_ALWAYS_COUNTED}")


def suggested_code(text: str, *, whole: bool = False) -> str:
    """` (did you mean VID024?)`, or nothing when nothing is like it; with `whole`, never a family or the start of a code."""
    upper = text.upper()
    meant = matching_codes(upper)
    if meant and (not whole or upper in RULES):
        return did_you_mean(upper, [upper])
    if meant:
        return ""  # none of them more than another
    same_family = matching_codes(upper[:FAMILY_LENGTH])
    return did_you_mean(upper, sorted(same_family) or [*RULES, *(() if whole else FAMILIES)])


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """` (did you mean ...?)` with what is most like the text, or nothing when nothing is."""
    likely = get_close_matches(text, list(known), n=1)
    return f" (did you mean {likely[0]}?)" if likely else ""


def codes_of(texts: Iterable[str]) -> frozenset[str]:
    """The codes that any of the texts means."""
    return frozenset().union(*(matching_codes(text) for text in texts))

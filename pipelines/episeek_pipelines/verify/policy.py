"""Which findings count: what a person selects, ignores, and takes more or less seriously.

A rule is named by its whole code, or together with others by a family (`VID`) or the start of a code (`VID02`). A whole
code means that rule alone: `VID024` is not `VID024W`. A name that means no rule is an error, never silence.

VER000 and VER001 say that something was not looked at. Nothing follows from a verification with holes, so both always
count: they can be neither ignored nor made warnings, and a selection includes them.

Globs of paths are matched against the whole of a finding's file, its path below the dataset root:

- `*` is any run of characters of one segment, also none, and also in a name that starts with a dot; `?` is one character;
- `[abc]`, `[a-c]` and `[!abc]` are one character; `[*]`, `[?]` and `[[]` are those characters themselves;
- `**`, a segment of its own, is any number of folders, also none; at the end it is everything below;
- upper and lower case differ, and no wildcard stands for a slash.

A finding that names no file is matched by none of them.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import translate
from functools import lru_cache
from typing import Final, Literal, get_args

from episeek.errors import EpiseekError
from episeek_pipelines.verify.findings import Finding, finding_count
from episeek_pipelines.verify.rules import CRASHED, HOLES, RULES, Severity
from episeek_pipelines.verify.tasks import VerificationReport

FailOn = Literal["error", "warning", "never"]
"""The least that makes a verification fail."""

FAIL_ON: Final[tuple[FailOn, ...]] = get_args(FailOn)
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

ALWAYS_COUNTED: Final = HOLES
"""Codes that no policy and no baseline leaves out."""

WHY_ALWAYS_COUNTED: Final = f"{' and '.join(sorted(ALWAYS_COUNTED))} always count, an unread file proves nothing"

FAMILY_LENGTH: Final = 3
FAMILIES: Final = tuple(dict.fromkeys(code[:FAMILY_LENGTH] for code in RULES))
_VERIFICATION_FAMILY: Final = CRASHED.code[:FAMILY_LENGTH]

_MAX_SHOWN: Final = 60


class ConfigurationError(EpiseekError, ValueError):
    """An option, a configuration file or a code that cannot be meant."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What counts. What is ignored is left out, whether it is selected or not.

    Raises:
        ConfigurationError: A code or a glob means nothing, there is no such severity, or what always counts would not.
    """

    select: tuple[str, ...] = ()
    """Codes and families; empty for all."""
    ignore: tuple[str, ...] = ()
    severity: Mapping[str, Severity] | tuple[tuple[str, Severity], ...] = ()
    """By whole code; kept as sorted pairs."""
    per_path_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(glob, codes and families): the module says what globs mean."""
    fail_on: FailOn = "error"

    def __post_init__(self) -> None:
        severity = dict(self.severity)
        ignores = tuple((pattern, tuple(codes)) for pattern, codes in self.per_path_ignores)
        object.__setattr__(self, "select", tuple(self.select))
        object.__setattr__(self, "ignore", tuple(self.ignore))
        object.__setattr__(self, "severity", tuple(sorted(severity.items())))
        object.__setattr__(self, "per_path_ignores", ignores)
        validate_codes(self.select, "select")
        validate_ignored(self.ignore, "ignore")
        for code, value in severity.items():
            validate_severity(code, value, f"severity, {code}")
        for pattern, codes in ignores:
            validate_pattern(pattern, "per-path-ignores")
            validate_ignored(codes, f"per-path-ignores, {pattern}")
        if self.fail_on not in FAIL_ON:
            raise ConfigurationError("fail-on", repr(self.fail_on), f"one of {', '.join(FAIL_ON)}")


def apply_policy(report: VerificationReport, policy: Policy) -> VerificationReport:
    """The findings that count, with the severities asked for, sorted; `ignored_count` has what was left out added."""
    left_out = RULES.keys() - _selected(policy.select) | _codes_of(policy.ignore)
    by_path = [(pattern, _codes_of(codes)) for pattern, codes in policy.per_path_ignores]
    severity: dict[str, Severity] = dict(policy.severity)

    def counts(found: Finding) -> bool:
        if found.code in left_out:
            return False
        file = found.location.file
        return file is None or not any(found.code in codes and matches(file, pattern) for pattern, codes in by_path)

    kept = [found for found in report.findings if counts(found)]
    return replace(
        report,
        findings=tuple(sorted(replace(f, severity=severity.get(f.code, f.severity)) for f in kept)),
        ignored_count=report.ignored_count + finding_count(report.findings) - finding_count(kept),
    )


def fails(report: VerificationReport, policy: Policy) -> bool:
    """Whether a report that the policy was applied to is a failure."""
    if policy.fail_on == "never":
        return False
    return report.error_count > 0 or (policy.fail_on == "warning" and report.warning_count > 0)


# --- codes -----------------------------------------------------------------------------------------------------------------------


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
        raise ConfigurationError(where, shown(severity), f"one of {', '.join(SEVERITIES)}")
    if code in ALWAYS_COUNTED and severity != RULES[code].severity:
        raise ConfigurationError(where, shown(severity), f"{RULES[code].severity}: {WHY_ALWAYS_COUNTED}")


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


def shown(value: object) -> str:
    """A value of a TOML or JSON file much as it is written there, cut."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):  # an integer of more digits than Python writes
        text = type(value).__name__
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _codes_of(texts: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(matching_codes(text) for text in texts))


def _selected(select: tuple[str, ...]) -> frozenset[str]:
    return _codes_of((*select, _VERIFICATION_FAMILY)) if select else frozenset(RULES)


# --- globs -----------------------------------------------------------------------------------------------------------------------


def validate_pattern(pattern: str, where: str) -> None:
    """Check that a glob can match the path of a file.

    Raises:
        ConfigurationError: It cannot, or has `**` within a segment.
    """
    segments = pattern.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise ConfigurationError(where, repr(pattern), "a glob of paths below the dataset root, such as videos/**")
    if any("**" in segment and segment != "**" for segment in segments):
        raise ConfigurationError(where, repr(pattern), "** as a segment of its own, such as data/**/*.parquet")


@lru_cache(maxsize=1 << 16)
def matches(path: str, pattern: str) -> bool:
    """Whether a path, relative and POSIX, matches a glob; the module says what globs mean."""
    segments = _compiled(pattern)
    reached = _without_folders({0}, segments)  # how many segments of the glob the path up to here can use up
    for name in path.split("/"):
        after = set()
        for position in reached:
            if position < len(segments):
                segment = segments[position]
                if segment is None:
                    after.add(position)
                elif segment.match(name):
                    after.add(position + 1)
        reached = _without_folders(after, segments)
    return len(segments) in reached


def _without_folders(reached: set[int], segments: tuple[re.Pattern[str] | None, ...]) -> set[int]:
    """With the positions behind each `**`, which may be no folder at all."""
    for position, segment in enumerate(segments):
        if position in reached and segment is None:
            reached.add(position + 1)
    return reached


@lru_cache(maxsize=1 << 10)
def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """A regular expression for each segment, None for `**`."""
    segments = pattern.split("/")
    if segments[-1] == "**":
        segments.append("*")  # what is below, not the folder itself
    return tuple(None if segment == "**" else re.compile(translate(segment)) for segment in segments)

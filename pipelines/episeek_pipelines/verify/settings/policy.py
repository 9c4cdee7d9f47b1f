"""Which findings count: what a person selects, ignores, and takes more or less seriously.

Rules are named as in `rule_codes`, files by the globs of `path_globs`; a finding that names no file is matched by none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from episeek_pipelines.verify.findings.checks import VerificationReport
from episeek_pipelines.verify.findings.findings import Finding, finding_count
from episeek_pipelines.verify.rules import CRASHED, FAIL_ON, RULES, FailOn, Severity
from episeek_pipelines.verify.settings.path_globs import matches, validate_pattern
from episeek_pipelines.verify.settings.rule_codes import (
    FAMILY_LENGTH,
    ConfigurationError,
    codes_of,
    validate_codes,
    validate_ignored,
    validate_severity,
)

_VERIFICATION_FAMILY: Final = CRASHED.code[:FAMILY_LENGTH]


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
    left_out = RULES.keys() - _selected(policy.select) | codes_of(policy.ignore)
    by_path = [(pattern, codes_of(codes)) for pattern, codes in policy.per_path_ignores]
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


def _selected(select: tuple[str, ...]) -> frozenset[str]:
    return codes_of((*select, _VERIFICATION_FAMILY)) if select else frozenset(RULES)

"""The policy of a verification: which rules are selected or ignored, and which severity they have.

Rules are given as the texts that `rule_codes` describes, and files as the globs of `path_globs`. A finding without a file matches
no glob.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Final

from episeek_pipelines.verify.findings.coverage import Coverage, Unchecked
from episeek_pipelines.verify.findings.findings import Finding, finding_count
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.rules import CRASHED, FAIL_ON, RULES, FailOn, Severity
from episeek_pipelines.verify.settings.configuration_keys import CONFIGURATION_FILE
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
    """The rules whose findings count, and the severities of these findings.

    An ignored rule does not count, even if it is selected.

    Raises:
        ConfigurationError: A code, glob or severity is invalid, or the policy ignores VER000 or VER001, which always count.
    """

    select: tuple[str, ...] = ()
    """Codes and families (such as `VID`) of the selected rules; an empty tuple selects all rules."""
    ignore: tuple[str, ...] = ()
    """Codes and families of the ignored rules."""
    severity: Mapping[str, Severity] | tuple[tuple[str, Severity], ...] = ()
    """Severities that replace the severity of a rule, by the whole code of the rule; stored as sorted pairs."""
    per_path_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Pairs of a glob, and the codes and families that are ignored in files that match the glob."""
    fail_on: FailOn = "error"
    """The least severity that makes a verification fail."""

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
    """Return a report with only the findings that count, and with the severities that the policy sets.

    The number of all other findings is added to `ignored_count`. A rule that the policy ignores in every file is listed in the
    coverage as not applied.
    """
    ignored = RULES.keys() - _selected(policy.select) | codes_of(policy.ignore)
    by_path = [(pattern, codes_of(codes)) for pattern, codes in policy.per_path_ignores]
    severity: dict[str, Severity] = dict(policy.severity)

    def counts(found: Finding) -> bool:
        if found.code in ignored:
            return False
        file = found.location.file
        return file is None or not any(found.code in codes and matches(file, pattern) for pattern, codes in by_path)

    kept = [found for found in report.findings if counts(found)]
    return replace(
        report,
        findings=tuple(sorted(replace(f, severity=severity.get(f.code, f.severity)) for f in kept)),
        ignored_count=report.ignored_count + finding_count(report.findings) - finding_count(kept),
        notes=tuple(note for note in report.notes if note.code not in ignored),
        coverage=_without(report.coverage, ignored, policy),
    )


def fails(report: VerificationReport, policy: Policy) -> bool:
    """Return whether the verification fails. The policy must already have been applied to the report."""
    if policy.fail_on == "never":
        return False
    return report.error_count > 0 or (policy.fail_on == "warning" and report.warning_count > 0)


def failing(report: VerificationReport, policy: Policy) -> tuple[Finding, ...]:
    """Return the errors of a report, and also the warnings if they let the verification fail."""
    return tuple(each for each in report.findings if each.severity == "error" or policy.fail_on == "warning")


def _without(coverage: Coverage, ignored: Set[str], policy: Policy) -> Coverage:
    """Return a coverage that also lists the ignored rules, unless `coverage` already lists them as not applied."""
    codes = sorted(ignored - coverage.rules_not_applied)
    if not codes or not coverage.checked:
        return coverage
    subject = f"rule {codes[0]}" if len(codes) == 1 else f"{len(codes)} rules"
    settings = (("select", policy.select), ("ignore", policy.ignore))
    used = " and ".join(f"{name} (--{name} or {CONFIGURATION_FILE})" for name, value in settings if value)
    part = Unchecked(subject, f"left out by {used}", rules=tuple(codes))
    return replace(coverage, not_checked=(*coverage.not_checked, part))


def _selected(select: tuple[str, ...]) -> frozenset[str]:
    return codes_of((*select, _VERIFICATION_FAMILY)) if select else frozenset(RULES)

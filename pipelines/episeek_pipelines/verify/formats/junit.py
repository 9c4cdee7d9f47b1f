"""Write a report as JUnit XML, with one test case for each rule of the level.

The name of a case says which problem the rule found, or, without findings, what the rule requires. JUnit has no warnings, so a rule
with only warnings is a case that passes, and its output lists them. A rule that was not applied is a skipped case, with the reason.
A rule that the configuration leaves out is a case that passes. The output of the suite lists the checked and unchecked parts of the
dataset.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from typing import Final

from episeek_pipelines.verify.findings.findings import Finding, finding_count
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.formats.grouping import Group, and_more, grouped
from episeek_pipelines.verify.formats.text import format_counts, format_remarks
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.verify.rules import COMPARISONS, RULES, includes

SUITE: Final = "episeek verify"
MAX_PLACES: Final = 100
"""Largest number of findings that are listed for a rule and remedy, since readers of JUnit keep the whole file in memory."""
_MAX_LENGTH: Final = 2000
_COUNTS: Final = ("tests", "failures", "errors", "skipped")


def format_junit(report: VerificationReport) -> str:
    """Return a JUnit document with one suite and a case for each rule. It has no times: the same report gives the same text."""
    return junit_document([(SUITE, report)])


def junit_document(suites: Sequence[tuple[str, VerificationReport]]) -> str:
    """Return a JUnit document with one suite for each report.

    Args:
        suites: The name of each suite, and its report.
    """
    made = [_suite(name, report) for name, report in suites]
    counts = {key: str(sum(int(suite.attrib[key]) for suite in made)) for key in _COUNTS}
    root = ElementTree.Element("testsuites", {"name": SUITE, **counts})
    root.extend(made)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _suite(name: str, report: VerificationReport) -> ElementTree.Element:
    groups: dict[str, list[Group]] = {}
    for group in grouped(report.findings, max_findings=0):
        groups.setdefault(group.rule.code, []).append(group)
    codes = [code for code in sorted(RULES) if code in groups or _is_of_level(code, report)]
    failures = sum(any(group.severity == "error" for group in members) for members in groups.values())
    reasons = {code: part.reason for part in report.coverage.not_checked for code in part.rules}
    skipped = [code for code in codes if code in reasons and code not in groups]
    counts = dict(zip(_COUNTS, map(str, (len(codes), failures, 0, len(skipped))), strict=True))
    suite = ElementTree.Element("testsuite", {"name": name, **counts})
    _properties(suite, report)
    for code in codes:
        case = ElementTree.SubElement(suite, "testcase", {"classname": name, "name": f"{code} {_title(code, groups)}"})
        # The schema of JUnit requires a failure before the output.
        for group in sorted(groups.get(code, ()), key=lambda group: group.severity):
            _add(case, group)
        if code in skipped:
            ElementTree.SubElement(case, "skipped", {"message": reasons[code]})
    lines = [visible(format_counts(report)), format_remarks(report)]
    ElementTree.SubElement(suite, "system-out").text = "\n".join(line for line in lines if line)
    return suite


def _is_of_level(code: str, report: VerificationReport) -> bool:
    if code in COMPARISONS and report.against is None:
        return False
    return includes(report.level, RULES[code].level)


def _properties(suite: ElementTree.Element, report: VerificationReport) -> None:
    properties = ElementTree.SubElement(suite, "properties")
    values = {
        "root": report.root,
        "revision": report.revision,
        "level": report.level,
        "level_reason": report.level_reason,
        "against": report.against,
        "notes": "; ".join(f"{note.code}: {note}" for note in report.notes),
        "checked": "; ".join(report.coverage.checked),
    }
    for name, value in values.items():
        if value:
            ElementTree.SubElement(properties, "property", {"name": name, "value": visible(value)})


def _add(case: ElementTree.Element, group: Group) -> None:
    lines = [_line(found) for found in group.findings[:MAX_PLACES]]
    hidden = group.count - finding_count(group.findings[:MAX_PLACES])
    if hidden:
        lines.append(f"... and {hidden} more")
    lines.append(f"remedy: {group.remedy}")
    if group.severity == "error":
        message = (
            _line(group.findings[0]) if group.count == 1 else f"{group.count} errors, first: {_line(group.findings[0])}"
        )
        ElementTree.SubElement(case, "failure", {"type": group.rule.code, "message": message}).text = "\n".join(lines)
    else:
        ElementTree.SubElement(case, "system-out").text = "\n".join([f"warning: {group.count} found", *lines])


def _title(code: str, groups: Mapping[str, list[Group]]) -> str:
    return RULES[code].problem if code in groups else RULES[code].invariant


def _line(found: Finding) -> str:
    return visible(f"{found.location}: {found.message}", max_length=_MAX_LENGTH) + and_more(found)

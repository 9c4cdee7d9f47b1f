"""A report as JUnit XML: a test case for each rule that was looked at.

JUnit knows no warnings: they are the output of a test case that passed. A rule that the configuration leaves out, or
that found nothing to look at, such as one about sidecars where there are none, is a case that passed, too: the report
does not tell them apart.
"""

import xml.etree.ElementTree as ElementTree
from typing import Final

from episeek_pipelines.verify.findings.checks import VerificationReport
from episeek_pipelines.verify.findings.findings import Finding, finding_count
from episeek_pipelines.verify.formats.grouping import Group, and_more, grouped
from episeek_pipelines.verify.formats.text import format_counts
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.verify.rules import COMPARISONS, RULES, includes

SUITE: Final = "episeek verify"
MAX_PLACES: Final = 100
"""Of one rule; what reads JUnit keeps it all in memory."""
_MAX_LENGTH: Final = 2000


def format_junit(report: VerificationReport) -> str:
    """One suite, one case a rule, no times: the same report gives the same text."""
    groups: dict[str, list[Group]] = {}
    for group in grouped(report.findings, max_findings=0):
        groups.setdefault(group.rule.code, []).append(group)
    codes = [code for code in sorted(RULES) if code in groups or _is_looked_at(code, report)]
    failures = sum(any(group.severity == "error" for group in members) for members in groups.values())
    counts = {"tests": str(len(codes)), "failures": str(failures), "errors": "0", "skipped": "0"}
    root = ElementTree.Element("testsuites", {"name": SUITE, **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": SUITE, **counts})
    _properties(suite, report)
    for code in codes:
        case = ElementTree.SubElement(suite, "testcase", {"classname": SUITE, "name": f"{code} {RULES[code].name}"})
        for group in sorted(groups.get(code, ()), key=lambda group: group.severity):  # a failure precedes the output
            _add(case, group)
    ElementTree.SubElement(suite, "system-out").text = visible(format_counts(report))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _is_looked_at(code: str, report: VerificationReport) -> bool:
    if code in COMPARISONS and report.against is None:
        return False
    return includes(report.level, RULES[code].level)


def _properties(suite: ElementTree.Element, report: VerificationReport) -> None:
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("root", report.root), ("level", report.level), ("against", report.against)):
        if value is not None:
            ElementTree.SubElement(properties, "property", {"name": name, "value": visible(value)})


def _add(case: ElementTree.Element, group: Group) -> None:
    lines = [_line(found) for found in group.findings[:MAX_PLACES]]
    hidden = group.count - finding_count(group.findings[:MAX_PLACES])
    if hidden:
        lines.append(f"... and {hidden} more")
    lines.append(f"remedy: {group.rule.remedy}")
    if group.severity == "error":
        message = (
            _line(group.findings[0]) if group.count == 1 else f"{group.count} errors, first: {_line(group.findings[0])}"
        )
        ElementTree.SubElement(case, "failure", {"type": group.rule.code, "message": message}).text = "\n".join(lines)
    else:
        ElementTree.SubElement(case, "system-out").text = "\n".join([f"warning: {group.count} found", *lines])


def _line(found: Finding) -> str:
    return visible(f"{found.location}: {found.message}", max_length=_MAX_LENGTH) + and_more(found)

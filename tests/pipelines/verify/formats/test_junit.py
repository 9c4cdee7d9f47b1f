import io
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from junitparser import Failure, JUnitXml, TestCase, TestSuite

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import LEVELS, RULES, Finding, Level, Location, VerificationReport, verify
from episeek_pipelines.verify.findings.coverage import Coverage, Note, Unchecked
from episeek_pipelines.verify.findings.findings import finding
from episeek_pipelines.verify.formats.junit import MAX_PLACES, format_junit
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.verify.rules import INFO, MISSING_FILE, NOT_FASTSTART, ROW_NUMBERS, ROWS_CHANGED, includes
from tests.pipelines.verify.formats.report_strategies import SNIPPETS, report_of, reports
from tests.support.amount import examples
from tests.support.broken_datasets import TOP, copy_of, video


def suite_of(report: VerificationReport) -> TestSuite:
    """Return the suite as junitparser reads it, after comparing its declared counts with its cases."""
    document = JUnitXml.fromstring(format_junit(report).encode())
    [suite] = list(document)
    declared = (suite.tests, suite.failures, suite.errors, suite.skipped)
    suite.update_statistics()
    assert declared == (suite.tests, suite.failures, suite.errors, suite.skipped)
    assert (document.tests, document.failures) == declared[:2]
    return suite


def cases_of(suite: TestSuite) -> dict[str, TestCase]:
    cases = {str(case.name).split(" ")[0]: case for case in suite}
    assert len(cases) == suite.tests
    return cases


def failure_of(case: TestCase) -> Failure:
    [failure] = case.result
    assert isinstance(failure, Failure)
    return failure


@pytest.mark.parametrize("level", LEVELS)
def test_a_case_for_each_rule_that_is_looked_at(level: Level):
    report = replace(report_of(against="/source"), level=level)
    cases = cases_of(suite_of(report))
    assert set(cases) == {code for code, rule in RULES.items() if includes(level, rule.level)}
    assert all(case.is_passed for case in cases.values())
    assert cases["INF001"].name == f"INF001 {INFO.invariant}"


def test_a_rule_that_was_not_applied_is_skipped_with_the_reason():
    coverage = Coverage(("metadata",), (Unchecked("sidecars", "the dataset has none", rules=("IDX031", "INF004")),))
    found = finding(MISSING_FILE, "gone", "")
    suite = suite_of(replace(report_of(found), coverage=coverage, notes=(Note("VID022W", 2),)))
    assert suite.skipped == 1
    [skipped] = cases_of(suite)["IDX031"].result
    assert skipped.message == "the dataset has none"
    failure_of(cases_of(suite)["INF004"])
    properties = {p.name: p.value for p in suite.properties()}
    assert "not_checked" not in properties
    output = suite._elem.findtext("system-out") or ""
    assert output.splitlines()[-2:] == ["not checked:", "  sidecars: the dataset has none"]
    assert properties["notes"].startswith("VID022W: The moov box comes after the media data in 2 videos")


def test_more_cases_at_a_higher_level_and_with_a_source():
    counts = [len(cases_of(suite_of(replace(report_of(), level=level)))) for level in LEVELS]
    assert counts == sorted(set(counts))
    assert ROWS_CHANGED.code not in cases_of(suite_of(report_of()))
    assert ROWS_CHANGED.code in cases_of(suite_of(report_of(against="/source")))
    assert ROWS_CHANGED.code in cases_of(suite_of(report_of(finding(ROWS_CHANGED, "x", ""))))


def test_errors_are_failures_and_warnings_are_output():
    errors = [finding(ROW_NUMBERS, "index 4", "5", Location("d", 1, row=row), more=row) for row in (0, 1)]
    suite = suite_of(
        report_of(*errors, finding(MISSING_FILE, "gone", "", Location("a<b")), finding(NOT_FASTSTART, "late", ""))
    )
    cases = cases_of(suite)
    assert suite.failures == 2
    assert failure_of(cases["INF004"]).message == "a<b: gone"
    failure = failure_of(cases["ROW016"])
    assert failure.type == "ROW016"
    assert failure.message == "3 errors, first: d, episode 1, row 0: index 4; expected 5"
    assert str(failure.text).splitlines() == [
        "d, episode 1, row 0: index 4; expected 5",
        "d, episode 1, row 1: index 4; expected 5 (and 1 more)",
        f"remedy: {ROW_NUMBERS.remedy}",
    ]
    assert cases["VID022W"].is_passed
    assert str(cases["VID022W"].system_out).splitlines()[:2] == ["warning: 1 found", "dataset: late"]
    assert {p.name: p.value for p in suite.properties()} == {"root": "/somewhere", "level": "rows"}


def test_a_rule_with_errors_and_warnings_has_both():
    case = cases_of(
        suite_of(report_of(finding(MISSING_FILE, "a", ""), Finding("INF004", "warning", "b", "", Location())))
    )["INF004"]
    assert failure_of(case).message == "dataset: a"
    assert "dataset: b" in case.system_out


def test_places_of_a_rule_are_capped():
    found = [finding(MISSING_FILE, "gone", "", Location(f"v{n:04d}.mp4"), more=1) for n in range(MAX_PLACES + 50)]
    lines = str(failure_of(cases_of(suite_of(report_of(*found)))["INF004"]).text).splitlines()
    assert len(lines) == MAX_PLACES + 2
    assert lines[-2] == "... and 100 more"


@pytest.mark.parametrize("text", [*SNIPPETS, "".join(SNIPPETS), "x" * 100_000])
def test_any_text_survives(text: str):
    report = report_of(finding(MISSING_FILE, text, "", Location(f"f{text}")), root=text)
    failure = failure_of(cases_of(suite_of(report))["INF004"])
    expected = visible(f"f{text}: {text}", max_length=2000)
    assert failure.message == expected
    assert str(failure.text).splitlines()[0] == expected


@settings(deadline=None, max_examples=examples(50))
@given(report=reports)
def test_any_report_is_well_formed(report: VerificationReport):
    text = format_junit(report)
    root = ElementTree.parse(io.BytesIO(text.encode())).getroot()
    tags = {element.tag for element in root.iter()}
    assert tags <= {"testsuites", "testsuite", "testcase", "properties", "property", "failure", "system-out"}
    suite = suite_of(report)
    assert suite.failures == len({found.code for found in report.findings if found.severity == "error"})


def test_a_broken_dataset_fails_one_case(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    (root / video(TOP, 1)).unlink()
    cases = cases_of(suite_of(verify(Root(str(root)))))
    assert [code for code, case in cases.items() if any(isinstance(part, Failure) for part in case.result)] == [
        "INF004"
    ]

"""Reports of several datasets as one document; that of one dataset stays as it is."""

import json
from importlib import resources
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from episeek_pipelines.verify.findings.findings import Finding, Location
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.formats import FORMATS, Format, render, render_all
from episeek_pipelines.verify.formats.several import MARKDOWN_BYTES

HOSTILE = "<b>|`x`"


def report(root: str, *findings: Finding) -> VerificationReport:
    return VerificationReport(root, tuple(sorted(findings)), 3, 1, 2, 4, 500, 0.0)


def found(code: str, severity: str, file: str, number: int = 0) -> Finding:
    return Finding(code, severity, f"row {number}", "", Location(file, row=number))  # type: ignore[arg-type]


CLEAN = report("a/clean")
ROWS = report("b/rows", *(found("ROW016", "error", "data/x.parquet", number) for number in range(30)))
WARNED = report(f"c/{HOSTILE}", found("VID022W", "warning", "videos/y.mp4"), found("ROW016", "error", "data/x.parquet"))
ALL = (CLEAN, ROWS, WARNED)


@pytest.mark.parametrize("format", FORMATS)
def test_one_dataset_is_as_it_is_alone(format: Format):
    assert render_all([ROWS], format) == render(ROWS, format)


def test_text_has_each_report_and_a_total():
    text = render_all(ALL, "text", max_findings=2)
    for each in ALL[:2]:
        assert render(each, "text", max_findings=2) in text
    assert text.splitlines()[-1] == "3 datasets, 2 of them with errors: 31 errors, 1 warning"


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resources.files("episeek_schemas").joinpath(name).read_text("utf-8"))
    return found


def test_json_has_each_document_unchanged():
    document = json.loads(render_all(ALL, "json"))
    one = Resource.from_contents(schema("verification.schema.json"))
    Draft202012Validator(schema("verifications.schema.json"), registry=one @ Registry()).validate(document)
    assert document["datasets"] == [json.loads(render(each, "json")) for each in ALL]
    summary = document["summary"]
    assert (summary["datasets"], summary["failed"], summary["errors"], summary["warnings"]) == (3, 2, 31, 1)
    assert summary["by_code"] == {"ROW016": 31, "VID022W": 1}


def test_junit_has_a_suite_for_each():
    root = ElementTree.fromstring(render_all(ALL, "junit"))
    suites = root.findall("testsuite")
    assert [suite.attrib["name"].split()[-1] for suite in suites] == ["a/clean", "b/rows", f"c/{HOSTILE}"]
    for key in ("tests", "failures", "skipped"):
        assert int(root.attrib[key]) == sum(int(suite.attrib[key]) for suite in suites)
    alone = ElementTree.fromstring(render(ROWS, "junit"))[0]
    assert {k: v for k, v in alone.attrib.items() if k != "name"} == {
        k: v for k, v in suites[1].attrib.items() if k != "name"
    }


def test_sarif_is_one_run_whose_files_have_their_dataset():
    (run,) = json.loads(render_all(ALL, "sarif"))["runs"]
    assert len(run["invocations"]) == 3
    places = [each["locations"][0]["physicalLocation"]["artifactLocation"] for each in run["results"]]
    assert {place["uriBaseId"] for place in places} == {"DATASET2", "DATASET3"}
    assert all(run["originalUriBaseIds"][place["uriBaseId"]]["uri"].startswith("file://") for place in places)
    # the same place in two datasets is two alerts
    lines = [each["partialFingerprints"]["primaryLocationLineHash"] for each in run["results"]]
    assert len(set(lines)) == len(lines) == 32
    assert [each["level"] for each in run["results"]] == ["error"] * 31 + ["warning"]


def test_github_shows_a_rule_of_each_dataset_first():
    lines = render_all(ALL, "github", max_findings=3).splitlines()
    errors = [line for line in lines if line.startswith("::error")]
    assert len(errors) == 3
    assert "file=b/rows/data/x.parquet" in errors[0]
    assert "file=c/" in errors[1]
    assert len([line for line in lines if line.startswith("::notice")]) == 3
    assert "28 of all findings are not annotated" in lines[-1]


def test_markdown_has_a_table_and_keeps_to_its_room():
    text = render_all(ALL, "markdown")
    assert text.startswith("## episeek verify failed: 3 datasets, 2 of them with errors")
    assert text.count("\n### episeek verify failed") == 2
    assert HOSTILE not in text
    long = found("ROW016", "error", "x" * 1500)
    many = [report(f"d{number}", *[long] * 20) for number in range(600)]
    assert len(render_all(many, "markdown").encode()) < MARKDOWN_BYTES + 1


def test_the_page_has_all_datasets_and_escapes_them():
    page = render_all(ALL, "html")
    assert "2 of 3 datasets with errors" in page
    assert "b/rows/data/x.parquet" in page
    assert HOSTILE not in page
    assert render_all(ALL, "html") == page

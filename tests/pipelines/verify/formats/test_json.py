import copy
import json
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import RULES, Location, VerificationReport, format_json, verify
from episeek_pipelines.verify.findings.coverage import Coverage, Note, Unchecked
from episeek_pipelines.verify.findings.findings import finding
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.rules import MISSING_FILE, NOT_FASTSTART
from tests.pipelines.verify.formats.report_strategies import report_of, reports
from tests.support.amount import examples
from tests.support.broken_datasets import TOP, copy_of, data, set_value, video
from tests.support.build_index import DATA

SCHEMA = json.loads(resources.files("episeek_schemas").joinpath("verification.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def document_of(report: VerificationReport) -> Any:
    return json.loads(format_json(report), parse_constant=pytest.fail)


def test_the_schema_is_one_and_describes_every_key():
    Draft202012Validator.check_schema(SCHEMA)
    objects = [
        SCHEMA,
        SCHEMA["properties"]["tool"],
        *(SCHEMA["$defs"][name] for name in ("finding", "note", "unchecked", "location", "summary")),
    ]
    for schema in objects:
        assert schema["additionalProperties"] is False
        for key, value in schema["properties"].items():
            referred = SCHEMA["$defs"].get(value.get("$ref", "").rpartition("/")[2], {})
            assert value.get("description") or referred.get("description") or key == "schema_version", key


@pytest.mark.parametrize("name", ["av1_multifile", "hevc", "h264_bframes", "images"])
def test_reports_of_real_datasets_are_as_the_schema_says(name: str):
    document = document_of(verify(Root(str(DATA / name))))
    VALIDATOR.validate(document)
    assert document["summary"]["episodes"] > 0
    assert document["checked"][:2] == ["metadata", "listing of files"]
    assert {code for part in document["not_checked"] for code in part["rules"]} <= set(RULES)


def test_reports_of_broken_datasets_are_as_the_schema_says(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    set_value(root, data(1), "index", 40, 4)
    set_value(root, data(0), "timestamp", 3, float("nan"))
    (root / video(TOP, 1)).unlink()
    document = document_of(verify(Root(str(root)), options=VerifyOptions(level="rows")))
    VALIDATOR.validate(document)
    assert {found["code"] for found in document["findings"]} >= {"INF004", "ROW016"}
    assert document["summary"]["timestamp_tolerance_seconds"] is None


def as_json_has_it(text: str) -> str:
    """Two escapes of one surrogate each, side by side, are one character: JSON has no other way to say either."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


@settings(deadline=None, max_examples=examples(50))
@given(report=reports)
def test_any_report_is_as_the_schema_says_and_keeps_every_word(report: VerificationReport):
    document = document_of(report)
    VALIDATOR.validate(document)
    assert document["summary"]["root"] == as_json_has_it(report.root)
    for entry, found in zip(document["findings"], report.findings, strict=True):
        place = {
            key: as_json_has_it(value) if isinstance(value, str) else value
            for key, value in found.location.as_dict().items()
        }
        assert (entry["code"], entry["severity"], entry["more"]) == (found.code, found.severity, found.more)
        assert (entry["message"], entry["location"]) == (as_json_has_it(found.message), place)
        assert entry["fingerprint"] == found.fingerprint


def test_a_name_that_is_no_utf_8_is_kept_and_can_be_written():
    text = format_json(report_of(finding(MISSING_FILE, "é", "", Location("a\udcff"))))
    assert '"a\\udcff"' in text
    assert "é" in text
    assert text.encode()
    assert json.loads(text)["findings"][0]["location"] == {"file": "a\udcff"}


def change(path: str, value: Any) -> Callable[[Any], None]:
    """Sets what `a.0.b` names."""

    def apply(document: Any) -> None:
        *parents, last = path.split(".")
        for key in parents:
            document = document[int(key) if isinstance(document, list) else key]
        document[last] = value

    return apply


WRONG = {
    "another version": change("schema_version", 2),
    "a version as text": change("schema_version", "1"),
    "an unknown key": change("extra", 1),
    "another tool": change("tool.name", "other"),
    "findings that are no list": change("findings", {}),
    "a note of no video": change("notes.0.videos", 0),
    "an unknown key in a note": change("notes.0.extra", 1),
    "a part without a reason": lambda document: document["not_checked"][0].pop("reason"),
    "no list of what was not checked": lambda document: document.pop("not_checked"),
    "no problem": lambda document: document["findings"][0].pop("problem"),
    "no code": lambda document: document["findings"][0].pop("code"),
    "no fingerprint": lambda document: document["findings"][0].pop("fingerprint"),
    "a code of another form": change("findings.0.code", "E1"),
    "another severity": change("findings.0.severity", "note"),
    "less than nothing more": change("findings.0.more", -1),
    "a row that is no number": change("findings.0.location.row", "3"),
    "an unknown part of a place": change("findings.0.location.line", 3),
    "a short fingerprint": change("findings.0.fingerprint", "abc"),
    "an unknown level": change("summary.level", "all"),
    "no level": lambda document: document["summary"].pop("level"),
    "half an error": change("summary.errors", 0.5),
    "a count of nothing": change("summary.by_code.INF004", 0),
    "a count of no code": change("summary.by_code.inf", 1),
    "a negative tolerance": change("summary.timestamp_tolerance_seconds", -1),
    "an unknown key in the summary": change("summary.extra", 1),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_schema_refuses(name: str):
    report = report_of(finding(MISSING_FILE, "gone", "", Location("a", row=1)), finding(NOT_FASTSTART, "x", ""))
    coverage = Coverage(("metadata",), (Unchecked("rows", "not read", rules=("ROW017",)),))
    document = document_of(replace(report, notes=(Note("VID026W", 2),), coverage=coverage))
    assert VALIDATOR.is_valid(document)
    wrong = copy.deepcopy(document)
    WRONG[name](wrong)
    assert wrong != document
    assert not VALIDATOR.is_valid(wrong)

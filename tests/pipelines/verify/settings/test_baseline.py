import json
import pickle
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek_pipelines.verify import LEVELS, RULES, Finding, Level, Location, VerificationReport
from episeek_pipelines.verify.settings.baseline import (
    Baseline,
    BaselineEntry,
    BaselineError,
    apply_baseline,
    baseline_of,
    parse_baseline,
    write_baseline,
)

PLACES = st.builds(
    Location,
    st.sampled_from([None, "data/a.parquet", "videos/ü\n|.mp4", "\udcff"]),
    st.sampled_from([None, 0, 7]),
    st.sampled_from([None, "top"]),
    st.sampled_from([None, 0, 3]),
    st.sampled_from([None, "index"]),
)
FINDINGS = st.builds(
    lambda code, place, message, more: Finding(code, RULES[code].severity, message, "", place, more),
    st.sampled_from(["ROW017", "VID024", "VID024W", "INF004", "VER001"]),
    PLACES,
    st.sampled_from("ab"),
    st.integers(0, 3),
)


def found(code: str, file: str | None = None, message: str = "x", *, more: int = 0) -> Finding:
    return Finding(code, RULES[code].severity, message, "", Location(file), more)


def report_of(*findings: Finding, level: Level = "layout", against: str | None = None) -> VerificationReport:
    return VerificationReport(
        "/somewhere", tuple(sorted(findings)), 2, 3, 4, 7, 1_500_000, 0.0, level=level, against=against
    )


def parsed(report: VerificationReport) -> Baseline:
    return parse_baseline(write_baseline(report), "b.json")


def total(report: VerificationReport) -> int:
    return report.error_count + report.warning_count


def test_the_text_has_one_finding_a_line_in_order():
    first, second = found("ROW017", "a", more=2), found("VID024W", "b")
    text = write_baseline(report_of(second, first, level="rows"))
    assert text == (
        '{\n"format": "episeek-baseline",\n"version": 1,\n"level": "rows",\n"findings": [\n'
        f'{{"fingerprint": "{first.fingerprint}", "code": "ROW017", "count": 3, "location": {{"file": "a"}}}},\n'
        f'{{"fingerprint": "{second.fingerprint}", "code": "VID024W", "count": 1, "location": {{"file": "b"}}}}\n'
        "]\n}\n"
    )
    third = found("ROW017", "b")
    added = write_baseline(report_of(second, third, first, level="rows"))
    assert set(text.splitlines()) < set(added.splitlines())
    assert len(added.splitlines()) == len(text.splitlines()) + 1
    assert json.loads(write_baseline(report_of()))["findings"] == []
    assert parse_baseline(write_baseline(report_of()), "b.json") == Baseline()


def test_findings_of_one_rule_and_place_are_counted_together():
    baseline = parsed(report_of(found("ROW017", "a", "x", more=1), found("ROW017", "a", "y"), found("ROW017", "b")))
    assert [(entry.location.file, entry.count) for entry in baseline.entries] == [("a", 3), ("b", 1)]


def test_accepted_findings_are_left_out_and_counted():
    report = report_of(found("ROW017", "a", more=2), found("VID039", "a"), found("VID024", "a"))
    baseline = parsed(report_of(found("ROW017", "a", "other words", more=2), found("VID039", "a")))
    applied, gone = apply_baseline(report, baseline)
    assert applied == replace(report, findings=(found("VID024", "a"),), accepted_count=4)
    assert gone == ()


def test_more_than_was_accepted_stays_and_says_so():
    baseline = parsed(report_of(found("ROW017", "a", more=2), found("VID024", "a")))
    applied, gone = apply_baseline(report_of(found("ROW017", "a", more=3), found("VID024", "a")), baseline)
    message = "x (4 such findings occur here, but the baseline accepts only 3)"
    assert [(f.message, f.more) for f in applied.findings] == [(message, 3)]
    assert (applied.accepted_count, gone) == (1, ())
    several = report_of(found("VID024", "a", "y"), found("VID024", "a", "y "))
    applied, _ = apply_baseline(several, baseline)
    assert [f.message for f in applied.findings] == [
        f"{word} (2 such findings occur here, but the baseline accepts only 1)" for word in ("y ", "y")
    ]


def test_what_no_longer_occurs_is_named():
    baseline = parsed(report_of(found("ROW017", "a", more=4), found("VID024", "a"), found("VID039", "a")))
    applied, gone = apply_baseline(report_of(found("ROW017", "a", more=1), found("VID039", "a")), baseline)
    assert [(entry.code, entry.count) for entry in gone] == [("ROW017", 3), ("VID024", 1)]
    assert (applied.findings, applied.accepted_count) == ((), 3)


def test_what_would_not_have_been_seen_is_not_called_gone():
    entries = [found("ROW021", "a"), found("TRN037"), found("ROW017", "a")]
    baseline = parsed(report_of(*entries, level="rows", against="/source"))

    def gone(report: VerificationReport) -> list[str]:
        return [entry.code for entry in apply_baseline(report, baseline)[1]]

    assert gone(report_of(level="layout", against="/source")) == []
    assert gone(report_of(level="rows")) == ["ROW017"]
    assert gone(report_of(level="decode", against="/source")) == ["ROW017", "ROW021"]
    assert gone(report_of(found("VER001", "b"), level="decode", against="/source")) == []


@pytest.mark.parametrize("code", ["VER000", "VER001"])
def test_what_was_not_looked_at_is_never_accepted(code: str):
    unread = found(code, "a")
    report = report_of(unread, found("VID024", "a"))
    assert [entry.code for entry in parsed(report).entries] == ["VID024"]
    by_hand = Baseline((BaselineEntry(unread.fingerprint, code, 1, unread.location),))
    assert apply_baseline(report, by_hand)[0].findings == report.findings
    line = {"fingerprint": unread.fingerprint, "code": code, "count": 1, "location": {"file": "a"}}
    with pytest.raises(BaselineError, match="an unread file proves nothing"):
        parse_baseline(text_of(line), "b.json")


def text_of(*lines: object, **changes: object) -> str:
    head: dict[str, Any] = {"format": "episeek-baseline", "version": 1, "level": "layout", "findings": list(lines)}
    return json.dumps({**head, **changes})


ENTRY = {"fingerprint": found("VID024", "a").fingerprint, "code": "VID024", "count": 1, "location": {"file": "a"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "b.json: found Expecting value"),
        ("[" * 100_000, "b.json: found .*recursion"),
        ("[]", "b.json: found another document; expected a JSON object"),
        ('{"findings": []}', "found another document"),
        (text_of(version=2), "b.json: found version 2; expected version 1"),
        (text_of(version=True), "found version true"),
        (text_of(level="deep"), 'b.json, level: found "deep"; expected one of meta'),
        (text_of(level=[]), r"b.json, level: found \[\]"),
        (text_of(findings={}), "b.json, findings: found {}; expected an array"),
        (text_of(3), "b.json, finding 0: found 3; expected an object"),
        (text_of(ENTRY, ENTRY), "b.json, finding 1: found a second entry for VID024 at a"),
        (text_of({**ENTRY, "code": 3}), "finding 0, code: found 3"),
        (text_of({**ENTRY, "count": 0}), "finding 0, count: found 0; expected a whole number, 1 or more"),
        (text_of({**ENTRY, "count": True}), "count: found true"),
        (text_of({**ENTRY, "count": 1.0}), "count: found 1.0"),
        (text_of({**ENTRY, "fingerprint": 3}), "fingerprint: found 3"),
        (text_of({**ENTRY, "fingerprint": "0" * 32}), "fingerprint: .*expected the fingerprint of VID024 at a"),
        (text_of({**ENTRY, "location": {"file": "b"}}), "fingerprint: .*expected the fingerprint of VID024 at b"),
        (text_of({**ENTRY, "code": "VID024W"}), "fingerprint: .*expected the fingerprint of VID024W at a"),
        (text_of({**ENTRY, "location": None}), "location: found null; expected an object"),
        (text_of({**ENTRY, "location": {"file": 3}}), "location, file: found 3; expected a text"),
        (text_of({**ENTRY, "location": {"row": True}}), "location, row: found true; expected a whole number"),
        (text_of({**ENTRY, "location": {"path": "a"}}), "location, path: found an unknown key; expected one of file"),
    ],
)  # fmt: skip
def test_what_is_no_baseline_is_refused(text: str, message: str):
    with pytest.raises(BaselineError, match=message) as caught:
        parse_baseline(text, "b.json")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert len(parse_baseline(text_of(ENTRY), "b.json").entries) == 1


def test_a_rule_that_went_away_is_called_gone():
    line = {"fingerprint": "0" * 32, "code": "VID999", "count": 1, "location": {}}
    baseline = parse_baseline(text_of(line), "b.json")
    assert [entry.code for entry in apply_baseline(report_of(), baseline)[1]] == ["VID999"]


@settings(deadline=None)
@given(st.lists(FINDINGS, max_size=8), st.sampled_from(LEVELS))
def test_a_baseline_accepts_the_report_it_was_written_from(findings: list[Finding], level: Level):
    report = report_of(*findings, level=level)
    text = write_baseline(report)
    text.encode()
    baseline = parse_baseline(text, "b.json")
    assert baseline == baseline_of(report)
    applied, gone = apply_baseline(report, baseline)
    assert {found.code for found in applied.findings} <= {"VER001"}
    assert gone == ()
    assert total(applied) + applied.accepted_count == total(report)
    assert parse_baseline(write_baseline(applied), "b.json").entries == ()


@settings(deadline=None)
@given(st.lists(FINDINGS, max_size=8), st.lists(FINDINGS, max_size=8))
def test_only_what_was_accepted_is_left_out(before: list[Finding], after: list[Finding]):
    report, baseline = report_of(*after), parsed(report_of(*before))
    applied, gone = apply_baseline(report, baseline)
    assert total(applied) + applied.accepted_count == total(report)
    assert list(applied.findings) == sorted(applied.findings)

    def count(findings: list[Finding], fingerprint: str) -> int:
        return sum(1 + f.more for f in findings if f.fingerprint == fingerprint)

    kept = {f.fingerprint for f in applied.findings}
    for one in after:
        accepted = 0 if one.code == "VER001" else count(before, one.fingerprint)
        assert (one.fingerprint in kept) == (count(after, one.fingerprint) > accepted)
    unread = any(f.code == "VER001" for f in after)
    expected = {
        f.fingerprint: count(before, f.fingerprint) - count(after, f.fingerprint)
        for f in before
        if f.code != "VER001" and not unread and count(before, f.fingerprint) > count(after, f.fingerprint)
    }
    assert {entry.fingerprint: entry.count for entry in gone} == expected


KEYS = st.sampled_from([*ENTRY, "file", "row", "format", "version", "level", "findings"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
)


@settings(deadline=None)
@given(DOCUMENTS)
def test_any_json_is_a_baseline_or_a_named_error(document: object):
    for text in (json.dumps(document), text_of(document), text_of({**ENTRY, "location": document})):
        with suppress(BaselineError):
            parse_baseline(text, "b.json")

import sys
from types import ModuleType
from typing import get_args

import pytest
from hypothesis import given, settings

from episeek_pipelines.verify import VerificationReport
from episeek_pipelines.verify.findings.findings import Location, finding
from episeek_pipelines.verify.formats import FORMATS, Format, parse_output, render
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.verify.rules import MISSING_FILE, ROW_NUMBERS
from tests.pipelines.verify.formats.report_strategies import anything, report_of, reports
from tests.support.amount import examples

WRITTEN_HERE = tuple(format for format in FORMATS if format != "html")  # its own tests are elsewhere


def test_the_list_of_formats_is_the_type():
    assert get_args(Format) == FORMATS
    assert len(set(FORMATS)) == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("report.txt", ("text", "report.txt")),
        ("report.json", ("json", "report.json")),
        ("report.xml", ("junit", "report.xml")),
        ("report.sarif", ("sarif", "report.sarif")),
        ("report.md", ("markdown", "report.md")),
        ("a/report.HTML", ("html", "a/report.HTML")),
        ("s3://b/x.json", ("json", "s3://b/x.json")),
        ("sarif:s3://b/x", ("sarif", "s3://b/x")),
        ("sarif:x.json", ("sarif", "x.json")),
        ("github:-", ("github", "-")),
        ("json:json:x", ("json", "json:x")),
        ("a:b.md", ("markdown", "a:b.md")),
        ("./text:x.json", ("json", "./text:x.json")),
        ("x.sarif.json", ("json", "x.sarif.json")),
    ],
)
def test_an_output_is_a_format_and_a_file(text: str, expected: tuple[str, str]):
    assert parse_output(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "report", "sarif:", "xml:report", "JSON:x", "report.pdf", ".json", "a/.json", "s3://b/x", "a.json/b", "x."],
)
def test_an_output_without_a_format_says_what_was_found_and_expected(text: str):
    with pytest.raises(ValueError, match="expected") as caught:
        parse_output(text)
    assert repr(text) in str(caught.value)


def test_an_unknown_format_is_named():
    with pytest.raises(ValueError, match=r"found 'yaml'; expected one of text, json"):
        render(report_of(), "yaml")  # type: ignore[arg-type]


def test_html_comes_from_its_module(monkeypatch: pytest.MonkeyPatch):
    module = ModuleType("episeek_pipelines.verify.formats.html.page")
    monkeypatch.setattr(module, "format_html", lambda report: f"<p>{report.root}</p>", raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert render(report_of(), "html") == "<p>/somewhere</p>"


@pytest.mark.parametrize("format", WRITTEN_HERE)
def test_max_findings_reaches_the_formats_for_people(format: Format):
    report = report_of(*[finding(MISSING_FILE, "gone", "", Location(f"v{number:03d}.mp4")) for number in range(50)])
    shown = render(report, format, max_findings=7).count(
        ": gone" if format in ("text", "markdown", "junit") else "gone"
    )
    # JSON has what was found twice; JUnit repeats the first finding in the message of the failure.
    assert shown == {"text": 7, "markdown": 7, "github": 7, "json": 100, "sarif": 50, "junit": 51}[format]


@settings(deadline=None, max_examples=examples(50))
@given(report=reports)
def test_every_format_is_repeatable_and_can_be_written_as_utf_8(report: VerificationReport):
    for format in WRITTEN_HERE:
        text = render(report, format)
        assert text == render(report, format)
        assert text.encode("utf-8").decode("utf-8") == text
        assert not set(text) & {"\x00", "\x1b", "\r", "\x85", "\u202e", "\u2028"} or format == "json"


@given(text=anything)
def test_visible_text_is_one_line_of_what_can_be_shown(text: str):
    shown = visible(text)
    assert shown.isascii() or shown.encode()
    assert not set(shown) & set(map(chr, (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E, 0xFEFF)))
    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown
    assert len(visible(text, max_length=30)) <= 30


def test_visible_text_keeps_what_is_harmless():
    assert visible("é 😀 <a> | `x` \\n") == "é 😀 <a> | `x` \\n"
    assert visible("a\tb\r\nc\x00\x9b\udcff\uffff") == "a\\tb\\r\\nc\\x00\\x9b\\udcff\\uffff"
    assert visible("x" * 2000, max_length=40) == "x" * 20 + "… (2,000 characters)"


@pytest.mark.parametrize("format", WRITTEN_HERE)
def test_a_format_prints_nothing(format: Format, capfd: pytest.CaptureFixture[str]):
    assert render(report_of(finding(ROW_NUMBERS, "x", "")), format)
    assert capfd.readouterr() == ("", "")

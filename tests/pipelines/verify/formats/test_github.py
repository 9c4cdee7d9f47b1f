import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import VerificationReport, verify
from episeek_pipelines.verify.findings.findings import Location, finding
from episeek_pipelines.verify.formats.github import command, format_github
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.verify.rules import MISSING_FILE, NOT_FASTSTART, ROW_NUMBERS, RULES
from tests.pipelines.verify.formats.report_strategies import anything, hostile, report_of, reports
from tests.support.amount import examples
from tests.support.broken_datasets import TOP, copy_of, video


@dataclass(frozen=True)
class Command:
    name: str
    message: str
    properties: dict[str, str]


def unescaped(text: str, more: tuple[tuple[str, str], ...] = ()) -> str:
    for escape, character in (("%0D", "\r"), ("%0A", "\n"), *more, ("%25", "%")):
        text = text.replace(escape, character)
    return text


def parse(line: str) -> Command:
    """As the runner reads a line of a log: the first `::` after the name ends the properties."""
    assert line.startswith("::")
    information, separator, message = line[2:].partition("::")
    assert separator
    name, _, rest = information.partition(" ")
    pairs = [part.split("=", 1) for part in rest.strip().split(",") if part]
    properties = {key: unescaped(value, ((("%3A", ":")), ("%2C", ","))) for key, value in pairs}
    return Command(name, unescaped(message), properties)


def commands_of(report: VerificationReport, *, max_findings: int = 20) -> list[Command]:
    """Split as a log is: at every end of a line that any reader may see."""
    return [parse(line) for line in re.split("\r\n|\r|\n", format_github(report, max_findings=max_findings))]


@given(message=anything, value=hostile)
def test_a_command_can_be_read_back(message: str, value: str):
    line = command("error", message, file=f"f{value}", title="t")
    assert not re.search("[\r\n]", line)
    assert parse(line) == Command("error", message, {"file": f"f{value}", "title": "t"})


@pytest.mark.parametrize(
    ("message", "escaped"), [("100%\r\na:b,c", "100%25%0D%0Aa:b,c"), ("%0A", "%250A"), ("::error::", "::error::")]
)
def test_data_is_escaped_as_the_toolkit_does(message: str, escaped: str):
    assert command("error", message) == f"::error::{escaped}"


def test_properties_are_escaped_as_the_toolkit_does():
    assert command("error", "x", file="a:b,c%\n", title="") == "::error file=a%3Ab%2Cc%25%0A::x"


def test_a_finding_is_an_annotation():
    found = finding(ROW_NUMBERS, "index 4", "5", Location("data/a,b.parquet", 4, row=40), more=2)
    annotation, notice = commands_of(report_of(found, root="tests/x"))
    assert annotation == Command(
        "error",
        f"episode 4, row 40: index 4; expected 5 (and 2 more)\nremedy: {ROW_NUMBERS.remedy}",
        {"file": "tests/x/data/a,b.parquet", "title": f"ROW016 {ROW_NUMBERS.problem}"},
    )
    assert notice.name == "notice"
    assert notice.message.startswith("tests/x: 3 errors, 0 warnings at level rows (2 episodes")


@pytest.mark.parametrize(
    ("file", "expected"),
    [(None, None), ("s3://b/x", "s3://b/x"), ("/a/x", "/a/x"), ("x", "/somewhere/x"), ("a\nb", "/somewhere/a\\nb")],
)
def test_files_of_other_datasets_are_named_in_full(file: str | None, expected: str | None):
    annotation, _ = commands_of(report_of(finding(MISSING_FILE, "gone", "", Location(file))))
    assert annotation.properties.get("file") == expected


def test_errors_come_first_and_of_them_one_of_each_rule():
    found = [finding(MISSING_FILE, "gone", "", Location(f"v{number:02d}.mp4")) for number in range(12)]
    found += [finding(ROW_NUMBERS, "x", "", Location("d", row=row)) for row in range(2)]
    found += [finding(NOT_FASTSTART, "late", "", Location("v.mp4"), more=4)]
    commands = commands_of(report_of(*found), max_findings=5)
    titles = [(each.name, each.properties["title"].split()[0]) for each in commands[:-1]]
    assert titles == [("error", "INF004"), ("error", "ROW016"), *[("error", "INF004")] * 3, ("warning", "VID022W")]
    assert commands[-1].name == "notice"
    assert commands[-1].message.endswith("; 9 of these findings are not annotated")


@settings(deadline=None, max_examples=examples(50))
@given(report=reports)
def test_any_report_is_one_line_a_finding_and_a_notice(report: VerificationReport):
    commands = commands_of(report)
    assert [each.name for each in commands] == [*(found.severity for found in report.findings), "notice"]
    messages = {(each.properties["title"].split()[0], each.message) for each in commands[:-1]}
    for found in report.findings:
        text = visible(found.message, max_length=3000)
        assert any(code == found.code and text[:1000] in message for code, message in messages)
        assert all(RULES[code].remedy in message for code, message in messages)


def test_a_clean_report_is_a_notice():
    [notice] = commands_of(report_of())
    assert notice.name == "notice"


def test_a_broken_dataset(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    (root / video(TOP, 1)).unlink()
    commands = commands_of(verify(Root(str(root))))
    assert [each.name for each in commands] == ["error", *["warning"] * 4, "notice"]
    lines = commands[-1].message.splitlines()
    assert lines[1] == "level: rows, the default for a local dataset"
    assert "  pictures of videos: the level rows does not decode them; use --level decode" in lines
    assert commands[0].properties["file"] == f"{root}/{video(TOP, 1)}"

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import VerificationReport, verify
from episeek_pipelines.verify.findings.findings import Location, finding
from episeek_pipelines.verify.formats.markdown import MAX_BYTES, code_span, format_markdown
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.verify.rules import MISSING_FILE, NOT_FASTSTART, ROW_NUMBERS
from tests.pipelines.verify.formats.report_strategies import SNIPPETS, hostile, report_of, reports
from tests.support.amount import examples
from tests.support.broken_datasets import TOP, copy_of, video

RENDERER = MarkdownIt("commonmark", {"html": True}).enable("table")
TABLE = ("table", "thead", "tbody", "tr", "th", "td")
EXPECTED_TAGS = {"h2", "p", "code", "details", "summary", "pre", *TABLE}


class Page(HTMLParser):
    """Tags and texts of what a browser would get."""

    def __init__(self, markdown: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(RENDERER.render(markdown))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name != "style"], attrs  # tables align their columns
        self.tags.append(tag)
        self.open.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


@pytest.mark.parametrize("text", [*SNIPPETS, "".join(SNIPPETS), "a" * 5000])
def test_any_text_is_code_in_a_line(text: str):
    page = Page(f"x {code_span(f'[{text}]')} y")
    assert set(page.tags) == {"p", "code"}
    assert page.texts["code"] == [visible(f"[{text}]", max_length=2000)]


@given(text=hostile)
def test_any_text_is_code_in_a_cell(text: str):
    page = Page(f"| a | b |\n|---|---|\n| {code_span(f'[{text}]')} | c |")
    assert page.tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "code", "td"]
    assert page.texts["code"] == [visible(f"[{text}]", max_length=2000)]


def test_the_verdict_counts_and_findings():
    found = [finding(ROW_NUMBERS, "index 4", "5", Location("d", row=row), more=1) for row in range(2)]
    text = format_markdown(report_of(*found, finding(NOT_FASTSTART, "late", "", Location("v.mp4"))))
    assert text.startswith("## episeek verify failed: 4 errors, 1 warning at level rows\n\n")
    page = Page(text)
    assert set(page.tags) == EXPECTED_TAGS
    assert page.texts["td"] == [
        "ROW016",
        "error",
        "4",
        ROW_NUMBERS.problem,
        "VID022W",
        "warning",
        "1",
        NOT_FASTSTART.problem,
    ]
    assert page.texts["summary"] == ["error ROW016: 4 found", "warning VID022W: 1 found"]
    assert [block.strip().splitlines() for block in page.texts["pre"]] == [
        ["d, row 0: index 4; expected 5 (and 1 more)", "d, row 1: index 4; expected 5 (and 1 more)"],
        ["v.mp4: late"],
    ]
    assert f"Remedy: {ROW_NUMBERS.remedy}" in page.texts["p"]


@pytest.mark.parametrize("text", SNIPPETS)
def test_any_text_is_a_line_of_the_listing(text: str):
    page = Page(format_markdown(report_of(finding(MISSING_FILE, text, "", Location(f"f{text}")))))
    assert set(page.tags) == EXPECTED_TAGS
    [listing] = page.texts["pre"]
    assert listing.strip("\n") == visible(f"f{text}: {text}")


def test_a_clean_report_has_no_table():
    page = Page(format_markdown(report_of()))
    assert page.texts["h2"] == ["episeek verify passed: 0 errors, 0 warnings at level rows"]
    assert set(page.tags) == {"h2", "p", "code"}


def test_findings_are_capped_and_the_others_are_counted():
    found = [finding(MISSING_FILE, "gone", "", Location(f"v{number:02d}.mp4")) for number in range(30)]
    text = format_markdown(report_of(*found, finding(NOT_FASTSTART, "late", "")), max_findings=10)
    page = Page(text)
    assert page.texts["pre"][0].strip().splitlines()[-1] == "... and 21 more"
    assert len(page.texts["pre"]) == 2
    assert page.texts["p"][-1] == "21 of the findings are counted but not listed."


def test_a_summary_stays_below_what_github_takes():
    found = [finding(MISSING_FILE, "<&😀" * 300, "", Location(f"v{number:05d}.mp4")) for number in range(3000)]
    found += [finding(ROW_NUMBERS, "&" * 1000, "", Location("d", row=row)) for row in range(3000)]
    text = format_markdown(report_of(*found), max_findings=10_000)
    assert MAX_BYTES / 4 < len(text.encode()) <= MAX_BYTES
    page = Page(text)
    listed = sum(block.count(": <&😀") + block.count(": &&") for block in page.texts["pre"])
    assert len(page.texts["pre"]) == 2
    assert page.texts["p"][-1].startswith(f"{6000 - listed} of the findings")


@settings(deadline=None, max_examples=examples(50))
@given(report=reports)
def test_any_report_is_the_page_that_it_should_be(report: VerificationReport):
    text = format_markdown(report, max_findings=100)
    page = Page(text)
    assert set(page.tags) <= EXPECTED_TAGS
    groups = {(found.severity, found.code) for found in report.findings}
    assert page.tags.count("details") == page.tags.count("pre") == len(groups)
    assert page.tags.count("td") == 4 * len(groups)
    assert page.texts["code"][0] == visible(report.root, max_length=2000)
    listed = "".join(page.texts.get("pre", []))
    for found in report.findings:
        assert visible(f"{found.location}: {found.message}", max_length=2000) in listed


def test_a_broken_dataset(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    (root / video(TOP, 1)).unlink()
    page = Page(format_markdown(verify(Root(str(root)))))
    assert page.texts["h2"][0].startswith("episeek verify failed: 1 error, 4 warnings")
    assert video(TOP, 1) in page.texts["pre"][0]

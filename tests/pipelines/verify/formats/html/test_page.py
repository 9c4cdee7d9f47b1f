import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import episeek
from episeek_pipelines.verify.findings.coverage import Coverage, Note, Unchecked
from episeek_pipelines.verify.findings.figures import CameraFigures, Figures
from episeek_pipelines.verify.findings.findings import Finding, Location
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.formats.html.findings import group_findings
from episeek_pipelines.verify.formats.html.page import format_html
from episeek_pipelines.verify.formats.html.svg_chart import round_axis
from episeek_pipelines.verify.formats.html.text import breakable, byte_size, escaped, prose, significant
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.verify.rules import RULES
from tests.support.amount import full_run
from tests.support.report_samples import figures, findings, report

VOID = {"meta", "link", "input", "wbr", "br"}
COVERAGE = Coverage(
    ("metadata", "rows"),
    (
        Unchecked(
            "pictures of videos", "the level rows does not decode them", "use --level decode", ("VID027", "VID028")
        ),
    ),
)
HOSTILE = "</script><script>alert(1)</script><!--'\"><img src=x onerror=alert(1)>\u2028\u202e\udc80\x00\n&amp;"


class Page(HTMLParser):
    """Elements as (tag, attributes), and the text; complains about what is not balanced."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def count(self, tag: str, **attributes: str) -> int:
        return sum(t == tag and attributes.items() <= a.items() for t, a in self.elements)


def drawings_of(page: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", page, re.DOTALL)


def checked(page: str) -> Page:
    """Parsed; nothing in it points anywhere else or runs but its own script."""
    parsed = Page(page)
    for tag, attributes in parsed.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "style", "srcset", "action", "data", "xlink:href"), (tag, name)
            if name == "href":
                assert value == "data:," or str(value).startswith("#")
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert parsed.count("script") == parsed.count("style") == 1
    assert not re.search(r"url\(|@import", page)
    assert not re.search(r"\b(nan|inf)\b", "".join(drawings_of(page)))
    page.encode()
    return parsed


def test_the_policy_allows_the_page_s_own_style_and_script_only():
    page = format_html(report())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    for tag in ("style", "script"):
        inline = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert inline
        digest = base64.b64encode(hashlib.sha256(inline[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy[1]
    assert policy[1].startswith("default-src 'none';")


def test_the_head_of_the_page_says_what_was_verified_and_with_what_result():
    found = (
        Finding("INF004", "error", "absent", "", Location("data/a.parquet"), more=2),
        Finding("VID022W", "warning", "moov at the end", "", Location("videos/a.mp4")),
    )
    text = checked(
        format_html(
            report(
                found,
                against="/the/source",
                ignored_count=1234,
                accepted_count=5,
                timestamp_tolerance_seconds=0.0021,
                notes=(Note("VID026W", 2),),
                coverage=COVERAGE,
                options=VerifyOptions(level="rows", tolerance_seconds=0.01, decoded_episodes=None),
                date=datetime(2026, 11, 29, 15, 30, tzinfo=UTC),
                revision="0a" * 20,
            )
        )
    ).text
    for words in (
        "hf://datasets/example/pick_and_place",
        "Failed with 3 errors and 1 warning",
        "Ignored by configuration1,234",
        "Accepted by the baseline5",
        "Levelrows",
        "Checkedmetadata, rows Not checked pictures of videos: the level rows does not decode them (use --level decode)",
        "Date2026-11-29 15:30 UTC",
        f"Revision{'0a' * 20}",
        "Options--tolerance-seconds 0.01, --decode-episodes all",
        "VID026W Frames are stored in a different order than they are shown in 2 videos, which is harmless: ",
        "Compared with/the/source",
        "12.3 MB of 84 files",
        "tolerance of 0.0021 s",
        f"episeek {episeek.__version__}",
        "lerobot#2861",
        RULES["INF004"].problem,
        RULES["INF004"].invariant,
        RULES["INF004"].remedy.replace("`", ""),
        RULES["INF004"].protects,
        "absent and 2 more like it",
    ):
        assert words in text


def test_warnings_do_not_fail_a_dataset():
    found = (Finding("VID022W", "warning", "x", "", Location("videos/a.mp4")),)
    assert "Passed with 1 warning" in checked(format_html(report(found))).text
    assert "Passed without errors or warnings" in checked(format_html(report())).text


def test_an_empty_report_has_a_page():
    parsed = checked(format_html(report(level="meta")))
    assert "Nothing was found." in parsed.text
    assert "The lengths of episodes are unknown." in parsed.text
    assert "at the level layout and above" in parsed.text
    assert not parsed.count("form")


def test_without_a_script_all_findings_can_be_read():
    found = findings(300)
    parsed = checked(format_html(report(found)))
    rows = [attributes for tag, attributes in parsed.elements if tag == "tr"]
    groups = {(f.code, f.severity) for f in found}
    assert len(rows) == len(found) + len(groups)
    assert not any("hidden" in attributes for attributes in rows)
    assert parsed.count("details") == len(groups)
    assert parsed.count("form", id="filters") == 1
    form = next(attributes for tag, attributes in parsed.elements if tag == "form")
    assert "hidden" in form


def test_a_rule_whose_severity_a_configuration_changed_has_two_tables():
    found = tuple(sorted(Finding("INF004", severity, "x", "", Location("a")) for severity in ("error", "warning")))
    parsed = checked(format_html(report(found)))
    assert parsed.count("details", id="INF004-error") == parsed.count("details", id="INF004-warning") == 1


def test_the_same_report_gives_the_same_page_whatever_the_order():
    found = findings(200)
    drawn = figures(500)
    assert format_html(report(found, drawn)) == format_html(report(found[::-1], figures(500)))


def test_words_of_the_dataset_are_shown_and_never_run():
    where = Location(HOSTILE, 3, HOSTILE, 4, HOSTILE)
    found = (Finding("ROW015", "error", HOSTILE, "", where), Finding("VID023", "error", HOSTILE, "", where))
    drawn = figures(30, cameras=(HOSTILE, "x" * 300))
    page = format_html(report(found, drawn, root=HOSTILE, against=HOSTILE))
    parsed = checked(page)
    assert parsed.count("img") == 0
    assert "alert(1)" in parsed.text
    assert "<!--" not in page
    assert "\\u2028\\u202e\\udc80\\x00\\n&amp;" in parsed.text
    assert page.isascii() or all(c.isprintable() or c == "\n" for c in page)
    assert page.count("</script") == 1


@given(st.text(st.characters(), max_size=60))
def test_escaped_text_is_content_and_attribute(text):
    for made in (escaped(text), breakable(text)):
        made.encode()
        parsed = Page(f'<p title="{escaped(text)}">{made}</p>')
        assert [tag for tag, _ in parsed.elements if tag != "wbr"] == ["p"]
        assert "".join(parsed.words) == visible(text) == parsed.elements[0][1]["title"]


def test_every_finding_and_note_links_to_its_rule():
    found = (Finding("INF004", "error", "x", "", Location("a")), Finding("INF004", "warning", "x", "", Location("a")))
    parsed = checked(format_html(report(found, notes=(Note("VID022W", 3),))))
    links = {str(a["href"])[1:] for tag, a in parsed.elements if tag == "a"}
    ids = {a["id"] for _, a in parsed.elements if "id" in a}
    assert links == {"findings", "figures", "rules", "rule-INF004", "rule-VID022W"}
    assert links <= ids


def test_a_page_without_findings_and_notes_explains_no_rules():
    parsed = checked(format_html(report()))
    assert not parsed.count("section", id="rules")
    assert not parsed.count("a", href="#rules")


def test_code_in_the_words_of_a_rule_is_code():
    assert prose("run `a<b>` or `c`") == "run <code>a&lt;b&gt;</code> or <code>c</code>"


def test_long_text_is_cut_and_says_so():
    assert len(escaped("x" * 5000)) <= 1000
    assert escaped("x" * 5000).endswith("x… (5,000 characters)")


def test_findings_beyond_the_limit_are_counted_errors_first_and_every_rule_keeps_some():
    errors = [Finding("INF004", "error", str(n), "", Location("a")) for n in range(900)]
    others = [Finding("ROW015", "error", str(n), "", Location("a")) for n in range(30)]
    warnings = [Finding("VID022W", "warning", str(n), "", Location("a")) for n in range(400)]
    groups = group_findings([*errors, *others, *warnings], most_rows=500)
    assert [(group.code, group.listed) for group in groups] == [("INF004", 370), ("ROW015", 30), ("VID022W", 100)]
    assert [group.count for group in groups] == [900, 30, 400]
    groups = group_findings([*errors[:200], *others, *warnings], most_rows=500)
    assert [group.listed for group in groups] == [200, 30, 270]


@full_run
def test_a_page_of_25_000_findings_is_limited_and_says_so():
    found = findings(25_000)
    page = format_html(report(found))
    assert page.count("<tr") < 20_000 + 100
    assert "20,000 of 25,000 findings are listed" in page
    assert f"{sum(1 + f.more for f in found if f.severity == 'error'):,} errors" in page
    assert len(page) < 4e6


def test_plots_of_100_000_episodes_stay_small():
    small, large = (len(format_html(report((), figures(count)))) for count in (100, 100_000))
    assert large < 120_000
    assert large < 3 * small


def coordinates_of(page: str) -> list[float]:
    numbers = re.findall(r'(?: d| x| y| width| height)="([^"]*)"', "".join(drawings_of(page)))
    return [float(n) for text in numbers for n in re.findall(r"-?\d+(?:\.\d+)?", text)]


CAMERA = CameraFigures("front", np.array([0]), np.array([5]), np.array([0.1]), np.array([2]), np.array([3]))
NONE = CameraFigures("nothing")
EXTREME = 2**63 - 1


@pytest.mark.parametrize(
    "drawn",
    [
        Figures(),
        Figures(np.array([0]), np.array([0]), 30.0),
        Figures(np.array([7]), np.array([1]), 0.0, (CAMERA,)),
        Figures(np.array([0]), np.array([100]), float("nan"), (CAMERA, NONE)),
        Figures(np.array([0]), np.array([100]), float("inf"), (NONE, NONE)),
        Figures(np.arange(9), np.full(9, 5), 30.0, (CAMERA, replace(CAMERA, drift_seconds=np.array([np.nan])))),
        Figures(np.arange(9), np.full(9, 5), 30.0, (replace(CAMERA, drift_seconds=np.array([np.inf])),)),
        Figures(np.arange(9), np.full(9, 5), 30.0, (replace(CAMERA, drift_seconds=np.array([1e300])),)),
        Figures(np.arange(2), np.array([-EXTREME - 1, EXTREME]), 30.0, (replace(CAMERA, byte_count=np.array([0])),)),
        Figures(np.array([0, EXTREME]), np.array([EXTREME, EXTREME]), 1e-300, (CAMERA,)),
        Figures(
            np.arange(9),
            np.full(9, 5),
            5e-324,
            (replace(CAMERA, episode_index=np.array([EXTREME]), byte_count=np.array([EXTREME])),),
        ),
        Figures(np.arange(9), np.full(9, 5), 30.0, (replace(CAMERA, interval_count=np.array([0])),)),
        Figures(
            np.arange(9),
            np.full(9, 5),
            30.0,
            (replace(CAMERA, interval_frames=np.array([*range(1, 40), EXTREME]), interval_count=np.arange(40)),),
        ),
        figures(300, cameras=tuple(f"camera {n}" for n in range(30))),
    ],
)
def test_any_figures_are_drawn_within_their_frames(drawn):
    page = format_html(report((), drawn))
    checked(page)
    assert all(-60 < n < 560 for n in coordinates_of(page))


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40),
    st.floats(),
    st.lists(st.floats(), max_size=40),
)
def test_any_numbers_are_drawn(lengths, fps, drifts):
    index = np.arange(len(lengths))
    camera = CameraFigures(
        "c",
        np.arange(len(drifts)),
        np.array(lengths[: len(drifts)] + [0] * (len(drifts) - len(lengths)), np.int64),
        np.array(drifts, np.float64),
        np.unique(np.array(lengths, np.int64)),
        np.arange(1, len(set(lengths)) + 1),
    )
    page = format_html(report((), Figures(index, np.array(lengths, np.int64), fps, (camera,))))
    assert all(-60 < n < 560 for n in coordinates_of(page))


def test_histograms_count_every_episode():
    page = format_html(report((), figures(100_000, cameras=())))
    assert sum(int(n.replace(",", "")) for n in re.findall(r": ([\d,]+) episodes?</title>", page)) == 100_000


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 10, ["0", "2", "4", "6", "8", "10"]),
        (-0.01, 0.01, ["−0.010", "−0.005", "0.000", "0.005", "0.010"]),  # noqa: RUF001
        (3, 3, ["2.6", "2.8", "3.0", "3.2", "3.4"]),
        (0, 2_000_000, ["0", "500k", "1M", "1.5M", "2M"]),
    ],
)
def test_ticks_are_round(low, high, labels):
    assert [label for _, label in round_axis(low, high, "x").ticks] == labels


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.5, "1,234"), (12.345, "12.3"), (0.0021, "0.0021"), (-2.5, "−2.5"), (1e-9, "1.00e-09")],  # noqa: RUF001
)
def test_numbers_have_three_digits(value, text):
    assert significant(value) == text


def test_sizes_have_units():
    assert [byte_size(n) for n in (0, 999, 1000, 12_345_678, 5e13)] == ["0 B", "999 B", "1 kB", "12.3 MB", "50 TB"]

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av import VideoFrame
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from episeek_pipelines.verify.findings.coverage import Coverage, Note, Unchecked
from episeek_pipelines.verify.findings.findings import Finding, Location
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.findings.strips import Strip, StripPicture
from episeek_pipelines.verify.formats.html.page import format_html
from episeek_pipelines.verify.strips.thumbnails import thumbnail
from tests.support.amount import full_run
from tests.support.browser import open_browser
from tests.support.report_samples import CAMERAS, figures, findings, report

HOSTILE = (
    "</script><script>document.title='run'</script><img src=http://127.0.0.1:9/x onerror=\"document.title='run'\">"
)
FOUND = (
    *(
        Finding(
            "ROW015", "error", f"index {n}", "", Location(f"data/file-{n // 100:03d}.parquet", n, None, n * 10, "index")
        )
        for n in range(250)
    ),
    Finding("VID023", "error", "3 frames are missing", "", Location("videos/top.mp4", 7, CAMERAS[2]), more=4),
    Finding("VID022W", "warning", "moov at the end", "", Location("videos/top.mp4", None, CAMERAS[2])),
    Finding("VID024W", "warning", HOSTILE, "", Location(HOSTILE, 12, HOSTILE)),
)


class Viewer:
    """The browser, showing pages of reports."""

    def __init__(self, browser: Chrome, folder: Path) -> None:
        self.browser, self._folder, self._pages = browser, folder, 0

    def show(self, report_: VerificationReport, *, width: int = 1280, scheme: str = "light", media: str = "") -> None:
        self._pages += 1
        path = self._folder / f"{self._pages}.html"
        path.write_text(format_html(report_), encoding="utf-8")
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        for log in ("performance", "browser"):
            self.browser.get_log(log)
        self.url = path.as_uri()
        self.browser.get(self.url)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def requested(self) -> dict[str, bool]:
        """Addresses that the page asked for, and whether its policy stopped that."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        stopped = {
            e["params"]["requestId"]
            for e in events
            if e["method"] == "Network.loadingFailed" and e["params"].get("blockedReason") == "csp"
        }
        return {
            e["params"]["request"]["url"]: e["params"]["requestId"] in stopped
            for e in events
            if e["method"] == "Network.requestWillBeSent" and not e["params"]["documentURL"].startswith("chrome:")
        }

    def rows(self, code: str) -> int:
        """Rows of a rule that are seen."""
        script = "return [...document.querySelectorAll(arguments[0])].filter((row) => row.checkVisibility()).length"
        return int(self.run(script, f"[data-code={code}] tbody tr"))

    def rules(self) -> list[str]:
        script = "return [...document.querySelectorAll('details')].filter((d) => d.checkVisibility()).map((d) => d.dataset.code)"
        return list(self.run(script))

    @property
    def status(self) -> str:
        return str(self.find("#shown").text)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def viewer(browser: Chrome, tmp_path: Path) -> Viewer:
    return Viewer(browser, tmp_path)


@pytest.mark.parametrize(
    "shown",
    [
        report(FOUND, figures(90)),
        report((), figures(1)),
        report(level="meta"),
        report(FOUND, figures(5000), root=HOSTILE),
    ],
    ids=["findings", "clean", "empty", "hostile"],
)
def test_a_page_loads_without_a_complaint_or_a_request(viewer, shown):
    viewer.show(shown)
    assert viewer.browser.get_log("browser") == []
    assert viewer.requested().keys() - {"data:,"} == {viewer.url}
    assert viewer.browser.title.startswith(("Failed: ", "Passed: "))
    assert not viewer.browser.find_elements(By.CSS_SELECTOR, "img")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_strips_of_pictures_are_in_the_page_itself(viewer, width, scheme):
    small = thumbnail(VideoFrame.from_ndarray(np.full((480, 640, 3), 90, np.uint8), format="rgb24"))
    pictures = tuple(
        StripPicture(7, frame, frame / 30, frame == 2, *((small.jpeg, small.width, small.height) if frame else ()))
        for frame in range(7)
    )
    strip = Strip(tuple(range(7)), frozenset({2}), pictures=pictures)
    shown = Finding("VID028", "warning", "x", "y", Location("videos/top.mp4", 7, CAMERAS[0]), strip=strip)
    viewer.show(report((shown,)), width=width, scheme=scheme)
    images = viewer.browser.find_elements(By.CSS_SELECTOR, ".strip img")
    assert [viewer.run("return arguments[0].naturalWidth", image) for image in images] == [160] * 6
    assert images[1].get_attribute("alt") == "frame 2 of episode 7, at 0.067 s, which the finding is about"
    assert viewer.find(".no-picture").text == "not decoded"
    assert viewer.find(".strip li.marked small").text.replace("\n", " ") == "frame 2, 0.067 s"
    assert viewer.run("return document.documentElement.scrollWidth") <= width
    assert viewer.browser.get_log("browser") == []
    assert all(url == viewer.url or url.startswith("data:") for url in viewer.requested())


def test_the_policy_stops_what_the_page_does_not_carry(viewer):
    viewer.show(report(FOUND))
    viewer.run(
        """const script = document.createElement("script"); script.textContent = "document.title = 'run'";
        document.body.append(script); const image = new Image(); image.src = "http://127.0.0.1:9/x"; document.body.append(image)"""
    )
    assert not viewer.run("return document.title").startswith("run")
    assert all("Content Security Policy" in entry["message"] for entry in viewer.browser.get_log("browser"))
    assert viewer.requested()["http://127.0.0.1:9/x"]


def test_filters_show_and_hide_rows_and_count_them(viewer):
    viewer.show(report(FOUND))
    verdict = viewer.find(".verdict").text
    assert verdict == "Failed with 255 errors and 2 warnings"
    assert viewer.status == "253 listed findings: 255 errors, 2 warnings"
    assert not viewer.find("#reset").is_enabled()
    assert viewer.rules() == ["ROW015", "VID023", "VID022W", "VID024W"]

    Select(viewer.find("#filter-severity")).select_by_value("warning")
    assert viewer.rules() == ["VID022W", "VID024W"]
    assert viewer.status == "2 of 253 listed findings: 0 errors, 2 warnings"
    assert viewer.find(".verdict").text == verdict, "a filter judges nothing"
    viewer.find("#reset").click()
    assert viewer.status == "253 listed findings: 255 errors, 2 warnings"

    Select(viewer.find("#filter-code")).select_by_value("VID023")
    assert viewer.rules() == ["VID023"]
    assert viewer.status == "1 of 253 listed findings: 5 errors, 0 warnings"
    viewer.find("#reset").click()

    viewer.find("#filter-episode").send_keys("7")
    assert viewer.rules() == ["ROW015", "VID023"]
    assert viewer.find("[data-code=ROW015] .count").text == "1 of 250"
    viewer.find("#filter-episode").send_keys("-8")
    assert viewer.rows("ROW015") == 2
    viewer.find("#filter-episode").send_keys("x")
    assert viewer.status.startswith("Episode: a number")
    assert viewer.rules() == []
    assert viewer.find("#none-match").is_displayed()
    viewer.find("#reset").click()

    viewer.find("#filter-file").send_keys("FILE-001")
    assert viewer.status == "100 of 253 listed findings: 100 errors, 0 warnings"
    viewer.find("#reset").click()

    Select(viewer.find("#filter-camera")).select_by_visible_text(CAMERAS[2])
    assert viewer.rules() == ["VID023", "VID022W"]
    Select(viewer.find("#filter-camera")).select_by_visible_text(HOSTILE)
    assert viewer.rules() == ["VID024W"]
    viewer.find("#reset").click()

    viewer.find("#filter-text").send_keys("missing top")
    assert viewer.rules() == ["VID023"]
    viewer.find("#filter-text").send_keys(Keys.ESCAPE)
    assert viewer.status == "253 listed findings: 255 errors, 2 warnings"
    assert viewer.find("[data-code=ROW015] .count").text == "250"


def test_long_tables_are_shown_in_parts(viewer):
    viewer.show(report(FOUND))
    assert viewer.rows("ROW015") == 0, "closed at first: the other rules should be seen"
    viewer.find("[data-code=ROW015] summary").click()
    assert viewer.rows("ROW015") == 100
    button = viewer.find("[data-code=ROW015] button.more")
    assert button.text == "Show 150 more of 150 rows"
    button.click()
    assert viewer.rows("ROW015") == 250
    assert not button.is_displayed()
    assert viewer.run("return document.activeElement.rowIndex") == 101


def test_everything_can_be_reached_and_done_with_the_keyboard(viewer):
    viewer.show(report(FOUND, figures(30)))
    reached = []
    for _ in range(18):
        viewer.browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(
            viewer.run("const e = document.activeElement; return e.id || e.closest('[id]')?.id || e.textContent")
        )
        assert viewer.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"
        if reached[-1] == "ROW015-error":
            break
    fields = [f"filter-{name}" for name in ("text", "severity", "camera", "code", "file", "episode")]
    assert reached == ["Findings", "Figures", "Rules", *fields, "open-all", "close-all", "ROW015-error"]
    summary = viewer.browser.switch_to.active_element
    summary.send_keys(Keys.ENTER)
    assert viewer.rows("ROW015") == 100
    summary.send_keys(Keys.SPACE)
    assert viewer.rows("ROW015") == 0


def test_all_tables_open_and_close_and_a_link_opens_one(viewer):
    viewer.show(report(FOUND))
    viewer.find("#close-all").click()
    assert viewer.run("return document.querySelectorAll('details[open]').length") == 0
    viewer.find("#open-all").click()
    assert viewer.run("return document.querySelectorAll('details[open]').length") == 4
    viewer.find("#close-all").click()
    viewer.run("location.hash = 'VID023-error'")
    WAIT = "const done = arguments[0]; requestAnimationFrame(() => setTimeout(done))"
    viewer.browser.execute_async_script(WAIT)
    assert viewer.run("return [...document.querySelectorAll('details[open]')].map((d) => d.id)") == ["VID023-error"]


BOXES = """
const box = (e) => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom, e.textContent]; };
return [...document.querySelectorAll("figure > svg")].map((svg) => ({
  frame: box(svg), text: [...svg.querySelectorAll("text")].map(box), marks: [...svg.querySelectorAll("rect, path")].map(box)}));
"""


@pytest.mark.parametrize("width", [400, 800, 1280])
@pytest.mark.parametrize("episode_count", [1, 90, 100_000])
def test_drawings_keep_within_their_frames_and_their_words_apart(viewer, width, episode_count):
    viewer.show(report((), figures(episode_count)), width=width)
    drawings = viewer.run(BOXES)
    assert len(drawings) == 4
    for drawing in drawings:
        left, top, right, bottom, _ = drawing["frame"]
        assert right - left > 250
        for mark in drawing["text"] + drawing["marks"]:
            assert left - 1 <= mark[0] <= mark[2] <= right + 1, mark
            assert top - 1 <= mark[1] <= mark[3] <= bottom + 1, mark
        words = drawing["text"]
        for i, a in enumerate(words):
            for b in words[:i]:
                across = min(a[2], b[2]) - max(a[0], b[0])
                down = min(a[3], b[3]) - max(a[1], b[1])
                assert across <= 0 or down <= 3, (a, b)  # line boxes are taller than digits


@pytest.mark.parametrize("root", ["hf://datasets/a/b", "s3://" + "x" * 200, HOSTILE])
def test_a_narrow_window_needs_no_scrolling_sideways(viewer, root):
    long_names = figures(90, cameras=("observation.images.a_camera_with_quite_a_long_name", "x" * 200, HOSTILE))
    shown = report(
        FOUND,
        long_names,
        root=root,
        against=root,
        revision="0123456789" * 4,
        date=datetime(2026, 11, 29, tzinfo=UTC),
        options=VerifyOptions(level="decode", decoded_episodes=None, tolerance_seconds=0.001, world_size=1024),
        notes=(Note("VID026W", 12_345),),
        coverage=Coverage(("metadata", "x" * 100), (Unchecked("y" * 100, "z" * 100, "use `--level decode`"),)),
    )
    viewer.show(shown, width=400)
    viewer.find("#open-all").click()
    assert viewer.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    outside = (
        "return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > 401).length"
    )
    assert viewer.run(outside) == 0


def test_dark_windows_get_a_dark_page_and_paper_a_light_one(viewer):
    ground = "return getComputedStyle(document.body).backgroundColor"
    text = "return getComputedStyle(document.body).color"
    seen = []
    for scheme, media in (("light", ""), ("dark", ""), ("dark", "print")):
        viewer.show(report(FOUND, figures(30)), scheme=scheme, media=media)
        seen.append((viewer.run(ground), viewer.run(text)))
    assert seen[0] == seen[2] != seen[1]
    assert brightness(seen[0][0]) > 240 > 60 > brightness(seen[1][0])
    assert viewer.find("#filters").is_displayed() is False


def brightness(colour: str) -> float:
    red, green, blue = (int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
    return (red + green + blue) / 3


CONTRAST = """
const channel = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
const luminance = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number); return 0.2126 * channel(r) + 0.7152 * channel(g)
  + 0.0722 * channel(b); };
const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (c !== "rgba(0, 0, 0, 0)") return c; } };
return [...document.querySelectorAll("p, dt, dd, th, td, label, summary span, small, a, button:enabled, figure text")].map((e) => {
  const style = getComputedStyle(e), own = e instanceof SVGElement ? style.fill : style.color;
  const [a, b] = [luminance(own), luminance(ground(e))].sort((x, y) => y - x);
  return [(a + 0.05) / (b + 0.05), e.textContent.slice(0, 40)]; });
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(viewer, scheme):
    for shown in (report(FOUND, figures(30)), report((), figures(30))):
        viewer.show(shown, scheme=scheme)
        contrasts = viewer.run(CONTRAST)
        assert len(contrasts) > 50
        assert min(contrasts)[0] >= 4.5, min(contrasts)  # WCAG 2.2, 1.4.3


def test_10_000_findings_are_filtered_at_once(viewer):
    viewer.show(report(findings(10_000), figures(1000)))
    milliseconds = viewer.run(
        """const start = performance.now(); const field = document.getElementById("filter-text");
        field.value = "9999; 10000"; field.dispatchEvent(new Event("input", { bubbles: true }));
        document.body.getBoundingClientRect(); return performance.now() - start"""
    )
    assert viewer.status.startswith("1 of 10,000 listed findings: ")
    assert milliseconds < 5000  # some 100 on a quiet machine


@full_run
def test_without_a_script_the_tables_are_there(viewer):
    viewer.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        viewer.show(report(FOUND[250:], figures(30)))
        laid_out: set[str] = set()
        # on a busy machine the page may be loaded and not laid out yet
        for _ in range(100):
            texts = viewer.browser.execute_cdp_cmd("DOMSnapshot.captureSnapshot", {"computedStyles": []})
            laid_out = {texts["strings"][i] for i in texts["documents"][0]["layout"]["text"] if i >= 0}
            if laid_out:
                break
    finally:
        viewer.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "3 frames are missing " in laid_out or "3 frames are missing" in laid_out
    assert "Severity" not in laid_out, "filters need the script"

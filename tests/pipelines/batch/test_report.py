"""The state and the report of a batch: what a maintainer sees."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from selenium.webdriver import Chrome

from episeek_pipelines.batch.errors import Problem
from episeek_pipelines.batch.ledger import Ledger, LedgerRow
from episeek_pipelines.batch.options import BatchOptions
from episeek_pipelines.batch.report.page import format_batch
from episeek_pipelines.batch.status import BatchStatus, DatasetState
from episeek_pipelines.batch.survey import PlannedDataset
from episeek_pipelines.cli.main import main
from episeek_pipelines.dataset.root import Root
from tests.support.browser import open_browser
from tests.support.many_datasets import make_datasets

HOSTILE = '"><script>document.title="run"</script>' + "x" * 90


class Links(HTMLParser):
    """The targets of the links of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href") or ""
        if tag == "a" and not target.startswith("#"):
            self.targets.add(target)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    make_datasets(folder / "many", 4, broken=2)
    assert main(["batch", "run", str(folder / "many"), str(folder / "out"), "--scheduler", "sync", "--quiet"]) == 1
    return folder


def test_the_command_shows_what_became_of_each(batch: Path, capsys):
    assert main(["batch", "status", str(batch / "out"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["is_done"], found["counts"]) == (False, {"done": 3, "failed": 1})
    assert main(["batch", "status", str(batch / "out")]) == 1
    shown = capsys.readouterr().out
    assert "failed   broken-f-cut: " in shown
    assert "errors   broken-g-row: 1 error (ROW016)" in shown
    assert "batch    4 datasets: 3 done, 1 failed" in shown


def test_the_command_plans_runs_and_ends_well(batch: Path, tmp_path: Path, capsys):
    (tmp_path / "list.txt").write_text(f"{batch}/many/plain-000\n")
    names = [str(tmp_path / "list.txt"), str(tmp_path / "out"), "--scheduler", "sync"]
    assert main(["batch", "plan", *names, "--no-measure"]) == 0
    assert "1 dataset, 0 refused, 4 episodes, 132 frames" in capsys.readouterr().out
    assert main(["batch", "run", *names, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_written"] is False
    assert main(["batch", "run", *names, "--rank", "0", "--of", "1"]) == 0
    assert "batch    1 dataset: 1 done" in capsys.readouterr().out
    assert main(["batch", "status", str(tmp_path / "out")]) == 0
    assert main(["batch", "run", *names, "--keyframes", "all"]) == 2
    assert "a plan with keyframes auto" in capsys.readouterr().err
    assert main(["batch", "run", *names, "--rank", "0"]) == 2
    assert main(["batch", "plan", *names, "--dry-run", "--video-file-size", "9"]) == 2
    assert "found without --videos pack" in capsys.readouterr().err
    packed = ["--videos", "pack", "--video-file-size", "9", "--no-measure", "--json"]
    capsys.readouterr()
    assert main(["batch", "plan", *names, "--dry-run", *packed]) == 0
    assert json.loads(capsys.readouterr().out)["options"]["video_file_size_mb"] == 9


def test_the_report_links_to_the_page_of_each_dataset(batch: Path, tmp_path: Path, capsys):
    for target in (batch / "out/report.html", tmp_path / "elsewhere.html"):
        assert main(["batch", "report", str(batch / "out"), "--output", str(target), "--quiet"]) == 0
        links = Links(target.read_text())
        assert len(links.targets) == 3
        for link in links.targets:
            assert (target.parent / unquote(link)).is_file(), link
        assert "3 of 4 datasets done, with 1 error" in links.text
        assert "broken-f-cut" in links.text


def status(*states: DatasetState) -> BatchStatus:
    return BatchStatus("/out", states)


def state(name: str, row_state: str = "done", **row: object) -> DatasetState:
    planned = PlannedDataset(name, f"/in/{name}", BatchOptions())
    values = {"seconds": 1.0, "counts": {"episodes": 2, "frames": 10}, **row}
    return DatasetState(planned, LedgerRow(name, planned.source, row_state, **values), False)  # type: ignore[arg-type]


def test_failures_come_first_and_nothing_is_markup():
    problem = Problem("ReadError", HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    page = format_batch(
        status(state("a"), state(HOSTILE, "failed", problem=problem), state("c", "running", process={"host": "h"}))
    )
    assert "<script>" not in page
    listed = Links(page.partition('id="datasets"')[2]).text
    assert listed.index("failed") < listed.index("stopped") < listed.index("done")
    assert format_batch(status()) == format_batch(status())


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with open_browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


def test_nothing_overflows_and_nothing_runs(browser: Chrome, tmp_path: Path):
    problem = Problem("ReadError", HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    findings = {"ROW016": {"severity": "error", "count": 10**6}}
    page = tmp_path / "page.html"
    page.write_text(
        format_batch(
            status(
                state("organisation/a-name-of-a-dataset-" * 4, findings=findings, has_page=True, seconds=12345.6),
                state(HOSTILE, "refused", problem=problem),
            )
        )
    )
    for width in (400, 1280):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert "run" not in browser.title.split()
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_a_dead_process_shows_as_stopped(batch: Path, tmp_path: Path, capsys):
    ledger = Ledger(Root(str(batch / "out")))
    last = ledger.row("plain-000")
    assert last is not None
    # the claim of a process that has ended
    dead = LedgerRow("plain-000", last.source, "running", attempt=2, process={**last.process, "process_start": "1"})
    ledger.write(dead, "running")
    main(["batch", "status", str(batch / "out")])
    assert "stopped  plain-000: its process has ended" in capsys.readouterr().out
    assert main(["batch", "run", str(batch / "many"), str(batch / "out"), "--scheduler", "sync", "--quiet"]) == 1
    again = ledger.row("plain-000")
    assert again is not None
    assert (again.state, again.attempt) == ("current", 3)

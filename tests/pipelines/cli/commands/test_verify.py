"""`episeek verify` and `episeek rules` as a maintainer runs them: exit codes, reports, settings, baselines, mending."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from episeek_pipelines.cli.commands import verify
from episeek_pipelines.cli.main import main
from episeek_pipelines.verify import FORMATS, LEVELS
from episeek_pipelines.verify.rules import FAIL_ON
from tests.support.amount import full_run
from tests.support.broken_datasets import EPISODES, collapse, copy_of, data, edit_info, set_value
from tests.support.build_index import DATA


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """An error that the metadata shows, and one that only rows show."""
    root = copy_of("images", tmp_path)
    edit_info(root, total_frames=1)
    (root / "meta/stats.json").unlink()
    set_value(root, data(0), "timestamp", 2, 9.0)
    return root


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def found(out: str) -> set[str]:
    return {finding["code"] for finding in json.loads(out)["findings"]}


def test_levels_see_more_and_more(broken: Path, capsys):
    for level, expected in (
        ("meta", {"INF009", "STA029"}),
        ("layout", {"INF009", "STA029"}),
        ("rows", {"INF009", "STA029", "ROW017"}),
        ("decode", {"INF009", "STA029", "ROW017"}),
    ):
        code, out, _ = run(capsys, "verify", broken, "--level", level, "--json")
        assert (code, found(out), json.loads(out)["summary"]["level"]) == (1, expected, level)


def level_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str, set[str]]:
    """Return the level of a verification, the reason for it, and the codes that it finds."""
    _, out, _ = run(capsys, "verify", *arguments, "--json")
    summary = json.loads(out)["summary"]
    return summary["level"], summary["level_reason"], found(out)


def test_a_local_dataset_has_its_rows_verified_and_the_report_says_why(broken: Path, capsys):
    everything = {"INF009", "STA029", "ROW017"}
    assert level_of(capsys, broken) == ("rows", "the default for a local dataset", everything)
    source = ("--against", DATA / "images")
    level, reason, codes = level_of(capsys, broken, *source)
    assert (level, reason) == ("rows", "which a comparison with a source needs")
    assert {"INF021", "ROW021"} <= codes
    assert level_of(capsys, broken, *source, "--level", "meta")[:2] == ("meta", "as --level says")
    (broken / "episeek.toml").write_text('level = "layout"\n')
    assert level_of(capsys, broken) == ("layout", "as the configuration file says", everything - {"ROW017"})
    assert level_of(capsys, broken, *source)[:2] == ("rows", "which a comparison with a source needs")
    assert level_of(capsys, broken, "--no-config")[0] == "rows"


def test_exit_codes(broken: Path, tmp_path: Path, capsys):
    assert run(capsys, "verify", DATA / "images")[0] == 0
    assert run(capsys, "verify", broken)[0] == 1
    assert run(capsys, "verify", broken, "--fail-on", "never")[0] == 0
    assert run(capsys, "verify", broken, "--ignore", "INF009")[0] == 1
    assert run(capsys, "verify", broken, "--ignore", "INF009,ROW")[0] == 0
    assert run(capsys, "verify", broken, "--ignore", "INF009,ROW", "--fail-on", "warning")[0] == 1
    assert run(capsys, "verify", broken, "--severity", "INF009=warning,ROW017=warning")[0] == 0
    assert run(capsys, "verify", tmp_path / "nothing")[0] == 2
    code, out, err = run(capsys, "verify", broken, "--ignore", "INF09")
    assert (code, out) == (2, "")
    assert "INF09" in err
    assert "INF009" in err
    for wrong, named in ((broken / "meta/info.json", "a file"), ("", "SRC")):
        code, _, err = run(capsys, "verify", wrong)
        assert (code, err.count("\n"), named in err) == (2, 1, True)
    code, _, err = run(capsys, "verify", "hf://datasets/a/b", "--fix")
    assert (code, "episeek prepare" in err) == (2, True)
    code, _, err = run(capsys, "verify", broken, "--dry-run")
    assert (code, err) == (2, "episeek: error: --dry-run: found without --fix; expected both\n")


def test_several_reports_at_once(broken: Path, tmp_path: Path, capsys):
    names = ("a.txt", "a.json", "a.xml", "a.sarif", "a.md", "a.html")
    outputs = [part for name in names for part in ("--output", tmp_path / "reports" / name)]
    lines = tmp_path / "annotations"
    code, out, _ = run(capsys, "verify", broken, *outputs, "--output", f"github:{lines}", "--format", "markdown")
    assert code == 1
    assert out == (tmp_path / "reports/a.md").read_text()
    assert found((tmp_path / "reports/a.json").read_text()) == {"INF009", "ROW017", "STA029"}
    assert json.loads((tmp_path / "reports/a.sarif").read_text())["version"] == "2.1.0"
    assert ElementTree.parse(tmp_path / "reports/a.xml").getroot().tag == "testsuites"
    assert (tmp_path / "reports/a.html").read_text().startswith("<!doctype html>")
    assert "::error " in lines.read_text()
    assert set(os.listdir(tmp_path / "reports")) == set(names)


def test_reports_have_the_revision_of_a_snapshot_and_the_date(tmp_path: Path, capsys):
    commit = "0123456789abcdef" * 2 + "01234567"
    root = tmp_path / f"datasets--org--name/snapshots/{commit}"
    shutil.copytree(DATA / "images", root)
    page = tmp_path / "page.html"
    _, out, _ = run(capsys, "verify", root, "--json", "--output", page)
    assert json.loads(out)["summary"]["revision"] == commit
    date = r"20\d\d-\d\d-\d\d \d\d:\d\d UTC"
    assert re.search(rf"<dt>Date</dt><dd>{date}</dd>\s*<dt>Revision</dt><dd>{commit}</dd>", page.read_text())
    _, out, _ = run(capsys, "verify", DATA / "h264_bframes", "--format", "markdown", "--level", "meta")
    assert re.search(rf"\nVerified {date} with episeek ", out)


def test_no_report_among_the_files_of_the_dataset(broken: Path, tmp_path: Path, capsys):
    for place in (broken / "meta/info.json", broken / "data/report.json", tmp_path):
        code, _, err = run(capsys, "verify", broken, "--output", f"json:{place}")
        assert (code, err.count("\n")) == (2, 1)
    assert json.loads((broken / "meta/info.json").read_text())["total_frames"] == 1
    assert run(capsys, "verify", broken, "--output", broken / "report.json")[0] == 1
    (broken / "README.md").write_text("# A card\n")
    assert run(capsys, "verify", broken, "--output", broken / "README.md")[0] == 2
    assert (broken / "README.md").read_text() == "# A card\n"
    assert run(capsys, "verify", broken, "--output", "json:x", "--output", "html:x")[0] == 2
    assert run(capsys, "verify", broken, "--fix", "--write-baseline", broken / "data/x.json")[0] == 2
    code, _, err = run(capsys, "verify", broken, "--output", "report.docx")
    assert code == 2
    assert "report.docx" in err


def test_settings_at_the_dataset_root(broken: Path, tmp_path: Path, capsys):
    (broken / "episeek.toml").write_text('level = "decode"\nignore = ["STA"]\n[severity]\nROW017 = "warning"\n')
    code, out, _ = run(capsys, "verify", broken, "--json")
    assert (code, found(out), json.loads(out)["summary"]["level"]) == (1, {"INF009", "ROW017"}, "decode")
    assert json.loads(out)["summary"]["warnings"] == 1
    assert json.loads(out)["summary"]["ignored"] == 1
    assert "settings are read from" in run(capsys, "verify", broken)[2]
    code, out, err = run(capsys, "verify", broken, "--no-config", "--json")
    assert (code, found(out), err) == (1, {"INF009", "ROW017", "STA029"}, "")
    (tmp_path / "other.toml").write_text('select = ["EPI"]\n')
    assert run(capsys, "verify", broken, "--config", tmp_path / "other.toml")[0] == 0
    (broken / "episeek.toml").write_text("selct = []\n")
    code, _, err = run(capsys, "verify", broken)
    assert code == 2
    assert "select" in err


def test_a_baseline_accepts_what_is_there_and_not_what_is_new(broken: Path, tmp_path: Path, capsys):
    baseline = tmp_path / "accepted.json"
    code, out, _ = run(capsys, "verify", broken, "--write-baseline", baseline)
    assert code == 0
    assert out.endswith("findings accepted\n") or out.endswith("finding accepted\n")
    code, out, err = run(capsys, "verify", broken, "--baseline", baseline)
    assert (code, err) == (0, "")
    assert "accepted by the baseline" in out
    set_value(broken, EPISODES, "dataset_to_index", 3, 1000)
    code, out, _ = run(capsys, "verify", broken, "--baseline", baseline, "--json")
    assert (code, found(out)) == (1, {"EPI010"})
    shutil.copyfile(DATA / "images/meta/info.json", broken / "meta/info.json")
    _, _, err = run(capsys, "verify", broken, "--baseline", baseline)
    assert "accepted.json: 1 entry no longer occurs" in err
    (broken / "README.md").mkdir()
    code, _, err = run(capsys, "verify", broken, "--write-baseline", baseline)
    assert (code, "not accepted" in err) == (1, True)
    (broken / "README.md").rmdir()
    code, _, err = run(capsys, "verify", broken, "--baseline", tmp_path / "nothing.json")
    assert code == 2
    assert "nothing.json" in err


def test_mending(tmp_path: Path, capsys):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    collapse(root, data(1))
    before = (root / data(1)).read_bytes()
    code, out, _ = run(capsys, "verify", root, "--fix", "--dry-run")
    assert code == 1
    assert f"+++ {data(1)}" in out
    assert (root / data(1)).read_bytes() == before
    code, out, _ = run(capsys, "verify", root, "--fix", "--against", DATA / "av1_multifile")
    assert "done: " in out
    assert "ROW021" not in out
    assert run(capsys, "verify", root, "--select", "ROW018")[0] == 0
    _, out, _ = run(capsys, "verify", root, "--fix")
    assert "no finding can be fixed in place" in out


def test_a_pipe_in_the_place_of_a_document_is_no_reason_to_wait(broken: Path, capsys):
    os.mkfifo(broken / "README.md")
    code, out, _ = run(capsys, "verify", broken, "--json")
    assert (code, found(out)) == (1, {"INF009", "ROW017", "STA029", "VER001"})


@full_run
def test_closed_streams(broken: Path):
    program = [sys.executable, "-m", "episeek_pipelines.cli", "verify", str(DATA / "images")]
    for redirection in (">&-", "2>&-", ">&- 2>&-"):
        assert subprocess.run(["sh", "-c", f'"$@" {redirection}', "sh", *program], timeout=60).returncode == 0


def test_the_choices_are_those_of_the_library():
    command = argparse.ArgumentParser()
    verify.add_arguments(command)
    choices = {action.dest: action.choices for action in command._actions if action.choices is not None}
    assert tuple(choices["level"]) == LEVELS
    assert tuple(choices["format"]) == FORMATS
    assert tuple(choices["fail_on"]) == FAIL_ON


def test_training_sizes(broken: Path, capsys):
    assert found(run(capsys, "verify", broken, "--world-size", 5, "--json")[1]) >= {"TRN037"}
    both = run(capsys, "verify", broken, "--world-size", 2, "--num-workers", 3, "--json")[1]
    assert "TRN037W" in found(both)


def test_burned_in_numbers(tmp_path: Path, capsys):
    root = copy_of("hevc", tmp_path)
    every = ("--level", "decode", "--decode-episodes", "all")
    arguments = ("verify", root, *every, "--ignore", "VID046", "--burned-in-bits")
    assert run(capsys, *arguments, 8)[0] == 0
    code, out, _ = run(capsys, *arguments, 9, "--json")
    assert (code, found(out)) == (1, {"VID026W", "VID027"})


def test_rules_are_listed_and_explained(capsys):
    code, out, _ = run(capsys, "rules")
    assert code == 0
    assert "VID024W" in out
    code, out, _ = run(capsys, "rules", "vid024", "IDX034")
    assert code == 0
    assert "lerobot#2627" in out
    assert "IDX034" in out
    _, out, _ = run(capsys, "rules", "--json", "VID024")
    assert [rule["code"] for rule in json.loads(out)] == ["VID024"]
    _, out, _ = run(capsys, "rules", "--json", "tsk", "idx")
    assert {rule["code"][:3] for rule in json.loads(out)} == {"TSK", "IDX"}
    code, out, _ = run(capsys, "rules", "tsk")
    assert (code, out.split()[:2]) == (0, ["TSK014", "error"])
    code, out, err = run(capsys, "rules", "VID99")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_quiet_shows_what_made_it_fail(tmp_path: Path, capsys):
    root = copy_of("images", tmp_path)
    (root / "meta/stats.json").unlink()
    code, out, _ = run(capsys, "verify", root, "--quiet", "--fail-on", "warning")
    assert code == 1
    assert "STA029" in out
    assert run(capsys, "verify", root, "--quiet") == (0, "", "")

"""`episeek verify` of several datasets and of folders: one report, one exit code."""

import json
import shutil
from pathlib import Path

import pytest

from episeek_pipelines.api import prepare
from episeek_pipelines.cli.main import main
from tests.support.broken_datasets import edit_info
from tests.support.many_datasets import plain_dataset


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clean dataset, one with an error, and one deeper that overlays another."""
    monkeypatch.chdir(tmp_path)
    plain_dataset(tmp_path / "robots/a")
    shutil.copytree("robots/a", "robots/b")
    edit_info(tmp_path / "robots/b", total_frames=1)
    prepare("robots/a", "robots/deep/c")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["verify", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def roots(out: str) -> list[str]:
    return [document["summary"]["root"] for document in json.loads(out)["datasets"]]


def test_folders_and_datasets_make_one_report(folder: Path, capsys):
    code, out, _ = run(capsys, "robots", "--json", "--output", "all.html")
    assert (code, roots(out)) == (1, ["robots/a", "robots/b", "robots/deep/c"])
    assert json.loads(out)["summary"]["by_code"] == {"INF009": 1}
    assert "1 of 3 datasets with errors" in (folder / "all.html").read_text()
    # each once, and one alone as ever
    code, out, _ = run(capsys, "robots/a", "robots/deep", "robots/a", "--json")
    assert (code, roots(out)) == (0, ["robots/a", "robots/deep/c"])
    code, out, _ = run(capsys, "robots/a", "--json")
    assert (code, json.loads(out)["summary"]["root"]) == (0, "robots/a")
    code, out, _ = run(capsys, "robots/deep", "--json")
    assert (code, json.loads(out)["summary"]["root"]) == (0, "robots/deep/c")


def test_each_dataset_has_its_own_settings(folder: Path, capsys):
    (folder / "robots/b/episeek.toml").write_text('ignore = ["INF009"]\n')
    code, _, err = run(capsys, "robots", "--quiet")
    assert code == 0
    assert "robots/b/episeek.toml" in err


def test_quiet_shows_what_fails_and_where(folder: Path, capsys):
    code, out, _ = run(capsys, "robots", "--quiet")
    assert code == 1
    assert out.splitlines()[0] == "robots/b:"
    assert "INF009" in out


def test_a_dataset_that_cannot_be_verified_is_a_finding(folder: Path, capsys):
    """Its settings are wrong: the others are verified all the same."""
    (folder / "robots/b/episeek.toml").write_text("level = 7\n")
    code, out, _ = run(capsys, "robots", "--json")
    assert code == 1
    assert json.loads(out)["summary"]["by_code"] == {"VER001": 1}


@pytest.mark.parametrize(
    "options", [["--fix"], ["--against", "robots/a"], ["--data-root", "robots/a"], ["--write-baseline", "x.json"]]
)
def test_options_for_one_dataset_are_refused(options: list[str], folder: Path, capsys):
    code, _, err = run(capsys, "robots", *options)
    assert code == 2
    assert "found with 3 datasets; expected one dataset" in err


def test_a_place_that_does_not_exist_is_refused(folder: Path, capsys):
    code, _, err = run(capsys, "robots/a", "robots/x")
    assert code == 2
    assert "robots/x" in err

"""`episeek diff`: exit codes, formats, and the output that the document shows."""

import json
import re
import shutil
from pathlib import Path

import pytest

from episeek_pipelines.cli.main import main
from tests.pipelines.conftest import DATA, change_episodes, copy_dataset

DOCUMENT = Path(__file__).parents[4] / "docs/diff.md"


def test_exit_codes_are_those_of_diff(tmp_path, capsys):
    assert main(["diff", str(DATA / "images"), str(DATA / "images")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Equal: all 4 episodes")
    assert main(["diff", "-q", str(DATA / "images"), str(DATA / "v21_images")]) == 1
    assert capsys.readouterr().out == ""
    assert main(["diff", str(DATA / "images"), str(tmp_path / "nothing")]) == 2
    assert "nothing: found no such directory" in capsys.readouterr().err
    uncertain = copy_dataset("h264_bframes", tmp_path / "copy")
    for name, value in (("from_timestamp", 1000.0), ("to_timestamp", 1001.0)):
        change_episodes(uncertain, f"videos/observation.images.top/{name}", 5, value)
    assert main(["diff", str(DATA / "h264_bframes"), str(uncertain)]) == 2
    assert capsys.readouterr().out.splitlines()[-1].startswith("Undecided: no difference was found")


def test_another_layout_counts_only_where_it_is_asked_for(tmp_path, capsys):
    copy = copy_dataset("images", tmp_path / "copy")
    (copy / "README.md").write_text("# A card\n")
    assert main(["diff", str(DATA / "images"), str(copy)]) == 0
    assert "README.md" in capsys.readouterr().out
    assert main(["diff", "--layout", str(DATA / "images"), str(copy)]) == 1
    assert "the layout differs" in capsys.readouterr().out.splitlines()[-1]


def test_formats_and_reports(tmp_path, capsys):
    sides = [str(DATA / "av1_multifile"), str(DATA / "edited")]
    page, document = tmp_path / "changes.html", tmp_path / "changes.json"
    assert main(["diff", *sides, "--json", "--output", str(page), "--output", str(document)]) == 1
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found == json.loads(document.read_text())
    assert (found["verdict"], found["removed"], found["equal_count"]) == ("different", [2, 5], 4)
    assert found["changed"][0]["videos"][0]["camera"] == "observation.images.wrist"
    text = re.sub(r"<wbr>|<style>.*?</style>", "", page.read_text(), flags=re.DOTALL)
    assert "only in A" in text
    assert "3-4 -&gt; 2-3" in text
    assert printed.err.count("wrote ") == 2
    assert main(["diff", *sides, "--output", str(tmp_path / "x")]) == 2
    assert main(["diff", *sides, "--json", "--format", "html"]) == 2
    assert main(["diff", *sides, "--output", str(DATA / "edited/meta/x.json")]) == 2
    assert not (DATA / "edited/meta/x.json").exists()


def test_names_of_hostile_datasets_are_escaped(tmp_path, capsys):
    hostile = shutil.copytree(DATA / "images", tmp_path / "<script>x")
    info = json.loads((hostile / "meta/info.json").read_text())
    (hostile / "meta/info.json").write_text(json.dumps({**info, "robot_type": "<script>alert(1)</script>\x1b[31m"}))
    assert main(["diff", str(DATA / "images"), str(hostile), "--format", "html"]) == 1
    page = capsys.readouterr().out
    assert "<script" not in page
    assert main(["diff", str(DATA / "images"), str(hostile)]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_the_document_shows_what_is_printed(tmp_path, monkeypatch, capsys):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/data").symlink_to(DATA)
    monkeypatch.chdir(tmp_path)
    main(["diff", "tests/data/av1_multifile", "tests/data/edited"])
    shown = re.findall(r"^```text\n(.*?)^```$", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert capsys.readouterr().out == shown[0]


@pytest.mark.parametrize("side", [0, 1])
def test_a_name_of_the_hub_gets_a_hint(side, capsys):
    sides = [str(DATA / "images"), str(DATA / "images")]
    sides[side] = "lerobot/pusht"
    assert main(["diff", *sides]) == 2
    assert "hint: give hf://datasets/lerobot/pusht for a dataset on the Hub" in capsys.readouterr().err

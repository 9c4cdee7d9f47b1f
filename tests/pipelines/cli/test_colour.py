"""Colours: on terminals and with FORCE_COLOR, never in pipes and files, never with NO_COLOR."""

import io
import re
from pathlib import Path

import pytest

from episeek_pipelines.cli.colour import paint_for
from episeek_pipelines.cli.main import main
from tests.support.broken_datasets import copy_of, edit_info

ESCAPE = re.compile("\x1b" + r"\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("stream", "settings", "has_colours"),
    [
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_where_there_are_colours(stream, settings, has_colours, monkeypatch):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert (ESCAPE.search(paint_for(stream)("error", "error")) is not None) == has_colours


def test_colours_change_no_text_and_stay_out_of_files(tmp_path: Path, capsys, monkeypatch):
    root = copy_of("images", tmp_path)
    edit_info(root, total_frames=1)
    arguments = ["verify", str(root), "--output", str(tmp_path / "report.txt")]
    assert main(arguments) == 1
    plain = capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(arguments) == 1
    coloured = capsys.readouterr().out
    assert "\x1b[1;31merror\x1b[0m \x1b[1mINF009\x1b[0m" in coloured
    assert ESCAPE.sub("", coloured) == plain
    assert (tmp_path / "report.txt").read_text() == plain


def test_an_error_is_red(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["inspect", "nothing/at/all"]) == 2
    assert capsys.readouterr().err.startswith("episeek: \x1b[1;31merror:\x1b[0m nothing/at/all")

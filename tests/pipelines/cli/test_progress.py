import io

import pytest

from episeek_pipelines.cli.progress import Tally, display_progress
from episeek_pipelines.jobs.progress import Phase

PHASES = (
    Phase("reading headers", 4),
    Phase("rewriting", 2, byte_count=3_000_000),
    Phase("checking", 40, unit="part"),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_next_phase_is_shown_before_anything_is_finished():
    assert str(Tally(PHASES)) == "reading headers 0 of 4 files"


def test_phases_in_progress_are_shown_with_files_and_bytes():
    tally = Tally(PHASES)
    tally.add("reading headers", 1, 0)
    tally.add("rewriting", 1, 1_000_000)
    assert str(tally) == "reading headers 1 of 4 files; rewriting 1 of 2 files, 1.0 MB of 3.0 MB"
    tally.add("reading headers", 3, 0)
    tally.add("rewriting", 1, 2_000_000)
    assert str(tally) == "checking 0 of 40 parts"
    tally.add("checking", 40, 0)
    assert str(tally) == "done"
    assert tally.done == tally.total == 46


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    report = display_progress("prepare", PHASES)
    assert "prepare: reading headers 0 of 4 files:   0%" in stream.getvalue()
    for name, count in (("reading headers", 4), ("rewriting", 2), ("checking", 40)):
        report(name, count, 0)
    assert "prepare: done: 100%" in stream.getvalue()
    assert stream.getvalue().rstrip(" \n").endswith("left")


def test_a_line_from_time_to_time_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    now = iter([100.0, 110.0, 120.0, 121.0])
    monkeypatch.setattr("episeek_pipelines.cli.progress.time.monotonic", lambda: next(now))
    report = display_progress("prepare", PHASES)
    report("reading headers", 4, 0)
    report("rewriting", 1, 1_500_000)
    report("rewriting", 1, 1_500_000)
    line = "prepare: rewriting 1 of 2 files, 1.5 MB of 3.0 MB; 20 s, about 164 s left\n"
    assert capsys.readouterr().err == line

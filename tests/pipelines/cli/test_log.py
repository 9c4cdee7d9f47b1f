"""Events on standard error with `--log-json`."""

import json

import pytest

from episeek_pipelines.cli.main import main
from tests.pipelines.conftest import DATA, copy_dataset


def events(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_run_in_events(tmp_path, capsys):
    assert main(["prepare", str(DATA / "hevc"), str(tmp_path / "out"), "--log-json"]) == 0
    found = events(capsys)
    assert all(event["time"].endswith("Z") for event in found)
    assert (found[0]["event"], found[-1]["event"]) == ("phases", "end")
    assert (found[-1]["command"], found[-1]["exit_code"]) == ("prepare", 0)
    totals = {phase["phase"]: phase["units"] for phase in found[0]["phases"]}
    done = {event["phase"]: event["units"] for event in found if event["event"] == "progress"}
    assert done == totals


def test_errors_with_their_parts(tmp_path, capsys):
    source = copy_dataset("hevc", tmp_path / "source")
    for video in source.rglob("*.mp4"):
        video.write_bytes(b"")
    assert main(["prepare", str(source), str(tmp_path / "out"), "--log-json", "--quiet"]) == 2
    found = events(capsys)
    errors = [event for event in found if event["event"] == "error"]
    assert [error["kind"] for error in errors][-1] == "WorkFailedError"
    assert {error["where"] for error in errors[:-1]} == {
        path.relative_to(source).as_posix() for path in source.rglob("*.mp4")
    }
    assert errors[-1]["expected"] == "every item to succeed"
    assert found[-1]["exit_code"] == 2


@pytest.mark.parametrize("arguments", [["prepare", "nowhere", "out"], ["verify", "nowhere"]])
def test_a_wrong_source(arguments, capsys):
    assert main([*arguments, "--log-json"]) == 2
    error, end = events(capsys)
    assert error["where"] == "nowhere"
    assert end["event"] == "end"

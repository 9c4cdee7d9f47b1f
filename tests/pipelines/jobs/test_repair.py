"""The job `repair`: what is chosen, recorded and compared; which datasets come out is in `tests/repairs`."""

import json
from pathlib import Path

import pytest

from episeek.errors import DestinationError, UnsupportedVersionError
from episeek_pipelines.api import REPAIRS, Execution, RepairChoice, plan_repair, prepare, repair, verify
from episeek_pipelines.cli.main import main
from tests.repairs.matrix import digests
from tests.support.broken_datasets import EPISODES, copy_of, edit_info, edit_parquet, set_value
from tests.support.build_index import DATA

SYNC = Execution("sync")
RECORD = ".episeek/repairs.json"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A dataset with two defects."""
    root = copy_of("h264_bframes", tmp_path, name="broken")
    edit_info(root, total_frames=233)
    set_value(root, EPISODES, "length", 1, 41)
    return root


def test_what_is_repaired_is_recorded_and_compared_exactly(broken: Path, tmp_path: Path):
    result = repair(str(broken), str(tmp_path / "out"), execution=SYNC)
    assert {"EPI010", "INF009", "ROW015"} <= {each.code for each in result.before.findings}
    assert result.after is not None
    assert result.after.error_count == 0 < result.before.error_count
    assert [(each.code, each.before, each.after) for each in result.made.repairs] == [
        ("REP008", 41, 40),
        ("REP015", 233, 234),
    ]
    recorded = json.loads((tmp_path / "out" / RECORD).read_text())
    assert recorded == result.made.as_document()
    assert verify(str(tmp_path / "out"), against=str(broken), execution=SYNC).error_count == 0


def test_a_comparison_accepts_the_recorded_repairs_alone(broken: Path, tmp_path: Path):
    repair(str(broken), str(tmp_path / "out"), execution=SYNC)
    # a difference that no repair explains
    set_value(tmp_path / "out", EPISODES, "tasks", 0, ["open the drawer"])
    compared = verify(str(tmp_path / "out"), against=str(broken), execution=SYNC)
    assert "EPI021" in {each.code for each in compared.findings}


def test_a_comparison_refuses_a_record_that_the_source_does_not_prove(broken: Path, tmp_path: Path):
    repair(str(broken), str(tmp_path / "out"), execution=SYNC)
    path = tmp_path / "out" / RECORD
    record = json.loads(path.read_text())
    record["repairs"][0]["after"] = 39
    path.write_text(json.dumps(record))
    compared = verify(str(tmp_path / "out"), against=str(broken), execution=SYNC)
    assert [each.location.file for each in compared.findings if each.code == "INF021"] == [RECORD]


def test_a_comparison_sees_that_the_source_has_changed(broken: Path, tmp_path: Path):
    repair(str(broken), str(tmp_path / "out"), execution=SYNC)
    edit_info(broken, total_frames=234)
    compared = verify(str(tmp_path / "out"), against=str(broken), execution=SYNC)
    assert RECORD in {each.location.file for each in compared.findings if each.code == "INF021"}


def test_only_and_skip_choose(broken: Path, tmp_path: Path):
    assert [each.code for each in plan_repair(str(broken), choice=RepairChoice(only=("REP015",))).repairs] == []
    assert [each.code for each in plan_repair(str(broken), choice=RepairChoice(only=("REP008",))).repairs] == ["REP008"]
    result = repair(str(broken), str(tmp_path / "out"), choice=RepairChoice(skip=("REP015",)), execution=SYNC)
    assert [each.code for each in result.made.repairs] == ["REP008"]
    assert result.after is not None
    assert "INF009" in {each.code for each in result.after.findings}


def test_a_second_run_does_nothing_and_another_choice_is_refused(broken: Path, tmp_path: Path):
    first = repair(str(broken), str(tmp_path / "out"), execution=SYNC)
    before = digests(tmp_path / "out")
    second = repair(str(broken), str(tmp_path / "out"), execution=SYNC)
    assert second.preparation.is_current
    assert second.made == first.made
    assert digests(tmp_path / "out") == before
    with pytest.raises(DestinationError, match="repairs"):
        prepare(str(tmp_path / "broken"), str(tmp_path / "out"), execution=SYNC)


def test_a_repaired_dataset_needs_no_repair(broken: Path, tmp_path: Path):
    repair(str(broken), str(tmp_path / "out"), videos="copy", execution=SYNC)
    again = plan_repair(str(tmp_path / "out"))
    assert (again.repairs, again.refusals) == ((), ())


def test_repairs_are_the_same_under_processes(broken: Path, tmp_path: Path):
    repair(str(broken), str(tmp_path / "one"), execution=SYNC)
    repair(str(broken), str(tmp_path / "two"), execution=Execution("processes", workers=2))
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert {path: found for path, found in one.items() if "episeek-run" not in path} == {
        path: found for path, found in two.items() if "episeek-run" not in path
    }


def test_the_work_of_a_run_holds_no_repaired_files_afterwards(broken: Path, tmp_path: Path):
    repair(str(broken), str(tmp_path / "out"), execution=SYNC)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "out"]


def test_datasets_of_version_2_are_upgraded_first(tmp_path: Path):
    with pytest.raises(UnsupportedVersionError, match="episeek upgrade"):
        plan_repair(str(DATA / "v21_images"))


def test_sound_samples_need_no_repair():
    for name in ("av1_multifile", "h264_bframes", "hevc", "images", "edited"):
        made = plan_repair(str(DATA / name))
        assert (made.repairs, made.refusals) == ((), ()), name


def test_a_dry_run_shows_the_diff_and_writes_nothing(broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    before = digests(tmp_path)
    assert main(["repair", str(broken), str(tmp_path / "out"), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert (
        "REP008   meta/episodes/chunk-000/file-000.parquet, episode 1, row 1, length\n       - 41\n       + 40\n"
        in shown
    )
    assert digests(tmp_path) == before


def test_the_command_says_what_is_left(broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    set_value(broken, "data/chunk-000/file-000.parquet", "timestamp", 7, 0.3)
    arguments = ["repair", str(broken), str(tmp_path / "out"), "--skip", "REP011", "--scheduler", "sync", "--json"]
    assert main(arguments) == 1
    document = json.loads(capsys.readouterr().out)
    assert [each["code"] for each in document["repairs"]["repairs"]] == ["REP008", "REP015"]
    assert [each["title"] for each in document["repairs"]["repairs"]] == [
        REPAIRS["REP008"].title,
        REPAIRS["REP015"].title,
    ]
    assert {each["code"] for each in document["verification"]["findings"]} == {"ROW017"}
    assert "EPI010" in {each["code"] for each in document["before"]["findings"]}


def test_what_has_two_readings_is_shown_with_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    edit_parquet(root, "data/chunk-000/file-000.parquet", lambda groups: [groups[0].slice(0, 48), *groups[1:]])
    assert main(["repair", str(root), str(tmp_path / "out"), "--scheduler", "sync"]) == 1
    shown = capsys.readouterr().out
    assert "either the episode has 48 rows" in shown
    assert "or 1 row of the episode lost" in shown
    assert "ROW015" in shown


def test_prepare_repairs_too(broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["prepare", str(broken), str(tmp_path / "out"), "--repair", "--scheduler", "sync"]) == 0
    assert "REP008" in capsys.readouterr().out
    assert (tmp_path / "out" / RECORD).exists()


@pytest.mark.parametrize("option", ["--publish", "--dry-run", "--skip-episodes=1"])
def test_repairs_go_with_other_options_or_are_refused(option: str, broken: Path, tmp_path: Path):
    assert main(["prepare", str(broken), str(tmp_path / "out"), "--repair", option]) == 2


def test_codes_that_do_not_exist_are_refused(broken: Path, tmp_path: Path):
    with pytest.raises(SystemExit):
        main(["repair", str(broken), str(tmp_path / "out"), "--only", "REP999"])
    with pytest.raises(ValueError, match="REP999"):
        RepairChoice(only=("REP999",))

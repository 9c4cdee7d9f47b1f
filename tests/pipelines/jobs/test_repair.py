"""The job `repair`: what is chosen, recorded and compared; which datasets come out is in `tests/repairs`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import DestinationError, MetadataError, UnsupportedVersionError
from episeek_pipelines.api import (
    REPAIRS,
    Execution,
    RepairChoice,
    RepairResult,
    VerifyOptions,
    plan_repair,
    prepare,
    repair,
    verify,
)
from episeek_pipelines.cli.main import main
from episeek_pipelines.statistics.names import QUANTILES
from tests.broken.takes import LENGTHS, set_seconds_by_lengths, write_takes
from tests.repairs.files import cut
from tests.repairs.matrix import defects_of, digests
from tests.support import bar_code
from tests.support.amount import IS_FULL, first, full_run
from tests.support.broken_datasets import (
    EPISODES,
    TOP,
    copy_of,
    data,
    data_files,
    edit_info,
    edit_parquet,
    edit_statistics,
    set_value,
    set_values,
)
from tests.support.build_index import DATA

SYNC = Execution("sync")
RECORD = ".episeek/repairs.json"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A dataset with two defects."""
    return damaged(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RepairResult]:
    """A folder with such a dataset and the repaired one, `out`, and the result. Tests that change files copy it."""
    folder = tmp_path_factory.mktemp("repair")
    return folder, repair(str(damaged(folder)), str(folder / "out"), execution=SYNC)


@pytest.fixture
def copied(shared: tuple[Path, RepairResult], tmp_path: Path) -> Path:
    """A copy of the folder."""
    return Path(shutil.copytree(shared[0], tmp_path / "copy"))


def damaged(folder: Path) -> Path:
    root = copy_of("h264_bframes", folder, name="broken")
    edit_info(root, total_frames=233)
    set_value(root, EPISODES, "length", 1, 41)
    return root


def test_what_is_repaired_is_recorded_and_compared_exactly(shared: tuple[Path, RepairResult]):
    folder, result = shared
    assert {"EPI010", "INF009", "ROW015"} <= {each.code for each in result.before.findings}
    assert result.after is not None
    assert result.after.error_count == 0 < result.before.error_count
    assert [(each.code, each.before, each.after) for each in result.made.repairs] == [
        ("REP008", 41, 40),
        ("REP015", 233, 234),
    ]
    recorded = json.loads((folder / "out" / RECORD).read_text())
    assert recorded == result.made.as_document()
    assert verify(str(folder / "out"), against=str(folder / "broken"), execution=SYNC).error_count == 0
    assert sorted(path.name for path in folder.iterdir()) == ["broken", "out"]


def test_a_comparison_accepts_the_recorded_repairs_alone(copied: Path):
    # a difference that no repair explains
    set_value(copied / "out", EPISODES, "tasks", 0, ["open the drawer"])
    compared = verify(str(copied / "out"), against=str(copied / "broken"), execution=SYNC)
    assert "EPI021" in {each.code for each in compared.findings}


def test_a_comparison_refuses_a_record_that_the_source_does_not_prove(copied: Path):
    path = copied / "out" / RECORD
    record = json.loads(path.read_text())
    record["repairs"][0]["after"] = 39
    path.write_text(json.dumps(record))
    compared = verify(str(copied / "out"), against=str(copied / "broken"), execution=SYNC)
    assert [each.location.file for each in compared.findings if each.code == "INF021"] == [RECORD]


def test_each_statistic_that_is_wrong_is_listed_and_no_other_changes(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    recorded = json.loads((root / "meta/stats.json").read_text())["action"]
    edit_statistics(root, lambda statistics: statistics["action"].update(mean=[3.0] * 6, q90=[9.0] * 6))
    maximum = pq.read_table(root / EPISODES)["stats/action/max"].to_pylist()[1]
    set_value(root, EPISODES, "stats/action/max", 1, [value + 1 for value in maximum])
    set_value(root, EPISODES, "stats/action/mean", 1, [value + 1 for value in maximum])
    result = repair(str(root), str(tmp_path / "out"), choice=RepairChoice(only=("REP019", "REP020")), execution=SYNC)
    assert [(each.code, each.proof.partition(" ")[0]) for each in result.made.repairs] == [
        ("REP019", "max"), ("REP019", "mean"), ("REP020", "mean"), ("REP020", "q90"),
    ]  # fmt: skip
    written = json.loads((tmp_path / "out/meta/stats.json").read_text())["action"]
    assert {name for name, values in written.items() if values != recorded[name]} <= {"mean", "q90"}
    assert np.allclose(written["mean"], recorded["mean"], rtol=1e-5)
    before, after = (pq.read_table(folder / EPISODES) for folder in (root, tmp_path / "out"))
    names = [name for name in before.column_names if name.startswith("stats/")]
    changed = {name for name in names if before[name].to_pylist() != after[name].to_pylist()}
    assert changed == {"stats/action/max", "stats/action/mean"}
    assert after["stats/action/max"].to_pylist()[1] == maximum


def test_quantiles_by_another_usual_definition_are_kept(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    rows = pa.concat_tables(pq.read_table(root / path) for path in data_files(root))
    states = np.array(rows["observation.state"].to_pylist())
    of_episode = np.array(rows["episode_index"])
    for name, share in QUANTILES.items():
        found = {
            (f"stats/observation.state/{name}", episode): np.quantile(
                states[of_episode == episode], share, axis=0, method="lower"
            ).tolist()
            for episode in range(6)
        }
        set_values(root, EPISODES, found)
    assert not [
        each
        for each in verify(str(root), options=VerifyOptions(level="rows"), execution=SYNC).findings
        if each.code == "STA029"
    ]
    made = plan_repair(str(root), choice=RepairChoice(only=("REP019",)))
    assert (made.repairs, made.refusals) == ((), ())
    # A sample beside these is no quantile by any definition.
    lowest = states[of_episode == 1].min(axis=0)
    set_value(root, EPISODES, "stats/observation.state/q50", 1, lowest.tolist())
    (repaired,) = plan_repair(str(root), choice=RepairChoice(only=("REP019",))).repairs
    assert (repaired.place.episode, repaired.proof.partition(" ")[0]) == (1, "q50")


def test_a_source_that_already_has_the_right_values_is_no_difference(copied: Path):
    compared = verify(str(copied / "out"), against=str(DATA / "h264_bframes"), execution=SYNC)
    assert compared.error_count == 0
    # The values are compared all the same.
    set_value(copied / "out", EPISODES, "tasks", 0, ["open the drawer"])
    compared = verify(str(copied / "out"), against=str(DATA / "h264_bframes"), execution=SYNC)
    assert "EPI021" in {each.code for each in compared.findings}


def test_a_comparison_sees_that_the_source_has_changed(copied: Path):
    edit_info(copied / "broken", total_frames=200)
    compared = verify(str(copied / "out"), against=str(copied / "broken"), execution=SYNC)
    assert RECORD in {each.location.file for each in compared.findings if each.code == "INF021"}


def test_only_and_skip_choose(broken: Path, tmp_path: Path):
    assert [each.code for each in plan_repair(str(broken), choice=RepairChoice(only=("REP015",))).repairs] == ["REP015"]
    assert [each.code for each in plan_repair(str(broken), choice=RepairChoice(only=("REP008",))).repairs] == ["REP008"]
    result = repair(str(broken), str(tmp_path / "out"), choice=RepairChoice(skip=("REP015",)), execution=SYNC)
    assert [each.code for each in result.made.repairs] == ["REP008"]
    assert result.after is not None
    assert "INF009" in {each.code for each in result.after.findings}


@pytest.mark.parametrize(
    ("code", "defect"),
    first([("REP015", "total_frames one less"), ("REP020", "a mean that no rows have"), ("REP009", "dataset_to_index one more"),
           ("REP010", "index jumps"), ("REP011", "timestamp off"),
           ("REP019", "a maximum of an episode that no row has")], 3),
)  # fmt: skip
def test_a_repair_that_is_chosen_alone_has_the_same_proofs(code: str, defect: str, tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    defects_of([defect])[0].damage(root)
    whole, alone = plan_repair(str(root)), plan_repair(str(root), choice=RepairChoice(only=(code,)))
    assert {each.code for each in alone.repairs} == {code}
    assert alone.repairs == whole.repairs
    assert alone.refusals == whole.refusals == ()


def test_totals_that_are_refused_are_no_defect_of_the_sidecars(tmp_path: Path):
    """The sidecars count the episodes and frames of meta/episodes, so that a new index would have the same totals."""
    root = copy_of("h264_bframes", tmp_path, indexed=True)
    edit_info(root, total_episodes=8, total_frames=300)
    assert {each.place.column for each in plan_repair(str(root)).refusals} == {"total_episodes", "total_frames"}
    found = verify(str(root), options=VerifyOptions(level="layout"), execution=SYNC)
    assert {each.code for each in found.findings} == {"INF009"}


@pytest.mark.parametrize(
    "choice",
    [
        RepairChoice(only=("REP015",)),
        RepairChoice(skip=("REP008",)),
        RepairChoice(only=("REP020",)),
        RepairChoice(only=("REP009",)),
    ],
)
def test_what_is_proved_does_not_depend_on_the_choice(choice: RepairChoice, broken: Path):
    edit_statistics(broken, lambda statistics: statistics["action"].update(mean=[3.0] * 6))
    set_value(broken, EPISODES, "dataset_to_index", 2, 7)
    whole = plan_repair(str(broken))
    assert {each.code for each in whole.repairs} == {"REP008", "REP009", "REP015", "REP020"}
    made = plan_repair(str(broken), choice=choice)
    assert made.repairs == tuple(each for each in whole.repairs if choice.includes(each.code))
    assert made.refusals == ()


def test_a_repair_that_is_left_out_writes_nothing(broken: Path, tmp_path: Path):
    set_value(broken, EPISODES, "dataset_to_index", 2, 7)
    repair(str(broken), str(tmp_path / "out"), choice=RepairChoice(only=("REP009",)), execution=SYNC)
    names = ("length", "dataset_to_index", "dataset_from_index")
    before, after, right = (
        pq.read_table(root / EPISODES, columns=list(names)).to_pydict()
        for root in (broken, tmp_path / "out", DATA / "h264_bframes")
    )
    assert after == {**right, "length": before["length"]}
    assert json.loads((tmp_path / "out/meta/info.json").read_text())["total_frames"] == 233


def test_nothing_is_proved_while_the_order_of_episodes_is_uncertain(broken: Path):
    set_values(broken, EPISODES, {("episode_index", 1): 2, ("episode_index", 2): 1})
    assert {each.code for each in plan_repair(str(broken)).refusals} >= {"REP005"}
    assert plan_repair(str(broken), choice=RepairChoice(skip=("REP005",))).repairs == ()


@pytest.mark.parametrize(
    ("first_defect", "left_out", "second_defect", "refused"),
    first([("episodes swapped", "REP005", "length one more", "REP008"), ("null video file", "REP021", "seconds drift", "REP018"),
           ("null episode_index of a row", "REP006", "total_frames one less", None),
           ("task_index in half the bits", "REP003", "schema metadata lost", "REP004")], 2),
)  # fmt: skip
def test_a_repair_that_builds_on_one_that_is_left_out_is_refused_by_its_code(
    first_defect: str, left_out: str, second_defect: str, refused: str | None, tmp_path: Path
):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    for defect in defects_of([first_defect, second_defect]):
        defect.damage(root)
    whole, made = plan_repair(str(root)), plan_repair(str(root), choice=RepairChoice(skip=(left_out,)))
    assert {each.code for each in whole.repairs} >= {left_out, refused or left_out}
    assert made.repairs == tuple(each for each in whole.repairs if each.code not in (left_out, refused))
    assert [(each.code, f"needs {left_out}" in each.readings[0]) for each in made.refusals] == (
        [(refused, True)] if refused else []
    )


def test_a_second_run_does_nothing_and_another_choice_is_refused(shared: tuple[Path, RepairResult]):
    folder, first = shared
    before = digests(folder)
    second = repair(str(folder / "broken"), str(folder / "out"), execution=SYNC)
    assert second.preparation.is_current
    assert second.made == first.made
    assert digests(folder) == before
    with pytest.raises(DestinationError, match=r"with repairs \(now no repairs\)"):
        prepare(str(folder / "broken"), str(folder / "out"), execution=SYNC)
    choice = RepairChoice(only=("REP015", "REP002"), skip_lost_episodes=True)
    with pytest.raises(DestinationError) as refusal:
        prepare(str(folder / "broken"), str(folder / "out"), repair=choice, execution=SYNC)
    said = str(refusal.value)
    assert "no --only, no --skip-lost-episodes (now --only REP002,REP015, --skip-lost-episodes)" in said
    assert "with --force" in said
    assert "{" not in said


@pytest.mark.parametrize("command", [["repair"], ["repair", "--dry-run"], ["prepare"], ["prepare", "--dry-run"]])
def test_an_overlay_is_refused_with_the_command_that_works(
    command: list[str], shared: tuple[Path, RepairResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    name, *options = command
    assert main([name, str(shared[0] / "out"), str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    # the overlay was repaired, and `prepare` alone would give back the defects of its source
    assert f"an overlay, without the videos, which are in {shared[0] / 'broken'}; expected" in said
    assert f"hint: read its source instead: `episeek repair {shared[0] / 'broken'} DST`\n" in said
    assert not (tmp_path / "out").exists()


def test_an_overlay_whose_source_has_changed_is_repaired_again(tmp_path: Path):
    root, out = damaged(tmp_path), tmp_path / "out"
    prepare(str(root), str(out), repair=RepairChoice(skip=("REP003", "REP011")), execution=SYNC)
    edit_info(root, robot_type="another")
    (found,) = [each for each in verify(str(out)).findings if each.code == "IDX045"]
    assert found.advice.endswith("into a new folder: `episeek repair SRC DST --skip REP003,REP011`")


def test_the_reader_does_not_take_repairs_for_changes_of_the_source(shared: tuple[Path, RepairResult]):
    # warnings are errors in tests: the totals of the source are others than those of the sidecars
    index = episeek.open(shared[0] / "out")
    assert index.clip(1, "observation.images.top").frame_count == 40


@pytest.mark.skipif(not IS_FULL, reason="starts processes: make test-all")
@full_run
def test_repairs_are_the_same_under_processes(shared: tuple[Path, RepairResult], tmp_path: Path):
    folder, _ = shared
    repair(str(folder / "broken"), str(tmp_path / "two"), execution=Execution("processes", workers=2))
    one, two = digests(folder / "out"), digests(tmp_path / "two")
    assert {path: found for path, found in one.items() if "episeek-run" not in path} == {
        path: found for path, found in two.items() if "episeek-run" not in path
    }


def test_a_repaired_dataset_needs_no_repair(copied: Path):
    shutil.copytree(copied / "broken/videos", copied / "out/videos")
    again = plan_repair(str(copied / "out"))
    assert (again.repairs, again.refusals) == ((), ())


@pytest.mark.parametrize("by_lengths", [False, True] if IS_FULL else [True])
def test_surplus_frames_of_a_take_keep_the_pictures_of_the_rows(by_lengths: bool, tmp_path: Path):
    """Every picture shows its episode and its frame: seven frames of no row follow episode 1, five come before episode 4."""
    root = copy_of("h264_bframes", tmp_path, name="takes")
    write_takes(root, tail={1: 7}, head={4: 5})
    if by_lengths:
        set_seconds_by_lengths(root)
    result = repair(str(root), str(tmp_path / "out"), execution=SYNC)
    assert {each.code for each in result.made.repairs} == ({"REP018"} if by_lengths else set())
    # neither lengths nor the seconds of a whole take tell which of its frames have rows
    (refused,) = result.made.refusals
    first = 167 if by_lengths else 49
    length, surplus = (33, 5) if by_lengths else (40, 7)
    readings = tuple(f"frames {start} to {start + length - 1}" for start in (first, first + surplus))
    assert (refused.place.episode, refused.readings) == (4 if by_lengths else 1, readings)
    index = episeek.open(tmp_path / "out")
    for episode, length in enumerate(LENGTHS):
        if by_lengths and episode == 4:
            continue
        pictures = np.asarray(index.clip(episode, TOP).decode("pyav").data)
        assert bar_code.read(pictures) == list(range(length))
        assert {*bar_code.read(pictures, line=1)} == {episode}


def test_datasets_of_version_2_are_upgraded_first(tmp_path: Path):
    with pytest.raises(UnsupportedVersionError, match="episeek upgrade"):
        plan_repair(str(DATA / "v21_images"))


def test_sound_samples_need_no_repair():
    for name in ("av1_multifile", "h264_bframes", "hevc", "images", "edited"):
        made = plan_repair(str(DATA / name))
        assert (made.repairs, made.refusals) == ((), ()), name


def delete_rows(root: Path, path: str, episode: int) -> None:
    keep = pc.field("episode_index") != episode
    edit_parquet(root, path, lambda groups: [table.filter(keep) for table in groups])


def delete_episode(root: Path) -> None:
    """Delete an episode without renumbering the others."""
    for path in (EPISODES, *data_files(root)):
        delete_rows(root, path, 2)


def lose_row_of_episode(root: Path) -> None:
    """Lose the row of an episode in meta/episodes; the last row has the same length as the lost one."""
    set_value(root, EPISODES, "length", 5, 40)
    delete_rows(root, EPISODES, 1)


def exchange_numbers(root: Path) -> None:
    set_values(root, EPISODES, {("episode_index", 1): 2, ("episode_index", 2): 1})


@pytest.mark.parametrize("damage", [delete_episode, lose_row_of_episode, exchange_numbers])
def test_no_episode_gets_the_number_of_another(damage: Callable[[Path], None], tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    damage(root)
    made = plan_repair(str(root))
    assert {each.code for each in made.repairs}.isdisjoint({"REP005", "REP007", "REP008", "REP009"})
    assert [each.code for each in made.refusals] == ["REP005"]
    assert len(made.refusals[0].readings) == 2


def test_a_split_that_overlaps_another_may_have_to_end_earlier(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    edit_info(root, splits={"train": "0:99", "val": "4:6"})
    made = plan_repair(str(root))
    assert made.repairs == ()
    (refused,) = made.refusals
    assert (refused.code, refused.place.column) == ("REP016", "splits.train")
    edit_info(root, splits={"val": "0:4", "train": "4:99"})
    assert [each.after for each in plan_repair(str(root)).repairs] == ["4:6"]


def test_episodes_in_another_order_in_a_data_file_are_an_error_and_are_not_moved(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    edit_parquet(root, data(0), lambda groups: [groups[1], groups[0], *groups[2:]])
    (found,) = [each for each in verify(str(root), execution=SYNC).findings if each.severity == "error"]
    assert (found.code, found.found, found.location.row) == ("ROW016", "episode 0 after episode 1", 40)
    made = plan_repair(str(root))
    assert made.repairs == ()
    assert [(each.code, each.found) for each in made.refusals] == [("REP010", "episode 0 after episode 1")]
    edit_parquet(root, data(0), lambda groups: sorted(groups, key=lambda rows: -rows["index"][0].as_py()))
    (refused,) = plan_repair(str(root)).refusals
    assert (refused.found, refused.more) == ("episode 4 after episode 5", 4)


def test_columns_that_a_file_has_twice_are_refused_by_name(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="episodes")
    edit_parquet(root, EPISODES, lambda groups: [each.append_column("length", each["length"]) for each in groups])
    errors = [each for each in verify(str(root), execution=SYNC).findings if each.severity == "error"]
    assert [(each.code, each.location.column) for each in errors] == [("EPI011", "length")]
    with pytest.raises(MetadataError, match="column 'length' twice"):
        plan_repair(str(root))
    rows = copy_of("images", tmp_path, name="rows")
    edit_parquet(rows, data(0), lambda groups: [each.append_column("index", each["index"]) for each in groups])
    report = repair(str(rows), str(tmp_path / "out"), execution=SYNC).after
    assert report is not None
    assert [(each.code, each.location.column) for each in report.findings] == [("INF003", "index")]


def test_a_dry_run_shows_the_diff_and_writes_nothing(broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    before = digests(tmp_path)
    assert main(["repair", str(broken), str(tmp_path / "out"), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert (
        "REP008   meta/episodes/chunk-000/file-000.parquet, episode 1, row 1, length\n       - 41\n       + 40\n"
        in shown
    )
    assert digests(tmp_path) == before


@pytest.mark.parametrize(("number", "shown", "before"), [(-1, "-1", -1), (None, "null", "no number")])
def test_a_negative_number_is_not_shown_as_a_null(number: int | None, shown: str, before: object, tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    set_value(root, data_files(root)[0], "index", 0, number)
    (made,) = plan_repair(str(root)).repairs
    assert (made.code, made.before, made.after) == ("REP010", before, 0)
    found = [each for each in verify(str(root), options=VerifyOptions(level="rows")).findings if each.code == "ROW016"]
    assert [(each.found, each.expected) for each in found] == [(f"index {shown}", "0")]


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
    assert "or the episode has lost 1 row" in shown
    assert "ROW015" in shown


def scale_actions(root: Path) -> None:
    """Change the rows, and keep all statistics: either the change or the statistics are wrong."""
    edit_parquet(root, data_files(root)[0], lambda groups: [_with_scaled_actions(group) for group in groups])


def _with_scaled_actions(table: pa.Table) -> pa.Table:
    values = pa.array(np.stack(table["action"].to_pylist()).tolist(), table.schema.field("action").type)
    doubled = pa.FixedSizeListArray.from_arrays(pc.multiply(values.flatten(), np.float32(2)), type=values.type)
    return table.set_column(table.schema.get_field_index("action"), table.schema.field("action"), doubled)


def test_statistics_that_all_contradict_the_rows_are_refused_unless_the_repair_is_named(tmp_path: Path):
    root = copy_of("images", tmp_path)
    scale_actions(root)
    made = plan_repair(str(root), execution=Execution("sync"))
    assert not made.repairs
    assert {(each.code, each.place.column) for each in made.refusals} == {
        ("REP019", "stats/action/min"),
        ("REP020", "action"),
    }
    assert all("the rows are damaged" in each.readings[1] for each in made.refusals)
    named = plan_repair(
        str(root), choice=RepairChoice(only=("REP008", "REP019", "REP020")), execution=Execution("sync")
    )
    assert {each.code for each in named.repairs} == {"REP019", "REP020"}
    assert not named.refusals


def test_statistics_of_another_dataset_are_no_statistics_of_relative_actions(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path)
    shutil.copy(DATA / "hevc/meta/stats.json", root / "meta/stats.json")
    result = repair(str(root), str(tmp_path / "out"), execution=Execution("sync"))
    before, after = (
        json.loads((folder / "meta/stats.json").read_text()) for folder in (DATA / "h264_bframes", tmp_path / "out")
    )
    for feature in ("action", "observation.state", "index"):
        assert np.allclose(after[feature]["mean"], before[feature]["mean"], rtol=1e-5), feature
        assert after[feature]["count"] == before[feature]["count"], feature
    assert result.after is not None
    assert "STA029" not in {found.code for found in result.after.findings}


def test_a_run_that_fails_says_what_was_not_repaired(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Lengths that contradict the ranges of rows do not prove that the pages of a file without a footer were read right."""
    root = copy_of("images", tmp_path)
    set_value(root, EPISODES, "length", 1, 1000)
    cut(root, EPISODES, 40)
    assert main(["repair", str(root), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "hint: run `episeek repair SRC DST --dry-run` to see 1 refused repair, meta/episodes/" in said
    assert "a row group with episodes whose rows do not follow one another" in said
    # The exit code of a dry run says whether something is refused.
    assert main(["repair", str(root), str(tmp_path / "out"), "--dry-run"]) == 1
    assert "do not follow one another" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_prepare_repairs_too(shared: tuple[Path, RepairResult], capsys: pytest.CaptureFixture[str]):
    # the same as `repair` has written
    arguments = ["prepare", str(shared[0] / "broken"), str(shared[0] / "out"), "--repair", "--scheduler", "sync"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "REP008" in shown
    assert "nothing was done" in shown


@pytest.mark.parametrize("option", ["--publish", "--dry-run", "--skip-episodes=1"])
def test_repairs_go_with_other_options_or_are_refused(option: str, broken: Path, tmp_path: Path):
    assert main(["prepare", str(broken), str(tmp_path / "out"), "--repair", option]) == 2


def test_codes_that_do_not_exist_are_refused(broken: Path, tmp_path: Path):
    with pytest.raises(SystemExit):
        main(["repair", str(broken), str(tmp_path / "out"), "--only", "REP999"])
    with pytest.raises(ValueError, match="REP999"):
        RepairChoice(only=("REP999",))


@pytest.mark.parametrize("names", [((0, 8), (2, 0), (8, 2)), ((1, 7),)])
def test_data_files_under_other_names_are_refused(tmp_path: Path, names: tuple[tuple[int, int], ...]):
    """Other pointers would leave an order of files in which LeRobot finds no row; other names might not."""
    root = copy_of("av1_multifile", tmp_path)
    for old, new in names:
        (root / data(old)).rename(root / data(new))
    made = plan_repair(str(root), execution=SYNC)
    assert {repair.code for repair in made.repairs} <= {"REP009"}
    assert {refusal.code for refusal in made.refusals} == {"REP007"}
    assert all(len(refusal.readings) == 2 for refusal in made.refusals)

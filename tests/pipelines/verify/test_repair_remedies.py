"""A remedy that names `episeek repair` is true: the finding is gone afterwards, or the repair refuses it by name and says why."""

import pyarrow as pa
import pytest

from episeek.errors import EpiseekError, NotADatasetError
from episeek_pipelines.api import REPAIRS, RULES, Execution, RepairChoice, plan_repair, repair, verify
from tests.broken.case import Case
from tests.broken.catalogue import CASES
from tests.support.amount import amount_of_repairs
from tests.support.broken_datasets import (
    EPISODES,
    TOP,
    copy_of,
    data,
    edit_info,
    edit_parquet,
    edit_statistics,
    episode_values,
    set_values,
)

ANSWERED = {code for rule in REPAIRS.values() for code in rule.answers}
NAMED = [case for case in CASES if case.all_codes & ANSWERED and not (case.indexed or case.against or case.prepared)]


@pytest.mark.parametrize("case", NAMED[:: amount_of_repairs(1, 2, 200)], ids=lambda case: case.folder)
def test_a_remedy_that_names_repair_is_true(case: Case, tmp_path):
    root = tmp_path / "broken"
    case.make(root)
    try:
        result = repair(str(root), str(tmp_path / "out"), execution=Execution("sync"))
        assert result.after is not None
        if any("--picture-statistics" in found.remedy for found in result.after.findings if found.code == "STA029"):
            choice = RepairChoice(picture_statistics=True)
            result = repair(str(root), str(tmp_path / "sampled"), choice=choice, execution=Execution("sync"))
    except EpiseekError:
        # refused by name, with the file
        return
    named = {found.code for found in result.before.findings if "episeek repair" in (found.remedy or "")}
    assert result.after is not None
    left = {found.code for found in result.after.findings if "episeek repair" in (found.remedy or "")}
    if named & left:
        assert result.made.refusals, (case.folder, [found for found in result.after.findings if found.code in left])


def test_every_rule_that_a_repair_answers_says_so():
    silent = {code for code in ANSWERED if "episeek repair" not in RULES[code].remedy}
    # their findings have remedies of their own, by what was found
    assert silent <= {"INF001", "INF002", "INF003", "INF004", "VID024", "VID026", "STA029"}


def respelled(tasks: pa.Table, old: str, new: str) -> list[pa.Table]:
    name = next(each for each in tasks.column_names if each != "task_index")
    texts = [new if each == old else each for each in tasks[name].to_pylist()]
    place, field = tasks.column_names.index(name), tasks.schema.field(name)
    return [tasks.set_column(place, field, pa.array(texts, field.type))]


def test_missing_statistics_of_a_camera_are_aggregated_by_a_plain_repair(tmp_path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    edit_statistics(root, lambda statistics: statistics.pop(TOP))
    result = repair(str(root), str(tmp_path / "out"), execution=Execution("sync"))
    (found,) = (each for each in result.before.findings if each.code == "STA029")
    assert found.remedy.index("`episeek repair SRC DST`") < found.remedy.index("--picture-statistics")
    assert [each.code for each in result.made.repairs] == ["REP020"]
    assert result.after is not None
    assert "STA029" not in {each.code for each in result.after.findings}
    assert (tmp_path / "out" / EPISODES).read_bytes() == (root / EPISODES).read_bytes()


def test_an_empty_data_file_is_answered_by_leaving_its_episodes_out(tmp_path):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    (root / data(2)).write_bytes(b"")
    choice = RepairChoice(skip_lost_episodes=True)
    result = repair(str(root), str(tmp_path / "out"), choice=choice, execution=Execution("sync"))
    (found,) = (each for each in result.before.findings if each.code == "INF004")
    assert "`episeek repair SRC DST --skip-lost-episodes`" in found.advice
    assert result.after is not None
    assert result.after.error_count == 0


def test_rows_that_are_lost_within_an_episode_are_not_offered_to_be_left_out(tmp_path):
    root = copy_of("h264_bframes", tmp_path)
    edit_parquet(root, data(0), lambda groups: [groups[0].slice(1), *groups[1:]])
    found = [each for each in verify(str(root), execution=Execution("sync")).findings if each.code == "ROW015"]
    assert found
    assert all("--skip-lost-episodes" not in each.advice for each in found)
    assert any(
        each.code == "REP008" for each in plan_repair(str(root), choice=RepairChoice(skip_lost_episodes=True)).refusals
    )


def test_tasks_that_differ_in_white_space_are_refused_with_the_edits_that_decide(tmp_path):
    root = copy_of("h264_bframes", tmp_path)
    tasks = episode_values(root, "tasks")
    spaced = {("tasks", row): ["place the  cube "] for row, each in enumerate(tasks) if each == ["place the cube"]}
    set_values(root, EPISODES, spaced)
    refusals = plan_repair(str(root)).refusals
    assert len(refusals) == len(spaced) > 0
    assert all("only in white space" in each.found for each in refusals)
    assert ["meta/tasks.parquet" in reading for reading in refusals[0].readings] == [True, False]
    # The second edit is the defect undone. The first one decides it as well.
    edit_parquet(root, "meta/tasks.parquet", lambda groups: respelled(groups[0], "place the cube", "place the  cube "))
    assert not plan_repair(str(root)).refusals
    assert "TSK014" not in {each.code for each in verify(str(root), execution=Execution("sync")).findings}


def test_a_split_is_judged_after_the_totals(tmp_path):
    root = copy_of("h264_bframes", tmp_path)
    edit_info(root, total_episodes=3)
    (found,) = (each for each in verify(str(root), execution=Execution("sync")).findings if each.code == "INF009W")
    assert found.advice.startswith("if INF009 reports total_episodes, correct it first")
    assert not any(each.place.column == "splits.train" for each in plan_repair(str(root)).repairs)


def test_a_file_is_no_directory(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("{")
    with pytest.raises(NotADatasetError, match="found a file; expected the root of a LeRobot dataset"):
        repair(str(path), str(tmp_path / "out"))

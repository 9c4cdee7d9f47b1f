"""Datasets of version 2.x as they are: what is wrong is found at its place in their documents and files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek_pipelines.api import VerifyOptions, prepare, verify
from episeek_pipelines.cli.main import main
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.v2.root import V2Root
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.verify.findings.findings import Location, finding
from episeek_pipelines.verify.metadata.old_version import as_found
from episeek_pipelines.verify.rules import RULES, Level
from tests.pipelines.conftest import DATA
from tests.support.old_dataset import (
    EPISODES,
    STATISTICS,
    TASKS,
    as_version_2_0,
    copy_old,
    edit_info,
    edit_lines,
)

TOP = "observation.images.top"
VIDEO = f"videos/chunk-000/{TOP}/episode_000001.mp4"
LONGER = VIDEO.replace("_000001", "_000002")
ROWS = "data/chunk-000/episode_000001.parquet"
ALWAYS = {"VID022W"}
"""LeRobot 0.3 writes the moov box behind the media data."""


def no_damage(root):
    pass


def replace(path, other):
    return lambda root: shutil.copy(root / other, root / path)


def edit(path, change):
    return lambda root: edit_lines(root, path, change)


def number_rows_wrongly(root):
    table = pq.read_table(root / ROWS)
    position = table.schema.get_field_index("index")
    pq.write_table(table.set_column(position, "index", pa.array(range(20))), root / ROWS)


CASES: dict[str, tuple[Callable[[Path], object], dict[str, str], Level]] = {
    "sound": (no_damage, {}, "rows"),
    "version 2.0": (as_version_2_0, {}, "layout"),
    "missing video": (lambda root: (root / VIDEO).unlink(), {"INF004": VIDEO}, "layout"),
    "missing rows": (lambda root: (root / ROWS).unlink(), {"INF004": ROWS}, "layout"),
    "short video": (replace(LONGER, VIDEO), {"VID024": f"{LONGER}, episode 2"}, "layout"),
    "long video": (replace(VIDEO, LONGER), {"VID023W": VIDEO}, "layout"),
    "another codec": (
        lambda root: shutil.copy(DATA / f"h264_bframes/videos/{TOP}/chunk-000/file-000.mp4", root / VIDEO),
        {"VID026": VIDEO, "VID023W": VIDEO, "VID026W": VIDEO},
        "layout",
    ),
    "rows of another episode": (
        replace("data/chunk-002/episode_000006.parquet", "data/chunk-001/episode_000005.parquet"),
        {"ROW015": "data/chunk-002/episode_000006.parquet, episode 5"},
        "rows",
    ),
    "rows of another number": (number_rows_wrongly, {"ROW016": f"{ROWS}, episode 1"}, "rows"),
    "gap": (edit(EPISODES, lambda found: found.pop(3)), {"EPI008": f"{EPISODES}, line 4"}, "rows"),
    "twice": (edit(EPISODES, lambda found: found.append(found[1])), {"EPI008": f"{EPISODES}, line 8"}, "rows"),
    "null length": (
        edit(EPISODES, lambda found: found[1].update(length=None)),
        {"EPI011": f"{EPISODES}, line 2, column length"},
        "rows",
    ),
    "broken line": (
        lambda root: (root / EPISODES).write_text((root / EPISODES).read_text() + "{"),
        {"EPI005": f"{EPISODES}, line 8"},
        "rows",
    ),
    "pointer": (
        lambda root: (root / EPISODES).write_text("version https://git-lfs.github.com/spec/v1\n"),
        {"INF040": EPISODES},
        "rows",
    ),
    "stray files": (
        lambda root: (
            shutil.copy(root / ROWS, root / "data/chunk-000/episode_000009.parquet"),
            shutil.copy(root / VIDEO, root / VIDEO.replace("_000001", "_9")),
        ),
        {"INF004W": "data/chunk-000/episode_000009.parquet", "INF006": "data/chunk-000"},
        "layout",
    ),
    "null names": (
        lambda root: edit_info(root, lambda info: info["features"][TOP].update(names=None)),
        {"INF001": f"meta/info.json, key features.{TOP}"},
        "layout",
    ),
    "no fps": (
        lambda root: edit_info(root, lambda info: info.pop("fps")),
        {"INF001": "meta/info.json, key fps"},
        "rows",
    ),
    "no episodes_stats": (lambda root: (root / STATISTICS).unlink(), {"STA029": STATISTICS}, "layout"),
    "statistics of other rows": (
        edit(STATISTICS, lambda found: found[3]["stats"]["action"].update(max=[9.0] * 6)),
        {"STA029": f"{STATISTICS}, episode 3, line 4, column stats.action"},
        "rows",
    ),
    "unknown task": (
        edit(EPISODES, lambda found: found[4].update(tasks=["fold it"])),
        {"TSK014": f"{EPISODES}, episode 4, line 5, column tasks"},
        "layout",
    ),
    "task twice": (
        edit(TASKS, lambda found: found.append({**found[1], "task_index": 3})),
        {"TSK014": f"{TASKS}, line 4, column task"},
        "layout",
    ),
    "totals": (
        lambda root: edit_info(root, lambda info: info.update(total_episodes=8)),
        {"INF009": "meta/info.json, key total_episodes"},
        "layout",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_found_at_its_place(name, tmp_path):
    damage, expected, level = CASES[name]
    root = copy_old(tmp_path / "old")
    damage(root)
    report = verify(str(root), options=VerifyOptions(level=level))
    found = [each for each in report.findings if each.code not in ALWAYS]
    assert {each.code for each in found} == expected.keys()
    for code, place in expected.items():
        assert any(str(each.location).startswith(place) for each in found if each.code == code), found
    for each in found:
        words = f"{each.message} {each.advice}"
        assert "parquet" not in words.replace("episode_000005.parquet", "")
        assert not {"from_timestamp", "LeRobot's delete"} & {*words.split()}
        # `episeek repair` refuses datasets of version 2.x
        assert "episeek repair SRC" not in words
        # LeRobot does not load a dataset without the statistics of its version
        assert each.severity == "error" or name != "no episodes_stats"


def test_no_advice_is_a_command_that_refuses_version_2():
    root = open_dataset(str(DATA / "v21_images")).root
    assert isinstance(root, V2Root)
    for found in as_found(root, [finding(rule, "this", "that", Location()) for rule in RULES.values()]):
        assert "episeek repair SRC" not in found.advice, found.code
        assert "--skip-lost-episodes" not in found.advice, found.code


def shift_clock(root):
    table = pq.read_table(root / ROWS)
    times = table["timestamp"].to_pylist()
    times[7] = 0.31
    position = table.schema.get_field_index("timestamp")
    column = pa.array(times, table.schema.field(position).type)
    pq.write_table(table.set_column(position, "timestamp", column), root / ROWS)


def test_what_needs_a_repair_is_upgraded_and_repaired(tmp_path):
    root = copy_old(tmp_path / "old")
    number_rows_wrongly(root)
    shift_clock(root)
    edit_info(root, lambda info: info.update(total_frames=230, splits={"train": "0:9"}))
    advice = {found.code: found.advice for found in verify(str(root)).findings}
    for code in ("ROW016", "INF009", "INF009W"):
        assert "`episeek upgrade SRC NEW --videos link` and then `episeek repair NEW DST`" in advice[code], code
    assert main(["upgrade", str(root), str(tmp_path / "new"), "--videos", "link", "--scheduler", "sync"]) == 1
    assert main(["repair", str(tmp_path / "new"), str(tmp_path / "out"), "--scheduler", "sync"]) == 0
    assert verify(str(tmp_path / "out")).findings == ()


@pytest.mark.parametrize("length", [43, 41])
def test_a_wrong_length_has_an_advice_that_works(length, tmp_path, capsys):
    root = copy_old(tmp_path / "old")
    edit_lines(root, EPISODES, lambda found: found[0].update(length=length))
    advice = {found.code: found.advice for found in verify(str(root)).findings}
    assert "set length in meta/episodes.jsonl to the number of rows" in advice["ROW015"]
    assert main(["upgrade", str(root), str(tmp_path / "new"), "--scheduler", "sync"]) == 2
    assert "set length in meta/episodes.jsonl" in capsys.readouterr().err
    rows = pq.read_metadata(root / "data/chunk-000/episode_000000.parquet").num_rows
    edit_lines(root, EPISODES, lambda found: found[0].update(length=rows))
    assert {found.code for found in verify(str(root)).findings} == ALWAYS


def test_rules_that_do_not_apply_are_listed(tmp_path):
    report = verify(str(DATA / "v21_videos"), options=VerifyOptions(level="layout"))
    (part,) = [part for part in report.coverage.not_checked if "EPI010" in part.rules]
    assert (part.rules, part.reason) == (("EPI010", "EPI013"), "v2.1 does not have them")
    root = copy_old(tmp_path / "old")
    (root / EPISODES).unlink()
    (part,) = verify(str(root)).coverage.not_checked
    assert part.reason == f"{EPISODES} cannot be used"


def test_the_command_line_counts_lines_from_1(tmp_path, capsys):
    root = copy_old(tmp_path / "old")
    edit_lines(root, EPISODES, lambda found: found[4].update(tasks=["fold it"]))
    assert main(["verify", str(root), "--level", "layout"]) == 1
    assert f"{EPISODES}, episode 4, line 5, column tasks" in capsys.readouterr().out
    assert main(["verify", str(root), "--level", "layout", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert {"file": EPISODES, "episode": 4, "row": 4, "column": "tasks"} in [
        found["location"] for found in document["findings"]
    ]


def test_a_changed_value_of_an_upgrade_is_found(tmp_path):
    source, target = DATA / "v21_images", tmp_path / "out"
    prepare(str(source), str(target), execution=Execution("sync"))
    assert verify(str(target), against=str(source)).findings == ()
    path = target / "meta/stats.json"
    statistics = json.loads(path.read_text())
    statistics["action"]["mean"][0] += 1
    statistics["action"]["q50"][0] += 1e-6
    path.write_text(json.dumps(statistics))
    found = [each for each in verify(str(target), against=str(source)).findings if each.code == "INF021"]
    assert [str(each.location) for each in found] == ["meta/stats.json, key action"]

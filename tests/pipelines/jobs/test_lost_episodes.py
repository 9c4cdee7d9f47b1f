"""`repair --skip-lost-episodes`: what is left are the rows and pictures of the other episodes, numbered without a gap.

The oracle reads the sample as it was with plain pyarrow, and takes the lost rows out of it.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.errors import MissingFileError
from episeek_pipelines.api import Execution, RepairChoice, plan_repair, repair, verify
from episeek_pipelines.cli.main import main
from tests.repairs.files import cut, cut_last_row_group
from tests.repairs.matrix import codes_of_sample, digests, meaning, meaning_of_sample
from tests.repairs.places import last_frame, set_row
from tests.repairs.rows import lose_row
from tests.support.amount import first
from tests.support.broken_datasets import (
    EPISODES,
    TOP,
    copy_of,
    data_files,
    episode_values,
    set_value,
    set_values,
    video,
)
from tests.support.build_index import DATA
from tests.support.lost_footers import KILLED

SYNC = Execution("sync")
SKIP = RepairChoice(skip_lost_episodes=True)


def lose(root: Path, *numbers: int) -> None:
    for path in [data_files(root)[number] for number in numbers]:
        (root / path).unlink()


def damage_first(root: Path) -> None:
    (root / data_files(root)[0]).write_bytes(b"PAR1 and nothing that could be read, PAR1")


def cut_within_an_episode(root: Path) -> None:
    """Rows in groups of ten, of which the last ones are cut off."""
    path = root / data_files(root)[-1]
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=10)
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(file.num_row_groups - 2)
        start = min(group.column(number).data_page_offset for number in range(group.num_columns))
    path.write_bytes(path.read_bytes()[:start])


def damage_first_and_cut_last(root: Path) -> None:
    damage_first(root)
    cut_last_row_group(root)


def lose_second(root: Path) -> None:
    lose(root, 1)


def lose_both_ends(root: Path) -> None:
    lose(root, 0, 2)


def cut_metadata(root: Path) -> None:
    """As a recording that was killed leaves it: LeRobot writes rows of meta/episodes in groups, here of seven."""
    path = root / EPISODES
    pq.write_table(pq.read_table(path), path, row_group_size=7)
    with pq.ParquetFile(path) as file:
        start = file.metadata.row_group(1).column(0).data_page_offset
    path.write_bytes(path.read_bytes()[: start + 50])
    cut(root, data_files(root)[-1], 40)


CASES = [
    ("av1_multifile", damage_first_and_cut_last),
    ("h264_bframes", cut_within_an_episode),
    ("av1_multifile", cut_metadata),
    ("av1_multifile", lose_second),
    ("av1_multifile", lose_both_ends),
    ("h264_bframes", cut_last_row_group),
    ("images", cut_last_row_group),
    ("edited", damage_first),
    ("edited", lose_second),
]


def source_rows(sample: str) -> pa.Table:
    tables = [pq.read_table(DATA / sample / path) for path in data_files(DATA / sample)]
    return pa.concat_tables([table.replace_schema_metadata() for table in tables]).sort_by("index")


@pytest.mark.parametrize(("sample", "damage"), first(CASES, 2))
def test_the_other_episodes_keep_their_rows_and_pictures(sample: str, damage: Callable[[Path], None], tmp_path: Path):
    root, out = copy_of(sample, tmp_path, name="broken"), tmp_path / "out"
    damage(root)
    before = digests(root)
    result = repair(str(root), str(out), choice=SKIP, execution=SYNC)
    assert result.made.refusals == ()
    lost = {each.place.episode for each in result.made.repairs if each.after == "left out"}
    assert lost == {*result.preparation.skipped_episodes}
    assert result.after is not None
    assert {each.code for each in result.after.findings} <= codes_of_sample(sample) | {"VID023W", "INF004W"}
    rows = source_rows(sample)
    kept = [number for number in dict.fromkeys(rows["episode_index"].to_pylist()) if number not in lost]
    assert len(kept) == len({*rows["episode_index"].to_pylist()}) - len(lost) > 0
    _require_rows(out, rows, kept)
    found, original = meaning(out, root), meaning_of_sample(sample)
    cameras = {camera for _, camera in found["frames"]}
    assert found["frames"] == {
        (new, camera): original["frames"][old, camera] for new, old in enumerate(kept) for camera in cameras
    }
    _require_metadata(DATA / sample, out, kept)
    assert digests(root) == before
    assert verify(str(out), against=str(root), execution=SYNC).error_count == 0


def _require_rows(out: Path, rows: pa.Table, kept: list[int]) -> None:
    expected = rows.filter(pa.compute.is_in(rows["episode_index"], value_set=pa.array(kept))).to_pydict()
    expected["index"] = list(range(len(expected["index"])))
    expected["episode_index"] = [kept.index(number) for number in expected["episode_index"]]
    tables = [pq.read_table(out / path).replace_schema_metadata() for path in data_files(out)]
    assert pa.concat_tables(tables).to_pydict() == expected


def _require_metadata(sample: Path, out: Path, kept: list[int]) -> None:
    """The episodes' own values, numbers that fall, and statistics of the dataset by the formulas for several samples."""
    old = [each for path in sorted(sample.glob("meta/episodes/*/*")) for each in pq.read_table(path).to_pylist()]
    new = [each for path in sorted(out.glob("meta/episodes/*/*")) for each in pq.read_table(path).to_pylist()]
    info = json.loads((out / "meta/info.json").read_text())
    assert (info["total_episodes"], info["splits"]) == (len(kept), {"train": f"0:{len(kept)}"})
    moved = {"episode_index", "index", "dataset_from_index", "dataset_to_index", "data/chunk_index", "data/file_index"}
    start = 0
    for number, episode in enumerate(new):
        source = old[kept[number]]
        own = {key for key in source if not moved & {key, *key.split("/")[1:2]}}
        assert {key: episode[key] for key in own} == {key: source[key] for key in own}
        assert episode["episode_index"] == number
        assert (episode["dataset_from_index"], episode["dataset_to_index"]) == (start, start + source["length"])
        if number != kept[number]:
            assert episode["stats/episode_index/max"] == [number]
            assert episode["stats/index/min"] == [start]
            assert episode["stats/index/max"] == [start + source["length"] - 1]
        start += source["length"]
    assert info["total_frames"] == start
    statistics = json.loads((out / "meta/stats.json").read_text())
    for feature in ("action", "observation.images.top"):
        held = {
            name: np.array([each[f"stats/{feature}/{name}"] for each in new])
            for name in ("count", "mean", "std", "max")
        }
        weight = (held["count"] / held["count"].sum()).reshape(-1, *[1] * (held["mean"].ndim - 1))
        mean = (weight * held["mean"]).sum(axis=0)
        second = (weight * (held["std"] ** 2 + held["mean"] ** 2)).sum(axis=0)
        np.testing.assert_allclose(statistics[feature]["mean"], mean)
        np.testing.assert_allclose(np.square(statistics[feature]["std"]), second - mean**2, atol=1e-9)
        assert statistics[feature]["max"] == held["max"].max(axis=0).tolist()
        assert statistics[feature]["count"] == [held["count"].sum()]


def test_a_recording_of_lerobot_that_was_killed_is_a_dataset_again(tmp_path: Path):
    """Its data file holds twelve episodes, and meta/episodes the first ten; neither has a footer."""
    result = repair(str(KILLED), str(tmp_path / "out"), choice=SKIP, execution=SYNC)
    assert result.made.refusals == ()
    assert result.preparation.skipped_episodes == (10, 11)
    assert result.after is not None
    # the texts of its tasks
    assert {each.code for each in result.after.findings} == {"TSK047"}
    rows = pq.read_table(tmp_path / "out/data/chunk-000/file-000.parquet").to_pydict()
    frames = [(episode, frame) for episode in range(10) for frame in range(3 + episode % 3)]
    assert rows["observation.state"] == [[episode, frame] for episode, frame in frames]
    assert rows["index"] == list(range(len(frames)))
    statistics = json.loads((tmp_path / "out/meta/stats.json").read_text())
    assert statistics["episode_index"]["max"] == [9]
    assert verify(str(tmp_path / "out"), against=str(KILLED), execution=SYNC).error_count == 0
    made = plan_repair(str(KILLED))
    assert [each.place.episode for each in made.refusals][:2] == [10, 11]
    assert "--skip-lost-episodes" in made.refusals[0].readings[0]


def test_without_the_option_nothing_is_left_out_and_it_is_named(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    cut_last_row_group(root)
    made = plan_repair(str(root))
    assert "REP022" not in {each.code for each in made.repairs}
    assert [each.place.episode for each in made.refusals] == [5]
    assert "--skip-lost-episodes" in made.refusals[0].readings[0]


def test_a_dry_run_shows_each_episode_with_its_proof(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    cut_last_row_group(root)
    before = digests(tmp_path)
    assert main(["repair", str(root), str(tmp_path / "out"), "--skip-lost-episodes", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"REP022   {EPISODES}, episode 5, row 5\n       - 41 rows\n       + left out\n" in shown
    assert "end with episode 4 (not recovered: bytes" in shown
    assert digests(tmp_path) == before


def lose_last_row(root: Path) -> None:
    lose_row(root, last_frame(root))


def lose_all(root: Path) -> None:
    for path in data_files(root):
        cut(root, path, (root / path).stat().st_size - 100)


def rows_of_another_episode(root: Path) -> None:
    set_row(root, "episode_index", 77, 3)
    set_row(root, "frame_index", 500, 3)
    lose(root, 2)


def two_lengths(root: Path) -> None:
    lose(root, 2)
    set_value(root, EPISODES, "length", 8, 3)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lose_last_row, "37 rows in"),
        (lose_all, "no data file with rows of any of the 10 episodes"),
        (rows_of_another_episode, "1 row of data/chunk-000/file-000.parquet without a listed episode"),
        (two_lengths, "3 rows according to length"),
    ],
)
def test_what_is_not_proved_is_refused_by_name(damage: Callable[[Path], None], found: str, tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    damage(root)
    made = plan_repair(str(root), choice=SKIP)
    refused = [each for each in made.refusals if found in each.found]
    assert refused, made.refusals
    assert all(len(each.readings) > 1 for each in refused)
    left_out = {each.place.episode for each in made.repairs if each.after == "left out"}
    assert left_out.isdisjoint({each.place.episode for each in refused})


ODD_COLUMNS: dict[str, Callable[[list[int]], pa.Array]] = {
    "a NaN": lambda numbers: pa.array([*map(float, numbers[:9]), float("nan"), *map(float, numbers[10:])]),
    "an infinity": lambda numbers: pa.array([float("inf"), *map(float, numbers[1:])]),
    "64 bits": lambda numbers: pa.array([2**64 - 1, *numbers[1:]], pa.uint64()),
    "a fraction": lambda numbers: pa.array([0.4, *map(float, numbers[1:])]),
    "type null": lambda numbers: pa.nulls(len(numbers)),
    "dictionary of texts": lambda numbers: pa.array([*map(str, numbers)]).dictionary_encode(),
    "words": lambda numbers: pa.array(["none", *map(str, numbers[1:])]),
}


@pytest.mark.parametrize(
    ("column", "odd"),
    first([("frame_index", "a NaN"), ("episode_index", "64 bits"), ("index", "an infinity"), ("index", "type null"),
           ("frame_index", "dictionary of texts"), ("episode_index", "type null"), ("task_index", "a NaN"),
           ("timestamp", "64 bits"), ("index", "a fraction"), ("index", "words"), ("episode_index", "words")], 6),
)  # fmt: skip
def test_a_file_with_odd_values_can_be_read_and_loses_no_episode(column: str, odd: str, tmp_path: Path):
    root = copy_of("edited", tmp_path, name="broken")
    path = root / data_files(root)[1]
    table = pq.read_table(path)
    position, numbers = table.schema.get_field_index(column), [int(each) for each in table[column].to_pylist()]
    pq.write_table(table.set_column(position, column, ODD_COLUMNS[odd](numbers)), path)
    made = plan_repair(str(root), choice=SKIP)
    assert not [each for each in made.repairs if each.after == "left out"]
    places = [*(each.place for each in made.repairs), *(each.place for each in made.refusals)]
    named = {place.column for place in places if place.file == data_files(root)[1]}
    assert column in named
    assert "cannot be read" not in str(made.refusals)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 18077\n"


@pytest.mark.parametrize("path", ["data/chunk-000/file-001.parquet", "meta/stats.json", video(TOP, 0)])
@pytest.mark.parametrize("is_link", [False, True])
def test_files_that_were_not_fetched_are_not_lost(path: str, is_link: bool, tmp_path: Path):
    root = copy_of("edited", tmp_path, name="broken")
    (root / path).unlink()
    if is_link:
        (root / path).symlink_to("../../blobs/4d7a214614ab2935c943f9e0ff69d22e")
    else:
        (root / path).write_text(POINTER)
    with pytest.raises(MissingFileError) as raised:
        plan_repair(str(root), choice=SKIP)
    assert raised.value.where.endswith(path)
    assert ("git annex get" if is_link else "git lfs pull") in raised.value.hint


@pytest.mark.parametrize(
    ("contents", "hint"),
    [
        (b"\xef\xbb\xbf" + POINTER.encode(), "git lfs pull"),
        (b"/annex/objects/SHA256E-s18077--4d7a214614ab2935.parquet\n", "datalad get"),
        (b"../../.git/annex/objects/Kx/9f/SHA256E-s18077--4d7a/SHA256E-s18077--4d7a", "git annex get"),
        (b"<!DOCTYPE html>\n<p>404 caf\xe9</p>" + b" " * 5000, "download the file again"),
        (b"Entry not found", "download the file again"),
    ],
    ids=("byte order mark", "annex", "annex link", "page", "error"),
)
def test_pointers_and_failed_downloads_are_not_lost(contents: bytes, hint: str, tmp_path: Path):
    root = copy_of("edited", tmp_path, name="broken")
    path = data_files(root)[-1]
    (root / path).write_bytes(contents)
    with pytest.raises(MissingFileError) as raised:
        plan_repair(str(root), choice=SKIP)
    assert raised.value.where.endswith(path)
    assert hint in raised.value.hint


def test_files_of_zeros_are_lost_with_that_proof(tmp_path: Path):
    root = copy_of("edited", tmp_path, name="broken")
    path = root / data_files(root)[-1]
    size = path.stat().st_size
    path.write_bytes(bytes(size))
    assert not [each for each in plan_repair(str(root)).repairs if each.after == "left out"]
    proofs = [each.proof for each in plan_repair(str(root), choice=SKIP).repairs if each.after == "left out"]
    assert proofs
    assert all(f"all of its {size:,} bytes are zero" in proof for proof in proofs)


@pytest.mark.parametrize(("other", "is_declared"), [(3, False), (3, True), (7, False)])
def test_rows_with_the_number_of_another_episode_are_not_lost(other: int, is_declared: bool, tmp_path: Path):
    """The rows of episode 4 have the number of episode 3, which comes before them, or of episode 7, which is in another file."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    path = next(path for path in data_files(root) if 4 in pq.read_table(root / path)["episode_index"].to_pylist())
    numbers = pq.read_table(root / path)["episode_index"].to_pylist()
    set_values(root, path, {("episode_index", row): other for row, number in enumerate(numbers) if number == 4})
    if is_declared:
        lengths = episode_values(root, "length")
        names = [name for name in pq.read_schema(root / EPISODES).names if name.endswith("_index/count")]
        changed = {(name, other): [lengths[other] + lengths[4]] for name in names}
        stop = episode_values(root, "dataset_to_index")[other] + lengths[4]
        changed |= {("length", other): lengths[other] + lengths[4], ("dataset_to_index", other): stop}
        set_values(root, EPISODES, changed)
    made = plan_repair(str(root), choice=SKIP)
    assert not [each for each in made.repairs if each.after == "left out"]
    (refused,) = [each for each in made.refusals if each.code == "REP022"]
    assert refused.place.episode == 4
    assert f"with the number of episode {other}" in refused.found
    assert refused.readings == ("the rows of the episode are lost", "those rows belong to the episode")


@pytest.mark.parametrize("arguments", [["--skip", "REP002", "--skip-lost-episodes"], ["--only", "REP022"]])
def test_rows_that_can_be_recovered_are_not_left_out(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    root = copy_of("av1_multifile", tmp_path)
    cut(root, data_files(root)[0], 40)
    assert main(["repair", str(root), str(tmp_path / "out"), *arguments]) == 2
    said = capsys.readouterr().err
    assert "found REP022 without REP002; expected both" in said
    assert not (tmp_path / "out").exists()
    assert main(["repair", str(root), str(tmp_path / "out"), "--only", "REP002,REP022", "--scheduler", "sync"]) == 0
    assert meaning(tmp_path / "out", root) == meaning_of_sample("av1_multifile")

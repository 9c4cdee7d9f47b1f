"""`repair --picture-statistics`: against what LeRobot recorded, and against numpy on the pictures that PyAV decodes."""

import io
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from episeek_pipelines.api import Execution, RepairChoice, plan_repair, repair, verify
from episeek_pipelines.cli.main import main
from tests.repairs.files import cut_last_row_group
from tests.repairs.matrix import codes_of_sample, digests
from tests.support.amount import first
from tests.support.broken_datasets import EPISODES, TOP, copy_of, edit_features, edit_statistics, set_value
from tests.support.build_index import DATA

SYNC = Execution("sync")
PICTURES = RepairChoice(picture_statistics=True)
EXTREMES = ("min", "max", "mean", "count", "q01", "q10", "q50", "q90", "q99")


def recorded(root: Path, name: str, feature: str = TOP) -> np.ndarray[Any, Any]:
    """A statistic of all episodes of a feature, as meta/episodes has it."""
    tables = [pq.read_table(path) for path in sorted(root.glob("meta/episodes/*/*"))]
    return np.array([value for table in tables for value in table[f"stats/{feature}/{name}"].to_pylist()])


@pytest.fixture(scope="module")
def of_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("images") / "out"
    repair(str(DATA / "images"), str(out), choice=PICTURES, execution=SYNC)
    return out


def test_pictures_that_are_kept_exactly_have_lerobot_s_statistics(of_images: Path):
    source = DATA / "images"
    for name in EXTREMES:
        np.testing.assert_allclose(recorded(of_images, name), recorded(source, name), rtol=0, atol=1e-12)
    old, new = (json.loads((root / "meta/stats.json").read_text())[TOP] for root in (source, of_images))
    for name in EXTREMES:
        np.testing.assert_allclose(new[name], old[name], rtol=0, atol=1e-12)


def test_the_standard_deviation_is_not_that_of_8_bits(of_images: Path):
    """LeRobot 0.4.4 squares in uint8."""
    table = pq.read_table(DATA / "images/data/chunk-000/file-000.parquet")
    pixels = []
    for row in table.filter(table["episode_index"].to_numpy() == 1)[TOP].to_pylist():
        with av.open(io.BytesIO(row["bytes"]), "r") as container:
            pixels.append(next(container.decode(video=0)).to_ndarray(format="rgb24").reshape(-1, 3))
    values = np.concatenate(pixels)
    np.testing.assert_allclose(recorded(of_images, "std")[1].ravel(), values.std(axis=0) / 255)
    mean_of_squares = (values**2).mean(axis=0) - values.mean(axis=0) ** 2
    np.testing.assert_allclose(
        recorded(DATA / "images", "std")[1].ravel() * 255, np.sqrt(np.maximum(mean_of_squares, 0)), atol=1e-6
    )


@pytest.mark.parametrize("sample", first(["h264_bframes", "hevc", "av1_multifile"]))
def test_pictures_of_videos_are_near_lerobot_s_and_those_that_pyav_decodes(sample: str, tmp_path: Path):
    root, out = DATA / sample, tmp_path / "out"
    result = repair(str(root), str(out), choice=PICTURES, execution=SYNC)
    assert result.after is not None
    assert {each.code for each in result.after.findings} == codes_of_sample(sample)
    # those of LeRobot are from before the encoding; a quantile may lie in a gap between the values of flat areas
    levels = {name: np.abs(recorded(out, name) - recorded(root, name)) * 255 for name in EXTREMES}
    assert levels["mean"].max() < 2
    assert levels["count"].max() == 0
    assert max(np.median(levels[name]) for name in EXTREMES) < 4
    [episode, *_] = pq.read_table(root / EPISODES).slice(1).to_pylist()
    file = f"{TOP}/chunk-{episode[f'videos/{TOP}/chunk_index']:03d}/file-{episode[f'videos/{TOP}/file_index']:03d}.mp4"
    with av.open(str(root / "videos" / file)) as container:
        shown = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    start = episode[f"videos/{TOP}/from_timestamp"]
    pixels = np.concatenate(
        [picture.reshape(-1, 3) for time, picture in shown if time > start - 1e-3][: episode["length"]]
    )
    for name, expected in (("mean", pixels.mean(axis=0)), ("std", pixels.std(axis=0)), ("max", pixels.max(axis=0))):
        np.testing.assert_allclose(recorded(out, name)[1].ravel() * 255, expected, rtol=1e-9)
    assert verify(str(out), against=str(root), execution=SYNC).error_count == 0
    # another value than that of the pictures
    set_value(out, EPISODES, f"stats/{TOP}/mean", 1, [[[0.25]], [[0.25]], [[0.25]]])
    assert "EPI021" in {each.code for each in verify(str(out), against=str(root), execution=SYNC).findings}


def test_they_are_recomputed_on_request_alone_and_for_episodes_that_stay(tmp_path: Path):
    root = copy_of("images", tmp_path, name="broken")
    edit_statistics(root, lambda statistics: statistics.pop(TOP))
    assert not any(each.code == "REP023" for each in plan_repair(str(root)).repairs)
    cut_last_row_group(root)
    before = digests(tmp_path)
    choice = RepairChoice(skip_lost_episodes=True, picture_statistics=True)
    made = plan_repair(str(root), choice=choice, execution=SYNC)
    assert made.refusals == ()
    assert [each.place.episode for each in made.repairs if each.code == "REP023"] == [0, 1, 2, None]
    assert digests(tmp_path) == before


def test_depths_are_refused(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    edit_features(root, lambda features: features[TOP]["info"].update({"is_depth_map": True}))
    made = plan_repair(str(root), choice=RepairChoice(only=("REP023",)), execution=SYNC)
    assert [(each.code, each.place.column) for each in made.refusals] == [("REP023", TOP)]


def test_the_command_shows_the_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["repair", str(DATA / "images"), str(tmp_path / "out"), "--picture-statistics", "--dry-run"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert f"REP023   {EPISODES}, episode 0, row 0, stats/{TOP}/mean\n" in shown
    assert "decoded sample pictures of the episode" in shown
    assert not (tmp_path / "out").exists()

"""The dataset of the benchmark is sound. Damage to its sidecars is found exactly, however many episodes are compared at once."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.verify import verify
from episeek_pipelines.verify import Location, VerificationReport, VerifyOptions
from episeek_pipelines.verify.episodes import declared_rows, shard
from episeek_pipelines.verify.rules import Level
from episeek_pipelines.verify.videos import span_rules
from episeek_schemas import layout
from tests.bench.large_dataset import LargeDataset, write_large_dataset
from tests.pipelines.conftest import change_episodes
from tests.support.amount import each_choice
from tests.support.broken_datasets import sidecar_value
from tests.support.build_index import build_index


@pytest.fixture
def dataset(tmp_path: Path) -> LargeDataset:
    return write_large_dataset(tmp_path / "large", 60, episodes_per_file=40, episodes_per_meta_file=25)


def verified(dataset: LargeDataset, level: Level = "layout") -> VerificationReport:
    return verify(str(dataset.root), options=VerifyOptions(level=level, decoded_episodes=2))


@pytest.mark.parametrize(("level", "is_indexed"), each_choice(["layout", "rows", "decode"], [True, False]))
def test_nothing_but_copies_is_found(dataset: LargeDataset, level: Level, is_indexed: bool):
    """Its episodes are the ten of a sample, again and again."""
    if is_indexed:
        index(str(dataset.root))
    report = verified(dataset, level)
    copies = {
        (found.location.episode, found.found.partition(" equal those of episode ")[2][:1]) for found in report.findings
    }
    assert copies == (set() if level == "layout" else {(number, str(number % 10)) for number in range(10, 60)})
    assert {found.code for found in report.findings} <= {"ROW048"}
    assert (report.episode_count, report.data_file_count, report.video_file_count) == (60, 2, 6)


def test_sidecars_of_many_row_groups(dataset: LargeDataset, tmp_path: Path):
    build_index(dataset.root, tmp_path / "work", dataset.root, max_row_group_rows=100)
    assert pq.read_metadata(dataset.root / layout.SAMPLES_PATH).num_row_groups > 60
    assert verified(dataset).findings == ()


@pytest.mark.parametrize("block_samples", [1, 100, 1 << 18])
def test_damaged_sidecars(dataset: LargeDataset, monkeypatch: pytest.MonkeyPatch, block_samples: int):
    index(str(dataset.root))
    spans = pq.read_table(dataset.root / layout.EPISODES_PATH).to_pylist()
    first = {(span["episode_index"], span["camera_index"]): span for span in spans}
    sample, keyframe = first[41, 2]["sample_start"] + 3, first[7, 0]["keyframe_start"]
    sidecar_value("episodes", "last_pts", 28 * 3 + 1, lambda value: value + 0.5)(dataset.root)
    sidecar_value("samples", "byte_size", sample, lambda value: value + 1)(dataset.root)
    sidecar_value("keyframes", "byte_offset", keyframe, lambda value: value + 1)(dataset.root)
    monkeypatch.setattr(span_rules, "_BLOCK_SAMPLES", block_samples)
    cameras = dataset.cameras
    assert {(found.code, found.location, found.more) for found in verified(dataset).findings} == {
        ("IDX032", Location(layout.EPISODES_PATH, 28, cameras[1], 28 * 3 + 1, "last_pts"), 0),
        ("IDX033", Location(layout.SAMPLES_PATH, 41, cameras[2], sample, "byte_size"), 0),
        ("IDX033", Location(layout.KEYFRAMES_PATH, 7, cameras[0], keyframe, "byte_offset"), 0),
    }


def test_numbers_that_are_no_multiple_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="65 episodes, 500 a file; expected multiples of 10"):
        write_large_dataset(tmp_path / "large", 65)


@pytest.mark.parametrize("limits", [(1 << 14, 1 << 25), (1 << 14, 0), (7, 0)])
def test_what_episodes_declare_of_rows_is_compared_whatever_is_kept(
    dataset: LargeDataset, monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int]
):
    """Statistics and tasks of an episode in the middle; with small limits, meta/episodes is read a few rows at a time."""
    for module in (declared_rows, shard):
        monkeypatch.setattr(module, "BLOCK_ROWS", limits[0])
    monkeypatch.setattr(declared_rows, "KEPT_BYTES", limits[1])
    change_episodes(dataset.root, "stats/action/count", 11, [1])
    change_episodes(dataset.root, "stats/observation.state/min", 12, [-1e6] * len(state_of(dataset.root)))
    change_episodes(dataset.root, "tasks", 13, [])
    findings = [each for each in verified(dataset, "rows").findings if each.code != "ROW048"]
    found = {(each.code, each.location.episode, each.location.column) for each in findings}
    assert ("STA029", 12, "stats/observation.state/min") in found
    assert {code for code, _, _ in found} <= {"STA029", "TSK014"}
    assert len(found) == 2


def state_of(root: Path) -> list[float]:
    return pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet")["stats/observation.state/min"][0].as_py()

"""Items of a prepared dataset are those that LeRobot returned, and the pictures have the right numbers burned in."""

import io
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import EpisodeNotFoundError, MissingFileError, TimestampToleranceError
from tests.support import bar_code
from tests.support.amount import IS_FULL
from tests.support.build_index import CAMERAS, DATA
from tests.support.lazy import Lazy, require_installed

require_installed("torch")
pytestmark = pytest.mark.torch

torch = Lazy("torch")
EpisodeDataset = Lazy("episeek.torch", "EpisodeDataset")
EpisodeSampler = Lazy("episeek.torch", "EpisodeSampler")
EpisodeStream = Lazy("episeek.torch", "EpisodeStream")

FPS = 30
TOP, WRIST = CAMERAS
DELTAS = {
    TOP: [-2 / FPS, -1 / FPS, 0],
    "action": [frame / FPS for frame in range(8)],
    "observation.state": [-1 / FPS, 0],
}


def golden(name):
    """What LeRobotDataset returned: the items by their numbers, keys in order."""
    items: dict[int, dict[str, np.ndarray]] = {}
    with np.load(DATA / name / "golden_items.npz") as values:
        for key in values:
            number, _, feature = key.partition("/")
            items.setdefault(int(number), {})[feature] = values[key]
    return items


@pytest.mark.parametrize("name", ["av1_multifile", "h264_bframes"])
def test_items_equal_those_of_lerobot(indexes, name):
    dataset = EpisodeDataset(indexes[name], delta_timestamps=DELTAS, return_uint8=True)
    expected = golden(name)
    for number, item in zip(expected, dataset.__getitems__(list(expected)), strict=True):
        assert list(item) == list(expected[number])
        for key, value in expected[number].items():
            own = np.asarray(item[key])
            assert (own.dtype, own.shape) == (value.dtype, value.shape), key
            assert np.array_equal(own, value), key


def test_pictures_are_floats_unless_asked_otherwise(indexes):
    plain, small = (EpisodeDataset(indexes["h264_bframes"], return_uint8=flag)[50][TOP] for flag in (False, True))
    assert (plain.dtype, tuple(plain.shape)) == (torch.float32, (3, 96, 128))
    assert torch.equal(plain, small / 255)


def test_every_item_has_the_numbers_of_its_episode(indexes):
    dataset = EpisodeDataset(indexes["hevc"], return_uint8=True)
    items = dataset.__getitems__(range(len(dataset)))
    numbers = [number for length in dataset.episode_lengths for number in range(length)]
    assert [int(item["frame_index"]) for item in items] == numbers
    assert [int(item["index"]) for item in items] == list(range(len(dataset)))
    for camera in CAMERAS:
        assert bar_code.read(np.stack([item[camera] for item in items])) == numbers


def test_pictures_in_rows_are_those_of_the_files(prepared_images):
    from PIL import Image

    dataset = EpisodeDataset(prepared_images, delta_timestamps={TOP: [-1 / FPS, 0]}, return_uint8=True)
    column = pq.read_table(next((DATA / "images/data").rglob("*.parquet")))[TOP].to_pylist()
    pixels = [np.asarray(Image.open(io.BytesIO(value["bytes"]))).transpose(2, 0, 1) for value in column]
    for number in (0, 1, 20, len(dataset) - 1):
        item = dataset[number]
        before = number if item["frame_index"] == 0 else number - 1
        assert np.array_equal(item[TOP], np.stack([pixels[before], pixels[number]]))
        assert item[f"{TOP}_is_pad"].tolist() == [before == number, False]
    assert EpisodeDataset(prepared_images)[3][TOP].dtype == torch.float32


def test_one_frame_is_a_stack_where_it_is_one_for_lerobot(prepared_images, indexes):
    now = {TOP: [0.0]}
    alone, stacked = (
        EpisodeDataset(prepared_images)[3][TOP],
        EpisodeDataset(prepared_images, delta_timestamps=now)[3][TOP],
    )
    assert stacked.shape == (1, *alone.shape)
    assert torch.equal(stacked[0], alone)
    assert EpisodeDataset(indexes["hevc"], delta_timestamps=now)[3][TOP].ndim == 3


def test_a_subset_of_the_episodes_is_in_the_order_of_the_dataset(indexes):
    whole = EpisodeDataset(indexes["h264_bframes"])
    some = EpisodeDataset(indexes["h264_bframes"], episodes=[4, 1, 4])
    assert some.num_episodes == 2
    assert some.episode_lengths.tolist() == whole.episode_lengths[[1, 4]].tolist()
    first = some.episode_lengths[0]
    assert [int(some[k]["episode_index"]) for k in (0, first - 1, first, -1)] == [1, 1, 4, 4]
    assert int(some[first]["index"]) == int(whole.episode_lengths[:4].sum())


def test_names_of_lerobot(indexes):
    meta = EpisodeDataset(indexes["h264_bframes"]).meta
    assert meta.camera_keys == meta.video_keys == list(CAMERAS)
    assert meta.features[TOP]["shape"] == (3, 96, 128) or meta.features[TOP]["shape"] == (96, 128, 3)
    assert meta.episodes["dataset_to_index"][-1] == meta.total_frames
    assert set(meta.stats["action"]) >= {"min", "max", "mean", "std"}
    assert meta.tasks[0] == "pick the cube"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"episodes": [6]}, EpisodeNotFoundError, "no episode 6"),
        ({"delta_timestamps": {"action": [0.02]}}, ValueError, "multiples of 1/30"),
        ({"delta_timestamps": {"acton": [0]}}, ValueError, "acton"),
    ],
)
def test_wrong_options_are_refused(indexes, options, error, words):
    with pytest.raises(error, match=words):
        EpisodeDataset(indexes["h264_bframes"], **options)


def test_an_item_outside(indexes):
    with pytest.raises(IndexError, match="no item 234: the dataset has 234 items"):
        EpisodeDataset(indexes["h264_bframes"])[234]


def test_a_row_at_another_time_than_its_picture_is_refused(indexes, monkeypatch):
    dataset = EpisodeDataset(indexes["h264_bframes"])
    columns = dataset._episode_rows.load([0])[0]
    columns["timestamp"] = columns["timestamp"] * 1.01
    with pytest.raises(TimestampToleranceError, match=r"episode 0, .* frame 30"):
        dataset[30]
    assert dataset[0]["frame_index"] == 0


def test_what_cannot_be_read_says_where(indexes, sidecar_roots, tmp_path):
    (tmp_path / "meta").symlink_to(DATA / "hevc/meta")
    (tmp_path / "data").symlink_to(DATA / "hevc/data")
    dataset = EpisodeDataset(sidecar_roots["hevc"], data_root=tmp_path)
    loader = torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=1)
    with pytest.raises(MissingFileError, match=r"videos/.*mp4.*\(episode 0 of "):
        dataset[0]
    with pytest.raises(MissingFileError, match=r"videos/.*mp4.*\(episode 0 of "):
        next(iter(loader))


# --- loaders --------------------------------------------------------------------------------------------------------------


def numbers_of(batch):
    return batch["index"].tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_the_sequence_of_the_sampler_whatever_reads_it(indexes, workers):
    dataset = EpisodeDataset(indexes["hevc"])
    expected = list(EpisodeSampler(dataset, 16, order="clump", seed=3))
    sampler = EpisodeSampler(dataset, 16, order="clump", seed=3)
    loader = torch.utils.data.DataLoader(dataset, batch_sampler=sampler, num_workers=workers)
    assert [numbers_of(batch) for batch in loader] == expected
    stream = EpisodeStream(dataset, EpisodeSampler(dataset, 16, order="clump", seed=3))
    loader = torch.utils.data.DataLoader(stream, batch_size=None, num_workers=workers)
    assert [numbers_of(batch) for batch in loader] == expected


# torchdata 0.11 calls a function that torch 2.13 deprecates
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_continues_where_the_loop_was(indexes, workers):
    stateful = pytest.importorskip("torchdata.stateful_dataloader")
    dataset = EpisodeDataset(indexes["hevc"])

    def loader():
        sampler = EpisodeSampler(dataset, 8, seed=5)
        return stateful.StatefulDataLoader(dataset, batch_sampler=sampler, num_workers=workers)

    expected = list(EpisodeSampler(dataset, 8, seed=5))
    first = loader()
    batches = iter(first)
    found = [numbers_of(next(batches)) for _ in range(5)]
    state = first.state_dict()
    del batches
    second = loader()
    second.load_state_dict(state)
    found += [numbers_of(batch) for batch in second]
    assert found == expected


JOB = """
import json, sys
import torch
import episeek
from episeek.torch import EpisodeDataset, EpisodeSampler

root, data_root, state_path, workers, batch_size, stop_after = sys.argv[1:]
dataset = EpisodeDataset(root, data_root=data_root)
sampler = EpisodeSampler(dataset, int(batch_size), order="episode", seed=1)
try:
    sampler.load_state_dict(json.load(open(state_path)))
except FileNotFoundError:
    pass
loader = torch.utils.data.DataLoader(dataset, batch_sampler=sampler, num_workers=int(workers))
for number, batch in enumerate(loader, 1):
    print(*batch["index"].tolist(), flush=True)
    json.dump(sampler.state_dict(number), open(state_path, "w"))
    if number == int(stop_after):
        print("waiting", flush=True)
        sys.stdin.read()
"""


@pytest.mark.skipif(not IS_FULL, reason="starts torch twice: make test-all")
def test_a_killed_job_is_continued_with_other_workers_and_batches(sidecar_roots, tmp_path):
    arguments = [sys.executable, "-c", JOB, sidecar_roots["hevc"], DATA / "hevc", tmp_path / "state.json"]
    job = subprocess.Popen(
        [*arguments, "2", "8", "6"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        before: list[int] = []
        assert job.stdout is not None
        for line in job.stdout:
            if line.startswith("waiting"):
                break
            before += map(int, line.split())
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.communicate()
    assert len(before) == 48
    done = subprocess.run([*arguments, "0", "5", "0"], capture_output=True, text=True, check=True)
    after = [int(number) for line in done.stdout.splitlines() for number in line.split()]
    dataset = EpisodeDataset(episeek.open(sidecar_roots["hevc"], data_root=DATA / "hevc"))
    expected = [item for batch in EpisodeSampler(dataset, 1, order="episode", seed=1) for item in batch]
    assert before + after == expected

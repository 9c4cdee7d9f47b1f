"""What a training job fetches: each byte about once a machine in episode and clump order, and failures that say where."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

import episeek
from episeek.errors import MissingFileError, ReadError
from episeek.stores.requests.retry import RetryPolicy
from tests.servers.faults import Fault
from tests.servers.range_server import RangeServerProcess
from tests.support.amount import IS_FULL, first
from tests.support.build_index import CAMERAS, DATA
from tests.support.lazy import Lazy, require_installed

require_installed("torch")
pytestmark = pytest.mark.torch

torch = Lazy("torch")
EpisodeDataset = Lazy("episeek.torch", "EpisodeDataset")
EpisodeSampler = Lazy("episeek.torch", "EpisodeSampler")
FetchUnits = Lazy("episeek.torch.fetch_units", "FetchUnits")
UNIT_KINDS = ("window", "clump", "episode")

NAME = "h264_bframes"
TOP, WRIST = CAMERAS
QUICK = RetryPolicy(max_attempts=2, max_seconds=5, first_wait_seconds=0.01, max_wait_seconds=0.01)


@pytest.fixture(scope="module")
def store():
    with RangeServerProcess(DATA / NAME) as server:
        yield server


@pytest.fixture
def served(store, sidecar_roots):
    """An index over HTTP."""
    store.clear_faults()
    store.clear()
    return episeek.open(sidecar_roots[NAME], data_root=store.url, retry=QUICK, verify="size")


def video_bytes(server):
    """Bytes of videos that the server sent."""
    sent = [one for one in server.exchanges() if one.path.endswith(".mp4") and one.method == "GET"]
    return sum(one.sent_bytes for one in sent)


def dataset_bytes(index):
    return int(index.table("episodes").columns["mdat_length"].slice(0, index.table("episodes").row_count).sum())


def epoch(dataset, order, *, workers=0, batch_size=8, epoch=0, **options):
    sampler = EpisodeSampler(dataset, batch_size, order=order, **options)
    sampler.set_epoch(epoch)
    loader = torch.utils.data.DataLoader(dataset, batch_sampler=sampler, num_workers=workers)
    return [int(number) for batch in loader for number in batch["index"]]


# --- units ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["av1_multifile", "h264_bframes", "hevc"])
@pytest.mark.parametrize("kind", UNIT_KINDS)
def test_units_hold_what_is_wanted_and_are_few(indexes, name, kind):
    index = indexes[name]
    units_of_kind = FetchUnits(kind, 7)
    for camera in index.cameras:
        samples = index.episode_samples(1, camera)
        last = samples.frame_count
        found = set()
        for start, stop in [(f, f + 1) for f in range(last)] + [(0, last), (5, 9), (6, last - 3)]:
            clip = samples.clip(start, stop, index.source)
            units = units_of_kind.of(samples, clip)
            covered = {byte for unit in units for byte in range(*unit)}
            assert covered >= set(range(*clip.byte_range))
            if stop == start + 1:
                found |= set(units)
        most = {"window": last, "clump": -(-last // 7), "episode": 1}[kind]
        assert len(found) <= most


def test_a_long_episode_is_several_units(indexes, monkeypatch):
    monkeypatch.setattr("episeek.torch.fetch_units.MAX_UNIT_BYTES", 1000)
    index = indexes[NAME]
    samples = index.episode_samples(2, TOP)
    start, length = samples.span.mdat_offset, samples.span.mdat_length
    whole = FetchUnits("episode").of(samples, samples.clip(0, samples.frame_count, index.source))
    assert whole[0][0] == start
    assert whole[-1][1] == start + length
    assert all(a[1] == b[0] and b[1] - b[0] <= 1000 for a, b in pairwise(whole))
    part = FetchUnits("episode").of(samples, samples.clip(20, 21, index.source))
    assert set(part) < set(whole)


@pytest.mark.parametrize(
    ("order", "kind"), [("global", "clump"), ("clump", "clump"), ("episode", "episode"), ("sequential", "episode")]
)
def test_units_suit_the_order_of_the_sampler(served, tmp_path, order, kind):
    assert Lazy("episeek.torch.fetch_units").UNIT_KINDS == UNIT_KINDS
    kept = EpisodeDataset(served, cache_dir=tmp_path)
    EpisodeSampler(kept, 4, order=order, clump_frames=12)
    assert kept.fetch_units.kind == kind
    assert kept.fetch_units.clump_frames == 12
    plain = EpisodeDataset(served)
    EpisodeSampler(plain, 4, order=order)
    assert plain.fetch_units.kind == "window"
    small = EpisodeDataset(served, cache_dir=tmp_path, cache_bytes=1000)
    EpisodeSampler(small, 4, order=order)
    # all frames are mixed with each other, but in sequential order
    assert small.fetch_units.kind == ("episode" if order == "sequential" else "window")
    assert EpisodeDataset(served, fetch="episode").fetch_units.kind == "episode"
    with pytest.raises(ValueError, match="fetch: found 'file'"):
        EpisodeDataset(served, fetch="file")


@pytest.mark.parametrize("is_kept", [False, True])
def test_the_counted_work_is_what_the_server_saw(sidecar_roots, tmp_path, is_kept):
    root = tmp_path / "root"
    shutil.copytree(DATA / NAME, root)
    shutil.copytree(sidecar_roots[NAME], root, dirs_exist_ok=True)
    with RangeServerProcess(root) as server:
        dataset = EpisodeDataset(server.url, cache_dir=tmp_path / "kept" if is_kept else None)
        for numbers in ([3, 4, 90], [5, 200], [3, 5]):
            dataset.__getitems__(numbers)
            transfers, seen = dataset.work().transfers, server.exchanges()
            requests = transfers.request_count + transfers.metadata_request_count
            assert (requests, transfers.byte_count) == (len(seen), sum(one.sent_bytes for one in seen))
        assert dataset.work().decoded_frames == len(CAMERAS) * 7


@pytest.mark.parametrize("fetch", UNIT_KINDS)
def test_groups_that_are_fetched_during_decoding_ask_for_nothing_twice(store, served, indexes, monkeypatch, fetch):
    monkeypatch.setattr("episeek.torch.fetch_units.DEFAULT_GAP_BYTES", 0)
    whole = EpisodeDataset(indexes[NAME], return_uint8=True)
    starts = whole.episode_lengths.cumsum() - whole.episode_lengths
    # of every other episode, two frames that share what they need and one of the next keyframe
    numbers = [int(start) + frame for start in starts[::2] for frame in (3, 4, 31)]
    expected = whole.__getitems__(numbers)
    asked = []
    for in_flight in (2, 64):
        store.clear()
        dataset = EpisodeDataset(served, return_uint8=True, fetch=fetch, max_in_flight=in_flight)
        for own, item in zip(dataset.__getitems__(numbers), expected, strict=True):
            assert all(torch.equal(own[camera], item[camera]) for camera in CAMERAS)
        videos = [one for one in store.exchanges() if one.path.endswith(".mp4") and one.method == "GET"]
        asked.append(sorted((one.path, one.range_header) for one in videos))
    assert asked[0] == asked[1]
    assert len(asked[0]) > 2


# --- the cache of a machine ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "workers"), first([("episode", 2), ("global", 0)]))
def test_workers_fetch_each_byte_about_once(store, served, tmp_path, order, workers):
    dataset = EpisodeDataset(served, cache_dir=tmp_path)
    numbers = epoch(dataset, order, workers=workers)
    assert sorted(numbers) == list(range(len(dataset)))
    videos = video_bytes(store)
    assert videos <= 1.1 * dataset_bytes(served)
    rows = [one for one in store.exchanges() if one.path.startswith("data/") and one.method == "GET"]
    assert sum(one.sent_bytes for one in rows) <= 1.1 * sum(
        p.stat().st_size for p in (DATA / NAME / "data").rglob("*.parquet")
    )
    # a second job, or another epoch
    store.clear()
    again = EpisodeDataset(served, cache_dir=tmp_path)
    assert sorted(epoch(again, order, epoch=1)) == list(range(len(dataset)))
    assert video_bytes(store) == 0


@pytest.mark.parametrize("fetch", UNIT_KINDS)
def test_items_do_not_depend_on_what_is_fetched_and_kept(store, served, indexes, tmp_path, fetch):
    plain = EpisodeDataset(indexes[NAME])
    numbers = [0, 3, 4, 50, 51, 120, 233]
    expected = plain.__getitems__(numbers)
    for _ in range(2):
        kept = pickle.loads(pickle.dumps(EpisodeDataset(served, cache_dir=tmp_path, fetch=fetch, max_rows_bytes=0)))
        for item, other in zip(kept.__getitems__(numbers), expected, strict=True):
            assert torch.equal(item[TOP], other[TOP])
            assert torch.equal(item[WRIST], other[WRIST])
            assert torch.equal(item["action"], other["action"])
    requests = len(store.exchanges())
    # damage in every entry: all is fetched again
    for path in tmp_path.glob("??/*"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    again = EpisodeDataset(served, cache_dir=tmp_path, fetch=fetch).__getitems__(numbers)
    assert all(torch.equal(item[TOP], other[TOP]) for item, other in zip(again, expected, strict=True))
    assert len(store.exchanges()) > requests


def test_local_files_are_kept_only_on_request(indexes, tmp_path):
    dataset = EpisodeDataset(indexes[NAME], cache_dir=tmp_path / "a")
    dataset[3]
    assert not (tmp_path / "a").exists()
    EpisodeDataset(indexes[NAME], cache_dir=tmp_path / "b", cache_local=True)[3]
    assert len(list((tmp_path / "b").glob("??/*"))) >= 3


# --- failures --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("cached", [False, True])
def test_what_cannot_be_fetched_says_where_in_the_training_loop(store, served, tmp_path, workers, cached):
    store.inject(Fault("status", path=r"\.mp4", status=500, times=1000))
    dataset = EpisodeDataset(served, cache_dir=tmp_path if cached else None)
    loader = torch.utils.data.DataLoader(dataset, batch_size=2, num_workers=workers)
    batches = iter(loader)
    # the class is that of the error, also from a worker
    with pytest.raises(ReadError, match=r"videos/.*\.mp4.*episode 0 of 'observation\.images\.(top|wrist)'"):
        next(batches)
    if workers:
        # otherwise the garbage collector does it, after it has closed the queues
        batches._shutdown_workers()


def test_rows_that_cannot_be_fetched_say_where(store, served):
    store.inject(Fault("status", path="data/", status=404, times=1000))
    with pytest.raises(MissingFileError, match=r"data/chunk-000/file-000\.parquet.* \(rows of episode 1\)"):
        EpisodeDataset(served)[60]


JOB = """
import signal, sys
import torch
import episeek
from episeek.torch import EpisodeDataset

# a shell lets jobs in the background ignore it
signal.signal(signal.SIGINT, signal.default_int_handler)
root, data_root, cache_dir = sys.argv[1:]
dataset = EpisodeDataset(episeek.open(root, data_root=data_root), cache_dir=cache_dir or None)
dataset[0]
print("started", flush=True)
sys.stdin.readline()
for batch in torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=2):
    pass
"""


@pytest.mark.skipif(not IS_FULL, reason="starts torch: make test-all")
@pytest.mark.parametrize("is_cached", [False, True])
def test_an_interrupted_job_ends_although_the_store_does_not_answer(store, sidecar_roots, tmp_path, is_cached):
    store.clear_faults()
    store.clear()
    arguments = [sys.executable, "-c", JOB, sidecar_roots[NAME], store.url, tmp_path / "cache" if is_cached else ""]
    pipe = subprocess.PIPE
    job = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    try:
        assert job.stdin is not None
        assert job.stdout is not None
        assert job.stdout.readline() == "started\n"
        store.inject(Fault("stall", path=r"\.mp4", times=1000, seconds=30))
        job.stdin.write("\n")
        job.stdin.flush()
        while not any(one.fault == "stall" for one in store.exchanges()):
            assert job.poll() is None
        os.killpg(job.pid, signal.SIGINT)
        _, errors = job.communicate(timeout=25)
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
        job.communicate()
    assert "KeyboardInterrupt" in errors

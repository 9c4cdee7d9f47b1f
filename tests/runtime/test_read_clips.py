"""Many clips in one call, over HTTP: the same bytes as one by one, by as few requests as planned, and no byte twice."""

import pickle
import random
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import episeek
from episeek.errors import (
    AccessError,
    FileNotIndexedError,
    FrameRangeError,
    MissingFileError,
    ReadError,
    ShortReadError,
)
from episeek.stores.requests.range_plan import DEFAULT_GAP_BYTES, WantedRange, plan_requests
from episeek.stores.requests.retry import RetryPolicy
from tests.servers.faults import Fault
from tests.servers.range_server import RangeServer
from tests.support import bar_code
from tests.support.amount import examples
from tests.support.build_index import CAMERAS, DATA
from tests.support.whole_file import decode_with_plain_pyav

TOP, WRIST = CAMERAS
QUICK = RetryPolicy(max_attempts=3, max_seconds=20, first_wait_seconds=0.01, max_wait_seconds=0.01)
SHORTEST = 20
"""Number of frames of the shortest episode."""


@pytest.fixture(scope="module")
def server():
    with RangeServer(DATA) as server:
        yield server


@pytest.fixture(autouse=True)
def _fresh(server):
    server.clear_faults()
    server.shape()
    server.clear()


@pytest.fixture(scope="module")
def served(server, sidecar_roots):
    """An index that checks sizes only, so that every request is for a range that is read."""
    return {
        name: episeek.open(root, data_root=f"{server.url}/{name}", verify="size", retry=QUICK)
        for name, root in sidecar_roots.items()
    }


def requests_of(server):
    """Return the method, path and range of each request so far."""
    server_log = server.exchanges()
    return sorted(
        (log.method, log.path, *map(int, re.findall(r"\d+", log.range_header)), log.sent_bytes) for log in server_log
    )


def planned_for(index, name, clips, gap):
    """Return the method, path and range of each planned request."""
    wanted = [WantedRange(clip.file_path, *clip.byte_range) for clip in clips]
    return sorted(
        ("GET", f"/{name}/{request.path}", request.start, request.stop - 1, request.stop - request.start)
        for request in plan_requests(wanted, max_gap_bytes=gap)
    )


def assert_reads(server, index, one_by_one, name, requests, **options):
    clips = one_by_one.clips(requests)
    server.clear()
    found = index.read_clips(requests, **options)
    assert found == [clip.read(options.get("lead_in", "hidden")) for clip in clips]
    assert requests_of(server) == planned_for(index, name, clips, options.get("max_gap_bytes", DEFAULT_GAP_BYTES))


WINDOWS = {
    "adjacent": [(0, TOP, 0, 10), (0, TOP, 10, 20), (0, TOP, 20)],
    "overlapping": [(0, TOP, 5, 30), (0, TOP, 10, 15), (0, TOP, 14, 40)],
    "duplicate": [(1, WRIST, 3, 9)] * 4,
    "two cameras, out of order": [(4, WRIST, 2, 5), (0, TOP), (2, WRIST), (5, TOP, 1), (0, WRIST, 0, 1)],
    "every episode": [(episode, camera) for episode in range(6) for camera in CAMERAS],
    "one": [(3, TOP, 4, 5)],
}


@pytest.mark.parametrize("gap", [0, 1, 1000, DEFAULT_GAP_BYTES])
@pytest.mark.parametrize("windows", WINDOWS)
def test_equal_to_one_by_one_in_the_planned_requests(server, served, indexes, windows, gap):
    name = "h264_bframes"
    assert_reads(server, served[name], indexes[name], name, WINDOWS[windows], max_gap_bytes=gap)


@pytest.mark.parametrize("lead_in", ["hidden", "shown"])
@pytest.mark.parametrize("name", ["av1_multifile", "edited", "hevc"])
def test_every_sample_dataset(server, served, indexes, name, lead_in):
    index = indexes[name]
    requests = [(episode, camera, 2, 9) for episode in range(index.episode_count) for camera in index.cameras]
    random.Random(name).shuffle(requests)
    assert_reads(server, served[name], index, name, requests, lead_in=lead_in)


@st.composite
def some_requests(draw):
    requests = []
    for _ in range(draw(st.integers(0, 12))):
        episode = draw(st.integers(0, 5))
        start = draw(st.integers(0, SHORTEST - 1))
        requests.append((episode, draw(st.sampled_from(CAMERAS)), start, draw(st.integers(start + 1, SHORTEST))))
    return requests


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_requests(), st.integers(0, 3000), st.integers(1, 5))
def test_any_windows(server, served, indexes, requests, gap, in_flight):
    name = "h264_bframes"
    assert_reads(server, served[name], indexes[name], name, requests, max_gap_bytes=gap, max_in_flight=in_flight)


def test_no_byte_of_a_file_is_served_twice_in_a_call(server, served):
    requests = [
        (episode, camera, start, start + 11) for episode in range(6) for camera in CAMERAS for start in (0, 6, 9)
    ]
    served["h264_bframes"].read_clips(requests, max_gap_bytes=0)
    count: dict = {}
    for log in server.exchanges():
        first, last = map(int, re.findall(r"\d+", log.range_header))
        assert log.sent_bytes == last + 1 - first
        counts = count.setdefault(log.path, np.zeros(1 << 16, int))
        counts[first : last + 1] += 1
    assert len(count) == 2
    assert all(counts.max() == 1 for counts in count.values())


def test_the_pictures_are_those_of_the_frames(served):
    requests = [(0, TOP, 20, 30), (4, WRIST, 7, 20), (0, TOP, 25, 31)]
    for (_, _, start, stop), mp4 in zip(requests, served["h264_bframes"].read_clips(requests), strict=True):
        pictures = decode_with_plain_pyav(mp4)[1]
        assert bar_code.read(pictures) == list(range(start, stop))


def test_nothing_is_asked_for_nothing(server, served):
    assert served["h264_bframes"].read_clips([]) == []
    assert served["h264_bframes"].read_clips(iter(())) == []
    assert requests_of(server) == []


def test_clips_and_tuples_and_generators(server, served):
    index = served["h264_bframes"]
    clip = index.clip(0, TOP, 3, 8)
    mixed = (request for request in [clip, (0, TOP, 3, 8), (np.int64(0), TOP, np.uint8(3), np.int16(8))])
    assert index.read_clips(mixed) == [clip.read()] * 3
    assert len(requests_of(server)) == 2


def test_a_wrong_request_is_found_before_anything_is_fetched(server, served):
    with pytest.raises(FrameRangeError):
        served["h264_bframes"].read_clips([(0, TOP), (1, TOP), (2, TOP, 5, 5)])
    with pytest.raises(ValueError, match="max_in_flight: found 0"):
        served["h264_bframes"].read_clips([(0, TOP)], max_in_flight=0)
    with pytest.raises(ValueError, match="expected 0 or more"):
        served["h264_bframes"].read_clips([(0, TOP)], max_gap_bytes=-1)
    assert requests_of(server) == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status", status=404, times=99), MissingFileError),
        (Fault("status", status=403, times=99), AccessError),
        (Fault("status", status=503, times=99), ReadError),
        (Fault("truncate", at_byte=5, times=99), ShortReadError),
    ],
)
def test_an_error_of_one_file_names_it(server, sidecar_roots, fault, error):
    index = episeek.open(
        sidecar_roots["av1_multifile"], data_root=f"{server.url}/av1_multifile", verify="size", retry=QUICK
    )
    requests = [(episode, camera, 0, 2) for episode in range(index.episode_count) for camera in CAMERAS]
    broken = index.clip(2, WRIST).file_path
    server.inject(Fault(fault.kind, path=re.escape(broken), status=fault.status, at_byte=fault.at_byte, times=99))
    with pytest.raises(error, match=re.escape(broken)) as caught:
        index.read_clips(requests)
    assert "503" not in str(caught.value) or "3 tries" in str(caught.value)
    server.clear_faults()
    assert len(index.read_clips(requests)) == len(requests)


def test_faults_that_pass_are_not_seen(server, served, indexes):
    requests = [(episode, camera) for episode in range(6) for camera in CAMERAS]
    server.inject(Fault("status", status=503))
    server.inject(Fault("drop", after=1))
    index = served["h264_bframes"]
    before = index.source.transfers()
    assert index.read_clips(requests, max_gap_bytes=0) == [
        clip.read() for clip in indexes["h264_bframes"].clips(requests)
    ]
    after = index.source.transfers()
    assert after.retry_count - before.retry_count == 2
    assert after.request_count - before.request_count == len(server.exchanges())


@pytest.mark.parametrize("most", [1, 3, 16])
def test_requests_at_the_same_time(server, served, most):
    server.shape(latency_seconds=0.03)
    index = served["av1_multifile"]
    requests = [(episode, camera, 0, 3) for episode in range(index.episode_count) for camera in CAMERAS]
    index.read_clips(requests, max_in_flight=most)
    logs = server.exchanges()
    times = sorted([(log.started_seconds, 1) for log in logs] + [(log.ended_seconds, -1) for log in logs])
    under_way = np.cumsum([step for _, step in times])
    assert len(logs) > 3
    assert under_way.max() == min(most, len(logs)) if most < 16 else under_way.max() > 3


def test_a_clip_of_another_dataset_is_refused(indexes):
    """The same range of this dataset's file of the same name would be other pictures."""
    clip = indexes["h264_bframes"].clip(1, CAMERAS[0], 0, 3)
    with pytest.raises(FileNotIndexedError, match=r"a clip of .*h264_bframes"):
        indexes["hevc"].read_clips([clip])
    with episeek.ClipCache(indexes["hevc"]) as cache, pytest.raises(FileNotIndexedError):
        cache.prefetch([clip])
    same = pickle.loads(pickle.dumps(clip))
    assert indexes["h264_bframes"].read_clips([same]) == [clip.read()]

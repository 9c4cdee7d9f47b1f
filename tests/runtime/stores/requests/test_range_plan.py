"""Plans of requests for a set of ranges, and the bytes that the requests return."""

import random
import threading
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek.stores.requests.range_plan import PlannedRequest, WantedRange, fetch_planned, plan_requests

PATHS = ("a.mp4", "b.mp4", "")
FILES = {path: random.Random(number).randbytes(400) for number, path in enumerate(PATHS)}


class Files:
    """A source in memory that records the requested ranges."""

    def __init__(self, failing):
        self.failing = failing
        self.requested = defaultdict(list)
        self.lock = threading.Lock()

    def get_ranges(self, path, ranges):
        with self.lock:
            self.requested[path].extend(ranges)
        if path in self.failing:
            raise OSError(path)
        return [FILES[path][start:stop] for start, stop in ranges]


def files(*failing: str) -> Any:
    return Files(failing)


ranges = st.builds(
    lambda path, start, length: WantedRange(path, start, start + length),
    st.sampled_from(PATHS),
    st.integers(0, 300),
    st.one_of(st.integers(0, 100), st.integers(0, 3)),
)
wanted_lists = st.lists(ranges, max_size=30)
limits = st.one_of(st.integers(0, 20), st.integers(0, 400))


def ordered(requests):
    return sorted((request.path, request.start, request.stop) for request in requests)


@given(wanted_lists, limits, limits)
def test_every_range_lies_in_exactly_one_request(wanted, gap, most):
    requests = plan_requests(wanted, max_gap_bytes=gap, max_request_bytes=most)
    assert sorted(number for request in requests for number in request.members) == list(range(len(wanted)))
    for request in requests:
        for number in request.members:
            want = wanted[number]
            assert want.path == request.path
            assert request.start <= want.start <= want.stop <= request.stop


@given(wanted_lists, limits, limits)
def test_requests_are_sorted_and_no_byte_is_in_two(wanted, gap, most):
    requests = plan_requests(wanted, max_gap_bytes=gap, max_request_bytes=most)
    places = [(request.path, request.start, request.stop) for request in requests]
    assert places == sorted(places)
    for (path, _, stop), (next_path, next_start, _) in pairwise(places):
        assert path != next_path or stop <= next_start


@given(wanted_lists, limits, limits)
def test_a_request_begins_and_ends_with_what_is_wanted_and_holds_no_gap_too_large(wanted, gap, most):
    for request in plan_requests(wanted, max_gap_bytes=gap, max_request_bytes=most):
        members = sorted((wanted[number] for number in request.members), key=lambda want: (want.start, want.stop))
        assert (request.start, request.stop) == (members[0].start, max(want.stop for want in members))
        reached = members[0].stop
        for want in members[1:]:
            assert want.start - reached <= gap
            reached = max(reached, want.stop)


@given(wanted_lists, limits, limits)
def test_overlapping_ranges_share_a_request(wanted, gap, most):
    requests = plan_requests(wanted, max_gap_bytes=gap, max_request_bytes=most)
    request_of = {number: place for place, request in enumerate(requests) for number in request.members}
    for a, first in enumerate(wanted):
        for b, second in enumerate(wanted[:a]):
            overlap = min(first.stop, second.stop) - max(first.start, second.start)
            if first.path == second.path and overlap > 0:
                assert request_of[a] == request_of[b]


@given(wanted_lists, limits, limits)
def test_near_ranges_share_a_request_up_to_the_limit_and_overlapping_ones_beyond_it(wanted, gap, most):
    for request in plan_requests(wanted, max_gap_bytes=gap, max_request_bytes=most):
        if request.stop - request.start > most:  # what goes beyond overlaps what is before it
            members = sorted((wanted[number] for number in request.members), key=lambda want: (want.start, want.stop))
            reached = members[0].stop
            for want in members[1:]:
                assert want.start < reached or want.stop - request.start <= most
                reached = max(reached, want.stop)


@given(wanted_lists, limits)
def test_neighbours_that_are_near_are_together_unless_that_is_too_long(wanted, gap):
    for most in (1 << 40, 60):
        requests = plan_requests(wanted, max_gap_bytes=gap, max_request_bytes=most)
        for before, after in pairwise(requests):
            if before.path == after.path and after.start - before.stop <= gap:
                first = min(wanted[number].stop for number in after.members if wanted[number].start == after.start)
                assert first - before.start > most


@given(wanted_lists, limits, limits, st.randoms(use_true_random=False))
def test_the_order_of_the_ranges_does_not_matter(wanted, gap, most, shuffler):
    shuffled = list(wanted)
    shuffler.shuffle(shuffled)
    first = plan_requests(wanted, max_gap_bytes=gap, max_request_bytes=most)
    assert ordered(first) == ordered(plan_requests(shuffled, max_gap_bytes=gap, max_request_bytes=most))


def test_no_ranges_are_no_requests():
    assert plan_requests([]) == []
    assert fetch_planned(files(), [], [], max_in_flight=4) == []


def test_ranges_of_no_bytes():
    wanted = [WantedRange("a.mp4", start, start) for start in (0, 5, 5, 390)]
    assert plan_requests(wanted, max_gap_bytes=0) == [
        PlannedRequest("a.mp4", 0, 0, (0,)),
        PlannedRequest("a.mp4", 5, 5, (1, 2)),
        PlannedRequest("a.mp4", 390, 390, (3,)),
    ]
    assert plan_requests(wanted, max_gap_bytes=10) == [
        PlannedRequest("a.mp4", 0, 5, (0, 1, 2)),
        PlannedRequest("a.mp4", 390, 390, (3,)),
    ]


def test_ranges_that_touch_share_a_request_without_any_gap_allowed():
    wanted = [WantedRange("a.mp4", 5, 9), WantedRange("a.mp4", 0, 5), WantedRange("a.mp4", 10, 12)]
    assert plan_requests(wanted, max_gap_bytes=0) == [
        PlannedRequest("a.mp4", 0, 9, (1, 0)),
        PlannedRequest("a.mp4", 10, 12, (2,)),
    ]
    assert [request.members for request in plan_requests(wanted, max_gap_bytes=0, max_request_bytes=8)] == [
        (1,),
        (0,),
        (2,),
    ]


@pytest.mark.parametrize("limit", ["max_gap_bytes", "max_request_bytes"])
def test_limits_are_not_negative(limit):
    with pytest.raises(ValueError, match="expected 0 or more"):
        plan_requests([], **{limit: -1})


@given(wanted_lists, limits, limits, st.integers(1, 4))
def test_the_bytes_of_each_range_in_order_and_none_twice(wanted, gap, most, in_flight):
    source = files()
    requests = plan_requests(wanted, max_gap_bytes=gap, max_request_bytes=most)
    parts = fetch_planned(source, wanted, requests, max_in_flight=in_flight)
    assert [bytes(part) for part in parts] == [FILES[want.path][want.start : want.stop] for want in wanted]
    for requested in source.requested.values():
        positions = [position for start, stop in requested for position in range(start, stop)]
        assert len(positions) == len(set(positions))


def test_parts_are_views_not_copies():
    wanted = [WantedRange("a.mp4", 0, 50), WantedRange("a.mp4", 40, 90)]
    first, second = fetch_planned(files(), wanted, plan_requests(wanted), max_in_flight=1)
    assert first.obj is second.obj


@pytest.mark.parametrize("in_flight", [1, 4])
def test_the_first_failure_by_file_and_position(in_flight):
    wanted = [WantedRange(path, 0, 5) for path in ("b.mp4", "a.mp4", "")]
    with pytest.raises(OSError, match=r"^a\.mp4$"):
        fetch_planned(files("a.mp4", "b.mp4"), wanted, plan_requests(wanted), max_in_flight=in_flight)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_at_least_one_request_at_a_time(count):
    wanted = [WantedRange(path, 0, 5) for path in PATHS[:count]]
    with pytest.raises(ValueError, match="max_in_flight: found 0"):
        fetch_planned(files(), wanted, plan_requests(wanted), max_in_flight=0)

"""Pieces are fetched by units: the right bytes, each unit once, whoever else wants it."""

import random
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek.errors import ReadError
from episeek.range_cache.directory import RangeDirectory
from episeek.range_cache.fetch import KeptRanges, Piece, fetch_pieces
from episeek.stores.requests.range_plan import WantedRange

FILE = random.Random(0).randbytes(5000)


class Memory:
    """A source of one file that records what is requested."""

    root = "memory"

    def __init__(self):
        self.requested: list = []
        self.failures = 0
        self.gate = threading.Event()
        self.gate.set()

    def get_ranges(self, path, ranges):
        self.requested += ranges
        assert self.gate.wait(10)
        if self.failures:
            self.failures -= 1
            raise ReadError(path, "a broken cable", "bytes", "buy a new one")
        return [FILE[start:stop] for start, stop in ranges]


def kept_in(folder, wait_seconds=10.0):
    return KeptRanges(RangeDirectory(folder), "build", wait_seconds)


def piece(start, stop, *units):
    return Piece("file", start, stop, units or ((start, stop),), f"piece {start}")


def fetched(source, pieces, **options):
    return [bytes(body) for body in fetch_pieces(source, pieces, **options)]


@given(
    wanted=st.lists(st.tuples(st.integers(0, 4900), st.integers(1, 90)), max_size=8),
    unit_bytes=st.integers(20, 700),
    is_kept=st.booleans(),
    gap=st.sampled_from([0, 50]),
)
def test_pieces_are_the_bytes_of_the_file(tmp_path_factory, wanted, unit_bytes, is_kept, gap):
    kept = kept_in(tmp_path_factory.mktemp("kept")) if is_kept else None
    pieces = []
    for start, length in wanted:
        numbers = range(start // unit_bytes, -(-(start + length) // unit_bytes))
        units = tuple((number * unit_bytes, min((number + 1) * unit_bytes, 5000)) for number in numbers)
        pieces.append(piece(start, start + length, *units))
    expected = [FILE[start : start + length] for start, length in wanted]
    source = Memory()
    assert fetched(source, pieces, kept=kept, max_gap_bytes=gap) == expected
    wanted_units = {unit for one in pieces for unit in one.units}
    requested = sorted(source.requested)
    assert all(first[1] <= second[0] for first, second in pairwise(requested))
    assert all(any(start <= a and b <= stop for start, stop in requested) for a, b in wanted_units)
    assert fetched(source, pieces, kept=kept, max_gap_bytes=gap) == expected
    assert len(source.requested) == len(requested) * (1 if is_kept else 2)


def test_two_that_want_the_same_fetch_it_once(tmp_path):
    units = [(start, start + 100) for start in range(0, 5000, 100)]
    pieces = [piece(start + 10, start + 20, (start, stop)) for start, stop in units]
    sources = [Memory(), Memory()]
    ready = threading.Barrier(2)
    found: list = [None, None]

    def run(number):
        ready.wait(10)
        # each begins at another end
        own = pieces if number == 0 else pieces[::-1]
        found[number] = fetched(sources[number], own, kept=kept_in(tmp_path), max_gap_bytes=0)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found[0] == found[1][::-1] == [FILE[start + 10 : start + 20] for start, _ in units]
    assert sum(stop - start for source in sources for start, stop in source.requested) == 5000


def test_a_failure_names_the_pieces_and_claims_nothing(tmp_path):
    source = Memory()
    source.failures = 1
    kept = kept_in(tmp_path)
    with pytest.raises(ReadError, match=r"file \(piece 10, piece 30\): found a broken cable.*hint: buy a new one"):
        fetched(source, [piece(10, 20, (0, 100)), piece(30, 40, (0, 100))], kept=kept)
    assert fetched(source, [piece(10, 20, (0, 100))], kept=kept) == [FILE[10:20]]


def test_where_another_does_not_get_on_the_range_is_fetched_anyway(tmp_path):
    kept = kept_in(tmp_path, wait_seconds=0.01)
    wanted = piece(10, 20, (0, 100))
    claim = kept.directory.claim(kept.key(WantedRange("file", 0, 100)))
    assert claim is not None
    assert fetched(Memory(), [wanted], kept=kept) == [FILE[10:20]]
    claim.release()


def test_without_a_directory_that_can_be_written_the_bytes_come_too(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    source = Memory()
    kept = kept_in(tmp_path / "file/cache")
    for _ in range(2):
        assert fetched(source, [piece(10, 20, (0, 100))], kept=kept) == [FILE[10:20]]
    assert source.requested == [(0, 100)] * 2


def test_many_units_are_more_than_are_claimed_at_once(tmp_path):
    source = Memory()
    pieces = [piece(start, start + 20) for start in range(0, 5000, 20)]
    assert b"".join(fetched(source, pieces, kept=kept_in(tmp_path))) == FILE
    assert sum(stop - start for start, stop in source.requested) == 5000

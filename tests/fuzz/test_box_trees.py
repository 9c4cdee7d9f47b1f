"""Any bytes give a table that agrees with itself or a named refusal, nothing else, and in little memory."""

import struct
import tracemalloc
from functools import cache
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from episeek.errors import EpiseekError
from episeek.mp4.boxes import MAX_CHILDREN
from tests.fuzz.box_tree import CONTAINERS, Node, parse, places, serialise
from tests.fuzz.clips import check_every_clip
from tests.fuzz.invariants import ARRAYS, check, check_moov, source_of
from tests.fuzz.movies import movie, seeds
from tests.fuzz.mutator import mutate
from tests.fuzz.seed_files import ONE_TRACK, SEEDS, TABLES, moov_of, nested, table_of, ways, with_changed, with_repeated
from tests.support.amount import IS_FULL, amount, every, examples
from tests.support.mp4_boxes import box

SMALL_MEMORY_BYTES = 1 << 18
"""What any small input may cost: numpy's smallest arrays, messages, boxes."""
BYTES_PER_INPUT_BYTE = 64


def test_the_seeds_are_valid():
    for name, data in SEEDS.items():
        assert check(data) == "clips", name
        assert serialise(parse(data)) == data


def peak_bytes(data: bytes) -> int:
    """Memory that a check takes at most."""
    tracemalloc.start()
    try:
        check(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- files that are right -------------------------------------------------------------------------------------------------


@settings(max_examples=examples(100), deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_any_valid_movie_is_read_and_its_clips_say_the_same(rng):
    data = movie(rng)
    # pictures that are shown in another order may belong to groups that overlap, as their own bytes tell: these are refused
    assert check(data) in TABLES or (np.diff(table_of(data).pts) < 0).any()


@pytest.mark.parametrize("seed", range(amount(20, 6)))
def test_every_clip_of_a_valid_movie_says_the_same(seed):
    assert check_every_clip(source_of(movie(Random(seed)))) > 0


# --- truncation -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEEDS)
def test_a_file_cut_anywhere_before_its_last_sample_ends_is_refused(name):
    data = SEEDS[name]
    whole = table_of(data)
    last = int((whole.offset + whole.size).max())
    for length in every(range(len(data)), 5):
        outcome = check(data[:length])
        if name.startswith("progressive") and length < last:
            assert outcome not in TABLES, length


@pytest.mark.parametrize("name", SEEDS)
def test_a_moov_cut_anywhere_is_refused(name):
    moov = moov_of(SEEDS[name])
    for length in every(range(len(moov)), 5):
        assert check_moov(moov[:length]) not in TABLES, length


def test_a_fragmented_file_cut_between_fragments_is_a_shorter_file():
    """Recorders write fragments so that a file is whole at any time: what is there is right."""
    data = SEEDS["fragmented"]
    whole = table_of(data)
    counts = set()
    for length in every(range(len(data)), 5):
        try:
            table = table_of(data[:length])
        except EpiseekError:
            continue
        counts.add(len(table))
        assert table.offset.tolist() == whole.offset[: len(table)].tolist()
        assert table.pts.tolist() == whole.pts[: len(table)].tolist()
    assert len(counts) > 1


# --- sizes ----------------------------------------------------------------------------------------------------------------


SIZE_LIES = ("0", "1", "7", "-1", "+1", "huge", "64 bit 0", "64 bit 7", "64 bit -1", "64 bit +1", "64 bit huge")


@cache
def size_lies(name: str) -> list[tuple[str, str, str]]:
    """Every box with every size that it does not have, and what came of it; in a part, every third such size of a box."""
    data = SEEDS[name]
    outcomes = []
    for number, way in enumerate(ways(data)):
        for lie in SIZE_LIES[number % amount(1, 3) :: amount(1, 3)]:

            def tell(siblings: list[Node], at: int, lie: str = lie) -> None:
                node = siblings[at]
                if lie.startswith("64 bit"):
                    node.form = "64 bit"
                true = len(serialise([node]))
                word = lie.rpartition(" ")[2]
                node.lie = true + int(word) if word[0] in "+-" else -1 if word == "huge" else int(word)

            damaged, kind = with_changed(data, way, tell)
            outcomes.append((kind.decode("latin-1"), lie, check(damaged)))
    return outcomes


@pytest.mark.parametrize("name", ONE_TRACK)
def test_sizes_that_lie_are_refused_where_the_box_is_needed(name):
    needed = {"moov", "mdia", "minf", "stbl", "stsd", "mdhd", "hdlr"}
    for kind, lie, outcome in size_lies(name):
        # a box that is too large ends where the one around it ends, as in decoders
        if kind in needed and lie.rpartition(" ")[2] == "7":
            assert outcome not in TABLES, (kind, lie)


def test_sizes_that_lie_end_in_every_way():
    outcomes = {outcome for name in SEEDS for _, _, outcome in size_lies(name)}
    assert outcomes > {"MalformedBoxError", "TruncatedMp4Error", "clips"}


# --- counts ---------------------------------------------------------------------------------------------------------------

LYING_COUNTS = ("0", "1", "-1", "+1", str(1 << 31), str((1 << 32) - 1))
NEEDED_COUNTS = {b"stts", b"ctts", b"stsz", b"stz2", b"stsc", b"stco", b"co64"}
LENIENT_COUNTS = {b"stts", b"ctts"}
"""Decoders take what there is."""
SPARE = {b"stco", b"co64"}
"""Chunks after those of the last sample are not used."""


@pytest.mark.parametrize(
    ("name", "lie"),
    [
        (name, lie)
        for number, name in enumerate(SEEDS)
        for lie in LYING_COUNTS[number % 2 * (not IS_FULL) :: amount(1, 2)]
    ],
)
def test_counts_that_lie_are_refused_and_cost_no_memory(name, lie):
    data = SEEDS[name]
    changed = set()
    for way in ways(data):

        def tell(siblings: list[Node], at: int) -> None:
            node = siblings[at]
            true = node.count
            if node.count_place is not None:
                node.set_count(true + int(lie) if lie[0] in "+-" else int(lie))

        damaged, kind = with_changed(data, way, tell)
        if damaged == data:
            continue
        changed.add(kind)
        assert peak_bytes(damaged) < SMALL_MEMORY_BYTES + BYTES_PER_INPUT_BYTE * len(data), kind
        if name in ("progressive", "progressive, wide") and kind in NEEDED_COUNTS - LENIENT_COUNTS:
            assert check(damaged) not in TABLES, kind
    assert changed


def test_a_fragment_that_claims_billions_of_samples_costs_no_memory():
    """A trun needs no bytes for samples that have the defaults; their bytes have to be in the file."""
    for size in (0, 1, 4):
        nodes = parse(SEEDS["fragmented"])
        for siblings, at in places(nodes):
            node = siblings[at]
            if node.kind == b"trex":
                node.payload = node.payload[:16] + struct.pack(">I", size) + node.payload[20:]
            elif node.kind == b"tfhd":
                node.payload = b"\0\0\0\0" + node.payload[4:8]
            elif node.kind == b"trun":
                node.payload = struct.pack(">II", 0, (1 << 32) - 1)
        damaged = serialise(nodes)
        assert check(damaged) == "SampleTableError"
        assert peak_bytes(damaged) < SMALL_MEMORY_BYTES


# --- tables that disagree -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("name", ["progressive", "progressive, wide"])
def test_a_table_with_an_entry_too_many_or_too_few_is_refused_unless_decoders_take_it(name, more):
    data = SEEDS[name]
    changed = set()
    for way in ways(data):

        def change(siblings: list[Node], at: int) -> None:
            node = siblings[at]
            if node.kind in NEEDED_COUNTS and node.entry_bytes and node.count > 1:
                width = node.entry_bytes
                node.payload = node.payload + node.payload[-width:] if more else node.payload[:-width]
                node.set_count(node.count + (1 if more else -1))

        damaged, kind = with_changed(data, way, change)
        if damaged != data:
            changed.add(kind)
            assert (check(damaged) in TABLES) == ((more and kind in LENIENT_COUNTS | SPARE) or kind == b"stts"), kind
    assert len(changed) >= 3


# --- nesting and repetition -----------------------------------------------------------------------------------------------

DEEP = 10_000


@pytest.mark.parametrize("kind", sorted(CONTAINERS))
def test_deep_nesting_ends_in_a_table_or_a_refusal(kind):
    for data in SEEDS.values():
        nodes = parse(data)
        for siblings, at in [*places(nodes)]:
            if siblings[at].kind == kind:
                inner = serialise([siblings[at]])
                break
        else:
            continue
        deep = nested(kind, DEEP, inner)
        check(data[:20] + deep + data[20:])
        check_moov(deep)
        siblings[at] = Node(b"", deep)
        check(serialise(nodes))


@pytest.mark.parametrize("name", SEEDS)
def test_a_box_that_is_there_twice_changes_nothing_or_is_refused(name):
    data = SEEDS[name]
    whole = table_of(data)
    refused, same = set(), set()
    for way in ways(data):

        def double(siblings: list[Node], at: int) -> None:
            siblings.insert(at + 1, siblings[at].copy())

        damaged, kind = with_changed(data, way, double)
        if check(damaged) not in TABLES:
            refused.add(kind)
        elif kind not in (b"moof", b"traf", b"trun", b"mdat"):  # these mean more samples
            table = table_of(damaged)
            assert all(np.array_equal(getattr(table, key), getattr(whole, key)) for key in ARRAYS if key != "offset"), (
                kind
            )
            same.add(kind)
    assert {b"mvhd", b"trak", b"mdia", b"stbl", b"mdhd"} <= same


@pytest.mark.parametrize("name", SEEDS)
def test_a_box_that_is_there_many_times_costs_memory_by_its_bytes(name):
    for way in every([*ways(SEEDS[name])], 8):
        damaged, kind = with_repeated(SEEDS[name], way, 200)
        assert peak_bytes(damaged) < SMALL_MEMORY_BYTES + BYTES_PER_INPUT_BYTE * len(damaged), kind


@pytest.mark.parametrize("kind", every([b"stts", b"sbgp", b"url "], 2))
def test_a_box_that_is_there_60_000_times_ends_in_a_table_or_a_refusal(kind):
    data = next(data for data in SEEDS.values() if kind in data)
    way = next(way for way in ways(data) if with_changed(data, way, lambda siblings, at: None)[1] == kind)
    check(with_repeated(data, way, 60_000)[0])


@pytest.mark.parametrize("kind", every(sorted(CONTAINERS), 3))
def test_a_container_of_more_boxes_than_any_has_ends(kind):
    for data in SEEDS.values():
        nodes = parse(data)
        holders = [siblings[at] for siblings, at in places(nodes) if siblings[at].kind == kind]
        if holders:
            assert holders[0].children is not None
            holders[0].children.insert(0, Node(b"", box(b"free") * (MAX_CHILDREN + 1)))
            check(serialise(nodes))


# --- anything -------------------------------------------------------------------------------------------------------------


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rng=st.randoms(use_true_random=False))
def test_damaged_trees_of_boxes(rng):
    nodes, donor = parse(movie(rng)), parse(movie(rng))
    check(mutate(rng, nodes, donor))


def test_some_thousand_damaged_files_of_one_seed():
    """As the fuzzer does, which takes longer."""
    rng = Random(0)
    trees = [parse(data) for data in seeds(rng, 100)]
    outcomes = {
        check(mutate(rng, [node.copy() for node in rng.choice(trees)], rng.choice(trees)))
        for _ in range(amount(1500, 300))
    }
    assert outcomes > {
        "clips",
        "table",
        "MalformedBoxError",
        "TruncatedMp4Error",
        "SampleTableError",
        "FragmentedMp4Error",
    }


@settings(max_examples=examples(300), deadline=None)
@given(start=st.sampled_from([*SEEDS]), tail=st.binary(max_size=200), cut=st.integers(0, 2000))
def test_any_bytes_behind_the_start_of_a_file(start, tail, cut):
    check(SEEDS[start][:cut] + tail)
    check(tail)

"""Orders: every frame once, at random access, mixed as promised, with no memory of the size of the frames."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek.orders import ClumpOrder, GlobalOrder, Order, SequentialOrder, clump_order, episode_order

LENGTHS = np.random.default_rng(0).integers(100, 500, 5000)
FRAMES = int(LENGTHS.sum())
EPISODE = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
ORDERS: dict[str, Order] = {
    "global": GlobalOrder(FRAMES, 3, 1),
    "episode": episode_order(LENGTHS, seed=3, epoch=1),
    "clump": clump_order(LENGTHS, clump_frames=30, seed=3, epoch=1),
}

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@given(
    length=lengths,
    clump=st.none() | st.integers(1, 50),
    pool=st.integers(1, 500),
    lanes=st.none() | st.integers(1, 9),
    seed=st.integers(),
    epoch=st.integers(0, 5),
)
def test_every_frame_is_there_once_and_any_position_is_found_alone(length, clump, pool, lanes, seed, epoch):
    order = ClumpOrder(length, clump_frames=clump, pool_frames=pool, lanes=lanes, seed=seed, epoch=epoch)
    frames = order.frames(np.arange(order.frame_count))
    assert np.array_equal(np.sort(frames), np.arange(sum(length)))
    middle = order.frame_count // 2
    assert int(order.frames(middle)) == frames[middle]


@given(length=lengths, clump=st.integers(1, 50), seed=st.integers(0, 9))
def test_without_blocks_and_lanes_the_clumps_stay_together(length, clump, seed):
    """With blocks of one frame, what is left is the order of the clumps: whole runs from the starts of clumps."""
    order = ClumpOrder(length, clump_frames=clump, pool_frames=1, lanes=1, seed=seed)
    frames = order.frames(np.arange(order.frame_count)).tolist()
    starts = np.cumsum([0, *length])
    clumps = [
        list(range(first, min(first + clump, stop)))
        for start, stop in pairwise(starts)
        for first in range(start, stop, clump)
    ]
    found, position = [], 0
    while position < len(frames):
        run = next(run for run in clumps if run[0] == frames[position])
        assert frames[position : position + len(run)] == run
        found.append(run[0])
        position += len(run)
    assert sorted(found) == [run[0] for run in clumps]


@pytest.mark.parametrize("name", ORDERS)
def test_batches_hold_other_episodes_and_say_nothing_of_the_file_order(name):
    order = ORDERS[name]
    starts = np.arange(0, FRAMES - 64, 64 * 199)
    batches = EPISODE[order.frames(starts[:, None] + np.arange(64))]
    assert np.mean([len(set(batch)) / 64 for batch in batches.tolist()]) >= 0.95
    positions = np.random.default_rng(1).choice(FRAMES, 100_000, replace=False)
    ranks = np.argsort(np.argsort(order.frames(positions)))
    assert abs(np.corrcoef(np.argsort(np.argsort(positions)), ranks)[0, 1]) < 0.02


@pytest.mark.parametrize("make", [episode_order, lambda x, **k: clump_order(x, clump_frames=30, **k)])
def test_an_order_is_another_one_with_another_seed_and_epoch(make):
    firsts = {tuple(make(LENGTHS[:99], seed=s, epoch=e).frames(np.arange(20))) for s in (0, 1) for e in (0, 1)}
    assert len(firsts) == 4


def test_ranks_whose_number_divides_the_lanes_need_other_episodes():
    order = episode_order(LENGTHS, pool_episodes=1024)
    positions = np.arange(0, 256 * 400).reshape(-1, 8)
    episodes = [set(EPISODE[order.frames(positions[:, rank])]) for rank in range(8)]
    shared = sum(len(a & b) for i, a in enumerate(episodes) for b in episodes[:i])
    assert shared <= order.lanes


def test_an_episode_is_needed_in_a_short_part_of_the_epoch():
    lengths = LENGTHS[:1500] // 10
    count, frames = len(lengths), int(lengths.sum())
    order = episode_order(lengths, pool_episodes=128)
    episodes = np.repeat(np.arange(count), lengths)[order.frames(np.arange(frames))]
    first, last = np.full(count, frames), np.zeros(count, np.int64)
    np.minimum.at(first, episodes, np.arange(frames))
    np.maximum.at(last, episodes, np.arange(frames))
    # an episode lies in two blocks of its lane at most, but for the few that a border of lanes cuts
    assert np.mean(last - first <= 2 * order.block_frames * order.lanes) > 1 - 2 * order.lanes / count


def test_memory_is_of_the_size_of_the_episodes():
    lengths = np.full(1000, 10_000_000)
    tracemalloc.start()
    try:
        for order in (episode_order(lengths), clump_order(lengths, clump_frames=30), GlobalOrder(10**10)):
            assert len(set(order.frames(np.arange(10**10 - 100, 10**10)).tolist())) == 100
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_sequential_and_what_is_no_order():
    assert SequentialOrder(3).frames([2, 0]).tolist() == [2, 0]
    for order in (SequentialOrder(3), GlobalOrder(3), ClumpOrder([1, 2], clump_frames=1, pool_frames=1)):
        with pytest.raises(IndexError, match=r"within \[0, 3\)"):
            order.frames([0, 3])
    with pytest.raises(ValueError, match="lengths"):
        ClumpOrder([1, 0], clump_frames=1, pool_frames=1)
    assert len(ClumpOrder([], clump_frames=None, pool_frames=1).frames([])) == 0

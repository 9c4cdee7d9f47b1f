"""The sampler: every frame once an epoch, continued from any position on any number of ranks."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek.errors import SamplerStateError
from tests.support.lazy import Lazy, require_installed

require_installed("torch")
pytestmark = pytest.mark.torch

EpisodeSampler = Lazy("episeek.torch", "EpisodeSampler")
ORDER_NAMES = ("global", "clump", "episode", "sequential")


@dataclass
class Episodes:
    episode_lengths: np.ndarray
    fps: float = 10.0


LENGTHS = np.array([7, 1, 30, 12, 25, 3])
DATASET = Episodes(LENGTHS)
N = int(LENGTHS.sum())

sizes = {"batch_size": st.integers(1, 9), "world_size": st.integers(1, 8), "drop_last": st.just(False)}


def test_all_orders_are_tried():
    assert Lazy("episeek.torch.sampler").ORDER_NAMES == ORDER_NAMES


def samplers(world_size, **options):
    return [EpisodeSampler(DATASET, rank=rank, world_size=world_size, **options) for rank in range(world_size)]


def sequence(samplers, steps=None):
    """What all ranks consume, in the order of the sequence: rank r has every n-th."""
    iterators = [iter(sampler) for sampler in samplers]
    found = []
    while steps is None or steps:
        batches: list[list[int]] = [next(iterator, []) for iterator in iterators]
        if not any(batches):
            break
        steps = None if steps is None else steps - 1
        longest = max(map(len, batches))
        found += [batch[k] for k in range(longest) for batch in batches if k < len(batch)]
    return found


@given(
    order=st.sampled_from(ORDER_NAMES),
    seed=st.integers(-3, 3),
    epoch=st.integers(0, 3),
    first=st.fixed_dictionaries(sizes),
    second=st.fixed_dictionaries(sizes),
    data=st.data(),
)
def test_an_epoch_is_continued_on_any_number_of_ranks_with_any_batch_size(order, seed, epoch, first, second, data):
    whole = samplers(1, batch_size=1, order=order, seed=seed)[0]
    whole.set_epoch(epoch)
    expected = sequence([whole])
    assert sorted(expected) == list(range(N))

    before = samplers(order=order, seed=seed, **first)
    for sampler in before:
        sampler.set_epoch(epoch)
    steps = data.draw(st.integers(0, len(before[-1])))
    found = sequence(before, steps)
    state = before[0].state_dict(steps)
    after = samplers(order=order, seed=seed, **second)
    for sampler in after:
        sampler.load_state_dict(state)
    if len(found) < N:
        found += sequence(after)
    assert found == expected


@pytest.mark.parametrize("world_size", [1, 3])
def test_state_without_a_number_is_what_was_given(world_size):
    sampler = EpisodeSampler(DATASET, 4, rank=0, world_size=world_size)
    assert sampler.state_dict()["consumed"] == 0
    iterator = iter(sampler)
    next(iterator)
    next(iterator)
    assert sampler.state_dict() == sampler.state_dict(2)
    assert sampler.state_dict()["consumed"] == 8 * world_size


def test_epochs_follow_each_other():
    sampler = EpisodeSampler(DATASET, 8)
    first, second = list(sampler), list(sampler)
    assert sampler.epoch == 1
    assert first != second
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(N))
    state = sampler.state_dict()
    assert (state["epoch"], state["consumed"]) == (1, N)
    again = EpisodeSampler(DATASET, 8)
    again.set_epoch(1)
    assert list(again) == second
    again.load_state_dict(state)
    third = EpisodeSampler(DATASET, 8)
    third.set_epoch(2)
    assert len(again) == len(third)
    assert list(again) == list(third)


def test_an_iteration_that_is_given_up_begins_again():
    sampler = EpisodeSampler(DATASET, 8)
    first = next(iter(sampler))
    assert next(iter(sampler)) == first
    assert len(list(sampler)) == len(sampler) == -(-N // 8)


def test_drop_last_leaves_out_the_end():
    sampler = EpisodeSampler(DATASET, 8, drop_last=True)
    batches = list(sampler)
    assert len(batches) == len(sampler) == N // 8
    assert {len(batch) for batch in batches} == {8}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed 1"),
        ({"order": "clump"}, "order 'clump'"),
        ({"dataset": Episodes(LENGTHS[::-1])}, "sequence"),
    ],
)
def test_a_state_of_another_sequence_is_refused(change, words):
    options: dict[str, Any] = {"dataset": DATASET, "batch_size": 2, "order": "global"}
    state = EpisodeSampler(**{**options, **change}).state_dict()
    with pytest.raises(SamplerStateError, match=words):
        EpisodeSampler(**options).load_state_dict(state)


def test_clumps_of_another_length_are_another_sequence():
    state = EpisodeSampler(DATASET, 2, order="clump", clump_frames=5).state_dict()
    with pytest.raises(SamplerStateError, match="sequence"):
        EpisodeSampler(DATASET, 2, order="clump").load_state_dict(state)


def test_ranks_of_the_environment(monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    sampler = EpisodeSampler(DATASET, 2)
    assert (sampler.rank, sampler.world_size) == (2, 4)
    sampler = EpisodeSampler(DATASET, 2, rank=0, world_size=2)
    assert (sampler.rank, sampler.world_size) == (0, 2)


@pytest.mark.parametrize(
    "options", [{"rank": 1}, {"rank": 2, "world_size": 2}, {"order": "random"}, {"batch_size": 0}, {"world_size": 2}]
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        EpisodeSampler(DATASET, **{"batch_size": 2, **options})

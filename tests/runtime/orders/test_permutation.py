"""Permutations: bijective, inverted, uniform, and the same for ever."""

from collections import Counter
from itertools import permutations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek.orders.permutation import key_of, keys_of, permute, positions_of

SIZES = [*range(1, 40), 255, 256, 257, 4096, 65537]


@pytest.mark.parametrize("n", SIZES)
def test_every_value_is_there_once_and_its_position_is_found(n):
    key = key_of(1, n)
    values = permute(np.arange(n), n, key)
    assert np.array_equal(np.sort(values), np.arange(n))
    assert np.array_equal(positions_of(values, n, key), np.arange(n))


@given(n=st.integers(1, (1 << 61) - 1), key=st.integers(0, (1 << 64) - 1), data=st.data())
def test_any_size_and_key(n, key, data):
    positions = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=20, unique=True)), np.int64)
    values = permute(positions, n, key)
    assert len(set(values.tolist())) == len(positions)
    assert ((values >= 0) & (values < n)).all()
    assert np.array_equal(positions_of(values, n, key), positions)


def test_positions_of_many_permutations_at_once():
    sizes, keys = np.array([5, 1000, 7]), keys_of(3, np.arange(3))
    together = permute(np.array([[4, 10, 0], [0, 999, 6]]), sizes, keys)
    one_by_one = [
        [int(permute(position, n, key)) for position, n, key in zip(row, sizes, keys, strict=True)]
        for row in ([4, 10, 0], [0, 999, 6])
    ]
    assert together.tolist() == one_by_one


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_all_permutations_of_few_values_are_as_frequent(n):
    count = 20_000
    found = Counter(map(tuple, permute(np.arange(n)[None], n, keys_of(7, np.arange(count))[:, None]).tolist()))
    expected = count / factorial(n)
    chi_square = sum((found[values] - expected) ** 2 / expected for values in permutations(range(n)))
    degrees = factorial(n) - 1
    # six standard deviations; the keys are fixed, so that the result is the same in every run
    assert chi_square < degrees + 6 * (2 * degrees) ** 0.5 + 4


@pytest.mark.parametrize("n", [1000, 1 << 20, (1 << 40) + 7])
def test_values_are_uniform_and_independent_of_their_positions(n):
    positions = np.linspace(0, n - 1, 1000).astype(np.int64)[None]
    values = permute(positions, n, keys_of(9, np.arange(200))[:, None])
    cells = np.bincount((values.astype(np.float64) * 20 / n).astype(np.int64).reshape(-1), minlength=20)
    assert ((cells - 10_000) ** 2 / 10_000).sum() < 19 + 6 * 38**0.5
    assert abs(np.corrcoef(np.broadcast_to(positions, values.shape).reshape(-1), values.reshape(-1))[0, 1]) < 0.01


def test_the_values_do_not_change_with_releases():
    """A checkpoint of today is continued by any later release."""
    assert key_of(1, -2, 1 << 70) == 4280599632732485839
    assert permute(np.arange(6), 6, 1).tolist() == [5, 4, 0, 1, 3, 2]
    assert permute(np.arange(3), 10**12, 1).tolist() == [332535476384, 416799308353, 289492440035]


@pytest.mark.parametrize("position", [-1, 5])
def test_a_position_outside_is_refused(position):
    with pytest.raises(IndexError, match=r"expected positions within \[0, 5\)"):
        permute(position, 5, 1)

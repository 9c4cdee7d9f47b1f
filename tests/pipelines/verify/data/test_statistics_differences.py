"""Statistics pass within the rounding of their own computing, as LeRobot does it, and no further."""

from typing import Any

import numpy as np
import pytest

from episeek_pipelines.statistics.differences import differing
from episeek_pipelines.statistics.episodes import episode_statistics
from episeek_pipelines.statistics.names import NAMES, QUANTILES

RANDOM = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def the_same_numbers_in_any_order_of_tests(monkeypatch):
    monkeypatch.setitem(globals(), "RANDOM", np.random.default_rng(3))


FLOAT32 = {"dtype": "float32"}


def measured(values):
    entry = episode_statistics({"x": values.reshape(len(values), 1, -1)}, np.array([len(values)]))["x"]
    return {name: numbers.astype(np.float64) for name, numbers in entry.items()}


def differs(name, recorded, truth, spec=FLOAT32):
    recorded = np.asarray(recorded, np.float64).reshape(1, -1)
    return differing(name, recorded, truth, truth["count"][:, 0], spec)[0]


def as_lerobot(values):
    """Mean and deviation as LeRobot 0.4.4 computes them: sums in the type of the values, one row after the other."""
    mean, squares = values.mean(axis=0), (values**2).mean(axis=0)
    return mean, np.sqrt(np.maximum(0, squares - mean**2))


SHAPES = {
    "a joint": lambda n: RANDOM.normal(size=(n, 6)),
    "far from zero": lambda n: 1000 + RANDOM.normal(size=(n, 6)) * 1e-3,
    "a constant": lambda n: np.full((n, 6), [0.0, 0.1, -3.7, 1e4, 1e-6, 1234.567]),
    "a drive in degrees": lambda n: np.cumsum(RANDOM.normal(size=(n, 6)), axis=0) * 10,
    "small": lambda n: RANDOM.normal(size=(n, 6)) * 1e-6,
}


@pytest.mark.parametrize("rows", [1, 2, 50, 3000, 100_000])
@pytest.mark.parametrize("kind", SHAPES)
def test_sums_of_float32_pass(kind, rows):
    values = SHAPES[kind](rows).astype(np.float32)
    truth = measured(values)
    mean, std = as_lerobot(values)
    assert not differs("mean", mean, truth).any()
    assert not differs("std", std, truth).any()
    assert not differs("std", values.std(axis=0), truth).any()
    if rows > 1:
        assert not differs("std", values.astype(np.float64).std(axis=0, ddof=1), truth).any()


def test_float16_passes():
    values = RANDOM.normal(size=(200, 6)).astype(np.float16)
    truth = measured(values.astype(np.float32))
    mean, std = as_lerobot(values)
    assert not differs("mean", mean, truth, {"dtype": "float16"}).any()
    assert not differs("std", std, truth, {"dtype": "float16"}).any()


def test_values_that_were_rounded_when_they_were_stored_pass():
    values = np.arange(3000) / 30
    recorded, truth = measured(values), measured(values.astype(np.float32))
    assert not any(differs(name, recorded[name], truth).any() for name in NAMES)


METHODS: set[Any] = {
    *("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull"),
    *("linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest"),
}


@pytest.mark.parametrize("rows", [1, 2, 3, 24, 299, 300])
def test_quantiles_by_any_definition_pass(rows):
    values = RANDOM.normal(size=(rows, 6)).astype(np.float32)
    truth = measured(values)
    for name, share in QUANTILES.items():
        for method in sorted(METHODS):
            assert not differs(name, np.quantile(values, share, axis=0, method=method), truth).any(), method
        assert differs(name, values.max(axis=0) + 1, truth).all()


@pytest.mark.parametrize("rows", [24, 299, 300])
def test_a_median_further_from_the_middle_than_any_definition_differs(rows):
    ordered = np.arange(6 * rows, dtype=np.float32).reshape(rows, 6)
    truth = measured(ordered)
    assert differs("q50", ordered[rows // 2 + 3], truth).all()
    assert differs("q50", ordered[rows // 2 - 4], truth).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_difference_shows_in_its_dimension_alone(name):
    truth = measured(RANDOM.normal(size=(300, 6)).astype(np.float32))
    assert not differs(name, truth[name], truth).any()
    changed = truth[name].copy()
    changed[0, -1] += 1 if name == "count" or name in QUANTILES else 0.01
    assert np.flatnonzero(differs(name, changed, truth)).tolist() == [changed.shape[1] - 1]
    changed[0, -1] = np.nan
    assert not differs(name, changed, truth).any()


@pytest.mark.parametrize("std", [-1.0, 0.0, 0.9, 1.1, 2.0])
def test_wrong_deviations_show(std):
    values = np.tile([-1.0, 1.0], 150).astype(np.float32)
    assert differs("std", [std], measured(values)).all()

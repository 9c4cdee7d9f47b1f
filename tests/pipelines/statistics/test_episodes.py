"""Statistics of episodes, against plain numpy: histograms as LeRobot fills them, and means and deviations in float64."""

from typing import Any

import numpy as np
import pytest

from episeek_pipelines.statistics.aggregate import aggregated, stats_document
from episeek_pipelines.statistics.episodes import EpisodeStatistics, episode_statistics
from episeek_pipelines.statistics.names import NAMES, QUANTILES

RANDOM = np.random.default_rng(5)
NORMAL = RANDOM.normal(size=(700, 4))


def by_histogram(values, share):
    """A quantile of one dimension as LeRobot 0.4.4 estimates it, from a histogram."""
    values = values.astype(np.uint8) if values.dtype == np.bool_ else values
    edges = np.linspace(values.min() - 1e-10, values.max() + 1e-10, 5001)
    below = np.cumsum(np.histogram(values, bins=edges)[0])
    target = share * len(values)
    number = int(np.searchsorted(below, target))
    if number == 0:
        return edges[0]
    before = below[number - 1]
    return edges[number] + (target - before) / (below[number] - before) * (edges[number + 1] - edges[number])


def statistics(values, counts, inner=1):
    numbers = values.reshape(sum(counts), inner, -1)
    return episode_statistics({"x": numbers}, np.array(counts)).get("x")


SAMPLES: dict[str, Any] = {
    "float32": (NORMAL * [1, 100, 1e-3, 1e6]).astype(np.float32),
    "float64": NORMAL * [1, 100, 1e-3, 1e6],
    "many ties": np.round(NORMAL).astype(np.float32),
    "two values": (NORMAL > 0.3).astype(np.float32),
    "booleans": NORMAL > 0.3,
    "int64": (NORMAL * 1000).astype(np.int64),
    "uint8": (NORMAL * 20 + 100).clip(0, 255).astype(np.uint8),
    "constants": np.full((700, 4), [0.0, -3.0, 0.1, 1e12], np.float32),
    # edges of bins that are one number of float32
    "close together": (1000 + np.round(NORMAL) * 6.2e-5).astype(np.float32),
    "rising": np.arange(2800).reshape(700, 4).astype(np.float32) / 30,
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_statistics_are_those_of_plain_numpy(kind):
    values, counts = SAMPLES[kind], [1, 2, 300, 50, 347]
    found = statistics(values, counts)
    assert tuple(found)[: len(NAMES)] == NAMES
    for number, (stop, count) in enumerate(zip(np.cumsum(counts), counts, strict=True)):
        rows = values[stop - count : stop]
        assert (found["min"][number] == rows.min(axis=0)).all()
        assert (found["max"][number] == rows.max(axis=0)).all()
        assert found["count"][number].tolist() == [count]
        exact = rows.astype(np.float64)
        np.testing.assert_allclose(found["mean"][number], exact.mean(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found["std"][number], exact.std(axis=0), rtol=1e-9, atol=1e-12 * np.abs(exact).max())
        for name, share in QUANTILES.items():
            plain = exact.mean(axis=0) if count == 1 else [by_histogram(column, share) for column in rows.T]
            np.testing.assert_allclose(
                found[name][number], np.array(plain, np.float64), rtol=1e-12, atol=0, err_msg=name
            )


def test_a_constant_has_no_deviation():
    found = statistics(np.full((1001, 1), 0.1), [1001])
    assert (found["mean"].item(), found["std"].item()) == (0.1, 0.0)


def test_an_array_of_several_dimensions_keeps_the_last_and_counts_rows():
    values = RANDOM.normal(size=(60, 3, 2)).astype(np.float32)
    found = statistics(values, [20, 40], inner=3)
    assert found["count"].tolist() == [[20], [40]]
    np.testing.assert_allclose(found["mean"][1], values[20:].reshape(-1, 2).mean(axis=0), rtol=1e-5)
    assert found["q10"][0, 1] == pytest.approx(by_histogram(values[:20, :, 1].ravel(), 0.1))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_have_no_statistics(odd):
    values = NORMAL.copy()
    values[400, 2] = odd
    assert statistics(values, [300, 400]) is None


def test_the_aggregate_is_that_of_all_rows_and_can_be_aggregated_again():
    counts = [1, 299, 400]
    found = statistics(NORMAL, counts)
    whole = aggregated(found)
    np.testing.assert_allclose(whole["mean"][0], NORMAL.mean(axis=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(whole["std"][0], NORMAL.std(axis=0), rtol=1e-9)
    assert (whole["min"][0] == NORMAL.min(axis=0)).all()
    assert whole["count"].tolist() == [[700]]
    np.testing.assert_allclose(whole["q10"][0], np.average(found["q10"], axis=0, weights=counts), rtol=1e-12)
    parts = [aggregated({name: values[rows] for name, values in found.items()}) for rows in ([0, 1], [2])]
    again = aggregated({name: np.concatenate([part[name] for part in parts]) for name in NAMES})
    for name in NAMES:
        np.testing.assert_allclose(again[name], whole[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_document_keeps_entries_of_other_features():
    document = stats_document({"x": statistics(NORMAL[:, :1], [700])}, {"picture": {"mean": [0.5]}, "x": {"mean": [9]}})
    assert list(document) == ["picture", "x"]
    assert document["picture"] == {"mean": [0.5]}
    assert document["x"]["count"] == [700]


def test_joined_statistics_have_the_features_that_all_parts_have():
    def part(*names, width=1):
        entry = statistics(NORMAL[:5, :width], [5])
        return EpisodeStatistics(np.array([0]), np.array([5]), dict.fromkeys(names, entry))

    joined = EpisodeStatistics.joined([part("a", "b"), part("a")])
    assert (set(joined.features), joined.left_out) == ({"a"}, {"b": "a column that some files lack"})
    joined = EpisodeStatistics.joined([part("a"), part("a", width=2)])
    assert (joined.features, joined.left_out) == ({}, {"a": "lists of different lengths"})
    assert len(EpisodeStatistics.joined([]).episode_index) == 0

"""Quantiles computed from rows are those that LeRobot has recorded, and other statistics are those of the rows."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.v2.row_statistics import from_bytes, measure_file, quantiles, to_bytes
from episeek_pipelines.dataset.v2.statistics import aggregate, aggregate_quantiles
from tests.pipelines.conftest import DATA

FEATURES = ("observation.state", "action", "next.done", "timestamp", "frame_index", "episode_index", "index")
NAMES = ("min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99")


@pytest.fixture(scope="module")
def measured():
    """The statistics of the rows of av1_multifile, file by file through their bytes."""
    paths = sorted(
        path.relative_to(DATA / "av1_multifile") for path in (DATA / "av1_multifile/data").rglob("*.parquet")
    )
    root = Root(str(DATA / "av1_multifile"))
    return from_bytes([to_bytes(measure_file(root, str(path), FEATURES)) for path in paths])


def test_statistics_of_episodes_are_those_that_lerobot_recorded(measured):
    recorded = pq.read_table(DATA / "av1_multifile/meta/episodes")
    for feature in FEATURES:
        for name in NAMES:
            expected = np.array(recorded[f"stats/{feature}/{name}"].to_pylist(), np.float64)
            spread = np.ptp(expected, axis=None) + 1e-6
            # LeRobot counts float32 values in bins with float32 edges: a value may be in the bin beside
            np.testing.assert_allclose(measured[feature][name], expected, atol=spread / 1000, rtol=1e-5, err_msg=name)


def test_the_aggregate_is_that_of_lerobot(measured):
    import json

    recorded = json.loads((DATA / "av1_multifile/meta/stats.json").read_text())
    for feature in ("observation.state", "action", "frame_index"):
        own = {**aggregate(measured[feature]), **aggregate_quantiles(measured[feature])}
        assert list(own) == list(NAMES)
        for name in NAMES:
            np.testing.assert_allclose(own[name], recorded[feature][name], atol=5e-3, err_msg=f"{feature} {name}")


def test_quantiles_lie_within_a_bin_of_the_order_statistics():
    values = np.random.default_rng(5).normal(size=(1000, 3)) * [1, 100, 1e-3]
    found = quantiles(values)
    width = np.ptp(values, axis=0) / 5000
    for name, share in (("q01", 0.01), ("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q99", 0.99)):
        order = np.sort(values, axis=0)[int(np.ceil(share * 1000)) - 1]
        assert (np.abs(found[name] - order) <= 1.001 * width).all()


@pytest.mark.parametrize("value", [0.0, -3.0, 1e12])
def test_quantiles_of_a_constant_are_the_constant(value):
    assert all(abs(found[0] - value) <= 1e-9 for found in quantiles(np.full((7, 1), value)).values())

"""Spikes and lags of motions that are made for it."""

import numpy as np
import pyarrow as pa
import pytest

from episeek_pipelines.verify.data.motion import LEAST_ROWS, is_still, lag, spikes
from episeek_pipelines.verify.data.motion_charts import resting_chart, with_ranges
from episeek_pipelines.verify.data.motion_scan import MotionScan, check_lags
from episeek_pipelines.verify.findings.charts import LagChart, RangeChart, RowChart, range_chart
from episeek_pipelines.verify.findings.findings import Location, finding
from episeek_pipelines.verify.findings.lags import Lags
from episeek_pipelines.verify.findings.ranges import FeatureRange, FeatureRanges
from episeek_pipelines.verify.rules import SPIKE, STILL

ROWS = 200
TIME = np.arange(float(ROWS))


def motions() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    angle = np.cumsum(random.normal(0, 0.05, ROWS)) + np.pi
    half = np.array([np.cos(TIME / 40), np.sin(TIME / 40), 0 * TIME, 0 * TIME]).T
    return {
        "smooth": np.sin(TIME / 9)[:, None],
        "walk": np.cumsum(random.normal(size=(ROWS, 6)), axis=0),
        "noise": random.normal(size=(ROWS, 6)),
        "heavy noise": random.standard_t(3, size=(ROWS, 6)),
        "rest": np.zeros((ROWS, 2)),
        "rest and motion": np.where(TIME < 150, 0, np.sin(TIME))[:, None],
        "steps": np.floor(TIME / 20)[:, None],
        "gripper of one row": (TIME == 80)[:, None] * 1.0,
        "gripper": (TIME % 30 < 4)[:, None] * 1.0,
        "wrapped angle": ((angle + np.pi) % (2 * np.pi) - np.pi)[:, None],
        "wrapped degrees": np.where(TIME == 70, -179.99, 179.9 + 0.001 * np.sin(TIME))[:, None],
        "quaternion of either sign": half * np.where(TIME == 60, -1, 1)[:, None],
        "short": np.arange(LEAST_ROWS - 1.0)[:, None] + 100 * (np.arange(LEAST_ROWS - 1) == 9)[:, None],
    }


@pytest.mark.parametrize("name", motions())
def test_motions_without_a_spike(name):
    assert not spikes(motions()[name]).any()


@pytest.mark.parametrize("name", ["smooth", "walk", "noise", "rest and motion"])
@pytest.mark.parametrize("rows", [[1], [100], [198], [40, 90]])
def test_spikes_are_found_where_they_are(name, rows):
    values = motions()[name]
    values[rows, 0] += 1000
    expected = np.zeros(values.shape, np.bool_)
    expected[rows, 0] = True
    assert np.array_equal(spikes(values), expected)


def test_a_jump_that_stays_is_no_spike():
    values = motions()["smooth"]
    values[100:] += 1000
    assert not spikes(values).any()


@pytest.mark.parametrize("rows", range(-9, 10))
def test_lags(rows):
    joints = np.arange(5)
    noise = np.random.default_rng(1).normal(0, 0.02, (ROWS, 5))
    action = np.sin(TIME[:, None] / 11 + joints)
    state = 3 + np.sin((TIME[:, None] - rows) / 11 + joints) + noise
    assert lag(action, state) == rows
    assert lag(action[: LEAST_ROWS - 1], state[: LEAST_ROWS - 1]) is None


def test_no_lag_without_likeness():
    random = np.random.default_rng(2)
    smooth = np.sin(TIME / 9)[:, None]
    assert lag(random.normal(size=(ROWS, 3)), random.normal(size=(ROWS, 3))) is None
    # a velocity under the name of its place, another scale, and another sign
    assert lag(np.gradient(smooth, axis=0), smooth) is None
    assert lag(5 * smooth, smooth) is None
    assert lag(np.zeros((ROWS, 2)), np.zeros((ROWS, 2))) is None
    # a ramp fits at every lag
    assert lag(TIME[:, None], TIME[:, None] - 3) == 0
    assert is_still(np.zeros((4, 2)))


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([-1, -1, 0], True), ([-1, -2, 3, 0], False), ([-1, -1], False), ([0, 0, 0, 0], False), ([2, 3, 2], False),
        ([-3, -2, -3, 0], True), ([], False),
    ],
)  # fmt: skip
def test_late_actions_are_found_where_most_episodes_have_them(rows, found):
    parts = [Lags(np.array([number]), np.array([each])) for number, each in enumerate(rows)]
    assert [each.code for each in check_lags(parts)] == (["ROW051"] if found else [])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_make_no_difference(size):
    spec = {"dtype": "float32", "shape": [2], "names": ["x", "y"]}
    features = {"action": spec, "observation.state": {**spec, "names": ["y", "x"]}}
    state = np.stack([np.cos(TIME / 9), np.sin(TIME / 9)], axis=1)
    action = np.roll(state[:, ::-1], 2, axis=0)
    state[150:] = 4
    state[43, 1] = 900
    episode = np.repeat([4, 6], [150, 50])
    table = pa.table({"episode_index": episode, "action": action.tolist(), "observation.state": state.tolist()})
    scan = MotionScan(features, table.column_names, "data.parquet")
    for start in range(0, ROWS, size):
        [batch] = table.slice(start, size).combine_chunks().to_batches()
        scan.add(batch, start)
    findings = list(scan.findings())
    found = [
        (each.code, each.location.episode, each.location.row, each.location.column, each.more) for each in findings
    ]
    assert found == [("ROW049", 6, 150, "observation.state", 0), ("ROW050", 4, 43, "observation.state", 0)]
    assert not len(scan.lags().row_count)  # the spike is most of the variance
    [resting], [spike] = (each.charts for each in findings)
    assert isinstance(resting, RangeChart)
    assert isinstance(spike, RowChart)
    assert (resting.episode_index, resting.resting.tolist(), resting.dimension_count) == (6, [4, 4], 2)
    assert (spike.episode_index, spike.first_row, spike.marked) == (4, 23, (43,))
    assert spike.traces[0].name == "observation.state, dimension 1 (x)"
    assert np.array_equal(spike.traces[0].values, state[23:64, 1])


def test_a_lag_is_shown_by_rows_of_the_first_late_episode_and_by_the_episodes_with_each_lag():
    spec = {"dtype": "float64", "shape": [2], "names": ["x", "y"]}
    features = {"action": spec, "observation.state": {**spec, "names": ["y", "x"]}}
    state = np.stack([np.cos(TIME / 9), 5 * np.sin(TIME / 9)], axis=1)
    parts = []
    for number, lags in enumerate([(0, 3), (2, 2)]):
        scan = MotionScan(features, ["episode_index", *features], f"{number}.parquet")
        for episode, rows in zip((2 * number + 1, 2 * number), lags, strict=True):
            # later rows of the action are the state's earlier ones
            action = np.stack([5 * np.sin((TIME - rows) / 9), np.cos((TIME - rows) / 9)], axis=1)
            columns = {"action": action.tolist(), "observation.state": state.tolist()}
            [batch] = pa.table({"episode_index": [episode] * ROWS, **columns}).to_batches()
            scan.add(batch, 0)
        assert not list(scan.findings())
        parts.append(scan.lags())
    [found] = check_lags(parts)
    example, counts = found.charts
    assert isinstance(example, RowChart)
    assert isinstance(counts, LagChart)
    assert example.episode_index == found.location.episode == 0
    assert [trace.name for trace in example.traces] == ["action, dimension 0 (x)", "observation.state, dimension 1 (x)"]
    action, state_ = (trace.values for trace in example.traces)
    assert np.array_equal(state_, state[example.first_row : example.first_row + 40, 1])
    assert np.allclose(action[3:], state_[:-3])
    assert dict(zip(counts.row_count.tolist(), counts.episode_count.tolist(), strict=True)) == {0: 1, 2: 2, 3: 1}


def test_features_that_rest_are_shown_beside_the_ranges_of_all_rows():
    count = 70
    still = np.where(np.arange(count) >= 60, 1.0, np.nan)
    chart = range_chart(np.full(count, -1.0), np.full(count, 3.0), still)
    assert chart is not None
    # the ten that rest are among them
    assert chart.dimension.tolist() == [*range(54), *range(60, 70)]
    resting = resting_chart(5, np.array([1.0, 2.0]))
    assert resting is not None
    place = Location("a.parquet", 5, row=0, column="action")
    found = [finding(STILL, "x", "", place, charts=(resting,)), finding(SPIKE, "x", "", place)]
    ranges = FeatureRanges({"action": FeatureRange(np.array([0.0, 2.0]), np.array([9.0, 8.0]), 100)})
    still_found, other = with_ranges(found, ranges)
    assert other is found[1]
    [shown] = still_found.charts
    assert isinstance(shown, RangeChart)
    assert [each.tolist() for each in (shown.minimum, shown.maximum, shown.resting)] == [[0, 2], [9, 8], [1, 2]]
    assert list(with_ranges(found, FeatureRanges())) == found
    assert range_chart(np.array([np.inf]), np.array([-np.inf]), np.array([np.nan])) is None

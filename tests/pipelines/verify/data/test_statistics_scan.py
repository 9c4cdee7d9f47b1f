"""The scan of a file's statistics: what is compared with its rows, what is left alone, and its part in those of the dataset."""

import numpy as np
import pyarrow as pa
import pytest

from episeek_pipelines.statistics.episodes import episode_statistics
from episeek_pipelines.statistics.names import NAMES, QUANTILES
from episeek_pipelines.verify.data.global_statistics import check_global_statistics, recorded_quantiles
from episeek_pipelines.verify.data.statistics_scan import StatisticsScan
from episeek_pipelines.verify.findings.episode_statistics import RecordedStatistics, recorded_names
from episeek_pipelines.verify.findings.ranges import FeatureRange, FeatureRanges
from episeek_pipelines.verify.findings.totals import FeatureTotals

FEATURES = {
    "action": {"dtype": "float32", "shape": [3], "names": ["x", "y", "z"]},
    "reward": {"dtype": "float32", "shape": [1]},
    "index": {"dtype": "int64", "shape": [1]},
    "matrix": {"dtype": "float32", "shape": [2, 3]},
}
COUNTS = (40, 60, 25)
ROWS = sum(COUNTS)
EPISODES = np.array([5, 6, 9])
RANDOM = np.random.default_rng(2)
VALUES = {
    "action": RANDOM.normal(size=(ROWS, 3)).astype(np.float32),
    "reward": RANDOM.normal(size=(ROWS, 1)).astype(np.float32),
}


def batch(**columns):
    return pa.record_batch(
        {
            "episode_index": np.repeat(EPISODES, COUNTS),
            "action": pa.FixedSizeListArray.from_arrays(pa.array(VALUES["action"].ravel()), 3),
            "reward": pa.array(VALUES["reward"].ravel()),
            **columns,
        }
    )


def recorded():
    numbers = {name: values.reshape(ROWS, 1, -1) for name, values in VALUES.items()}
    measured = episode_statistics(numbers, np.array(COUNTS))
    return {
        name: RecordedStatistics({each: entry[each].astype(np.float64) for each in NAMES})
        for name, entry in measured.items()
    }


def scanned(rows, held, *, lengths=COUNTS, quantiles=None, size=1000):
    scan = StatisticsScan(FEATURES, tuple(rows.schema.names), EPISODES, np.array(lengths), held, quantiles or {})
    for start in range(0, len(rows), size):
        scan.add(rows.slice(start, size), start)
    found = [
        (each.location.episode, each.location.column, each.found, each.expected, each.more) for each in scan.findings()
    ]
    return found, scan.totals()


@pytest.mark.parametrize("size", [1, 33, 1000])
def test_statistics_of_the_rows_pass_however_batches_are_cut(size):
    assert scanned(batch(), recorded(), size=size)[0] == []


def test_a_feature_is_named_once_at_its_first_episode():
    held = recorded()
    held["reward"].values["mean"][1:] += 0.5
    held["reward"].values["q90"][1] += 0.5
    truth = recorded()["reward"].values["mean"][1, 0]
    expected = (6, "stats/reward/mean", f"mean {truth + 0.5:.6g} (also q90)", f"{truth:.6g}, as in the rows", 1)
    assert scanned(batch(), held)[0] == [expected]


def test_actions_counted_by_chunk_are_left_alone_and_other_counts_are_not():
    held = recorded()
    for feature in held.values():
        feature.values["mean"][0] += 0.5
        feature.values["count"][2] = 31 * 50
    assert scanned(batch(), held)[0] == [(5, "stats/reward/mean", *scanned(batch(), held)[0][0][2:4], 1)]


def test_episodes_of_another_length_and_columns_with_nan_are_left_to_other_rules():
    held = recorded()
    held["action"].values["min"][0] -= 1
    held["reward"].values["min"] -= 1
    nan = VALUES["reward"].ravel().copy()
    nan[3] = np.nan
    found, totals = scanned(batch(reward=pa.array(nan)), held, lengths=(41, 60, 25))
    assert found == []
    assert list(totals[0].of) == ["action"]


def test_an_empty_file_has_no_totals():
    assert scanned(batch().slice(0, 0), recorded()) == ([], ())


def stats_document(**changes):
    values = VALUES["action"].astype(np.float64)
    whole = {
        "min": values.min(0),
        "max": values.max(0),
        "mean": values.mean(0),
        "std": values.std(0),
        "count": np.array([ROWS]),
    }
    per_episode = recorded()["action"].values
    whole |= {name: np.average(per_episode[name], axis=0, weights=COUNTS) for name in QUANTILES}
    return {"action": {name: array.tolist() for name, array in (whole | changes).items()}}


def checked(document):
    """The findings on a dataset of two files, one episode and two episodes."""
    quantiles = recorded_quantiles(FEATURES, document)
    parts = [scanned(rows, {}, quantiles=quantiles)[1][0] for rows in (batch().slice(0, 40), batch().slice(40))]
    values = VALUES["action"].astype(np.float64)
    ranges = FeatureRanges({"action": FeatureRange(values.min(axis=0), values.max(axis=0), ROWS)})
    one, other = (
        list(check_global_statistics(ranges, FeatureTotals.merged(order), FEATURES, document, ROWS))
        for order in (parts, parts[::-1])
    )
    assert one == other
    return [each.found for each in one]


PER_EPISODE = recorded()["action"].values
READINGS = {
    "the mean of the episodes": {},
    "the lowest of the episodes": {"q10": PER_EPISODE["q10"].min(axis=0)},
    "the highest of the episodes": {"q90": PER_EPISODE["q90"].max(axis=0)},
    "of all rows together": {name: np.quantile(VALUES["action"], share, axis=0) for name, share in QUANTILES.items()},
    "of all rows, without interpolation": {
        name: np.quantile(VALUES["action"], share, axis=0, method="higher") for name, share in QUANTILES.items()
    },
}


@pytest.mark.parametrize("reading", READINGS)
def test_quantiles_of_a_dataset_have_several_readings(reading):
    assert checked(stats_document(**READINGS[reading])) == []


@pytest.mark.parametrize("name", [*NAMES[:4], *QUANTILES])
def test_a_wrong_statistic_of_the_dataset_is_found(name):
    values = np.array(stats_document()["action"][name])
    values[1] += 0.7
    assert checked(stats_document(**{name: values})) == [f"{name} {values[1]:.6g} in dimension 1 (y)"]


def test_features_with_statistics_of_their_count_are_compared():
    columns = [f"stats/{feature}/{name}" for feature in FEATURES for name in ("count", "mean")]
    assert recorded_names(FEATURES, columns) == {"action": ("mean", "count"), "reward": ("mean", "count")}
    assert recorded_names(FEATURES, ["stats/action/mean", "stats/reward/count"]) == {"reward": ("count",)}

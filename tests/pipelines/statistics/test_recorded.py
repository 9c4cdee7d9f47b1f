"""Statistics computed from rows are those that LeRobot itself has recorded, of each episode and of the dataset."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from episeek_pipelines.dataset.recomputed_statistics import (
    all_episodes,
    measure,
    measured_features,
    recomputed_document,
    recomputed_episodes,
)
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.statistics.names import NAMES, QUANTILES
from episeek_schemas.lerobot import ROW_COLUMNS
from tests.pipelines.conftest import DATA

DATASETS = ("av1_multifile", "h264_bframes", "hevc", "images", "edited")
RENUMBERED = ("episode_index", "index", "task_index")
"""LeRobot numbers rows anew when it deletes episodes, and leaves the statistics of these columns as they were."""


def recompute(name):
    """The document and the table of episodes of a sample dataset, recomputed from its rows alone."""
    root = Root(str(DATA / name))
    info = json.loads((DATA / name / "meta/info.json").read_text())
    features = measured_features(info["features"])
    assert {"action", "observation.state", "next.done", *ROW_COLUMNS} == set(features)
    paths = sorted(path.relative_to(DATA / name).as_posix() for path in (DATA / name / "data").rglob("*.parquet"))
    measured = all_episodes(measure(root, path, features) for path in paths)
    assert not measured.left_out
    episodes = pq.read_table(DATA / name / "meta/episodes")
    columns = [column for column in episodes.column_names if not column.startswith("stats/")]
    return features, recomputed_document({}, measured), recomputed_episodes(episodes.select(columns), measured)


def assert_close(found, recorded, name, feature):
    """LeRobot sums in float32, and computed `timestamp` before it became float32: a bin of its may be the one beside."""
    recorded = np.array(recorded, np.float64)
    found = np.array(found, np.float64)
    if feature == "timestamp" and name in QUANTILES:
        np.testing.assert_allclose(found, recorded, rtol=0, atol=2e-3, err_msg=name)
    elif feature == "timestamp" or name in ("mean", "std"):
        np.testing.assert_allclose(found, recorded, rtol=2e-6, atol=2e-6, err_msg=f"{feature} {name}")
    else:
        np.testing.assert_allclose(found, recorded, rtol=1e-12, atol=1e-12, err_msg=f"{feature} {name}")


@pytest.mark.parametrize("dataset", DATASETS)
def test_statistics_are_those_that_lerobot_recorded(dataset):
    features, document, episodes = recompute(dataset)
    recorded = json.loads((DATA / dataset / "meta/stats.json").read_text())
    recorded_episodes = pq.read_table(DATA / dataset / "meta/episodes")
    for feature in features:
        if dataset == "edited" and feature in RENUMBERED:
            continue
        assert list(document[feature]) == list(NAMES)
        for name in NAMES:
            column = f"stats/{feature}/{name}"
            assert_close(document[feature][name], recorded[feature][name], name, feature)
            assert_close(episodes[column].to_pylist(), recorded_episodes[column].to_pylist(), name, feature)
            assert episodes[column].type.equals(recorded_episodes[column].type) or (
                episodes[column].type.value_type == recorded_episodes[column].type.value_type
            )


def test_columns_that_deleting_episodes_left_as_they_were_get_the_numbers_of_the_rows():
    _, document, episodes = recompute("edited")
    assert episodes["stats/episode_index/mean"].to_pylist() == [[float(number)] for number in range(8)]
    assert document["index"]["max"] == [sum(episodes["length"].to_pylist()) - 1]
    assert document["episode_index"]["max"] == [7]

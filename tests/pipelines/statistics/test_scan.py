"""The scan of a data file: the same however its rows are cut into batches and row groups, and named reasons for the rest."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.errors import RowOrderError
from episeek_pipelines.dataset.recomputed_statistics import all_episodes, recomputed_episodes
from episeek_pipelines.statistics.columns import from_bytes, to_bytes
from episeek_pipelines.statistics.episodes import EpisodeStatistics, episode_statistics
from episeek_pipelines.statistics.scan import EpisodeScan, measure_file, measured_features

COUNTS = (3, 1, 8, 5)
ROWS = sum(COUNTS)
EPISODES = np.repeat([4, 7, 2, 9], COUNTS)
VECTORS = np.random.default_rng(1).normal(size=(ROWS, 2)).astype(np.float32)
MATRICES = np.arange(ROWS * 6, dtype=np.int32) % 11


def lists(values, kind):
    return pa.array(values, kind)


def table(**columns):
    matrix = pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(pa.array(MATRICES), 3), 2)
    return pa.table(
        {
            "episode_index": EPISODES,
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 2),
            "list": lists(VECTORS.tolist(), pa.list_(pa.float32())),
            "scalar": pa.array(VECTORS[:, 0]),
            "half": pa.array(VECTORS[:, 0].astype(np.float16)),
            "flag": pa.array(VECTORS[:, 0] > 0),
            "matrix": matrix,
            **columns,
        }
    )


FEATURES = ("vector", "list", "scalar", "half", "flag", "matrix", "episode_index")
EXPECTED = episode_statistics(
    {
        "vector": VECTORS.reshape(ROWS, 1, 2),
        "list": VECTORS.reshape(ROWS, 1, 2),
        "scalar": VECTORS[:, :1].reshape(ROWS, 1, 1),
        "half": VECTORS[:, :1].astype(np.float16).astype(np.float32).reshape(ROWS, 1, 1),
        "flag": (VECTORS[:, :1] > 0).reshape(ROWS, 1, 1),
        "matrix": MATRICES.reshape(ROWS, 2, 3),
        "episode_index": EPISODES.reshape(ROWS, 1, 1),
    },
    np.array(COUNTS),
)


def assert_expected(measured):
    assert measured.episode_index.tolist() == [4, 7, 2, 9]
    assert measured.row_count.tolist() == list(COUNTS)
    assert set(measured.features) == set(FEATURES)
    for feature, entry in measured.features.items():
        for name, values in entry.items():
            np.testing.assert_array_equal(values, EXPECTED[feature][name], err_msg=f"{feature} {name}")
            assert values.dtype == EXPECTED[feature][name].dtype


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 16, 100])
def test_batches_of_any_size_give_the_same(size):
    scan = EpisodeScan(FEATURES)
    parts = [part for batch in table().to_batches(size) for part in scan.add(batch)]
    measured = EpisodeStatistics.joined([*parts, *scan.finish()])
    assert_expected(measured)
    assert all(measured.features[name].keys() == EXPECTED[name].keys() for name in FEATURES)


@pytest.mark.parametrize("group_rows", [1, 5, 100])
def test_row_groups_of_any_size_give_the_same(tmp_path, group_rows):
    pq.write_table(table(), tmp_path / "rows.parquet", row_group_size=group_rows)
    with pq.ParquetFile(tmp_path / "rows.parquet") as file:
        measured = measure_file(file, [*FEATURES, "absent"], "rows.parquet")
    assert_expected(measured)
    assert_expected(from_bytes(to_bytes(measured)))


BAD = {
    "a null": ("scalar", pa.array([None, *VECTORS[1:, 0].tolist()], pa.float32()), "null"),
    "a null list": ("vector", lists([None, *VECTORS[1:].tolist()], pa.list_(pa.float32(), 2)), "null"),
    "a NaN": (
        "scalar",
        pa.array([*VECTORS[1:, 0].tolist(), float("nan")]),
        "NaN, infinity or numbers too large to measure",
    ),
    "huge numbers": (
        "scalar",
        pa.array([-3e38, 3e38, *VECTORS[2:, 0].tolist()], pa.float32()),
        "NaN, infinity or numbers too large to measure",
    ),
    "a short list": ("list", lists([*VECTORS[1:].tolist(), [1.0]], pa.list_(pa.float32())), "lists of 1 to 2 values"),
    "texts": ("scalar", pa.array(["x"] * ROWS), "values of type string"),
    "empty lists": ("list", lists([[]] * ROWS, pa.list_(pa.float32())), "empty lists"),
}


@pytest.mark.parametrize("kind", BAD)
def test_columns_that_cannot_be_measured_are_left_out_with_a_reason(kind):
    name, column, reason = BAD[kind]
    scan = EpisodeScan(FEATURES)
    parts = list(scan.add(table(**{name: column}).combine_chunks().to_batches()[0]))
    measured = EpisodeStatistics.joined([*parts, *scan.finish()])
    assert dict(measured.left_out) == {name: reason}
    assert set(measured.features) == {*FEATURES} - {name}
    assert from_bytes(to_bytes(measured)).left_out == measured.left_out


@pytest.mark.parametrize(
    ("episodes", "found"),
    [
        (pa.array([0, 1, 0]), "rows of episode 0 in 2 separate ranges"),
        (pa.array([0, None, 1]), "null in column 'episode_index'"),
        (pa.array(["a", "b", "c"]), "no column 'episode_index' of integers"),
    ],
)
def test_rows_whose_episode_is_not_known_are_refused(tmp_path, episodes, found):
    pq.write_table(pa.table({"episode_index": episodes, "x": [1.0, 2.0, 3.0]}), tmp_path / "rows.parquet")
    with pq.ParquetFile(tmp_path / "rows.parquet") as file, pytest.raises(RowOrderError) as caught:
        measure_file(file, ["x"], "rows.parquet")
    assert caught.value.found == found


def test_features_of_numbers_are_measured():
    features = {
        "a": {"dtype": "float32"},
        "b": {"dtype": "bool"},
        "c": {"dtype": "string"},
        "d": {"dtype": "video"},
        "e": 3,
    }
    assert measured_features(features) == ("a", "b")


def part(numbers, value):
    counts = np.ones(len(numbers), np.int64)
    values = {"x": np.full((len(numbers), 1, 1), value)}
    return EpisodeStatistics(np.array(numbers), counts, episode_statistics(values, counts))


def test_all_episodes_come_by_number_and_none_comes_twice():
    measured = all_episodes([part([3, 4], 5.0), part([1], 2.0)])
    assert measured.episode_index.tolist() == [1, 3, 4]
    assert measured.features["x"]["mean"].tolist() == [[2.0], [5.0], [5.0]]
    with pytest.raises(ValueError, match="episode 3"):
        all_episodes([part([3], 5.0), part([1, 3], 2.0)])


def test_columns_keep_their_place_and_type_and_rows_without_rows_their_values():
    lists_of = pa.list_(pa.field("element", pa.float64()))
    episodes = pa.table(
        {
            "episode_index": [0, 1, 2],
            "stats/x/min": pa.array([[7.0], [8.0], [9.0]], lists_of),
            "stats/picture/min": pa.array([[0.0]] * 3, lists_of),
            "length": [1, 1, 1],
        }
    )
    changed = recomputed_episodes(episodes, part([0, 2], 5.0))
    assert changed.column_names[:4] == episodes.column_names
    assert changed["stats/x/min"].type == lists_of
    assert changed["stats/x/min"].to_pylist() == [[5.0], [8.0], [5.0]]
    assert changed["stats/x/mean"].to_pylist() == [[5.0], None, [5.0]]
    assert changed["stats/picture/min"].equals(episodes["stats/picture/min"])
    assert recomputed_episodes(episodes, EpisodeStatistics.joined([])) == episodes

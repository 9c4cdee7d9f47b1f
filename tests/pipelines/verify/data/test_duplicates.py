"""Prints of episodes, whatever the batches are, and the episodes that are taken for copies."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek_pipelines.verify.data.duplicates import LEAST_CHANGES, check_duplicates
from episeek_pipelines.verify.data.row_prints import RowPrintScan, printed_features
from episeek_pipelines.verify.findings.observations import Observations
from episeek_pipelines.verify.findings.prints import FramePrints, RowPrints

PATH = "data/chunk-000/file-000.parquet"
EPISODES = [[0.0, 1.0, 1.0, 2.0], [5.0], [0.0, 1.0, 1.0, 2.0], [0.0, 1.0, 2.0, 2.0], [7.0, 7.0]]


def table(columns: dict[str, pa.Array]) -> pa.Table:
    episode = np.repeat(np.arange(len(EPISODES)), [len(each) for each in EPISODES])
    return pa.table({"episode_index": episode, **columns})


def prints_of(rows: pa.Table, cuts: list[int], lengths: list[int] | None = None) -> RowPrints:
    lengths = [len(each) for each in EPISODES] if lengths is None else lengths
    names = tuple(name for name in rows.column_names if name != "episode_index")
    scan = RowPrintScan(PATH, names, np.arange(len(EPISODES)), np.array(lengths))
    bounds = [0, *sorted(cuts), len(rows)]
    for start, stop in pairwise(bounds):
        for batch in rows.slice(start, stop - start).combine_chunks().to_batches():
            scan.add(batch, start)
    return scan.prints()


COLUMNS = {
    "vectors": lambda values: pa.array([[v, 3.0] for v in values], pa.list_(pa.float32(), 2)),
    "lists": lambda values: pa.array([[v, 3.0] for v in values], pa.list_(pa.float32())),
    "scalars": lambda values: pa.array(values, pa.float64()),
    "halves": lambda values: pa.array(np.array(values, np.float16)),
}


@pytest.mark.parametrize("kind", COLUMNS)
@given(cuts=st.lists(st.integers(0, 15), max_size=4))
def test_a_print_depends_on_the_values_alone(kind, cuts):
    values = [value for episode in EPISODES for value in episode]
    rows = table({"action": COLUMNS[kind](values), "flag": pa.array([value > 1 for value in values])})
    found = prints_of(rows, cuts)
    assert found.episode_index.tolist() == [0, 1, 2, 3, 4]
    assert (found.first_row.tolist(), found.row_count.tolist()) == ([0, 4, 5, 9, 13], [4, 1, 4, 4, 2])
    assert [found.digest.tolist().index(digest) for digest in found.digest.tolist()] == [0, 1, 0, 3, 4]
    assert found.change_count.tolist() == [2, 0, 2, 2, 0]


@pytest.mark.parametrize("column", [
    pa.array([[1.0, 2.0], [1.0, 2.0], [1.0], [1.0, 2.0], *[[3.0, 4.0]] * 9, [5.0], [5.0]]),
    pa.array([1.0, 2.0, None, 3.0, *[4.0] * 11]),
    pa.array([[1.0], [2.0], None, [3.0], *[[4.0]] * 11]),
    pa.array([[1.0], [2.0], [None], [3.0], *[[4.0]] * 11]),
])  # fmt: skip
@given(cuts=st.lists(st.integers(0, 15), max_size=4))
def test_episodes_with_missing_values_have_no_print(column, cuts):
    found = prints_of(table({"action": column}), cuts)
    assert found.episode_index.tolist() == [1, 2, 3, 4]
    assert found.digest.tolist().count(found.digest[1]) == 2


def test_lists_of_either_kind_have_one_print():
    values = [value for episode in EPISODES for value in episode]
    by_kind = [prints_of(table({"action": COLUMNS[kind](values)}), []) for kind in ("vectors", "lists")]
    assert by_kind[0].digest.tolist() == by_kind[1].digest.tolist()


def test_every_column_counts_and_episodes_of_another_length_are_left_out():
    values = [value for episode in EPISODES for value in episode]
    other = [0] * 5 + [1] + [0] * 9
    columns = {"action": COLUMNS["vectors"](values), "task_index": pa.array(other)}
    assert len(set(prints_of(table(columns), []).digest.tolist())) == 5
    assert prints_of(table(columns), [], [4, 1, 3, 4, 2]).episode_index.tolist() == [0, 1, 3, 4]


def test_the_columns_of_a_print():
    names = (
        "action",
        "observation.state",
        "timestamp",
        "index",
        "note",
        "camera",
        "task_index",
        "frame_index",
        "twice",
        "twice",
    )
    dtypes = dict.fromkeys(names, "float32") | {"note": "string", "camera": "image"}
    features = {name: {"dtype": dtype, "shape": [1]} for name, dtype in dtypes.items()} | {"lost": {"dtype": "float32"}}
    assert printed_features(features, names) == ("action", "observation.state", "task_index")


def copies(changes: int, frames: dict[str, list[int]], digests=(8, 9, 8, 8)) -> list[tuple[int | None, str]]:
    """Return the findings of four episodes in two files."""
    rows = np.arange(4)
    prints = tuple(
        RowPrints(
            path, rows[part], 10 * rows[part], np.full(2, 50), np.full(2, changes), np.array(digests, np.uint64)[part]
        )
        for path, part in ((PATH, slice(2, 4)), ("data/chunk-000/file-001.parquet", slice(0, 2)))
    )
    coded = tuple(FramePrints(key, rows, np.array(each, np.uint64)) for key, each in frames.items())
    observations = Observations(row_prints=prints, frame_prints=coded)
    return [(each.location.episode, each.found) for each in check_duplicates(observations, tuple(frames))]


SAME = ", and the coded frames of both episodes have the same sizes"
OTHER = ", but the coded frames of the two episodes differ"


@pytest.mark.parametrize(
    ("frames", "about"),
    [
        ({}, ["", ""]),
        ({"a": [1, 2, 1, 3]}, [SAME, OTHER]),
        ({"a": [1, 2, 1, 1], "b": [4, 5, 4, 6]}, [SAME, OTHER]),
        ({"a": [1, 2, 0, 1]}, ["", SAME]),
        ({"a": [1, 2, 1, 1], "b": [0, 0, 0, 0]}, ["", ""]),
    ],
)
def test_rows_that_vary_are_a_copy_whatever_the_videos_are(frames, about):
    said = [f"the numbers of all 50 rows equal those of episode 0{each}" for each in about]
    assert copies(LEAST_CHANGES, frames) == list(zip([2, 3], said, strict=True))


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ({}, []),
        ({"a": [1, 2, 1, 3]}, [(2, 0)]),
        ({"a": [5, 2, 1, 1]}, [(3, 2)]),
        ({"a": [1, 2, 1, 1], "b": [4, 5, 4, 6]}, [(2, 0)]),
        ({"a": [1, 2, 1, 1], "b": [0, 0, 0, 0]}, []),
    ],
)
def test_rows_of_a_robot_at_rest_are_a_copy_where_all_videos_are(frames, expected):
    said = [
        (episode, f"the numbers of all 50 rows equal those of episode {first}{SAME}") for episode, first in expected
    ]
    assert copies(LEAST_CHANGES - 1, frames) == said


def test_rows_of_one_episode_in_two_files_are_no_copy():
    prints = RowPrints(
        PATH, np.array([3, 3]), np.array([0, 9]), np.array([9, 9]), np.array([50, 50]), np.array([7, 7], np.uint64)
    )
    assert not list(check_duplicates(Observations(row_prints=(prints,)), ()))

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek_pipelines.verify import Finding
from episeek_pipelines.verify.data.task_scan import TaskScan, has_other_task_columns
from episeek_pipelines.verify.findings.quoting import quoted
from episeek_pipelines.verify.metadata.task_rules import check_episode_tasks, check_tasks, task_numbers, task_texts
from tests.support.build_index import DATA

SAMPLES = ("av1_multifile", "edited", "h264_bframes", "hevc", "images")
LONG = "pick " + "very " * 30 + "carefully"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
)


def tasks(texts, numbers=None, column="__index_level_0__"):
    numbers = range(len(texts)) if numbers is None else numbers
    table = pa.table({"task_index": pa.array(numbers, pa.int64()), column: pa.array(texts, pa.string())})
    return with_index(table, column)


def with_index(table: pa.Table, *columns: Any) -> pa.Table:
    """The table with the pandas index that `DataFrame.to_parquet` notes in the schema metadata."""
    return table.replace_schema_metadata({"pandas": json.dumps({"index_columns": columns})})


def messages(findings: Iterable[Finding]) -> list[str]:
    found = list(findings)
    assert all(f.code == "TSK014" for f in found)
    return [f"{f.location}: {f.message} +{f.more}" for f in found]


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_no_findings(name):
    root = DATA / name
    info = json.loads((root / "meta/info.json").read_text())
    table = pq.read_table(root / "meta/tasks.parquet")
    known = task_numbers(table)
    assert sorted(known.values()) == list(range(info["total_tasks"]))
    assert task_texts(table) == {number: text for text, number in known.items()}
    assert not messages(check_tasks(info, table))
    episode_tasks: dict[int, list[str]] = {}
    for path in sorted((root / "meta/episodes").rglob("*.parquet")):
        episodes = pq.read_table(path, columns=["episode_index", "tasks"])
        assert not messages(check_episode_tasks(path.name, episodes["tasks"], known))
        episode_tasks |= dict(zip(episodes["episode_index"].to_pylist(), episodes["tasks"].to_pylist(), strict=True))
    for path in sorted((root / "data").rglob("*.parquet")):
        scan = TaskScan(path.name, task_texts(table), episode_tasks)
        for batch in pq.ParquetFile(path).iter_batches(7, columns=["episode_index", "task_index"]):
            scan.add(*(batch[name].to_numpy() for name in ("episode_index", "task_index")))
        assert scan._used
        assert not messages(scan.findings())


@pytest.mark.parametrize(
    ("document", "table", "expected"),
    [
        ({}, tasks(["a", "b"], column="task"), []),
        ({}, tasks(["a", "b"], column="instruction"), []),
        ({}, tasks(["a", "b"]).append_column("note", pa.array(["x", "x"])), []),
        ({"total_tasks": 2.0}, tasks(["a", "b"]), []),
        *(
            ({}, with_index(pa.table({"task_index": [0], "task": ["a"]}), *index),
             [f"meta/tasks.parquet, column task: {found} as the pandas index, and texts in column 'task';"
              " expected the texts as the pandas index, which LeRobot takes for the task +0"])
            for index, found in (
                ((), "a row number"),
                (({"kind": "range", "start": 0, "stop": 1, "step": 1},), "a row number"),
                (("task_index",), "column 'task_index'"),
                (("task", "task_index"), "a row number"),
                (("gone",), "a row number"),
            )
        ),
        ({}, with_index(pa.table({"task_index": [0], "task": pa.array(["a"]).dictionary_encode()}), "task"), []),
        ({"total_episodes": 0, "total_tasks": 0}, None, []),
        ({}, None, ["meta/tasks.parquet: no such file; expected a table of tasks and their numbers +0"]),
        (
            {},
            tasks(["a", "b", "a", "a"]),
            ["meta/tasks.parquet, row 2, column __index_level_0__: task 'a', which is also in row 0;"
             " expected each task once +1"],
        ),
        (
            {},
            tasks(["a", None]),
            ["meta/tasks.parquet, row 1, column __index_level_0__: null; expected the text of a task +0"],
        ),
        (
            {},
            tasks(["a", "b", "c"], [0, 2, 1]),
            ["meta/tasks.parquet, row 1, column task_index: task_index 2 in row 1; expected 1,"
             " since LeRobot looks up a task by its row number +1"],
        ),
        (
            {},
            tasks(["a", "b"], [1, 2]),
            ["meta/tasks.parquet, row 0, column task_index: task_index 1 in row 0; expected 0,"
             " since LeRobot looks up a task by its row number +1"],
        ),
        (
            {},
            tasks(["a", "b"], [0, None]),
            ["meta/tasks.parquet, row 1, column task_index: task_index null in row 1; expected 1,"
             " since LeRobot looks up a task by its row number +0"],
        ),
        (
            {"total_tasks": 3},
            tasks(["a", "b"]),
            ["meta/info.json, key total_tasks: total_tasks 3; expected 2, the rows of meta/tasks.parquet +0"],
        ),
        (
            {"total_tasks": True},
            tasks(["a"]),
            ["meta/info.json, key total_tasks: total_tasks True; expected 1, the rows of meta/tasks.parquet +0"],
        ),
        (
            {},
            pa.table({"task_index": [0]}),
            ["meta/tasks.parquet: columns 'task_index int64'; expected a column with the text of each task +0"],
        ),
        (
            {},
            with_index(pa.table({"task_index": [0.0], "task": ["a"]}), "task"),
            ["meta/tasks.parquet: columns 'task_index double, task string';"
             " expected the integer column 'task_index' +0"],
        ),
    ],
)  # fmt: skip
def test_the_table(document, table, expected):
    assert messages(check_tasks(document, table)) == expected


def test_numbers_of_a_table_that_cannot_be_used():
    assert task_numbers(None) == {} == task_texts(None)
    assert task_numbers(pa.table({"task": ["a"]})) == {} == task_texts(pa.table({"task_index": [0]}))
    assert task_numbers(tasks(["a", "a", None, "b"], [0, 1, 2, None])) == {"a": 0}
    assert task_texts(tasks(["a", "a", "b"], [0, 1, 1])) == {0: "a", 1: "a"}
    huge = pa.table({"task_index": pa.array([1 << 63, 1], pa.uint64()), "task": ["a", "b"]})
    assert task_texts(huge) == {1: "b"}


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.string(), 1)])
def test_tasks_of_episodes_as_other_writers_type_them(kind):
    column = pa.chunked_array([pa.array([["a"], ["b"]], kind), pa.array([["b"]], kind)])
    assert not messages(check_episode_tasks("e", column, {"a", "b"}))
    assert messages(check_episode_tasks("e", column, {"a"}, 10)) == [
        "e, row 11, column tasks: task 'b'; expected a task of meta/tasks.parquet +1"
    ]
    assert not messages(check_episode_tasks("e", column.slice(0, 0), {"a"}))


def test_tasks_of_episodes():
    column = pa.chunked_array([pa.array([["a"], [], None, ["b", "x", "x"]]), pa.array([["a"], [LONG, None], ["b"]])])
    empty, unknown = messages(check_episode_tasks("e", column, {"a", "b"}, 100))
    assert empty == "e, row 101, column tasks: no task; expected one or more tasks +1"
    assert unknown == "e, row 103, column tasks: task 'x'; expected a task of meta/tasks.parquet +1"
    assert len(messages(check_episode_tasks("e", column.slice(5), {"b"}))[0]) < 140  # the text is cut
    assert "task null" in messages(check_episode_tasks("e", pa.chunked_array([[["a", None]]]), {"a"}))[0]
    assert messages(check_episode_tasks("e", column, (), 100)) == [empty]  # the table is what is wrong


@pytest.mark.parametrize("column", [["a"], [1], [[1]], [{"a": 1}], [[["a"]]]])
def test_tasks_of_another_type(column):
    (found,) = messages(check_episode_tasks("e", pa.chunked_array([column]), {"a"}))
    assert "expected lists of strings" in found


def test_tasks_that_are_all_null():
    for column in (pa.chunked_array([pa.nulls(2)]), pa.chunked_array([pa.array([[], []])])):
        assert messages(check_episode_tasks("e", column, {"a"})) == [
            "e, row 0, column tasks: no task; expected one or more tasks +1"
        ]


def scan(*batches, declared, expects_every_task=True, texts=("a", "b", LONG)):
    found = TaskScan("data.parquet", dict(enumerate(texts)), declared, expects_every_task)
    for batch in batches:
        episodes, numbers = zip(*batch, strict=True)
        null = np.array([number is None for number in numbers])
        found.add(
            np.array(episodes, np.int64), np.array([number or 0 for number in numbers]), null if null.any() else None
        )
    return messages(found.findings())


@pytest.mark.parametrize(
    ("batches", "declared", "expected"),
    [
        ([[(0, 0), (0, 0)], [(0, 1), (1, 1)]], {0: ["a", "b"], 1: ["b"]}, []),
        ([[(7, 1)]], {}, []),  # no such episode: that is found elsewhere
        ([[(0, 1)]], {0: []}, []),
        ([[(0, 1)]], {0: ["x"]}, []),
        (
            [[(0, 0), (0, 3)], [(0, None), (1, -1), (1, None)], [(1, None)]],
            {0: ["a"]},
            [
                "data.parquet, episode 0, row 1, column task_index: task_index 3;"
                " expected the number of a task of meta/tasks.parquet +1",
                "data.parquet, episode 0, row 2, column task_index: task_index null;"
                " expected the number of a task of meta/tasks.parquet +2",
            ],
        ),
        (
            [[(0, 0), (1, 0), (1, 1)], [(1, 1), (2, 0)]],
            {0: ["a"], 1: ["a"], 2: ["b", LONG]},
            [
                "data.parquet, episode 1, row 2, column task_index: task_index 1, 'b', in 2 rows;"
                " expected 'a', as declared in meta/episodes +1"
            ],
        ),
        (
            [[(0, 0), (1, 0), (2, 1)]],
            {0: ["a", "b"], 1: ["a"], 2: ["a", "b"]},
            [
                "data.parquet, episode 0, column task_index: no row of task 'b';"
                " expected one or more, since meta/episodes declares it +1"
            ],
        ),
    ],
)
def test_rows(batches, declared, expected):
    assert scan(*batches, declared=declared) == expected


def test_rows_of_a_dataset_that_has_other_task_columns():
    assert has_other_task_columns({"task_index": {}, "annotation.human.validity": {}})
    assert not has_other_task_columns({"task_index": {}})
    assert not scan([(0, 0)], declared={0: ["a", "b"]}, expects_every_task=False)


def test_rows_without_a_usable_table():
    assert not scan([(0, 5)], declared={0: ["a"]}, texts=())


def test_texts_are_cut():
    assert len(quoted(LONG)) == 62  # and the quotes
    assert quoted(LONG) in scan([(0, 2)], declared={0: ["a"]})[0]
    assert quoted([1]) == "list"
    assert quoted(10**30) == "int"


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.none() | st.integers(-1, 3)), min_size=1, max_size=30),
    cuts=st.sets(st.integers(1, 29)),
    declared=st.dictionaries(st.integers(0, 2), st.lists(st.sampled_from(["a", "b", "x"]), max_size=2)),
)
def test_batches_do_not_matter(rows, cuts, declared):
    bounds = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    batches = [rows[start:stop] for start, stop in pairwise(bounds)]
    assert scan(*batches, declared=declared) == scan(rows, declared=declared)
    unknown = sum(number not in (0, 1, 2) for _, number in rows)
    texts = scan(rows, declared=declared)
    assert sum(int(text.rpartition("+")[2]) + 1 for text in texts if "expected the number" in text) == unknown


@settings(deadline=None)
@given(document=st.dictionaries(st.sampled_from(["total_tasks", "total_episodes"]), JSON))
def test_hostile_info(document):
    for table in (None, tasks(["a"])):
        assert len(messages(check_tasks(document, table))) <= 1

import pyarrow as pa
import pytest

from episeek_pipelines.comparison.rows import episode_columns
from episeek_pipelines.comparison.rows.column_values import digest_of, digests_of
from episeek_pipelines.comparison.rows.episode_columns import EpisodePlace, Texts, compared_columns


def columns(table: pa.Table, number: int = 0, first_row: int = 0, **tasks: str) -> dict[str, list[object]]:
    texts = Texts({int(key[1:]): text for key, text in tasks.items()}, {})
    found = compared_columns(table, EpisodePlace(number, first_row), texts)
    return {name: values.to_pylist() for name, values in found}


def test_numbers_count_from_the_episode_and_tasks_are_texts():
    table = pa.table({"episode_index": [7, 7], "index": [70, None], "task_index": [1, 4], "x": [0.5, 1.0]})
    found = columns(table, 7, 70, t1="pick")
    assert (found["episode_index"], found["index"], found["x"]) == ([0, 0], [0, None], [0.5, 1.0])
    # a number without a text equals no text
    assert columns(table, 7, 70, t4="pick")["task_index"][0] != found["task_index"][0]
    renumbered = table.set_column(2, "task_index", pa.array([0, 4]))
    assert columns(renumbered, 7, 70, t0="pick")["task_index"] == found["task_index"]


def test_fields_of_structs_are_columns():
    pictures = pa.array([{"bytes": b"x", "path": None}, None])
    assert columns(pa.table({"image": pictures})) == {
        "image": [True, False],
        "image.bytes": [b"x", None],
        "image.path": [None, None],
    }


def test_columns_of_more_than_two_gibibytes_are_the_same_columns(monkeypatch: pytest.MonkeyPatch):
    rows = pa.chunked_array(
        [[{"bytes": b"abc", "tags": ["a"]}], [{"bytes": b"", "tags": []}, {"bytes": None, "tags": None}]]
    )
    table = pa.table({"image": rows, "text": pa.chunked_array([["a"], ["", None]])})

    def digests():
        found = compared_columns(table, EpisodePlace(0, 0), Texts({}, {}))
        return {name: digest_of(values) for name, values in found}

    small = digests()
    monkeypatch.setattr(episode_columns, "MAX_SMALL_BYTES", 1)
    assert digests() == small


def test_digests_of_runs_are_those_of_the_runs_alone():
    values = pa.array([[1.0], [], None, [2.0, None], [2.0, None], [1.0]])
    runs = digests_of(values, [0, 1, 2, 4, 5, 6])
    alone = [digest_of(values.slice(start, stop - start)) for start, stop in ((0, 1), (1, 2), (2, 4), (4, 5), (5, 6))]
    assert runs == alone
    assert runs[0] == runs[-1]

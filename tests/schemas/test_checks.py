import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandera.pyarrow as pandera
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek_schemas import checks, lerobot, sidecars
from episeek_schemas.checks import MAX_ROWS_PER_PROBLEM, TableName, check_table
from tests.support.amount import full_run
from tests.support.build_index import CAMERAS, DATA

SIDECARS: dict[TableName, pa.Schema] = {
    "files": sidecars.FILES,
    "episodes": sidecars.EPISODES,
    "keyframes": sidecars.KEYFRAMES,
    "samples": sidecars.SAMPLES,
}


def episodes() -> pa.Table:
    return pq.read_table(DATA / "av1_multifile/meta/episodes/chunk-000/file-000.parquet")


def replaced(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, values)


def test_good_tables_have_no_problems(sidecar_roots):
    assert check_table(episodes(), "meta/episodes", video_keys=CAMERAS) == []
    for root in sidecar_roots.values():
        for name in SIDECARS:
            assert check_table(pq.read_table(root / f"meta/byte_index/{name}.parquet"), name) == []


@pytest.mark.parametrize("name", SIDECARS)
def test_an_empty_table_has_no_problems(name):
    assert check_table(SIDECARS[name].empty_table(), name) == []


DAMAGED_VALUES: dict[str, list[float | None]] = {
    "length": [0, -1, None, 1 << 62],
    "dataset_from_index": [-1, None],
    f"videos/{CAMERAS[0]}/from_timestamp": [-0.5, float("nan"), float("inf"), None, 1e13],
}


@pytest.mark.parametrize(
    ("column", "value"), [(name, value) for name, values in DAMAGED_VALUES.items() for value in values]
)
def test_a_table_that_skips_pandera_has_no_problem_for_it(column, value, monkeypatch):
    table = episodes()
    values = [value, *table[column].to_pylist()[1:]]
    broken = replaced(table, column, pa.array(values, table.schema.field(column).type))
    found = check_table(broken, "meta/episodes", video_keys=CAMERAS)
    monkeypatch.setattr(checks, "_is_sound", lambda *_, **__: False)
    assert found == check_table(broken, "meta/episodes", video_keys=CAMERAS)
    assert check_table(table, "meta/episodes", video_keys=CAMERAS) == []


def test_threads_do_not_validate_at_once(monkeypatch):
    """Without the lock, one process in six found a problem in a sound table, with pandera 0.33."""
    is_alone = []
    running = threading.Semaphore(1)

    def validate(*arguments, **options):
        is_alone.append(running.acquire(timeout=0.02))
        time.sleep(0.05)
        running.release()

    monkeypatch.setattr(pandera.DataFrameSchema, "validate", validate)
    with ThreadPoolExecutor(4) as threads:
        # a sound table is not given to pandera
        tables = [schema.remove(0).empty_table() for schema in SIDECARS.values()]
        assert list(threads.map(check_table, tables, SIDECARS)) == [[], [], [], []]
    assert is_alone == [True] * 4


@full_run
def test_pandera_is_imported_when_a_table_is_not_sound_also_by_several_threads_at_once():
    script = """
import sys
from concurrent.futures import ThreadPoolExecutor
from episeek_schemas import checks, sidecars

assert not {"pandera", "pandas"} & set(sys.modules)
with ThreadPoolExecutor(4) as threads:
    tables = [schema.empty_table() for _, schema in sidecars.TABLES.values()]
    assert list(threads.map(checks.check_table, tables, sidecars.TABLES)) == [[], [], [], []]
    assert "pandera" not in sys.modules
    tables = [schema.remove(0).empty_table() for _, schema in sidecars.TABLES.values()]
    assert list(map(len, threads.map(checks.check_table, tables, sidecars.TABLES))) == [1, 1, 1, 1]
assert "pandera" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_all_failures_are_found_at_once_with_their_rows():
    seconds = lerobot.video_column(CAMERAS[0], "from_timestamp")
    table = replaced(episodes(), "length", pa.array([52, None, 43, 0, 28, 29, -1, 49, None, 20]))
    table = replaced(table, seconds, pa.array([0.0, np.nan, 0, np.inf, 0, -1, None, 0, 0, 0]))
    table = replaced(table, "data/chunk_index", pa.array(["0"] * 10)).drop_columns("dataset_to_index")
    problems = check_table(table, "meta/episodes", video_keys=CAMERAS, path="some/file", first_row=100)
    assert {(p.column, p.row, p.check, p.found) for p in problems} == {
        ("data/chunk_index", None, "dtype", "type string"),
        ("dataset_to_index", None, "column_in_dataframe", "no such column"),
        ("length", 101, "not_nullable", "null"),
        ("length", 108, "not_nullable", "null"),
        ("length", 103, "in_range", "0"),
        ("length", 106, "in_range", "-1"),
        (seconds, 101, "not_nullable", "NaN"),
        (seconds, 106, "not_nullable", "null"),
        (seconds, 103, "in_range", "inf"),
        (seconds, 105, "in_range", "-1.0"),
    }
    assert {p.table for p in problems} == {"some/file"}


def test_cameras_decide_which_columns_are_needed():
    problems = check_table(episodes(), "meta/episodes", video_keys=["ghost"])
    assert [p.column for p in problems] == sorted(
        lerobot.video_column("ghost", field) for field in lerobot.VIDEO_FIELDS
    )


def test_foreign_tables_may_have_other_widths_and_further_columns():
    table = replaced(episodes(), "length", episodes()["length"].cast(pa.int32()))
    table = replaced(table, lerobot.video_column(CAMERAS[0], "to_timestamp"), pa.array([1.0] * 10, pa.float32()))
    assert check_table(table.append_column("more", pa.array([0] * 10)), "meta/episodes", video_keys=CAMERAS) == []


def test_sidecars_may_not():
    table = pa.table({"byte_offset": pa.array([0], pa.int64()), "byte_size": pa.array([1], pa.uint32()),
                      "pts": pa.array([0], pa.int64()), "is_sync": [True], "more": [1]})  # fmt: skip
    assert [(p.column, p.found) for p in check_table(table, "samples")] == [
        ("byte_offset", "type int64"),
        ("more", "a column the format does not have"),
    ]
    swapped = sidecars.SAMPLES.empty_table().select(["byte_size", "byte_offset", "pts", "is_sync"])
    assert {p.check for p in check_table(swapped, "samples")} == {"column_ordered"}


def test_text_columns_have_a_pattern(sidecar_roots):
    table = pq.read_table(sidecar_roots["hevc"] / "meta/byte_index/files.parquet")
    table = replaced(table, "codec", pa.array(["hev1", "h265!"]))
    table = replaced(table, "file_path", pa.array(["/absolute.mp4", "videos/x.mp4"]))
    assert [(p.column, p.row) for p in check_table(table, "files")] == [("codec", 1), ("file_path", 0)]


def test_the_lead_in_may_be_negative(sidecar_roots):
    table = pq.read_table(sidecar_roots["hevc"] / "meta/byte_index/samples.parquet")
    assert check_table(replaced(table, "pts", pa.array([-512] * len(table), pa.int32())), "samples") == []


def test_many_rows_are_listed_up_to_a_limit_that_is_counted():
    count = MAX_ROWS_PER_PROBLEM + 234
    table = pa.table([pa.nulls(count, f.type) for f in sidecars.SAMPLES], names=sidecars.SAMPLES.names)
    problems = check_table(table, "samples")
    assert len(problems) == 4 * MAX_ROWS_PER_PROBLEM
    assert sum(1 + p.more for p in problems) == 4 * count
    assert {p.row for p in problems if p.more} == {MAX_ROWS_PER_PROBLEM - 1}


def test_a_column_twice_is_a_problem_not_an_exception():
    column = pa.array([1], pa.uint32())
    table = pa.table([column, column, pa.array([1], pa.int32())], names=["byte_size", "byte_size", "pts"])
    assert {(p.column, p.check) for p in check_table(table, "samples")} >= {("byte_size", "unique_column_names")}

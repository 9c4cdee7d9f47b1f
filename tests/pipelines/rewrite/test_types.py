"""Rewriting: columns of every type, and any lengths of episodes."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from episeek_pipelines.dataset.metadata import open_dataset
from tests.support.amount import each_choice, examples
from tests.support.build_index import DATA
from tests.support.rewriting import (
    FILE,
    assert_one_episode_per_row_group,
    assert_same_rows,
    episodes_table,
    rewrite,
    write_dataset,
)


class Depth(pa.ExtensionType):  # type: ignore[misc]  # pyarrow has no annotations
    def __init__(self):
        super().__init__(pa.list_(pa.float32(), 2), "test.depth")

    def __arrow_ext_serialize__(self):
        return b"metres"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        assert serialized == b"metres"
        return cls()


LENGTHS = [5, 1, 7, 4]

ROWS = sum(LENGTHS)


def column_cases():
    numbers = list(range(ROWS))
    sparse = [None if k % 3 == 0 else k for k in numbers]
    pairs = pa.array([[float(k), -float(k)] for k in numbers], pa.list_(pa.float32(), 2))
    words = [None if k % 4 == 1 else f"word {k % 3}" for k in numbers]
    nested = pa.array(
        [None if k % 5 == 0 else [[k], [], None, [k, None]] for k in numbers], pa.list_(pa.list_(pa.int16()))
    )
    structs = pa.array(
        [None if k % 6 == 0 else {"bytes": bytes([k] * k), "path": f"{k}.png" if k % 2 else None} for k in numbers],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    return {
        "integers with nulls": (pa.array(sparse, pa.int32()), {}),
        "floats with nulls and NaN payloads": (
            pa.array([None if k % 3 else float("inf") for k in numbers], pa.float64()),
            {},
        ),
        "all null": (pa.nulls(ROWS, pa.float32()), {}),
        "null type": (pa.nulls(ROWS), {}),
        "required": (pa.array(numbers, pa.int8()), {"nullable": False}),
        "unsigned": (pa.array([2**64 - 1 - k for k in numbers], pa.uint64()), {}),
        "bool": (pa.array([None if k % 3 == 0 else k % 2 == 0 for k in numbers]), {}),
        "half": (pa.array(np.arange(ROWS, dtype=np.float16)), {}),
        "decimal": (pa.array([None, *numbers[1:]]).cast(pa.decimal128(25, 3)), {}),
        "timestamp": (pa.array(numbers, pa.timestamp("ns", "Europe/Berlin")), {}),
        "fixed size list": (pairs, {}),
        "fixed size list with nulls": (
            pa.array([None if k % 3 == 0 else [k, None] for k in numbers], pa.list_(pa.int64(), 2)),
            {},
        ),
        "fixed size list of required items": (
            pairs.cast(pa.list_(pa.field("value", pa.float32(), nullable=False, metadata={"unit": "m"}), 2)),
            {},
        ),
        "nested lists": (nested, {}),
        "items not called element": (
            nested.cast(pa.list_(pa.field("row", pa.list_(pa.field("cell", pa.int16()))))),
            {},
        ),
        "large lists": (nested.cast(pa.large_list(pa.large_list(pa.int16()))), {}),
        "structs": (structs, {"metadata": {"note": "an image"}}),
        "map": (pa.array([[("a", k), ("b", None)] for k in numbers], pa.map_(pa.string(), pa.int64())), {}),
        "large string": (pa.array(words, pa.large_string()), {}),
        "large binary": (pa.array([bytes([k]) * 3000 for k in numbers], pa.large_binary()), {}),
        "string view": (pa.array(words, pa.string_view()), {}),
        "fixed size binary": (pa.array([bytes([k] * 4) for k in numbers], pa.binary(4)), {}),
        "categorical": (pa.array(words).dictionary_encode(), {}),
        "categorical, small and ordered": (
            pa.DictionaryArray.from_arrays(
                pa.array([k % 3 for k in numbers], pa.int8()), ["a", "b", "c"], ordered=True
            ),
            {},
        ),
        "unregistered extension": (
            pairs,
            {
                "metadata": {
                    "ARROW:extension:name": "nobody.knows",
                    "ARROW:extension:metadata": "x",
                }
            },
        ),
    }


def check_column(tmp_path, array, field_options, **options):
    table = episodes_table(LENGTHS)
    field = pa.field("subject", array.type, **field_options)
    table = table.append_column(field, pa.chunked_array([array.slice(0, 6), array.slice(6)]))
    source = write_dataset(tmp_path / "source", [table], **options)
    assert pq.read_schema(source / FILE).field("subject").nullable == field.nullable
    rewrite(source, tmp_path / "out")
    assert_same_rows(source / FILE, tmp_path / "out" / FILE)
    assert assert_one_episode_per_row_group(tmp_path / "out" / FILE) == [0, 1, 2, 3]
    rewrite(tmp_path / "out", tmp_path / "again")
    assert (tmp_path / "again" / FILE).read_bytes() == (tmp_path / "out" / FILE).read_bytes()


@pytest.mark.parametrize(("compliant", "row_group_size"), each_choice([True, False], [None, 3]))
@pytest.mark.parametrize("case", column_cases())
def test_column_survives(case, compliant, row_group_size, tmp_path):
    array, field_options = column_cases()[case]
    check_column(tmp_path, array, field_options, use_compliant_nested_type=compliant, row_group_size=row_group_size)


def test_registered_extension_type_survives(tmp_path):
    pa.register_extension_type(Depth())
    try:
        storage = pa.array([None if k == 4 else [float(k), 0.5] for k in range(ROWS)], pa.list_(pa.float32(), 2))
        check_column(tmp_path, pa.ExtensionArray.from_storage(Depth(), storage), {})
        assert pq.read_schema(tmp_path / "out" / FILE).field("subject").type == Depth()
    finally:
        pa.unregister_extension_type("test.depth")
    # and where nobody knows the type, it stays in the field's metadata
    source, out = tmp_path / "source", tmp_path / "unregistered"
    rewrite(source, out)
    assert pq.read_schema(out / FILE).field("subject").metadata[b"ARROW:extension:name"] == b"test.depth"
    assert_same_rows(source / FILE, out / FILE)


def test_file_without_arrow_schema_and_with_field_ids_survives(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table(LENGTHS)], store_schema=False)
    fields = [
        field.with_metadata({"PARQUET:field_id": str(k + 5)}) for k, field in enumerate(pq.read_schema(source / FILE))
    ]
    table = pq.read_table(source / FILE)
    pq.write_table(table.cast(pa.schema(fields, metadata=table.schema.metadata)), source / FILE, store_schema=False)
    rewrite(source, tmp_path / "out")
    assert_same_rows(source / FILE, tmp_path / "out" / FILE)
    assert pq.read_schema(tmp_path / "out" / FILE).field(0).metadata == {b"PARQUET:field_id": b"5"}


@pytest.mark.parametrize("dtype", [pa.int32(), pa.uint8(), pa.uint64()])
def test_episode_index_of_any_integer_type(dtype, tmp_path):
    table = episodes_table(LENGTHS)
    table = table.set_column(1, "episode_index", table["episode_index"].cast(dtype))
    source = write_dataset(tmp_path / "source", [table])
    rewrite(source, tmp_path / "out")
    assert_same_rows(source / FILE, tmp_path / "out" / FILE)
    assert assert_one_episode_per_row_group(tmp_path / "out" / FILE) == [0, 1, 2, 3]


def test_empty_file_stays_an_empty_file(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([2, 2]), episodes_table([2, 2]).slice(0, 0)])
    _, results = rewrite(source, tmp_path / "out")
    path = "data/chunk-000/file-001.parquet"
    assert_same_rows(source / path, tmp_path / "out" / path)
    assert (results[1].outputs[0].rows, results[1].outputs[0].row_groups) == (0, 0)


def test_empty_dataset(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([2]).slice(0, 0)])
    (source / "meta/episodes/chunk-000").mkdir(parents=True)
    shutil.copy(
        DATA / "edited/meta/episodes/chunk-000/file-000.parquet", source / "meta/episodes/chunk-000/file-000.parquet"
    )
    whole = pq.read_table(source / "meta/episodes/chunk-000/file-000.parquet")
    pq.write_table(whole.slice(0, 0), source / "meta/episodes/chunk-000/file-000.parquet")
    plan, _ = rewrite(source, tmp_path / "out")
    assert not plan.is_split
    assert_same_rows(source / FILE, tmp_path / "out" / FILE)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    row_group_size=st.integers(1, 200),
    files=st.integers(1, 3),
    cap=st.none() | st.integers(1, 5),
    chunks_size=st.integers(1, 4),
)
def test_any_episode_lengths_and_row_groups(lengths, row_group_size, files, cap, chunks_size):
    tables = [episodes_table(lengths, first=k * len(lengths), seed=k) for k in range(files)]
    with tempfile.TemporaryDirectory() as folder:
        source = write_dataset(
            Path(folder, "source"), tables, row_group_size=row_group_size, chunks_size=chunks_size, shard_rows=5
        )
        out = Path(folder, "out")
        rewrite(source, out, max_episodes_per_file=cap)
        paths = sorted((out / "data").rglob("*.parquet"))
        found = [episode for path in paths for episode in assert_one_episode_per_row_group(path)]
        assert found == list(range(files * len(lengths)))
        assert pa.concat_tables([pq.read_table(path) for path in paths]).equals(pa.concat_tables(tables))
        prepared = open_dataset(str(out))
        assert prepared.data_paths() == [
            path.relative_to(out).as_posix() for path in paths for _ in range(pq.read_metadata(path).num_row_groups)
        ]
        assert cap is None or all(pq.read_metadata(path).num_row_groups <= cap for path in paths)

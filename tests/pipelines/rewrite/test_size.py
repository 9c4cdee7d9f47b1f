"""Rewriting: how large the files are, and how much memory it takes."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.rewrite.encodings import ColumnEncodings
from episeek_pipelines.rewrite.rewrite import Output, RewriteUnit, plan_rewrite, rewrite_file
from tests.support.amount import full_run
from tests.support.rewriting import FILE, assert_same_rows, episodes_table, lerobot_like, rewrite, write_dataset


def test_rewritten_data_is_no_larger_than_the_collapsed_original(tmp_path):
    source = write_dataset(tmp_path / "source", [lerobot_like(200, 300)])
    _, (result,) = rewrite(source, tmp_path / "out")
    assert sum(output.size_bytes for output in result.outputs) <= result.source_bytes


def test_dictionary_only_where_it_pays(tmp_path):
    rng = np.random.default_rng(0)
    words = pa.array([f"one of a few instructions: {k}" for k in rng.integers(0, 7, 3000).tolist()])
    noise = pa.array(rng.normal(size=3000).astype(np.float32))
    levels = pa.array(rng.choice(rng.normal(size=4), 3000))
    table = episodes_table(
        [300] * 10, words=words, noise=noise, levels=levels, unique=pa.array([f"{k:032x}" for k in rng.bytes(3000)])
    )
    source = write_dataset(tmp_path / "source", [table])
    rewrite(source, tmp_path / "out")
    group = pq.read_metadata(tmp_path / "out" / FILE).row_group(0)
    encodings = {group.column(k).path_in_schema: group.column(k).encodings for k in range(group.num_columns)}
    assert "RLE_DICTIONARY" in encodings["words"]
    assert "RLE_DICTIONARY" in encodings["levels"]
    assert "RLE_DICTIONARY" not in encodings["noise"]
    assert "DELTA_BINARY_PACKED" in encodings["index"]
    assert_same_rows(source / FILE, tmp_path / "out" / FILE)


def test_duckdb_reads_every_chosen_encoding(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    words = pa.array([f"instruction {k}" for k in np.random.default_rng(0).integers(0, 7, 3000).tolist()])
    source = write_dataset(tmp_path / "source", [lerobot_like(10, 300).append_column("words", words)])
    rewrite(source, tmp_path / "out")
    group = pq.read_metadata(tmp_path / "out" / FILE).row_group(0)
    used = {name for number in range(group.num_columns) for name in group.column(number).encodings}
    assert {"BYTE_STREAM_SPLIT", "DELTA_BINARY_PACKED", "RLE_DICTIONARY"} <= used
    query = "select * from read_parquet('{}') order by index"
    before, after = (duckdb.sql(query.format(root / FILE)).to_arrow_table() for root in (source, tmp_path / "out"))
    assert after.num_rows == 3000
    assert after.equals(before)


def test_unknown_or_retyped_columns_are_plain(tmp_path):
    """Encodings are chosen for the dataset; a file with other columns or types is written all the same."""
    floats = episodes_table([2, 2], value=pa.array([1.0, 2.0, 3.0, 4.0]))
    text = episodes_table([2, 2], first=2, value=pa.array(["a", "b", "c", "d"]), more=pa.array([1, 2, 3, 4]))
    source = write_dataset(tmp_path / "source", [floats, text])
    encodings = ColumnEncodings(
        ((("value", "DOUBLE"), "BYTE_STREAM_SPLIT"), (("gone", "INT32"), "DELTA_BINARY_PACKED"))
    )
    path = "data/chunk-000/file-001.parquet"
    rewrite_file(Root(str(source)), Root(str(tmp_path / "out")), RewriteUnit(path, (Output(path, 2, 4),), encodings))
    assert_same_rows(source / path, tmp_path / "out" / path)
    column = pq.read_metadata(tmp_path / "out" / path).row_group(0).column(3)
    assert (column.path_in_schema, "RLE_DICTIONARY" in column.encodings) == ("value", False)


POOLS: list[pa.MemoryPool] = []  # a pool has to outlive its buffers, some of which Arrow keeps


def peak_pool_bytes(function) -> int:
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    POOLS.append(pool)
    pa.set_memory_pool(pool)
    try:
        function()
    finally:
        pa.set_memory_pool(before)
    return pool.max_memory()


@full_run
def test_memory_is_bounded_by_an_episode_and_a_batch(tmp_path):
    table = lerobot_like(1500, 300)
    assert table.nbytes > 65e6
    source = write_dataset(tmp_path / "source", [table], row_group_size=table.num_rows)
    source_root, out = Root(str(source)), Root(str(tmp_path / "out"))
    assert peak_pool_bytes(lambda: pq.read_table(source / FILE)) > 65e6  # the measure measures
    plan = plan_rewrite(open_dataset(str(source)))
    assert peak_pool_bytes(lambda: rewrite_file(source_root, out, plan.units[0])) < 30e6


@pytest.mark.parametrize("repeated", [False, True])
@full_run
def test_memory_of_images_is_bounded_by_bytes_not_rows(repeated, tmp_path):
    """64 MB of images in 3,200 rows; repeated ones are small in the file, behind a dictionary."""
    rng = np.random.default_rng(0)
    pictures = [rng.bytes(20_000) for _ in range(8 if repeated else 3200)]
    images = pa.array([pictures[k % len(pictures)] for k in range(3200)], pa.binary())
    table = episodes_table(
        [40] * 80, image=pa.StructArray.from_arrays([images, pa.nulls(3200, pa.string())], ["bytes", "path"])
    )
    source = write_dataset(tmp_path / "source", [table], row_group_size=3200, write_batch_size=16)
    assert (source / FILE).stat().st_size > 60e6 or repeated
    del table, images, pictures
    dataset, out = open_dataset(str(source)), Root(str(tmp_path / "out"))
    plans = []
    assert peak_pool_bytes(lambda: plans.append(plan_rewrite(dataset))) < 40e6
    assert peak_pool_bytes(lambda: rewrite_file(dataset.root, out, plans[0].units[0])) < 40e6
    assert_same_rows(source / FILE, tmp_path / "out" / FILE)


def test_pages_of_images_are_small_enough_to_read_one_by_one(tmp_path):
    """pyarrow alone would put 1,024 images into a page, which a reader has to hold whole."""
    rng = np.random.default_rng(0)
    table = episodes_table([600], image=pa.array([rng.bytes(20_000) for _ in range(600)], pa.binary()))
    source = write_dataset(tmp_path / "source", [table])
    rewrite(source, tmp_path / "out")

    def first_rows(path):
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 16) as file:
            next(file.iter_batches(batch_size=10, columns=["image"]))

    assert peak_pool_bytes(lambda: first_rows(source / FILE)) > 10e6
    assert peak_pool_bytes(lambda: first_rows(tmp_path / "out" / FILE)) < 6e6

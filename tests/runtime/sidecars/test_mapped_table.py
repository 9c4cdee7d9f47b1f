"""Opening sidecars: they are mapped and take no memory; damaged ones are refused; rewritten ones are read."""

import shutil
import subprocess
import sys
import tracemalloc
import warnings

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import episeek
from episeek.errors import (
    EpiseekError,
    FormatVersionError,
    MissingSidecarError,
    MixedBuildError,
    SidecarLayoutError,
    SidecarLayoutWarning,
)
from episeek.sidecars.mapped_table import open_buffer, open_table
from episeek_pipelines.index.table_writer import MappableWriter
from episeek_schemas import layout, sidecars
from tests.support.amount import examples, full_run
from tests.support.build_index import CAMERAS, DATA, build_index
from tests.support.large_index import write_keyframes

PATHS = {
    "files": layout.FILES_PATH,
    "episodes": layout.EPISODES_PATH,
    "keyframes": layout.KEYFRAMES_PATH,
    "samples": layout.SAMPLES_PATH,
}
MAPPED = ("episodes", "keyframes", "samples")
NAME = "h264_bframes"


@pytest.fixture
def root(sidecar_roots, tmp_path):
    """A copy of the sidecars of one dataset, which a test may damage."""
    return shutil.copytree(sidecar_roots[NAME], tmp_path / "sidecars")


def open_copy(root):
    return episeek.open(root, data_root=DATA / NAME)


def rewrite(path, change=lambda table: table, **options):
    """Write a table again as the format demands, except for `change` and `options`."""
    plain = {"compression": "none", "use_dictionary": False, "data_page_size": 1 << 30}
    table = pq.read_table(path)
    changed = change(table)
    if changed.schema.metadata is None:  # some operations lose it
        changed = changed.replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, path, **(plain | options))


def with_metadata(**changes):
    def change(table):
        metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        metadata |= {f"episeek:{key}": value for key, value in changes.items()}
        return table.replace_schema_metadata({key: value for key, value in metadata.items() if value is not None})

    return change


# --- memory ---------------------------------------------------------------------------------------------------------------

ROW_COUNT = 10_000_000
MEASURE_RESIDENT_MEMORY = """
import sys, episeek
def anonymous_kb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))
episeek.open(sys.argv[1])  # what the first use of a library costs is not proportional to rows
before = anonymous_kb()
index = episeek.open(sys.argv[2])
index.table("keyframes").columns["pts"].value(len(index.table("keyframes").columns["pts"]) - 1)
print(anonymous_kb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_opening_ten_million_keyframes_allocates_nothing_proportional_to_rows(sidecar_roots, tmp_path):
    large = shutil.copytree(sidecar_roots[NAME], tmp_path / "large")
    metadata = {
        key.decode(): value.decode() for key, value in pq.read_schema(large / PATHS["samples"]).metadata.items()
    }
    write_keyframes(large / PATHS["keyframes"], ROW_COUNT, metadata)
    try:
        episeek.open(sidecar_roots[NAME])
        arrow_before = pa.total_allocated_bytes()
        tracemalloc.start()
        index = episeek.open(large)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert index.table("keyframes").row_count == ROW_COUNT
        assert index.table("keyframes").is_mapped
        assert index.table("keyframes").columns["pts"].value(ROW_COUNT - 1) == (ROW_COUNT - 1) * 1024
        assert peak < 1 << 20
        assert pa.total_allocated_bytes() - arrow_before < 1 << 20
        measured = subprocess.run(
            [sys.executable, "-c", MEASURE_RESIDENT_MEMORY, sidecar_roots[NAME], large],
            check=True,
            capture_output=True,
            text=True,
        )
        assert int(measured.stdout) < 4096
    finally:
        shutil.rmtree(large)


COUNT_THREADS = """
import os, sys, warnings
from episeek import open as open_index  # with numpy, whose threads do not count
warnings.simplefilter("ignore")
before = len(os.listdir("/proc/self/task"))
index = open_index(sys.argv[1])
print(index.table("samples").is_mapped, len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
@full_run
def test_opening_starts_no_thread(root):
    """Arrow's threads may abort a process that ends together with them (apache/arrow#34314)."""
    for is_mapped in ("True", "False"):
        arguments = [sys.executable, "-c", COUNT_THREADS, root]
        found = subprocess.run(arguments, check=True, capture_output=True, text=True)
        assert found.stdout.split() == [is_mapped, "0"]
        rewrite(root / PATHS["samples"], compression="snappy")


# --- arrays ---------------------------------------------------------------------------------------------------------------


def test_mapped_arrays_cannot_be_written(indexes):
    values = indexes[NAME].table("samples").columns["pts"].slice(0, 10)
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1


@settings(max_examples=examples(150), deadline=None)
@given(
    row_count=st.integers(0, 50),
    max_row_group_rows=st.integers(1, 60),
    block=st.integers(1, 60),
    cut=st.tuples(st.integers(-3, 55), st.integers(-3, 55)),
    seed=st.integers(0, 99),
    is_wide=st.booleans(),
)
def test_slices_over_row_groups(tmp_path_factory, row_count, max_row_group_rows, block, cut, seed, is_wide):
    path = tmp_path_factory.getbasetemp() / "slices.parquet"
    offset = (np.arange(row_count) + 2**32 - 100).astype(np.uint32)
    pts = np.arange(row_count, dtype=np.int32) - 25
    if is_wide:
        pts = pts.astype(np.int64) + (1 << 40)
    schema = sidecars.samples_schema(["pts"] if is_wide else [])
    is_sync = np.random.default_rng(seed).random(row_count) < 0.5
    with (
        path.open("wb") as stream,
        MappableWriter(stream, schema, {}, max_row_group_rows=max_row_group_rows) as writer,
    ):
        for start in range(0, row_count, block):
            chosen = slice(start, start + block)
            columns = {"byte_offset": offset, "byte_size": offset, "pts": pts, "is_sync": is_sync}
            writer.append({name: values[chosen] for name, values in columns.items()})
    table = open_table(open_buffer(str(path)), schema, name="samples", where="slices")
    assert table.is_mapped
    assert table.row_count == row_count
    start, stop = cut
    for column, expected in (("byte_offset", offset), ("pts", pts), ("is_sync", is_sync)):
        assert table.columns[column].slice(0, row_count).tolist() == expected.tolist()
        if 0 <= start <= stop <= row_count:
            assert table.columns[column].slice(start, stop).tolist() == expected[start:stop].tolist()
        else:
            with pytest.raises(IndexError, match="rows"):
                table.columns[column].slice(start, stop)
        if 0 <= start < row_count:
            assert table.columns[column].value(start) == expected[start]
        else:
            with pytest.raises(IndexError, match="row"):
                table.columns[column].value(start)


# --- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", PATHS)
@pytest.mark.parametrize(
    ("version", "found"), [("3", "format version '3'"), ("1.0", "'1.0'"), (None, "no format version")]
)
def test_other_format_versions_are_refused(root, table, version, found):
    rewrite(root / PATHS[table], with_metadata(format_version=version))
    with pytest.raises(FormatVersionError, match=f"{found}; expected format version 1 or 2") as caught:
        open_copy(root)
    assert str(caught.value).startswith(str(root / PATHS[table]))


def test_every_readable_format_version_is_accepted_and_named(root, monkeypatch):
    monkeypatch.setattr(sidecars, "READABLE_FORMAT_VERSIONS", frozenset({1, 7}))
    for path in PATHS.values():
        rewrite(root / path, with_metadata(format_version="7"))
    open_copy(root)
    for path in PATHS.values():
        rewrite(root / path, with_metadata(format_version="2"))
    with pytest.raises(FormatVersionError, match="format version '2'; expected format version 1 or 7"):
        open_copy(root)


@pytest.mark.parametrize("release", ["episeek 9.9.9", None])
def test_the_writer_and_the_index_version_decide_nothing_for_readers(root, release):
    for path in PATHS.values():
        rewrite(root / path, with_metadata(writer=release, index_version="77" if release else None))
    open_copy(root)


@pytest.mark.parametrize("table", PATHS)
@pytest.mark.parametrize("build", ["0" * 32, None])
def test_tables_of_several_builds_are_refused(root, table, build):
    rewrite(root / PATHS[table], with_metadata(build_id=build))
    with pytest.raises(MixedBuildError):
        open_copy(root)


def test_tables_of_another_dataset_are_refused(root, sidecar_roots):
    shutil.copy(sidecar_roots["hevc"] / PATHS["samples"], root / PATHS["samples"])
    with pytest.raises(MixedBuildError, match=r"samples\.parquet: found build"):
        open_copy(root)


@pytest.mark.parametrize("facts", ["", "{", "[]", "{}", '{"fps":30,"total_episodes":6,"total_frames":1}', "null"])
def test_dataset_facts_have_to_be_complete(root, facts):
    rewrite(root / PATHS["files"], with_metadata(dataset=facts))
    with pytest.raises(SidecarLayoutError, match="episeek:dataset"):
        open_copy(root)


@pytest.mark.parametrize("table", PATHS)
def test_a_missing_table_is_named(root, table):
    (root / PATHS[table]).unlink()
    with pytest.raises(MissingSidecarError, match=f"{table}.parquet: found no such file") as caught:
        open_copy(root)
    assert isinstance(caught.value, FileNotFoundError)


def test_a_dataset_that_was_never_prepared_is_named(tmp_path):
    with pytest.raises(MissingSidecarError, match="episeek prepare"):
        episeek.open(DATA / NAME)
    with pytest.raises(MissingSidecarError):
        episeek.open(tmp_path / "nothing")


@pytest.mark.parametrize("table", PATHS)
def test_truncated_tables_are_named(root, table):
    path = root / PATHS[table]
    whole = path.read_bytes()
    for length in sorted({0, 1, 4, 8, 12, 100, len(whole) // 3, len(whole) // 2, *range(len(whole) - 40, len(whole))}):
        path.write_bytes(whole[:length])
        with pytest.raises(SidecarLayoutError, match=f"{table}.parquet"):
            open_copy(root)


@pytest.mark.parametrize("table", PATHS)
def test_other_columns_are_named(root, table):
    path = root / PATHS[table]
    whole = path.read_bytes()
    for change in (
        lambda t: t.drop_columns(t.column_names[-1]),
        lambda t: t.append_column("extra", pa.array(range(t.num_rows))),
        lambda t: t.select(t.column_names[::-1]),
        lambda t: t.rename_columns(["renamed", *t.column_names[1:]]),
    ):
        path.write_bytes(whole)
        rewrite(path, change)
        with pytest.raises(SidecarLayoutError, match=rf"{table}.parquet: found columns .* expected columns"):
            open_copy(root)


@pytest.mark.parametrize(
    ("table", "column", "dtype"),
    [
        ("samples", "pts", pa.float32()),  # as wide as the right type: the bytes alone would not tell
        ("samples", "pts", pa.uint32()),
        ("samples", "byte_offset", pa.int64()),
        ("samples", "is_sync", pa.uint8()),
        ("samples", "byte_size", pa.int32()),
        ("keyframes", "pts", pa.float64()),
        ("keyframes", "pts", pa.timestamp("us")),
        ("keyframes", "frame_index", pa.int16()),
        ("keyframes", "frame_index", pa.string()),
        ("episodes", "first_pts", pa.int64()),
        ("files", "file_size", pa.float64()),
        ("files", "file_path", pa.binary()),
    ],
)
@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_other_types_are_named(root, table, column, dtype, compression):
    def change(rows):
        position = rows.schema.get_field_index(column)
        values = rows[column].cast(dtype, safe=False) if dtype != pa.uint32() else pc.abs(rows[column]).cast(dtype)
        return rows.set_column(position, pa.field(column, dtype, nullable=False), values)

    rewrite(root / PATHS[table], change, compression=compression)
    with pytest.raises(SidecarLayoutError, match=column):
        open_copy(root)


@pytest.mark.parametrize(("table", "column"), [("samples", "pts"), ("episodes", "first_pts"), ("files", "codec")])
def test_nulls_are_named(root, table, column):
    def change(rows):
        values = pa.array([None, *rows[column].to_pylist()[1:]], rows.schema.field(column).type)
        return rows.set_column(rows.schema.get_field_index(column), column, values)

    rewrite(root / PATHS[table], change)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SidecarLayoutWarning)
        with pytest.raises(SidecarLayoutError, match=f"found 1 nulls in column '{column}'"):
            open_copy(root)


def test_a_row_too_few_is_named(root):
    rewrite(root / PATHS["episodes"], lambda table: table.slice(1))
    with pytest.raises(SidecarLayoutError, match="found 11 rows; expected 12 rows, for 6 episodes of 2 cameras"):
        open_copy(root)


def test_rows_out_of_order_are_named(root):
    rewrite(root / PATHS["episodes"], lambda table: pa.concat_tables([table.slice(1), table.slice(0, 1)]))
    with pytest.raises(SidecarLayoutError, match="row 0: found global_episode_id 1"):
        open_copy(root).lookup(0, CAMERAS[0])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("file_id", 99),
        ("file_id", -1),
        ("sample_start", 1 << 40),
        ("sample_start", -1),
        ("sample_count", 0),
        ("sample_count", 1 << 30),
        ("keyframe_start", 1 << 40),
        ("keyframe_count", 0),
        ("frame_count", 0),
        ("frame_count", 1 << 30),
        ("lead_in_count", -1),
        ("lead_in_count", 1 << 30),
        ("mdat_offset", -1),
        ("mdat_offset", 1 << 40),
        ("mdat_length", 0),
        ("mdat_length", 1 << 40),
    ],
)
def test_a_row_that_cannot_be_right_is_named(root, column, value):
    def change(rows):
        values = pa.array([value, *rows[column].to_pylist()[1:]], rows.schema.field(column).type)
        return rows.set_column(rows.schema.get_field_index(column), column, values)

    rewrite(root / PATHS["episodes"], change)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SidecarLayoutWarning)
        index = open_copy(root)
    with pytest.raises(SidecarLayoutError, match="row 0: found"):
        index.clip(0, CAMERAS[0])
    assert index.clip(0, CAMERAS[1]).frame_count == 49  # the others are as they were


@settings(max_examples=examples(300), deadline=None)
@given(data=st.data())
def test_a_damaged_page_header_gives_a_named_error_or_the_right_values(sidecar_roots, tmp_path_factory, data):
    """The footer stays undamaged, because pyarrow itself aborts the process with some damaged footers."""
    table = data.draw(st.sampled_from(MAPPED))
    schema = {"episodes": sidecars.EPISODES, "keyframes": sidecars.KEYFRAMES, "samples": sidecars.SAMPLES}[table]
    whole = sidecar_roots[NAME] / PATHS[table]
    group = pq.read_metadata(whole).row_group(0)
    chunk = group.column(data.draw(st.sampled_from([0, schema.get_field_index(schema.names[-1])])))
    values_bytes = -(-chunk.num_values * schema.field(chunk.path_in_schema).type.bit_width // 8)
    header_bytes = chunk.total_compressed_size - values_bytes
    raw = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[chunk.data_page_offset + data.draw(st.integers(0, header_bytes - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    path.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SidecarLayoutWarning)
        try:
            opened = open_table(
                open_buffer(str(path)), schema, name=table, where="damaged", unmapped=sidecars.UNMAPPED_COLUMNS
            )
        except EpiseekError:
            return
    expected = pq.read_table(whole, columns=list(opened.columns))
    for name, column in opened.columns.items():
        assert column.slice(0, len(column)).tolist() == expected[name].to_pylist()


# --- rewritten by other tools ---------------------------------------------------------------------------------------------


def assert_same_clips(index, root_index):
    for episode in range(index.episode_count):
        for camera in CAMERAS:
            assert index.lookup(episode, camera) == root_index.lookup(episode, camera)
            assert index.clip(episode, camera, 3, 17).read() == root_index.clip(episode, camera, 3, 17).read()
            for name in ("pts", "byte_offset", "sample_index", "frame_index"):
                ours, theirs = (getattr(i.keyframes(episode, camera), name) for i in (index, root_index))
                assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("table", MAPPED)
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"compression": "snappy"}, "compressed with SNAPPY"),
        ({"compression": "zstd", "row_group_size": 100}, "compressed with ZSTD"),
        ({"use_dictionary": True}, "encoded with"),
        ({"data_page_size": 64, "write_batch_size": 4}, "more than one data page"),
    ],
)
def test_a_table_rewritten_by_pyarrow_is_read_with_a_warning(root, indexes, table, options, reason):
    rewrite(root / PATHS[table], **options)
    with pytest.warns(SidecarLayoutWarning, match=rf"{table}\.parquet: column .* {reason}"):
        index = open_copy(root)
    assert [index.table(name).is_mapped for name in MAPPED] == [name != table for name in MAPPED]
    assert_same_clips(index, indexes[NAME])


def test_a_table_with_nullable_columns_is_read_with_a_warning(root, indexes):
    def change(table):
        return pa.Table.from_arrays(table.columns, table.column_names)

    rewrite(root / PATHS["samples"], change)
    with pytest.warns(SidecarLayoutWarning, match="is not REQUIRED"):
        index = open_copy(root)
    assert_same_clips(index, indexes[NAME])


@pytest.mark.parametrize("table", PATHS)
def test_a_table_rewritten_by_duckdb_is_read_with_a_warning(root, indexes, table):
    path = root / PATHS[table]
    facts = ", ".join(
        f"'{key.decode()}': '{value.decode()}'"
        for key, value in pq.read_schema(path).metadata.items()
        if key.startswith(b"episeek:")
    )
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * FROM '{path}') TO '{root / 'new.parquet'}' (FORMAT parquet, KV_METADATA {{{facts}}})"
        )
    (root / "new.parquet").replace(path)
    if table == "files":  # never mapped: nothing to warn of
        index = open_copy(root)
    else:
        with pytest.warns(SidecarLayoutWarning, match=f"{table}.parquet: column"):
            index = open_copy(root)
    assert_same_clips(index, indexes[NAME])
    assert [index.file(number) for number in range(2)] == [indexes[NAME].file(number) for number in range(2)]


def test_a_table_that_lost_its_metadata_is_refused(root):
    path = root / PATHS["samples"]
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM '{path}') TO '{root / 'new.parquet'}' (FORMAT parquet)")
    (root / "new.parquet").replace(path)
    with pytest.raises(FormatVersionError, match="no format version"):
        open_copy(root)


def test_several_row_groups_are_mapped(tmp_path, indexes):
    build_index(DATA / NAME, tmp_path / "work", tmp_path / "out", max_row_group_rows=11)
    index = episeek.open(tmp_path / "out", data_root=DATA / NAME)
    assert all(index.table(name).is_mapped for name in MAPPED)
    assert_same_clips(index, indexes[NAME])

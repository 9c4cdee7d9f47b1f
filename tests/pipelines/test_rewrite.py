import errno
import json
import os
import pickle
import shutil
import tempfile
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from episeek.errors import EpiseekError, MissingFileError, ParquetError, RowOrderError, WriteError
from episeek_pipelines.dataset import open_dataset
from episeek_pipelines.encodings import ColumnEncodings
from episeek_pipelines.rewrite import Output, RewriteUnit, plan_rewrite, rewrite_file, write_metadata
from episeek_pipelines.storage import Root

DATA = Path(__file__).parents[1] / "data"
FILE = "data/chunk-000/file-000.parquet"
UNIT = RewriteUnit(FILE, (Output(FILE, 0, 1_000_000),))


def rewrite(source: Path, destination: Path, **options):
    """The whole step, as the graph runs it."""
    plan = plan_rewrite(open_dataset(str(source)), **options)
    results = [rewrite_file(Root(str(source)), Root(str(destination)), unit) for unit in plan.units]
    write_metadata(Root(str(source)), Root(str(destination)), plan)
    return plan, results


def write_dataset(
    root: Path, files: list[pa.Table], *, chunks_size=1000, shard_rows=None, codec="snappy", **options
) -> Path:
    """A dataset whose data files hold `files`; `meta/episodes` says what is in them, with nested statistics."""
    rows, start = [], 0
    for number, table in enumerate(files):
        chunk, file = divmod(number, chunks_size)
        path = root / f"data/chunk-{chunk:03d}/file-{file:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, **options)
        for episode, length in zip(*np.unique(table["episode_index"].to_numpy(), return_counts=True), strict=True):
            rows.append((int(episode), int(length), chunk, file, start, start + int(length)))
            start += int(length)
    names = ("episode_index", "length", "data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index")
    columns = {name: pa.array([row[i] for row in rows], pa.int64()) for i, name in enumerate(names)}
    images = [None if k % 7 == 3 else [[[k / 3]], [[float("nan")]], [[-0.0]]] for k in range(len(rows))]
    columns["stats/image/mean"] = pa.array(images, pa.list_(pa.list_(pa.list_(pa.float64()))))
    columns["tasks"] = pa.array([["a", None, f"task {k}"] for k in range(len(rows))], pa.list_(pa.string()))
    episodes = pa.table(columns).replace_schema_metadata({"huggingface": "{}", "other": "kept"})
    for shard, first in enumerate(range(0, len(rows), shard_rows or max(1, len(rows)))):
        path = root / f"meta/episodes/chunk-000/file-{shard:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(episodes.slice(first, shard_rows or len(rows)), path, compression=codec, row_group_size=3)
    info = {
        "codebase_version": "v3.0",
        "fps": 30,
        "total_episodes": len(rows),
        "total_frames": start,
        "chunks_size": chunks_size,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": {},
    }
    (root / "meta").mkdir(exist_ok=True)
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def episodes_table(lengths, *, first=0, seed=0, **columns) -> pa.Table:
    """Rows of consecutive episodes; `columns` are added."""
    rng = np.random.default_rng(seed)
    rows = int(sum(lengths))
    walk = np.cumsum(rng.normal(0, 0.01, (rows, 3)), axis=0).astype(np.float32)
    return pa.table(
        {
            "action": pa.FixedSizeListArray.from_arrays(pa.array(walk.reshape(-1)), 3),
            "episode_index": pa.array(np.repeat(np.arange(first, first + len(lengths)), lengths), pa.int64()),
            "index": pa.array(np.arange(rows), pa.int64()),
            **columns,
        }
    ).replace_schema_metadata({"huggingface": '{"info": {}}', "other": "kept"})


def assert_same_rows(source: Path, destination: Path) -> None:
    """Plain pyarrow finds the same schema, metadata, types and values in both files."""
    before, after = pq.read_table(source), pq.read_table(destination)
    assert pq.read_schema(destination).equals(pq.read_schema(source), check_metadata=True)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.num_rows == before.num_rows
    for name in before.column_names:
        if pa.types.is_dictionary(before[name].type):  # every row group has its own numbering of the categories
            assert (
                after[name]
                .unify_dictionaries()
                .chunk(0)
                .dictionary.equals(before[name].unify_dictionaries().chunk(0).dictionary)
            )
            assert (
                after[name].cast(before[name].type.value_type).equals(before[name].cast(before[name].type.value_type))
            )
        else:
            assert after[name].equals(before[name])


def assert_one_episode_per_row_group(path: Path) -> list[int]:
    """Row group k holds the k-th episode, whole; returns the episodes."""
    episodes = []
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            episodes += file.read_row_group(group, columns=["episode_index"])["episode_index"].unique().to_pylist()
            assert len(episodes) == group + 1, f"row group {group} holds several episodes"
        assert len(set(episodes)) == len(episodes), "an episode in several row groups"
        assert episodes == file.read(columns=["episode_index"])["episode_index"].unique().to_pylist()
    return episodes


def collapse(source: Path, destination: Path) -> Path:
    """What LeRobot's edits leave behind: all rows in one file of one row group."""
    files = sorted((source / "data").rglob("*.parquet"))
    (destination / "data/chunk-000").mkdir(parents=True)
    rows = pa.concat_tables([pq.read_table(file) for file in files])
    pq.write_table(rows, destination / FILE, row_group_size=max(1, rows.num_rows))
    shutil.copytree(source / "meta", destination / "meta")
    for path in (destination / "meta/episodes").rglob("*.parquet"):
        table = pq.read_table(path)
        for name in ("data/chunk_index", "data/file_index"):
            number = table.schema.get_field_index(name)
            table = table.set_column(number, table.schema.field(number), pa.array(np.zeros(len(table), np.int64)))
        pq.write_table(table, path)
    return destination


# --- datasets written by LeRobot -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["edited", "av1_multifile", "images", "h264_bframes", "hevc"])
@pytest.mark.parametrize("layout", ["as written", "collapsed"])
def test_lerobot_dataset_keeps_values_types_and_metadata(name, layout, tmp_path):
    source = DATA / name if layout == "as written" else collapse(DATA / name, tmp_path / "source")
    plan, results = rewrite(source, tmp_path / "out")
    assert not plan.is_split
    files = sorted(path.relative_to(source) for path in (source / "data").rglob("*.parquet"))
    assert [Path(result.path) for result in results] == files
    found = []
    for file, result in zip(files, results, strict=True):
        assert_same_rows(source / file, tmp_path / "out" / file)
        found += assert_one_episode_per_row_group(tmp_path / "out" / file)
        (output,) = result.outputs
        footer = pq.read_metadata(tmp_path / "out" / file)
        assert (output.rows, output.row_groups) == (footer.num_rows, footer.num_row_groups)
        assert output.size_bytes == (tmp_path / "out" / file).stat().st_size
        assert result.source_bytes == (source / file).stat().st_size
    assert found == list(range(len(open_dataset(str(source)).episodes)))


def test_footer_has_zstd_statistics_and_page_index(tmp_path):
    rewrite(DATA / "edited", tmp_path)
    footer = pq.read_metadata(tmp_path / FILE)
    for group in range(footer.num_row_groups):
        for number in range(footer.num_columns):
            column = footer.row_group(group).column(number)
            assert column.compression == "ZSTD"
            assert column.is_stats_set
            assert column.has_offset_index
            assert column.has_column_index


@pytest.mark.parametrize("name", ["edited", "images"])
def test_datasets_makes_one_shard_per_episode(name, tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    # not by the environment: a client that is imported under it stays offline for the tests that follow
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    datasets = pytest.importorskip("datasets")
    source = collapse(DATA / name, tmp_path / "source")
    rewrite(source, tmp_path / "out")

    def shards(root):
        files = [str(path) for path in sorted((root / "data").rglob("*.parquet"))]
        stream = datasets.load_dataset("parquet", data_files=files, streaming=True, cache_dir=str(tmp_path / "cache"))[
            "train"
        ]
        return stream.reshard()

    episode_count = len(open_dataset(str(source)).episodes)
    assert shards(source).num_shards == 1
    resharded = shards(tmp_path / "out")
    assert resharded.num_shards == episode_count
    for number in range(episode_count):
        rows = list(resharded.shard(num_shards=episode_count, index=number))
        assert {row["episode_index"] for row in rows} == {number}


def test_metadata_is_copied_byte_for_byte_but_not_the_byte_index(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(DATA / "edited" / "meta", source / "meta")
    shutil.copytree(DATA / "edited" / "data", source / "data")
    (source / "meta/byte_index").mkdir()
    (source / "meta/byte_index/files.parquet").write_bytes(b"of other files")
    (source / "meta/extra").mkdir()
    (source / "meta/extra/notes.bin").write_bytes(bytes(range(256)))
    rewrite(source, tmp_path / "out")
    before = {path.relative_to(source): path.read_bytes() for path in (source / "meta").rglob("*") if path.is_file()}
    del before[Path("meta/byte_index/files.parquet")]
    after = {
        path.relative_to(tmp_path / "out"): path.read_bytes()
        for path in (tmp_path / "out/meta").rglob("*")
        if path.is_file()
    }
    assert after == before
    assert Path("meta/extra/notes.bin") in after


# --- splitting -------------------------------------------------------------------------------------------------------------------


def test_split_renumbers_files_and_moves_the_addresses(tmp_path):
    files = [episodes_table([3] * 7), episodes_table([2] * 2, first=7), episodes_table([4] * 5, first=9)]
    source = write_dataset(tmp_path / "source", files, chunks_size=2, shard_rows=5, codec="zstd")
    plan, results = rewrite(source, tmp_path / "out", max_episodes_per_file=3)
    assert plan.is_split
    assert [[output.row_groups for output in result.outputs] for result in results] == [[3, 2, 2], [2], [3, 2]]
    paths = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out/data").rglob("*.parquet"))
    assert paths == [f"data/chunk-{chunk:03d}/file-{file:03d}.parquet" for chunk in range(3) for file in range(2)]
    rows = pa.concat_tables([pq.read_table(tmp_path / "out" / path) for path in paths])
    assert rows.equals(pa.concat_tables(files))

    prepared = open_dataset(str(tmp_path / "out"))
    assert len(prepared.episodes) == 14
    for episode, path in enumerate(prepared.data_paths()):
        assert episode in assert_one_episode_per_row_group(tmp_path / "out" / path)
        assert (
            len(pq.read_table(tmp_path / "out" / path, filters=[("episode_index", "=", episode)]))
            == prepared.episodes.length[episode]
        )

    shards = sorted((source / "meta/episodes").rglob("*.parquet"))
    assert len(shards) == 3
    moved = ["data/chunk_index", "data/file_index"]
    for shard in shards:
        with pq.ParquetFile(shard) as before, pq.ParquetFile(tmp_path / "out" / shard.relative_to(source)) as after:
            assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
            assert after.schema.equals(before.schema)
            assert after.num_row_groups == before.num_row_groups
            assert (
                after.metadata.row_group(0).column(0).compression == before.metadata.row_group(0).column(0).compression
            )
            for group in range(before.num_row_groups):
                kept = [table.read_row_group(group).drop_columns(moved) for table in (before, after)]
                # NaN is not equal to itself: compare what pyarrow would write of both
                assert list(map(repr, kept[1].to_pylist())) == list(map(repr, kept[0].to_pylist()))
                assert kept[1].schema.equals(kept[0].schema, check_metadata=True)
    assert (tmp_path / "out/meta/info.json").read_bytes() == (source / "meta/info.json").read_bytes()


def test_split_of_a_lerobot_dataset_keeps_its_statistics(tmp_path):
    source = collapse(DATA / "av1_multifile", tmp_path / "source")
    plan, _ = rewrite(source, tmp_path / "out", max_episodes_per_file=4)
    assert plan.max_episodes_per_file == 4
    path = "meta/episodes/chunk-000/file-000.parquet"
    before, after = pq.read_table(source / path), pq.read_table(tmp_path / "out" / path)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert len([name for name in before.column_names if name.startswith("stats/")]) > 50
    moved = ["data/chunk_index", "data/file_index"]
    assert after.drop_columns(moved).equals(before.drop_columns(moved))
    prepared = open_dataset(str(tmp_path / "out"))
    assert prepared.episodes.data_file_index.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    for episode, file in enumerate(prepared.data_paths()):
        assert episode in assert_one_episode_per_row_group(tmp_path / "out" / file)


def test_split_keeps_files_and_rows_that_the_metadata_does_not_name(tmp_path):
    files = [episodes_table([2] * 4), episodes_table([3] * 2, first=4)]
    source = write_dataset(tmp_path / "source", files)
    orphan = episodes_table([5, 5, 5], first=90)
    pq.write_table(orphan, source / "data/chunk-000/file-000-copy.parquet")  # loaded between the two
    extra = pa.concat_tables([files[1], episodes_table([2], first=70)])
    pq.write_table(extra, source / "data/chunk-000/file-001.parquet")
    _, results = rewrite(source, tmp_path / "out", max_episodes_per_file=2)
    assert [output.rows for result in results for output in result.outputs] == [15, 4, 4, 8]
    rows = [pq.read_table(path) for path in sorted((tmp_path / "out/data").rglob("*.parquet"))]
    assert pa.concat_tables(rows).equals(pa.concat_tables([orphan, files[0], extra]))
    prepared = open_dataset(str(tmp_path / "out"))
    for episode, file in enumerate(prepared.data_paths()):
        assert episode in assert_one_episode_per_row_group(tmp_path / "out" / file)


def test_orphan_file_keeps_its_name_without_a_split(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([2] * 4)])
    (source / "data/chunk-007").mkdir()
    pq.write_table(episodes_table([3, 4], first=50), source / "data/chunk-007/old.parquet")
    rewrite(source, tmp_path / "out")
    assert assert_one_episode_per_row_group(tmp_path / "out/data/chunk-007/old.parquet") == [50, 51]


def test_default_cap_comes_from_the_footers(tmp_path):
    """512 KiB of footer hold some hundred episodes of 17 leaf columns."""
    wide = {f"column {k}": pa.array(np.arange(1600)) for k in range(14)}
    source = write_dataset(tmp_path / "source", [episodes_table([2] * 800, **wide)])
    plan, (result,) = rewrite(source, tmp_path / "out")
    assert plan.is_split
    assert str(1 << 19) in plan.reason
    assert sum(output.row_groups for output in result.outputs) == 800
    footers = [pq.read_metadata(tmp_path / "out" / output.path) for output in result.outputs]
    assert all(footer.serialized_size < 1 << 19 for footer in footers)
    assert all(100 <= footer.num_row_groups <= plan.max_episodes_per_file for footer in footers)
    per_episode = footers[0].serialized_size / footers[0].num_row_groups
    assert plan.max_episodes_per_file * per_episode == pytest.approx(1 << 19, rel=0.1)


def test_large_episodes_are_not_split_for_their_footers(tmp_path):
    """A footer may be as large as the episode it is read for."""
    rng = np.random.default_rng(0)
    wide = {f"column {k}": pa.array(rng.normal(size=5600)) for k in range(30)}
    plan = plan_rewrite(open_dataset(str(write_dataset(tmp_path / "small", [episodes_table([1] * 5600, **wide)]))))
    assert plan.is_split
    plan = plan_rewrite(open_dataset(str(write_dataset(tmp_path / "large", [episodes_table([5600], **wide)]))))
    assert plan.max_episodes_per_file > 200


def test_split_against_the_order_of_the_rows_is_refused(tmp_path):
    table = episodes_table([2, 2, 2, 2])
    source = write_dataset(tmp_path / "source", [table.take([4, 5, 6, 7, 0, 1, 2, 3])])
    with pytest.raises(RowOrderError, match=r"file-000\.parquet: found episode 0 at row 4") as caught:
        rewrite(source, tmp_path / "out", max_episodes_per_file=2)
    assert type(pickle.loads(pickle.dumps(caught.value))) is RowOrderError
    assert not list((tmp_path / "out").rglob("*.parquet"))
    rewrite(source, tmp_path / "whole")  # no reason to refuse it without a split
    assert assert_one_episode_per_row_group(tmp_path / "whole" / FILE) == [2, 3, 0, 1]


def test_max_episodes_per_file_must_be_positive():
    with pytest.raises(ValueError, match="max_episodes_per_file"):
        plan_rewrite(open_dataset(str(DATA / "edited")), max_episodes_per_file=0)


# --- types -----------------------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("row_group_size", [None, 3])
@pytest.mark.parametrize("compliant", [True, False])
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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


# --- size and memory -------------------------------------------------------------------------------------------------------------


def lerobot_like(episode_count: int, rows: int) -> pa.Table:
    """Rows as LeRobot writes them: two features of 14 floats and the default columns."""
    count = episode_count * rows
    rng = np.random.default_rng(7)
    state = np.cumsum(rng.normal(0, 0.01, (count, 14)), axis=0).astype(np.float32)
    action = (state + rng.normal(0, 0.001, state.shape)).astype(np.float32)
    frame = np.tile(np.arange(rows), episode_count)
    return pa.table(
        {
            "observation.state": pa.FixedSizeListArray.from_arrays(pa.array(state.reshape(-1)), 14),
            "action": pa.FixedSizeListArray.from_arrays(pa.array(action.reshape(-1)), 14),
            "timestamp": (frame / 30).astype(np.float32),
            "frame_index": frame,
            "episode_index": np.repeat(np.arange(episode_count), rows),
            "index": np.arange(count),
            "task_index": np.zeros(count, np.int64),
        }
    )


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


def test_memory_is_bounded_by_an_episode_and_a_batch(tmp_path):
    table = lerobot_like(1500, 300)
    assert table.nbytes > 65e6
    source = write_dataset(tmp_path / "source", [table], row_group_size=table.num_rows)
    source_root, out = Root(str(source)), Root(str(tmp_path / "out"))
    assert peak_pool_bytes(lambda: pq.read_table(source / FILE)) > 65e6  # the measure measures
    plan = plan_rewrite(open_dataset(str(source)))
    assert peak_pool_bytes(lambda: rewrite_file(source_root, out, plan.units[0])) < 30e6


@pytest.mark.parametrize("repeated", [False, True])
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


# --- refusals and failures -------------------------------------------------------------------------------------------------------


def refused(source: Path, tmp_path: Path, error: type[EpiseekError], match: str) -> EpiseekError:
    """Rewriting FILE raises `error`, it pickles, and nothing is left behind."""
    with pytest.raises(error, match=match) as caught:
        rewrite_file(Root(str(source)), Root(str(tmp_path / "out")), UNIT)
    assert type(caught.value) is error
    assert str(source / FILE) in str(caught.value) or error is WriteError
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    return caught.value


@pytest.mark.parametrize("row_group_size", [None, 2])
def test_episode_in_two_places_is_refused(row_group_size, tmp_path):
    table = pa.concat_tables([episodes_table([3, 2, 4]), episodes_table([1], first=1)])
    source = write_dataset(tmp_path / "source", [table], row_group_size=row_group_size)
    refused(source, tmp_path, RowOrderError, "found episode 1 again at row 9")
    assert plan_rewrite(open_dataset(str(source))).units[0].path == FILE  # the plan leaves it to the file's own turn


def test_file_without_episode_index_is_refused(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([3, 2])])
    pq.write_table(pq.read_table(source / FILE).drop_columns(["episode_index"]), source / FILE)
    refused(source, tmp_path, RowOrderError, "found no columns? 'episode_index'")


def test_null_in_episode_index_is_refused(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([3, 2])])
    table = pq.read_table(source / FILE)
    column = pa.array([0, 0, None, 1, 1], pa.int64())
    pq.write_table(table.set_column(1, "episode_index", column), source / FILE, row_group_size=2)
    refused(source, tmp_path, RowOrderError, "null in column 'episode_index' at row 2")


def test_episode_index_of_another_type_is_refused(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([3, 2])])
    table = pq.read_table(source / FILE)
    pq.write_table(table.set_column(1, "episode_index", table["episode_index"].cast(pa.float64())), source / FILE)
    refused(source, tmp_path, RowOrderError, "'episode_index' of type double")


def test_missing_file_is_named_and_the_others_are_rewritten(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([3, 2]), episodes_table([3, 2], first=2)])
    (source / FILE).unlink()
    refused(source, tmp_path, MissingFileError, "no such file")
    plan = plan_rewrite(open_dataset(str(source)))
    assert [unit.path for unit in plan.units] == [FILE, "data/chunk-000/file-001.parquet"]
    rewrite_file(Root(str(source)), Root(str(tmp_path / "out")), plan.units[1])
    assert assert_one_episode_per_row_group(tmp_path / "out" / plan.units[1].path) == [2, 3]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(64), b"not a Parquet file at all, but long enough"])
def test_file_without_footer_is_refused(content, tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([3, 2])])
    (source / FILE).write_bytes(content)
    refused(source, tmp_path, ParquetError, "with its footer")
    assert plan_rewrite(open_dataset(str(source))).units


def test_truncated_file_is_refused(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([30, 20])])
    whole = (source / FILE).read_bytes()
    for stop in range(1, len(whole), len(whole) // 17):
        (source / FILE).write_bytes(whole[:stop])
        refused(source, tmp_path, ParquetError, r"file-000\.parquet")


def test_damaged_footer_is_refused(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([30, 20])])
    data = bytearray((source / FILE).read_bytes())
    footer_bytes = int.from_bytes(data[-8:-4], "little")
    data[-8 - footer_bytes] ^= 0xFF
    (source / FILE).write_bytes(data)
    refused(source, tmp_path, ParquetError, "with its footer")
    assert plan_rewrite(open_dataset(str(source))).units


@pytest.mark.parametrize("codec", ["snappy", "zstd"])
def test_corrupt_pages_are_refused(codec, tmp_path):
    table = episodes_table([300, 200, 400])
    source = write_dataset(tmp_path / "source", [table], compression=codec)
    column = pq.read_metadata(source / FILE).row_group(0).column(0)
    data = bytearray((source / FILE).read_bytes())
    start = column.dictionary_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    (source / FILE).write_bytes(data)
    refused(source, tmp_path, ParquetError, "readable data pages")
    assert plan_rewrite(open_dataset(str(source))).units


def test_damage_anywhere_never_escapes_unnamed(tmp_path):
    """Whatever byte is damaged: an error that names the file, or rows as many as the footer says."""
    source = write_dataset(tmp_path / "source", [episodes_table([40, 30, 20])])
    whole = (source / FILE).read_bytes()
    rng = np.random.default_rng(5)
    outcomes = {"refused": 0, "written": 0}
    unnamed = left = 0
    for position in rng.choice(len(whole), 150, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        (source / FILE).write_bytes(damaged)
        try:
            result = rewrite_file(Root(str(source)), Root(str(tmp_path / "out")), UNIT)
        except (ParquetError, RowOrderError) as error:
            unnamed += str(source / FILE) not in str(error)
            left += len([path for path in (tmp_path / "out").rglob("*") if path.is_file()])
            outcomes["refused"] += 1
        else:
            assert sum(output.rows for output in result.outputs) == pq.read_metadata(source / FILE).num_rows
            (tmp_path / "out" / FILE).unlink()
            outcomes["written"] += 1
    assert all(outcomes.values())
    assert (unnamed, left) == (0, 0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("lengths", [[3, 2], [3000] * 40])
def test_full_disk_is_one_error_and_leaves_nothing(lengths, tmp_path, monkeypatch):
    source = write_dataset(tmp_path / "source", [episodes_table(lengths)])
    opened = os.open

    def full(path, flags, mode=0o777, **options):
        handle = opened(path, flags, mode, **options)
        if not flags & os.O_EXCL:
            return handle
        os.close(handle)
        return opened("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", full)
    error = refused(source, tmp_path, WriteError, "no space left on the device")
    assert FILE in error.where


@pytest.mark.parametrize("room", [0, 4, 5_000, 100_000, -1])
def test_disk_that_fills_up_while_writing(room, tmp_path, monkeypatch):
    source = write_dataset(tmp_path / "source", [episodes_table([500] * 40)])
    whole = rewrite_file(Root(str(source)), Root(str(tmp_path / "whole")), UNIT).outputs[0].size_bytes
    assert whole > 110_000
    left = whole + room if room < 0 else room  # -1: the last byte of the footer
    fdopen = os.fdopen

    class Disk:
        def __init__(self, stream):
            self.stream, self.left = stream, left

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.stream.close()

        def write(self, data):
            self.left -= len(data)
            if self.left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.stream.write(data)

    monkeypatch.setattr(os, "fdopen", lambda handle, mode: Disk(fdopen(handle, mode)))
    refused(source, tmp_path, WriteError, "no space left on the device")


def test_failure_in_a_later_output_removes_the_earlier_ones(tmp_path):
    table = pa.concat_tables([episodes_table([3, 2, 4]), episodes_table([1], first=1)])
    source = write_dataset(tmp_path / "source", [table])
    outputs = tuple(Output(f"data/chunk-000/file-{k:03d}.parquet", k, k + 1) for k in range(3))
    with pytest.raises(RowOrderError, match="episode 1 again"):
        rewrite_file(Root(str(source)), Root(str(tmp_path / "out")), RewriteUnit(FILE, outputs))
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


# --- repeatability and other stores ----------------------------------------------------------------------------------------------


def tree(root: Path) -> dict[Path, bytes]:
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("cap", [None, 3])
def test_same_input_gives_the_same_bytes(cap, tmp_path):
    source = collapse(DATA / "av1_multifile", tmp_path / "source")
    rewrite(source, tmp_path / "first", max_episodes_per_file=cap)
    rewrite(source, tmp_path / "second", max_episodes_per_file=cap)
    assert tree(tmp_path / "first") == tree(tmp_path / "second")
    rewrite(source, tmp_path / "second", max_episodes_per_file=cap)  # over the files that are there
    assert tree(tmp_path / "first") == tree(tmp_path / "second")


def test_plan_survives_pickling():
    plan = plan_rewrite(open_dataset(str(DATA / "edited")), max_episodes_per_file=2)
    units = pickle.loads(pickle.dumps(plan.units))
    assert units == plan.units
    assert [len(unit.outputs) for unit in units] == [1, 2, 2]


def test_source_behind_a_url(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([30, 20]), episodes_table([5], first=2)])
    memory = fsspec.filesystem("memory")
    memory.put(str(source), "/rewrite-test", recursive=True)
    try:
        url, out = Root("memory://rewrite-test"), Root(str(tmp_path / "out"))
        plan = plan_rewrite(open_dataset(url))
        for unit in plan.units:
            rewrite_file(url, out, unit)
            assert_same_rows(source / unit.path, tmp_path / "out" / unit.path)
        rewrite(source, tmp_path / "local")
        assert tree(tmp_path / "local/data") == tree(tmp_path / "out/data")
        memory.pipe(f"/rewrite-test/{FILE}", b"PAR1 and no footer")
        with pytest.raises(ParquetError, match="memory://rewrite-test/data/chunk-000/file-000"):
            rewrite_file(url, out, plan.units[0])
    finally:
        memory.rm("/rewrite-test", recursive=True)

"""Rewriting: files that become several."""

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.errors import RowOrderError
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.rewrite.rewrite import plan_rewrite
from tests.support.amount import full_run
from tests.support.build_index import DATA
from tests.support.rewriting import (
    FILE,
    assert_one_episode_per_row_group,
    collapse,
    episodes_table,
    rewrite,
    write_dataset,
)


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


@full_run
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


@full_run
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

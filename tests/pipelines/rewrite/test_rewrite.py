"""Rewriting data files: of LeRobot's own datasets, the same bytes every time, from any store."""

import pickle
import shutil
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from episeek.errors import ParquetError
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.rewrite.rewrite import plan_rewrite, rewrite_file
from tests.support.build_index import DATA
from tests.support.rewriting import (
    FILE,
    assert_one_episode_per_row_group,
    assert_same_rows,
    collapse,
    episodes_table,
    rewrite,
    write_dataset,
)


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

"""Rewriting: what is refused, and what goes wrong on the way."""

import errno
import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.errors import EpiseekError, MissingFileError, ParquetError, RowOrderError, WriteError
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.rewrite.rewrite import Output, RewriteUnit, plan_rewrite, rewrite_file
from tests.support.rewriting import FILE, UNIT, assert_one_episode_per_row_group, episodes_table, rewrite, write_dataset


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
    assert [unit.path for unit in plan.units] == ["data/chunk-000/file-001.parquet"]
    assert plan.missing == {0: FILE, 1: FILE}
    with pytest.raises(
        MissingFileError, match=r"file-000\.parquet: found no such file; expected the rows of episode 0"
    ):
        rewrite(source, tmp_path / "out")
    assert assert_one_episode_per_row_group(tmp_path / "out" / plan.units[0].path) == [2, 3]


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

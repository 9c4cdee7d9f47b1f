"""Parquet files of a store: the values of pyarrow on the file itself, in few requests, each byte once."""

import io
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek.errors import ChangedFileError, MissingFileError, ParquetError, ReadError
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet import store_file
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS
from episeek_pipelines.parquet.row_cursor import RowCursor
from episeek_pipelines.parquet.store_file import KEPT_BYTES, TAIL_BYTES, StoreFile, open_store_parquet
from tests.support.amount import examples, full_run

PATH = "data/file.parquet"
MIB = 1 << 20


class RecordingSource:
    """One file in memory, and the ranges that it was asked for; from `broken_after` of them on it gives an error."""

    root = "memory://dataset"
    probe_bytes = tail_bytes = 1 << 15

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.ranges: list[tuple[int, int]] = []
        self.identity_count = 0
        self.broken_after: int | None = None

    def identity(self, path):
        self.identity_count += 1
        return FileIdentity(len(self.content))

    def get_ranges(self, path, ranges):
        if self.broken_after is not None and len(self.ranges) >= self.broken_after:
            raise ReadError(f"{self.root}/{path}, bytes [0, 1)", "status 503 (6 tries in 2.0 s)", "the bytes")
        self.ranges += ranges
        return [self.content[start:stop] for start, stop in ranges]

    def transfers(self):
        raise NotImplementedError

    @property
    def byte_count(self) -> int:
        return sum(stop - start for start, stop in self.ranges)

    def read_twice(self) -> int:
        """Bytes that were asked for more than once."""
        ordered = sorted(self.ranges)
        return sum(max(0, before[1] - after[0]) for before, after in pairwise(ordered))


def made(rows: int, *, group_rows: int, vector: int = 32, **options) -> bytes:
    generator = np.random.default_rng(rows)
    values = generator.standard_normal(rows * vector, np.float32)
    table = pa.table(
        {
            "observation.state": pa.FixedSizeListArray.from_arrays(values, vector).cast(pa.list_(pa.float32())),
            "action.left": generator.standard_normal(rows),
            "action": generator.standard_normal(rows),
            "task": [f"task {number}" for number in generator.integers(3, size=rows)],
            "index": np.arange(rows),
        }
    )
    stream = io.BytesIO()
    pq.write_table(table, stream, row_group_size=group_rows, compression="none", **options)
    return stream.getvalue()


def opened(content: bytes, **options) -> tuple[RecordingSource, pq.ParquetFile]:
    source = RecordingSource(content)
    return source, open_store_parquet(source, PATH, file_size=len(content), **options)


@pytest.fixture(scope="module")
def collapsed():
    """20 MB in one row group."""
    return made(120_000, group_rows=1 << 30)


@pytest.fixture(scope="module")
def per_episode():
    """10 MB in 200 row groups."""
    return made(60_000, group_rows=300)


# --- opening --------------------------------------------------------------------------------------------------------------------


def test_a_footer_in_the_last_bytes_is_one_request(collapsed):
    source, file = opened(collapsed)
    assert file.metadata.num_rows == 120_000
    assert source.ranges == [(len(collapsed) - TAIL_BYTES, len(collapsed))]


def test_of_a_larger_footer_the_rest_is_fetched(per_episode):
    source, file = opened(per_episode)
    footer_bytes = file.metadata.serialized_size
    assert footer_bytes > TAIL_BYTES
    first = len(per_episode) - 8 - footer_bytes
    assert source.ranges == [(len(per_episode) - TAIL_BYTES, len(per_episode)), (first, len(per_episode) - TAIL_BYTES)]


def test_a_small_file_is_one_request():
    content = made(100, group_rows=30)
    source, file = opened(content)
    assert file.read(use_threads=False).equals(pq.read_table(io.BytesIO(content)))
    assert source.ranges == [(0, len(content))]


def test_the_size_is_asked_for_where_nobody_says_it():
    content = made(100, group_rows=30)
    source = RecordingSource(content)
    assert open_store_parquet(source, PATH, file_size=None).metadata.num_rows == 100
    assert source.identity_count == 1


def test_a_file_of_another_size_than_listed_is_named():
    content = made(100, group_rows=30)
    with pytest.raises(ChangedFileError, match=rf"memory://dataset/{PATH}: found {len(content) + 4} bytes"):
        open_store_parquet(RecordingSource(content + b"PAR1"), PATH, file_size=len(content))


# --- what it costs --------------------------------------------------------------------------------------------------------------


def read_by_batches(file):
    return pa.Table.from_batches(file.iter_batches(4096, use_threads=False))


def read_by_cursor(file):
    cursor = RowCursor(file)
    return pa.concat_tables([cursor.read(row, 300) for row in range(0, file.metadata.num_rows, 300)])


@pytest.mark.parametrize("read", [read_by_batches, read_by_cursor])
@pytest.mark.parametrize("kind", ["collapsed", "per_episode"])
def test_reading_all_rows_fetches_each_byte_once(kind, read, request):
    content = request.getfixturevalue(kind)
    source, file = opened(content, **READ_OPTIONS)
    assert read(file).equals(pq.read_table(io.BytesIO(content)))
    assert source.read_twice() == 0
    assert source.byte_count <= len(content)
    # a column of a large row group ends with a smaller request
    assert len(source.ranges) <= 1.1 * len(content) / MIB + file.metadata.num_columns + 2


def test_one_column_is_fetched_alone(collapsed):
    source, file = opened(collapsed, **READ_OPTIONS)
    (column,) = [n for n in range(file.metadata.num_columns) if file.schema.column(n).path == "action"]
    chunk = file.metadata.row_group(0).column(column)
    before = len(source.ranges)
    list(file.iter_batches(4096, columns=["action"], use_threads=False))
    assert sum(stop - start for start, stop in source.ranges[before:]) == chunk.total_compressed_size


def test_chunks_with_little_between_them_share_requests(per_episode):
    source, file = opened(per_episode)
    before = len(source.ranges)
    file.read(columns=["action", "index"], use_threads=False)
    assert len(source.ranges) - before <= len(per_episode) // MIB + 2
    assert source.read_twice() == 0


def test_chunks_with_much_between_them_do_not():
    content = made(60_000, group_rows=6_000)
    source, file = opened(content)
    before = len(source.ranges)
    file.read(columns=["action"], use_threads=False)
    chunks = [file.metadata.row_group(group).column(2).total_compressed_size for group in range(10)]
    assert [stop - start for start, stop in source.ranges[before:]][:9] == chunks[
        :9
    ]  # the last is in the tail, in part
    assert len(source.ranges) - before <= 10


@full_run
def test_more_than_is_kept_is_read_column_by_column():
    content = made(300_000, group_rows=50_000)
    assert len(content) > 2 * KEPT_BYTES
    source, file = opened(content)
    assert file.read(use_threads=False).equals(pq.read_table(io.BytesIO(content)))
    assert source.read_twice() == 0


def test_memory_is_bounded(collapsed):
    _, file = opened(collapsed, **READ_OPTIONS)
    kept = []
    for _ in file.iter_batches(4096, use_threads=False):
        kept.append(file._file._kept_bytes)
    assert max(kept) <= KEPT_BYTES
    assert sum(map(len, file._file._kept.values())) == kept[-1]
    assert file._file._starts == sorted(file._file._kept)


# --- the same as pyarrow --------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=examples(25))  # each writes a file and reads it eight times
@given(
    seed=st.integers(0, 1 << 30), kept=st.sampled_from([1, 500, 5000, 1 << 24]), block=st.sampled_from([1, 300, 9000])
)
def test_the_same_values_however_it_is_read(seed, kept, block):
    generator = random.Random(seed)
    content = made(2000, group_rows=generator.choice([37, 500, 5000]), vector=3, write_page_index=True)
    reference = pq.ParquetFile(io.BytesIO(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_file, "KEPT_BYTES", kept)
        patch.setattr(store_file, "TAIL_BYTES", 1000)
        patch.setattr(store_file, "BLOCK_BYTES", block)
        patch.setattr(store_file, "GAP_BYTES", generator.choice([0, 1000]))
        _, file = opened(content, buffer_size=generator.choice([0, 100, 1000]))
        for _ in range(4):
            columns = generator.choice([None, ["action"], ["index", "task"], ["observation.state", "action.left"]])
            groups = sorted(generator.sample(range(file.num_row_groups), generator.randint(1, file.num_row_groups)))
            assert file.read_row_groups(groups, columns).equals(reference.read_row_groups(groups, columns))
            assert file.read_row_group(groups[0], columns).equals(reference.read_row_group(groups[0], columns))
            assert file.read(columns).equals(reference.read(columns))
            batches = file.iter_batches(generator.randint(1, 3000), row_groups=groups, columns=columns)
            assert pa.Table.from_batches(batches).equals(reference.read_row_groups(groups, columns))


@given(data=st.data())
def test_reads_as_a_file_does(data):
    content = bytes(range(250))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_file, "TAIL_BYTES", data.draw(st.integers(0, 300)))
        patch.setattr(store_file, "KEPT_BYTES", data.draw(st.integers(0, 300)))
        patch.setattr(store_file, "_PART_BYTES", data.draw(st.integers(1, 300)))
        file, expected = StoreFile(RecordingSource(content), PATH, len(content)), io.BytesIO(content)
        if data.draw(st.booleans()):
            file.fetch_tail()
        bounds = sorted(data.draw(st.sets(st.integers(0, 250), max_size=8)))
        block_bytes, is_joined = data.draw(st.integers(0, 100)), data.draw(st.booleans())
        file.expect(list(pairwise(bounds))[::2], block_bytes=block_bytes, is_joined=is_joined)
        for _ in range(data.draw(st.integers(0, 12))):
            number, whence = data.draw(st.integers(0, 300)), data.draw(st.sampled_from([0, 1, 2]))
            if data.draw(st.booleans()):
                assert file.read(number) == expected.read(number)
            else:
                number = -min(number, 250) if whence == 2 else number
                assert file.seek(number, whence) == expected.seek(number, whence)
            assert file.tell() == expected.tell()
        assert file.read() == expected.read()


def test_several_threads_read_one_file(collapsed):
    _, file = opened(collapsed)
    ranges = [(start, start + 100_000) for start in range(0, len(collapsed), 70_000)] * 3
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda r: file._file.read_at(*r), ranges))
    assert parts == [collapsed[start:stop] for start, stop in ranges]
    assert file.read(use_threads=True).equals(pq.read_table(io.BytesIO(collapsed)))


# --- errors ---------------------------------------------------------------------------------------------------------------------


READS = {
    "whole": lambda file: file.read(use_threads=False),
    "whole, threads": lambda file: file.read(use_threads=True),
    "group, threads": lambda file: file.read_row_group(0, use_threads=True),
    "batches": lambda file: list(file.iter_batches(1000, use_threads=False)),
    "batches, threads": lambda file: list(file.iter_batches(1000, use_threads=True)),
    "cursor": read_by_cursor,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
@pytest.mark.parametrize("options", [{}, READ_OPTIONS], ids=["chunks", "buffered"])
@pytest.mark.parametrize("count", [1, 2])
def test_an_error_of_the_store_is_what_the_caller_gets(count, options, read, collapsed):
    source, file = opened(collapsed, **options)
    source.broken_after = count
    with pytest.raises(ReadError, match=rf"memory://dataset/{PATH}, bytes .*: found status 503"):
        read(file)


def test_an_error_in_the_rest_of_the_footer(per_episode):
    source = RecordingSource(per_episode)
    source.broken_after = 1
    with pytest.raises(ReadError, match="status 503"):
        open_store_parquet(source, PATH, file_size=len(per_episode))


@pytest.mark.parametrize("content", [b"", b"PAR1", bytes(100), made(10, group_rows=10)[:-5]], ids=len)
def test_what_is_no_parquet_is_named(content, monkeypatch):
    monkeypatch.setattr(Root, "source", lambda _: RecordingSource(content))
    with pytest.raises(ParquetError, match=f"memory://dataset/{PATH}"):
        Root("memory://dataset").open_parquet(PATH)


def test_a_file_that_is_not_there():
    with pytest.raises(MissingFileError, match=f"memory://nothing/{PATH}"):
        Root("memory://nothing").open_parquet(PATH)


def test_errors_of_the_store_keep_their_kind(monkeypatch, collapsed):
    source = RecordingSource(collapsed)
    source.broken_after = 0
    monkeypatch.setattr(Root, "source", lambda _: source)
    with pytest.raises(ReadError, match="status 503"):
        Root("memory://dataset").open_parquet(PATH, file_size=len(collapsed))

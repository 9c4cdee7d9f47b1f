"""A file of a byte source, read in blocks."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek.errors import ReadError
from episeek.stores.byte_source import CountingSource
from episeek.stores.transports.local import LocalSource
from episeek_pipelines.video import demuxer_file
from episeek_pipelines.video.demuxer_file import DemuxerFile

CONTENTS = bytes(range(250))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    (folder / "file").write_bytes(CONTENTS)
    return folder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(demuxer_file, "BLOCK_BYTES", 16)
    monkeypatch.setattr(demuxer_file, "KEPT_BLOCKS", 2)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 300)),
        st.tuples(st.just(os.SEEK_SET), st.integers(0, 300)),
        st.tuples(st.just(os.SEEK_CUR), st.integers(0, 100)),
        st.tuples(st.just(os.SEEK_END), st.integers(-250, 0)),
    )
)


@given(operations=OPERATIONS)
def test_reads_as_a_file_does(folder, operations):
    file, expected = DemuxerFile(LocalSource(str(folder)), "file", len(CONTENTS)), io.BytesIO(CONTENTS)
    for operation, number in operations:
        if operation == "read":
            assert file.read(number) == expected.read(number)
        else:
            assert file.seek(number, operation) == expected.seek(number, operation)
        assert file.tell() == expected.tell()


@given(start=st.integers(0, 300), stop=st.integers(0, 300))
def test_reads_any_range_without_moving(folder, start, stop):
    file = DemuxerFile(LocalSource(str(folder)), "file", len(CONTENTS))
    file.seek(7)
    assert file.read_at(start, stop) == CONTENTS[start:stop]
    assert file.tell() == 7


def test_keeps_the_blocks_used_last_and_no_more(folder):
    source = CountingSource(LocalSource(str(folder)))
    file = DemuxerFile(source, "file", len(CONTENTS))
    requests = []
    for block in (0, 1, 0, 2, 0, 1):
        file.read_at(16 * block, 16 * block + 1)
        requests.append(source.request_count)
    assert requests == [1, 2, 2, 3, 3, 4]


def test_an_error_ends_the_file_for_the_demuxer_and_is_kept(folder):
    file = DemuxerFile(LocalSource(str(folder)), "missing", 100)
    assert file.read(10) == b""
    error = file.error
    assert isinstance(error, FileNotFoundError)
    assert file.read(10) == b""
    assert file.error is error
    (folder / "short").write_bytes(bytes(40))
    file = DemuxerFile(LocalSource(str(folder)), "short", 100)
    with pytest.raises(ReadError):
        file.read_at(20, 60)
    assert file.error is None

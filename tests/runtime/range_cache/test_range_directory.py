"""A directory of ranges returns the right bytes or none, stays within its limit, and never makes a read fail."""

import errno
import logging
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek.range_cache import directory as directory_module
from episeek.range_cache.directory import RangeDirectory, RangeKey
from episeek.range_cache.entry import BLOCK_BYTES, header_bytes

KEY = RangeKey("build", "videos/file.mp4", 1000, 1000 + 3 * BLOCK_BYTES + 5)


def content(key):
    """Bytes that no other range has."""
    return random.Random(repr(key)).randbytes(key.stop - key.start)


def keep(directory, key):
    claim = directory.claim(key)
    assert claim is not None
    claim.keep(memoryview(content(key)))
    claim.release()


def whole(directory, key):
    data = directory.read(key, key.start, key.stop)
    return None if data is None else bytes(data)


def entries(folder):
    return [path for path in Path(folder).glob("??/*") if path.is_file()]


def short(number, length=1000):
    return RangeKey("build", "file", number * length, (number + 1) * length)


@pytest.mark.parametrize("length", [1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5])
def test_any_part_of_a_range_is_returned(tmp_path, length):
    directory = RangeDirectory(tmp_path)
    key = RangeKey("build", "file", 7, 7 + length)
    assert whole(directory, key) is None
    keep(directory, key)
    for start in {0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, length // 2, length - 1} & set(range(length)):
        for stop in {start + 1, BLOCK_BYTES, BLOCK_BYTES + 1, length} & set(range(start + 1, length + 1)):
            part = directory.read(key, 7 + start, 7 + stop)
            assert part is not None
            assert bytes(part) == content(key)[start:stop]


@pytest.mark.parametrize("change", [{"content": "other"}, {"path": "other"}, {"start": 999}, {"stop": 1001}])
def test_a_range_is_that_of_its_build_its_file_and_its_bytes(tmp_path, change):
    directory = RangeDirectory(tmp_path)
    keep(directory, KEY)
    values = {name: getattr(KEY, name) for name in ("content", "path", "start", "stop")}
    assert whole(directory, RangeKey(**(values | change))) is None


@given(data=st.data())
def test_a_damaged_entry_is_none(tmp_path_factory, data):
    directory = RangeDirectory(tmp_path_factory.mktemp("kept"))
    keep(directory, KEY)
    path = Path(directory.path_of(KEY))
    stored = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(stored) - 1))
    if data.draw(st.booleans()):
        stored[position] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del stored[position:]
    path.write_bytes(stored)
    assert whole(directory, KEY) is None
    assert not path.exists()
    keep(directory, KEY)
    assert whole(directory, KEY) == content(KEY)


def test_an_entry_in_the_place_of_another_is_none(tmp_path):
    directory = RangeDirectory(tmp_path)
    keep(directory, short(0))
    target = Path(directory.path_of(short(1)))
    target.parent.mkdir(exist_ok=True)
    os.rename(directory.path_of(short(0)), target)
    assert whole(directory, short(1)) is None


def test_what_was_not_used_for_longest_is_removed(tmp_path):
    size = 1000 + header_bytes(1000)
    directory = RangeDirectory(tmp_path, max_bytes=10 * size)
    for number in range(10):
        keep(directory, short(number))
        # as if each had been kept a day before the next one
        when = 86400 * (number + 1)
        os.utime(directory.path_of(short(number)), (when, when))
    assert len(entries(tmp_path)) == 10
    assert whole(directory, short(0)) == content(short(0))
    keep(directory, short(10))
    held = {number for number in range(11) if whole(directory, short(number))}
    assert held == set(range(11)) - {1}
    for number in range(11, 60):
        keep(RangeDirectory(tmp_path, max_bytes=10 * size), short(number))
        assert sum(path.stat().st_size for path in entries(tmp_path)) <= 10 * size
    assert len(entries(tmp_path)) > 5


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path):
    directory = RangeDirectory(tmp_path, max_bytes=1000)
    keep(directory, short(0))
    assert entries(tmp_path) == []


def test_a_tenth_of_the_disk_stays_free(tmp_path, monkeypatch):
    directory = RangeDirectory(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(total=10_000, free=1_900))
    assert directory.limit_bytes() == 900
    keep(directory, short(0, 950))
    assert entries(tmp_path) == []
    keep(directory, short(0, 800))
    assert len(entries(tmp_path)) == 1
    assert RangeDirectory(tmp_path / "not/yet/there").limit_bytes() == 900
    assert RangeDirectory(tmp_path, max_bytes=7).limit_bytes() == 7


def test_one_claims_a_range_until_it_is_released(tmp_path):
    directory, other = RangeDirectory(tmp_path), RangeDirectory(tmp_path)
    claim = directory.claim(KEY)
    assert claim is not None
    assert other.claim(KEY) is None
    assert other.claim(short(1)) is not None
    claim.release()
    second = other.claim(KEY)
    assert second is not None
    claim.keep(memoryview(b"too late"))
    assert whole(other, KEY) is None
    second.keep(memoryview(content(KEY)))
    second.release()
    assert whole(directory, KEY) == content(KEY)


def test_a_process_that_was_killed_claims_nothing(tmp_path):
    program = (
        "import os, signal, sys\n"
        "from episeek.range_cache.directory import RangeDirectory, RangeKey\n"
        "claim = RangeDirectory(sys.argv[1]).claim(RangeKey('build', 'file', 0, 1000))\n"
        "os.write(claim._handle, b'part of an entry')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, tmp_path], check=False).returncode == -9
    assert len(entries(tmp_path)) == 1
    directory = RangeDirectory(tmp_path)
    assert whole(directory, short(0)) is None
    keep(directory, short(0))
    assert whole(directory, short(0)) == content(short(0))


def test_a_directory_that_cannot_be_written_is_named_once(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    directory = RangeDirectory(tmp_path / "file/cache")
    with caplog.at_level(logging.WARNING, "episeek"):
        for number in range(3):
            keep(directory, short(number))
            assert whole(directory, short(number)) is None
    assert [str(tmp_path) in record.getMessage() for record in caplog.records] == [True]


def test_a_full_disk_is_named_once_and_leaves_nothing_half(tmp_path, caplog, monkeypatch):
    directory = RangeDirectory(tmp_path)
    keep(directory, short(0))

    def write(handle, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(directory_module, "_write", write)
    with caplog.at_level(logging.WARNING, "episeek"):
        for number in range(1, 4):
            keep(directory, short(number))
    assert [os.strerror(errno.ENOSPC) in record.getMessage() for record in caplog.records] == [True]
    assert [str(path) for path in entries(tmp_path)] == [directory.path_of(short(0))]
    assert whole(directory, short(0)) == content(short(0))


def test_the_directory_may_be_removed_at_any_time(tmp_path):
    directory = RangeDirectory(tmp_path / "cache")
    claim = directory.claim(KEY)
    assert claim is not None
    shutil.rmtree(tmp_path / "cache")
    claim.keep(memoryview(content(KEY)))
    claim.release()
    keep(directory, KEY)
    assert whole(directory, KEY) == content(KEY)


def test_a_limit_is_no_negative_number(tmp_path):
    with pytest.raises(ValueError, match="max_bytes"):
        RangeDirectory(tmp_path, max_bytes=-1)

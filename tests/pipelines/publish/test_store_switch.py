"""The order of a switch, and identities that are worked out here."""

import hashlib
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek_pipelines.publish import content_ids
from episeek_pipelines.publish.changes import Addition, Changes
from episeek_pipelines.publish.content_ids import PART_SIZES_BYTES, has_id
from episeek_pipelines.publish.store_switch import moves_rows, switch_waves


def added(*paths, deleted=()):
    return Changes(tuple(Addition(path, b"", 0, "") for path in paths), tuple(deleted), 0)


def test_the_order():
    paths = [
        "README.md",
        "data/chunk-000/file-000.parquet",
        "meta/byte_index/episodes.parquet",
        "meta/byte_index/files.parquet",
        "meta/byte_index/samples.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json",
        "meta/stats.json",
        "videos/c/chunk-000/file-000.mp4",
    ]
    assert switch_waves(added(*paths), set()) == [
        ["videos/c/chunk-000/file-000.mp4"],
        ["data/chunk-000/file-000.parquet"],
        ["meta/stats.json"],
        ["meta/episodes/chunk-000/file-000.parquet"],
        ["meta/info.json"],
        ["README.md"],
        ["meta/byte_index/episodes.parquet", "meta/byte_index/samples.parquet"],
        ["meta/byte_index/files.parquet"],
    ]
    assert switch_waves(added(), set()) == []


@given(
    before=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    pieces=st.integers(1, 3),
)
def test_no_row_is_missing_while_episodes_move_to_later_files(before, pieces):
    """Splitting each file into up to `pieces`, numbered anew, as a rewrite does."""
    names = [f"data/chunk-000/file-{number:03}.parquet" for number in range(100)]
    numbers = itertools.count()
    there = {name: {next(numbers) for _ in range(count)} for name, count in zip(names, before, strict=False)}
    parts = []
    for episodes in there.values():
        ordered, size = sorted(episodes), -(-len(episodes) // pieces)
        parts += [set(ordered[start : start + size]) for start in range(0, len(ordered), size)]
    new = dict(zip(names, parts, strict=False))
    changes = added(*(name for name in new if there.get(name) != new[name]))
    everything = set().union(*there.values())
    assert moves_rows(changes, there) is (len(new) > len(there))
    waves = switch_waves(changes, there)
    if not moves_rows(changes, there):
        return
    now = dict(there)
    for wave in waves:
        for order in itertools.islice(itertools.permutations(wave), 3):
            seen = dict(now)
            for path in order:
                seen[path] = new[path]
                assert set().union(*seen.values()) == everything
        now |= {path: new[path] for path in wave}
    assert now == new


def test_rows_stay_where_they_are_in_a_new_dataset_or_the_same_files():
    path = "data/chunk-000/file-000.parquet"
    assert not moves_rows(added(path), {path})
    assert not moves_rows(added(path), set())
    assert moves_rows(added(deleted=[path]), {path})


def test_etags_of_one_request_and_of_parts(monkeypatch, tmp_path):
    monkeypatch.setattr(content_ids, "_BLOCK_BYTES", 1000)
    content = bytes(range(256)) * 60_000
    path = tmp_path / "content"
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    facts: Any = {"size": len(content), "sha256": sha256}
    part_bytes = PART_SIZES_BYTES[1]
    digests = [hashlib.md5(content[at : at + part_bytes]).digest() for at in range(0, len(content), part_bytes)]
    in_parts = f"etag:{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
    for given_content in (content, str(path)):
        assert has_id(given_content, **facts, store_id=f"etag:{hashlib.md5(content).hexdigest()}") is True
        assert has_id(given_content, **facts, store_id=in_parts) is True
    assert has_id(content, **facts, store_id=f"etag:{'0' * 32}") is None, "encrypted, perhaps"
    assert has_id(content, **facts, store_id=f"etag:{'0' * 32}-2") is None
    assert has_id(content, **facts, store_id="etag:0x8DC") is None
    assert has_id(content, **facts, store_id=f"sha256:{sha256}") is True
    assert has_id(content, **facts, store_id="sha256:0") is False
    empty: Any = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    assert has_id(b"", **empty, store_id=f"etag:{hashlib.md5(b'').hexdigest()}") is True


def test_xet_hashes(tmp_path):
    hf_xet = pytest.importorskip("hf_xet")
    path = tmp_path / "content"
    path.write_bytes(b"content" * 1000)
    known = hf_xet.hash_files([str(path)])[0].hash
    for content in (str(path), path.read_bytes()):
        facts: Any = {"size": 7000, "sha256": ""}
        assert has_id(content, **facts, store_id=f"xet:{known}") is True
        assert has_id(content, **facts, store_id=f"xet:{'0' * 64}") is False

"""Matching local content with identities of stores."""

import hashlib
from typing import Any

import pytest

from episeek_pipelines.publish.store import identity_match
from episeek_pipelines.publish.store.identity_match import PART_SIZES_BYTES, matches_identity


def test_etags_of_one_request_and_of_parts(monkeypatch, tmp_path):
    monkeypatch.setattr(identity_match, "_BLOCK_BYTES", 1000)
    content = bytes(range(256)) * 60_000
    path = tmp_path / "content"
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    facts: Any = {"size": len(content), "sha256": sha256}
    part_bytes = PART_SIZES_BYTES[1]
    digests = [hashlib.md5(content[at : at + part_bytes]).digest() for at in range(0, len(content), part_bytes)]
    in_parts = f"etag:{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
    for given_content in (content, str(path)):
        assert matches_identity(given_content, **facts, store_id=f"etag:{hashlib.md5(content).hexdigest()}") is True
        assert matches_identity(given_content, **facts, store_id=in_parts) is True
    assert matches_identity(content, **facts, store_id=f"etag:{'0' * 32}") is None, "encrypted, perhaps"
    assert matches_identity(content, **facts, store_id=f"etag:{'0' * 32}-2") is None
    assert matches_identity(content, **facts, store_id="etag:0x8DC") is None
    assert matches_identity(content, **facts, store_id=f"sha256:{sha256}") is True
    assert matches_identity(content, **facts, store_id="sha256:0") is False
    empty: Any = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    assert matches_identity(b"", **empty, store_id=f"etag:{hashlib.md5(b'').hexdigest()}") is True


def test_xet_hashes(tmp_path):
    hf_xet = pytest.importorskip("hf_xet")
    path = tmp_path / "content"
    path.write_bytes(b"content" * 1000)
    known = hf_xet.hash_files([str(path)])[0].hash
    for content in (str(path), path.read_bytes()):
        facts: Any = {"size": 7000, "sha256": ""}
        assert matches_identity(content, **facts, store_id=f"xet:{known}") is True
        assert matches_identity(content, **facts, store_id=f"xet:{'0' * 64}") is False

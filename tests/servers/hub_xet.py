"""Xet storage: xorbs of chunks, shards that say which chunks make up a file, and reconstruction of byte ranges.

The layouts are those of xet-core: a shard is a header of 48 bytes and records of 48 bytes; a chunk of a xorb is 8 bytes
(version, compressed length in 3, scheme, length in 3) and its data, stored, LZ4, or LZ4 after grouping bytes by 4.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

_RECORD_BYTES = 48
_FILE_RECORD = struct.Struct("<32sIIQ")  # hash, flags, term count, unused
_TERM_RECORD = struct.Struct("<32sIIII")  # xorb, flags, unpacked bytes, [first, stop) chunk
_HAS_VERIFICATION = 1 << 31
_HAS_METADATA = 1 << 30
_END = b"\xff" * 32
_XORB_FOOTER = b"XETBLOB"
_CHUNK_BYTES = 64 << 10
_XORB_CHUNKS = 512
_LZ4, _LZ4_GROUPED = 1, 2

Version = Literal["v1", "v2"]


@dataclass(frozen=True, slots=True)
class Term:
    """Chunks [first, stop) of a xorb, `size` bytes unpacked."""

    xorb: str
    size: int
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes [start, stop) of a xorb, header included, and the size of what they unpack to."""

    start: int
    stop: int
    scheme: int
    size: int


@dataclass(slots=True)
class XetStore:
    xorbs: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, list[Term]] = field(default_factory=dict)
    hash_of_sha256: dict[str, str] = field(default_factory=dict)

    def size_of(self, file_hash: str) -> int:
        return sum(term.size for term in self.files[file_hash])

    def read(self, file_hash: str) -> bytes:
        return b"".join(
            _unpacked(self.xorbs[term.xorb], chunk)
            for term in self.files[file_hash]
            for chunk in self.chunks(term.xorb)[term.first : term.stop]
        )

    def add_shard(self, data: bytes) -> None:
        """Take over the files of a shard."""
        position = _RECORD_BYTES
        while True:
            file_hash, flags, term_count, _ = _FILE_RECORD.unpack_from(data, position)
            position += _RECORD_BYTES
            if file_hash == _END:
                return
            terms = []
            for _ in range(term_count):
                xorb, _flags, size, first, stop = _TERM_RECORD.unpack_from(data, position)
                terms.append(Term(_hash_text(xorb), size, first, stop))
                position += _RECORD_BYTES
            if flags & _HAS_VERIFICATION:
                position += _RECORD_BYTES * term_count
            self.files[_hash_text(file_hash)] = terms
            if flags & _HAS_METADATA:
                self.hash_of_sha256[_hash_text(data[position : position + 32])] = _hash_text(file_hash)
                position += _RECORD_BYTES

    def add_file(self, data: bytes, sha256: str) -> str:
        """Store a file as a client would upload it, but in plain chunks and under made-up hashes."""
        file_hash = hashlib.sha256(b"file" + bytes.fromhex(sha256)).hexdigest()
        terms = []
        for start in range(0, len(data), _CHUNK_BYTES * _XORB_CHUNKS):
            part = data[start : start + _CHUNK_BYTES * _XORB_CHUNKS]
            chunks = [part[position : position + _CHUNK_BYTES] for position in range(0, len(part), _CHUNK_BYTES)]
            xorb = b"".join(
                b"\0" + len(chunk).to_bytes(3, "little") + b"\0" + len(chunk).to_bytes(3, "little") + chunk
                for chunk in chunks
            )
            xorb_hash = hashlib.sha256(xorb).hexdigest()
            self.xorbs[xorb_hash] = xorb
            terms.append(Term(xorb_hash, len(part), 0, len(chunks)))
        self.files[file_hash] = terms
        self.hash_of_sha256[sha256] = file_hash
        return file_hash

    def scan_local(self, folder: Path) -> None:
        """Take over what hf_xet stored on its own in a `local://` CAS."""
        for path in (folder / "xet/xorbs/shards").glob("*.mdb"):
            self.add_shard(path.read_bytes())
        for path in (folder / "xet/xorbs/xorbs").glob("default.*"):
            if path.suffix != ".tagset":
                self.xorbs[path.name.removeprefix("default.")] = path.read_bytes()

    def chunks(self, xorb: str) -> list[Chunk]:
        return list(_chunks(self.xorbs[xorb]))

    def reconstruction(
        self, file_hash: str, span: tuple[int, int] | None, version: Version, xorb_url: str
    ) -> dict[str, Any]:
        """Where the bytes [start, stop) of a file are; `xorb_url` has a `{}` for the hash.

        Raises:
            IndexError: The range starts behind the end of the file.
        """
        terms, skipped = self.files[file_hash], 0
        if span is not None:
            if span[0] >= self.size_of(file_hash):
                raise IndexError(f"bytes [{span[0]}, {span[1]}) of {self.size_of(file_hash)}")
            terms, skipped = self._trimmed(terms, *span)
        fetches: dict[str, list[dict[str, Any]]] = {}
        for xorb, first, stop in dict.fromkeys((term.xorb, term.first, term.stop) for term in terms):
            chunks = self.chunks(xorb)
            of_chunks = {"start": first, "end": stop}
            of_bytes = {"start": chunks[first].start, "end": chunks[stop - 1].stop - 1}
            url = xorb_url.format(xorb)
            if version == "v1":
                fetch: dict[str, Any] = {"range": of_chunks, "url": url, "url_range": of_bytes}
            else:
                fetch = {"url": url, "ranges": [{"chunks": of_chunks, "bytes": of_bytes}]}
            fetches.setdefault(xorb, []).append(fetch)
        return {
            "offset_into_first_range": skipped,
            "terms": [
                {
                    "hash": term.xorb,
                    "unpacked_length": term.size,
                    "range": {"start": term.first, "end": term.stop},
                }
                for term in terms
            ],
            "fetch_info" if version == "v1" else "xorbs": fetches,
        }

    def _trimmed(self, terms: list[Term], start: int, stop: int) -> tuple[list[Term], int]:
        """The chunks that overlap [start, stop), and how many bytes of the first come before `start`."""
        kept: list[Term] = []
        skipped = position = 0
        for term in terms:
            overlapping: list[int] = []
            size = 0
            for index, chunk in enumerate(self.chunks(term.xorb)[term.first : term.stop], term.first):
                if position + chunk.size > start and position < stop:
                    if not kept and not overlapping:
                        skipped = max(start - position, 0)
                    overlapping.append(index)
                    size += chunk.size
                position += chunk.size
            if overlapping:
                kept.append(Term(term.xorb, size, overlapping[0], overlapping[-1] + 1))
        return kept, skipped


def _chunks(xorb: bytes) -> Iterator[Chunk]:
    position = 0
    while position + 8 <= len(xorb) and xorb[position : position + 7] != _XORB_FOOTER:
        packed = int.from_bytes(xorb[position + 1 : position + 4], "little")
        size = int.from_bytes(xorb[position + 5 : position + 8], "little")
        yield Chunk(position, position + 8 + packed, xorb[position + 4], size)
        position += 8 + packed


def _unpacked(xorb: bytes, chunk: Chunk) -> bytes:
    data = xorb[chunk.start + 8 : chunk.stop]
    if chunk.scheme not in (_LZ4, _LZ4_GROUPED):
        return data
    import pyarrow as pa

    data = pa.Codec("lz4").decompress(data, chunk.size).to_pybytes()
    if chunk.scheme == _LZ4:
        return data
    ungrouped, position = bytearray(chunk.size), 0
    for group in range(4):
        count = len(range(group, chunk.size, 4))
        ungrouped[group::4] = data[position : position + count]
        position += count
    return bytes(ungrouped)


def _hash_text(raw: bytes) -> str:
    """Xet writes hashes as four little-endian numbers of 64 bits."""
    return b"".join(raw[start : start + 8][::-1] for start in range(0, 32, 8)).hex()

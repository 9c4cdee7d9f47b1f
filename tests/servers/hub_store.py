"""What a Hub keeps: repositories with commits, trees and refs (real git object ids), buckets, and contents."""

import fnmatch
import hashlib
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LFS_EXTENSIONS = (
    "7z arrow avro bin bz2 ckpt ftz gz h5 joblib lz4 mds model msgpack npy npz onnx ot parquet pb pickle pkl pt pth "
    "rar safetensors tar tflite tgz wasm xz zip zst pcm sam raw aac flac mp3 ogg wav bmp gif png tiff jpg jpeg webp "
    "mp4 webm"
)
GITATTRIBUTES = re.sub(r"(\S+) ?", r"*.\1 filter=lfs diff=lfs merge=lfs -text\n", _LFS_EXTENSIONS)
EPOCH_SECONDS = 1_700_000_000
MAIN = "refs/heads/main"

Content = bytes | Path


def iso(seconds: int, milliseconds: int = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{milliseconds:03}Z"


def git_oid(kind: str, data: bytes) -> str:
    """SHA-1 of a git object."""
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data).hexdigest()


def sha256_of(content: Content) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with open(content, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a tree: a git blob, or an LFS object where `sha256` is not empty."""

    oid: str
    size: int
    sha256: str = ""
    pointer_size: int = 0
    xet_hash: str = ""

    @classmethod
    def of_blob(cls, data: bytes) -> "Entry":
        return cls(git_oid("blob", data), len(data))

    @classmethod
    def of_lfs(cls, sha256: str, size: int, xet_hash: str = "") -> "Entry":
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        return cls(git_oid("blob", pointer), size, sha256, len(pointer), xet_hash)


Tree = dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Commit:
    oid: str
    parents: tuple[str, ...]
    tree: Tree
    title: str
    message: str
    seconds: int


@dataclass(slots=True)
class Repository:
    """`refs` maps full names of refs to commits."""

    kind: str
    id: str
    is_private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    discussions: dict[int, dict[str, Any]] = field(default_factory=dict)

    def find(self, revision: str) -> Commit | None:
        """The commit of a branch, tag, full ref, commit id, or at least seven digits of one."""
        for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if ref in self.refs:
                return self.commits[self.refs[ref]]
        if re.fullmatch("[0-9a-f]{7,40}", revision):
            found = [oid for oid in self.commits if oid.startswith(revision)]
            if len(found) == 1:
                return self.commits[found[0]]
        return None

    def commit(
        self, ref: str, tree: Tree, title: str, message: str = "", parents: Iterable[str] | None = None
    ) -> Commit:
        """Add a commit and move `ref` to it; its parent is where `ref` was unless `parents` are given."""
        if parents is None:
            parents = [self.refs[ref]] if ref in self.refs else []
        seconds = EPOCH_SECONDS + len(self.commits)
        lines = [f"tree {tree_oids(tree)['']}", *(f"parent {parent}" for parent in parents)]
        lines += [f"{role} u <u@x> {seconds} +0000" for role in ("author", "committer")]
        raw = "\n".join([*lines, "", title, "", message]).encode()
        commit = Commit(git_oid("commit", raw), tuple(parents), tree, title, message, seconds)
        self.commits[commit.oid] = commit
        self.refs[ref] = commit.oid
        return commit


def tree_oids(tree: Tree) -> dict[str, str]:
    """Ids of the git trees of all folders, "" being the root."""
    children: dict[str, dict[str, str]] = {"": {}}  # folder -> name -> blob id, or "" for a folder
    for path, entry in tree.items():
        parts = path.split("/")
        for depth, name in enumerate(parts):
            is_file = depth == len(parts) - 1
            children.setdefault("/".join(parts[:depth]), {})[name] = entry.oid if is_file else ""
    oids: dict[str, str] = {}
    for folder in sorted(children, key=lambda folder: (folder != "") + folder.count("/"), reverse=True):
        rows = []
        for name, oid in children[folder].items():
            below = oids[f"{folder}/{name}" if folder else name] if not oid else ""
            mode = "100644" if oid else "40000"
            order = name if oid else name + "/"  # git sorts folders as if they ended in a slash
            rows.append((order, f"{mode} {name}\0".encode() + bytes.fromhex(oid or below)))
        oids[folder] = git_oid("tree", b"".join(row for _, row in sorted(rows)))
    return oids


@dataclass(frozen=True, slots=True)
class BucketEntry:
    """A file of a bucket; `mtime_milliseconds` is what its writer claims."""

    size: int
    sha256: str
    xet_hash: str
    mtime_milliseconds: int
    uploaded_seconds: int


@dataclass(slots=True)
class Bucket:
    """`refusals` are errors for the next operation on a path; `operations_left` is when the next batch breaks off."""

    id: str
    is_private: bool = False
    files: dict[str, BucketEntry] = field(default_factory=dict)
    write_count: int = 0
    refusals: dict[str, str] = field(default_factory=dict)
    operations_left: int | None = None

    def write(self, path: str, size: int, sha256: str, xet_hash: str, mtime_milliseconds: int | None = None) -> None:
        """Put a file at a path, in place of the one that is there."""
        seconds = EPOCH_SECONDS + self.write_count
        self.write_count += 1
        mtime = seconds * 1000 if mtime_milliseconds is None else mtime_milliseconds
        self.files[path] = BucketEntry(size, sha256, xet_hash, mtime, seconds)


@dataclass(slots=True)
class HubStore:
    """Everything one Hub keeps. `lock` is held by every request and every change from Python."""

    lfs_threshold_bytes: int = 10 << 20
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    lfs_objects: dict[str, Content] = field(default_factory=dict)
    lfs_parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def create_repository(self, kind: str, repository_id: str, *, is_private: bool) -> Repository:
        repository = Repository(kind, repository_id, is_private)
        self.repositories[kind, repository_id] = repository
        repository.commit(MAIN, {".gitattributes": self.add_blob(GITATTRIBUTES.encode())}, "initial commit")
        return repository

    def add_blob(self, data: bytes) -> Entry:
        entry = Entry.of_blob(data)
        self.blobs[entry.oid] = data
        return entry

    def lfs_patterns(self, tree: Mapping[str, Entry]) -> list[str]:
        """The patterns that `.gitattributes` gives to LFS."""
        if ".gitattributes" not in tree:
            return []
        lines = self.blobs[tree[".gitattributes"].oid].decode().splitlines()
        return [line.split()[0] for line in lines if "filter=lfs" in line]

    def is_lfs(self, path: str, size: int, sample: bytes, patterns: Iterable[str]) -> bool:
        """Whether the Hub would have this file uploaded as an LFS object."""
        name = path.rsplit("/", 1)[-1]
        is_large = size > self.lfs_threshold_bytes or b"\0" in sample
        return is_large or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)

"""An offline Hugging Face Hub: the unmodified huggingface_hub client works against it over real sockets.

Two origins, as in production: the Hub itself (server "hub" in the log and in faults) and what it redirects to
("cdn": LFS objects behind signed URLs, and the Xet CAS).
"""

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.servers import hub_cdn, hub_routes
from tests.servers.controlled_server import ControlledServer
from tests.servers.hub_call import HubState, User
from tests.servers.hub_store import Bucket, Content, Entry, HubStore, Repository, sha256_of, size_of

TOKEN = "hf_test"
_SAMPLE_BYTES = 512


class FakeHub(ControlledServer):
    """A Hub in threads of this process.

    Args:
        users: Who each token stands for; by default `TOKEN` is a member of "acme".
        xet: "" (LFS only), "http" (a CAS on the cdn) or "local://FOLDER" (hf_xet's own CAS on disk).
        lfs_threshold_bytes: Larger files become LFS objects; so do the kinds of files that .gitattributes names.
        tree_page_count: Entries on one page of a listing.
        multipart_over_bytes: Larger LFS objects are uploaded in parts of this size.
        latency_seconds: Before each response, of both origins.
    """

    def __init__(
        self,
        *,
        users: Mapping[str, User] | None = None,
        xet: str = "",
        lfs_threshold_bytes: int = 10 << 20,
        tree_page_count: int = 1000,
        multipart_over_bytes: int | None = None,
        latency_seconds: float = 0.0,
    ) -> None:
        super().__init__()
        self.state = HubState(
            dict(users or {TOKEN: User("org", ("acme",))}),
            xet,
            tree_page_count,
            multipart_over_bytes,
            HubStore(lfs_threshold_bytes),
        )
        # Another name than the cdn's: huggingface_hub 1.x tells origins apart by host alone, not by port.
        self._hub = self.listen(
            lambda request: hub_routes.answer(self.state, request),
            name="hub",
            host="localhost",
            latency_seconds=latency_seconds,
        )
        self._cdn = self.listen(
            lambda request: hub_cdn.answer(self.state, request), name="cdn", latency_seconds=latency_seconds
        )

    def start(self) -> None:
        super().start()
        self.state.hub_url, self.state.cdn_url = self._hub.url, self._cdn.url

    @property
    def cdn_url(self) -> str:
        return self._cdn.url

    def environment(self, home: Path, token: str = TOKEN) -> dict[str, str]:
        """Variables for a client; it reads them when it is imported."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_XET_CACHE": str(home / "xet"),
            "HF_TOKEN": token,
            "HF_HUB_DISABLE_XET": "0" if self.state.xet else "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0",
        }

    def expire_signed_urls(self) -> None:
        """Answer all cdn URLs handed out so far with 403; resolving again hands out good ones."""
        self.state.signature = secrets.token_hex(8)

    def repository(self, repository_id: str, kind: str = "dataset") -> Repository:
        return self.state.store.repositories[kind, repository_id]

    def add_dataset(
        self, repository_id: str, files: Mapping[str, Content], *, private: bool = False, kind: str = "dataset"
    ) -> str:
        """Create a repository with these files; returns the commit."""
        with self.state.store.lock:
            self.state.store.create_repository(kind, repository_id, is_private=private)
            return self.commit(repository_id, files, kind=kind)

    def commit(
        self,
        repository_id: str,
        files: Mapping[str, Content] | None = None,
        *,
        delete: Iterable[str] = (),
        branch: str = "main",
        title: str = "commit",
        kind: str = "dataset",
    ) -> str:
        """Commit to a branch; returns the commit."""
        with self.state.store.lock:
            repository = self.repository(repository_id, kind)
            ref = f"refs/heads/{branch}"
            tree = dict(repository.commits[repository.refs[ref]].tree)
            for path in delete:
                del tree[path]
            patterns = self.state.store.lfs_patterns(tree)
            for path, content in (files or {}).items():
                tree[path] = self._entry(path, content, patterns)
            return repository.commit(ref, tree, title).oid

    def head(self, repository_id: str, branch: str = "main", kind: str = "dataset") -> str:
        """The commit a branch is at."""
        return self.repository(repository_id, kind).refs[f"refs/heads/{branch}"]

    def move_branch(self, repository_id: str, revision: str, branch: str = "main", kind: str = "dataset") -> None:
        """Point a branch, new or not, to any commit, as a forced push does."""
        with self.state.store.lock:
            repository = self.repository(repository_id, kind)
            commit = repository.find(revision)
            if commit is None:
                raise KeyError(f"{repository_id} has no revision {revision}")
            repository.refs[f"refs/heads/{branch}"] = commit.oid

    def add_tag(self, repository_id: str, tag: str, revision: str = "main", kind: str = "dataset") -> None:
        with self.state.store.lock:
            repository = self.repository(repository_id, kind)
            commit = repository.find(revision)
            if commit is None:
                raise KeyError(f"{repository_id} has no revision {revision}")
            repository.refs[f"refs/tags/{tag}"] = commit.oid

    def add_bucket(self, bucket_id: str, files: Mapping[str, Content], *, private: bool = False) -> None:
        """Create a bucket, or put more files into it."""
        with self.state.store.lock:
            bucket = self.state.store.buckets.setdefault(bucket_id, Bucket(bucket_id, private))
            for path, content in files.items():
                sha256 = self._add_object(content)
                bucket.write(path, size_of(content), sha256, self.state.xet_store.hash_of_sha256.get(sha256, sha256))

    def bucket(self, bucket_id: str) -> Bucket:
        return self.state.store.buckets[bucket_id]

    def read_bucket(self, bucket_id: str) -> dict[str, bytes]:
        """The contents of all files of a bucket, by path."""
        with self.state.store.lock:
            contents = {
                path: self.state.lfs_content(entry.sha256) for path, entry in self.bucket(bucket_id).files.items()
            }
        return {
            path: content if isinstance(content, bytes) else content.read_bytes() for path, content in contents.items()
        }

    def refuse_in_bucket(self, bucket_id: str, errors: Mapping[str, str]) -> None:
        """Answer the next operation of a batch on each of these paths with its error; the others are applied."""
        with self.state.store.lock:
            self.bucket(bucket_id).refusals.update(errors)

    def break_off_batch(self, bucket_id: str, after: int) -> None:
        """Apply `after` operations of the next batch, then answer 503: batches are no transactions."""
        with self.state.store.lock:
            self.bucket(bucket_id).operations_left = after

    def _entry(self, path: str, content: Content, patterns: list[str]) -> Entry:
        size = size_of(content)
        if not self.state.store.is_lfs(path, size, _sample(content), patterns):
            return self.state.store.add_blob(content if isinstance(content, bytes) else content.read_bytes())
        sha256 = self._add_object(content)
        return Entry.of_lfs(sha256, size, self.state.xet_store.hash_of_sha256.get(sha256, ""))

    def _add_object(self, content: Content) -> str:
        sha256 = sha256_of(content)
        self.state.store.lfs_objects[sha256] = content
        if self.state.xet == "http" and sha256 not in self.state.xet_store.hash_of_sha256:
            data = content if isinstance(content, bytes) else content.read_bytes()
            self.state.xet_store.add_file(data, sha256)
        return sha256


def _sample(content: Content) -> bytes:
    if isinstance(content, bytes):
        return content[:_SAMPLE_BYTES]
    with open(content, "rb") as file:
        return file.read(_SAMPLE_BYTES)

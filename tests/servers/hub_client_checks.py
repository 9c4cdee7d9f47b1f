"""The real huggingface_hub client against the offline Hub, in a process of its own because it reads its environment once.

    python -m tests.servers.hub_client_checks lfs|http|local

Every check is one use of the client; the process exits with 1 if any fails.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.servers.faults import Fault
from tests.servers.hub import FakeHub

REPOSITORY = "acme/ds"
BUCKET = "acme/films"
WHERE: dict[str, Any] = {"repo_id": REPOSITORY, "repo_type": "dataset"}
BIG = np.random.default_rng(0).bytes(1_500_000) + b"A" * 300_000
BIG_PATH = "a/b/data.parquet"
BIG_URL = f"datasets/{REPOSITORY}/{BIG_PATH}"


class Checks:
    """One Hub and one client; the checks run in the order of the class, each on what the earlier ones left."""

    def __init__(self, hub: FakeHub, folder: Path) -> None:
        import huggingface_hub
        from huggingface_hub import errors

        self.hub, self.folder = hub, folder
        self.client: Any = huggingface_hub
        self.errors = errors
        self.api = self.client.HfApi()
        self.files = self.client.HfFileSystem(skip_instance_cache=True)
        self.has_xet = bool(hub.state.xet)

    def commit(self, operations, **options):
        return self.api.create_commit(**WHERE, operations=operations, commit_message="a commit", **options)

    def add(self, path: str, data: bytes):
        return self.client.CommitOperationAdd(path, data)

    def paths(self, **options) -> list[str]:
        return self.api.list_repo_files(**WHERE, **options)

    def refused(self, status: int):
        return pytest.raises(self.errors.HfHubHTTPError, check=lambda error: error.response.status_code == status)

    def check_create(self) -> None:
        assert self.api.whoami()["name"] == "org"
        self.api.create_repo(**WHERE)
        self.api.create_repo(**WHERE, exist_ok=True)
        with self.refused(409):
            self.api.create_repo(**WHERE)
        with self.refused(403):
            self.api.create_repo("other/x", repo_type="dataset")

    def check_commit(self) -> None:
        made = self.commit([self.add("README.md", b"# x\n"), self.add(BIG_PATH, BIG), self.add("a/note.txt", b"note")])
        assert self.hub.head(REPOSITORY) == made.oid
        entry = self.hub.repository(REPOSITORY).commits[made.oid].tree[BIG_PATH]
        assert entry.sha256 == hashlib.sha256(BIG).hexdigest()
        assert bool(entry.xet_hash) == self.has_xet

    def check_same_content_is_no_commit(self) -> None:
        before = self.hub.head(REPOSITORY)
        self.api.upload_file(path_or_fileobj=b"note", path_in_repo="a/note.txt", **WHERE)
        assert self.hub.head(REPOSITORY) == before

    def check_copy_and_delete(self) -> None:
        copy, delete = self.client.CommitOperationCopy, self.client.CommitOperationDelete
        self.commit([copy(BIG_PATH, "c/copy.parquet"), copy("a/note.txt", "c/note.txt")])
        assert {"c/copy.parquet", "c/note.txt"} <= set(self.paths())
        self.commit([delete("c/")])
        assert not [path for path in self.paths() if path.startswith("c/")]

    def check_upload_folder(self) -> None:
        folder = self.folder / "up"
        (folder / "sub").mkdir(parents=True)
        for number in range(12):
            (folder / f"sub/{number:02}.txt").write_text(str(number))
        (folder / "part.parquet").write_bytes(os.urandom(50_000))
        self.api.upload_folder(folder_path=folder, path_in_repo="up", **WHERE)
        assert sum(path.startswith("up/") for path in self.paths()) == 13
        before = self.hub.head(REPOSITORY)
        self.api.upload_folder(folder_path=folder, path_in_repo="up", **WHERE)
        assert self.hub.head(REPOSITORY) == before

    def check_pull_request(self) -> None:
        made = self.commit([self.add("pr.txt", b"q"), self.add("pr.bin", os.urandom(500))], create_pr=True)
        assert (made.pr_num, made.pr_revision) == (1, "refs/pr/1")
        assert "pr.txt" in self.paths(revision="refs/pr/1")
        assert "pr.txt" not in self.paths()
        self.api.merge_pull_request(repo_id=REPOSITORY, discussion_num=1, repo_type="dataset")
        assert "pr.txt" in self.paths()

    def check_parent_commit(self) -> None:
        old = self.api.repo_info(**WHERE).sha
        self.commit([self.add("p.txt", b"1")], parent_commit=old)
        with self.refused(412):
            self.commit([self.add("p.txt", b"2")], parent_commit=old)

    def check_listings(self) -> None:
        info = self.api.dataset_info(REPOSITORY, files_metadata=True)
        assert {file.rfilename: file.lfs.sha256 for file in info.siblings if file.lfs}[BIG_PATH] == hashlib.sha256(
            BIG
        ).hexdigest()
        self.hub.clear()
        entries = list(self.api.list_repo_tree(**WHERE, recursive=True))
        assert {entry.path for entry in entries} >= {*self.paths(), "a", "a/b"}
        assert len([exchange for exchange in self.hub.exchanges() if "cursor=" in exchange.query]) >= 1
        found = self.api.get_paths_info(REPOSITORY, [BIG_PATH, "a", "nope"], repo_type="dataset")
        assert [entry.path for entry in found] == [BIG_PATH, "a"]
        assert self.api.list_repo_commits(**WHERE)[-1].title == "initial commit"

    def check_refs(self) -> None:
        self.api.create_tag(REPOSITORY, tag="v1", repo_type="dataset")
        with self.refused(409):
            self.api.create_tag(REPOSITORY, tag="v1", repo_type="dataset")
        self.api.create_branch(REPOSITORY, branch="dev", repo_type="dataset", revision="v1")
        self.api.upload_file(path_or_fileobj=b"d", path_in_repo="dev.txt", revision="dev", **WHERE)
        assert "dev.txt" not in self.paths()
        assert "dev.txt" in self.paths(revision="dev")
        refs = self.api.list_repo_refs(REPOSITORY, repo_type="dataset")
        assert [tag.name for tag in refs.tags] == ["v1"]
        self.api.delete_branch(REPOSITORY, branch="dev", repo_type="dataset")

    def check_typed_errors(self) -> None:
        with pytest.raises(self.errors.RepositoryNotFoundError):
            self.api.repo_info("acme/nope", repo_type="dataset")
        with pytest.raises(self.errors.RevisionNotFoundError):
            self.api.repo_info(**WHERE, revision="zz")
        with pytest.raises(self.errors.EntryNotFoundError):
            self.client.hf_hub_download(REPOSITORY, "zz", repo_type="dataset")
        with self.refused(401):
            self.client.HfApi(token="hf_bad").whoami()

    def check_private(self) -> None:
        self.hub.add_dataset("acme/secret", {"x.txt": b"x"}, private=True)
        assert self.api.list_repo_files("acme/secret", repo_type="dataset") == [".gitattributes", "x.txt"]
        with pytest.raises(self.errors.RepositoryNotFoundError):
            self.client.HfApi(token=False).list_repo_files("acme/secret", repo_type="dataset")

    def check_download(self) -> None:
        path = self.client.hf_hub_download(REPOSITORY, BIG_PATH, repo_type="dataset")
        assert Path(path).read_bytes() == BIG
        root = self.client.snapshot_download(
            REPOSITORY, repo_type="dataset", revision="v1", cache_dir=self.folder / "c"
        )
        assert Path(root, BIG_PATH).read_bytes() == BIG
        assert not [
            exchange for exchange in self.hub.exchanges() if "/lfs/" in exchange.path and exchange.has_authorization
        ]

    def check_download_of_files_added_here(self) -> None:
        revision = self.hub.add_dataset("acme/own", {"film.mp4": BIG, "notes.md": b"n"})
        path = self.client.hf_hub_download("acme/own", "film.mp4", repo_type="dataset", revision=revision)
        assert Path(path).read_bytes() == BIG
        if self.hub.state.xet == "http":
            assert [exchange for exchange in self.hub.exchanges() if exchange.path.startswith("/xorb/")]

    def check_filesystem(self) -> None:
        assert self.files.info(BIG_URL)["size"] == len(BIG)
        assert BIG_URL in self.files.glob(f"datasets/{REPOSITORY}/**/*.parquet")
        assert not self.files.exists(BIG_URL + "x")
        with self.files.open(BIG_URL, block_size=1 << 16, cache_type="none") as file:
            file.seek(1_000_000)
            assert file.read(100) == BIG[1_000_000:1_000_100]
        with self.files.open(f"datasets/{REPOSITORY}@v1/{BIG_PATH}") as file:
            assert file.read() == BIG
        starts, stops = [0, 100, 1_799_990], [5, 110, 1_799_999]
        expected = [BIG[start:stop] for start, stop in zip(starts, stops, strict=True)]
        assert self.files.cat_ranges([BIG_URL] * 3, starts, stops) == expected

    def check_filesystem_writes(self) -> None:
        url = f"datasets/{REPOSITORY}/w.txt"
        with self.files.open(url, "wb") as file:
            file.write(b"written")
        assert self.files.cat_file(url) == b"written"
        self.files.rm(url)
        assert not self.files.exists(url)

    def check_bucket(self) -> None:
        self.hub.add_bucket(BUCKET, {"log/a.mp4": BIG, "log/b.txt": b"bb", "logs/c.txt": b"ccc", "top.txt": b"t"})
        files, root = self.client.HfFileSystem(skip_instance_cache=True), f"buckets/{BUCKET}"
        assert sorted(files.ls(f"hf://{root}", detail=False)) == [f"{root}/log", f"{root}/logs", f"{root}/top.txt"]
        assert sorted(files.find(f"hf://{root}/log")) == [f"{root}/log/a.mp4", f"{root}/log/b.txt"]
        assert files.info(f"hf://{root}/log/a.mp4")["size"] == len(BIG)
        assert files.cat_file(f"hf://{root}/log/a.mp4", 1000, 1100) == BIG[1000:1100]
        assert self.api.bucket_info(BUCKET).total_files == 4
        assert [file.size for file in self.api.get_bucket_paths_info(BUCKET, ["top.txt", "nope"])] == [1]
        assert self.api.get_bucket_file_metadata(BUCKET, "log/a.mp4").size == len(BIG)
        if self.hub.state.xet == "http":
            self.api.download_bucket_files(BUCKET, [("log/a.mp4", self.folder / "a.mp4")])
            assert (self.folder / "a.mp4").read_bytes() == BIG

    def check_private_bucket(self) -> None:
        self.hub.add_bucket("acme/hidden", {"x.txt": b"x"}, private=True)
        assert self.client.HfFileSystem().exists("buckets/acme/hidden/x.txt")
        assert not self.client.HfFileSystem(token=False).exists("buckets/acme/hidden/x.txt")

    def check_waits_for_rate_limits(self) -> None:
        with recorded_waits() as waits:
            self.hub.inject(Fault("status", path="/resolve/", status=429, headers={"Retry-After": "7"}))
            assert self.files.cat_file(BIG_URL, 0, 10) == BIG[:10]
            self.hub.inject(
                Fault("status", path="/resolve/", status=429, headers={"RateLimit": '"resolvers";r=0;t=11'})
            )
            assert self.files.cat_file(BIG_URL, 0, 10) == BIG[:10]
        assert [round(seconds) for seconds in waits] == [8, 12]  # the client adds a second

    def check_retries(self) -> None:
        with recorded_waits():
            for fault in (
                Fault("status", server="cdn", times=2),
                Fault("drop", server="cdn"),
                Fault("reset", server="cdn"),
                Fault("truncate", server="cdn", at_byte=20),
            ):
                self.hub.inject(fault)
                assert self.files.cat_file(BIG_URL, 5, 5000) == BIG[5:5000]

    def check_commit_is_not_retried(self) -> None:
        self.hub.inject(Fault("status", method="POST", path="/commit/", status=503))
        with self.refused(503):
            self.commit([self.add("k.txt", b"1")])

    def check_commit_whose_response_is_lost(self) -> None:
        before = self.hub.head(REPOSITORY)
        self.hub.inject(Fault("commit_then_drop", method="POST", path="/commit/"))
        with contextlib.suppress(Exception), recorded_waits():
            self.commit([self.add("k2.txt", b"1")])
        assert self.hub.head(REPOSITORY) != before
        assert "k2.txt" in self.paths()

    def check_uploads_are_retried(self) -> None:
        with recorded_waits():
            for kind in ("status", "drop"):
                where: dict[str, Any] = {"method": "PUT|POST", "path": "/lfs/|/v1/xorbs", "server": "cdn"}
                self.hub.inject(Fault(kind, **where))
                self.api.upload_file(path_or_fileobj=os.urandom(20_000), path_in_repo=f"{kind}.bin", **WHERE)

    def check_multipart(self) -> None:
        if self.has_xet:
            return
        self.hub.state.multipart_over_bytes = 400_000
        data = os.urandom(1_100_000)
        self.api.upload_file(path_or_fileobj=data, path_in_repo="mp.bin", **WHERE)
        self.hub.state.multipart_over_bytes = None
        assert Path(self.client.hf_hub_download(REPOSITORY, "mp.bin", repo_type="dataset")).read_bytes() == data

    def check_delete(self) -> None:
        self.api.delete_repo(**WHERE)
        self.api.delete_repo(**WHERE, missing_ok=True)


@contextlib.contextmanager
def recorded_waits() -> Iterator[list[float]]:
    """Let the client's backoff pass at once; only that module's `time` is replaced."""
    from huggingface_hub.utils import _http

    waits: list[float] = []
    hurried = types.SimpleNamespace(sleep=waits.append, time=time.time, monotonic=time.monotonic)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_http, "time", hurried)
        yield waits


def main(mode: str, make_checks: Callable[[FakeHub, Path], Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="hub-checks-") as name:
        folder = Path(name)
        (folder / "cas").mkdir()
        xet = {"lfs": "", "http": "http", "local": f"local://{folder}/cas"}[mode]
        with FakeHub(xet=xet, tree_page_count=7) as hub:
            os.environ.update(hub.environment(folder / "home"))
            failed = run_checks(make_checks(hub, folder))
    print(f"failed: {', '.join(failed) or 'none'}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(bool(failed))  # hf_xet's threads may outlive the interpreter


def run_checks(checks: Any) -> list[str]:
    failed = []
    for name in [name for name in vars(type(checks)) if name.startswith("check_")]:
        check: Callable[[], None] = getattr(checks, name)
        started = time.monotonic()
        try:
            check()
        except (Exception, pytest.fail.Exception):
            failed.append(name)
            traceback.print_exc()
        checks.hub.clear_faults()
        print(f"{time.monotonic() - started:6.2f} s  {name}", flush=True)
    return failed


if __name__ == "__main__":
    main(sys.argv[1], Checks)

"""The real huggingface_hub client writes buckets of the offline Hub, in a process of its own.

    python -m tests.servers.hub_bucket_client_checks http|local

Every check is one use of the client, in a bucket of its own; the process exits with 1 if any fails.
"""

import hashlib
import itertools
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.servers.faults import Fault
from tests.servers.hub import FakeHub
from tests.servers.hub_client_checks import main, recorded_waits

BIG = np.random.default_rng(1).bytes(900_000) + b"A" * 200_000
EMPTY_XET_HASH = "0" * 64


class BucketChecks:
    def __init__(self, hub: FakeHub, folder: Path) -> None:
        import hf_xet
        import huggingface_hub
        from huggingface_hub import errors

        self.hub, self.folder = hub, folder
        self.client: Any = huggingface_hub
        self.xet: Any = hf_xet
        self.errors: Any = errors
        self.api = self.client.HfApi()
        self.copies_as_file_system = not self.client.__version__.startswith("1.")
        self.numbers = itertools.count()

    def new(self, *paths: str) -> str:
        """A new bucket with these files, each of which contains its path."""
        bucket = f"acme/bucket-{next(self.numbers)}"
        self.api.create_bucket(bucket)
        self.api.batch_bucket_files(bucket, add=[(path.encode(), path) for path in paths])
        self.hub.clear()
        return bucket

    def file_system(self) -> Any:
        return self.client.HfFileSystem(skip_instance_cache=True)

    def batches(self) -> list[int]:
        """The status of each batch since the last `new`."""
        return [exchange.status for exchange in self.hub.exchanges() if exchange.path.endswith("/batch")]

    def refused(self, status: int) -> Any:
        return pytest.raises(self.errors.HfHubHTTPError, check=lambda error: error.response.status_code == status)

    def partly_refused(self, failures: dict[str, str]) -> Any:
        listed = [{"path": path, "error": error} for path, error in failures.items()]
        return pytest.raises(self.errors.BucketBatchError, check=lambda error: error.failures == listed)

    def check_create(self) -> None:
        made = self.api.create_bucket("acme/made", private=True)
        assert made.bucket_id == "acme/made"
        assert self.api.bucket_info("acme/made").private
        assert self.api.create_bucket("acme/made", exist_ok=True) == made
        with self.refused(409):
            self.api.create_bucket("acme/made")
        with self.refused(403):
            self.api.create_bucket("other/made")
        assert self.api.create_bucket("mine").bucket_id == "org/mine"
        self.api.delete_bucket("acme/made")
        with pytest.raises(self.errors.BucketNotFoundError):
            self.api.bucket_info("acme/made")
        self.api.delete_bucket("acme/made", missing_ok=True)

    def check_add(self) -> None:
        bucket, path = self.new(), self.folder / "big.bin"
        path.write_bytes(BIG)
        self.api.batch_bucket_files(bucket, add=[(path, "a/big.bin"), (b"note", "a/note.txt"), (b"", "a/.keep")])
        assert self.batches() == [200]
        assert self.hub.read_bucket(bucket) == {"a/big.bin": BIG, "a/note.txt": b"note", "a/.keep": b""}
        entry = self.hub.bucket(bucket).files["a/big.bin"]
        assert (entry.size, entry.sha256) == (len(BIG), hashlib.sha256(BIG).hexdigest())

    def check_information(self) -> None:
        bucket, path = self.new("a/b/c.txt", "a/d.txt"), self.folder / "old.txt"
        path.write_bytes(b"old")
        old = datetime(2020, 5, 6, 7, 8, 9, 250_000, UTC)
        os.utime(path, (old.timestamp(), old.timestamp()))
        self.api.batch_bucket_files(bucket, add=[(path, "old.txt")])
        (info,) = self.api.get_bucket_paths_info(bucket, ["old.txt", "nope", "a"])
        assert (info.path, info.size, info.mtime) == ("old.txt", 3, old)
        listed = list(self.api.list_bucket_tree(bucket, recursive=True))
        assert [file.path for file in listed] == ["a/b/c.txt", "a/d.txt", "old.txt"]
        assert listed[0].uploaded_at < listed[1].uploaded_at < listed[2].uploaded_at
        assert [entry.path for entry in self.api.list_bucket_tree(bucket, prefix="a")] == ["a/b", "a/d.txt"]
        assert self.api.bucket_info(bucket).total_files == 3

    def check_hashes_are_known_before_uploading(self) -> None:
        bucket, path, empty = self.new(), self.folder / "hashed.bin", self.folder / "empty.bin"
        path.write_bytes(BIG)
        empty.write_bytes(b"")
        hashes = [found.hash for found in self.xet.hash_files([str(path), str(empty)])]
        assert not self.hub.exchanges()
        self.api.batch_bucket_files(bucket, add=[(path, "x"), (empty, "e")])
        assert [self.hub.bucket(bucket).files[name].xet_hash for name in "xe"] == hashes
        assert hashes[1] == EMPTY_XET_HASH

    def check_overwrite(self) -> None:
        bucket = self.new("x.txt", "y.txt")
        before = self.hub.bucket(bucket).files["x.txt"]
        self.api.batch_bucket_files(bucket, add=[(b"new", "x.txt")])
        after = self.hub.bucket(bucket).files["x.txt"]
        assert self.hub.read_bucket(bucket) == {"x.txt": b"new", "y.txt": b"y.txt"}
        assert (after.xet_hash != before.xet_hash, after.uploaded_seconds > before.uploaded_seconds) == (True, True)

    def check_delete(self) -> None:
        bucket = self.new("a/x.txt", "a/y.txt", "z.txt")
        self.api.batch_bucket_files(bucket, delete=["a/x.txt", "nowhere.txt"])
        assert sorted(self.hub.bucket(bucket).files) == ["a/y.txt", "z.txt"]

    def check_copy(self) -> None:
        source, bucket = self.new("x.txt"), self.new("y.txt")
        self.hub.add_dataset("acme/source", {"film.mp4": BIG})
        film = self.api.get_paths_info("acme/source", ["film.mp4"], repo_type="dataset")[0]
        x, y = (self.hub.bucket(name).files[path].xet_hash for name, path in ((source, "x.txt"), (bucket, "y.txt")))
        copies = [("bucket", source, x, "c/x.txt"), ("bucket", bucket, y, "c/y.txt")]
        if film.xet_hash:
            copies.append(("dataset", "acme/source", film.xet_hash, "c/film.mp4"))
        self.hub.clear()
        self.api.batch_bucket_files(bucket, copy=copies)
        assert [exchange.path for exchange in self.hub.exchanges()] == [f"/api/buckets/{bucket}/batch"]
        expected = {"y.txt": b"y.txt", "c/x.txt": b"x.txt", "c/y.txt": b"y.txt"}
        assert self.hub.read_bucket(bucket) == expected | ({"c/film.mp4": BIG} if film.xet_hash else {})

    def check_copy_files(self) -> None:
        bucket = self.new("staged/a.txt", "staged/b/c.txt", "staged2/d.txt")
        self.api.copy_files(f"hf://buckets/{bucket}/staged/", f"hf://buckets/{bucket}/final/")
        assert self.batches() == [200]
        assert self.hub.read_bucket(bucket)["final/b/c.txt"] == b"staged/b/c.txt"
        assert sorted(path for path in self.hub.bucket(bucket).files if path.startswith("final")) == [
            "final/a.txt",
            "final/b/c.txt",
        ]

    def check_all_kinds_at_once(self) -> None:
        bucket = self.new("x.txt", "y.txt")
        x = self.hub.bucket(bucket).files["x.txt"].xet_hash
        copy = [("bucket", bucket, x, "copy.txt")]
        self.api.batch_bucket_files(bucket, add=[(b"n", "new.txt")], copy=copy, delete=["x.txt", "y.txt"])
        assert self.batches() == [200]
        assert self.hub.read_bucket(bucket) == {"new.txt": b"n", "copy.txt": b"x.txt"}

    def check_operations_fail_one_by_one(self) -> None:
        bucket = self.new("x.txt")
        self.hub.add_bucket("other/hidden", {"h.txt": b"h"}, private=True)
        x = self.hub.bucket(bucket).files["x.txt"].xet_hash
        hidden = self.hub.bucket("other/hidden").files["h.txt"].xet_hash
        copy = [
            ("bucket", bucket, "ab" * 32, "unknown"),
            ("bucket", "other/hidden", hidden, "h"),
            ("bucket", bucket, x, "c"),
        ]
        not_found = "File not found in Xet storage"
        with self.partly_refused({"unknown": not_found, "h": "Repository not found", "../up": "Invalid path"}):
            self.api.batch_bucket_files(bucket, add=[(b"n", "new.txt")], copy=copy, delete=["../up", "x.txt"])
        assert sorted(self.hub.bucket(bucket).files) == ["c", "new.txt"]
        self.hub.refuse_in_bucket(bucket, {"c": "internal error"})
        with self.partly_refused({"c": "internal error"}):
            self.api.batch_bucket_files(bucket, delete=["c"])
        self.api.batch_bucket_files(bucket, delete=["c"])
        assert self.batches() == [200, 422, 200]
        assert sorted(self.hub.bucket(bucket).files) == ["new.txt"]

    def check_a_thousand_operations_per_request(self) -> None:
        bucket = self.new("x.txt")
        x = self.hub.bucket(bucket).files["x.txt"].xet_hash
        names = [f"many/{number:04}" for number in range(1500)]
        self.hub.refuse_in_bucket(bucket, {names[0]: "busy", names[1200]: "busy"})
        with self.partly_refused({names[0]: "busy", names[1200]: "busy"}):
            self.api.batch_bucket_files(bucket, copy=[("bucket", bucket, x, name) for name in names], delete=["x.txt"])
        assert self.batches() == [200, 200, 200]  # 1000 and 500 copies, one deletion
        assert len(list(self.api.get_bucket_paths_info(bucket, names))) == 1498
        assert "x.txt" not in self.hub.bucket(bucket).files
        self.hub.clear()
        self.api.batch_bucket_files(bucket, copy=[("bucket", bucket, x, "c")] * 400, delete=names[:600])
        assert self.batches() == [200]

    def check_missing_buckets_and_rights(self) -> None:
        bucket = self.new("x.txt")
        self.hub.add_bucket("other/public", {"p.txt": b"p"})
        for token, target, status in (
            (None, "acme/nope", 404),
            (None, "other/public", 403),
            (False, bucket, 401),
            ("hf_wrong", bucket, 401),
        ):
            with self.refused(status):
                self.client.HfApi(token=token).batch_bucket_files(target, delete=["x.txt"])
        with pytest.raises(self.errors.BucketNotFoundError):
            self.api.batch_bucket_files("acme/nope", delete=["x.txt"])
        for target, status in (("acme/nope", 404), ("other/public", 403)):
            with pytest.raises(ConnectionError, match=str(status)):  # of hf_xet, which asks for its token first
                self.api.batch_bucket_files(target, add=[(b"mine", "p.txt")])
        assert self.hub.read_bucket("other/public") == {"p.txt": b"p"}
        assert self.hub.read_bucket(bucket) == {"x.txt": b"x.txt"}

    def check_batches_are_retried(self) -> None:
        bucket = self.new()
        where: dict[str, Any] = {"method": "POST", "path": f"{bucket}/batch"}
        with recorded_waits() as waits:
            self.hub.inject(Fault("status", **where, times=2))
            self.hub.inject(Fault("drop", **where))
            self.api.batch_bucket_files(bucket, add=[(b"1", "1.txt")])
        assert (self.batches(), waits) == ([503, 503, 0, 200], [1, 2, 4])
        self.hub.clear()
        with recorded_waits() as waits:
            self.hub.inject(Fault("status", **where, status=429, headers={"Retry-After": "7"}))
            self.api.batch_bucket_files(bucket, add=[(b"2", "2.txt")])
        assert (self.batches(), waits) == ([429, 200], [8])
        self.hub.clear()
        with recorded_waits(), self.refused(503):
            self.hub.inject(Fault("status", **where, times=6))
            self.api.batch_bucket_files(bucket, add=[(b"3", "3.txt")])
        assert self.batches() == [503] * 6
        assert sorted(self.hub.bucket(bucket).files) == ["1.txt", "2.txt"]

    def check_a_batch_whose_response_is_lost_is_sent_again(self) -> None:
        bucket = self.new("x.txt")
        self.hub.inject(Fault("commit_then_drop", method="POST", path="/batch"))
        with recorded_waits():
            self.api.batch_bucket_files(bucket, add=[(b"1", "1.txt")], delete=["x.txt"])
        assert self.batches()[-1] == 200
        assert len(self.batches()) == 2
        assert self.hub.read_bucket(bucket) == {"1.txt": b"1"}

    def check_a_batch_can_break_off(self) -> None:
        bucket = self.new()
        add = [(b"1", "1.txt"), (b"2", "2.txt"), (b"3", "3.txt")]
        self.hub.break_off_batch(bucket, after=2)
        self.hub.inject(Fault("status", method="POST", path="/batch", after=1, times=5))
        with recorded_waits(), self.refused(503):
            self.api.batch_bucket_files(bucket, add=add)
        assert sorted(self.hub.bucket(bucket).files) == ["1.txt", "2.txt"]
        self.api.batch_bucket_files(bucket, add=add)
        assert sorted(self.hub.bucket(bucket).files) == ["1.txt", "2.txt", "3.txt"]

    def check_file_system_writes(self) -> None:
        bucket, files, path = self.new(), self.file_system(), self.folder / "put.bin"
        path.write_bytes(BIG)
        root = f"hf://buckets/{bucket}"
        files.put_file(str(path), f"{root}/p/put.bin")
        files.pipe_file(f"{root}/p/piped.txt", b"piped")
        with files.open(f"{root}/p/opened.txt", "wb") as file:
            file.write(b"opened")
        assert self.batches() == [200, 200, 200]
        assert files.cat_file(f"{root}/p/put.bin", 1000, 1100) == BIG[1000:1100]
        files.get_file(f"{root}/p/put.bin", str(self.folder / "got.bin"))
        assert (self.folder / "got.bin").read_bytes() == BIG
        assert sorted(files.find(root)) == [
            f"buckets/{bucket}/p/{name}" for name in ("opened.txt", "piped.txt", "put.bin")
        ]
        files.rm(f"{root}/p/put.bin")
        assert not files.exists(f"{root}/p/put.bin")
        files.rm(f"{root}/p", recursive=True)
        assert (self.batches()[3:], self.hub.read_bucket(bucket)) == ([200, 200], {})

    def check_file_system_copies(self) -> None:
        bucket, files = self.new("x.txt"), self.file_system()
        root = f"hf://buckets/{bucket}"
        if not self.copies_as_file_system:
            with pytest.raises(NotImplementedError):
                files.cp_file(f"{root}/x.txt", f"{root}/c/x.txt")
            return
        files.cp_file(f"{root}/x.txt", f"{root}/c/x.txt")
        assert self.hub.read_bucket(bucket) == {"x.txt": b"x.txt", "c/x.txt": b"x.txt"}
        files.mv(f"{root}/x.txt", f"{root}/m.txt")
        assert self.hub.read_bucket(bucket) == {"m.txt": b"x.txt", "c/x.txt": b"x.txt"}
        assert self.batches() == [200, 200, 200]  # a move is a copy, then a deletion

    def check_download(self) -> None:
        bucket = self.new()
        self.api.batch_bucket_files(bucket, add=[(BIG, "a/big.bin"), (b"", "a/.keep")])
        targets = [("a/big.bin", self.folder / "down.bin"), ("a/.keep", self.folder / "keep")]
        self.api.download_bucket_files(bucket, targets)
        assert [path.read_bytes() for _, path in targets] == [BIG, b""]


if __name__ == "__main__":
    main(sys.argv[1], BucketChecks)

"""Datasets in stores on loopback that a test may change, and what the store was asked for."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Exchange
from tests.servers.hub import FakeHub
from tests.servers.range_server import RangeServer
from tests.servers.s3 import S3Bucket, S3Server


def files_of(root: Path) -> dict[str, bytes]:
    """The files of a dataset by relative path."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


class S3Datasets:
    """Prefixes of one bucket; requests are seen by a proxy in front of it."""

    kind = "s3"

    def __init__(self, server: S3Server, proxy: FaultProxy) -> None:
        import s3fs

        self.server, self.proxy = server, proxy
        self._writer = s3fs.S3FileSystem(skip_instance_cache=True, **server.storage_options())
        self._count = 0

    def add(self, files: dict[str, bytes]) -> str:
        """A new dataset; returns its URL."""
        self._count += 1
        url = f"s3://{self.server.bucket}/ds{self._count}"
        self.change(url, files)
        return url

    def change(self, url: str, files: dict[str, bytes], *, delete: tuple[str, ...] = ()) -> None:
        self._writer.pipe({f"{url}/{path}": content for path, content in files.items()})
        for path in delete:
            self._writer.rm_file(f"{url}/{path}")

    def clear(self) -> None:
        self.proxy.clear()

    def shape(self, *, latency_seconds: float) -> None:
        self.proxy.shape(latency_seconds=latency_seconds)

    def exchanges(self) -> list[Exchange]:
        return self.proxy.exchanges()

    def ranges_of(self, path: str, content: bytes) -> list[Exchange]:
        """Requests for bytes of a file."""
        return [e for e in self.exchanges() if e.method == "GET" and e.path.endswith(path)]

    def questions_about(self, path: str) -> list[Exchange]:
        """Requests that ask where or what a file is."""
        return [e for e in self.exchanges() if e.method == "HEAD" and e.path.endswith(path)]

    def listings_of(self, directory: str) -> list[Exchange]:
        encoded = directory.replace("/", "%2F")
        return [e for e in self.exchanges() if "list-type=2" in e.query and f"%2F{encoded}%2F" in e.query]

    def store_id(self, content: bytes) -> str:
        return f"etag:{hashlib.md5(content).hexdigest()}"


class HubDatasets:
    """Repositories of one Hub, with LFS."""

    kind = "hub"

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub
        self._count = 0

    def add(self, files: dict[str, bytes]) -> str:
        """A new dataset; returns its URL."""
        self._count += 1
        self.hub.add_dataset(f"acme/ds{self._count}", files)
        return f"hf://datasets/acme/ds{self._count}"

    def change(self, url: str, files: dict[str, bytes], *, delete: tuple[str, ...] = ()) -> None:
        self.hub.commit(url.removeprefix("hf://datasets/"), files, delete=delete)

    def clear(self) -> None:
        self.hub.clear()

    def shape(self, *, latency_seconds: float) -> None:
        self.hub.shape(latency_seconds=latency_seconds)

    def exchanges(self) -> list[Exchange]:
        return self.hub.exchanges()

    def ranges_of(self, path: str, content: bytes) -> list[Exchange]:
        """Requests for bytes of a file."""
        digest = hashlib.sha256(content).hexdigest()
        return [e for e in self.exchanges() if e.server == "cdn" and digest in e.path]

    def questions_about(self, path: str) -> list[Exchange]:
        """Requests that ask where or what a file is."""
        return [e for e in self.exchanges() if "/resolve/" in e.path and e.path.endswith(path)]

    def listings_of(self, directory: str) -> list[Exchange]:
        return [e for e in self.exchanges() if "/tree/" in e.path and e.path.endswith(f"/{directory}")]

    def store_id(self, content: bytes) -> str:
        return f"sha256:{hashlib.sha256(content).hexdigest()}"


Datasets = S3Datasets | HubDatasets


@contextmanager
def s3_datasets(bucket: str) -> Iterator[S3Datasets]:
    """Clients of a process are kept by bucket: each call has one of its own, also where a module is entered twice."""
    s3fs = pytest.importorskip("s3fs")
    with (
        S3Bucket(bucket) as server,
        FaultProxy(server.url) as proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {**server.environment(), "AWS_ENDPOINT_URL": proxy.url}.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield S3Datasets(server, proxy)
        s3fs.S3FileSystem.clear_instance_cache()


@contextmanager
def hub_datasets(cache: Path) -> Iterator[HubDatasets]:
    """The client reads its environment when it is imported: its constants are replaced."""
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import HfFileSystem, constants

    with FakeHub(lfs_threshold_bytes=1000) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            patch.delenv(name, raising=False)
        HfFileSystem.clear_instance_cache()
        yield HubDatasets(hub)
        HfFileSystem.clear_instance_cache()


@contextmanager
def http_dataset(root: Path, work: Path) -> Iterator[RangeServer]:
    """A dataset behind a web server with index pages, which say no sizes; `url` is its root."""
    served = work / "served"
    shutil.copytree(root, served)
    objects = {}
    for folder, folders, names in os.walk(served):
        entries = [*(f"{name}/" for name in folders), *names]
        page = "".join(f'<a href="{entry}">{entry}</a>' for entry in sorted(entries))
        objects[Path(folder).relative_to(served).as_posix().removeprefix(".")] = page.encode()
    with RangeServer(served, objects=objects, response_headers={"Content-Type": "text/html"}) as server:
        yield server

"""A bucket of the offline Hub with Xet, filled through the client, so that its files have the hashes that a real Hub gives."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import episeek.stores.requests.retry
from tests.servers.hub import TOKEN, FakeHub
from tests.support.hub_client import hub_client
from tests.support.hurried import hurried_time

BUCKET = "acme/b"


class PublishBucket:
    """One bucket; each dataset has a folder of its own."""

    def __init__(self, hub: FakeHub) -> None:
        import huggingface_hub

        self.hub = hub
        self._api: Any = huggingface_hub.HfApi(token=TOKEN)
        self._names = itertools.count()
        hub.add_bucket(BUCKET, {})

    def start(self, files: Mapping[str, bytes]) -> str:
        """Make a new folder with these files, and return its URL."""
        url = self.empty()
        self.change(url, files)
        self.hub.clear()
        return url

    def empty(self) -> str:
        return f"hf://buckets/{BUCKET}/ds{next(self._names)}"

    def change(self, url: str, files: Mapping[str, bytes], *, delete: tuple[str, ...] = ()) -> None:
        folder = url.removeprefix(f"hf://buckets/{BUCKET}/")
        self._api.batch_bucket_files(
            BUCKET,
            add=[(content, f"{folder}/{path}") for path, content in files.items()],
            delete=[f"{folder}/{path}" for path in delete],
        )

    def files(self, url: str) -> dict[str, bytes]:
        folder = url.removeprefix(f"hf://buckets/{BUCKET}/")
        return {
            path.removeprefix(f"{folder}/"): bytes(self.hub.state.lfs_content(entry.sha256))
            for path, entry in self.hub.bucket(BUCKET).files.items()
            if path.startswith(f"{folder}/")
        }


@contextmanager
def publish_bucket(cache: Path) -> Iterator[PublishBucket]:
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import HfFileSystem, constants

    with FakeHub(xet="http", lfs_threshold_bytes=1000) as hub, hub_client(cache, has_xet=True) as patch:
        patch.setenv("HF_TOKEN", TOKEN)
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        patch.setenv("HF_XET_CACHE", str(cache / "xet"))
        patch.setattr(episeek.stores.requests.retry, "time", hurried_time())
        HfFileSystem.clear_instance_cache()
        yield PublishBucket(hub)
        HfFileSystem.clear_instance_cache()

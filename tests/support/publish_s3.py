"""Datasets in S3 for publications; retries do not wait."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

import episeek.stores.requests.retry
from episeek.stores.requests.retry import RetryPolicy
from episeek_pipelines.publish.store.options import StoreOptions, StorePublication
from episeek_pipelines.publish.store.publish import publish_to_store
from tests.pipelines.conftest import DATA
from tests.pipelines.remote_datasets import S3Datasets, s3_datasets
from tests.servers.faults import Exchange
from tests.support.hurried import hurried_time
from tests.support.turns import before

ONCE = RetryPolicy(max_attempts=1, max_seconds=20)
QUICK = RetryPolicy(max_attempts=3, max_seconds=20, first_wait_seconds=0.001, max_wait_seconds=0.01)
UNVERIFIED = StoreOptions(is_verified=False, clip_count=2)
OVERWRITE = replace(UNVERIFIED, overwrite=True)
"""For stores with files that the source of the overlay does not have."""
STAGED = "meta/byte_index.partial/"


class PublishS3:
    """Prefixes of one bucket behind a proxy."""

    def __init__(self, datasets: S3Datasets) -> None:
        self.datasets, self.proxy = datasets, datasets.proxy
        self._answer = self.proxy._forward
        self._names = itertools.count()

    def start(self, files: dict[str, bytes]) -> str:
        """Make a new prefix with these files, remove all faults from the proxy, and return the URL."""
        self.reset()
        url = self.datasets.add(files)
        self.proxy.clear()
        return url

    def empty(self) -> str:
        self.reset()
        return f"s3://{self.datasets.server.bucket}/empty{next(self._names)}"

    def reset(self) -> None:
        self.proxy.clear_faults()
        self.proxy._listeners[0].application = self._answer
        self.proxy.clear()

    def before(self, method: str, path: str, number: int, action: Callable[[], object]) -> None:
        """Run an action just before the store answers one of the requests of a kind."""
        before(self.proxy, method, path, number, action)

    def files(self, url: str) -> dict[str, bytes]:
        """Return all files below a prefix, read without the proxy."""
        files = self.datasets._writer
        files.invalidate_cache()
        prefix = url.removeprefix("s3://") + "/"
        paths = files.find(prefix)
        with ThreadPoolExecutor(8) as threads:
            return dict(
                zip((path.removeprefix(prefix) for path in paths), threads.map(files.cat_file, paths), strict=True)
            )

    def publish(
        self, overlay: str, url: str, *, source: str | None = None, options=UNVERIFIED, retry=QUICK
    ) -> StorePublication:
        data_root = None if source is None else str(DATA / source)
        return publish_to_store(overlay, url, data_root=data_root, options=options, retry=retry)

    def sent(self) -> list[Exchange]:
        """Return the requests that send or copy content."""
        return [exchange for exchange in self.proxy.exchanges() if exchange.method == "PUT"]

    def changing(self) -> list[Exchange]:
        return [exchange for exchange in self.proxy.exchanges() if exchange.method not in ("GET", "HEAD")]


@contextmanager
def publish_s3(bucket: str) -> Iterator[PublishS3]:
    s3fs = pytest.importorskip("s3fs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setattr(s3fs.S3FileSystem, "retries", 1)
        patch.setattr(episeek.stores.requests.retry, "time", hurried_time())
        with s3_datasets(bucket) as datasets:
            yield PublishS3(datasets)

"""One file behind every kind of source, with a server whose faults and log a test controls."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from episeek.stores.byte_source import ByteSource
from episeek.stores.open_source import Transport, open_source
from episeek.stores.requests.retry import RetryPolicy
from tests.servers.controlled_server import ControlledServer
from tests.servers.fault_proxy import FaultProxy
from tests.servers.hub import FakeHub
from tests.servers.range_server import RangeServer
from tests.servers.s3 import S3Bucket

SOURCES = ("http obstore", "http fsspec", "s3 obstore", "s3 fsspec", "hub", "hub bucket")

PATIENCE = RetryPolicy(
    max_attempts=3,
    max_seconds=5.0,
    first_wait_seconds=0.01,
    max_wait_seconds=0.02,
    connect_seconds=0.7,
    stall_seconds=0.7,
)
"""For faults: short, but the same code."""


@dataclass(frozen=True, slots=True)
class Served:
    """A root behind one kind of source."""

    name: str
    url: str
    storage_options: dict[str, Any]
    server: ControlledServer
    """Whose log and faults are of the requests for bytes."""
    bytes_server: str = ".*"
    """In faults: the listener that serves bytes."""

    def open(self, policy: RetryPolicy = PATIENCE) -> ByteSource:
        """A source that has seen nothing."""
        return open_source(self.url, storage_options=self.storage_options, policy=policy, transport=self.transport)

    @property
    def transport(self) -> Transport:
        """The last word of the name where there are two."""
        return cast(Transport, self.name.partition(" ")[2]) if self.name.startswith(("http", "s3")) else "auto"


@contextmanager
def serve(name: str, files: Mapping[str, bytes | Path], folder: Path) -> Iterator[Served]:
    """Files behind the kind of source `name`, while the context lasts.

    Args:
        name: One of `SOURCES`.
        files: By path, which are relative to the root.
        folder: An empty directory.
    """
    with ExitStack() as stack:
        if name.startswith("http"):
            for path, content in files.items():
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, Path):
                    target.symlink_to(content)
                else:
                    target.write_bytes(content)
            server: ControlledServer = stack.enter_context(RangeServer(folder))
            yield Served(name, server.url, {}, server)
        elif name.startswith("s3"):
            s3 = stack.enter_context(S3Bucket())
            for path, content in files.items():
                s3.put(f"dataset/{path}", content)
            server = stack.enter_context(FaultProxy(s3.url))
            yield Served(name, f"s3://{s3.bucket}/dataset", s3.storage_options(server.url), server)
        else:
            hub = stack.enter_context(FakeHub())
            options = {"endpoint": hub.url}
            if name == "hub":
                hub.add_dataset("acme/dataset", files)
                yield Served(name, "hf://datasets/acme/dataset", options, hub, "cdn")
            else:
                hub.add_bucket("acme/bucket", {f"dataset/{path}": content for path, content in files.items()})
                yield Served(name, "hf://buckets/acme/bucket/dataset", options, hub, "cdn")

"""The writer for each kind of store."""

from episeek.errors import DestinationError
from episeek.stores.kinds import is_hub, kind_of
from episeek.stores.requests.retry import DEFAULT_POLICY, RetryPolicy
from episeek.stores.transports.hub.location import parse_hub_url
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.store.writers.bucket import BucketWriter
from episeek_pipelines.publish.store.writers.directory import DirectoryWriter
from episeek_pipelines.publish.store.writers.writer import FsspecWriter, StoreWriter


def is_store(target: str) -> bool:
    """Return whether a target is a store: every URL but those of the Hub's repositories."""
    return "://" in target and not kind_of(target).has_history


def open_writer(url: str, retry: RetryPolicy = DEFAULT_POLICY) -> StoreWriter:
    """Return the writer for a root in a store.

    Args:
        url: The root.
        retry: How long each request is tried.

    Raises:
        DestinationError: The URL is not that of a store.
    """
    if not is_store(url):
        expected = "s3://..., hf://buckets/NAMESPACE/NAME, file:///... or another URL that can be written to"
        raise DestinationError(url, "no URL of a store", expected)
    root = Root(url)
    if root.is_local:
        return DirectoryWriter(root)
    if is_hub(url):
        parse_hub_url(url)
        return BucketWriter(root, retry)
    return FsspecWriter(root, retry)

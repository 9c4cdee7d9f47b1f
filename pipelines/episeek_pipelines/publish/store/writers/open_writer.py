"""Choose the writer for the kind of store that a URL belongs to."""

from episeek.errors import DestinationError
from episeek.stores.kinds import is_hub, kind_of
from episeek.stores.requests.retry import DEFAULT_POLICY, RetryPolicy
from episeek.stores.transports.hub.location import parse_hub_url
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.store.writers.bucket import BucketWriter
from episeek_pipelines.publish.store.writers.directory import DirectoryWriter
from episeek_pipelines.publish.store.writers.writer import FsspecWriter, StoreWriter


def is_store(target: str) -> bool:
    """Return whether a target is the URL of a store, which is any URL except the URLs of the Hub's repositories."""
    return "://" in target and not kind_of(target).has_history


def open_writer(url: str, retry: RetryPolicy = DEFAULT_POLICY) -> StoreWriter:
    """Return the writer for a root in a store or in a directory.

    Args:
        url: The URL of the root.
        retry: The time limit and the retries of each request.

    Raises:
        DestinationError: `url` is not the URL of a store.
    """
    if not is_store(url):
        expected = "s3://..., hf://buckets/NAMESPACE/NAME, file:///... or another URL that can be written to"
        raise DestinationError(url, "not the URL of a store", expected)
    root = Root(url)
    if root.is_local:
        return DirectoryWriter(root)
    if is_hub(url):
        parse_hub_url(url)
        return BucketWriter(root, retry)
    return FsspecWriter(root, retry)

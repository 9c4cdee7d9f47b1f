"""The source for a path or a URL: which transport reads it."""

import os
from typing import Any, Literal, get_args

from episeek.errors import BackendUnavailableError
from episeek.stores.byte_source import ByteSource, is_local, local_path
from episeek.stores.fsspec_source import FsspecSource
from episeek.stores.hub.location import is_hub
from episeek.stores.hub.source import HubSource
from episeek.stores.local_source import LocalSource
from episeek.stores.object_store.source import object_store_source
from episeek.stores.retry import DEFAULT_POLICY, RetryPolicy

Transport = Literal["auto", "obstore", "fsspec"]


def open_source(
    url: str | os.PathLike[str],
    *,
    storage_options: dict[str, Any] | None = None,
    policy: RetryPolicy = DEFAULT_POLICY,
    transport: Transport = "auto",
) -> ByteSource:
    """The source for a local path or a URL. Opens nothing.

    Args:
        url: A path; `hf://datasets/ORG/NAME[@REVISION]` or `hf://buckets/ORG/NAME`; http, https, s3, gs, az; any other URL
            that fsspec knows.
        storage_options: As fsspec takes them; of `hf://`, token and endpoint.
        policy: How long to try.
        transport: "auto" reads `hf://` by `HubSource`, all else through obstore where it is installed and serves the URL, else
            through fsspec; "obstore" and "fsspec" insist. Local files have their own, whatever is said.

    Raises:
        BackendUnavailableError: obstore was asked for and does not serve this.
        ReadError: An `hf://` URL names no repository, or an option it does not know is given.
        ValueError: There is no such transport.

    Example:
        >>> open_source("/data/pusht").root
        '/data/pusht'
    """
    text = os.fspath(url)
    options = dict(storage_options or {})
    if transport not in get_args(Transport):
        raise ValueError(f"transport: found {transport!r}; expected one of {', '.join(get_args(Transport))}")
    if is_local(text):
        return LocalSource(local_path(text))
    if is_hub(text) and transport == "auto":
        return HubSource.from_url(text, storage_options=options, policy=policy)
    source = None if transport == "fsspec" else object_store_source(text, options, policy)
    if source is None and transport == "obstore":
        expected = "obstore installed, a URL it knows (http, https, s3, gs, az) and options it knows"
        raise BackendUnavailableError(text, "no obstore for it", expected)
    return source or FsspecSource(text, options, policy)

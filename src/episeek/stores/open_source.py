"""Choose the transport that reads a path or a URL. A transport is imported when it is chosen."""

import os
from typing import Any, Literal, get_args

from episeek.errors import BackendUnavailableError
from episeek.stores.byte_source import StoreSource
from episeek.stores.kinds import KINDS, kind_of, local_path
from episeek.stores.requests.retry import DEFAULT_POLICY, RetryPolicy
from episeek.stores.transports.local import LocalSource

Transport = Literal["auto", "obstore", "fsspec"]


def open_source(
    url: str | os.PathLike[str],
    *,
    storage_options: dict[str, Any] | None = None,
    policy: RetryPolicy = DEFAULT_POLICY,
    transport: Transport = "auto",
) -> StoreSource:
    """Return the source for a local path or a URL. Nothing is opened yet.

    Args:
        url: A path; `hf://datasets/ORG/NAME[@REVISION]` or `hf://buckets/ORG/NAME`; a URL of http, https, s3, gs or az; any
            other URL that fsspec knows.
        storage_options: Credentials and endpoints by fsspec's names; for `hf://`, `token` and `endpoint`.
        policy: How often, and for how long, a failed request is repeated.
        transport: "auto" reads `hf://` with `HubSource`, and other stores through obstore if it is installed and can read the URL,
            otherwise through fsspec. "obstore" and "fsspec" use only that library. Local files are always read directly.

    Raises:
        BackendUnavailableError: `transport` is "obstore", and obstore is not installed or does not support the URL or an option.
        ReadError: A URL that begins with `hf://` does not name a repository or bucket, or has an unknown option.
        ValueError: The transport is unknown.

    Example:
        >>> open_source("/data/pusht").root
        '/data/pusht'
    """
    text = os.fspath(url)
    options = dict(storage_options or {})
    if transport not in get_args(Transport):
        raise ValueError(f"transport: found {transport!r}; expected one of {', '.join(get_args(Transport))}")
    kind = kind_of(text)
    if kind.transport == "local":
        return LocalSource(local_path(text))
    if kind.transport == "hub" and transport == "auto":
        from episeek.stores.transports.hub.source import HubSource

        return HubSource.from_url(text, storage_options=options, policy=policy)
    from episeek.stores.transports.object_store.source import object_store_source

    source = None if transport == "fsspec" else object_store_source(text, options, policy)
    if source is None and transport == "obstore":
        schemes = ", ".join(scheme for kind in KINDS if kind.obstore_class for scheme in kind.schemes)
        expected = f"an installed obstore that supports the URL ({schemes}) and all of the options"
        raise BackendUnavailableError(text, "a URL that obstore cannot read", expected, kind.hint)
    if source is not None:
        return source
    from episeek.stores.transports.fsspec import FsspecSource

    return FsspecSource(text, options, policy)

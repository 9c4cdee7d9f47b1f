"""Open the byte index of a dataset, after checking the arguments. Exported as `episeek.open`."""

import os
from typing import Any

from episeek.byte_index import ByteIndex, ReadOptions
from episeek.sidecars.recorded_source import repaired_info_sha256, skipped_count
from episeek.sidecars.staleness import ON_STALE, OnStale, check_staleness
from episeek.sidecars.video_source import VERIFY_MODES, Verify
from episeek.stores.kinds import is_local, local_path
from episeek.stores.open_source import Transport
from episeek.stores.requests.retry import DEFAULT_POLICY, RetryPolicy


def open_index(
    url: str | os.PathLike[str],
    data_root: str | os.PathLike[str] | None = None,
    *,
    storage_options: dict[str, Any] | None = None,
    verify: Verify = "identity",
    on_stale: OnStale = "auto",
    retry: RetryPolicy = DEFAULT_POLICY,
    transport: Transport = "auto",
) -> ByteIndex:
    """Open the sidecars of a prepared dataset. Exported as `episeek.open`.

    Args:
        url: The root of the dataset: a local path; `hf://datasets/ORG/NAME[@REVISION]`, pinned to its current commit;
            `hf://buckets/ORG/NAME`; a URL of http, https, s3, gs or az; any other URL that fsspec supports.
        data_root: The root of the videos, if it is not `url`, as for an overlay (a copy without videos, made by `episeek prepare`).
            None for videos in `url`. For a local overlay, None means the source that the overlay records, whose root is then
            logged.
        storage_options: Credentials and endpoints by fsspec's names; for `hf://`, `token` and `endpoint`.
        verify: How to check that the videos have not changed since they were indexed: "identity", "moov", "size" or "bytes". See
            `episeek.sidecars.video_source.IndexedVideoSource`.
        on_stale: What to do if `meta/info.json` next to the sidecars or the videos differs from the sidecars in the number of
            episodes or frames, the fps or the cameras, as after recording more episodes. "auto" warns, and reads the file only if
            it is on this machine. "warn" and "raise" also read it from a store, with one or two requests. "ignore" does not read
            it.
        retry: How often, and for how long, a failed request is repeated.
        transport: "obstore" or "fsspec" to use only that package, or "auto". See `episeek.stores.open_source.open_source`.

    Raises:
        MissingSidecarError: A table is missing.
        FormatVersionError: The tables have no format version, or a version that this release does not know.
        MixedBuildError: The tables come from different builds.
        SidecarLayoutError: A table has other columns or types, or is damaged.
        StaleSidecarsError: The dataset differs from the sidecars, and `on_stale` is "raise".
        AccessError, ReadError: The store refuses access or does not answer.
        BackendUnavailableError: A package for this kind of store is not installed.
        ValueError: `verify`, `on_stale` or `transport` has an unknown value.

    Warns:
        StaleSidecarsWarning: The dataset differs from the sidecars. The reader uses the episodes of the sidecars.
        SidecarLayoutWarning: A table was rewritten by another tool, so it is read into memory instead of being mapped.
    """
    if verify not in VERIFY_MODES:
        raise ValueError(f"verify: found {verify!r}; expected one of {', '.join(VERIFY_MODES)}")
    if on_stale not in ON_STALE:
        raise ValueError(f"on_stale: found {on_stale!r}; expected one of {', '.join(ON_STALE)}")
    root = None if data_root is None else _absolute(data_root)
    credentials = tuple(sorted((storage_options or {}).items()))
    index = ByteIndex(_absolute(url), data_root=root, options=ReadOptions(credentials, verify, retry, transport))
    check_staleness(index.sidecars, index.dataset, on_stale, stacklevel=2)
    if index.videos is not index.sidecars:
        left_out, repaired = skipped_count(index.sidecars.root), repaired_info_sha256(index.sidecars.root)
        check_staleness(
            index.videos, index.dataset, on_stale, left_out=left_out, repaired_sha256=repaired, stacklevel=2
        )
    return index


def _absolute(url: str | os.PathLike[str]) -> str:
    """Return a URL unchanged, and a local path as an absolute path, since the index may be unpickled in another directory."""
    text = os.fspath(url)
    return os.path.abspath(local_path(text)) if is_local(text) else text

"""The sidecars of a dataset, opened as readers open them, once a process for all checks of its videos."""

from functools import lru_cache
from typing import Any

from episeek.byte_index import ByteIndex
from episeek.opening import open_index
from episeek_pipelines.dataset.root import Root


def opened_index(root: Root, data_root: Root, versions: dict[str, str]) -> ByteIndex:
    """Return the opened sidecars of a dataset.

    Args:
        root: The dataset.
        data_root: The root of its videos.
        versions: The identities of the tables in the listing; tables with other ones are opened again.

    Raises:
        EpiseekError: They cannot be opened.
    """
    return _opened(root.url, data_root.url, tuple(sorted(versions.items())))


def forget_index() -> None:
    """Drop the opened sidecars; the files are closed once nothing refers to them."""
    _opened.cache_clear()


@lru_cache(maxsize=2)
def _opened(url: str, data_url: str, versions: tuple[Any, ...]) -> ByteIndex:
    return open_index(url, data_url, on_stale="ignore")

"""Open the sidecars of a dataset (its index tables) with `episeek.open`, once in each process for all checks of its videos."""

from functools import lru_cache
from typing import Any

from episeek.byte_index import ByteIndex
from episeek.opening import open_index
from episeek_pipelines.dataset.root import Root


def opened_index(root: Root, data_root: Root, versions: dict[str, str]) -> ByteIndex:
    """Return the opened sidecars of a dataset.

    Args:
        root: The dataset.
        data_root: The root that contains the videos of the dataset.
        versions: Identities of the tables' files in the listing. If an identity has changed, the sidecars are opened again.

    Raises:
        EpiseekError: The sidecars cannot be opened.
    """
    return _opened(root.url, data_root.url, tuple(sorted(versions.items())))


def forget_index() -> None:
    """Stop keeping sidecars open. Their files are closed as soon as no object uses them."""
    _opened.cache_clear()


@lru_cache(maxsize=2)
def _opened(url: str, data_url: str, versions: tuple[Any, ...]) -> ByteIndex:
    return open_index(url, data_url, on_stale="ignore")

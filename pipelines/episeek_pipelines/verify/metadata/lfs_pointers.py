"""INF040: find files that are Git LFS pointers, because their contents were not fetched with the clone.

A pointer is neither a Parquet file, nor an MP4 file, nor a JSON file, so that any other finding about it would mislead. Therefore
one finding reports all pointers, and no other rule opens them.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from episeek.errors import EpiseekError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import LFS_POINTER

SIGNATURE: Final = b"version https://git-lfs.github.com/spec/v"
MAX_POINTER_BYTES: Final = 1024
"""A pointer file has fewer bytes than this, according to the Git LFS specification."""


def find_pointers(root: Root, files: Iterable[tuple[str, int | None]]) -> frozenset[str]:
    """Return the paths of the files that are Git LFS pointers. Only local files are checked: for a store the result is empty.

    Args:
        root: The dataset, or the root of its videos.
        files: (path, size in bytes) of each file; the size is None if the listing does not give it.
    """
    if not root.is_local:
        return frozenset()
    small = [(path, size) for path, size in files if size is not None and len(SIGNATURE) <= size < MAX_POINTER_BYTES]
    return frozenset(path for path, size in small if _is_pointer(root, path))


def check_pointers(pointers: frozenset[str]) -> Iterator[Finding]:
    """Yield one INF040 for all pointers, at the first of their sorted paths; nothing if there are no pointers."""
    if pointers:
        yield finding(
            LFS_POINTER,
            "a Git LFS pointer: the file was not fetched with the clone",
            "the file itself",
            Location(file=min(pointers)),
            more=len(pointers) - 1,
        )


def _is_pointer(root: Root, path: str) -> bool:
    try:
        return root.source().get_ranges(path, [(0, len(SIGNATURE))])[0] == SIGNATURE
    except EpiseekError:
        # The check that reads the whole file reports the error.
        return False

"""INF040: files that are Git LFS pointers, because the content was not fetched with the clone.

Any other finding about such a file would mislead: it is no Parquet, no MP4, no JSON. So pointers are reported once, and no other
rule opens them.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from episeek.errors import EpiseekError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import LFS_POINTER

SIGNATURE: Final = b"version https://git-lfs.github.com/spec/v"
MAX_POINTER_BYTES: Final = 1024
"""The Git LFS specification limits pointer files to less than this."""


def find_pointers(root: Root, files: Iterable[tuple[str, int | None]]) -> frozenset[str]:
    """Return the files of a local root that are pointers; a store has no such files.

    Args:
        root: The dataset, or the root of its videos.
        files: Path and size in bytes; None where the listing has no size.
    """
    if not root.is_local:
        return frozenset()
    small = [(path, size) for path, size in files if size is not None and len(SIGNATURE) <= size < MAX_POINTER_BYTES]
    return frozenset(path for path, size in small if _is_pointer(root, path))


def check_pointers(pointers: frozenset[str]) -> Iterator[Finding]:
    """Yield INF040 once, at the first pointer."""
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
        # The check of this file reports the error.
        return False

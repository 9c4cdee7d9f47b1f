"""INF040: files that are Git LFS pointers, because the content was not fetched with the clone.

Everything else that could be said of such a file misleads: no Parquet, no MP4, no JSON. So it is said once, and nothing else
is looked for in them.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from episeek.errors import EpiseekError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import LFS_POINTER

SIGNATURE: Final = b"version https://git-lfs.github.com/spec/v"
MAX_POINTER_BYTES: Final = 1024
"""Git LFS, specification of pointer files: smaller than this."""


def find_pointers(root: Root, files: Iterable[tuple[str, int | None]]) -> frozenset[str]:
    """Which files of a local root are pointers; a store has no such files.

    Args:
        root: The dataset, or where its videos are.
        files: Path and size in bytes, where that is known.
    """
    if not root.is_local:
        return frozenset()
    small = [(path, size) for path, size in files if size is not None and len(SIGNATURE) <= size < MAX_POINTER_BYTES]
    return frozenset(path for path, size in small if _is_pointer(root, path))


def check_pointers(pointers: frozenset[str]) -> Iterator[Finding]:
    """INF040: one finding, at the first of them."""
    if pointers:
        yield finding(
            LFS_POINTER,
            "a Git LFS pointer",
            "the file itself, which was not fetched with the clone",
            Location(file=min(pointers)),
            more=len(pointers) - 1,
        )


def _is_pointer(root: Root, path: str) -> bool:
    try:
        return root.source().get_ranges(path, [(0, len(SIGNATURE))])[0] == SIGNATURE
    except EpiseekError:  # its own check says what is wrong
        return False

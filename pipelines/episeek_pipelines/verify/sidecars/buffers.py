"""Return the bytes of the sidecars (index tables in `meta/byte_index/`), which each process opens once and maps into memory.

A table in a store is first copied to this machine (`episeek.sidecars.local_copies`). The checks of all videos then read their rows
from these bytes, without another request to the store.
"""

import mmap
import threading
from collections import OrderedDict

from episeek.errors import MissingFileError, SidecarError
from episeek.sidecars.local_copies import local_copy
from episeek.sidecars.mapped_table import Buffer, open_buffer
from episeek_pipelines.dataset.root import Root

_KEPT = 8
"""Largest number of tables that stay open: the four tables of two datasets."""

_lock = threading.Lock()
_opened: OrderedDict[tuple[str, str, str], Buffer] = OrderedDict()


def sidecar_bytes(root: Root, path: str, version: str) -> Buffer:
    """Return the bytes of one sidecar table.

    Args:
        root: The dataset.
        path: Path of the table's file below the root.
        version: Identity of the file in the listing. If the identity has changed, the table is opened again.

    Raises:
        MissingFileError: The file does not exist.
        SidecarError: The file cannot be opened.
        ReadError: The store could not deliver the file.
    """
    key = (root.url, path, version)
    # The lock is held while a table is opened, since the other threads usually wait for the same table.
    with _lock:
        if key not in _opened:
            _opened[key] = _open(root, path)
            while len(_opened) > _KEPT:
                _opened.popitem(last=False)
        _opened.move_to_end(key)
        return _opened[key]


def forget_sidecars(root: Root) -> None:
    """Stop keeping the tables of one dataset open. Each table is closed as soon as no array uses its memory."""
    with _lock:
        for key in [key for key in _opened if key[0] == root.url]:
            del _opened[key]


def release_pages() -> None:
    """Release the mapped pages of all open tables from the memory of this process. The page cache of the system keeps the pages.

    A scheduler counts mapped pages as memory of its worker. Without this function, the whole tables would count in the end.
    """
    with _lock:
        for buffer in _opened.values():
            if isinstance(buffer, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                buffer.madvise(mmap.MADV_DONTNEED)


def _open(root: Root, path: str) -> Buffer:
    if root.is_local:
        try:
            return open_buffer(root.join(path))
        except SidecarError as error:
            if isinstance(error, FileNotFoundError):
                raise MissingFileError(root.join(path), error.found, error.expected, error.hint) from None
            raise
    source = root.source()
    copy = local_copy(source, path)
    if copy is not None:
        return open_buffer(str(copy))
    return source.get_ranges(path, [(0, source.identity(path).size)])[0]

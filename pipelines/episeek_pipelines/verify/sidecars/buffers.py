"""The bytes of sidecar tables, opened once a process and memory-mapped.

A table in a store is first copied to this machine (`episeek.sidecars.local_copies`). The checks of a thousand videos then compare
their rows with slices of these bytes, without another request to the store.
"""

import mmap
import threading
from collections import OrderedDict

from episeek.errors import MissingFileError, SidecarError
from episeek.sidecars.local_copies import local_copy
from episeek.sidecars.mapped_table import Buffer, open_buffer
from episeek_pipelines.dataset.root import Root

_KEPT = 8
"""Tables that stay open: two datasets of four tables."""

_lock = threading.Lock()
_opened: OrderedDict[tuple[str, str, str], Buffer] = OrderedDict()


def sidecar_bytes(root: Root, path: str, version: str) -> Buffer:
    """Return the bytes of one table.

    Args:
        root: The dataset.
        path: The table's file.
        version: The table's identity in the listing; a table with another one is opened again.

    Raises:
        MissingFileError: There is no such file.
        SidecarError, ReadError: It cannot be opened or fetched.
    """
    key = (root.url, path, version)
    # Held while a table is opened: the threads that wait want the same one.
    with _lock:
        if key not in _opened:
            _opened[key] = _open(root, path)
            while len(_opened) > _KEPT:
                _opened.popitem(last=False)
        _opened.move_to_end(key)
        return _opened[key]


def forget_sidecars(root: Root) -> None:
    """Drop the tables of one dataset; each is closed once no array refers to it."""
    with _lock:
        for key in [key for key in _opened if key[0] == root.url]:
            del _opened[key]


def release_pages() -> None:
    """Take the mapped pages of all open tables out of the memory of this process; they stay in the system's cache of files.

    A scheduler counts them as memory of its worker: after all checks, they would be the whole of the tables.
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

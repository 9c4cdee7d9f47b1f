"""The bytes of sidecar tables, opened once a process: mapped where the dataset is on this machine, kept on it and mapped
where it is in a store (`episeek.sidecars.local_copies`).

The checks of a thousand videos compare their rows with slices of these bytes, and ask the store for nothing.
"""

import threading
from collections import OrderedDict

from episeek.errors import MissingFileError, SidecarError
from episeek.sidecars.local_copies import local_copy
from episeek.sidecars.mapped_table import Buffer, open_buffer
from episeek_pipelines.dataset.root import Root

_KEPT = 8
"""Tables; two datasets of four."""

_lock = threading.Lock()
_opened: OrderedDict[tuple[str, str, str], Buffer] = OrderedDict()


def sidecar_bytes(root: Root, path: str, version: str) -> Buffer:
    """The bytes of one table.

    Args:
        root: The dataset.
        path: Of the table.
        version: What the listing says of it: another version is opened anew.

    Raises:
        MissingFileError: There is no such file.
        SidecarError, ReadError: It cannot be opened or fetched.
    """
    key = (root.url, path, version)
    with _lock:  # one of them opens it; the others want the same
        if key not in _opened:
            _opened[key] = _open(root, path)
            while len(_opened) > _KEPT:
                _opened.popitem(last=False)
        _opened.move_to_end(key)
        return _opened[key]


def forget_sidecars(root: Root) -> None:
    """Close the tables of one dataset, as soon as nobody holds arrays on them."""
    with _lock:
        for key in [key for key in _opened if key[0] == root.url]:
            del _opened[key]


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

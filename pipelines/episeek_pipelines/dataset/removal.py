"""Remove files of a store through fsspec."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from episeek.stores.kinds import MAX_DELETED_AT_ONCE, kind_of_scheme
from episeek.stores.processes.workers import map_in_threads

if TYPE_CHECKING:
    import fsspec

_REQUESTS_IN_FLIGHT: Final = 16
"""Number of files that are removed at the same time, if each removal takes a request."""


def remove_tree(fs: "fsspec.AbstractFileSystem", full_path: str, *, has_folders: bool) -> None:
    """Remove a file, or all files below a folder. Do nothing if neither exists.

    Args:
        fs: The file system.
        full_path: The path in the file system.
        has_folders: Whether the file system keeps empty folders, so that they have to be removed, too.
    """
    try:
        found = fs.find(full_path, withdirs=True, detail=True)
    except FileNotFoundError:
        return
    remove_files(fs, [name for name, info in found.items() if info["type"] != "directory"])
    if has_folders:
        folders = {full_path, *(name for name, info in found.items() if info["type"] == "directory")}
        for folder in sorted(folders, key=len, reverse=True):
            with suppress(OSError):
                fs.rmdir(folder)


def remove_files(fs: "fsspec.AbstractFileSystem", full_paths: Sequence[str]) -> None:
    """Remove files with exactly these names. Names that do not exist are skipped.

    fsspec's own `rm` treats a name with `*`, `?` or `[` as a pattern, and removes all matching files.
    """
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    has_requests = any(not kind_of_scheme(protocol).has_folders for protocol in protocols)
    # One request to S3 removes many files. S3 does not report the files that it did not remove.
    if len(full_paths) > 1 and hasattr(fs, "_bulk_delete"):
        import fsspec.asyn

        for start in range(0, len(full_paths), MAX_DELETED_AT_ONCE):
            fsspec.asyn.sync(fs.loop, fs._bulk_delete, list(full_paths[start : start + MAX_DELETED_AT_ONCE]))
        return

    def remove(full_path: str) -> None:
        with suppress(FileNotFoundError):
            fs.rm_file(full_path)

    map_in_threads(remove, full_paths, max_in_flight=_REQUESTS_IN_FLIGHT if has_requests else 1)

"""Find the datasets below a folder, on this machine or in a store. A dataset is a folder with `meta/info.json`.

Folders inside a dataset, hidden folders, and folders in which a run of `episeek prepare` is still writing are not searched.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from episeek.errors import ReadError, first_line
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import WORK_DIR
from episeek_schemas import layout


def find_datasets(root: Root, *, without: Iterable[Root] = ()) -> list[str]:
    """Return the sorted paths of the datasets below a root, relative to the root; `[""]` if the root itself is a dataset.

    Args:
        root: A folder, or a prefix of a store.
        without: Folders that are not searched, such as the folder for the results.

    Raises:
        ReadError: A folder cannot be listed.
    """
    left_out = {_place(each) for each in without}
    if root.is_local:
        return sorted(_local_datasets(root.local, left_out))
    return sorted(_stored_datasets(root, left_out))


def datasets_at(place: str) -> list[str]:
    """Return the paths or URLs of the datasets below a folder of datasets, or `[place]` for any other path or URL.

    A folder with `meta/`, a repository of the Hub, and a folder without any dataset below it are not folders of datasets.

    Raises:
        ReadError: A folder cannot be listed.
    """
    root = Root(place)
    if root.is_local:
        is_itself = not root.is_dir() or (root.local / layout.META_DIR).exists()
    else:
        is_itself = root.kind.has_history or root.exists(layout.INFO_PATH)
    found = [] if is_itself else find_datasets(root)
    return [root.join(path) for path in found if path] or [place]


def _local_datasets(top: Path, left_out: set[str]) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        # an unreadable folder must not be treated as an empty folder
        raise ReadError(str(error.filename), first_line(error), "a readable directory") from error

    seen: set[str] = set()
    for folder, folders, _ in os.walk(top, onerror=refuse, followlinks=True):
        here, real = Path(folder), os.path.realpath(folder)
        if real in left_out or real in seen or (here / WORK_DIR).is_dir():
            folders.clear()
            continue
        # a link may lead to a folder that was already searched, or to a folder above it
        seen.add(real)
        if (here / layout.INFO_PATH).is_file():
            yield "" if here == top else here.relative_to(top).as_posix()
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def _stored_datasets(root: Root, left_out: set[str]) -> Iterator[str]:
    level = [""]
    while level:
        found = map_in_threads(lambda path: _look(root, path), level, max_in_flight=root.in_flight)
        below: list[str] = []
        for path, (is_dataset, folders) in zip(level, found, strict=True):
            if is_dataset:
                yield path
                continue
            inner = (f"{path}/{name}" if path else name for name in folders)
            below += [each for each in inner if root.join(each) not in left_out]
        level = below


def _look(root: Root, path: str) -> tuple[bool, list[str]]:
    """Return whether a folder of a store is a dataset, and the folders below it that have to be searched."""
    folder = Root(root.join(path))
    names = folder.folders()
    if layout.META_DIR in names and folder.exists(layout.INFO_PATH):
        return True, []
    return False, [] if WORK_DIR in names else [name for name in names if not name.startswith(".")]


def _place(root: Root) -> str:
    return os.path.realpath(root.url) if root.is_local else root.url

"""Compute digests of the listings of a dataset's folders. They change if a file is added, removed or written; no file is read."""

import hashlib
from collections.abc import Iterable
from typing import Final

from episeek_pipelines.dataset.root import Root
from episeek_schemas import layout

FOLDERS: Final = (layout.DATA_DIR, layout.META_DIR, layout.VIDEOS_DIR)
_NOT_LISTED: Final = (f"{layout.BYTE_INDEX_PARTIAL_DIR}/",)


def source_digests(root: Root) -> dict[str, str]:
    """Return, for each of the folders `data`, `meta` and `videos` of a source, a SHA-256 of the paths and versions of its files.

    The version of a local file is its size and modification time. The version of a file in a store is its size and the id that the
    store gives it.

    The key "" has the SHA-256 of all files outside of these folders together. Sidecars (the tables of the video index, which are
    derived from the source) and hidden files and folders of the root are left out.
    """
    skipped = (*_NOT_LISTED, f"{layout.BYTE_INDEX_DIR}/")
    if root.is_local:
        # a broken symbolic link counts as a missing file
        versions = {path: root.version_of(path) for path in root.list() if (root.local / path).exists()}
    else:
        versions = {
            path: "" if identity is None else f"{identity.size}:{identity.store_id}"
            for path, identity in root.files().items()
        }
    shown = {path: version for path, version in versions.items() if not path.startswith((*skipped, "."))}
    return _digests(shown.items())


def written_digests(root: Root) -> dict[str, str]:
    """Return a SHA-256 of the paths and sizes of the files in each of `data`, `meta` and `videos` of a dataset, by folder.

    Files outside these folders are left out.
    """
    sizes = (
        (path, "" if identity is None else str(identity.size))
        for folder in FOLDERS
        for path, identity in root.files(folder).items()
    )
    found = _digests((path, size) for path, size in sizes if not path.startswith(_NOT_LISTED))
    return {folder: found[folder] for folder in FOLDERS}


def _digests(versions: Iterable[tuple[str, str]]) -> dict[str, str]:
    digests = {folder: hashlib.sha256() for folder in (*FOLDERS, "")}
    for path, version in sorted(versions):
        folder = path.partition("/")[0] if "/" in path else ""
        digests[folder if folder in FOLDERS else ""].update(f"{path}\0{version}\n".encode(errors="surrogateescape"))
    return {folder: digest.hexdigest() for folder, digest in digests.items()}

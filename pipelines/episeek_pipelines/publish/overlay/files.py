"""Find the files of an overlay (the output of `episeek prepare`) that a publication may send."""

import os
from pathlib import Path

from episeek_pipelines.dataset.local_files import TEMPORARY_SUFFIX
from episeek_pipelines.dataset.root import Root
from episeek_schemas import layout, sidecars

PARTIAL_SUFFIX = ".partial"
"""End of the name of a directory that contains the unfinished work of a run."""

SIDECAR_PATHS = frozenset(path for path, _ in sidecars.TABLES.values())
"""Paths of the four sidecar tables."""


def sendable_files(overlay: Root) -> dict[str, str]:
    """Return the full path of each file of a local overlay that a publication may send, by its path in the dataset.

    The result does not contain hidden files and folders (such as `.git` and `.cache`), temporary files and `*.partial` folders of
    stopped runs, links whose target is missing or outside of the root, and files in `meta/byte_index` other than the four tables.

    Raises:
        ReadError: A folder cannot be listed.
    """
    resolved = overlay.local.resolve()
    found = {}
    for path in overlay.list():
        if _is_excluded(path):
            continue
        full_path = overlay.local / path
        if full_path.is_file() and full_path.resolve().is_relative_to(resolved):
            found[path] = os.fspath(full_path)
    return found


def _is_excluded(path: str) -> bool:
    parts = Path(path).parts
    return (
        any(part.startswith(".") or part.endswith(PARTIAL_SUFFIX) for part in parts)
        or path.endswith(TEMPORARY_SUFFIX)
        or (path.startswith(f"{layout.BYTE_INDEX_DIR}/") and path not in SIDECAR_PATHS)
    )

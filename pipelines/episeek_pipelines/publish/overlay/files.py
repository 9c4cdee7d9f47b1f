"""The files of an overlay that a publication may send."""

import os
from pathlib import Path

from episeek_pipelines.dataset.local_files import TEMPORARY_SUFFIX
from episeek_pipelines.dataset.root import Root
from episeek_schemas import layout, sidecars

PARTIAL_SUFFIX = ".partial"
"""End of the name of a directory that holds the unfinished work of a run."""

SIDECAR_PATHS = frozenset(path for path, _ in sidecars.TABLES.values())
"""Paths of the four sidecar tables."""


def sendable_files(overlay: Root) -> dict[str, str]:
    """Return the files below a local root that a publication may send: their full paths, by relative path.

    Hidden files and folders (`.git`, `.cache`) are not sent, nor temporary files and `*.partial` of stopped runs, links that lead
    out of the root or nowhere, and files in `meta/byte_index` other than its four tables.

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

"""What of a local root may be sent to a repository, and the digests of its files, each worked out once."""

import os
from pathlib import Path

from episeek_pipelines.dataset.local_files import TEMPORARY_SUFFIX
from episeek_pipelines.dataset.root import Root
from episeek_schemas import layout, sidecars

PARTIAL_SUFFIX = ".partial"
"""Ends the name of a directory that a run keeps unfinished work in."""

SIDECAR_PATHS = frozenset(path for path, _ in sidecars.TABLES.values())


def sendable_files(overlay: Root) -> dict[str, str]:
    """The files below a local root that a publication may send, with their full paths, by relative path.

    Left out: hidden files and folders (`.git`, `.cache`), temporary files and `*.partial` of runs that were stopped, links that
    lead out of the root or nowhere, and what is in `meta/byte_index` beside its four tables.

    Raises:
        ReadError: A folder cannot be listed.
    """
    resolved = overlay.local.resolve()
    found = {}
    for path in overlay.list():
        if _is_left_out(path):
            continue
        full_path = overlay.local / path
        if full_path.is_file() and full_path.resolve().is_relative_to(resolved):
            found[path] = os.fspath(full_path)
    return found


def _is_left_out(path: str) -> bool:
    parts = Path(path).parts
    return (
        any(part.startswith(".") or part.endswith(PARTIAL_SUFFIX) for part in parts)
        or path.endswith(TEMPORARY_SUFFIX)
        or (path.startswith(f"{layout.BYTE_INDEX_DIR}/") and path not in SIDECAR_PATHS)
    )

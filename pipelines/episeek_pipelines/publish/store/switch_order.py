"""The order in which the files of a publication get their names, where that cannot be one step.

Files change in waves. Each wave is complete before the next begins; the files of one wave change at about the same time. Deletions
come after all waves.
"""

from collections.abc import Collection, Mapping
from typing import Literal

from episeek_pipelines.publish.overlay.changes import Changes
from episeek_pipelines.publish.overlay.files import SIDECAR_PATHS
from episeek_schemas import layout

DataOrder = Literal["any", "last first", "first first"]
"""Order in which existing data files change; `any` where they keep their rows."""


def switch_waves(changes: Changes, present: Collection[str], *, order: DataOrder | None = None) -> list[list[str]]:
    """Return the paths of the additions, wave by wave.

    The order is videos, data, metadata other than `meta/episodes`, `meta/episodes`, `meta/info.json`, the card, three tables of the
    sidecars, the fourth table. Readers refuse tables of two builds. So a new dataset becomes one only after its data is there, and
    becomes seekable last of all.

    Data files change in the order of `data_order`: new files first, then existing ones, one by one where the order matters.

    Args:
        changes: The files that get their names.
        present: Paths that exist.
        order: The order of the data files, as it was before some of them changed; None computes it with `data_order`.
    """
    order = data_order(changes, present) if order is None else order
    ranked: dict[int, list[str]] = {}
    for addition in changes.additions:
        ranked.setdefault(_rank(addition.path), []).append(addition.path)
    waves = []
    for rank, paths in sorted(ranked.items()):
        if rank == _DATA_RANK and order != "any":
            replaced = sorted((path for path in paths if path in present), reverse=order == "last first")
            new = [path for path in paths if path not in present]
            waves += [new, *([path] for path in replaced)]
        else:
            waves.append(sorted(paths))
    return [wave for wave in waves if wave]


def data_order(changes: Changes, present: Collection[str]) -> DataOrder:
    """Return the order in which existing data files change, from the number of files before and after.

    If there are more files afterwards, each holds fewer rows, and rows move to later files. The last file changes first: then rows
    may be seen twice, but never not at all. If there are fewer files, the first file changes first.

    This holds where each file begins at no later row than before, or each at no earlier one, as after a rewrite that has split the
    same source into larger or smaller files. Where some rows move to later files and others to earlier ones, or the number of files
    stays the same, rows may be in no file for a moment.

    Args:
        changes: The files that get their names, and those that are deleted.
        present: Paths that existed before anything changed.
    """
    if not moves_rows(changes, present):
        return "any"
    folder = f"{layout.DATA_DIR}/"
    added = sum(addition.path.startswith(folder) and addition.path not in present for addition in changes.additions)
    deleted = sum(path.startswith(folder) for path in changes.deletions)
    return "last first" if added >= deleted else "first first"


def moves_rows(changes: Changes, present: Collection[str]) -> bool:
    """Return whether an existing dataset gets other data files than it had, so that rows move to other files."""
    folder = f"{layout.DATA_DIR}/"
    before = any(path.startswith(folder) for path in present)
    added = any(addition.path.startswith(folder) and addition.path not in present for addition in changes.additions)
    return before and (added or any(path.startswith(folder) for path in changes.deletions))


_DATA_RANK = 1
_LAST_TABLE = layout.FILES_PATH
_RANK_OF: Mapping[str, int] = {
    layout.INFO_PATH: 4,
    layout.CARD_PATH: 5,
    **dict.fromkeys(SIDECAR_PATHS, 6),
    _LAST_TABLE: 7,
}


def _rank(path: str) -> int:
    if path in _RANK_OF:
        return _RANK_OF[path]
    if path.startswith(f"{layout.EPISODES_DIR}/"):
        return 3
    folders = (f"{layout.VIDEOS_DIR}/", f"{layout.DATA_DIR}/")
    return next((rank for rank, folder in enumerate(folders) if path.startswith(folder)), 2)

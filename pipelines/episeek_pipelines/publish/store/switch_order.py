"""Find the order in which the staged files of a publication get their final names, since a store cannot rename them in one step.

Files change in waves. Each wave is complete before the next one begins. The files of one wave change at about the same time.
Deletions come after all waves.
"""

from collections.abc import Collection, Mapping
from typing import Literal

from episeek_pipelines.publish.overlay.changes import Changes
from episeek_pipelines.publish.overlay.files import SIDECAR_PATHS
from episeek_schemas import layout

DataOrder = Literal["any", "last first", "first first"]
"""The order in which existing data files change: `any` if each file keeps its rows, otherwise the last or the first file first."""


def switch_waves(changes: Changes, present: Collection[str], *, order: DataOrder | None = None) -> list[list[str]]:
    """Return the waves of a switch, each as a list of the paths that get their final content in it.

    The order is: videos, data, metadata other than `meta/episodes`, `meta/episodes`, `meta/info.json`, the card, three tables of
    the sidecars, the fourth table. So readers see a new dataset only after its data has arrived, and can seek in it last of all.
    Readers refuse sidecar tables of two different builds.

    New data files come before existing ones. Existing data files change in the order of `data_order`, one by one unless it is
    `any`.

    Args:
        changes: The changes of the switch.
        present: The paths that exist in the store.
        order: The order of the data files. An interrupted switch gives the order from its beginning; None computes it with
            `data_order`.
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
    """Return the order in which existing data files have to change, computed from the number of files before and after.

    If there are more files afterwards, each file contains fewer rows, and rows move to later files. Then the last file changes
    first: a reader may see rows twice, but always sees each row. If there are fewer files afterwards, the first file changes first.

    This is exact if all rows that move go to later files, or all go to earlier files, as after a rewrite that splits the same
    source into smaller or larger files. If some rows move to later files and others to earlier ones, or if the number of files
    stays the same, some rows may be in no file for a moment.

    Args:
        changes: The additions and deletions of the switch.
        present: The paths that existed before the first change.
    """
    if not moves_rows(changes, present):
        return "any"
    folder = f"{layout.DATA_DIR}/"
    added = sum(addition.path.startswith(folder) and addition.path not in present for addition in changes.additions)
    deleted = sum(path.startswith(folder) for path in changes.deletions)
    return "last first" if added >= deleted else "first first"


def moves_rows(changes: Changes, present: Collection[str]) -> bool:
    """Return whether the data files of an existing dataset get other paths, so that rows move from one file to another."""
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

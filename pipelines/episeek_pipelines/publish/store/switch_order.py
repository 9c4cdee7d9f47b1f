"""Find the order in which the staged files of a publication get their final names, since a store cannot change them in one step.

The files change in waves. The files of one wave change at about the same time, and each wave is complete before the next one
begins. Deletions come after all waves.
"""

from collections.abc import Collection, Mapping
from typing import Literal

from episeek_pipelines.publish.overlay.changes import Changes
from episeek_pipelines.publish.overlay.files import SIDECAR_PATHS
from episeek_schemas import layout

DataOrder = Literal["any", "last first", "first first"]
"""The order in which existing data files change: beginning with the last file or with the first file, or `any` if no rows move."""


def switch_waves(changes: Changes, present: Collection[str], *, order: DataOrder | None = None) -> list[list[str]]:
    """Return the waves in which files change. Each wave is a list of paths that get their final content at about the same time.

    The order is: videos, data, metadata other than `meta/episodes`, `meta/episodes`, `meta/info.json`, the card, all tables of the
    byte index except `files`, and last the table `files`. So readers see a new dataset only after its data has arrived, and the
    index of the dataset only at the end. Readers refuse an index with tables of two different builds.

    New data files come before existing ones. If `order` is not `any`, each existing data file has its own wave.

    Args:
        changes: The changes of the publication.
        present: The paths that exist in the store.
        order: The order in which existing data files change. To continue an interrupted switch, give the order with which it began.
            None computes the order with `data_order`.
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

    The order is `any` if no rows move, see `moves_rows`. If the publication adds files, each file contains fewer rows than before,
    and rows move to later files. Then the last file changes first, so that a reader may see rows twice, but never misses a row. If
    the publication removes files, the first file changes first.

    No row is missed if all rows that move go to later files, or all go to earlier files, as after a rewrite that splits the same
    source into smaller or larger files. Otherwise some rows may be in no file for a moment.

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
    """Return whether data files are added to an existing dataset or deleted from it, so that rows move from one file to another."""
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

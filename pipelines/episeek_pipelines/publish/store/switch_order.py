"""In which order the files of a publication get their names, where that cannot be one step.

Each wave is done before the next begins; files of one wave change at about the same time. Deletions come after all of them.
"""

from collections.abc import Collection, Mapping
from typing import Literal

from episeek_pipelines.publish.overlay.changes import Changes
from episeek_pipelines.publish.overlay.files import SIDECAR_PATHS
from episeek_schemas import layout

DataOrder = Literal["any", "last first", "first first"]
"""In which order files that are there change; `any`: they keep their rows."""


def switch_waves(changes: Changes, present: Collection[str], *, order: DataOrder | None = None) -> list[list[str]]:
    """The paths of the additions, wave by wave.

    Videos, data, the metadata beside `meta/episodes`, these, `meta/info.json`, the card, the sidecars: three tables, which
    readers refuse while they are of two builds, and the last. So a new dataset is none before its data is there, and is
    seekable last of all.

    Data files change as `data_order` says. New ones come first, and those that are there one by one where the order matters.

    Args:
        changes: What gets a name.
        present: Paths that are there.
        order: Of the data files, where it is known from before some of them had changed; None: `data_order`.
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
    """In which order the data files that are there change, by the number of files before and after.

    Files that become more hold fewer rows each, so that rows move to later files: the last one first, then rows may be seen
    twice, never not at all. Files that become fewer: the first one first. That holds where each file begins at no later row
    than before, or each at no earlier one; so it is of a rewrite that has split the same source into larger or smaller files.
    Where some rows move to later files and others to earlier ones, or the number of files is the same, rows may be in no file
    for a moment.

    Args:
        changes: What gets a name, and what is deleted.
        present: Paths that are there, before anything has changed.
    """
    if not moves_rows(changes, present):
        return "any"
    folder = f"{layout.DATA_DIR}/"
    added = sum(addition.path.startswith(folder) and addition.path not in present for addition in changes.additions)
    deleted = sum(path.startswith(folder) for path in changes.deletions)
    return "last first" if added >= deleted else "first first"


def moves_rows(changes: Changes, present: Collection[str]) -> bool:
    """Whether a dataset that is there gets other data files than it had, so that rows are in other files than before."""
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

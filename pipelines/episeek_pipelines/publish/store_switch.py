"""In which order the files of a publication get their names, where that cannot be one step.

Each wave is done before the next begins; files of one wave change at about the same time. Deletions come after all of them.
"""

from collections.abc import Collection, Mapping

from episeek_pipelines.publish.changes import Changes
from episeek_pipelines.publish.local_files import SIDECAR_PATHS
from episeek_schemas import layout


def switch_waves(changes: Changes, present: Collection[str]) -> list[list[str]]:
    """The paths of the additions, wave by wave.

    Videos, data, the metadata beside `meta/episodes`, these, `meta/info.json`, the card, the sidecars: three tables, which
    readers refuse while they are of two builds, and the last. So a new dataset is none before its data is there, and is
    seekable last of all.

    Where the rewrite moves episodes between data files (`moves_rows`), it moves them to later files only. New files are then
    written first, and those that are there from the last one to the first, one by one: rows may be seen twice, never not at all.

    Args:
        changes: What gets a name.
        present: Paths that are there.
    """
    ranked: dict[int, list[str]] = {}
    for addition in changes.additions:
        ranked.setdefault(_rank(addition.path), []).append(addition.path)
    waves = []
    for rank, paths in sorted(ranked.items()):
        if rank == _DATA_RANK and moves_rows(changes, present):
            replaced = sorted((path for path in paths if path in present), reverse=True)
            new = [path for path in paths if path not in present]
            waves += [new, *([path] for path in replaced)]
        else:
            waves.append(sorted(paths))
    return [wave for wave in waves if wave]


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

"""Find the differences in the layout of two datasets: versions, files, row groups, sidecars (video index) and dataset card.

The layout is where the contents are stored. None of these differences is a difference of contents.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from episeek.errors import MissingFileError
from episeek_pipelines.comparison.documents import LAYOUT_KEYS, info_changes
from episeek_pipelines.comparison.identities import same_by_identity
from episeek_pipelines.comparison.results import NotCompared, ValueChange
from episeek_pipelines.comparison.rows.prints import DataFilePrint
from episeek_pipelines.comparison.side import Side
from episeek_schemas import layout, sidecars

_MAX_READ_BYTES: Final = 1 << 20
"""Size in bytes of the largest file, other than data and videos, that is read for the comparison."""


def layout_changes(
    a: Side,
    b: Side,
    pairs: Sequence[tuple[int, int]],
    read_a: Mapping[str, DataFilePrint],
    read_b: Mapping[str, DataFilePrint],
    same_files: Collection[tuple[str, str]],
) -> tuple[list[ValueChange], list[NotCompared]]:
    """Return the differences in the layout, and the parts of the layout that were not compared.

    Args:
        a: The first dataset.
        b: The second dataset.
        pairs: The pairs of episodes, each as the number in A and the number in B.
        read_a: The data files of A whose footers were read, by path. At level `meta`, no footers are read. At other levels, these
            are all declared files except the files that have the same bytes as a file of B.
        read_b: The data files of B whose footers were read, as for A.
        same_files: The pairs of data files with the same bytes, by their paths in A and B.
    """
    versions: list[Mapping[str, Any]] = [
        {**side.document, LAYOUT_KEYS[0]: side.dataset.found_version} for side in (a, b)
    ]
    found = info_changes(versions[0], versions[1], is_layout=True)
    _add(found, "data files", len(a.dataset.data_rows()), len(b.dataset.data_rows()))
    same_a, same_b = ({pair[place] for pair in same_files} for place in (0, 1))
    groups = [
        sum(each.row_group_count for path, each in read.items() if path not in same)
        for read, same in ((read_a, same_a), (read_b, same_b))
    ]
    if all(groups):
        _add(found, "row groups of data files that differ", *groups)
    moved = sum(a.data_paths[a.row_of[one]] != b.data_paths[b.row_of[other]] for one, other in pairs)
    if moved:
        found.append(ValueChange("episodes in another data file", None, moved))
    for camera in sorted(a.video_paths.keys() & b.video_paths.keys()):
        paths_a, paths_b = a.video_paths[camera], b.video_paths[camera]
        _add(found, f"videos of {camera}", len({*paths_a}), len({*paths_b}))
        moved = sum(paths_a[a.row_of[one]] != paths_b[b.row_of[other]] for one, other in pairs)
        if moved:
            found.append(ValueChange(f"episodes in another video of {camera}", None, moved))
    others, unread = _other_files(a, b)
    return [*found, *others], unread


def _other_files(a: Side, b: Side) -> tuple[list[ValueChange], list[NotCompared]]:
    """Return the differences in the sidecars, the card and other files, and the files that were not compared."""
    found: list[ValueChange] = []
    ours, theirs = (_foreign(side) for side in (a, b))
    index = {path for path, _ in sidecars.TABLES.values()}
    has_sidecars = [not index.isdisjoint(side) for side in (ours, theirs)]
    changed, unknown = [], []
    for path in sorted(ours.keys() & theirs.keys()):
        is_same = same_by_identity(a.root, path, ours[path], b.root, path, theirs[path])
        if is_same is None:
            size = getattr(ours[path], "size", None)
            is_same = _same_content(a, b, path) if size is not None and size <= _MAX_READ_BYTES else None
        if is_same is None:
            unknown.append(path)
        elif not is_same:
            changed.append(path)
    if has_sidecars[0] != has_sidecars[1]:
        _add(found, "sidecars", *("present" if has else "none" for has in has_sidecars))
    elif index & ({*changed} | (ours.keys() ^ theirs.keys())):
        found.append(ValueChange("sidecars", "present", "others"))
    only = [sorted({*one} - {*other} - index) for one, other in ((ours, theirs), (theirs, ours))]
    for path in layout.CARD_PATH, ".gitattributes":
        if path in changed:
            found.append(ValueChange(path, "present", "changed"))
        else:
            _add(found, path, *("present" if path in side else "none" for side in (ours, theirs)))
    left_out = {*index, layout.CARD_PATH, ".gitattributes"}
    _add(found, "other files", *(_named([path for path in paths if path not in left_out]) for paths in only))
    rest = [path for path in changed if path not in left_out]
    if rest:
        found.append(ValueChange("other files that differ", "", _named(rest)))
    unread = [NotCompared(_named(unknown), "too large to be read, and the identities in the stores do not decide")]
    return found, unread if unknown else []


def _foreign(side: Side) -> Mapping[str, Any]:
    """Return the files of one dataset that no other step of the comparison covers.

    Hidden files other than `.gitattributes` are left out.
    """
    known = {
        layout.INFO_PATH,
        layout.STATS_PATH,
        layout.TASKS_PATH,
        layout.SUBTASKS_PATH,
        *side.data_paths,
        *(path for path, _ in side.dataset.episodes.shards),
    }
    return {
        path: identity
        for path, identity in side.files.items()
        if path not in known and (path == ".gitattributes" or not any(part.startswith(".") for part in path.split("/")))
    }


def _same_content(a: Side, b: Side, path: str) -> bool | None:
    try:
        return a.root.read_bytes(path) == b.root.read_bytes(path)
    except MissingFileError:
        return None


def _add(found: list[ValueChange], key: str, a: Any, b: Any) -> None:
    if a != b:
        found.append(ValueChange(key, a, b))


def _named(paths: Sequence[str]) -> str:
    """Return the first three paths as text, with the number of the remaining paths; "none" without any path."""
    if not paths:
        return "none"
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more

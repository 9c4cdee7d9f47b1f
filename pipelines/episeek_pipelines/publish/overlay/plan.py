"""Plan a publication: find the files that it adds, replaces and deletes, and divide them into commits.

Files are compared by size and by the identity in the repository's listing, which is the SHA-256 of LFS or Git's blob id. A
publication deletes only Parquet files that the rewrite replaced, and unfinished tables of the byte index from stopped runs. It
never deletes videos, the card or other metadata. Files that a repository cannot contain are refused before anything is sent. The
module `episeek_pipelines.publish.overlay.target_check` checks whether the resulting files belong together.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from episeek.errors import EpiseekError, MissingSidecarError, NotADatasetError
from episeek_pipelines.dataset.digests import LocalDigests
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.existing_build import read_existing_build
from episeek_pipelines.publish.hub_limits import MAX_FOLDER_ENTRIES, MAX_OPERATIONS_PER_COMMIT, MAX_REPOSITORY_FILES
from episeek_pipelines.publish.overlay.changes import Addition, Changes, RemoteFiles
from episeek_pipelines.publish.overlay.file_comparison import has_digests
from episeek_pipelines.publish.overlay.files import SIDECAR_PATHS, sendable_files
from episeek_schemas import layout

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4095
"""`MAX_NAME_BYTES` and `MAX_PATH_BYTES` limit names and paths, so that a repository can be cloned on Linux (NAME_MAX, PATH_MAX)."""

_FORBIDDEN_PARTS = frozenset({"", ".", "..", ".git", ".cache"})


T = TypeVar("T")


class UnpublishableError(EpiseekError, ValueError):
    """The Hub's repository, or a clone of it on some file system, cannot contain the files to be published."""


def plan_changes(
    overlay: Root,
    remote: RemoteFiles,
    *,
    card: bytes | None,
    sidecars_only: bool,
    replaced_files: Mapping[str, bytes | str] = MappingProxyType({}),
    digests: LocalDigests | None = None,
    is_repository: bool = True,
) -> Changes:
    """Compare an overlay with the files of a repository or store, and return the changes that publish the overlay.

    Args:
        overlay: The output of `episeek prepare`; with `sidecars_only`, it may be the output of `episeek index --output`.
        remote: The files of the repository at a commit, or of the store.
        card: The content of the new README.md. None keeps the target's README.md, or sends the overlay's README.md if the target
            has none.
        sidecars_only: Send only `meta/byte_index/` and the card, and delete nothing.
        replaced_files: Contents or local paths, by path in the dataset, that are sent instead of the overlay's files.
        digests: Digests of local files that were computed before. They are reused, so that no file is read twice.
        is_repository: Whether the target is a repository. The numbers of files and conflicting names are checked only for a
            repository; forbidden paths are refused for every target.

    Raises:
        NotADatasetError: The overlay (with `sidecars_only`, the target) has no `meta/info.json`, or the overlay has no Parquet
            files in data/ or meta/episodes/.
        MissingSidecarError, MixedBuildError, SidecarLayoutError, FormatVersionError: The overlay has no complete byte index.
        UnpublishableError: A repository cannot contain one of the paths, or would have too many files or conflicting names.
        ReadError: A file cannot be read, or is being written.
    """
    contents: dict[str, str | bytes] = {**sendable_files(overlay), **replaced_files}
    if layout.INFO_PATH not in (remote if sidecars_only else contents):
        where = "the repository" if sidecars_only else str(overlay)
        raise NotADatasetError(where, f"no {layout.INFO_PATH}", "the root of a prepared LeRobot v3.0 dataset")
    for folder in () if sidecars_only else (layout.DATA_DIR, layout.EPISODES_DIR):
        if not any(_is_rewritten(path, folder) for path in contents):
            raise NotADatasetError(
                overlay.join(folder), "no Parquet files", "the Parquet files that `episeek prepare` writes"
            )
    for path in sorted(SIDECAR_PATHS - contents.keys()):
        raise MissingSidecarError(overlay.join(path), "no such file", "a sidecar table", "run `episeek prepare`")
    read_existing_build(overlay)
    if sidecars_only:
        contents = {path: content for path, content in contents.items() if path in SIDECAR_PATHS}
    if card is not None:
        contents[layout.CARD_PATH] = card
    elif layout.CARD_PATH in remote:
        # Somebody may have edited the target's card since the overlay was prepared.
        contents.pop(layout.CARD_PATH, None)
    paths = sorted(contents)
    for path in paths:
        _require_path(path)
    deletions = () if sidecars_only else tuple(sorted(path for path in remote if _is_replaced(path, contents)))
    if is_repository:
        _require_room(frozenset(remote), paths, deletions)
    found = (digests or LocalDigests()).of_all([contents[path] for path in paths])
    additions = tuple(
        Addition(path, contents[path], digest.size, digest.sha256)
        for path, digest in zip(paths, found, strict=True)
        if not has_digests(remote.get(path), digest)
    )
    return Changes(additions, deletions, unchanged_count=len(paths) - len(additions))


def split_changes(changes: Changes, max_operations: int = MAX_OPERATIONS_PER_COMMIT) -> list[Changes]:
    """Divide changes into parts that are small enough for one commit each, in the order in which the commits have to be made.

    Videos and data come first, then metadata, the byte index and the card, and deletions come last. Readers find new data through
    `meta/episodes` and `meta/info.json`, so these files are in the last part that adds files. The last part has as many files as
    allowed, so that files that belong together arrive together.

    Args:
        changes: The changes of one publication.
        max_operations: Largest number of files that one part adds, replaces and deletes.

    Raises:
        ValueError: `max_operations` is less than 1.
    """
    if max_operations < 1:
        raise ValueError(f"max_operations: found {max_operations}; expected 1 or more")
    additions = sorted(changes.additions, key=lambda addition: (_rank(addition.path), addition.path))
    # The first part takes the remainder, so that the last part is full: it contains the files that belong together.
    first = len(additions) % max_operations or max_operations
    added = [additions[:first], *_chunks(additions[first:], max_operations)]
    room = max_operations - len(added[-1])
    parts: list[tuple[Sequence[Addition], Sequence[str]]] = [(part, ()) for part in added[:-1]]
    parts.append((added[-1], changes.deletions[:room]))
    parts += [((), part) for part in _chunks(changes.deletions[room:], max_operations)]
    return [
        Changes(
            tuple(sorted(part, key=lambda addition: addition.path)),
            tuple(deletions),
            unchanged_count=0 if number else changes.unchanged_count,
        )
        for number, (part, deletions) in enumerate(parts)
        if part or deletions
    ]


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _rank(path: str) -> int:
    if path == layout.INFO_PATH:
        return 7
    if path.startswith(f"{layout.EPISODES_DIR}/"):
        return 6
    if path == layout.CARD_PATH:
        return 5
    if path.startswith(f"{layout.BYTE_INDEX_DIR}/"):
        return 4
    folders = (layout.META_DIR, layout.DATA_DIR, layout.VIDEOS_DIR)
    return next((3 - number for number, folder in enumerate(folders) if path.startswith(f"{folder}/")), 0)


def _is_replaced(path: str, contents: Mapping[str, object]) -> bool:
    """Return whether a file of the target has to be deleted because the publication replaces it.

    Such files are the unfinished tables of the byte index, and all Parquet files below `data/` and `meta/episodes/` that are not
    among `contents`, the files of the published dataset.
    """
    if path.startswith(f"{layout.BYTE_INDEX_PARTIAL_DIR}/"):
        return True
    is_rewritten = _is_rewritten(path, layout.DATA_DIR) or _is_rewritten(path, layout.EPISODES_DIR)
    return is_rewritten and path not in contents


def _is_rewritten(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/") and path.endswith(".parquet")


# --- limits of a repository -----------------------------------------------------------------------------------------------------


def _require_path(path: str) -> None:
    problem = ""
    parts = path.split("/")
    if not _FORBIDDEN_PARTS.isdisjoint(parts):
        problem = "an empty name, '.', '..', '.git' or '.cache' in the path"
    elif any(unicodedata.category(character) in ("Cc", "Cs") for character in path) or "\\" in path:
        problem = "a control character, a backslash or bytes that are not UTF-8 in the path"
    elif max(len(part.encode()) for part in parts) > MAX_NAME_BYTES or len(path.encode()) > MAX_PATH_BYTES:
        problem = f"a name of more than {MAX_NAME_BYTES} bytes, or a path of more than {MAX_PATH_BYTES} bytes"
    if problem:
        raise UnpublishableError(repr(path), problem, "a path that a repository and its clones can contain")


def _require_room(before: frozenset[str], added: list[str], deletions: Iterable[str]) -> None:
    """Raise UnpublishableError if the repository would have too many files, or if a folder of new files would be too large.

    The error is also raised if names of new files conflict with other names.
    """
    after = (before - frozenset(deletions)).union(added)
    if len(after) > MAX_REPOSITORY_FILES:
        raise UnpublishableError(
            "the repository", f"{len(after)} files after the change", f"at most {MAX_REPOSITORY_FILES}"
        )
    entries: dict[str, set[str]] = {}
    for path in after:
        for folder, name in _entries(path):
            entries.setdefault(folder, set()).add(name)
    new = [path for path in added if path not in before]
    touched = {folder for path in new for folder, _ in _entries(path)}
    for folder in sorted(touched):
        if len(entries[folder]) > MAX_FOLDER_ENTRIES:
            found = f"{len(entries[folder])} entries after the change"
            raise UnpublishableError(folder or "the repository's root", found, f"at most {MAX_FOLDER_ENTRIES}")
    _require_names(entries, after, new)


def _require_names(entries: Mapping[str, set[str]], after: frozenset[str], new: list[str]) -> None:
    """Raise UnpublishableError if the name of a new file conflicts with another name in the same folder.

    Two names conflict if they differ only in case, or if a file and a folder would have the same name.
    """
    same_folded: dict[tuple[str, str], list[str]] = {}
    for folder in {folder for path in new for folder, _ in _entries(path)}:
        for name in sorted(entries[folder]):
            same_folded.setdefault((folder, name.casefold()), []).append(name)
    for path in new:
        if path in entries:
            raise UnpublishableError(path, "a folder of the same name in the repository", "a name that is not in use")
        for folder, name in _entries(path):
            if folder in after:
                raise UnpublishableError(
                    path, f"{folder!r}, which is a file in the repository", "a folder, or a name that is not in use"
                )
            names = same_folded[folder, name.casefold()]
            if len(names) > 1:
                other = next(other for other in names if other != name)
                found = f"{other!r} in the same folder after the change"
                expected = "names that differ in more than case, since some file systems ignore case"
                raise UnpublishableError(path, found, expected)


def _entries(path: str) -> Iterator[tuple[str, str]]:
    """Yield each folder on a path, beginning with the root (the empty string), together with the next name on the path.

    For example, `a/b/c` gives ("", "a"), ("a", "b") and ("a/b", "c").
    """
    parts = path.split("/")
    for depth, name in enumerate(parts):
        yield "/".join(parts[:depth]), name

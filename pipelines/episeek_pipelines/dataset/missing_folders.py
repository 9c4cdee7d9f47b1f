"""Find folders that the metadata refers to and that do not exist, each with the existing folder that is probably meant.

A folder `video/` instead of `videos/`, `Data/` instead of `data/`, or a camera's folder under another name is a single defect,
however many files the folder contains.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from episeek.errors import MissingFileError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.words import counted
from episeek_schemas import layout

MOST_LISTED: Final = 3
"""Greatest number of folders at the root whose files are listed for comparison, the most similar names first."""

SIMILAR: Final = 0.7
"""Smallest `difflib.SequenceMatcher.ratio` at which one name may be a misspelling of the other."""


@dataclass(frozen=True, slots=True)
class MissingFolder:
    """A folder that does not exist, although the metadata refers to files in it."""

    folder: str
    """Path of the folder, relative to the root. All paths in this module are relative to the root."""
    files: tuple[str, ...]
    """The files in it that the metadata refers to."""
    meant: str = ""
    """The folder next to it that contains files with the same names, or has a similar name; empty if no such folder exists."""
    held: int = 0
    """The number of `files` that exist in `meant`."""

    @property
    def found(self) -> str:
        """A noun phrase that says which folder was found instead."""
        if not self.meant:
            return "no such folder"
        held = f"contains {self.held:,} of the {len(self.files):,} files" if self.held else "has a similar name"
        return f"no such folder, but {self.meant}/ {held}"


def missing_folders(
    root: Root, missing: Iterable[str], *, listed: Collection[str], declared: Collection[str]
) -> tuple[list[MissingFolder], set[str]]:
    """Return the folders that explain why files are missing, and the missing files that no folder explains.

    Args:
        root: The root of the files. It is listed only if a folder directly below it is missing.
        missing: Paths of the missing files.
        listed: Paths of the existing files, at least those below `data/` or `videos/`.
        declared: Paths of all files that the metadata refers to. A folder with any of these files is not misnamed.
    """
    existing = {folder for path in listed for folder in _folders_of(path)}
    files_of: dict[str, list[str]] = {}
    others: set[str] = set()
    for path in missing:
        folder = next((folder for folder in _folders_of(path) if folder not in existing), None)
        if folder is None:
            others.add(path)
        else:
            files_of.setdefault(folder, []).append(path)
    found = []
    for folder, files in sorted(files_of.items()):
        candidates = _at_root(root, folder) if "/" not in folder else _beside(folder, existing, listed)
        meant, held = _meant(folder, files, candidates, {*declared})
        found.append(MissingFolder(folder, tuple(files), meant, held))
    return found, others


def require_folders(root: Root, declared: Collection[str], listed: Collection[str]) -> None:
    """Raise MissingFileError if files that the metadata refers to are in a folder with a different name.

    Raises:
        MissingFileError: A folder does not exist, and a folder next to it contains its files.
    """
    missing = [path for path in declared if path not in listed]
    for folder in missing_folders(root, missing, listed=listed, declared=declared)[0]:
        if folder.held:
            expected = f"the folder of {counted(len(folder.files), 'file')} that the metadata refers to"
            raise MissingFileError(
                root.join(folder.folder), folder.found, expected, f"rename {folder.meant}/ to {folder.folder}/"
            )


def _folders_of(path: str) -> Iterator[str]:
    """Yield the paths of the folders that contain a file, given the path of the file, the outermost folder first."""
    parts = path.split("/")
    for count in range(1, len(parts)):
        yield "/".join(parts[:count])


def _at_root(root: Root, folder: str) -> Iterator[tuple[str, Collection[str]]]:
    """Yield up to `MOST_LISTED` folders directly below the root with their files, the names most similar to `folder` first."""
    known = (folder, layout.META_DIR)
    names = [name for name in root.folders() if name not in known and not name.startswith(".")]
    for name in sorted(names, key=lambda name: (-_similarity(name, folder), name))[:MOST_LISTED]:
        yield name, root.list(name)


def _beside(folder: str, existing: Collection[str], listed: Collection[str]) -> Iterator[tuple[str, Collection[str]]]:
    """Yield the folders that are next to `folder`, with their files, the most similar names first."""
    parent = folder.rpartition("/")[0]
    names = [name for name in existing if name.rpartition("/")[0] == parent]
    for name in sorted(names, key=lambda name: (-_similarity(name, folder), name)):
        yield name, {path for path in listed if path.startswith(f"{name}/")}


def _meant(
    folder: str, files: list[str], candidates: Iterable[tuple[str, Collection[str]]], declared: set[str]
) -> tuple[str, int]:
    """Return the candidate that is probably meant, and how many of the files exist in it.

    The candidate with the most files is preferred. If no candidate has any of the files, a candidate with a similar name is
    returned. Candidates with files in `declared` are skipped. The result is `("", 0)` if no candidate remains.
    """
    best, similar = ("", 0), ""
    for name, contents in candidates:
        present = {*contents}
        if present & declared:
            continue
        held = sum(name + path[len(folder) :] in present for path in files)
        if held > best[1]:
            best = (name, held)
        if not similar and present and _similarity(name, folder) >= SIMILAR:
            similar = name
    return best if best[1] else (similar, 0)


def _similarity(name: str, other: str) -> float:
    return SequenceMatcher(None, name.casefold(), other.casefold()).ratio()

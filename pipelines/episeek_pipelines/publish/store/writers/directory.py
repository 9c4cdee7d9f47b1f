"""Write into a local or mounted directory, in which each file is replaced with a rename."""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from episeek.errors import DestinationError, MissingFileError, WriteError, described
from episeek_pipelines.dataset.local_files import writing
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.overlay.changes import STAGED_PREFIX, Listing
from episeek_pipelines.publish.store.writers.writer import Move

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
"""Error numbers of file systems that have no hard links."""


@dataclass(frozen=True, slots=True)
class DirectoryWriter:
    """A writer for a local or mounted directory."""

    root: Root

    @property
    def has_whole_puts(self) -> bool:
        """Return True, because a file is written under another name and then renamed, so it appears as a whole."""
        return True

    def files(self) -> Listing:
        """Return a new listing of the files, without hidden files.

        Staged files (files that do not have their final names yet) are left out if their folder is a symbolic link.
        """
        found = {path: identity for path, identity in self.root.files().items() if not _is_hidden(path)}
        linked = {folder for folder in _folders(found) if (self.root.local / folder).is_symlink()}
        return {
            path: identity
            for path, identity in found.items()
            if not path.startswith(STAGED_PREFIX) or linked.isdisjoint(_folders([path]))
        }

    def require_inside(self, paths: Iterable[str]) -> None:
        """Raise an error unless the folders of all files are in this root and on its file system, so that files can be renamed.

        Raises:
            DestinationError: A folder is a symbolic link, or is on another file system.
        """
        folders = sorted(_folders((f"{STAGED_PREFIX}file", *paths)))
        if not self.root.local.is_dir():
            return
        device = _device_of(self.root.local)
        for folder in folders:
            here = self.root.local / folder
            if here.is_symlink():
                expected = "a folder, not a link, since the publication would change the files in the link's target"
                raise DestinationError(str(here), f"a link to {here.resolve()}", expected)
            if here.exists() and _device_of(here) != device:
                expected = "a folder on the same file system as the dataset, since files are renamed into it"
                raise DestinationError(str(here), "a folder on another file system", expected)

    def put(self, files: Sequence[tuple[str, str | bytes]]) -> None:
        """Write files one after the other, since all of them go to the same disk."""
        self.require_inside([path for path, _ in files])
        for path, content in files:
            with self.root.output(path) as stream:
                if isinstance(content, bytes):
                    stream.write(content)
                else:
                    with open(content, "rb") as source:
                        shutil.copyfileobj(source, stream, 1 << 20)

    def create(self, path: str, data: bytes) -> bool:
        """Create a small file unless it exists, and return whether it was certainly created.

        The content is first written under another name. Then a hard link with the final name is made, which fails if the name
        exists.
        """
        self.require_inside([path])
        target = self.root.local / path
        beside = f"{path}.{os.getpid()}.{id(data):x}"
        self.root.write_bytes(beside, data)
        try:
            with writing(target):
                os.link(self.root.local / beside, target)
        except WriteError as error:
            if getattr(error.__cause__, "errno", None) in _NO_LINKS:
                self.root.write_bytes(path, data)
            elif not isinstance(error.__cause__, FileExistsError):
                raise
            return False
        finally:
            self.root.remove(beside)
        return True

    def switch(
        self, waves: Sequence[Sequence[Move]], deletions: Sequence[str], *, before_deletions: Callable[[], None]
    ) -> None:
        """Rename the sent files to their final names, one after the other, and delete other files last."""
        self.require_inside([move.path for wave in waves for move in wave])
        for wave in waves:
            for move in wave:
                target = self.root.local / move.path
                try:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(self.root.local / move.staged, target)
                except OSError as error:
                    expected = f"a rename of the staged file {move.staged} to this name"
                    kind = MissingFileError if error.errno == errno.ENOENT else WriteError
                    raise kind(str(target), described(error), expected) from error
        before_deletions()
        self.delete(deletions)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files, and the folders that are empty afterwards."""
        self.require_inside(paths)
        for path in paths:
            target = self.root.local / path
            with writing(target):
                target.unlink(missing_ok=True)
            with suppress(OSError):
                for folder in target.parents:
                    if folder == self.root.local:
                        break
                    folder.rmdir()


def _device_of(folder: Path) -> int:
    return folder.stat().st_dev


def _folders(paths: Iterable[str]) -> set[str]:
    """Return all folders, except the root itself, that contain at least one of the files at any depth."""
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/")) and not path.startswith(STAGED_PREFIX)

"""Writing into a directory of this machine, or one that is mounted: each file changes by a rename."""

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from episeek.errors import MissingFileError, WriteError, described
from episeek_pipelines.publish.store_contents import STAGED_PREFIX, Listing
from episeek_pipelines.publish.store_writers import Move
from episeek_pipelines.storage import Root, writing

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
"""What file systems without hard links say."""


@dataclass(frozen=True, slots=True)
class DirectoryWriter:
    """A directory of this machine, or one that is mounted."""

    root: Root

    @property
    def has_whole_puts(self) -> bool:
        """By a rename."""
        return True

    def files(self) -> Listing:
        """As they are now, but for what is hidden or being written."""
        return {path: identity for path, identity in self.root.files().items() if not _is_hidden(path)}

    def put(self, files: Sequence[tuple[str, str | bytes]]) -> None:
        """One after the other: they wait for one disk."""
        for path, content in files:
            with self.root.output(path) as stream:
                if isinstance(content, bytes):
                    stream.write(content)
                else:
                    with open(content, "rb") as source:
                        shutil.copyfileobj(source, stream, 1 << 20)

    def create(self, path: str, data: bytes) -> bool:
        """A link to a file that is whole, which fails where there is one."""
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
        """One rename a file."""
        for wave in waves:
            for move in wave:
                target = self.root.local / move.path
                try:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(self.root.local / move.staged, target)
                except OSError as error:
                    expected = f"to rename {move.staged} to it"
                    kind = MissingFileError if error.errno == errno.ENOENT else WriteError
                    raise kind(str(target), described(error), expected) from error
        before_deletions()
        self.delete(deletions)

    def delete(self, paths: Sequence[str]) -> None:
        """And the folders that are empty then."""
        for path in paths:
            target = self.root.local / path
            with writing(target):
                target.unlink(missing_ok=True)
            with suppress(OSError):
                for folder in target.parents:
                    if folder == self.root.local:
                        break
                    folder.rmdir()


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/")) and not path.startswith(STAGED_PREFIX)

"""List local folders, and write local files that appear complete or not at all."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from episeek.errors import MissingFileError, ReadError, WriteError, first_line

TEMPORARY_SUFFIX: Final = ".tmp"
"""Suffix of the name of a file that is being written. A run that was killed may leave such a file."""


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and each folder below it, with the names of its files.

    Symbolic links to folders are followed, unless they lead to a folder that contains the link.

    Raises:
        ReadError: A folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        # An unreadable folder must not be treated as an empty folder.
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise ReadError(str(error.filename), first_line(error), "a readable directory") from error

    for found, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(found)
        if here.is_symlink() and here.parent.resolve().is_relative_to(here.resolve()):
            folders.clear()
            continue
        yield found, names


@contextmanager
def local_output(target: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that is renamed to `target` when the block ends without an error, and removed otherwise.

    Raises:
        WriteError: The file cannot be written.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        name = target.parent / f".{target.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
        handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with writing(target):
            with os.fdopen(handle, "wb") as stream:
                yield stream
            os.replace(name, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Convert OSError within the `with` block into a WriteError that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error, WriteError | ReadError | MissingFileError):
            raise
        reason = "no space left on the device" if error.errno == errno.ENOSPC else os.strerror(error.errno).lower()
        raise WriteError(str(target), reason, "a writable destination with free space") from error

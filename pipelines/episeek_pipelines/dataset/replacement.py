"""Replace a directory by another one, in a single step if the system supports it.

Linux exchanges two directories in one call (renameat2(2), RENAME_EXCHANGE), so that the name always leads to one of them. Elsewhere
the old directory is renamed first, and for a moment no directory has its name. `settle_replacement` finishes or undoes a
replacement during which the process was killed.
"""

import ctypes
import errno
import os
import shutil
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_UNSUPPORTED: Final = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def replace_directory(new: Path, old: Path) -> None:
    """Give the directory `new` the name of the directory `old`, and remove the old directory.

    Raises:
        OSError: A rename failed; `old` has not changed.
    """
    if not _exchange(new, old):
        os.rename(old, _aside(old))
        try:
            os.rename(new, old)
        except OSError:
            os.rename(_aside(old), old)
            raise
    # the old files have the new name after an exchange, and the name of the aside folder after two renames
    for leftover in (new, _aside(old)):
        shutil.rmtree(leftover, ignore_errors=True)


def settle_replacement(new: Path, old: Path, *, inode: int) -> bool:
    """Finish or undo a replacement during which the process was killed, and return whether it was finished.

    Args:
        new: The directory that was to get the name of `old`.
        old: The directory that was to be replaced.
        inode: The inode of `new` before the replacement.
    """
    aside = _aside(old)
    if old.is_dir() and old.stat().st_ino == inode:
        for leftover in (new, aside):
            shutil.rmtree(leftover, ignore_errors=True)
        return True
    if aside.is_dir() and not old.exists():
        os.rename(aside, old)
    return False


def _aside(old: Path) -> Path:
    return old.with_name(f".{old.name}.replaced")


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two directories in one step. Return False if the system does not support it."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(second))

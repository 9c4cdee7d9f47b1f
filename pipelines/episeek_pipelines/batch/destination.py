"""Put the results of a batch at their destinations below OUT, the folder of the results.

If OUT is on this machine, a dataset is written into a work folder, and renamed to its destination when it is complete. So nobody
sees an incomplete dataset, and an older result stays until the new result is complete. A store cannot rename folders. If OUT is in
a store, an older result is removed first, and the new result is written to its destination directly.
"""

import os
from contextlib import suppress
from typing import Final

from episeek.errors import DestinationError, WriteError, first_line
from episeek_pipelines.dataset.root import Root
from episeek_schemas import layout
from episeek_schemas.batch import BATCH_DIR, WORK_DIR

_NEW: Final = "new"
_OLD: Final = "old"
"""Names of two folders in the work folder of a dataset: for the new result, and for the older result that it replaces."""


def require_free(final: Root) -> None:
    """Raise an error if files already exist at the destination of a result.

    Raises:
        DestinationError: The destination is a file, or a folder that is not empty.
    """
    if final.is_local:
        path = final.local
        taken = sorted(os.listdir(path))[:1] if path.is_dir() else [path.name] if os.path.lexists(path) else []
    else:
        taken = final.list()[:1]
    if taken:
        hint = "remove the files, or give another destination in the manifest"
        raise DestinationError(
            str(final), f"existing files, the first of them {taken[0]!r}", "no files, or a result of this batch", hint
        )


def place_aside(out: Root, key: str) -> Root:
    """Return the folder into which a result on this machine is written before it is renamed to its destination.

    Args:
        out: The folder of the results.
        key: The name of the dataset's folder in the ledger (the record of each dataset's state).
    """
    return Root(out.join(f"{WORK_DIR}/{key}/{_NEW}"))


def put_in_place(aside: Root, final: Root) -> None:
    """Rename a complete dataset to its destination, and remove the older result that was there.

    If the process is killed during this function, a later call does the remaining steps.

    Raises:
        WriteError: A rename failed; the complete dataset stays in the work folder.
    """
    old = _old(aside)
    try:
        if aside.is_dir():
            final.local.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                if final.local.is_symlink() or any(final.local.iterdir()):
                    _remove(old)
                    os.rename(final.local, old.local)
            os.rename(aside.local, final.local)
        _remove(old)
        with suppress(OSError):
            # The folder is not empty if it also contains files of a stopped run. The next attempt uses these files.
            aside.local.parent.rmdir()
    except OSError as error:
        raise WriteError(
            str(final), first_line(error), f"a successful rename of the complete dataset {aside} to this path"
        ) from error


def put_back(aside: Root, final: Root) -> None:
    """Move an older result back to its destination if the process was killed after `put_in_place` had moved the result away.

    The caller does this before it prepares the dataset again.

    Raises:
        WriteError: The rename failed; the older result stays in the work folder.
    """
    old = _old(aside)
    if old.is_dir() and not final.is_dir():
        try:
            os.rename(old.local, final.local)
        except OSError as error:
            raise WriteError(
                str(final), first_line(error), f"a successful rename of the older result {old} to this path"
            ) from error


def _old(aside: Root) -> Root:
    """Return the folder to which `put_in_place` moves the older result, until the new result is in place."""
    return Root(str(aside.local.with_name(_OLD)))


def _remove(old: Root) -> None:
    """Remove an older result; if it is a symbolic link, remove only the link."""
    if old.local.is_symlink():
        old.local.unlink()
    else:
        old.remove("")


def require_out(out: Root) -> None:
    """Raise an error unless OUT can contain the results of a batch.

    Raises:
        DestinationError: OUT is a repository of the Hub, a file or a dataset.
    """
    if out.kind.has_history:
        hint = "give a folder or a prefix in a store as OUT; add --publish to publish onto the Hub"
        raise DestinationError(str(out), "a repository on the Hub as OUT", "a folder, or a prefix in a store", hint)
    if out.is_local and out.local.exists() and not out.local.is_dir():
        raise DestinationError(str(out), "a file", "a folder for the results")
    if out.exists(layout.INFO_PATH):
        found = "a dataset"
        raise DestinationError(str(out), found, f"a folder for the results and {BATCH_DIR}/", "give another folder")

"""The places of a batch's results: below OUT, empty until a dataset is complete, and replaced when its source has changed.

On this machine a dataset is written aside and renamed to its place, so that nobody sees half of it, and an older result stays until
the new one is complete. A store cannot rename: there, an older result is removed first.
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
"""Names below the work folder of a dataset: each dataset has a folder of its own, so that no two names can meet."""


def require_free(final: Root) -> None:
    """Require that nothing is at the place of a result.

    Raises:
        DestinationError: There is something that no run of this batch has written.
    """
    if final.is_local:
        path = final.local
        taken = sorted(os.listdir(path))[:1] if path.is_dir() else [path.name] if os.path.lexists(path) else []
    else:
        taken = final.list()[:1]
    if taken:
        hint = "remove it, or give another destination in the manifest"
        raise DestinationError(
            str(final), f"something there, {taken[0]!r} first", "nothing, or a result of this batch", hint
        )


def place_aside(out: Root, key: str) -> Root:
    """Return where a dataset of this machine is written until it is complete.

    Args:
        out: The folder of the results.
        key: The name of the dataset in the ledger.
    """
    return Root(out.join(f"{WORK_DIR}/{key}/{_NEW}"))


def put_in_place(aside: Root, final: Root) -> None:
    """Rename a complete dataset to its place; an older result goes away. Does what is left of it after a kill.

    Raises:
        WriteError: A rename failed; the complete dataset stays where it is.
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
            # refused where a stopped run has left more, for which the next attempt looks
            aside.local.parent.rmdir()
    except OSError as error:
        raise WriteError(str(final), first_line(error), f"the complete dataset {aside}, renamed to it") from error


def put_back(aside: Root, final: Root) -> None:
    """Undo a replacement that was killed between its two renames, where the new result is not to be used.

    Raises:
        WriteError: The rename failed; the older result stays where it is.
    """
    old = _old(aside)
    if old.is_dir() and not final.is_dir():
        try:
            os.rename(old.local, final.local)
        except OSError as error:
            raise WriteError(str(final), first_line(error), f"the older result {old}, renamed back to it") from error


def _old(aside: Root) -> Root:
    """Return where an older result is between the two renames."""
    return Root(str(aside.local.with_name(_OLD)))


def _remove(old: Root) -> None:
    """Remove an older result; of one that is a symbolic link, the link alone."""
    if old.local.is_symlink():
        old.local.unlink()
    else:
        old.remove("")


def require_out(out: Root) -> None:
    """Require that OUT can hold a batch: a folder or prefix that is no repository and no dataset.

    Raises:
        DestinationError: It cannot.
    """
    if out.kind.has_history:
        hint = "give a folder or a prefix of a store, and --publish to publish"
        raise DestinationError(
            str(out), "a repository on the Hub, as OUT", "a place without a history of commits", hint
        )
    if out.is_local and out.local.exists() and not out.local.is_dir():
        raise DestinationError(str(out), "a file", "a folder for the results")
    if out.exists(layout.INFO_PATH):
        found = "a dataset"
        raise DestinationError(str(out), found, f"a folder for the results and {BATCH_DIR}/", "give another folder")

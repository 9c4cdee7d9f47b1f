"""A destination that appears when it is complete, and a place beside it where a run that was stopped can go on.

Locally, everything is written below `DST.partial` and renamed to `DST` at the end: one rename, so that nobody sees half
of it. An object store has no rename: there, objects are written under their names, `meta/info.json` last, since nothing
is a dataset without it. In both, `.episeek-work/` holds the receipts of finished work and the plan they belong to; it
is gone when the work is done.
"""

import fcntl
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from episeek.errors import DestinationError, WriteError
from episeek_pipelines.storage import Root, first_line, writing
from episeek_schemas import layout

WORK_DIR = ".episeek-work"
_PLAN = f"{WORK_DIR}/plan.json"
_LOCK = f"{WORK_DIR}/lock"


@dataclass(frozen=True, slots=True)
class Staging:
    """Where a run writes: `root` until `commit`, then `final`."""

    final: Root
    root: Root
    is_resumed: bool
    lock: int | None = field(default=None, repr=False)
    """An open file, locked while this run goes on; an object store has none."""

    @property
    def work(self) -> Root:
        """Receipts and intermediate files."""
        return Root(self.root.join(WORK_DIR))

    def commit(self) -> None:
        """Make the result visible under its name.

        Raises:
            WriteError: The rename failed; the result stays where it was written.
        """
        if not self.root.is_local:
            self.root.remove(WORK_DIR)
            return
        receipts = _receipts_aside(self.final)
        try:
            os.rename(self.work.local, receipts)  # so that DST never shows them, not even for a moment
            os.rename(self.root.local, self.final.local)  # replaces an empty directory
            Root(str(receipts.parent)).remove(receipts.name)
        except OSError as error:
            raise WriteError(str(self.final), first_line(error), f"to rename {self.root} to it") from error
        finally:
            _unlock(self.lock)

    def abandon_if_empty(self) -> None:
        """Stop; when no work was finished, remove what was staged: there is nothing to go on from."""
        _remove_if_empty(self.root)
        _unlock(self.lock)


@dataclass(frozen=True, slots=True)
class ReplacingStaging:
    """Where new sidecars of `final` are written, to replace those that are there all at once.

    Locally that is a directory beside them and two renames. In an object store the four tables are put one after the
    other; a reader that sees some of each build refuses them by their build ids.
    """

    final: Root
    lock: int | None = field(default=None, repr=False)

    @property
    def root(self) -> Root:
        """The root below which `meta/byte_index` is written."""
        return Root(f"{self.final.join(layout.BYTE_INDEX_DIR)}.partial") if self.final.is_local else self.final

    @property
    def work(self) -> Root:
        """Receipts and intermediate files."""
        return Root(f"{self.final.join(layout.BYTE_INDEX_DIR)}.partial/{WORK_DIR}")

    def commit(self) -> None:
        """Put the new tables in place of the old ones.

        Raises:
            WriteError: A rename failed.
        """
        target = self.final.join(layout.BYTE_INDEX_DIR)
        try:
            if self.final.is_local:
                if os.path.exists(target):
                    os.rename(target, self.root.join("replaced"))
                os.rename(self.root.join(layout.BYTE_INDEX_DIR), target)
            self.final.remove(f"{layout.BYTE_INDEX_DIR}.partial")
        except OSError as error:
            raise WriteError(target, first_line(error), "to rename the new sidecars to it") from error
        finally:
            _unlock(self.lock)

    def abandon_if_empty(self) -> None:
        """Stop; when no work was finished, remove what was staged."""
        if self.root.is_local:
            _remove_if_empty(self.root)
        _unlock(self.lock)


def open_replacing_staging(target: Root) -> ReplacingStaging:
    """Prepare to write new sidecars below a root.

    Raises:
        DestinationError: Another run is writing them.
        WriteError: It cannot be written.
    """
    staging = ReplacingStaging(target)
    return ReplacingStaging(target, _lock(staging.root))


def open_staging(source: Root, final: Root, plan: dict[str, Any]) -> Staging:
    """Prepare to write `final`, or to go on with a run that was stopped.

    Args:
        source: The dataset read, which may not lie in the destination nor hold it.
        final: The destination: not there, or an empty directory.
        plan: What decides the result; a run goes on only where these are the same.

    Raises:
        DestinationError: The destination holds something, overlaps the source, or holds an unfinished run of another
            plan.
        WriteError: It cannot be written.
    """
    _require_apart(source, final)
    if final.is_local and final.local.is_symlink() and final.local.is_dir():
        final = Root(str(final.local.resolve()))  # a link cannot be replaced by a rename
    root = Root(f"{final.url}.partial") if final.is_local else final
    document = json.dumps(plan, sort_keys=True, separators=(",", ":"))
    if final.is_local:
        _require_empty(final)
        _recover_receipts(final, root)
    is_resumed = root.exists(_PLAN)
    if final.is_local:
        if not is_resumed and any(path != _LOCK for path in root.list()):
            raise DestinationError(
                str(root), "a directory that is not an unfinished run", "nothing there: it is needed while writing"
            )
    elif not is_resumed and (held := final.list()):
        raise DestinationError(str(final), f"{len(held)} objects, {held[0]} first", "an empty destination")
    if is_resumed and root.read_bytes(_PLAN).decode() != document:
        raise DestinationError(
            str(root),
            "an unfinished run with another source, other options or another version",
            "the same command as then, or remove it to start afresh",
        )
    lock = _lock(root)
    if not is_resumed:
        try:
            root.write_bytes(_PLAN, document.encode())
        except WriteError:
            _remove_if_empty(root)
            _unlock(lock)
            raise
    return Staging(final, root, is_resumed, lock)


def prune(root: Root, paths: set[str]) -> None:
    """Remove the files below a root that are neither receipts nor among `paths`."""
    for path in root.list():
        if path not in paths and not path.startswith(f"{WORK_DIR}/"):
            root.remove(path)


def _receipts_aside(final: Root) -> Path:
    """Where receipts are while the result gets its name."""
    return final.local.with_name(f".{final.local.name}.episeek-work")


def _recover_receipts(final: Root, root: Root) -> None:
    """Undo a commit that was killed between its two renames, or clean up after one that was killed behind them."""
    receipts = _receipts_aside(final)
    if not receipts.is_dir():
        return
    if root.is_dir() and not (root.local / WORK_DIR).exists():
        os.rename(receipts, root.local / WORK_DIR)
    else:
        Root(str(receipts.parent)).remove(receipts.name)


def _lock(root: Root) -> int | None:
    """Keep other runs out while this one goes on; the system lets go of the lock when the process ends, however it ends."""
    if not root.is_local:
        return None
    with writing(root.local):
        (root.local / WORK_DIR).mkdir(parents=True, exist_ok=True)
        handle = os.open(root.local / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise DestinationError(str(root), "another run that is writing it", "one run at a time") from None
    return handle


def _unlock(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _require_apart(source: Root, final: Root) -> None:
    if not (source.is_local and final.is_local):
        if source.url == final.url:
            raise DestinationError(str(final), "the source itself", "another place")
        return
    here, there = source.local.resolve(), final.local.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise DestinationError(str(final), f"a place in or around the source {source}", "a directory apart from it")


def _require_empty(final: Root) -> None:
    path = final.local
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        if names:
            found = f"{len(names)} entries, {names[0]!r} first"
            raise DestinationError(str(final), found, "an empty directory, or none")
        if os.path.ismount(path):
            raise DestinationError(str(final), "a mount point", "a directory below it, which can be renamed into place")
    elif path.exists() or path.is_symlink():
        raise DestinationError(str(final), "a file", "an empty directory, or nothing")


def _remove_if_empty(root: Root) -> None:
    if any(path not in (_PLAN, _LOCK) for path in root.list()):
        return
    root.remove(WORK_DIR)
    if root.is_local and root.local.is_dir():
        for folder, _, _ in os.walk(root.local, topdown=False):
            Path(folder).rmdir()

"""A destination that appears when it is complete, and a place beside it where a run that was stopped can go on.

Locally, everything is written below `DST.partial` and renamed to `DST` at the end: one rename, so that nobody sees half
of it. An object store has no rename: there, objects are written under their names, `meta/info.json` last, since nothing
is a dataset without it. In both, `.episeek-work/` holds the receipts of finished work and the plan they belong to; it
is gone when the work is done.
"""

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from episeek.errors import DestinationError, WriteError, first_line
from episeek_pipelines.dataset.root import Root, writing
from episeek_schemas import layout
from episeek_schemas.layout import JOURNAL_PATH

WORK_DIR = ".episeek-work"
_PLAN = f"{WORK_DIR}/plan.json"
_LOCK = f"{WORK_DIR}/lock"
_REPLACED = "replaced"


class _LockedRoot:
    """A root that one run at a time writes to; use it in a `with` block.

    At the end of the block the lock is released. What was staged is removed when no work was finished: then there is
    nothing to go on from.
    """

    def __init__(self, final: Root, root: Root) -> None:
        self.final = final
        """Where the result appears."""
        self.root = root
        """Where it is written until then."""
        self._handle = _lock(root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None and not self.holds_work():
                self._remove_staged()
        finally:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    def holds_work(self) -> bool:
        """Whether there is finished work to go on from."""
        return any(f"{WORK_DIR}/{path}" not in (_PLAN, _LOCK) for path in self.work.list())

    @property
    def work(self) -> Root:
        """Receipts and intermediate files."""
        return Root(self.root.join(WORK_DIR))

    def _remove_staged(self) -> None:
        self.root.remove(WORK_DIR)
        if self.root.is_local:
            self.root.remove("")


class DatasetStaging(_LockedRoot):
    """Where a new dataset is written: `root` until `commit`, then `final`."""

    def __init__(self, final: Root, root: Root, plan: str, *, is_resumed: bool) -> None:
        self.is_resumed = is_resumed
        """Whether an earlier run was stopped here."""
        self._document = plan
        super().__init__(final, root)

    def __enter__(self) -> Self:
        if not self.is_resumed:
            try:
                self.root.write_bytes(_PLAN, self._document.encode())
            except BaseException as error:
                self.__exit__(type(error), error, error.__traceback__)
                raise
        return self

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


class SidecarStaging(_LockedRoot):
    """Where new sidecars of `final` are written, to replace those that are there all at once.

    Locally that is a directory beside them and two renames. In an object store the four tables are put one after the
    other; a reader that sees some of each build refuses them by their build ids.

    Publications into the same root stage their files beside these, and keep a journal there: both are left alone.
    """

    def __init__(self, final: Root) -> None:
        _require_no_publication(final)
        super().__init__(final, Root(final.join(layout.BYTE_INDEX_PARTIAL_DIR)) if final.is_local else final)
        if self.root.is_local:  # what a run that was killed while it wrote or renamed the tables left
            self._put_back()
            self.root.remove(layout.BYTE_INDEX_DIR)
            self.root.remove(_REPLACED)

    @property
    def work(self) -> Root:
        """Receipts and intermediate files."""
        return Root(f"{self.final.join(layout.BYTE_INDEX_PARTIAL_DIR)}/{WORK_DIR}")

    def commit(self) -> None:
        """Put the new tables in place of the old ones.

        Raises:
            WriteError: A rename failed.
        """
        target = self.final.join(layout.BYTE_INDEX_DIR)
        if self.final.is_local:  # elsewhere the tables are there already
            _require_no_publication(self.final)
        try:
            if self.final.is_local:
                if os.path.exists(target):
                    os.rename(target, self.root.join(_REPLACED))
                try:
                    os.rename(self.root.join(layout.BYTE_INDEX_DIR), target)
                except BaseException:
                    self._put_back()
                    raise
            self._remove_staged()
        except OSError as error:
            raise WriteError(target, first_line(error), "to rename the new sidecars to it") from error

    def _put_back(self) -> None:
        """The earlier tables, where the run that moved them aside ended before it had moved its own to their place."""
        target, replaced = self.final.join(layout.BYTE_INDEX_DIR), self.root.join(_REPLACED)
        if os.path.exists(replaced) and not os.path.exists(target):
            os.rename(replaced, target)

    def _remove_staged(self) -> None:
        Root(self.final.join(layout.BYTE_INDEX_PARTIAL_DIR)).remove(WORK_DIR)
        if self.final.is_local:
            self.root.remove(layout.BYTE_INDEX_DIR)
            self.root.remove(_REPLACED)
            for folder in (self.root.local / layout.META_DIR, self.root.local):
                with suppress(OSError):  # a publication has staged files there
                    folder.rmdir()


def open_dataset_staging(source: Root, final: Root, plan: dict[str, Any]) -> DatasetStaging:
    """Prepare to write `final`, or to go on with a run that was stopped.

    Args:
        source: The dataset read, which may not lie in the destination nor hold it.
        final: The destination: not there, or an empty directory.
        plan: What decides the result; a run goes on only where these are the same.

    Raises:
        DestinationError: The destination holds something, overlaps the source, or holds an unfinished run of another
            plan, or another run is writing it.
        WriteError: It cannot be written.
    """
    _require_apart(source, final)
    if final.is_local and final.local.name in ("", ".."):  # `.` has a name, but only where it lies
        final = Root(str(final.local.resolve()))
    if final.is_local and final.local.is_symlink() and final.local.is_dir():
        final = Root(str(final.local.resolve()))  # a link cannot be replaced by a rename
    root = Root(f"{final.url}.partial") if final.is_local else final
    document = json.dumps(plan, sort_keys=True, separators=(",", ":"))
    if final.is_local:
        _recover_receipts(final, root)
        _require_empty(final)
    is_resumed = root.exists(_PLAN)
    if final.is_local:
        if not is_resumed and any(not path.startswith(f"{WORK_DIR}/") for path in root.list()):
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
    return DatasetStaging(final, root, document, is_resumed=is_resumed)


def open_sidecar_staging(target: Root) -> SidecarStaging:
    """Prepare to write new sidecars below a root.

    Raises:
        DestinationError: Another run is writing them.
        WriteError: It cannot be written.
    """
    return SidecarStaging(target)


def _require_no_publication(final: Root) -> None:
    """Raises DestinationError."""
    folder = final.join(layout.BYTE_INDEX_PARTIAL_DIR)
    if final.is_local and os.path.islink(folder):
        raise DestinationError(folder, f"a link to {os.path.realpath(folder)}", "a folder of this dataset, or nothing")
    if final.exists(JOURNAL_PATH):
        found = "the journal of a publication that is in progress, or has stopped"
        expected = "none: run that publication again, then this"
        raise DestinationError(final.join(JOURNAL_PATH), found, expected)


def prune(root: Root, paths: set[str]) -> None:
    """Remove the files of a dataset below a root that are neither receipts nor among `paths`."""
    for path in root.list():
        if path not in paths and path.startswith(
            (f"{layout.DATA_DIR}/", f"{layout.META_DIR}/", f"{layout.VIDEOS_DIR}/")
        ):
            root.remove(path)
    if root.is_local:
        for folder, _, _ in os.walk(root.local, topdown=False):
            if not os.listdir(folder):
                os.rmdir(folder)


def _require_apart(source: Root, final: Root) -> None:
    if source.is_local and final.is_local:
        here, there = source.local.resolve(), final.local.resolve()
        overlaps = here == there or here in there.parents or there in here.parents
    else:
        here_url, there_url = f"{source.url}/", f"{final.url}/"
        overlaps = here_url.startswith(there_url) or there_url.startswith(here_url)
    if overlaps:
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
    """Keep other runs out while this one goes on; the system lets go of it when the process ends, however it ends."""
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

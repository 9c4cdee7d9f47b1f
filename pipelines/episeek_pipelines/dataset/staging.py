"""Stage a new dataset: the destination appears when it is complete, and a run that was stopped can be continued.

On this machine everything is written below `DST.partial`, which is renamed to `DST` at the end, so that nobody sees half of the
result. An object store cannot rename. There, objects are written under their final names, `meta/info.json` last, since readers
recognise a dataset by it. In both cases `.episeek-work/` contains the receipts of finished work and the options of the run. It is
removed when the result is complete.
"""

import json
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from episeek.errors import DestinationError, WriteError, first_line
from episeek_pipelines.dataset.locks import exclusive_lock
from episeek_pipelines.dataset.recorded_options import differing_options
from episeek_pipelines.dataset.replacement import replace_directory, settle_replacement
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.words import counted
from episeek_schemas import layout

WORK_DIR: Final = ".episeek-work"
REPAIRED_DIR: Final = f"{WORK_DIR}/repaired"
"""The folder of the repaired files of the source, until they are rewritten."""
_OPTIONS: Final = f"{WORK_DIR}/plan.json"
_LOCK: Final = f"{WORK_DIR}/lock"
_REPLACING: Final = f"{WORK_DIR}/replacing"
"""The file that records the inode of the staged directory, written just before that directory replaces another one."""


class LockedStaging:
    """A root that one run at a time writes to, in a `with` block.

    At the end of the block the lock is released. After a failure, staged files are removed unless there is finished work that
    another run can continue from.
    """

    def __init__(self, final: Root, root: Root) -> None:
        self.final = final
        """The root at which the result appears."""
        self.root = root
        """The root at which the result is written until then."""
        self._lock = ExitStack()
        if root.is_local:
            lock = exclusive_lock(root.local / _LOCK, where=str(root), found="another run that is writing it")
            self._lock.enter_context(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if kind is not None and not self.holds_work():
                self._remove_staged()

    def holds_work(self) -> bool:
        """Return whether there is finished work to continue from."""
        paths = (f"{WORK_DIR}/{path}" for path in self.work.list())
        return any(
            path not in (_OPTIONS, _LOCK, _REPLACING) and not path.startswith(f"{REPAIRED_DIR}/") for path in paths
        )

    @property
    def work(self) -> Root:
        """Root of the intermediate files, and of the receipts that record finished work."""
        return Root(self.root.join(WORK_DIR))

    @property
    def repaired(self) -> Root:
        """Root of the repaired files of the source."""
        return Root(self.root.join(REPAIRED_DIR))

    def _remove_staged(self) -> None:
        self.root.remove(WORK_DIR)
        if self.root.is_local:
            self.root.remove("")


class DatasetStaging(LockedStaging):
    """The staging of a new dataset, whose files are at `root` until `commit`, and then at `final`."""

    def __init__(
        self, final: Root, root: Root, options: dict[str, Any], *, is_resumed: bool, force: bool = False
    ) -> None:
        self.is_resumed = is_resumed
        """Whether this run continues a run that was stopped."""
        self._options = options
        self._force = force
        super().__init__(final, root)

    def __enter__(self) -> Self:
        if not self.is_resumed:
            try:
                self.root.write_bytes(_OPTIONS, _document(self._options).encode())
            except BaseException as error:
                self.__exit__(type(error), error, error.__traceback__)
                raise
        return self

    def commit(self) -> None:
        """Make the result visible under its final name.

        Raises:
            WriteError: The rename failed; the result stays where it was written.
        """
        if not self.root.is_local:
            self.root.remove(WORK_DIR)
            return
        receipts = _receipts_aside(self.final)
        try:
            is_replacing = self._force and self.final.local.is_dir() and any(self.final.local.iterdir())
            if is_replacing:
                self.root.write_bytes(_REPLACING, str(self.root.local.stat().st_ino).encode())
            # The receipts move first, so that DST never shows them.
            os.rename(self.work.local, receipts)
            if is_replacing:
                replace_directory(self.root.local, self.final.local)
            else:
                # The rename also replaces an empty directory.
                os.rename(self.root.local, self.final.local)
            Root(str(receipts.parent)).remove(receipts.name)
        except OSError as error:
            raise WriteError(
                str(self.final), first_line(error), f"a path to which {self.root} can be renamed"
            ) from error


def open_dataset_staging(source: Root, final: Root, options: dict[str, Any], *, force: bool = False) -> DatasetStaging:
    """Return the staging in which a run writes `final`, or continues a run that was stopped.

    Args:
        source: The dataset that is read. It must neither be inside the destination nor contain it.
        final: The destination: a directory that does not exist or is empty, or with `force` a dataset that was prepared before.
        options: The command, source, options and version, which decide the result. A run is continued only if they are the same.
        force: Whether to replace a local dataset that was prepared before, once the new one is complete.

    Raises:
        DestinationError: The destination is not empty, overlaps the source, contains an unfinished run with other options, or is
            being written by another run.
        WriteError: The destination cannot be written.
    """
    final, root = _places(final)
    settle_destination(final)
    require_destination(source, final, options, force=force)
    is_resumed = root.exists(_OPTIONS)
    return DatasetStaging(final, root, options, is_resumed=is_resumed, force=force)


def require_destination(source: Root, final: Root, options: dict[str, Any], *, force: bool = False) -> None:
    """Raise DestinationError unless a run with these options may write a destination.

    The arguments are the same as for `open_dataset_staging`.
    """
    _require_apart(source, final)
    final, root = _places(final)
    if final.is_local:
        _require_free(final, force=force)
    if root.exists(_OPTIONS):
        _require_same_options(root, options)
    elif final.is_local:
        if any(not path.startswith(f"{WORK_DIR}/") for path in root.list()):
            found = "a directory that is not an unfinished run"
            raise DestinationError(
                str(root), found, "an unused path, since files are staged there", f"remove or rename {root}"
            )
    elif existing := final.list():
        raise DestinationError(
            str(final), f"{counted(len(existing), 'object')}, such as {existing[0]}", "an empty destination"
        )


def require_no_history(destination: Root, remedy: str) -> None:
    """Raise DestinationError for a repository on the Hub, where each written file would be a commit.

    Args:
        destination: The destination.
        remedy: The words after "write" in the hint, such as "to a local DST first".
    """
    if destination.kind.has_history:
        expected = "a place without a history of commits"
        hint = f"write {remedy}, and then run `episeek publish`"
        raise DestinationError(str(destination), "a repository on the Hub, as destination", expected, hint)


def has_unfinished_run(final: Root) -> bool:
    """Return whether the destination contains an unfinished run that can be continued."""
    return _places(final)[1].exists(_OPTIONS)


def settle_destination(final: Root) -> None:
    """Finish or undo the renames of a run that was killed while it renamed its complete result to the destination."""
    if final.is_local:
        _recover_receipts(*_places(final))


def _places(final: Root) -> tuple[Root, Root]:
    """Return the root at which a result appears, and the root at which it is written until then."""
    if not final.is_local:
        return final, final
    # A link cannot be replaced by a rename; `.` and `..` have no name of their own.
    if final.local.name in ("", "..") or (final.local.is_symlink() and final.local.is_dir()):
        final = Root(str(final.local.resolve()))
    return final, Root(f"{final.url}.partial")


def remove_unlisted_files(root: Root, paths: set[str]) -> None:
    """Remove files below `data/`, `meta/` and `videos/` that are not in `paths`, and all empty folders.

    Other files stay, such as the receipts (the records of finished work) of the run.
    """
    folders = tuple(f"{folder}/" for folder in (layout.DATA_DIR, layout.META_DIR, layout.VIDEOS_DIR))
    for path in root.list():
        if path not in paths and path.startswith(folders):
            root.remove(path)
    if root.is_local:
        for folder, _, _ in os.walk(root.local, topdown=False):
            if not os.listdir(folder):
                os.rmdir(folder)


# --- the destination --------------------------------------------------------------------------------------------------------------


def _require_apart(source: Root, final: Root) -> None:
    if source.is_local and final.is_local:
        read, written = source.local.resolve(), final.local.resolve()
        overlaps = read == written or read in written.parents or written in read.parents
    else:
        read_url, written_url = f"{source.url}/", f"{final.url}/"
        overlaps = read_url.startswith(written_url) or written_url.startswith(read_url)
    if overlaps:
        raise DestinationError(str(final), f"a path inside or around the source {source}", "a separate directory")


def _require_free(final: Root, *, force: bool) -> None:
    path = final.local
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        if names and not (force and final.exists(layout.SOURCE_RECORD_PATH)):
            found = f"{counted(len(names), 'entry', 'entries')}, such as {names[0]!r}"
            expected = (
                "a new or empty directory, or a dataset that was prepared before"
                if force
                else "a new or empty directory"
            )
            raise DestinationError(str(final), found, expected, "choose another directory")
        if os.path.ismount(path):
            expected = "a directory that another directory can replace"
            raise DestinationError(str(final), "a mount point", expected, "use a directory below it")
    elif path.exists() or path.is_symlink():
        raise DestinationError(str(final), "a file", "a new or empty directory")


# --- the options of an unfinished run ---------------------------------------------------------------------------------------------


def _document(options: dict[str, Any]) -> str:
    return json.dumps(options, sort_keys=True, separators=(",", ":"))


def _require_same_options(root: Root, options: dict[str, Any]) -> None:
    """Raise DestinationError if an unfinished run was started with other options. The error says which options differ."""
    anew = f"remove {root} to start anew"
    try:
        recorded = json.loads(root.read_bytes(_OPTIONS))
        differences = differing_options(recorded, options)
    except (ValueError, AttributeError):
        found = f"an unfinished run whose options in {_OPTIONS} cannot be read"
        raise DestinationError(str(root), found, "a run with the same options", anew) from None
    if differences is not None:
        found, expected = differences
        hint = f"run the command with the options of the unfinished run to continue it, or {anew}"
        raise DestinationError(str(root), f"an unfinished run with {found}", f"{expected}, as in this run", hint)


# --- the receipts during a commit -------------------------------------------------------------------------------------------------


def _receipts_aside(final: Root) -> Path:
    """Return the folder for the receipts (the records of finished work) while the result is renamed to the destination."""
    return final.local.with_name(f".{final.local.name}.episeek-work")


def _recover_receipts(final: Root, root: Root) -> None:
    """Undo or complete a commit that was stopped because its process was killed.

    If the result already has its final name, the receipts (the records of finished work) are removed. Otherwise they are moved back
    into the staging directory, so that the run can be continued.
    """
    receipts = _receipts_aside(final)
    if not receipts.is_dir():
        return
    replacing = receipts / Path(_REPLACING).name
    if replacing.exists():
        is_undone = not settle_replacement(root.local, final.local, inode=int(replacing.read_text()))
    else:
        is_undone = root.is_dir() and not (root.local / WORK_DIR).exists()
    if is_undone:
        os.rename(receipts, root.local / WORK_DIR)
    else:
        Root(str(receipts.parent)).remove(receipts.name)

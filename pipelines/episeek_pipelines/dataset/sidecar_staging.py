"""Staging of new sidecars for a dataset: all four tables replace the existing ones at once.

On this machine the new tables are written to a directory beside the existing ones, and two renames exchange them. In an object
store the tables are written one after the other; a reader that sees tables of both builds refuses them by their build ids.
"""

import os
from contextlib import suppress
from typing import Final

from episeek.errors import DestinationError, WriteError, first_line
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import WORK_DIR, LockedStaging
from episeek_schemas import layout
from episeek_schemas.layout import JOURNAL_PATH

_REPLACED: Final = "replaced"
"""Where the existing tables are kept between the two renames."""


class SidecarStaging(LockedStaging):
    """The place where new sidecars of `final` are written, in a `with` block; `commit` replaces the existing ones by them.

    Publications into the same root stage their files in the same directory and keep their journal there: neither is touched.

    Args:
        final: The root below which the sidecars are.

    Raises:
        DestinationError: Another run is writing them, or a publication into the same root is in progress.
        WriteError: The root cannot be written.
    """

    def __init__(self, final: Root) -> None:
        _require_no_publication(final)
        super().__init__(final, Root(final.join(layout.BYTE_INDEX_PARTIAL_DIR)) if final.is_local else final)
        if self.root.is_local:
            # A run that was killed may have stopped between the renames, or before them.
            self._put_back()
            self.root.remove(layout.BYTE_INDEX_DIR)
            self.root.remove(_REPLACED)

    @property
    def work(self) -> Root:
        """Root of the receipts and intermediate files."""
        return Root(f"{self.final.join(layout.BYTE_INDEX_PARTIAL_DIR)}/{WORK_DIR}")

    def commit(self) -> None:
        """Put the new tables in place of the existing ones; in a store they are in place already.

        Raises:
            WriteError: A rename failed.
        """
        target = self.final.join(layout.BYTE_INDEX_DIR)
        if self.final.is_local:
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
            raise WriteError(target, first_line(error), "the staged sidecars, renamed to it") from error

    def _put_back(self) -> None:
        """Restore the replaced tables where a run ended before it had renamed its own tables to their place."""
        target, replaced = self.final.join(layout.BYTE_INDEX_DIR), self.root.join(_REPLACED)
        if os.path.exists(replaced) and not os.path.exists(target):
            os.rename(replaced, target)

    def _remove_staged(self) -> None:
        Root(self.final.join(layout.BYTE_INDEX_PARTIAL_DIR)).remove(WORK_DIR)
        if self.final.is_local:
            self.root.remove(layout.BYTE_INDEX_DIR)
            self.root.remove(_REPLACED)
            for folder in (self.root.local / layout.META_DIR, self.root.local):
                # A publication may have staged files in the folder.
                with suppress(OSError):
                    folder.rmdir()


def _require_no_publication(final: Root) -> None:
    """Raise DestinationError where a publication into the root is in progress, or the staging folder leads elsewhere."""
    folder = final.join(layout.BYTE_INDEX_PARTIAL_DIR)
    if final.is_local and os.path.islink(folder):
        raise DestinationError(folder, f"a link to {os.path.realpath(folder)}", "a folder of this dataset, or nothing")
    if final.exists(JOURNAL_PATH):
        found = "the journal of a publication that is in progress or was stopped"
        hint = "run that publication again to complete it, then this command"
        raise DestinationError(final.join(JOURNAL_PATH), found, "no publication in progress", hint)

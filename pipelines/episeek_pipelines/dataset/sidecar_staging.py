"""Stage new sidecars (the four tables of a dataset's video index), so that they replace the existing tables at once.

On this machine the new tables are written to a directory next to the existing ones, and two renames exchange them. In an object
store the tables are written one after the other. A reader that sees tables of two builds refuses them, since their build ids
differ.
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
"""The directory to which the old tables are moved while the new tables get their final names."""


class SidecarStaging(LockedStaging):
    """The directory in which new sidecars are written, to use in a `with` block. `commit` replaces the existing sidecars.

    Publications into the same root stage their files in the same directory, and record their progress there in a journal. This
    class does not change these files.

    Args:
        final: The root below which the sidecars are.

    Raises:
        DestinationError: Another run is writing the sidecars, or a publication into the same root is in progress.
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
        """Root of the intermediate files, and of the receipts that record finished work."""
        return Root(f"{self.final.join(layout.BYTE_INDEX_PARTIAL_DIR)}/{WORK_DIR}")

    def commit(self) -> None:
        """Replace the existing tables by the new ones. In a store the new tables already have their final names.

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
            raise WriteError(target, first_line(error), "a path to which the staged sidecars can be renamed") from error

    def _put_back(self) -> None:
        """Restore the old tables if a run was killed after it had moved them away and before the new tables were in place."""
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
    """Raise DestinationError if a publication into the root is in progress, or if the staging folder is a link to another place."""
    folder = final.join(layout.BYTE_INDEX_PARTIAL_DIR)
    if final.is_local and os.path.islink(folder):
        raise DestinationError(folder, f"a link to {os.path.realpath(folder)}", "a folder inside the dataset")
    if final.exists(JOURNAL_PATH):
        found = "the journal of a publication that is in progress or was stopped"
        hint = "run that publication again to complete it, then repeat this command"
        raise DestinationError(final.join(JOURNAL_PATH), found, "no publication in progress", hint)

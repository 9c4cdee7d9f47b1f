"""One run of a publication into a store: send the files under staged names, then give them their final names in the switch.

Several runs may work on the same publication, one after the other or at the same time. Each step compares the files of the store
with the files to publish, and skips the work that is already done.
"""

import re
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from episeek.errors import ChangedFileError, EpiseekError, MissingFileError, WriteError
from episeek_pipelines.publish.errors import ConflictError
from episeek_pipelines.publish.overlay.changes import STAGED_PREFIX, Addition, Changes, Listing
from episeek_pipelines.publish.store.contents import StoreContents
from episeek_pipelines.publish.store.journal import (
    JOURNAL_PATH,
    Publication,
    claim,
    has_journal,
    journal_of,
    require_ours,
)
from episeek_pipelines.publish.store.switch_order import DataOrder, switch_waves
from episeek_pipelines.publish.store.writers.writer import Move, StoreWriter

_STAGE_ATTEMPTS: Final = 3
"""Largest number of attempts to stage files. A new attempt is made if another run of the same publication has finished in the
meantime and removed the staged files.
"""

_CLAIM_ATTEMPTS: Final = 32
"""Largest number of attempts to write the journal, the file in the store that records a switch in progress.

A new attempt is made if another run of the same publication has removed its journal in the meantime. The number is higher than the
expected number of runs at the same time.
"""

_IS_STAGED: Final = re.compile(f"{re.escape(STAGED_PREFIX)}[0-9a-f]{{16}}/")
"""Pattern of the paths of staged files. It excludes files that `episeek index` writes into the same folder."""


@dataclass(slots=True)
class PublicationRun:
    """One run of a publication into a store: its state, and the numbers of files that it has sent."""

    writer: StoreWriter
    contents: StoreContents
    publication: Publication
    sent_count: int = 0
    """Number of files that this run has sent."""
    sent_bytes: int = 0
    """Number of bytes that this run has sent."""
    found_count: int = 0
    """Number of files that an earlier run had staged already."""
    is_resumed: bool = False
    """Whether this run continues the switch that another run of the same publication has begun."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Random id of this run, as in the journal (the file in the store that records a switch in progress)."""
    _order: DataOrder = field(default="any", init=False)
    _is_claimed: bool = field(default=False, init=False)
    _has_switched: bool = field(default=False, init=False)

    def put(self, additions: Sequence[Addition]) -> Listing:
        """Send new files directly to their final names, and return the new listing of the store.

        Raises:
            WriteError: After sending, the store has other content at one of these names.
        """
        self._put([(addition, addition.path) for addition in additions])
        listing = self.writer.files()
        self._require(listing, [(addition, addition.path) for addition in additions])
        return listing

    def stage(self, additions: Sequence[Addition], listing: Listing) -> None:
        """Send files to their staged names, except files that are staged already.

        Raises:
            WriteError: After sending, the store has other content at one of these names.
            ChangedFileError: A local file has changed since the changes were planned.
        """
        pairs = [(addition, self._staged(addition.path)) for addition in additions]
        for attempt in range(1, _STAGE_ATTEMPTS + 1):
            same = self.contents.compare(listing, pairs)
            missing = [pair for pair in pairs if same[pair[1]] is not True]
            if attempt == 1:
                self.found_count += len(pairs) - len(missing)
            if not missing:
                return
            self._put(missing)
            listing = self.writer.files()
            try:
                self._require(listing, missing)
            except WriteError:
                done = self.contents.compare(listing, [(addition, addition.path) for addition in additions])
                # Another run may have finished the switch and removed the staged files.
                if all(done.values()):
                    return
                if attempt == _STAGE_ATTEMPTS:
                    raise
            else:
                return

    def take_over(self) -> None:
        """Make this run continue the switch of an earlier run, and allow this run to remove the journal of the earlier run."""
        self.is_resumed = self._is_claimed = self._has_switched = True

    def claim(self, changes: Changes, *, order: DataOrder) -> None:
        """Write the journal, which prevents other publications from switching, or continue from the journal of another run.

        Args:
            changes: The changes that the switch will make.
            order: The order in which the data files change. If another run has written the journal, the order in the journal is
                used instead.

        Raises:
            ConflictError: Another publication has begun to switch.
        """
        for _ in range(_CLAIM_ATTEMPTS):
            journal = claim(self.writer, self.publication, changes, run=self.run, order=order)
            if journal is None:
                continue
            self._is_claimed, self._order = True, journal.order
            if journal.run == self.run:
                return
            self.is_resumed = True
            self.writer.put([(self._runs + self.run, self.run.encode())])
            # The run that wrote the journal may have removed it before it saw the file of this run.
            if has_journal(self.writer.root, self.publication):
                return
        raise ConflictError(
            self.writer.root.join(JOURNAL_PATH),
            "a journal that other runs of this publication write and remove again and again",
            "fewer runs at the same time",
        )

    def switch(self, changes: Changes, listing: Listing) -> None:
        """Give the staged files their final names, and delete the files that are no longer part of the dataset.

        Args:
            changes: All changes of the publication. Changes that are made already are skipped.
            listing: The files of the store, listed after the journal (see `claim`) was written.

        Raises:
            ConflictError: Another publication has replaced the journal in the meantime.
            MissingFileError: A staged file was removed.
            WriteError: The store refuses a change. The next run of the same publication continues the switch.
        """
        self._has_switched = True
        remaining_additions = self.remaining(changes, listing)
        remaining = Changes(remaining_additions, tuple(path for path in changes.deletions if path in listing), 0)
        waves = [
            [Move(self._staged(path), path, listing.get(self._staged(path))) for path in wave]
            for wave in switch_waves(remaining, listing.keys(), order=self._order)
        ]
        before_deletions = self._require_ours if remaining.deletions else _nothing
        try:
            self.writer.switch(waves, remaining.deletions, before_deletions=before_deletions)
        except (ConflictError, MissingFileError):
            now = self.writer.files()
            if self.remaining(changes, now) or any(path in now for path in changes.deletions):
                raise
        for addition in remaining_additions:
            self.contents.note_sent(addition, addition.path)

    def remaining(self, changes: Changes, listing: Listing) -> tuple[Addition, ...]:
        """Return the additions that the store does not yet contain at their final paths."""
        done = self.contents.compare(listing, [(addition, addition.path) for addition in changes.additions])
        return tuple(addition for addition in changes.additions if done[addition.path] is not True)

    def finish(self, listing: Listing) -> None:
        """Remove the staged files of this publication, and then its journal.

        After a switch, the staged files of other publications are removed as well, because those publications cannot continue:
        their plan is out of date. The journal of another publication is kept.
        """
        prefix = STAGED_PREFIX if self._has_switched and self._holds_journal() else self.publication.staged_prefix
        self.writer.delete([path for path in listing if path.startswith(prefix) and _IS_STAGED.match(path)])
        if self._is_claimed and self._holds_journal():
            self.writer.delete([JOURNAL_PATH])

    def give_up(self) -> None:
        """Remove the staged files and the journal of this run after a conflict.

        The staged files and the journal are kept if this run has begun to switch or continues from the journal of another run, or
        if another run continues from the journal of this run.
        """
        with suppress(EpiseekError):
            listing = self.writer.files()
            if self.is_resumed or self._has_switched:
                self.writer.delete([path for path in listing if path == self._runs + self.run])
                return
            if self._is_claimed and not self._withdraw(listing):
                return
            if not self._holds_journal():
                self.finish(listing)

    def _withdraw(self, listing: Listing) -> bool:
        """Remove the journal of this run unless another run continues from it, and return whether the journal was removed.

        A run that continues from the journal first writes a file into the folder `_runs`, and then reads the journal again. So
        either this run sees the file of the other run, or the other run sees that the journal is gone.
        """
        journal = journal_of(self.writer.root, self.publication)
        if self._has_others(listing) or (journal is not None and journal.run != self.run):
            return False
        self.writer.delete([JOURNAL_PATH])
        if self._has_others(self.writer.files()):
            claim(self.writer, self.publication, Changes((), (), 0), run=self.run, order=self._order)
            return False
        self._is_claimed = False
        return True

    def _has_others(self, listing: Listing) -> bool:
        return any(path.startswith(self._runs) for path in listing)

    def _holds_journal(self) -> bool:
        """Return whether the store contains the journal of this publication."""
        try:
            return has_journal(self.writer.root, self.publication)
        except ConflictError:
            return False

    def _put(self, pairs: Sequence[tuple[Addition, str]]) -> None:
        self.writer.put([(path, addition.source) for addition, path in pairs])
        for addition, path in pairs:
            self.contents.note_sent(addition, path)
        self.sent_count += len(pairs)
        self.sent_bytes += sum(addition.size for addition, _ in pairs)
        found = self.contents.digests.of_all([addition.source for addition, _ in pairs])
        for (addition, _), digests in zip(pairs, found, strict=True):
            if digests.sha256 != addition.sha256:
                expected = f"{addition.size} bytes with SHA-256 {addition.sha256}, as planned"
                where = addition.path if isinstance(addition.source, bytes) else addition.source
                raise ChangedFileError(where, f"{digests.size} bytes with SHA-256 {digests.sha256}", expected)

    def _require(self, listing: Listing, pairs: Sequence[tuple[Addition, str]]) -> None:
        same = self.contents.compare(listing, pairs)
        for addition, path in pairs:
            if same[path] is False:
                identity = listing.get(path)
                found = (
                    "no such file"
                    if identity is None
                    else f"{identity.size} bytes, {identity.store_id or 'with other content'}"
                )
                expected = f"{addition.size} bytes with SHA-256 {addition.sha256[:12]}..., as sent"
                raise WriteError(self.writer.root.join(path), found, expected)

    def _require_ours(self) -> None:
        require_ours(self.writer.root, self.publication)

    @property
    def _runs(self) -> str:
        """Return the path of a folder with one file for each run that continues the switch of another run."""
        return f"{self.publication.staged_prefix}runs/"

    def _staged(self, path: str) -> str:
        return f"{self.publication.staged_prefix}{path}"


def differing_files(before: Listing, now: Listing, folders: Iterable[str]) -> set[str]:
    """Return the paths below `folders` whose entries differ between two listings, without staged files.

    `folders` may also contain the paths of single files.
    """
    prefixes = tuple(folders)
    return {
        path
        for path in before.keys() | now.keys()
        if path.startswith(prefixes)
        and not path.startswith(STAGED_PREFIX)
        and ((path in before) != (path in now) or before[path] != now[path])
    }


def _nothing() -> None:
    """Do nothing. The switch calls this function instead of a check if it has nothing to delete."""

"""One run of a publication into a store: stage the content beside the existing files, then switch to it.

Several runs of one publication may do this, one after the other or at once. Each step finds by its content what is done already,
and skips it.
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
"""Attempts to stage; each after another run of the same publication has finished and removed the staged files."""

_CLAIM_ATTEMPTS: Final = 32
"""Attempts to claim; each after another run of the same publication has removed its journal. So many never run at once."""

_IS_STAGED: Final = re.compile(f"{re.escape(STAGED_PREFIX)}[0-9a-f]{{16}}/")
"""Files that publications stage; `episeek index` writes other files beside them."""


@dataclass(slots=True)
class PublicationRun:
    """One run of one publication, and counts of what it has done."""

    writer: StoreWriter
    contents: StoreContents
    publication: Publication
    sent_count: int = 0
    sent_bytes: int = 0
    found_count: int = 0
    """Files that were found staged by an earlier run."""
    is_resumed: bool = False
    """Whether another run, before this one or at the same time, had begun to switch."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Identifies this run in the journal."""
    _order: DataOrder = field(default="any", init=False)
    _is_claimed: bool = field(default=False, init=False)
    _has_switched: bool = field(default=False, init=False)

    def put(self, additions: Sequence[Addition]) -> Listing:
        """Send files to their final names, at which nobody reads them yet, and return the new listing of the store.

        Raises:
            WriteError: The store has other content there afterwards.
        """
        self._put([(addition, addition.path) for addition in additions])
        listing = self.writer.files()
        self._require(listing, [(addition, addition.path) for addition in additions])
        return listing

    def stage(self, additions: Sequence[Addition], listing: Listing) -> None:
        """Send the files that are not staged yet.

        Raises:
            WriteError: The store has other content there afterwards.
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
                # Another run may have switched to all of them, and removed the staged files.
                if all(done.values()):
                    return
                if attempt == _STAGE_ATTEMPTS:
                    raise
            else:
                return

    def take_over(self) -> None:
        """Continue from an existing journal of this publication."""
        self.is_resumed = self._is_claimed = self._has_switched = True

    def claim(self, changes: Changes, *, order: DataOrder) -> None:
        """Keep other publications from switching.

        Args:
            changes: The changes to switch to.
            order: The order of the data files; the order in the journal of an earlier run takes precedence.

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
            # The run that wrote it may have withdrawn it before it saw this run.
            if has_journal(self.writer.root, self.publication):
                return
        raise ConflictError(
            self.writer.root.join(JOURNAL_PATH), "a file that other runs write and remove", "one run after the other"
        )

    def switch(self, changes: Changes, listing: Listing) -> None:
        """Give staged files their final names, and delete the files that they replace.

        Args:
            changes: All changes; those that are done already are skipped.
            listing: The store's files, listed since the claim.

        Raises:
            ConflictError: Another publication has replaced the journal in the meantime.
            MissingFileError: A staged file was removed.
            WriteError: The store refuses it; another run continues from there.
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
        """Return the additions whose paths do not have their content yet."""
        done = self.contents.compare(listing, [(addition, addition.path) for addition in changes.additions])
        return tuple(addition for addition in changes.additions if done[addition.path] is not True)

    def finish(self, listing: Listing) -> None:
        """Remove the staged files of this publication, and the journal last.

        After a switch, files are removed that other publications staged before they were refused. A journal of another publication
        is kept.
        """
        prefix = STAGED_PREFIX if self._has_switched and self._holds_journal() else self.publication.staged_prefix
        self.writer.delete([path for path in listing if path.startswith(prefix) and _IS_STAGED.match(path)])
        if self._is_claimed and self._holds_journal():
            self.writer.delete([JOURNAL_PATH])

    def give_up(self) -> None:
        """Remove all that this run has made, after a conflict.

        Files stay where this run, or another one that continues from its journal, has begun to switch.
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
        """Remove the journal unless another run continues from it; return whether it was removed.

        A run that continues from it writes a file of its own before it reads the journal again.
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
        """Return whether the store has a journal of this publication."""
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
                expected = f"{addition.size} bytes with SHA-256 {addition.sha256}, as before"
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
                    else f"{identity.size} bytes, {identity.store_id or 'other ones'}"
                )
                expected = f"{addition.size} bytes with SHA-256 {addition.sha256[:12]}..., as sent"
                raise WriteError(self.writer.root.join(path), found, expected)

    def _require_ours(self) -> None:
        require_ours(self.writer.root, self.publication)

    @property
    def _runs(self) -> str:
        """Beginning of the paths of a file for each run that continues from the journal of another."""
        return f"{self.publication.staged_prefix}runs/"

    def _staged(self, path: str) -> str:
        return f"{self.publication.staged_prefix}{path}"


def differing_files(before: Listing, now: Listing, folders: Iterable[str]) -> set[str]:
    """Return the files below these folders, or with these names, whose listing differs from before."""
    prefixes = tuple(folders)
    return {
        path
        for path in before.keys() | now.keys()
        if path.startswith(prefixes)
        and not path.startswith(STAGED_PREFIX)
        and ((path in before) != (path in now) or before[path] != now[path])
    }


def _nothing() -> None:
    """Check nothing: there are no deletions."""

"""PublicationRun a publication into a store: staged beside what is there, then switched to.

Everything may be done by several runs of one publication, one after the other or at once: what is done already is found by its
content, and left.
"""

import re
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from episeek.errors import ChangedFileError, EpiseekError, MissingFileError, WriteError
from episeek_pipelines.publish.errors import (
    ConflictError,
)
from episeek_pipelines.publish.overlay.changes import (
    STAGED_PREFIX,
    Addition,
    Changes,
    Listing,
)
from episeek_pipelines.publish.store.contents import (
    StoreContents,
)
from episeek_pipelines.publish.store.journal import (
    JOURNAL_PATH,
    Publication,
    claim,
    journal_of,
    require_free,
    require_ours,
)
from episeek_pipelines.publish.store.switch_order import DataOrder, switch_waves
from episeek_pipelines.publish.store.writers.writer import Move, StoreWriter

_STAGE_ATTEMPTS: Final = 3
"""Another run of the same publication removes what is staged when it is done."""

_CLAIM_ATTEMPTS: Final = 32
"""Each after another run of the same publication has removed its journal: more than run at once."""

_IS_STAGED: Final = re.compile(f"{re.escape(STAGED_PREFIX)}[0-9a-f]{{16}}/")
"""What publications stage; `episeek index` writes beside it."""


@dataclass(slots=True)
class PublicationRun:
    """One publication on its way, and what has been done for it."""

    writer: StoreWriter
    contents: StoreContents
    publication: Publication
    sent_count: int = 0
    sent_bytes: int = 0
    found_count: int = 0
    """Files that an earlier run had staged."""
    is_resumed: bool = False
    """Whether an earlier run, or one at the same time, had begun to switch."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Names this run in the journal."""
    _order: DataOrder = field(default="any", init=False)
    _is_claimed: bool = field(default=False, init=False)
    _has_switched: bool = field(default=False, init=False)

    def put(self, additions: Sequence[Addition]) -> Listing:
        """Send files under their own names, where nobody looks for them yet; the store's files afterwards.

        Raises:
            WriteError: What is there then is something else.
        """
        self._put([(addition, addition.path) for addition in additions])
        listing = self.writer.files()
        self._require(listing, [(addition, addition.path) for addition in additions])
        return listing

    def stage(self, additions: Sequence[Addition], listing: Listing) -> None:
        """Send what is not staged yet.

        Raises:
            WriteError: What is there then is something else.
            ChangedFileError: A local file is not what it was when the changes were made up.
        """
        pairs = [(addition, self._staged(addition.path)) for addition in additions]
        for attempt in range(1, _STAGE_ATTEMPTS + 1):
            same = self.contents.compared(listing, pairs)
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
                done = self.contents.compared(listing, [(addition, addition.path) for addition in additions])
                if all(done.values()):  # by another run
                    return
                if attempt == _STAGE_ATTEMPTS:
                    raise
            else:
                return

    def take_over(self) -> None:
        """Go on from a journal that is there, and of this publication."""
        self.is_resumed = self._is_claimed = self._has_switched = True

    def claim(self, changes: Changes, *, order: DataOrder) -> None:
        """Keep other publications from switching.

        Args:
            changes: What is to be switched.
            order: Of the data files; where an earlier run had begun, its order counts.

        Raises:
            ConflictError: Another one has begun to.
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
            if require_free(self.writer.root, self.publication):  # or its run has taken it back before it saw this one
                return
        raise ConflictError(
            self.writer.root.join(JOURNAL_PATH), "a file that comes and goes", "one run after the other"
        )

    def switch(self, changes: Changes, listing: Listing) -> None:
        """Give what is staged its names, and delete what is replaced.

        Args:
            changes: All of it; what is done already is left.
            listing: The store's files, read since the claim.

        Raises:
            ConflictError: Another publication has taken the journal in the meantime.
            MissingFileError: What was staged was removed.
            WriteError: The store does not let it; running it again goes on.
        """
        self._has_switched = True
        open_additions = self.outstanding(changes, listing)
        left = Changes(open_additions, tuple(path for path in changes.deletions if path in listing), 0)
        waves = [
            [Move(self._staged(path), path, listing.get(self._staged(path))) for path in wave]
            for wave in switch_waves(left, listing.keys(), order=self._order)
        ]
        before_deletions = self._require_ours if left.deletions else _nothing
        try:
            self.writer.switch(waves, left.deletions, before_deletions=before_deletions)
        except (ConflictError, MissingFileError):
            now = self.writer.files()
            if self.outstanding(changes, now) or any(path in now for path in changes.deletions):
                raise
        for addition in open_additions:
            self.contents.note_sent(addition, addition.path)

    def outstanding(self, changes: Changes, listing: Listing) -> tuple[Addition, ...]:
        """Additions whose names do not have their content yet."""
        done = self.contents.compared(listing, [(addition, addition.path) for addition in changes.additions])
        return tuple(addition for addition in changes.additions if done[addition.path] is not True)

    def finish(self, listing: Listing) -> None:
        """Remove what is staged, and the journal last: what this publication has made, and, once it has switched, what others
        have staged before they were refused. A journal of another publication stays.
        """
        prefix = STAGED_PREFIX if self._has_switched and self._holds_journal() else self.publication.staged_prefix
        self.writer.delete([path for path in listing if path.startswith(prefix) and _IS_STAGED.match(path)])
        if self._is_claimed and self._holds_journal():
            self.writer.delete([JOURNAL_PATH])

    def give_up(self) -> None:
        """After a conflict: leave nothing behind that this run has made, but for what is half switched, by this run or by
        another one that goes on from its journal.
        """
        with suppress(EpiseekError):
            listing = self.writer.files()
            if self.is_resumed or self._has_switched:
                self.writer.delete([path for path in listing if path == self._runs + self.run])
                return
            if self._is_claimed and not self._take_back(listing):
                return
            if not self._holds_journal():
                self.finish(listing)

    def _take_back(self, listing: Listing) -> bool:
        """Remove the journal, if no other run goes on from it; one that begins to meanwhile has said so before it asks for it."""
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
        """Whether the journal is there, and of this publication."""
        try:
            return require_free(self.writer.root, self.publication)
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
                expected = f"{addition.size} bytes with {addition.sha256}, as it was before"
                where = addition.path if isinstance(addition.source, bytes) else addition.source
                raise ChangedFileError(where, f"{digests.size} bytes with the SHA-256 {digests.sha256}", expected)

    def _require(self, listing: Listing, pairs: Sequence[tuple[Addition, str]]) -> None:
        same = self.contents.compared(listing, pairs)
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
        """Below it, a file for each run that goes on from the journal of another."""
        return f"{self.publication.staged_prefix}runs/"

    def _staged(self, path: str) -> str:
        return f"{self.publication.staged_prefix}{path}"


def differing(before: Listing, now: Listing, folders: Iterable[str]) -> set[str]:
    """Files below folders, or of these names, that are not what they were, by what the store says of them."""
    prefixes = tuple(folders)
    return {
        path
        for path in before.keys() | now.keys()
        if path.startswith(prefixes)
        and not path.startswith(STAGED_PREFIX)
        and ((path in before) != (path in now) or before[path] != now[path])
    }


def _nothing() -> None:
    """Where nothing is deleted, nothing has to hold before."""

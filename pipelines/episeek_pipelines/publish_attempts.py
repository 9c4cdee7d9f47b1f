"""What a publication wants to change in a repository as it is at one commit, and what has to hold there before anything is sent."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from episeek.errors import MissingFileError, WriteError
from episeek_pipelines.publication import PublishOptions, PublishResult
from episeek_pipelines.publish.arrival import ArrivalReport, check_arrival
from episeek_pipelines.publish.base_check import BaseCheck, check_base, require_no_loss
from episeek_pipelines.publish.base_revision import changed_since
from episeek_pipelines.publish.changes import Changes, RemoteFiles
from episeek_pipelines.publish.hub_errors import ConflictError
from episeek_pipelines.publish.hub_values import MAIN
from episeek_pipelines.publish.local_files import LocalDigests
from episeek_pipelines.publish.overlay_card import overlay_card
from episeek_pipelines.publish.plan import plan_changes
from episeek_pipelines.publish.repository import HubRepository
from episeek_pipelines.publish.store_ids import with_store_ids
from episeek_pipelines.source_revision import read_record, write_record
from episeek_pipelines.storage import Root
from episeek_schemas import layout

_SHOWN_PATHS: Final = 5


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt found, and what it wants to change."""

    parent: str
    files: RemoteFiles
    base: BaseCheck
    base_commit: str
    changes: Changes
    sidecars: Root
    """Where the sidecars are that it sends: those of the overlay, or with the repository's identities filled in."""


@dataclass(slots=True)
class Publisher:
    """One publication in one repository."""

    overlay: Root
    repository: HubRepository
    options: PublishOptions
    data_root: str | None
    work: Root
    digests: LocalDigests = field(default_factory=LocalDigests)
    _base_commit: str | None = field(default=None, init=False)
    """Once it was asked for."""

    def attempt(self, *, is_missing: bool = False) -> Attempt:
        """Plan against the head of the branch, or against nothing, for a repository that is not there yet."""
        options, repository = self.options, self.repository
        parent = "" if is_missing else repository.head(options.branch)
        files: RemoteFiles = {} if is_missing else repository.files(parent)
        remote = Root(repository.url(parent))

        def changes(card: bytes | None, replaced: dict[str, str]) -> Changes:
            return plan_changes(
                self.overlay,
                files,
                card=card,
                sidecars_only=options.sidecars_only,
                replaced_files=replaced,
                digests=self.digests,
            )

        first = changes(None, {})
        base_commit = "" if is_missing else self._require_base(parent, files, first)
        base = check_base(self.overlay, files, remote.source(), changes=first, sidecars_only=options.sidecars_only)
        if layout.INFO_PATH in files and not options.sidecars_only:
            info = remote.read_bytes(layout.INFO_PATH, file_size=files[layout.INFO_PATH].size)
            require_no_loss(info, base, where=repository.url(parent))
        replaced = with_store_ids(self.overlay, base, self.work)
        repository_id = repository.repository_id
        has_card = layout.CARD_PATH in files
        card = overlay_card(
            self.overlay, remote if has_card else None, base, replaced, name=repository_id, where=repository_id
        )
        sidecars_root = self.work if replaced else self.overlay
        return Attempt(parent, files, base, base_commit, changes(card, replaced), sidecars_root)

    def _require_base(self, parent: str, files: RemoteFiles, changes: Changes) -> str:
        """The commit that the overlay was prepared from; what is to be replaced must be as it was there."""
        if self._base_commit is None:
            self._base_commit = self._find_base()
        commit = self._base_commit
        theirs = changed_since(self.repository.files(commit), files, changes) if commit not in ("", parent) else ()
        if theirs:
            where = self.repository.url(self.options.branch)
            since = f"{commit}, which {self.overlay} was prepared from"
            found = f"commit {parent}, in which {shown_paths(theirs)} changed since {since}"
            expected = f"these files as they were: prepare the dataset again, or replace them with --base {parent}"
            raise ConflictError(where, found, expected, parent)
        return commit

    def _find_base(self) -> str:
        if self.options.base is not None:
            return self.repository.head(self.options.base)
        record = read_record(self.overlay)
        if record is None:
            return ""
        try:
            return self.repository.head(record.commit)
        except MissingFileError:  # of another repository
            return ""

    def remember(self, published: PublishResult) -> None:
        """From now on, what was published is what the overlay belongs to."""
        record = read_record(self.overlay) if published.base_commit else None
        if record is not None and self.options.branch == MAIN and not self.options.create_pr:
            with suppress(WriteError):  # nothing is lost: another run that changes something asks for --base
                write_record(self.overlay, replace(record, commit=published.commit))

    def arrived(self, revision: str, attempt: Attempt) -> ArrivalReport:
        """Look at what is there."""
        data_root = None if self.data_root is None else Root(self.data_root)
        url, clip_count = self.repository.url(revision), self.options.clip_count
        return check_arrival(url, attempt.sidecars, data_root, sent=attempt.changes, clip_count=clip_count)


def shown_paths(paths: Collection[str]) -> str:
    """The first of them, for messages."""
    more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
    return ", ".join(sorted(paths)[:_SHOWN_PATHS]) + more

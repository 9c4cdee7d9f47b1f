"""What a publication wants to change in a repository as it is at one commit, and what has to hold there before anything is sent."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from episeek.errors import MissingFileError, WriteError
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.digests import (
    LocalDigests,
)
from episeek_pipelines.dataset.provenance import read_record, write_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.card.overlay_card import overlay_card
from episeek_pipelines.publish.errors import (
    ConflictError,
)
from episeek_pipelines.publish.hub.options import PublishOptions, PublishResult
from episeek_pipelines.publish.hub.origin import changed_by_others
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.hub_client.values import MAIN
from episeek_pipelines.publish.overlay.arrival import ArrivalReport, check_arrival
from episeek_pipelines.publish.overlay.changes import Changes, RemoteFiles, shown_paths
from episeek_pipelines.publish.overlay.last_published import last_commit, remember_commit
from episeek_pipelines.publish.overlay.plan import plan_changes
from episeek_pipelines.publish.overlay.sidecar_identities import write_identified_sidecars
from episeek_pipelines.publish.overlay.target_check import TargetCheck, check_target, require_no_loss
from episeek_schemas import layout


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt found, and what it wants to change."""

    parent: str
    files: RemoteFiles
    target_check: TargetCheck
    changes: Changes
    sidecars: Root
    """Where the sidecars are that it sends: those of the overlay, or with the repository's identities filled in."""
    base_commit: str = ""
    """As `PublishResult` has it."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What of the repository is nobody else's."""

    commits: tuple[str, ...]
    """That the overlay was prepared from, and that was published from here last."""
    files: Mapping[str, FileIdentity]
    """Of the source that the overlay was prepared from."""


@dataclass(slots=True)
class Publisher:
    """One publication in one repository."""

    overlay: Root
    repository: HubClient
    options: PublishOptions
    data_root: str | None
    work: Root
    digests: LocalDigests = field(default_factory=LocalDigests)
    _known: "_Known | None" = field(default=None, init=False)
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
        target_check = check_target(
            self.overlay, files, remote.source(), changes=first, sidecars_only=options.sidecars_only
        )
        if layout.INFO_PATH in files and not options.sidecars_only:
            info = remote.read_bytes(layout.INFO_PATH, file_size=files[layout.INFO_PATH].size)
            require_no_loss(info, target_check, where=repository.url(parent))
        replaced = write_identified_sidecars(self.overlay, target_check, self.work)
        repository_id = repository.repository_id
        has_card = layout.CARD_PATH in files
        card = overlay_card(
            self.overlay, remote if has_card else None, target_check, replaced, name=repository_id, where=repository_id
        )
        sidecars_root = self.work if replaced else self.overlay
        return Attempt(parent, files, target_check, changes(card, replaced), sidecars_root)

    def with_base(self, attempt: Attempt) -> Attempt:
        """The same, when nothing of what it replaces is somebody else's.

        Raises:
            ConflictError: It is, or may be.
        """
        parent, files, changes = attempt.parent, attempt.files, attempt.changes
        if self._known is None:
            self._known = self._find_known()
        known, hub = self._known, self.repository
        bases = [files if commit == parent else hub.files(commit) for commit in known.commits]
        theirs = changed_by_others(files, changes, bases, known.files)
        if theirs:
            how = (
                "other than what DST was prepared from"
                if known.files
                else "of unknown origin: DST does not say its source"
            )
            since = (
                f"changed since {known.commits[0]}" if known.commits else f"{'are' if len(theirs) > 1 else 'is'} {how}"
            )
            found = f"commit {parent}, in which {shown_paths(theirs)} {since}"
            expected = (
                f"these files as they were: prepare the dataset again from it, or replace them with --base {parent}"
            )
            raise ConflictError(hub.url(self.options.branch), found, expected, parent)
        return replace(attempt, base_commit=known.commits[0] if known.commits else "")

    def _find_known(self) -> "_Known":
        hub = self.repository
        if self.options.base is not None:
            return _Known((hub.head(self.options.base),), {})
        record = read_record(self.overlay)
        recorded, files = (None, {}) if record is None else (record.commit, record.files)
        commits = []
        for commit in dict.fromkeys((recorded, last_commit(hub.repository_id))):
            with suppress(MissingFileError):  # of another repository, or of a history that was rewritten
                commits += [] if commit is None else [hub.head(commit)]
        return _Known(tuple(commits), files)

    def remember(self, published: PublishResult) -> None:
        """From now on, what was published is known, and the overlay belongs to it."""
        if self.options.branch != MAIN or self.options.create_pr:
            return
        remember_commit(self.repository.repository_id, published.commit)
        record = read_record(self.overlay)
        known = () if self._known is None else self._known.commits
        is_of_repository = record is not None and record.commit is not None and record.commit in known
        if record is not None and (is_of_repository or self.options.base is not None):
            with suppress(WriteError):  # it is known all the same
                write_record(self.overlay, replace(record, commit=published.commit))

    def arrived(self, revision: str, attempt: Attempt) -> ArrivalReport:
        """Look at what is there."""
        data_root = None if self.data_root is None else Root(self.data_root)
        url, clip_count = self.repository.url(revision), self.options.clip_count
        return check_arrival(url, attempt.sidecars, data_root, sent=attempt.changes, clip_count=clip_count)

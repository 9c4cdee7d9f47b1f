"""Plan and check one attempt to publish an overlay (the output of `episeek prepare`) onto a repository of the Hub.

An attempt plans the changes for one commit of the repository, and checks which files of that commit may be replaced. If somebody
else commits before the changes are sent, a new attempt is made for the new commit.

A publication may replace a file only if the file still has the content from which the overlay was prepared, or content that this
machine has published. The card and the byte index are exceptions.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from episeek.errors import MissingFileError, WriteError
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.digests import LocalDigests
from episeek_pipelines.dataset.provenance import read_record, write_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.card.overlay_card import overlay_card
from episeek_pipelines.publish.errors import ConflictError
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
    """The state of the repository at one commit, and the changes that are planned for it."""

    parent: str
    """The head of the branch, for which the changes are planned; empty if the repository does not exist yet."""
    files: RemoteFiles
    """The files of the repository at `parent`, by path."""
    target_check: TargetCheck
    changes: Changes
    sidecars: Root
    """Root of the sidecars (the byte index) that are sent: the overlay, or a folder with new sidecars that contain the identities
    of the videos in the repository.
    """
    base_commit: str = ""
    """The commit with which the files to be replaced were compared; empty if they were not compared with a commit."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """The versions of files that a publication of an overlay may replace: their versions in some commits, and in the source."""

    commits: tuple[str, ...]
    """The commit that the overlay was prepared from and the commit that this machine last published, if they are recorded; or the
    commit that is given as the option `base`.
    """
    files: Mapping[str, FileIdentity]
    """The identities of the source files from which the overlay was prepared, by path."""


@dataclass(slots=True)
class Publisher:
    """One publication of an overlay onto a repository: plans attempts, checks them, and compares the files that arrived."""

    overlay: Root
    repository: HubClient
    options: PublishOptions
    data_root: str | None
    work: Root
    digests: LocalDigests = field(default_factory=LocalDigests)
    _origin: "_Origin | None" = field(default=None, init=False)
    """The files that the publication may replace; None until the first attempt needs them."""

    def plan_attempt(self, *, is_missing: bool = False) -> Attempt:
        """Plan and return an attempt for the head of the branch. With `is_missing`, the repository is yet to be created.

        Raises:
            EpiseekError: The changes cannot be published.
        """
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

    def with_base_commit(self, attempt: Attempt) -> Attempt:
        """Check that the attempt replaces no file that others have changed, and return the attempt with `base_commit` filled in.

        Raises:
            ConflictError: The attempt would replace files that others have changed, or may have changed.
        """
        parent, files = attempt.parent, attempt.files
        if self._origin is None:
            self._origin = self._find_origin()
        origin, repository = self._origin, self.repository
        bases = [files if commit == parent else repository.files(commit) for commit in origin.commits]
        theirs = changed_by_others(files, attempt.changes, bases, origin.files)
        if not theirs:
            return replace(attempt, base_commit=origin.commits[0] if origin.commits else "")
        verb = "are" if len(theirs) > 1 else "is"
        if origin.commits:
            change = f"changed since {origin.commits[0]}"
        elif origin.files:
            change = f"{verb} not the same as in the source of DST"
        else:
            change = f"{verb} of unknown origin, since DST does not record its source"
        raise ConflictError(
            repository.url(self.options.branch),
            f"commit {parent}, in which {shown_paths(theirs)} {change}",
            "these files unchanged",
            parent,
            f"prepare the dataset again from this commit, or replace the files with --base {parent}",
        )

    def _find_origin(self) -> "_Origin":
        repository = self.repository
        if self.options.base is not None:
            return _Origin((repository.head(self.options.base),), {})
        record = read_record(self.overlay)
        recorded, files = (None, {}) if record is None else (record.commit, record.files)
        commits = []
        for commit in dict.fromkeys((recorded, last_commit(repository.repository_id))):
            # The recorded commit may be of another repository, or of a history that was rewritten.
            with suppress(MissingFileError):
                commits += [] if commit is None else [repository.head(commit)]
        return _Origin(tuple(commits), files)

    def remember(self, published: PublishResult) -> None:
        """Record the published commit, so that the next publication of the overlay may replace the files of this commit.

        Nothing is recorded for a pull request or for a branch other than main.
        """
        if self.options.branch != MAIN or self.options.create_pr:
            return
        remember_commit(self.repository.repository_id, published.commit)
        record = read_record(self.overlay)
        commits = () if self._origin is None else self._origin.commits
        is_of_repository = record is not None and record.commit is not None and record.commit in commits
        if record is not None and (is_of_repository or self.options.base is not None):
            # Ignore an overlay that cannot be written, because the commit is also recorded in the cache directory.
            with suppress(WriteError):
                write_record(self.overlay, replace(record, commit=published.commit))

    def check_arrival(self, revision: str, attempt: Attempt) -> ArrivalReport:
        """Compare a revision of the repository with the files that were sent, and return a report with the differences."""
        data_root = None if self.data_root is None else Root(self.data_root)
        url, clip_count = self.repository.url(revision), self.options.clip_count
        return check_arrival(url, attempt.sidecars, data_root, sent=attempt.changes, clip_count=clip_count)

"""Publishing as one job: plan, compare with the repository, send, look at what arrived, move the tag last.

Each attempt works against one commit, the head of the branch when it began, and what is sent is made up for that commit
alone. When somebody else commits in between, the Hub refuses; where their commit touches none of our files, a new attempt
starts from theirs, otherwise the error says which files both have changed. So it is for what others have committed since the
commit that the overlay was prepared from, where that is known. Nothing else is remembered between runs: what a run that was
stopped has sent is found by its content.
"""

import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from episeek.byte_source import is_local
from episeek.errors import DestinationError, EpiseekError, MissingFileError, WriteError
from episeek.hub_location import is_hub, parse_hub_url
from episeek_pipelines import prepare
from episeek_pipelines.prepare import Execution
from episeek_pipelines.publish.arrival import ArrivalReport, check_arrival
from episeek_pipelines.publish.base_check import BaseCheck, check_base, require_no_loss
from episeek_pipelines.publish.base_revision import changed_since
from episeek_pipelines.publish.card import CardFacts, decoded_card, updated_card
from episeek_pipelines.publish.changes import Changes, RemoteFiles
from episeek_pipelines.publish.contents import differing_paths
from episeek_pipelines.publish.hub_errors import ConflictError
from episeek_pipelines.publish.hub_values import MAIN, MAX_OPERATIONS_PER_COMMIT, CommitOutcome
from episeek_pipelines.publish.local_files import LocalDigests
from episeek_pipelines.publish.plan import plan_changes
from episeek_pipelines.publish.repository import HubRepository
from episeek_pipelines.publish.store_ids import with_store_ids
from episeek_pipelines.source_revision import read_record, write_record
from episeek_pipelines.storage import Root
from episeek_pipelines.summary import counted
from episeek_pipelines.verify import VerificationReport, VerifyOptions
from episeek_schemas import layout, sidecars

VERSION_TAG: Final = "v3.0"
"""What LeRobot's readers resolve for datasets of codebase version 3.0."""

MAX_ATTEMPTS: Final = 6
"""Each after a commit of somebody else."""

_SHOWN_PATHS: Final = 5
_DATASET_FOLDERS: Final = tuple(f"{folder}/" for folder in (layout.DATA_DIR, layout.META_DIR, layout.VIDEOS_DIR))
_TAGS_LEFT: Final = "what was sent; tags were left where they are"

_HERE: Final = Execution()


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How to publish.

    Raises:
        ValueError: Options that exclude each other.
    """

    branch: str = MAIN
    tag: str | None = VERSION_TAG
    """Moved to the commit at the end, where it is on main; None leaves tags alone."""
    create_pr: bool = False
    """Leave a pull request for others to merge."""
    message: str = "Seekable: one row group per episode, byte index"
    base: str | None = None
    """The revision of the repository that the overlay was prepared from: what others have changed since is not replaced. None:
    what `prepare` has recorded, if it could."""
    create: bool = False
    """Make the repository when there is none."""
    private: bool = False
    dry_run: bool = False
    sidecars_only: bool = False
    is_verified: bool = True
    """Whether the overlay has to pass a verification first."""
    clip_count: int = 16
    """Clips that are fetched from the published revision and compared."""

    def __post_init__(self) -> None:
        if self.create_pr and self.branch != MAIN:
            raise ValueError("create_pr: found another branch than main; expected main, which a pull request is for")
        if self.private and not self.create:
            raise ValueError("private: found without create; expected both, of a repository that is made")


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What was published; for a dry run what would be."""

    url: str
    """`hf://datasets/ORG/NAME@COMMIT`."""
    parent: str
    """The commit it was made up for; empty for a repository that is not there yet, which a dry run leaves so."""
    commit: str
    """Empty for a dry run."""
    is_new: bool
    """False where everything was there already."""
    changes: Changes
    commit_count: int
    """Made on the branch or the pull request, a merge not counted; for a dry run those that would be."""
    pull_request: str | None
    """Its page, where one was asked for."""
    tag_moved: bool
    base: BaseCheck
    base_commit: str
    """That the overlay was prepared from, and that the repository was compared with; empty where it is not known."""
    verification: VerificationReport | None
    arrival: ArrivalReport | None
    attempts: int
    seconds: float


class RefusedPublicationError(EpiseekError, RuntimeError):
    """The overlay did not pass, so nothing was sent; or what arrived is not what was sent, and the tag was left."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one attempt found, and what it wants to change."""

    parent: str
    files: RemoteFiles
    base: BaseCheck
    base_commit: str
    changes: Changes
    sidecars: Root
    """Where the sidecars are that it sends: those of the overlay, or with the repository's identities filled in."""


@dataclass(slots=True)
class _Job:
    overlay: Root
    repository: HubRepository
    options: PublishOptions
    data_root: str | None
    work: Root
    digests: LocalDigests = field(default_factory=LocalDigests)
    _base_commit: str | None = None
    """Once it was asked for."""

    def attempt(self, *, is_missing: bool = False) -> _Attempt:
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
        card = self._card(base, files, remote, replaced)
        sidecars_root = self.work if replaced else self.overlay
        return _Attempt(parent, files, base, base_commit, changes(card, replaced), sidecars_root)

    def _require_base(self, parent: str, files: RemoteFiles, changes: Changes) -> str:
        """The commit that the overlay was prepared from; what is to be replaced must be as it was there."""
        if self._base_commit is None:
            self._base_commit = self._find_base()
        commit = self._base_commit
        theirs = changed_since(self.repository.files(commit), files, changes) if commit not in ("", parent) else ()
        if theirs:
            where = self.repository.url(self.options.branch)
            found = f"commit {parent}, in which {_shown(theirs)} changed since {commit}, which {self.overlay} was prepared from"
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

    def _card(self, base: BaseCheck, files: RemoteFiles, remote: Root, replaced: dict[str, str]) -> bytes:
        content: bytes | None = None
        if layout.CARD_PATH in files:
            content = remote.read_bytes(layout.CARD_PATH)
        elif self.overlay.exists(layout.CARD_PATH):
            content = self.overlay.read_bytes(layout.CARD_PATH)
        text = None if content is None else decoded_card(content, repository_id=self.repository.repository_id)
        paths = [replaced.get(path, self.overlay.join(path)) for path, _ in sidecars.TABLES.values()]
        facts = CardFacts(
            episode_count=base.episode_count,
            frame_count=base.frame_count,
            camera_count=len(base.info.video_keys),
            fps=base.info.fps,
            sidecar_bytes=sum(Path(path).stat().st_size for path in paths),
        )
        made = updated_card(
            text, repository_id=self.repository.repository_id, format_version=sidecars.FORMAT_VERSION, facts=facts
        )
        return made.encode()

    def arrived(self, revision: str, attempt: _Attempt) -> ArrivalReport:
        """Look at what is there."""
        data_root = None if self.data_root is None else Root(self.data_root)
        url, clip_count = self.repository.url(revision), self.options.clip_count
        return check_arrival(url, attempt.sidecars, data_root, sent=attempt.changes, clip_count=clip_count)


def publish(
    overlay: str,
    target: str,
    *,
    data_root: str | None = None,
    options: PublishOptions = PublishOptions(),
    execution: Execution = _HERE,
    repository: HubRepository | None = None,
) -> PublishResult:
    """Publish a prepared dataset onto a dataset repository on the Hub.

    Args:
        overlay: What `episeek prepare` wrote, on this machine.
        target: `ORG/NAME` or `hf://datasets/ORG/NAME`.
        data_root: Where the videos are on this machine, to compare published clips with; None: the overlay itself where
            it holds videos, otherwise clips are decoded.
        options: How.
        execution: Of the verification.
        repository: For other retries; None: `target`. What has arrived is read as everybody reads it: with the environment's
            Hub and token.

    Raises:
        DestinationError: `target` is no dataset repository, or `overlay` not on this machine.
        RefusedPublicationError: The overlay has errors; or what arrived differs.
        UnpublishableError, BaseMismatchError, UnusableCardError: What cannot be published, before anything is sent.
        ConflictError: Somebody else has changed the same files.
        EpiseekError: The Hub, the token, or the network does not let it.
    """
    started = time.perf_counter()
    if not is_local(overlay):
        raise DestinationError(overlay, "an overlay in a store", "what `episeek prepare` wrote on this machine")
    root = Root(overlay)
    hub = repository if repository is not None else HubRepository(repository_id_of(target))
    is_missing = not hub.exists()
    if is_missing and not options.create:
        raise DestinationError(hub.url(), "no such repository", "one that is there; or --create, which makes it")
    if data_root is None and root.list(layout.VIDEOS_DIR):
        data_root = root.url
    verification = None
    if options.is_verified and is_verifiable(root):
        videos = data_root or (root.url if is_missing else hub.url(hub.head(options.branch)))
        verification = verified(root, videos, execution)
    with _scratch() as work:
        job = _Job(root, hub, options, data_root, work)
        planned = job.attempt(is_missing=True) if is_missing else None  # so that nothing is made for what is refused
        if planned is not None and options.dry_run:
            result = _result(job, planned, "")
        else:
            if is_missing:
                hub.create(options.private)
            result = _publish(job)
    return replace(result, verification=verification, seconds=time.perf_counter() - started)


def repository_id_of(target: str) -> str:
    """`ORG/NAME` of a target.

    Raises:
        DestinationError: It is none.
    """
    expected = (
        "ORG/NAME or hf://datasets/ORG/NAME: a dataset repository; for stores `store_publishing.publish_to_store`"
    )
    if target.startswith("hf://buckets/"):
        raise DestinationError(target, "a bucket", expected)
    if is_hub(target):
        location = parse_hub_url(target)
        if location.kind != "datasets" or location.revision or location.prefix:
            raise DestinationError(target, "something else on the Hub, or a revision or folder of it", expected)
        return location.repo_id
    if "://" in target:
        scheme = target.partition("://")[0]
        raise DestinationError(target, f"a store, {scheme}", expected)
    if target.count("/") != 1 or not all(target.split("/")):
        raise DestinationError(target, "no name of a repository", expected)
    return target


def is_verifiable(root: Root) -> bool:
    """Whether it is more than sidecars, which `episeek index --output` writes alone: they are compared with the repository."""
    return root.exists(layout.INFO_PATH)


def verified(root: Root, videos: str, execution: Execution) -> VerificationReport:
    """The verification of an overlay before it is published.

    Raises:
        RefusedPublicationError: It has errors.
    """
    report = prepare.verify(root.url, data_root=videos, options=VerifyOptions(level="layout"), execution=execution)
    if report.error_count:
        first = next(finding for finding in report.findings if finding.severity == "error")
        count = counted(report.error_count, "error")
        found = f"{count}, the first {first.code} {first.location}: {first.message}"
        raise RefusedPublicationError(root.url, found, "a dataset that passes `episeek verify`; or --no-verify")
    return report


def _publish(job: _Job) -> PublishResult:
    before: _Attempt | None = None
    conflict: ConflictError | None = None
    for number in range(1, MAX_ATTEMPTS + 1):
        attempt = job.attempt()
        if before is not None and conflict is not None:
            _require_apart(before, attempt, conflict)
        if job.options.dry_run:
            return _result(job, attempt, "", attempts=number)
        try:
            sent = _send(job, attempt, number)
        except ConflictError as error:
            before, conflict = attempt, error
        else:
            job.remember(sent)
            return _tagged(job, sent)
    assert conflict is not None
    raise conflict


def _require_apart(before: _Attempt, now: _Attempt, conflict: ConflictError) -> None:
    """What somebody else has committed must not be what is still to be changed, other than the card, which is added to."""
    theirs = (differing_paths(before.files, now.files) & now.changes.paths) - {layout.CARD_PATH}
    if theirs:
        found = f"commit {now.parent} of somebody else, which changes {_shown(theirs)}, as this publication does"
        expected = f"these files as they were at {before.parent}: prepare the dataset again, or run this again"
        raise ConflictError(conflict.where, found, expected, now.parent)


def _shown(paths: Collection[str]) -> str:
    more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
    return ", ".join(sorted(paths)[:_SHOWN_PATHS]) + more


def _send(job: _Job, attempt: _Attempt, number: int) -> PublishResult:
    """Commit, and look at what arrived."""
    options, hub, changes = job.options, job.repository, attempt.changes
    parent, message = attempt.parent, options.message
    if options.create_pr:
        request = hub.create_pull_request(changes, parent=parent, message=message)
        head = parent if request is None else request.head
        result = _result(job, attempt, head, is_new=request is not None and request.is_new, attempts=number)
        result = replace(result, pull_request=None if request is None else request.url)
    elif changes.operation_count <= MAX_OPERATIONS_PER_COMMIT:
        outcome = hub.commit(changes, revision=options.branch, parent=parent, message=message)
        result = _result(job, attempt, outcome.commit, is_new=outcome.is_new, attempts=number)
    else:
        outcome = _send_in_parts(job, attempt)
        result = _result(job, attempt, outcome.commit, is_new=outcome.is_new, attempts=number)
    return replace(result, arrival=_required(job.arrived(result.commit, attempt), result.url, _TAGS_LEFT))


def _send_in_parts(job: _Job, attempt: _Attempt) -> CommitOutcome:
    """Through a pull request, which is looked at before it is merged: main changes once."""
    options, hub = job.options, job.repository
    if options.branch != MAIN:
        found = f"{attempt.changes.operation_count} files for branch {options.branch}"
        raise DestinationError(hub.url(), found, f"at most {MAX_OPERATIONS_PER_COMMIT}, or the branch main")
    request = hub.commit_in_parts(attempt.changes, parent=attempt.parent, message=options.message)
    if request is None:
        return CommitOutcome(attempt.parent, False, 0)
    _required(job.arrived(request.head, attempt), request.url, "what was sent; nothing of it is visible on main")
    try:
        _require_same_dataset(hub, attempt)
        return hub.merge(request.ref, expected_base=attempt.parent)
    except ConflictError as conflict:  # the next attempt has another parent, and a pull request of its own
        with suppress(EpiseekError):  # a draft that stays open does no harm
            hub.close_pull_request(request.ref, comment=f"Not merged: {conflict}")
        raise


def _require_same_dataset(hub: HubRepository, attempt: _Attempt) -> None:
    """A merge takes what others have committed as it is: nothing of the dataset may be other than what was compared."""
    head = hub.head(MAIN)
    changed = () if head == attempt.parent else differing_paths(attempt.files, hub.files(head))
    first = min((path for path in changed if path.startswith(_DATASET_FOLDERS)), default=None)
    if first is not None:
        found, expected = f"commit {head}, which changes {first}", f"the dataset as it was at {attempt.parent}"
        raise ConflictError(hub.url(MAIN), found, expected, head)


def _tagged(job: _Job, result: PublishResult) -> PublishResult:
    """Move the tag, where there is one to move."""
    options = job.options
    if options.tag is None or options.branch != MAIN or options.create_pr:
        return result
    try:
        is_moved = job.repository.move_tag(options.tag, result.commit)
    except ConflictError as conflict:
        if conflict.head != result.commit:
            raise
        is_moved = False  # somebody who publishes the same was faster
    return replace(result, tag_moved=is_moved)


def _required(arrival: ArrivalReport, where: str, expected: str) -> ArrivalReport:
    if not arrival.is_as_sent:
        raise RefusedPublicationError(where, arrival.summary, expected)
    return arrival


def _result(job: _Job, attempt: _Attempt, commit: str, *, is_new: bool = True, attempts: int = 1) -> PublishResult:
    count = attempt.changes.operation_count
    is_new = is_new and count > 0
    return PublishResult(
        url=job.repository.url(commit or attempt.parent),
        parent=attempt.parent,
        commit=commit,
        is_new=is_new,
        changes=attempt.changes,
        commit_count=-(-count // MAX_OPERATIONS_PER_COMMIT) if is_new else 0,
        pull_request=None,
        tag_moved=False,
        base=attempt.base,
        base_commit=attempt.base_commit,
        verification=None,
        arrival=None,
        attempts=attempts,
        seconds=0.0,
    )


@contextmanager
def _scratch() -> Iterator[Root]:
    with tempfile.TemporaryDirectory(prefix="episeek-publish-") as folder:
        yield Root(folder)

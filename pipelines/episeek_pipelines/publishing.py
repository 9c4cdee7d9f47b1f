"""Publishing as one job: plan, compare with the repository, send, look at what arrived, move the tag last.

Each attempt works against one commit, the head of the branch when it began, and what is sent is made up for that commit
alone. When somebody else commits in between, the Hub refuses; where their commit touches none of our files, a new attempt
starts from theirs, otherwise the error says which files both have changed. Nothing is remembered between runs: what a run
that was stopped has sent is found by its content.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from episeek.byte_source import is_local
from episeek.errors import DestinationError, EpiseekError
from episeek.hub_location import is_hub, parse_hub_url
from episeek_pipelines import prepare
from episeek_pipelines.prepare import Execution
from episeek_pipelines.publish.arrival import ArrivalReport, check_arrival
from episeek_pipelines.publish.base_check import BaseCheck, check_base
from episeek_pipelines.publish.card import CardFacts, decoded_card, updated_card
from episeek_pipelines.publish.changes import Changes, RemoteFiles
from episeek_pipelines.publish.contents import differing_paths
from episeek_pipelines.publish.hub_errors import ConflictError
from episeek_pipelines.publish.hub_values import MAIN, MAX_OPERATIONS_PER_COMMIT
from episeek_pipelines.publish.local_files import LocalDigests
from episeek_pipelines.publish.plan import plan_changes
from episeek_pipelines.publish.repository import HubRepository
from episeek_pipelines.publish.store_ids import with_store_ids
from episeek_pipelines.storage import Root
from episeek_pipelines.verify import VerificationReport, VerifyOptions
from episeek_schemas import layout, sidecars

VERSION_TAG: Final = "v3.0"
"""What LeRobot's readers resolve for datasets of codebase version 3.0."""

MAX_ATTEMPTS: Final = 6
"""Each after a commit of somebody else."""

_SHOWN_PATHS: Final = 5

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
    commit: str
    """Empty for a dry run."""
    is_new: bool
    """False where everything was there already."""
    changes: Changes
    commit_count: int
    pull_request: str | None
    """Its page, where one was asked for."""
    tag_moved: bool
    base: BaseCheck
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
    changes: Changes


@dataclass(slots=True)
class _Job:
    overlay: Root
    repository: HubRepository
    options: PublishOptions
    data_root: str | None
    work: Root
    digests: LocalDigests = field(default_factory=LocalDigests)

    def attempt(self) -> _Attempt:
        """Plan against the head of the branch."""
        options, repository = self.options, self.repository
        parent = repository.head(options.branch)
        files = repository.files(parent)
        videos = Root(repository.url(parent)).source()

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
        base = check_base(self.overlay, files, videos, changes=first, sidecars_only=options.sidecars_only)
        replaced = with_store_ids(self.overlay, base, self.work)
        card = self._card(base, files, Root(repository.url(parent)), replaced)
        return _Attempt(parent, files, base, changes(card, replaced))

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

    def arrived(self, revision: str, changes: Changes) -> ArrivalReport:
        """Look at what is there."""
        data_root = None if self.data_root is None else Root(self.data_root)
        url = self.repository.url(revision)
        return check_arrival(url, self.overlay, data_root, sent=changes, clip_count=self.options.clip_count)


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
        repository: For other retries or another Hub; None: `target`.

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
    _require_repository(hub, options)
    if data_root is None and root.list(layout.VIDEOS_DIR):
        data_root = root.url
    verification = _verified(root, hub, options, data_root, execution) if options.is_verified else None
    with _scratch() as work:
        job = _Job(root, hub, options, data_root, work)
        result = _publish(job)
    return replace(result, verification=verification, seconds=time.perf_counter() - started)


def repository_id_of(target: str) -> str:
    """`ORG/NAME` of a target.

    Raises:
        DestinationError: It is none.
    """
    expected = "ORG/NAME or hf://datasets/ORG/NAME: a dataset repository"
    if is_hub(target):
        location = parse_hub_url(target)
        if location.kind != "datasets" or location.revision or location.prefix:
            raise DestinationError(target, "something else on the Hub, or a revision or folder of it", expected)
        return location.repo_id
    if "://" in target or target.count("/") != 1 or not all(target.split("/")):
        raise DestinationError(target, "no name of a repository", expected)
    return target


def _require_repository(hub: HubRepository, options: PublishOptions) -> None:
    if hub.exists():
        return
    if not options.create:
        raise DestinationError(hub.url(), "no such repository", "one that is there; or --create, which makes it")
    if not options.dry_run:
        hub.create(options.private)


def _verified(
    root: Root, hub: HubRepository, options: PublishOptions, data_root: str | None, execution: Execution
) -> VerificationReport:
    videos = data_root if data_root is not None else hub.url(hub.head(options.branch))
    report = prepare.verify(root.url, data_root=videos, options=VerifyOptions(level="layout"), execution=execution)
    if report.error_count:
        first = next(finding for finding in report.findings if finding.severity == "error")
        found = f"{report.error_count} errors, the first {first.code} {first.location}: {first.message}"
        raise RefusedPublicationError(root.url, found, "a dataset that passes `episeek verify`; or --no-verify")
    return report


def _publish(job: _Job) -> PublishResult:
    for number in range(1, MAX_ATTEMPTS + 1):
        attempt = job.attempt()
        if job.options.dry_run:
            return _result(job, attempt, "", attempts=number)
        try:
            return _send(job, attempt, number)
        except ConflictError as conflict:
            head = conflict.head or job.repository.head(job.options.branch)
            theirs = differing_paths(attempt.files, job.repository.files(head)) & attempt.changes.paths
            if theirs:
                shown = ", ".join(sorted(theirs)[:_SHOWN_PATHS])
                more = f" and {len(theirs) - _SHOWN_PATHS} more" if len(theirs) > _SHOWN_PATHS else ""
                found = f"commit {head} of somebody else, which changes {shown}{more}, as this publication does"
                expected = f"these files as they were at {attempt.parent}: prepare the dataset again, or run this again"
                raise ConflictError(conflict.where, found, expected, head) from None
            if number == MAX_ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _send(job: _Job, attempt: _Attempt, number: int) -> PublishResult:
    """Commit, look at what arrived, and move the tag."""
    options, hub, changes = job.options, job.repository, attempt.changes
    if options.create_pr:
        request = hub.create_pull_request(changes, parent=attempt.parent, message=options.message)
        head = attempt.parent if request is None else request.head
        arrival = job.arrived(head, changes)
        url = None if request is None else request.url
        return _required(_result(job, attempt, head, arrival=arrival, pull_request=url, attempts=number))
    if changes.operation_count <= MAX_OPERATIONS_PER_COMMIT:
        outcome = hub.commit(changes, revision=options.branch, parent=attempt.parent, message=options.message)
    else:
        if options.branch != MAIN:
            found = f"{changes.operation_count} files for branch {options.branch}"
            raise DestinationError(hub.url(), found, f"at most {MAX_OPERATIONS_PER_COMMIT}, or the branch main")
        request = hub.commit_in_parts(changes, parent=attempt.parent, message=options.message)
        assert request is not None
        before = job.arrived(request.head, changes)
        if not before.is_as_sent:
            raise RefusedPublicationError(
                request.url, before.summary, "what was sent; nothing of it is visible on main"
            )
        outcome = hub.merge(request.ref, expected_base=attempt.parent)
    arrival = job.arrived(outcome.commit, changes)
    result = _result(job, attempt, outcome.commit, arrival=arrival, is_new=outcome.is_new, attempts=number)
    _required(result)
    if options.tag is not None and options.branch == MAIN:
        result = replace(result, tag_moved=hub.move_tag(options.tag, outcome.commit))
    return result


def _required(result: PublishResult) -> PublishResult:
    if result.arrival is not None and not result.arrival.is_as_sent:
        raise RefusedPublicationError(
            result.url, result.arrival.summary, "what was sent; tags were left where they are"
        )
    return result


def _result(
    job: _Job,
    attempt: _Attempt,
    commit: str,
    *,
    arrival: ArrivalReport | None = None,
    pull_request: str | None = None,
    is_new: bool = True,
    attempts: int = 1,
) -> PublishResult:
    count = attempt.changes.operation_count
    return PublishResult(
        url=job.repository.url(commit or attempt.parent),
        parent=attempt.parent,
        commit=commit,
        is_new=is_new and count > 0,
        changes=attempt.changes,
        commit_count=-(-count // MAX_OPERATIONS_PER_COMMIT),
        pull_request=pull_request,
        tag_moved=False,
        base=attempt.base,
        verification=None,
        arrival=arrival,
        attempts=attempts,
        seconds=0.0,
    )


@contextmanager
def _scratch() -> Iterator[Root]:
    with tempfile.TemporaryDirectory(prefix="episeek-publish-") as folder:
        yield Root(folder)

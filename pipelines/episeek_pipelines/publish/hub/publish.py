"""Publish an overlay (the output of `episeek prepare`) onto a repository of the Hub as one job.

The job plans the changes, compares them with the repository, sends them, checks the files that arrived, and finally moves the tag.
Each attempt plans its changes for one commit: the head of the branch when the attempt begins. If somebody else commits in the
meantime, the Hub refuses the changes. If the other commit changes none of the files of this publication, a new attempt is made for
that commit. Otherwise the job fails, and the error lists the files that the other commit and this publication change. Commits that
others made between the preparation of the overlay and the publication have the same effect. If a run is stopped, the next run
compares the contents of the files, and skips the files that were already sent.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final

from episeek.errors import DestinationError, EpiseekError
from episeek.stores.kinds import HUB_BUCKET, is_hub, is_local, kind_of
from episeek.stores.transports.hub.location import parse_hub_url
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution
from episeek_pipelines.publish.errors import ConflictError, RefusedPublicationError
from episeek_pipelines.publish.hub.attempts import Attempt, Publisher
from episeek_pipelines.publish.hub.options import DEFAULT_OPTIONS, PublishOptions, PublishResult
from episeek_pipelines.publish.hub_client import merges, pull_requests
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.hub_client.commits import commit
from episeek_pipelines.publish.hub_client.pull_requests import commit_in_parts
from episeek_pipelines.publish.hub_client.tags import move_tag
from episeek_pipelines.publish.hub_client.values import MAIN, CommitOutcome
from episeek_pipelines.publish.hub_limits import MAX_OPERATIONS_PER_COMMIT
from episeek_pipelines.publish.overlay.arrival import ArrivalReport
from episeek_pipelines.publish.overlay.changes import shown_paths
from episeek_pipelines.publish.overlay.episode_changes import compare_with_target
from episeek_pipelines.publish.overlay.file_comparison import differing_paths
from episeek_pipelines.publish.overlay.verification import is_verifiable, local_videos, require_videos, verify_overlay
from episeek_schemas import layout

MAX_ATTEMPTS: Final = 6
"""Largest number of attempts of one publication. A new attempt is made after each commit of somebody else."""

_DATASET_FOLDERS: Final = tuple(f"{folder}/" for folder in (layout.DATA_DIR, layout.META_DIR, layout.VIDEOS_DIR))
_NO_TAG_MOVED: Final = "a revision with the files that were sent; no tag was moved"


def publish(
    overlay: str,
    target: str,
    *,
    data_root: str | None = None,
    options: PublishOptions = DEFAULT_OPTIONS,
    execution: Execution = DEFAULT_EXECUTION,
    repository: HubClient | None = None,
) -> PublishResult:
    """Publish a prepared dataset onto a dataset repository on the Hub.

    Args:
        overlay: The output of `episeek prepare`, on this machine.
        target: `ORG/NAME` or `hf://datasets/ORG/NAME`.
        data_root: The folder on this machine with the videos, which published clips (short ranges of frames) are compared with.
            None stands for the overlay, or for the source that the overlay records. If neither of them has the videos on this
            machine, published clips are decoded instead of compared.
        options: The options of the publication.
        execution: Scheduler, workers and progress of the verification.
        repository: The client of the repository, for example with other retries; None for a standard client of `target`. To check
            the published revision, the job reads it as any reader does, with the Hub's URL and the token of the environment.

    Raises:
        DestinationError: `target` is not a dataset repository, or does not fit the options; or `overlay` is not on this machine.
        RefusedPublicationError: The overlay has errors, or the published files differ from the files that were sent.
        UnpublishableError, TargetMismatchError, UnusableCardError: The changes cannot be published; nothing was sent.
        ConflictError: Somebody else has changed the same files.
        ForeignChangesError: The changes were sent in several commits to a pull request, and somebody else pushed to the pull
            request just before the merge.
        EpiseekError: The Hub, the token or the network does not allow the publication.
    """
    started = time.perf_counter()
    if not is_local(overlay):
        raise DestinationError(overlay, "the URL of a store", "the output of `episeek prepare` on this machine")
    root = Root(overlay)
    if not root.is_dir():
        # The directory is checked before the first request to the Hub.
        raise DestinationError(overlay, "no such directory", "the output of `episeek prepare`")
    hub = repository if repository is not None else HubClient(repository_id_of(target))
    is_missing = not hub.exists()
    if is_missing and not options.create:
        raise DestinationError(hub.url(), "no such repository", "an existing repository", "create it with --create")
    _require_fitting(hub, options, is_missing=is_missing)
    if is_missing:
        require_videos(root, where=hub.url())
    if data_root is None:
        data_root = local_videos(root)
    verification = None
    if options.is_verified and is_verifiable(root):
        videos = data_root or (root.url if is_missing else hub.url(hub.head(options.branch)))
        verification = verify_overlay(root, videos, execution)
    with _scratch() as work:
        job = Publisher(root, hub, options, data_root, work)
        # The changes are planned before the repository is created, so that no repository is created if the plan fails.
        planned = job.plan_attempt(is_missing=True) if is_missing else None
        if planned is not None and options.dry_run:
            result = _result(job, planned, "")
        else:
            if is_missing:
                hub.create(options.private)
            result = _publish(job)
    if options.dry_run and result.parent and not options.sidecars_only:
        result = replace(result, comparison=compare_with_target(root, hub.url(result.parent)))
    return replace(result, verification=verification, seconds=time.perf_counter() - started)


def repository_id_of(target: str) -> str:
    """Return the name `ORG/NAME` of a dataset repository that is given as a name or as a URL.

    Raises:
        DestinationError: The target is not a dataset repository.
    """
    expected = "a dataset repository (ORG/NAME or hf://datasets/ORG/NAME), or the URL of a store (s3://, hf://buckets/, file:///)"
    if kind_of(target) is HUB_BUCKET:
        raise DestinationError(target, "a bucket", expected)
    if is_hub(target):
        location = parse_hub_url(target)
        if location.kind != "datasets" or location.revision or location.prefix:
            raise DestinationError(target, "another kind of repository, or the URL of a revision or folder", expected)
        return location.repo_id
    if "://" in target:
        scheme = target.partition("://")[0]
        raise DestinationError(target, f"the URL of a store with the scheme {scheme}", expected)
    if target.count("/") != 1 or not all(target.split("/")):
        raise DestinationError(target, "neither the name of a repository nor a URL", expected)
    return target


def _require_fitting(hub: HubClient, options: PublishOptions, *, is_missing: bool) -> None:
    """Raise an error if the options do not fit the repository.

    Raises:
        DestinationError: The branch does not exist or begins with `refs/`, or `private` is given for a public repository.
        MissingFileError: The revision `base` does not exist.
    """
    branch, base = options.branch, options.base
    if branch.startswith("refs/"):
        raise DestinationError(hub.url(), f"branch {branch!r}", "the name of a branch, without refs/")
    if branch != MAIN and (is_missing or branch not in hub.refs().branches):
        raise DestinationError(hub.url(), f"no branch {branch!r}", "an existing branch")
    if base is not None and not (is_missing and base):
        hub.head(base)
    if options.private and not is_missing and not hub.is_private():
        hint = "make it private in its settings, or omit --private"
        raise DestinationError(hub.url(), "a public repository", "a private repository, because of --private", hint)


def _publish(job: Publisher) -> PublishResult:
    before: Attempt | None = None
    conflict: ConflictError | None = None
    for number in range(1, MAX_ATTEMPTS + 1):
        attempt = job.plan_attempt()
        if before is not None and conflict is not None:
            _require_apart(before, attempt, conflict)
        attempt = job.with_base_commit(attempt)
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


def _require_apart(before: Attempt, now: Attempt, conflict: ConflictError) -> None:
    """Raise ConflictError if a commit of somebody else, made since `before`, changes a file that `now` has to change.

    Changes of the card are allowed, because a publication only extends the card.

    Args:
        before: The attempt that the Hub refused.
        now: The new attempt, planned for the commit of somebody else.
        conflict: The error of the refused attempt.
    """
    theirs = (differing_paths(before.files, now.files) & now.changes.paths) - {layout.CARD_PATH}
    if theirs:
        found = f"commit {now.parent} of somebody else, which also changes {shown_paths(theirs)}"
        expected = f"these files unchanged since commit {before.parent}"
        hint = "prepare the dataset again, or run this command again"
        raise ConflictError(conflict.where, found, expected, now.parent, hint)


def _send(job: Publisher, attempt: Attempt, number: int) -> PublishResult:
    """Commit the changes, compare the files that arrived, and return the result of the publication.

    Raises:
        RefusedPublicationError: The files that arrived differ from the files that were sent.
        ConflictError: Somebody else has committed in the meantime.
    """
    options, hub, changes = job.options, job.repository, attempt.changes
    parent, message = attempt.parent, options.title
    if options.create_pr:
        request = commit_in_parts(hub, changes, parent=parent, message=message)
        head = parent if request is None else request.head
        result = _result(job, attempt, head, is_new=request is not None and request.is_new, attempts=number)
        result = replace(result, pull_request=None if request is None else request.url)
    elif changes.operation_count <= MAX_OPERATIONS_PER_COMMIT:
        outcome = commit(hub, changes, revision=options.branch, parent=parent, message=message)
        result = _result(job, attempt, outcome.commit, is_new=outcome.is_new, attempts=number)
    else:
        outcome = _send_in_parts(job, attempt)
        result = _result(job, attempt, outcome.commit, is_new=outcome.is_new, attempts=number)
    return replace(result, arrival=_as_sent(job.check_arrival(result.commit, attempt), result.url, _NO_TAG_MOVED))


def _send_in_parts(job: Publisher, attempt: Attempt) -> CommitOutcome:
    """Send the changes in several commits to a pull request, check the files that arrived, and merge the pull request.

    Readers of main see all changes at once, because main gets them only with the merge.
    """
    options, hub = job.options, job.repository
    if options.branch != MAIN:
        found = f"{attempt.changes.operation_count} files for branch {options.branch}"
        raise DestinationError(hub.url(), found, f"at most {MAX_OPERATIONS_PER_COMMIT}", "publish onto the branch main")
    request = commit_in_parts(hub, attempt.changes, parent=attempt.parent, message=options.title)
    if request is None:
        return CommitOutcome(attempt.parent, False, 0)
    _as_sent(
        job.check_arrival(request.head, attempt),
        request.url,
        "a pull request with the files that were sent; main is unchanged",
    )
    try:
        _require_same_dataset(hub, attempt)
        return merges.merge(hub, request.ref, expected_base=attempt.parent, head=request.head)
    # The next attempt opens another pull request, so this pull request is closed.
    except ConflictError as conflict:
        # A pull request that somebody else has pushed to stays open. A draft that cannot be closed does no harm.
        with suppress(EpiseekError):
            if hub.head(request.ref) == request.head:
                pull_requests.close(hub, request.ref, comment=f"Not merged: {conflict}")
        raise


def _require_same_dataset(hub: HubClient, attempt: Attempt) -> None:
    """Raise ConflictError if somebody has changed the dataset on main since the attempt was planned.

    The merge would combine these changes with the changes of the publication without any check.
    """
    head = hub.head(MAIN)
    changed = () if head == attempt.parent else differing_paths(attempt.files, hub.files(head))
    first = min((path for path in changed if path.startswith(_DATASET_FOLDERS)), default=None)
    if first is not None:
        found, expected = (
            f"commit {head}, which changes {first}",
            f"the dataset unchanged since commit {attempt.parent}",
        )
        raise ConflictError(hub.url(MAIN), found, expected, head)


def _tagged(job: Publisher, result: PublishResult) -> PublishResult:
    """Move the tag to the published commit if the options ask for it, and return the result with `tag_moved`."""
    options = job.options
    if options.tag is None or options.branch != MAIN or options.create_pr:
        return result
    try:
        is_moved = move_tag(job.repository, options.tag, result.commit)
    except ConflictError as conflict:
        if conflict.head != result.commit:
            raise
        # Another publication of the same content has moved the tag already.
        is_moved = False
    return replace(result, tag_moved=is_moved)


def _as_sent(arrival: ArrivalReport, where: str, expected: str) -> ArrivalReport:
    if not arrival.is_as_sent:
        raise RefusedPublicationError(where, arrival.summary, expected, problems=arrival.problems)
    return arrival


def _result(job: Publisher, attempt: Attempt, commit: str, *, is_new: bool = True, attempts: int = 1) -> PublishResult:
    count = attempt.changes.operation_count
    is_new = is_new and count > 0
    return PublishResult(
        url=job.repository.url(commit or attempt.parent),
        parent=attempt.parent,
        commit=commit,
        is_new=is_new,
        changes=attempt.changes,
        replaced=frozenset(item.path for item in attempt.changes.additions if item.path in attempt.files),
        commit_count=-(-count // MAX_OPERATIONS_PER_COMMIT) if is_new else 0,
        pull_request=None,
        tag_moved=False,
        target_check=attempt.target_check,
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

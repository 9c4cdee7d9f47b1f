"""Collect the commits of a large publication in a draft pull request, so that readers see all changes at once after the merge."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from episeek.errors import EpiseekError
from episeek_pipelines.publish.errors import ConflictError, RefusedError
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.hub_client.commits import commit
from episeek_pipelines.publish.hub_client.values import KIND, MAIN, OPEN_STATUSES, REF_PREFIX, PullRequest
from episeek_pipelines.publish.hub_limits import MAX_OPERATIONS_PER_COMMIT, MAX_TITLE_LENGTH
from episeek_pipelines.publish.overlay.changes import Changes, RemoteFiles
from episeek_pipelines.publish.overlay.file_comparison import changes_digest, differing_paths, remaining_changes
from episeek_pipelines.publish.overlay.plan import split_changes

_DIGITS = 16


def commit_in_parts(
    repository: HubClient, changes: Changes, *, parent: str, message: str, description: str = ""
) -> PullRequest | None:
    """Commit any number of changes to a draft pull request, in commits of at most `MAX_OPERATIONS_PER_COMMIT` files.

    Readers of the branches do not see the changes until the pull request is merged. If a run was stopped and the function is called
    again, the function finds the pull request of that run and makes the commits that are missing. It recognises the pull request by
    the author, the title and the contents; the title contains the parent and a digest of the changes. If the Hub does not report
    the name of the token's user, a new pull request is opened.

    Args:
        repository: The client of the repository.
        changes: Any number of changes.
        parent: The commit that main has to be at.
        message: The title of the pull request and of its commits.
        description: The description of the pull request.

    Returns:
        The pull request, which can be verified at its `ref` and then merged. None if `parent` contains all changes already.

    Raises:
        ConflictError: Main is at another commit, or somebody else has committed to the pull request.
        ChangedFileError, MissingFileError, AccessError, RefusedError, WriteError: A commit failed, see `commit`.
    """
    base = repository.files(parent)
    changes = remaining_changes(changes, base)
    if not changes.operation_count:
        return None
    marker = upload_marker(parent, changes)
    found = _find(repository, marker, base, changes)
    if found is None:
        title = f"{message[: MAX_TITLE_LENGTH - len(marker) - 1]} {marker}"
        made = _open(repository, title, description, parent)
        first = _find(repository, marker, base, changes)
        found = made if first is None or first.number == made.number else first
        # If another run of the same publication was faster, both runs continue with the pull request that was opened first.
        if found is not made:
            try_to_close(repository, made.ref, f"Duplicate of #{found.number}")
    remaining = changes if found.head == parent else remaining_changes(changes, repository.files(found.head))
    parts = split_changes(remaining, MAX_OPERATIONS_PER_COMMIT)
    head = found.head
    for number, part in enumerate(parts, 1):
        title = message if len(parts) == 1 else f"{message} (part {number} of {len(parts)})"
        head = commit(repository, part, revision=found.ref, parent=head, message=title).commit
    return replace(found, head=head)


def upload_marker(parent: str, changes: Changes) -> str:
    """Return the end of a pull request's title, from which later runs recognize the pull request.

    It contains the id of the parent commit, and a digest of the changes.
    """
    return f"[episeek {parent[:_DIGITS]}-{changes_digest(changes)[:_DIGITS]}]"


def close(repository: HubClient, ref: str, *, comment: str) -> None:
    """Close a pull request that will not be merged.

    Nothing happens if the pull request is merged or closed already, or if it was not opened by the user of the token.

    Args:
        repository: The client of the repository.
        ref: The ref of the pull request, `refs/pr/N`.
        comment: The reason, as a comment for people who read the pull request.
    """
    where = repository.url(ref)
    number = number_of(ref, where)

    def landed() -> bool | None:
        details = details_of(repository, number)
        is_ours = details.status in OPEN_STATUSES and details.author == repository.user()
        return None if is_ours else True

    def change(api: Any) -> bool:
        api.change_discussion_status(repository.repository_id, number, "closed", comment=comment, repo_type=KIND)
        return True

    if landed() is None:
        repository.write(change, where=where, expected="a closed pull request", landed=landed)


def try_to_close(repository: HubClient, ref: str, comment: str) -> None:
    """Close a pull request, and ignore errors: a pull request that stays open does no harm."""
    with suppress(EpiseekError):
        close(repository, ref, comment=comment)


# --- one pull request -----------------------------------------------------------------------------------------------------


def _open(repository: HubClient, title: str, description: str, parent: str) -> PullRequest:
    where = repository.url()
    head = repository.head(MAIN)
    if head != parent:
        raise _not_at_parent(repository.url(MAIN), head, parent)

    def landed() -> int | None:
        return next(_titled(repository, title), None)

    def create(api: Any) -> int:
        made = api.create_pull_request(repository.repository_id, title, description=description or None, repo_type=KIND)
        return int(made.num)

    # The client makes two requests: it creates the pull request, and then reads it.
    number = repository.write(create, where=where, expected="a new pull request", landed=landed, is_one_request=False)
    made = _pull_request(repository, number, is_new=True)
    if made.head != parent:
        try_to_close(repository, made.ref, f"Main was at another commit than {parent}")
        raise _not_at_parent(repository.url(made.ref), made.head, parent)
    return made


def _find(repository: HubClient, marker: str, base: RemoteFiles, changes: Changes) -> PullRequest | None:
    """Return the first open pull request whose title ends with `marker` and that contains no changes except some of `changes`.

    Only pull requests of the token's user are considered. Return None if none of them matches.
    """
    for number in _titled(repository, marker):
        found = _pull_request(repository, number, is_new=False)
        files = repository.files(found.head)
        done = frozenset(changes.paths - remaining_changes(changes, files).paths)
        if differing_paths(base, files) <= done:
            return found
    return None


def _titled(repository: HubClient, end: str) -> Iterator[int]:
    """Return an iterator over the sorted numbers of open pull requests whose titles end with `end`.

    Only pull requests of the token's user are included, because anybody could open a pull request with such a title.
    """
    found = repository.read(
        lambda api: [
            (discussion.num, discussion.status, discussion.title, discussion.author)
            for discussion in api.get_repo_discussions(
                repository.repository_id, discussion_type="pull_request", repo_type=KIND
            )
            if discussion.is_pull_request
        ],
        where=repository.url(),
        expected="a listing of the pull requests",
    )
    titled = [
        (number, author)
        for number, status, title, author in found
        if status in OPEN_STATUSES and title.endswith(end.strip())
    ]
    user = repository.user() if titled else ""
    return iter(sorted(number for number, author in titled if author == user))


def _pull_request(repository: HubClient, number: int, *, is_new: bool) -> PullRequest:
    ref = f"{REF_PREFIX}{number}"
    return PullRequest(number, ref, repository.head(ref), str(details_of(repository, number).url), is_new)


def details_of(repository: HubClient, number: int) -> Any:
    """Return the details of a pull request, such as its status and author, as an object of huggingface_hub."""
    return repository.read(
        lambda api: api.get_discussion_details(repository.repository_id, number, repo_type=KIND),
        where=repository.url(f"{REF_PREFIX}{number}"),
        expected="a pull request",
    )


def number_of(ref: str, where: str) -> int:
    """Return the number of a pull request from its ref `refs/pr/N`.

    Raises:
        RefusedError: `ref` is not the ref of a pull request.
    """
    number = ref.removeprefix(REF_PREFIX)
    if not (ref.startswith(REF_PREFIX) and number.isascii() and number.isdigit()):
        raise RefusedError(where, f"{ref!r}", "the ref of a pull request, refs/pr/N")
    return int(number)


def _not_at_parent(where: str, head: str, parent: str) -> ConflictError:
    return ConflictError(where, f"commit {head}", f"{parent}, which the changes were planned for", head)

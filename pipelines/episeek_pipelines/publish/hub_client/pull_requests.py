"""Changes of more than one commit, collected in a draft pull request, so that its merge shows them in one step."""

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
    """Commit any number of changes to a draft pull request, in commits of at most `MAX_OPERATIONS_PER_COMMIT`.

    Readers of the branches see nothing of it. Run again after a stop, it finds its own pull request by the author, by the parent
    and a digest of the changes in the title, and by its contents, and makes the commits that are missing. Where the Hub does not
    say who the user of the token is, it opens another one.

    Args:
        repository: The client of the repository.
        changes: Any number of changes.
        parent: The commit that main is at.
        message: The title of the pull request and of its commits.
        description: The description of the pull request.

    Returns:
        The pull request, to verify at its `ref` and then to `merge`; None where `parent` has all changes already.

    Raises:
        ConflictError: Main is at another commit, or somebody else commits to the pull request.
        ChangedFileError, MissingFileError, AccessError, RefusedError, WriteError: See `commit`.
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
        # somebody who publishes the same was faster: both continue with the first one
        if found is not made:
            try_to_close(repository, made.ref, f"The same as #{found.number}")
    remaining = changes if found.head == parent else remaining_changes(changes, repository.files(found.head))
    parts = split_changes(remaining, MAX_OPERATIONS_PER_COMMIT)
    head = found.head
    for number, part in enumerate(parts, 1):
        title = message if len(parts) == 1 else f"{message} (part {number} of {len(parts)})"
        head = commit(repository, part, revision=found.ref, parent=head, message=title).commit
    return replace(found, head=head)


def upload_marker(parent: str, changes: Changes) -> str:
    """Return the part of a pull request's title that identifies its parent and content, so that a later run finds it."""
    return f"[episeek {parent[:_DIGITS]}-{changes_digest(changes)[:_DIGITS]}]"


def close(repository: HubClient, ref: str, *, comment: str) -> None:
    """Close a pull request that will not be merged, unless it is merged or closed already, or of another user than the token's.

    Args:
        repository: The client of the repository.
        ref: `refs/pr/N`.
        comment: The reason, for people who look at it.
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
    """Close a pull request if that is possible; one that stays open does no harm."""
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

    # two requests: the client reads the pull request that it has created
    number = repository.write(create, where=where, expected="a new pull request", landed=landed, is_one_request=False)
    made = _pull_request(repository, number, is_new=True)
    if made.head != parent:
        try_to_close(repository, made.ref, f"Main was at another commit than {parent}")
        raise _not_at_parent(repository.url(made.ref), made.head, parent)
    return made


def _find(repository: HubClient, marker: str, base: RemoteFiles, changes: Changes) -> PullRequest | None:
    """Return the first pull request with this marker that makes some of the changes to the base, and no others."""
    for number in _titled(repository, marker):
        found = _pull_request(repository, number, is_new=False)
        files = repository.files(found.head)
        done = frozenset(changes.paths - remaining_changes(changes, files).paths)
        if differing_paths(base, files) <= done:
            return found
    return None


def _titled(repository: HubClient, end: str) -> Iterator[int]:
    """Yield the numbers of the open pull requests of the token's user whose titles end with `end`.

    Those of other users are skipped: anybody can write such a title.
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
    """Return the Hub's description of a pull request."""
    return repository.read(
        lambda api: api.get_discussion_details(repository.repository_id, number, repo_type=KIND),
        where=repository.url(f"{REF_PREFIX}{number}"),
        expected="a pull request",
    )


def number_of(ref: str, where: str) -> int:
    """Return N of `refs/pr/N`.

    Raises:
        RefusedError: The text is another ref.
    """
    number = ref.removeprefix(REF_PREFIX)
    if not (ref.startswith(REF_PREFIX) and number.isascii() and number.isdigit()):
        raise RefusedError(where, f"{ref!r}", "refs/pr/N of a pull request")
    return int(number)


def _not_at_parent(where: str, head: str, parent: str) -> ConflictError:
    return ConflictError(where, f"commit {head}", f"{parent}, which the changes were planned for", head)

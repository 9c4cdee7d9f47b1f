"""Changes of more than one commit that become visible in one step: a draft pull request and its merge."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from episeek.errors import AccessError, EpiseekError
from episeek_pipelines.publish.errors import (
    ConflictError,
    ForeignChangesError,
    RefusedError,
)
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.hub_client.commits import commit
from episeek_pipelines.publish.hub_client.values import (
    KIND,
    MAIN,
    CommitOutcome,
    PullRequest,
)
from episeek_pipelines.publish.hub_limits import MAX_OPERATIONS_PER_COMMIT, MAX_TITLE_LENGTH
from episeek_pipelines.publish.overlay.changes import Changes, RemoteFiles, shown_paths
from episeek_pipelines.publish.overlay.file_comparison import changes_digest, differing_paths, remaining_changes
from episeek_pipelines.publish.overlay.plan import split_changes

_REF = "refs/pr/"
_DIGITS = 16
_OPEN = ("draft", "open")


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
            _try_to_close(repository, made.ref, f"The same as #{found.number}")
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


def merge(repository: HubClient, ref: str, *, expected_base: str, head: str | None = None) -> CommitOutcome:
    """Merge a pull request: main shows all of its changes in one step.

    The Hub's merge has no precondition, neither of main nor of the pull request. When others commit to main just before the merge,
    the Hub refuses only what Git cannot merge; and when somebody pushes to the pull request just before the merge, that is merged
    as well. This cannot be prevented, but it is found: the changes of the merge are compared with the pull request at `head` before
    the function returns.

    Args:
        repository: The client of the repository.
        ref: `refs/pr/N`.
        expected_base: The commit that the pull request was made on top of.
        head: The commit of the pull request that was verified; None for its present head.

    Returns:
        The merge's commit; for a pull request that was merged before, the commit that holds it, marked as not new.

    Raises:
        ConflictError: Main has changed in files that the pull request touches; or the pull request has another head, or is
            closed.
        ForeignChangesError: It is merged, and main has files of it that differ from those at `head`.
    """
    where = repository.url(ref)
    number = _number(ref, where)
    before = _merged(repository, number)
    verified = repository.head(ref) if head is None else head
    proposed, base = repository.files(verified), repository.files(expected_base)
    if before is not None:
        _require_verified(repository, ref, before, expected_base, verified, base, proposed)
        return CommitOutcome(before, False, 0)
    touched = differing_paths(base, proposed)
    if not touched:
        return CommitOutcome(repository.head(MAIN), False, 0)

    def landed() -> str | None:
        return _merged(repository, number) or _in_main(repository, ref, expected_base, base, proposed)

    def accept(api: Any) -> str:
        api.merge_pull_request(repository.repository_id, number, repo_type=KIND)
        return ""

    already = _in_main(repository, ref, expected_base, base, proposed)
    now = repository.head(ref)
    if now != verified:
        raise ConflictError(where, f"commit {now}", f"{verified}, which was verified: nothing was merged", now)
    if already is not None:
        _try_to_close(repository, ref, f"Main has all of it at {already}")
        return CommitOutcome(already, False, 0)
    expected = f"the pull request to be merged on top of {expected_base}"
    try:
        commit = repository.write(accept, where=where, expected=expected, landed=landed)
    except (RefusedError, ConflictError, AccessError) as refusal:
        if isinstance(refusal, ConflictError) and refusal.head:
            raise
        _make_ready(repository, number, where, refusal)
        commit = repository.write(accept, where=where, expected=expected, landed=landed)
    commit = commit or _merged(repository, number) or ""
    if not commit:
        raise ConflictError(where, "a pull request that is not merged", "a merged one, as the Hub's response says")
    # otherwise somebody else has committed the same
    if _details(repository, number).status == "merged":
        _require_verified(repository, ref, commit, expected_base, verified, base, proposed)
    return CommitOutcome(commit, True, len(touched))


def close(repository: HubClient, ref: str, *, comment: str) -> None:
    """Close a pull request that will not be merged, unless it is merged or closed already, or of another user than the token's.

    Args:
        repository: The client of the repository.
        ref: `refs/pr/N`.
        comment: The reason, for people who look at it.
    """
    where = repository.url(ref)
    number = _number(ref, where)

    def landed() -> bool | None:
        details = _details(repository, number)
        is_ours = details.status in _OPEN and details.author == repository.user()
        return None if is_ours else True

    def change(api: Any) -> bool:
        api.change_discussion_status(repository.repository_id, number, "closed", comment=comment, repo_type=KIND)
        return True

    if landed() is None:
        repository.write(change, where=where, expected="a closed pull request", landed=landed)


def _try_to_close(repository: HubClient, ref: str, comment: str) -> None:
    # a pull request that stays open does no harm
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
        _try_to_close(repository, made.ref, f"Main was at another commit than {parent}")
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
        (number, author) for number, status, title, author in found if status in _OPEN and title.endswith(end.strip())
    ]
    user = repository.user() if titled else ""
    return iter(sorted(number for number, author in titled if author == user))


def _pull_request(repository: HubClient, number: int, *, is_new: bool) -> PullRequest:
    ref = f"{_REF}{number}"
    return PullRequest(number, ref, repository.head(ref), str(_details(repository, number).url), is_new)


def _details(repository: HubClient, number: int) -> Any:
    return repository.read(
        lambda api: api.get_discussion_details(repository.repository_id, number, repo_type=KIND),
        where=repository.url(f"{_REF}{number}"),
        expected="a pull request",
    )


def _number(ref: str, where: str) -> int:
    number = ref.removeprefix(_REF)
    if not (ref.startswith(_REF) and number.isascii() and number.isdigit()):
        raise RefusedError(where, f"{ref!r}", "refs/pr/N of a pull request")
    return int(number)


def _merged(repository: HubClient, number: int) -> str | None:
    """Return the commit that merged a pull request; None where it can be merged. Raise ConflictError where it is closed."""
    details = _details(repository, number)
    if details.status == "merged":
        return str(details.merge_commit_oid or repository.head(MAIN))
    if details.status not in _OPEN:
        raise ConflictError(
            repository.url(f"{_REF}{number}"), f"a pull request that is {details.status}", "an open pull request"
        )
    return None


def _in_main(
    repository: HubClient, ref: str, expected_base: str, base: RemoteFiles, proposed: RemoteFiles
) -> str | None:
    """Return the head of main where main has all changes of the pull request; None where it is to be merged.

    Raises:
        ConflictError: Somebody else has changed one of the same files.
    """
    head = repository.head(MAIN)
    if head == expected_base:
        return None
    now = repository.files(head)
    touched = differing_paths(base, proposed)
    if not touched & differing_paths(proposed, now):
        return head
    changed = sorted(touched & differing_paths(base, now))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        found = f"commit {head}, in which {changed[0]}{more} changed"
        expected = f"the files that {ref} touches as they were at {expected_base}: nothing was merged"
        raise ConflictError(repository.url(MAIN), found, expected, head)
    return None


def _require_verified(
    repository: HubClient,
    ref: str,
    commit: str,
    expected_base: str,
    verified: str,
    base: RemoteFiles,
    proposed: RemoteFiles,
) -> None:
    """Require that a merge has changed exactly what the pull request changes at the verified commit.

    Raises:
        ForeignChangesError: It has changed more files, or to other content.
    """
    merged = repository.files(commit)
    touched = differing_paths(base, proposed)
    foreign = touched & differing_paths(proposed, merged)
    more = differing_paths(base, merged) - touched
    # others may have committed these to main
    if more:
        pushed = {*repository.commit_ids(verified), *repository.commit_ids(ref)}
        history = repository.commit_ids(commit)[1:]
        before = next((older for older in history if older not in pushed), expected_base)
        foreign |= more & differing_paths(repository.files(before), merged)
    if foreign:
        found = f"{shown_paths(foreign)}, pushed to {ref} after it was verified, or committed to main meanwhile"
        expected = f"the changes verified at {verified} alone: no tag was moved"
        raise ForeignChangesError(repository.url(commit), found, expected, "look at these files, and revert them")


def _make_ready(repository: HubClient, number: int, where: str, refusal: Exception) -> None:
    """Make a draft ready to be merged; raise the Hub's refusal to merge where it is not a draft."""
    details = _details(repository, number)
    if details.conflicting_files:
        files = details.conflicting_files
        found = f"conflicts in {', '.join(sorted(files)[:3])}" if isinstance(files, list | tuple | set) else "conflicts"
        raise ConflictError(where, found, "a pull request that can be merged", repository.head(MAIN)) from None
    if details.status != "draft":
        raise refusal

    def landed() -> bool | None:
        return True if _details(repository, number).status != "draft" else None

    def open_draft(api: Any) -> bool:
        api.change_discussion_status(repository.repository_id, number, "open", repo_type=KIND)
        return True

    repository.write(open_draft, where=where, expected="a draft that becomes ready to be merged", landed=landed)


def _not_at_parent(where: str, head: str, parent: str) -> ConflictError:
    return ConflictError(where, f"commit {head}", f"{parent}, which the changes were planned for", head)

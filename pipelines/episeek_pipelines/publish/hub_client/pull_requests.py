"""Changes of more than one commit, that become visible in one step: a draft pull request, and its merge."""

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
from episeek_pipelines.publish.hub_client.client import HubRepository
from episeek_pipelines.publish.hub_client.commits import commit
from episeek_pipelines.publish.hub_client.values import (
    KIND,
    MAIN,
    MAX_OPERATIONS_PER_COMMIT,
    CommitOutcome,
    PullRequest,
)
from episeek_pipelines.publish.overlay.changes import Changes, RemoteFiles, shown_paths
from episeek_pipelines.publish.overlay.file_comparison import changes_digest, differing_paths, remaining_changes
from episeek_pipelines.publish.overlay.plan import split_changes

_REF = "refs/pr/"
_MAX_TITLE = 200
"""Letters: the Hub's limit."""

_DIGITS = 16
_OPEN = ("draft", "open")


def commit_in_parts(
    repository: HubRepository, changes: Changes, *, parent: str, message: str, description: str = ""
) -> PullRequest | None:
    """Bring any number of changes into a draft pull request, in commits of at most `MAX_OPERATIONS_PER_COMMIT`.

    Readers of the branches see nothing of it. Run again after it was stopped, it finds its own pull request, by its author,
    the parent and a digest of the changes in the title, and what is in it, and makes the commits that are missing. Where
    the Hub does not say who the token belongs to, it opens another.

    Args:
        repository: The client of the repository.
        changes: Any number.
        parent: The commit that main is at.
        message: The title, and that of the commits.
        description: Of the pull request.

    Returns:
        What to verify at its `ref`, and then to `merge`; None where `parent` has all changes already.

    Raises:
        ConflictError: Main is at another commit, or somebody else commits to the pull request.
        ChangedFileError, MissingFileError, AccessError, RefusedError, WriteError: As for `commit`.
    """
    base = repository.files(parent)
    changes = remaining_changes(changes, base)
    if not changes.operation_count:
        return None
    marker = upload_marker(parent, changes)
    found = _find(repository, marker, base, changes)
    if found is None:
        title = f"{message[: _MAX_TITLE - len(marker) - 1]} {marker}"
        made = _open(repository, title, description, parent)
        first = _find(repository, marker, base, changes)
        found = made if first is None or first.number == made.number else first
        if found is not made:  # somebody who publishes the same was faster: both go on with that
            _close(repository, made.ref, f"The same as #{found.number}")
    remaining = changes if found.head == parent else remaining_changes(changes, repository.files(found.head))
    parts = split_changes(remaining, MAX_OPERATIONS_PER_COMMIT)
    head = found.head
    for number, part in enumerate(parts, 1):
        title = message if len(parts) == 1 else f"{message} (part {number} of {len(parts)})"
        head = commit(repository, part, revision=found.ref, parent=head, message=title).commit
    return replace(found, head=head)


def upload_marker(parent: str, changes: Changes) -> str:
    """What a title says of a pull request's parent and content, so that a later run finds it."""
    return f"[episeek {parent[:_DIGITS]}-{changes_digest(changes)[:_DIGITS]}]"


def merge(repository: HubRepository, ref: str, *, expected_base: str, head: str | None = None) -> CommitOutcome:
    """Make a pull request visible on main, in one step.

    The Hub's merge has no precondition, neither of main nor of the pull request. Of what others commit to main between the
    look at it and the merge, it refuses only what Git cannot merge; and what is pushed to the pull request in the moment
    between the look at its head and the merge is merged. That is found when it is done, and not prevented: what the merge
    has changed is compared with the pull request at `head`, before the caller does anything with it.

    Args:
        repository: The client of the repository.
        ref: `refs/pr/N`.
        expected_base: The commit that the pull request was made on top of.
        head: The commit of the pull request that was verified; None: that it is at now.

    Returns:
        The merge's commit; where it was merged before, the commit that has it, and nothing new.

    Raises:
        ConflictError: Main has moved, in files that the pull request touches; or the pull request has another head, or is
            closed.
        ForeignChangesError: It is merged, and main has files of it that are not those at `head`.
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
        _close(repository, ref, f"Main has all of it at {already}")
        return CommitOutcome(already, False, 0)
    expected = f"the pull request to be merged on top of {expected_base}"
    try:
        commit = repository.write(accept, where=where, expected=expected, landed=landed)
    except (RefusedError, ConflictError, AccessError) as refusal:
        if isinstance(refusal, ConflictError) and refusal.head:
            raise
        _publish(repository, number, where, refusal)
        commit = repository.write(accept, where=where, expected=expected, landed=landed)
    commit = commit or _merged(repository, number) or ""
    if not commit:
        raise ConflictError(where, "a pull request that is not merged", "one that is, as the Hub has said")
    if _details(repository, number).status == "merged":  # and not that somebody else has committed the same
        _require_verified(repository, ref, commit, expected_base, verified, base, proposed)
    return CommitOutcome(commit, True, len(touched))


def close(repository: HubRepository, ref: str, *, comment: str) -> None:
    """Close a pull request that will not be merged; nothing happens where it is merged or closed, or not of the user that
    the token belongs to.

    Args:
        repository: The client of the repository.
        ref: `refs/pr/N`.
        comment: Why, for those who look at it.
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
        repository.write(change, where=where, expected="a pull request that is closed", landed=landed)


def _close(repository: HubRepository, ref: str, comment: str) -> None:
    with suppress(EpiseekError):  # one that stays open does no harm
        close(repository, ref, comment=comment)


# --- one pull request -----------------------------------------------------------------------------------------------------


def _open(repository: HubRepository, title: str, description: str, parent: str) -> PullRequest:
    where = repository.url()
    head = repository.head(MAIN)
    if head != parent:
        raise _not_at_parent(repository.url(MAIN), head, parent)

    def landed() -> int | None:
        return next(_titled(repository, title), None)

    def create(api: Any) -> int:
        made = api.create_pull_request(repository.repository_id, title, description=description or None, repo_type=KIND)
        return int(made.num)

    number = repository.write(
        create, where=where, expected="a new pull request", landed=landed, is_one_request=False
    )  # the client asks for what it has made
    made = _pull_request(repository, number, is_new=True)
    if made.head != parent:
        _close(repository, made.ref, f"Main was at another commit than {parent}")
        raise _not_at_parent(repository.url(made.ref), made.head, parent)
    return made


def _find(repository: HubRepository, marker: str, base: RemoteFiles, changes: Changes) -> PullRequest | None:
    """The first pull request that has this marker, and the base and some of the changes in it and nothing else."""
    for number in _titled(repository, marker):
        found = _pull_request(repository, number, is_new=False)
        files = repository.files(found.head)
        done = frozenset(changes.paths - remaining_changes(changes, files).paths)
        if differing_paths(base, files) <= done:
            return found
    return None


def _titled(repository: HubRepository, end: str) -> Iterator[int]:
    """Numbers of the pull requests of the token's user that are not merged or closed and whose titles end so: anybody can work
    out the title.
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


def _pull_request(repository: HubRepository, number: int, *, is_new: bool) -> PullRequest:
    ref = f"{_REF}{number}"
    return PullRequest(number, ref, repository.head(ref), str(_details(repository, number).url), is_new)


def _details(repository: HubRepository, number: int) -> Any:
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


def _merged(repository: HubRepository, number: int) -> str | None:
    """The commit that merged it; None where it can be merged. Raises ConflictError where it is closed."""
    details = _details(repository, number)
    if details.status == "merged":
        return str(details.merge_commit_oid or repository.head(MAIN))
    if details.status not in _OPEN:
        raise ConflictError(
            repository.url(f"{_REF}{number}"), f"a pull request that is {details.status}", "an open one"
        )
    return None


def _in_main(
    repository: HubRepository, ref: str, expected_base: str, base: RemoteFiles, proposed: RemoteFiles
) -> str | None:
    """Main's head where it has all that the pull request changes; None where it can be merged.

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
    repository: HubRepository,
    ref: str,
    commit: str,
    expected_base: str,
    verified: str,
    base: RemoteFiles,
    proposed: RemoteFiles,
) -> None:
    """What a merge has changed is what the pull request changes at the commit that was verified.

    Raises:
        ForeignChangesError: It is more, or other content.
    """
    merged = repository.files(commit)
    touched = differing_paths(base, proposed)
    foreign = touched & differing_paths(proposed, merged)
    more = differing_paths(base, merged) - touched
    if more:  # which others may have committed to main
        pushed = {*repository.commit_ids(verified), *repository.commit_ids(ref)}
        history = repository.commit_ids(commit)[1:]
        before = next((older for older in history if older not in pushed), expected_base)
        foreign |= more & differing_paths(repository.files(before), merged)
    if foreign:
        found = f"{shown_paths(foreign)}, pushed to {ref} after it was verified, or committed to main meanwhile"
        expected = (
            f"what was verified at {verified} and nothing else: no tag was moved; look at these files, and revert them"
        )
        raise ForeignChangesError(repository.url(commit), found, expected)


def _publish(repository: HubRepository, number: int, where: str, refusal: Exception) -> None:
    """Make a draft one that can be merged; raise what the Hub said of merging where it is none."""
    details = _details(repository, number)
    if details.conflicting_files:
        files = details.conflicting_files
        found = f"conflicts in {', '.join(sorted(files)[:3])}" if isinstance(files, list | tuple | set) else "conflicts"
        raise ConflictError(where, found, "one that can be merged", repository.head(MAIN)) from None
    if details.status != "draft":
        raise refusal

    def landed() -> bool | None:
        return True if _details(repository, number).status != "draft" else None

    def publish(api: Any) -> bool:
        api.change_discussion_status(repository.repository_id, number, "open", repo_type=KIND)
        return True

    repository.write(publish, where=where, expected="a draft that is made ready to be merged", landed=landed)


def _not_at_parent(where: str, head: str, parent: str) -> ConflictError:
    return ConflictError(where, f"commit {head}", f"{parent}, which the changes were made up for", head)

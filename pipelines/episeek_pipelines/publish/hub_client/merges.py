"""Merge a pull request of the Hub, and check that the merge changed exactly the files that were verified in the pull request."""

from typing import Any

from episeek.errors import AccessError
from episeek_pipelines.publish.errors import ConflictError, ForeignChangesError, RefusedError
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.hub_client.pull_requests import details_of, number_of, try_to_close
from episeek_pipelines.publish.hub_client.values import KIND, MAIN, OPEN_STATUSES, REF_PREFIX, CommitOutcome
from episeek_pipelines.publish.overlay.changes import RemoteFiles, shown_paths
from episeek_pipelines.publish.overlay.file_comparison import differing_paths


def merge(repository: HubClient, ref: str, *, expected_base: str, head: str | None = None) -> CommitOutcome:
    """Merge a pull request into main, so that readers of main see all of its changes at once.

    A merge on the Hub cannot be made conditional on the commit of main or of the pull request. If others commit to main just before
    the merge, the Hub refuses only conflicts that Git cannot resolve. If somebody pushes to the pull request just before the merge,
    the pushed changes are merged as well. This function cannot prevent these two cases. It detects them after the merge, by
    comparing the changes of the merge with the pull request at `head`.

    Args:
        repository: The client of the repository.
        ref: The ref of the pull request, `refs/pr/N`.
        expected_base: The commit of main that the pull request was made on top of.
        head: The commit of the pull request that was verified; None for its present head.

    Returns:
        The commit of the merge. The outcome has `is_new` False if this call did not merge anything: because the pull request was
        merged before, or because main contains all of its changes already.

    Raises:
        ConflictError: Others have changed files on main that the pull request changes; or the pull request has another head, or is
            closed.
        ForeignChangesError: The pull request is merged, but the merge brought changes that the pull request at `head` does not
            contain.
    """
    where = repository.url(ref)
    number = number_of(ref, where)
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
        raise ConflictError(where, f"commit {now}", f"{verified}, which was verified; nothing was merged", now)
    if already is not None:
        try_to_close(repository, ref, f"Main contains all of these changes at {already}")
        return CommitOutcome(already, False, 0)
    expected = f"the pull request to be merged on top of {expected_base}"
    commit, is_new = None, True
    while commit is None:
        try:
            commit = repository.write(accept, where=where, expected=expected, landed=landed)
        except (RefusedError, ConflictError, AccessError) as refusal:
            if isinstance(refusal, ConflictError) and refusal.head:
                raise
            # Another run of the same publication may have merged the pull request just before.
            commit, is_new = _merged(repository, number), False
            if commit is None:
                _make_ready(repository, number, where, refusal)
                is_new = True
    commit = commit or _merged(repository, number) or ""
    if not commit:
        raise ConflictError(
            where, "a pull request that is not merged", "a merged pull request, as the Hub has reported"
        )
    # If the pull request is not merged, somebody else has committed the same content to main.
    if details_of(repository, number).status == "merged":
        _require_verified(repository, ref, commit, expected_base, verified, base, proposed)
    return CommitOutcome(commit, is_new, len(touched) if is_new else 0)


def _merged(repository: HubClient, number: int) -> str | None:
    """Return the commit that merged a pull request, or None if the pull request is still open.

    If the Hub does not report the commit of a merged pull request, return the head of main.

    Raises:
        ConflictError: The pull request is closed.
    """
    details = details_of(repository, number)
    if details.status == "merged":
        return str(details.merge_commit_oid or repository.head(MAIN))
    if details.status not in OPEN_STATUSES:
        raise ConflictError(
            repository.url(f"{REF_PREFIX}{number}"), f"a pull request that is {details.status}", "an open pull request"
        )
    return None


def _in_main(
    repository: HubClient, ref: str, expected_base: str, base: RemoteFiles, proposed: RemoteFiles
) -> str | None:
    """Return the head of main if main contains all changes of the pull request already; otherwise return None.

    Raises:
        ConflictError: Somebody else has changed a file on main that the pull request changes as well.
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
        expected = f"no changes since commit {expected_base} in the files that {ref} changes; nothing was merged"
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
    """Raise an error unless a merge made exactly the changes that the pull request contained at the verified commit.

    Raises:
        ForeignChangesError: The merge has changed other files as well, or has given files other content.
    """
    merged = repository.files(commit)
    touched = differing_paths(base, proposed)
    foreign = touched & differing_paths(proposed, merged)
    more = differing_paths(base, merged) - touched
    # Others may have committed these files to main before the merge. Such changes are not part of the merge.
    if more:
        pushed = {*repository.commit_ids(verified), *repository.commit_ids(ref)}
        history = repository.commit_ids(commit)[1:]
        before = next((older for older in history if older not in pushed), expected_base)
        foreign |= more & differing_paths(repository.files(before), merged)
    if foreign:
        found = f"{shown_paths(foreign)}, which somebody pushed to {ref} after it was verified, or committed to main meanwhile"
        expected = f"only the changes that were verified at {verified}; no tag was moved"
        raise ForeignChangesError(repository.url(commit), found, expected, "review these files, and revert the changes")


def _make_ready(repository: HubClient, number: int, where: str, refusal: Exception) -> None:
    """Turn a draft pull request into a pull request that can be merged.

    If the pull request is not a draft, raise `refusal`, the error with which the Hub refused to merge it.

    Raises:
        ConflictError: The pull request conflicts with main.
    """
    details = details_of(repository, number)
    if details.conflicting_files:
        files = details.conflicting_files
        found = f"conflicts in {', '.join(sorted(files)[:3])}" if isinstance(files, list | tuple | set) else "conflicts"
        raise ConflictError(where, found, "a pull request that can be merged", repository.head(MAIN)) from None
    if details.status != "draft":
        raise refusal

    def landed() -> bool | None:
        return True if details_of(repository, number).status != "draft" else None

    def open_draft(api: Any) -> bool:
        api.change_discussion_status(repository.repository_id, number, "open", repo_type=KIND)
        return True

    repository.write(open_draft, where=where, expected="a draft that becomes ready to be merged", landed=landed)

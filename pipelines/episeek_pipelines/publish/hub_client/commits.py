"""Commit changes to a repository on the Hub, all of them in one commit."""

from episeek_pipelines.publish.errors import ConflictError, RefusedError
from episeek_pipelines.publish.hub_client import uploads
from episeek_pipelines.publish.hub_client.client import HubClient, hub_library
from episeek_pipelines.publish.hub_client.values import KIND, MAIN, CommitOutcome
from episeek_pipelines.publish.hub_limits import MAX_OPERATIONS_PER_COMMIT
from episeek_pipelines.publish.overlay.changes import Changes
from episeek_pipelines.publish.overlay.file_comparison import remaining_changes


def commit(
    repository: HubClient,
    changes: Changes,
    *,
    revision: str = MAIN,
    parent: str,
    message: str,
    description: str = "",
) -> CommitOutcome:
    """Make all changes in one commit, so that readers of the branch see either all of them or none.

    The content is sent first. Content that the Hub has already is not sent again, so a run that was stopped can be started again.
    Then one request makes the commit. The Hub refuses this request unless the branch is still at `parent`.

    Args:
        repository: The client of the repository.
        changes: The changes, of at most `MAX_OPERATIONS_PER_COMMIT` files. Use `commit_in_parts` for more files.
        revision: The branch, or `refs/pr/N` for a pull request.
        parent: The commit that the branch has to be at.
        message: The title of the commit.
        description: The text of the commit message after the title.

    Returns:
        The new commit, even if the Hub's response was lost. If `parent` contains all changes already, no commit is made, and the
        outcome contains `parent` with `is_new` False.

    Raises:
        ConflictError: The branch is at another commit; the error's `head` is that commit.
        ChangedFileError: A local file has changed since the changes were planned.
        MissingFileError: A local file, the repository or the branch does not exist.
        AccessError, RefusedError, WriteError: The token, the Hub or the network does not allow the commit.
    """
    where = repository.url(revision)
    if changes.operation_count > MAX_OPERATIONS_PER_COMMIT:
        limit = f"at most {MAX_OPERATIONS_PER_COMMIT} in one commit"
        raise RefusedError(where, f"{changes.operation_count} files to add and delete", limit)
    changes = remaining_changes(changes, repository.files_at(parent, changes.paths))
    if not changes.operation_count:
        return CommitOutcome(parent, False, 0)
    operations = uploads.upload(repository, changes.additions, revision)
    head = repository.head(revision)
    # The client itself compares the changes with the branch, and makes no commit if it finds no difference.
    if head != parent:
        raise _conflict(repository, revision, parent, head)
    hub = hub_library()
    operations += [hub.CommitOperationDelete(path, is_folder=False) for path in changes.deletions]
    try:
        made = repository.write(
            lambda api: str(
                api.create_commit(
                    repository.repository_id,
                    operations,
                    commit_message=message,
                    commit_description=description,
                    repo_type=KIND,
                    revision=revision,
                    parent_commit=parent,
                ).oid
            ),
            where=where,
            expected=f"a commit on top of {parent}",
            landed=lambda: _landed(repository, changes, revision, parent),
            byte_count=min(changes.byte_count, uploads.GROUP_BYTES),
        )
    except ConflictError as conflict:
        raise (
            conflict if conflict.head else _conflict(repository, revision, parent, repository.head(revision))
        ) from None
    return CommitOutcome(made, True, changes.operation_count)


def _landed(repository: HubClient, changes: Changes, revision: str, parent: str) -> str | None:
    """Return the commit on top of `parent` if this commit makes the changes, or None if `parent` is still the head of the branch.

    Raises:
        ConflictError: The commit on top of `parent` makes other changes, so somebody else has made it.
    """
    head = repository.head(revision)
    if head == parent:
        return None
    history = repository.commit_ids(head)
    if parent in history[1:]:
        child: str = history[history.index(parent) - 1]
        if not remaining_changes(changes, repository.files_at(child, changes.paths)).operation_count:
            return child
    raise _conflict(repository, revision, parent, head)


def _conflict(repository: HubClient, revision: str, parent: str, head: str) -> ConflictError:
    expected = f"{parent}, which the changes were planned for; nothing was changed"
    return ConflictError(repository.url(revision), f"commit {head}", expected, head)

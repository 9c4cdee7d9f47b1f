"""Move a tag of a repository by deleting and creating it, since the Hub has no request that moves a tag."""

from typing import Any

from episeek.errors import EpiseekError, MissingFileError, WriteError
from episeek_pipelines.publish.errors import ConflictError, RefusedError
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.hub_client.values import KIND

_MAX_CREATIONS = 5
"""Largest number of tries to create the tag if somebody else creates and deletes it at the same time."""


def move_tag(repository: HubClient, tag: str, commit: str) -> bool:
    """Move a tag to a commit, and return True; return False if the tag was at the commit already.

    The Hub can only delete a tag and create it again, so the tag does not exist for a moment. A reader that requests the tag in
    this moment gets an error (LeRobot raises RevisionNotFoundError, or uses the tag of the next lower version if that exists). A
    reader that has resolved the tag before keeps reading the old commit, and readers of main are not affected. If a run is stopped
    in this moment, the tag is missing until the run is started again.

    Raises:
        MissingFileError: The commit does not exist; the tag was not moved.
        ConflictError: Somebody else has moved the tag in the meantime.
        WriteError: The Hub no longer answers; the tag may be missing.
    """
    where = repository.url(tag)
    before = repository.refs().tags.get(tag)
    if before == commit:
        return False
    # The commit is checked before the tag is deleted.
    found = repository.head(commit)
    if found != commit:
        raise MissingFileError(repository.url(commit), f"commit {found}", "a whole commit id of 40 digits")
    if before is not None:
        _delete(repository, tag, before, where)
    try:
        _create(repository, tag, commit, where)
    except ConflictError:
        raise
    except EpiseekError as error:
        was = f"it was at {before}" if before is not None else "it did not exist before"
        found = f"{error.found}; the tag may be missing now ({was})"
        raise WriteError(where, found, f"a tag at {commit}", "run the command again to create the tag") from None
    return True


def _delete(repository: HubClient, tag: str, before: str, where: str) -> None:
    def landed() -> bool | None:
        now = repository.refs().tags.get(tag)
        if now not in (None, before):
            raise _moved(where, now, before)
        return True if now is None else None

    def delete(api: Any) -> bool:
        api.delete_tag(repository.repository_id, tag=tag, repo_type=KIND)
        return True

    try:
        repository.write(delete, where=where, expected="the tag to be deleted", landed=landed)
    # Somebody else has deleted the tag at the same time.
    except MissingFileError:
        if not landed():
            raise


def _create(repository: HubClient, tag: str, commit: str, where: str) -> None:
    def landed() -> bool | None:
        now = repository.refs().tags.get(tag)
        if now not in (None, commit):
            raise _moved(where, now, commit)
        return None if now is None else True

    def create(api: Any) -> bool:
        api.create_tag(repository.repository_id, tag=tag, revision=commit, repo_type=KIND)
        return True

    for attempt in range(_MAX_CREATIONS):
        try:
            repository.write(create, where=where, expected="the tag to be created", landed=landed)
        # Somebody else has created the tag at the same time.
        except RefusedError:
            if landed():
                return
            if attempt + 1 == _MAX_CREATIONS:
                raise
        else:
            return


def _moved(where: str, now: str | None, expected: str) -> ConflictError:
    return ConflictError(where, f"the tag at {now}, since somebody else has moved it", expected, now or "")

"""Moving a tag of a repository: the Hub can only delete a tag and create it."""

from typing import Any

from episeek.errors import EpiseekError, MissingFileError, WriteError
from episeek_pipelines.publish.errors import ConflictError, RefusedError
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.hub_client.values import KIND

_MAX_CREATIONS = 5
"""Tries to create the tag while somebody else creates and deletes it, too."""


def move_tag(repository: HubClient, tag: str, commit: str) -> bool:
    """Move a tag to a commit, and return whether that changed anything.

    The client can only delete a tag and create it, so for the one request that creates it there is no tag. A reader that asks for
    the tag in this moment learns that there is no such revision (LeRobot raises RevisionNotFoundError, or takes the tag of the next
    lower version where there is one). A reader that has resolved the tag before keeps reading that commit, and main is not
    affected. A run that was stopped in this moment leaves no tag; run again, it creates the tag.

    Raises:
        MissingFileError: There is no such commit; the tag was not moved.
        ConflictError: Somebody else has moved the tag in the meantime.
        WriteError: The Hub does not answer any more; the message says whether the tag may be missing now.
    """
    where = repository.url(tag)
    before = repository.refs().tags.get(tag)
    if before == commit:
        return False
    # before anything is deleted
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
        was = f"it was at {before}" if before is not None else "there was none before"
        found = f"{error.found}; the tag may be missing now ({was})"
        raise WriteError(where, found, f"a tag at {commit}", "run it again to create the tag") from None
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
    # somebody else has deleted it
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
        # somebody else has created it
        except RefusedError:
            if landed():
                return
            if attempt + 1 == _MAX_CREATIONS:
                raise
        else:
            return


def _moved(where: str, now: str | None, expected: str) -> ConflictError:
    return ConflictError(where, f"the tag at {now}: somebody else has moved it", expected, now or "")

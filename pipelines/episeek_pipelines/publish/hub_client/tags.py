"""Moving a tag of a repository with what the Hub offers: deleting it and creating it."""

from typing import Any

from episeek.errors import EpiseekError, MissingFileError, WriteError
from episeek_pipelines.publish.errors import (
    ConflictError,
    RefusedError,
)
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.hub_client.values import KIND

_MAX_CREATIONS = 5
"""Each after somebody else, who moves it as well, has created it first, and deleted it."""


def move_tag(repository: HubClient, tag: str, commit: str) -> bool:
    """Point a tag to a commit; whether that changed anything.

    The client can only delete a tag and create it, so there is a moment, the one request that creates it, when there is
    none. Who asks for the tag then is told that there is no such revision (LeRobot: RevisionNotFoundError, or the next
    lower version's tag where there is one); whoever has resolved the tag before reads on at that commit, and main is not
    concerned. A run that was stopped in that moment leaves no tag, and this, run again, creates it.

    Raises:
        MissingFileError: There is no such commit; the tag is where it was.
        ConflictError: Somebody else has put the tag elsewhere in the meantime.
        WriteError: The Hub cannot be asked any more; the message says whether the tag is missing now.
    """
    where = repository.url(tag)
    before = repository.refs().tags.get(tag)
    if before == commit:
        return False
    found = repository.head(commit)  # before anything is deleted
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
        raise WriteError(where, found, f"a tag at {commit}: run it again, it creates the tag") from None
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
    except MissingFileError:  # somebody else has deleted it
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
        except RefusedError:  # somebody else has created it
            if landed():
                return
            if attempt + 1 == _MAX_CREATIONS:
                raise
        else:
            return


def _moved(where: str, now: str | None, expected: str) -> ConflictError:
    return ConflictError(where, f"the tag at {now}: somebody else has moved it", expected, now or "")

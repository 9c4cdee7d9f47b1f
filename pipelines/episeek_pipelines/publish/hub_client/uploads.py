"""Sending content to LFS or Xet ahead of the commit that names it; what is there already is not sent again."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from episeek.errors import ChangedFileError, MissingFileError, first_line
from episeek_pipelines.publish.errors import (
    RefusedError,
)
from episeek_pipelines.publish.hub_client.client import HubClient, hub_library
from episeek_pipelines.publish.hub_client.values import KIND, MAIN
from episeek_pipelines.publish.overlay.changes import Addition
from episeek_schemas import layout

GROUP_BYTES = 1 << 30
"""Uploaded by one call, and tried again together."""

_IGNORE_NOTHING = "# nothing is left out\n"
"""Sent as .gitignore: the Hub drops what the repository's own names from a commit, without a word."""


def upload(repository: HubClient, additions: tuple[Addition, ...], revision: str) -> list[Any]:
    """Send the content of what does not lie in Git itself.

    Args:
        repository: Where to.
        additions: What is to be committed.
        revision: And where: the Hub decides by its `.gitattributes`.

    Returns:
        The client's operations, which commit all of them.

    Raises:
        ChangedFileError: What was sent is not what the addition says.
    """
    operations: list[Any] = []
    for group in _groups(additions):
        made = [(addition, _operation(repository, addition)) for addition in group]
        repository.write(
            partial(_preupload, repository, operations=[operation for _, operation in made], revision=revision),
            where=repository.url(revision),
            expected=f"the content of {len(group)} files, from {group[0].path} on, to be taken",
            landed=None,  # what has arrived is not sent again
            byte_count=sum(addition.size for addition in group),
        )
        for addition, operation in made:
            _require_unchanged(addition, operation)
            operations.append(operation)
    return operations


def require_writable(repository: HubClient, revision: str = MAIN) -> None:
    """Ask whether a branch may be committed to, as a commit asks first: one request, which changes nothing.

    Raises:
        AccessError: The token may not.
    """
    content = b"asked for, and not sent\n"
    addition = Addition(layout.CARD_PATH, content, len(content), "")
    operation = _operation(repository, addition)
    repository.write(
        partial(_preupload, repository, operations=[operation], revision=revision),
        where=repository.url(revision),
        expected="a repository that may be written to; --create-pr leaves a pull request instead",
        landed=None,
    )


def _preupload(repository: HubClient, api: Any, *, operations: list[Any], revision: str) -> bool:
    api.preupload_lfs_files(
        repository.repository_id,
        operations,
        repo_type=KIND,
        revision=revision,
        free_memory=False,
        gitignore_content=_IGNORE_NOTHING,
    )
    return True


def _operation(repository: HubClient, addition: Addition) -> Any:
    where = f"{repository.url()}/{addition.path}"
    try:
        return hub_library().CommitOperationAdd(addition.path, addition.source)
    except ValueError as error:
        if "is not a file on the local file system" in str(error):
            raise MissingFileError(str(addition.source), "no such file", f"what is to be {where}") from None
        raise RefusedError(where, first_line(error), "a path that the Hub takes") from None


def _require_unchanged(addition: Addition, operation: Any) -> None:
    """The client hashes what it sends."""
    info = operation.upload_info
    if (info.size, info.sha256.hex()) != (addition.size, addition.sha256):
        source = addition.path if isinstance(addition.source, bytes) else addition.source
        found = f"{info.size} bytes with the SHA-256 {info.sha256.hex()}"
        raise ChangedFileError(source, found, f"{addition.size} bytes with {addition.sha256}, as it was before")


def _groups(additions: tuple[Addition, ...]) -> Iterator[list[Addition]]:
    group: list[Addition] = []
    for addition in additions:
        if group and sum(other.size for other in group) + addition.size > GROUP_BYTES:
            yield group
            group = []
        group.append(addition)
    if group:
        yield group

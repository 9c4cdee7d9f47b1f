"""Upload the content of files to LFS or Xet, before the files are committed.

Content that the Hub has already is not sent again.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from episeek.errors import AccessError, ChangedFileError, MissingFileError, first_line
from episeek_pipelines.publish.errors import RefusedError
from episeek_pipelines.publish.hub_client.client import HubClient, hub_library
from episeek_pipelines.publish.hub_client.values import KIND, MAIN
from episeek_pipelines.publish.overlay.changes import Addition
from episeek_schemas import layout

GROUP_BYTES = 1 << 30
"""Largest number of bytes that one call uploads, unless a single file is larger. A call that failed is repeated as a whole."""

_IGNORE_NOTHING = "# nothing is left out\n"
"""Content of a .gitignore that ignores nothing. It is sent with every upload, because otherwise the Hub silently drops files that
the repository's own .gitignore ignores.
"""


def upload(repository: HubClient, additions: tuple[Addition, ...], revision: str) -> list[Any]:
    """Upload the content of the files that the repository keeps in LFS or Xet, and return the operations for the commit.

    Args:
        repository: The client of the repository.
        additions: The files to commit.
        revision: The revision to commit to. Its `.gitattributes` decide which files are in LFS or Xet, and which in Git itself.

    Returns:
        One operation of huggingface_hub's client for each addition. The commit is made from these operations.

    Raises:
        ChangedFileError: A file has changed since its addition was planned.
    """
    operations: list[Any] = []
    for group in _groups(additions):
        made = [(addition, _operation(repository, addition)) for addition in group]
        repository.write(
            partial(_preupload, repository, operations=[operation for _, operation in made], revision=revision),
            where=repository.url(revision),
            expected=f"an upload of files, beginning with {group[0].path}",
            # The upload may be repeated, because content that has arrived is not sent again.
            landed=None,
            byte_count=sum(addition.size for addition in group),
        )
        for addition, operation in made:
            _require_unchanged(addition, operation)
            operations.append(operation)
    return operations


def require_writable(repository: HubClient, revision: str = MAIN) -> None:
    """Raise an error if the token does not have the right to commit to a branch.

    The function makes the first request of a commit, which changes nothing.

    Raises:
        AccessError: The token does not have the right to commit.
    """
    content = b"never sent\n"
    addition = Addition(layout.CARD_PATH, content, len(content), "")
    operation = _operation(repository, addition)
    try:
        repository.write(
            partial(_preupload, repository, operations=[operation], revision=revision),
            where=repository.url(revision),
            expected="a token with the right to commit to the repository",
            landed=None,
        )
    except AccessError as error:
        hint = f"{error.hint}; or open a pull request with --create-pr"
        raise AccessError(error.where, error.found, error.expected, hint) from None


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
            raise MissingFileError(str(addition.source), "no such file", f"the content of {where}") from None
        raise RefusedError(where, first_line(error), "a path that the Hub accepts") from None


def _require_unchanged(addition: Addition, operation: Any) -> None:
    """Raise ChangedFileError if the content that was sent differs from the planned content."""
    info = operation.upload_info
    if (info.size, info.sha256.hex()) != (addition.size, addition.sha256):
        source = addition.path if isinstance(addition.source, bytes) else addition.source
        found = f"{info.size} bytes with the SHA-256 {info.sha256.hex()}"
        raise ChangedFileError(source, found, f"{addition.size} bytes with the SHA-256 {addition.sha256}, as planned")


def _groups(additions: tuple[Addition, ...]) -> Iterator[list[Addition]]:
    group: list[Addition] = []
    for addition in additions:
        if group and sum(other.size for other in group) + addition.size > GROUP_BYTES:
            yield group
            group = []
        group.append(addition)
    if group:
        yield group

"""Read and change one dataset repository on the Hub, with retries, time limits and masked tokens.

No other module of the pipelines imports huggingface_hub. The library's own client makes the requests. It tries listings and uploads
up to six times, and waits between the tries for 1 to 8 s or for the time that the Hub asks for. It tries commits, tags, refs and
pull requests only once. None of its requests has a time limit. Therefore every call here runs in a thread that is abandoned when
the time limit of the retry policy is reached, and the retry policy decides whether the call is repeated.

A change is made only once. If it is uncertain whether a change was made (no response, a timeout or a failure of the server), the
repository is read before the next try. The request for a commit contains the parent commit. So if a commit is sent twice, the Hub
accepts only one of the two requests, even if the first request arrives late.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from episeek.errors import (
    BackendUnavailableError,
    EpiseekError,
    MissingFileError,
    ReadError,
    WriteError,
    first_line,
    install_hint,
)
from episeek.stores.processes.workers import call_within
from episeek.stores.requests.retry import DEFAULT_POLICY, RetryPolicy, with_retries
from episeek.stores.transfers import TransferCounter
from episeek.stores.transports.hub.location import parse_hub_url
from episeek.version import __version__
from episeek_pipelines.publish.errors import RefusedError
from episeek_pipelines.publish.hub_client import errors
from episeek_pipelines.publish.hub_client.values import KIND, MAIN, Refs
from episeek_pipelines.publish.overlay.changes import RemoteFile

T = TypeVar("T")

_SLOWEST_BYTES_PER_SECOND = 100_000
"""The lowest rate of an upload. The time limit of a call is extended by the time that its bytes take at this rate."""


@dataclass(frozen=True, slots=True)
class HubClient:
    """The client of one dataset repository on the Hub.

    The token is not pickled. A client that is unpickled in another process uses the token in that process's environment.

    Args:
        repository_id: The name of the repository, `ORG/NAME`.
        token: A token of the Hub; None for the token of the environment, as huggingface_hub finds it.
        retry: The time limit and the retries of each request. Uploads get more time in proportion to their size.
        endpoint: The URL of the Hub; None for the URL in the environment, or the public Hub.

    Raises:
        ReadError: `repository_id` is not the name of a repository.
    """

    repository_id: str
    token: str | None = field(default=None, repr=False, kw_only=True)
    retry: RetryPolicy = field(default=DEFAULT_POLICY, kw_only=True)
    endpoint: str | None = field(default=None, kw_only=True)
    _counter: TransferCounter = field(default_factory=TransferCounter, repr=False, compare=False, init=False)
    _users: list[str] = field(default_factory=list, repr=False, compare=False, init=False)
    """The name of the token's user as the only item; empty until the Hub has been asked for the name."""

    def __post_init__(self) -> None:
        location = parse_hub_url(f"hf://datasets/{self.repository_id}")
        if location.repo_id != self.repository_id or location.revision or location.prefix:
            raise ReadError(f"hf://datasets/{self.repository_id}", "a revision or a folder", "ORG/NAME")

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.repository_id, self.retry, self.endpoint)

    def url(self, revision: str | None = None) -> str:
        """Return the URL of the repository, `hf://datasets/ORG/NAME`, with `@REVISION` if a revision is given."""
        return f"hf://datasets/{self.repository_id}" + (f"@{revision}" if revision else "")

    # --- contents ---

    def exists(self) -> bool:
        """Return whether the repository exists and the token may see it.

        Raises:
            AccessError: The Hub does not accept the token, so the Hub does not report whether the repository exists.
        """
        try:
            self._information(None)
        except MissingFileError:
            return False
        return True

    def is_private(self) -> bool:
        """Return whether the repository is private, so that only its owners can see it.

        Raises:
            MissingFileError: The repository does not exist.
        """
        return bool(self._information(None).private)

    def create(self, private: bool) -> None:
        """Create the repository. The new repository contains only the `.gitattributes` that the Hub adds.

        Raises:
            RefusedError: The repository exists already.
            AccessError: The token does not have the right to create it.
        """

        def landed() -> bool | None:
            if not self.exists():
                return None
            if self.is_private() != private:
                raise RefusedError(self.url(), f"a repository with private={not private}", f"private={private}")
            return True

        self.write(
            lambda api: bool(api.create_repo(self.repository_id, repo_type=KIND, private=private)),
            where=self.url(),
            expected="a new repository",
            landed=landed,
        )

    def head(self, revision: str = MAIN) -> str:
        """Return the commit id (40 hex digits) of a revision: a branch, a tag, `refs/pr/N` or a commit.

        Raises:
            MissingFileError: The repository or the revision does not exist, or `revision` is empty. The Hub would treat an empty
                revision as main.
        """
        if not revision:
            raise MissingFileError(self.url(), "an empty revision", "a branch, tag, refs/pr/N or commit")
        commit = self._information(revision).sha
        if not isinstance(commit, str) or len(commit) != 40:
            raise ReadError(self.url(revision), f"commit {commit!r}", "a SHA-1 of 40 digits")
        return commit

    def files(self, commit: str) -> dict[str, RemoteFile]:
        """Return all files of the repository at a commit, by path, in the order of the Hub's listing."""

        def listed(api: Any) -> dict[str, RemoteFile]:
            entries = api.list_repo_tree(self.repository_id, recursive=True, revision=commit, repo_type=KIND)
            return _remote_files(entries)

        return self.read(listed, where=self.url(commit), expected="a listing of the files")

    def refs(self) -> Refs:
        """Return all branches and tags of the repository with their commits."""
        found = self.read(
            lambda api: api.list_repo_refs(self.repository_id, repo_type=KIND),
            where=self.url(),
            expected="branches and tags",
        )
        return Refs(*({ref.name: ref.target_commit for ref in refs} for refs in (found.branches, found.tags)))

    # --- for the modules of this folder ---

    def user(self) -> str:
        """Return the name of the token's user, or an empty string if the Hub does not report it. The Hub is asked only once."""
        if not self._users:
            self._users.append(self._user())
        return self._users[0]

    def commit_ids(self, revision: str) -> list[str]:
        """Return the ids of all commits in the history of a revision, the newest first."""
        return self.read(
            lambda api: [
                commit.commit_id
                for commit in api.list_repo_commits(self.repository_id, revision=revision, repo_type=KIND)
            ],
            where=self.url(revision),
            expected="the history of the revision",
        )

    def read(self, call: Callable[[Any], T], *, where: str, expected: str) -> T:
        """Read from the Hub with huggingface_hub's client, with retries, and return the result.

        Args:
            call: A function that gets huggingface_hub's client and returns what it has read.
            where: The repository or revision, for messages.
            expected: The expected result, for messages.
        """

        def attempt() -> T:
            try:
                return call_within(lambda: call(self._api()), self.retry.max_seconds)
            except Exception as error:
                failure = self._translated(error, where, expected)
            # The failure is raised outside of the handler, so that its context is not the client's error, which contains the token.
            raise failure

        return with_retries(attempt, policy=self.retry, counter=self._counter, where=where, expected=expected)

    def write(
        self,
        call: Callable[[Any], T],
        *,
        where: str,
        expected: str,
        landed: Callable[[], T | None] | None,
        is_one_request: bool = True,
        byte_count: int = 0,
    ) -> T:
        """Make a change on the Hub with huggingface_hub's client, with retries, and return the result.

        If it is uncertain whether a try has made the change, `landed` is called before the next try, so that the change is not
        made twice.

        Args:
            call: A function that gets huggingface_hub's client and makes the change.
            where: The repository or revision, for messages.
            expected: The expected result, for messages.
            landed: A function that finds out whether the change was made. It is called if a response was lost. It returns the
                result that `call` would have returned, or None if the change was not made. For a change that may be made twice,
                give None instead of a function.
            is_one_request: Whether only the last request of the call changes something, so that a refusal by the Hub proves that
                nothing was changed.
            byte_count: Number of bytes that the call sends.
        """
        is_open = False
        seconds = self.retry.max_seconds + byte_count / _SLOWEST_BYTES_PER_SECOND

        def attempt() -> T:
            nonlocal is_open
            try:
                return call_within(lambda: call(self._api()), seconds)
            except Exception as error:
                is_open = is_open or not (is_one_request and errors.is_settled(error))
                failure = self._translated(error, where, expected)
            if landed is not None and is_open and not isinstance(failure, BackendUnavailableError):
                result = landed()
                if result is not None:
                    return result
            raise failure

        policy = replace(self.retry, max_seconds=seconds)
        try:
            return with_retries(attempt, policy=policy, counter=self._counter, where=where, expected=expected)
        except ReadError as error:
            found = error.found + (
                "; it is unknown whether the change was made" if is_open and landed is not None else ""
            )
            leaf = WriteError if type(error) is ReadError else type(error)
            raise leaf(error.where, found, error.expected, error.hint) from None

    def _api(self) -> Any:
        return hub_library().HfApi(
            endpoint=self.endpoint, token=self.token, library_name="episeek", library_version=__version__
        )

    def _translated(self, error: Exception, where: str, expected: str) -> Exception:
        return errors.translated(error, where=where, expected=expected, secrets=self._secrets())

    def _secrets(self) -> tuple[str, ...]:
        if self.token is not None:
            return (self.token,)
        try:
            return (hub_library().get_token() or "",)
        except EpiseekError:
            return ()

    def _user(self) -> str:
        if not any(self._secrets()):
            return ""
        try:
            return self.read(lambda api: str(api.whoami()["name"]), where=self.url(), expected="the user of the token")
        # Some kinds of tokens do not have the right to read the name of their user.
        except EpiseekError:
            return ""

    def _information(self, revision: str | None) -> Any:
        return self.read(
            lambda api: api.dataset_info(self.repository_id, revision=revision),
            where=self.url(revision),
            expected="a dataset repository" + (" with this revision" if revision else ""),
        )

    def files_at(self, commit: str, paths: Iterable[str]) -> dict[str, RemoteFile]:
        """Return the files with the given paths at a commit, by path; paths that do not exist are left out."""
        paths = sorted(paths)
        if not paths:
            return {}
        return self.read(
            lambda api: _remote_files(
                api.get_paths_info(self.repository_id, paths, revision=commit, repo_type=KIND),
            ),
            where=self.url(commit),
            expected="a listing of the files",
        )


def _unpickled(repository_id: str, retry: RetryPolicy, endpoint: str | None) -> HubClient:
    return HubClient(repository_id, retry=retry, endpoint=endpoint)


def _remote_files(entries: Any) -> dict[str, RemoteFile]:
    files = {}
    for entry in entries:
        # Entries of folders have no blob id.
        if hasattr(entry, "blob_id"):
            lfs = entry.lfs
            size, sha256 = (entry.size, None) if lfs is None else (lfs.size, lfs.sha256)
            files[entry.path] = RemoteFile(entry.path, size, sha256, entry.blob_id, getattr(entry, "xet_hash", None))
    return files


def hub_library() -> Any:
    """Import and return the module huggingface_hub.

    Raises:
        BackendUnavailableError: huggingface_hub is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise BackendUnavailableError(
            "hf://", first_line(error), "huggingface_hub, the client of the Hub", install_hint("hub")
        ) from error
    return huggingface_hub

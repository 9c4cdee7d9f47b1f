"""The client of one dataset repository on the Hub: what the repository holds, and calls that read or change it.

No other module of the pipelines imports huggingface_hub. That client is used unchanged. It repeats
listings and uploads six times, with waits of 1 to 8 s or as long as the Hub asks; it tries commits, tags, refs and pull requests
once. None of its requests has a time limit. So every call here runs within the time of the retry policy, in a thread that is
abandoned after it, and the policy repeats the call.

A change is made once. Where it is open whether a change was made (no response, a timeout, a failure of the server), the repository
is read before another try. A commit names its parent, so the Hub refuses a second commit of the same call, however late the first
one arrived.
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
"""The slowest rate of an upload before it is given up."""


@dataclass(frozen=True, slots=True)
class HubClient:
    """The client of one dataset repository.

    A copy that is unpickled in another process has no `token` of its own: it uses the token of that process.

    Args:
        repository_id: `ORGANIZATION/NAME`.
        token: A token of the Hub; None for the token of the environment, as huggingface_hub finds it.
        retry: How long to try, for each request; uploads get more time by their size.
        endpoint: The URL of a Hub; None for the Hub of the environment.

    Raises:
        ReadError: `repository_id` is not the name of a repository.
    """

    repository_id: str
    token: str | None = field(default=None, repr=False, kw_only=True)
    retry: RetryPolicy = field(default=DEFAULT_POLICY, kw_only=True)
    endpoint: str | None = field(default=None, kw_only=True)
    _counter: TransferCounter = field(default_factory=TransferCounter, repr=False, compare=False, init=False)
    _users: list[str] = field(default_factory=list, repr=False, compare=False, init=False)
    """The user of the token, once the Hub has answered."""

    def __post_init__(self) -> None:
        location = parse_hub_url(f"hf://datasets/{self.repository_id}")
        if location.repo_id != self.repository_id or location.revision or location.prefix:
            raise ReadError(f"hf://datasets/{self.repository_id}", "more than a name", "ORGANIZATION/NAME")

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.repository_id, self.retry, self.endpoint)

    def url(self, revision: str | None = None) -> str:
        """Return `hf://datasets/ORGANIZATION/NAME@REVISION`, as messages show it."""
        return f"hf://datasets/{self.repository_id}" + (f"@{revision}" if revision else "")

    # --- contents ---

    def exists(self) -> bool:
        """Return whether there is such a repository that the token may see.

        Raises:
            AccessError: The Hub does not say, because it does not know the token.
        """
        try:
            self._information(None)
        except MissingFileError:
            return False
        return True

    def is_private(self) -> bool:
        """Return whether only its owners see the repository.

        Raises:
            MissingFileError: There is no such repository.
        """
        return bool(self._information(None).private)

    def create(self, private: bool) -> None:
        """Create the repository, with the Hub's `.gitattributes` and nothing else.

        Raises:
            RefusedError: It exists already.
            AccessError: The token may not create it.
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
        """Return the commit of a branch, a tag, `refs/pr/N` or a commit.

        Raises:
            MissingFileError: There is no such repository or revision; or `revision` is empty, which the Hub would take for main.
        """
        if not revision:
            raise MissingFileError(self.url(), "an empty revision", "a branch, tag, refs/pr/N or commit")
        commit = self._information(revision).sha
        if not isinstance(commit, str) or len(commit) != 40:
            raise ReadError(self.url(revision), f"commit {commit!r}", "a SHA-1 of 40 digits")
        return commit

    def files(self, commit: str) -> dict[str, RemoteFile]:
        """Return every file at a commit, by path, in the order of the listing."""

        def listed(api: Any) -> dict[str, RemoteFile]:
            entries = api.list_repo_tree(self.repository_id, recursive=True, revision=commit, repo_type=KIND)
            return _remote_files(entries)

        return self.read(listed, where=self.url(commit), expected="a listing of the files")

    def refs(self) -> Refs:
        """Return all branches and tags."""
        found = self.read(
            lambda api: api.list_repo_refs(self.repository_id, repo_type=KIND),
            where=self.url(),
            expected="branches and tags",
        )
        return Refs(*({ref.name: ref.target_commit for ref in refs} for refs in (found.branches, found.tags)))

    # --- for the modules of this folder ---

    def user(self) -> str:
        """Return the user of the token; empty where the Hub does not say. The Hub is asked once."""
        if not self._users:
            self._users.append(self._user())
        return self._users[0]

    def commit_ids(self, revision: str) -> list[str]:
        """Return the commits of a revision's history, its own first."""
        return self.read(
            lambda api: [
                commit.commit_id
                for commit in api.list_repo_commits(self.repository_id, revision=revision, repo_type=KIND)
            ],
            where=self.url(revision),
            expected="the history of the revision",
        )

    def read(self, call: Callable[[Any], T], *, where: str, expected: str) -> T:
        """Return the result of a call of the client that changes nothing."""

        def attempt() -> T:
            try:
                return call_within(lambda: call(self._api()), self.retry.max_seconds)
            except Exception as error:
                failure = self._translated(error, where, expected)
            # outside of the handler: the client's error has the token, and would be pickled as the context of this one
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
        """Return the result of a call of the client that changes something; the change is made once.

        Args:
            call: Takes the client.
            where: The place, for messages.
            expected: The expected result, for messages.
            landed: Returns what `call` would have returned had its response not been lost; None where the change was not made.
                It is called whenever that is open. None for a change that may be made twice.
            is_one_request: The call is one request, or the last of several: only then a refusal means that nothing was changed.
            byte_count: How many bytes are sent.
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
                "; the change may have been made all the same" if is_open and landed is not None else ""
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
        # not every kind of token may ask
        except EpiseekError:
            return ""

    def _information(self, revision: str | None) -> Any:
        return self.read(
            lambda api: api.dataset_info(self.repository_id, revision=revision),
            where=self.url(revision),
            expected="a dataset repository" + (" with this revision" if revision else ""),
        )

    def files_at(self, commit: str, paths: Iterable[str]) -> dict[str, RemoteFile]:
        """Return those of the files that exist at a commit, by path."""
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
        # folders have none
        if hasattr(entry, "blob_id"):
            lfs = entry.lfs
            size, sha256 = (entry.size, None) if lfs is None else (lfs.size, lfs.sha256)
            files[entry.path] = RemoteFile(entry.path, size, sha256, entry.blob_id, getattr(entry, "xet_hash", None))
    return files


def hub_library() -> Any:
    """Import huggingface_hub.

    Raises:
        BackendUnavailableError: It is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise BackendUnavailableError(
            "hf://", first_line(error), "huggingface_hub, the client of the Hub", install_hint("hub")
        ) from error
    return huggingface_hub

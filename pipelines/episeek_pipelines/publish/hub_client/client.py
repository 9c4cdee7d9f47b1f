"""A dataset repository on the Hub: what it holds, commits of all or nothing, pull requests, tags.

This is the one module of the pipelines that knows huggingface_hub, and the client is used as it is. What it repeats by itself
(listings, what to upload how, uploads) it tries six times with waits of 1 to 8 s, or of what the Hub asks for, however long;
commits, tags, refs and pull requests it tries once. None of its requests has a time limit. So every call here runs within the
policy's, in a thread that is left behind after it, and is repeated by the policy.

A change is made once. Where it is open whether it was made (no response, a timeout, a failure of the server) the repository is
read before another try. A commit names its parent, so a second one of the same call is refused by the Hub, whatever was late.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from episeek.errors import (
    BackendUnavailableError,
    EpiseekError,
    MissingFileError,
    ReadError,
    WriteError,
    first_line,
)
from episeek.stores.hub.location import parse_hub_url
from episeek.stores.processes.workers import call_within
from episeek.stores.retry import DEFAULT_POLICY, RetryPolicy, with_retries
from episeek.stores.transfers import TransferCounter
from episeek.version import __version__
from episeek_pipelines.publish.errors import (
    ConflictError,
    RefusedError,
)
from episeek_pipelines.publish.hub_client import errors, pull_requests, tags, uploads
from episeek_pipelines.publish.hub_client.values import (
    KIND,
    MAIN,
    MAX_OPERATIONS_PER_COMMIT,
    CommitOutcome,
    PullRequest,
    Refs,
)
from episeek_pipelines.publish.overlay.changes import Changes, RemoteFile
from episeek_pipelines.publish.overlay.comparing import outstanding

T = TypeVar("T")

_SLOWEST_BYTES_PER_SECOND = 100_000
"""An upload that takes longer than at this rate is given up."""


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A dataset repository.

    A copy that is unpickled in another process has no `token` of its own: it takes that process's.

    Args:
        repository_id: `ORGANIZATION/NAME`.
        token: Of the Hub; None for that of the environment, as huggingface_hub finds it.
        retry: How long to try, for each request; uploads are given more time by their size.
        endpoint: Of another Hub than that of the environment.

    Raises:
        ReadError: `repository_id` is no name of a repository.
    """

    repository_id: str
    token: str | None = field(default=None, repr=False, kw_only=True)
    retry: RetryPolicy = field(default=DEFAULT_POLICY, kw_only=True)
    endpoint: str | None = field(default=None, kw_only=True)
    _counter: TransferCounter = field(default_factory=TransferCounter, repr=False, compare=False, init=False)
    _users: list[str] = field(default_factory=list, repr=False, compare=False, init=False)
    """Who the token belongs to, once that was asked for."""

    def __post_init__(self) -> None:
        location = parse_hub_url(f"hf://datasets/{self.repository_id}")
        if location.repo_id != self.repository_id or location.revision or location.prefix:
            raise ReadError(f"hf://datasets/{self.repository_id}", "more than a name", "ORGANIZATION/NAME")

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.repository_id, self.retry, self.endpoint)

    def url(self, revision: str | None = None) -> str:
        """As `hf://datasets/ORGANIZATION/NAME@REVISION`; what messages call it."""
        return f"hf://datasets/{self.repository_id}" + (f"@{revision}" if revision else "")

    # --- what is there ---

    def exists(self) -> bool:
        """Whether there is such a repository that the token may see.

        Raises:
            AccessError: The Hub does not tell, for want of a token that it knows.
        """
        try:
            self._information(None)
        except MissingFileError:
            return False
        return True

    def is_private(self) -> bool:
        """Whether only its owners see the repository.

        Raises:
            MissingFileError: There is none.
        """
        return bool(self._information(None).private)

    def create(self, private: bool) -> None:
        """Make the repository, with the Hub's `.gitattributes` and nothing else.

        Raises:
            RefusedError: It is there already.
            AccessError: The token may not.
        """

        def landed() -> bool | None:
            if not self.exists():
                return None
            if self.is_private() != private:
                raise RefusedError(self.url(), "a repository of other visibility", f"private={private}, as asked for")
            return True

        self.write(
            lambda api: bool(api.create_repo(self.repository_id, repo_type=KIND, private=private)),
            where=self.url(),
            expected="a new repository",
            landed=landed,
        )

    def head(self, revision: str = MAIN) -> str:
        """The commit of a branch, tag, `refs/pr/N` or commit.

        Raises:
            MissingFileError: No such repository or revision; also of an empty one, which the Hub would take for main.
        """
        if not revision:
            raise MissingFileError(self.url(), "an empty revision", "a branch, tag, refs/pr/N or commit")
        commit = self._information(revision).sha
        if not isinstance(commit, str) or len(commit) != 40:
            raise ReadError(self.url(revision), f"commit {commit!r}", "a SHA-1 of 40 digits")
        return commit

    def files(self, commit: str) -> dict[str, RemoteFile]:
        """Every file at a commit, by path, in the order of the listing."""

        def listed(api: Any) -> dict[str, RemoteFile]:
            entries = api.list_repo_tree(self.repository_id, recursive=True, revision=commit, repo_type=KIND)
            return _remote_files(entries)

        return self.read(listed, where=self.url(commit), expected="a listing of the files")

    def refs(self) -> Refs:
        """All branches and tags."""
        found = self.read(
            lambda api: api.list_repo_refs(self.repository_id, repo_type=KIND),
            where=self.url(),
            expected="branches and tags",
        )
        return Refs(*({ref.name: ref.target_commit for ref in refs} for refs in (found.branches, found.tags)))

    # --- changes ---

    def require_writable(self, revision: str = MAIN) -> None:
        """Ask whether a branch may be committed to, as a commit asks first: one request, which changes nothing.

        Raises:
            AccessError: The token may not.
        """
        uploads.require_writable(self, _hub(), revision)

    def commit(
        self, changes: Changes, *, revision: str = MAIN, parent: str, message: str, description: str = ""
    ) -> CommitOutcome:
        """Make the changes in one commit: readers of the branch see all of them, or none.

        Content goes first, and what the Hub has already is not sent again, so a run that was stopped goes on where it was. Then
        the one request that commits, which the Hub refuses unless the branch is still at `parent`.

        Args:
            changes: At most `MAX_OPERATIONS_PER_COMMIT` operations; `commit_in_parts` takes more.
            revision: A branch, or `refs/pr/N`.
            parent: The commit that the branch is at.
            message: The commit's title.
            description: And what follows it.

        Returns:
            The commit, also one whose response was lost; `parent`, and nothing new, where it has all changes already.

        Raises:
            ConflictError: The branch is at another commit, which the error names.
            ChangedFileError: A local file is not what it was when the changes were made up.
            MissingFileError: A local file, the repository or the branch is not there.
            AccessError, RefusedError, WriteError: The token, the Hub, or the network does not let it.
        """
        where = self.url(revision)
        if changes.operation_count > MAX_OPERATIONS_PER_COMMIT:
            limit = f"at most {MAX_OPERATIONS_PER_COMMIT} in one commit"
            raise RefusedError(where, f"{changes.operation_count} files to add and delete", limit)
        changes = outstanding(changes, self._touched(changes, parent))
        if not changes.operation_count:
            return CommitOutcome(parent, False, 0)
        operations = uploads.upload(self, _hub(), changes.additions, revision)
        head = self.head(revision)
        if head != parent:  # the client decides by the branch what has not changed, and may find nothing to commit
            raise self._conflict(revision, parent, head)
        hub = _hub()
        operations += [hub.CommitOperationDelete(path, is_folder=False) for path in changes.deletions]
        try:
            made = self.write(
                lambda api: str(
                    api.create_commit(
                        self.repository_id,
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
                landed=lambda: self._landed(changes, revision, parent),
                byte_count=min(changes.byte_count, uploads.GROUP_BYTES),
            )
        except ConflictError as conflict:
            raise (conflict if conflict.head else self._conflict(revision, parent, self.head(revision))) from None
        return CommitOutcome(made, True, changes.operation_count)

    def commit_in_parts(
        self, changes: Changes, *, parent: str, message: str, description: str = ""
    ) -> PullRequest | None:
        """Bring any number of changes into a draft pull request, in commits of at most `MAX_OPERATIONS_PER_COMMIT`.

        Readers of the branches see nothing of it. Run again after it was stopped, it finds its own pull request, by its author,
        the parent and a digest of the changes in the title, and what is in it, and makes the commits that are missing. Where
        the Hub does not say who the token belongs to, it opens another.

        Args:
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
        return pull_requests.commit_in_parts(self, changes, parent=parent, message=message, description=description)

    def create_pull_request(
        self, changes: Changes, *, parent: str, message: str, description: str = ""
    ) -> PullRequest | None:
        """The same, for others to look at and merge: a draft, until somebody publishes it on the Hub. It needs no right to
        write to the repository.
        """
        return self.commit_in_parts(changes, parent=parent, message=message, description=description)

    def merge(self, ref: str, *, expected_base: str, head: str | None = None) -> CommitOutcome:
        """Make a pull request visible on main, in one step.

        The Hub's merge has no precondition, neither of main nor of the pull request. Of what others commit to main between the
        look at it and the merge, it refuses only what Git cannot merge; and what is pushed to the pull request in the moment
        between the look at its head and the merge is merged. That is found when it is done, and not prevented: what the merge
        has changed is compared with the pull request at `head`, before the caller does anything with it.

        Args:
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
        return pull_requests.merge(self, ref, expected_base=expected_base, head=head)

    def close_pull_request(self, ref: str, *, comment: str) -> None:
        """Close a pull request that will not be merged; nothing happens where it is merged or closed, or not of the user that
        the token belongs to.

        Args:
            ref: `refs/pr/N`.
            comment: Why, for those who look at it.
        """
        pull_requests.close(self, ref, comment)

    def move_tag(self, tag: str, commit: str) -> bool:
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
        return tags.move_tag(self, tag, commit)

    # --- for the modules beside this one ---

    def user(self) -> str:
        """Who the token belongs to, asked for once; empty where the Hub does not say."""
        if not self._users:
            self._users.append(self._user())
        return self._users[0]

    def commit_ids(self, revision: str) -> list[str]:
        """The history of a revision, itself first."""
        return self.read(
            lambda api: [
                commit.commit_id
                for commit in api.list_repo_commits(self.repository_id, revision=revision, repo_type=KIND)
            ],
            where=self.url(revision),
            expected="the history of the revision",
        )

    def read(self, call: Callable[[Any], T], *, where: str, expected: str) -> T:
        """The result of a call of the client that changes nothing."""

        def attempt() -> T:
            try:
                return call_within(lambda: call(self._api()), self.retry.max_seconds)
            except Exception as error:
                failure = self._named(error, where, expected)
            raise failure  # outside: the client's error, which has the token, would be its context, and be pickled with it

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
        """The result of a call of the client that changes something, made once.

        Args:
            call: Takes the client.
            where: For messages.
            expected: For messages.
            landed: What `call` would have returned, had its response not been lost; None where it has done nothing. Asked
                whenever that is open. None for what may be done twice.
            is_one_request: Or the last of several; otherwise no refusal says that nothing was done.
            byte_count: How much is sent.
        """
        is_open = False
        seconds = self.retry.max_seconds + byte_count / _SLOWEST_BYTES_PER_SECOND

        def attempt() -> T:
            nonlocal is_open
            try:
                return call_within(lambda: call(self._api()), seconds)
            except Exception as error:
                is_open = is_open or not (is_one_request and errors.is_settled(error))
                failure = self._named(error, where, expected)
            if landed is not None and is_open and not isinstance(failure, BackendUnavailableError):
                result = landed()
                if result is not None:
                    return result
            raise failure

        policy = replace(self.retry, max_seconds=seconds)
        try:
            return with_retries(attempt, policy=policy, counter=self._counter, where=where, expected=expected)
        except ReadError as error:
            found = error.found + ("; it may have been done all the same" if is_open and landed is not None else "")
            leaf = WriteError if type(error) is ReadError else type(error)
            raise leaf(error.where, found, error.expected) from None

    def _api(self) -> Any:
        return _hub().HfApi(
            endpoint=self.endpoint, token=self.token, library_name="episeek", library_version=__version__
        )

    def _named(self, error: Exception, where: str, expected: str) -> Exception:
        return errors.named(error, where=where, expected=expected, secrets=self._secrets())

    def _secrets(self) -> tuple[str, ...]:
        if self.token is not None:
            return (self.token,)
        try:
            return (_hub().get_token() or "",)
        except EpiseekError:
            return ()

    def _user(self) -> str:
        if not any(self._secrets()):
            return ""
        try:
            return self.read(
                lambda api: str(api.whoami()["name"]), where=self.url(), expected="the user that the token belongs to"
            )
        except EpiseekError:  # not every kind of token may ask
            return ""

    def _information(self, revision: str | None) -> Any:
        return self.read(
            lambda api: api.dataset_info(self.repository_id, revision=revision),
            where=self.url(revision),
            expected="a dataset repository" + (" with this revision" if revision else ""),
        )

    def _touched(self, changes: Changes, commit: str) -> dict[str, RemoteFile]:
        """Those files at a commit that the changes touch."""
        paths = sorted(changes.paths)
        if not paths:
            return {}
        return self.read(
            lambda api: _remote_files(
                api.get_paths_info(self.repository_id, paths, revision=commit, repo_type=KIND),
            ),
            where=self.url(commit),
            expected="a listing of the files",
        )

    def _landed(self, changes: Changes, revision: str, parent: str) -> str | None:
        """The commit on top of `parent` where it has exactly the changes; None where `parent` is still the head.

        Raises:
            ConflictError: There is another commit on top of it.
        """
        head = self.head(revision)
        if head == parent:
            return None
        history = self.commit_ids(head)
        if parent in history[1:]:
            child: str = history[history.index(parent) - 1]
            if not outstanding(changes, self._touched(changes, child)).operation_count:
                return child
        raise self._conflict(revision, parent, head)

    def _conflict(self, revision: str, parent: str, head: str) -> ConflictError:
        expected = f"{parent}, which the changes were made up for: nothing was changed"
        return ConflictError(self.url(revision), f"commit {head}", expected, head)


def _unpickled(repository_id: str, retry: RetryPolicy, endpoint: str | None) -> HubRepository:
    return HubRepository(repository_id, retry=retry, endpoint=endpoint)


def _remote_files(entries: Any) -> dict[str, RemoteFile]:
    files = {}
    for entry in entries:
        if hasattr(entry, "blob_id"):  # folders have none
            lfs = entry.lfs
            size, sha256 = (entry.size, None) if lfs is None else (lfs.size, lfs.sha256)
            files[entry.path] = RemoteFile(entry.path, size, sha256, entry.blob_id, getattr(entry, "xet_hash", None))
    return files


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise BackendUnavailableError(
            "hf://", first_line(error), "the Hub's client: pip install 'episeek[hub]'"
        ) from error
    return huggingface_hub

"""Locations on the Hub as `hf://` URLs: a directory in a repository at a revision, or in a bucket."""

import re
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote, unquote

from episeek.errors import ReadError

SCHEME = "hf://"

Kind = Literal["datasets", "models", "spaces", "buckets"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SPECIAL_REVISION = re.compile(r"refs/(?:pr/\d+|convert/\w+)")
_EXPECTED = "hf://datasets/ORG/NAME[@REVISION][/DIR] or hf://buckets/ORG/NAME[/DIR]"


@dataclass(frozen=True, slots=True)
class HubLocation:
    """A directory in a repository or a bucket on the Hub."""

    kind: Kind
    repo_id: str
    revision: str | None
    """The branch, tag or commit; None for the main branch, and for a bucket, which has no revisions."""
    prefix: str
    """The directory in the repository, without a slash at either end."""

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, so that its files cannot change."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    @property
    def url(self) -> str:
        """The location as an `hf://` URL."""
        kind = "" if self.kind == "models" else f"{self.kind}/"
        revision = "" if self.revision is None else f"@{quote(self.revision, safe='')}"
        return f"{SCHEME}{kind}{self.repo_id}{revision}{'/' if self.prefix else ''}{self.prefix}"

    def at(self, revision: str) -> "HubLocation":
        """Return the same directory at another revision."""
        return replace(self, revision=revision)

    def full_path(self, path: str) -> str:
        """Return the path of a file in the repository, from its path `path` relative to this directory."""
        return f"{self.prefix}/{path}" if self.prefix else path

    def resolve_url(self, endpoint: str, path: str) -> str:
        """Return the URL that redirects to the bytes of a file."""
        full_path = quote(self.full_path(path))
        if self.kind == "buckets":
            return f"{endpoint}/buckets/{self.repo_id}/resolve/{full_path}"
        kind = "" if self.kind == "models" else f"{self.kind}/"
        return f"{endpoint}/{kind}{self.repo_id}/resolve/{quote(self.revision or 'main', safe='')}/{full_path}"

    def revision_url(self, endpoint: str) -> str:
        """Return the URL of the Hub's API that returns the commit of the revision."""
        revision = quote(self.revision or "main", safe="")
        return f"{endpoint}/api/{self.kind}/{self.repo_id}/revision/{revision}?expand=sha"


def parse_hub_url(url: str) -> HubLocation:
    """Return the location of an `hf://` URL.

    Raises:
        ReadError: The URL does not name a repository or a bucket.
    """
    rest = url.removeprefix(SCHEME).strip("/")
    kind: Kind = "models"
    prefixes: tuple[Kind, ...] = ("datasets", "spaces", "buckets")
    for prefix in prefixes:
        if rest.startswith(f"{prefix}/"):
            kind, rest = prefix, rest.removeprefix(f"{prefix}/")
    revision = None
    head, at, tail = rest.partition("@")
    has_revision = bool(at) and head.count("/") == 1
    if has_revision:
        special = _SPECIAL_REVISION.match(tail)
        if special is not None:
            revision, tail = special[0], tail[special.end() :].lstrip("/")
        else:
            revision, _, tail = tail.partition("/")
        rest = f"{head}/{tail}"
    parts = [part for part in rest.split("/") if part]
    if len(parts) < 2 or (has_revision and not revision) or ".." in parts or (kind == "buckets" and revision):
        raise ReadError(url, "no repository", _EXPECTED)
    return HubLocation(kind, "/".join(parts[:2]), None if revision is None else unquote(revision), "/".join(parts[2:]))

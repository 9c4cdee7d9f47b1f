"""One request to the Hub: who asks, for what, and the typed refusals that clients turn into exceptions."""

import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.servers.http_messages import Request, Response
from tests.servers.hub_store import Bucket, Commit, Content, Entry, HubStore, Repository
from tests.servers.hub_xet import XetStore

_TOKEN_SECONDS = 3600


class HubError(Exception):
    """An answer with X-Error-Message and X-Error-Code."""

    def __init__(self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(status, message, code, headers)
        self.status, self.message, self.code, self.headers = status, message, code, headers or {}

    def response(self) -> Response:
        headers = {"X-Error-Message": self.message, **self.headers}
        if self.code:
            headers["X-Error-Code"] = self.code
        return json_response({"error": self.message}, status=self.status, headers=headers)


def json_response(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode())


@dataclass(frozen=True, slots=True)
class User:
    name: str
    organizations: tuple[str, ...] = ()

    def owns(self, repository_id: str) -> bool:
        return repository_id.split("/")[0] in (self.name, *self.organizations)


@dataclass(slots=True)
class HubState:
    """What the routes of both origins share. `xet` is "", "http" (CAS on the cdn) or "local://FOLDER"."""

    users: dict[str, User]
    xet: str = ""
    tree_page_count: int = 1000
    multipart_over_bytes: int | None = None
    store: HubStore = field(default_factory=HubStore)
    xet_store: XetStore = field(default_factory=XetStore)
    hub_url: str = ""
    cdn_url: str = ""
    signature: str = field(default_factory=lambda: secrets.token_hex(8))

    def signed(self, path: str) -> str:
        return f"{self.cdn_url}/{path}?sig={self.signature}"

    def take_over_uploads(self) -> None:
        """Learn what clients uploaded where the CAS is not this Hub's own."""
        if self.xet.startswith("local://"):
            self.xet_store.scan_local(Path(self.xet.removeprefix("local://")))

    def lfs_content(self, sha256: str) -> Content:
        """An LFS object, put together from its chunks where it was uploaded through Xet.

        Raises:
            KeyError: There is none.
        """
        objects = self.store.lfs_objects
        if sha256 not in objects:
            objects[sha256] = self.xet_store.read(self.xet_store.hash_of_sha256[sha256])
        return objects[sha256]


class Call:
    """A request with its path in decoded segments and its query as lists of values."""

    def __init__(self, state: HubState, request: Request) -> None:
        self.state, self.request = state, request
        self.method, self.headers, self.body = request.method, request.headers, request.body
        self.raw_path = request.target.partition("?")[0]
        self.segments = [unquote(segment) for segment in self.raw_path.strip("/").split("/")]
        query = parse_qs(request.query, keep_blank_values=True)
        self.query = {name.removesuffix("[]"): values for name, values in query.items()}

    def flag(self, name: str) -> bool:
        return self.query.get(name, ["false"])[0].lower() in ("1", "true")

    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    def user(self) -> User | None:
        """Who asks; None without a token."""
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        user = self.state.users.get(token)
        if token and user is None:
            raise HubError(401, "Invalid credentials in Authorization header")
        return user

    def known_user(self) -> User:
        user = self.user()
        if user is None:
            raise HubError(401, "Invalid username or password.")
        return user

    def repository(self, kind: str, repository_id: str, *, to_write: bool = False) -> Repository:
        """The repository, if the user may see it and, `to_write`, change it."""
        user = self.known_user() if to_write else self.user()
        is_owner = user is not None and user.owns(repository_id)
        repository = self.state.store.repositories.get((kind, repository_id))
        if repository is None or (repository.is_private and not is_owner):
            raise HubError(401 if user is None else 404, "Repository not found", "RepoNotFound")
        if to_write and not is_owner:
            raise HubError(403, "You don't have the rights")
        return repository

    def bucket(self, bucket_id: str, *, to_write: bool = False) -> Bucket:
        """The bucket, if the user may see it and, `to_write`, change it."""
        user = self.known_user() if to_write else self.user()
        is_owner = user is not None and user.owns(bucket_id)
        bucket = self.state.store.buckets.get(bucket_id)
        if bucket is None or (bucket.is_private and not is_owner):
            raise HubError(401 if user is None else 404, "Repository not found", "RepoNotFound")
        if to_write and not is_owner:
            raise HubError(403, "You don't have the rights")
        return bucket

    def commit_at(self, repository: Repository, revision: str) -> Commit:
        commit = repository.find(revision)
        if commit is None:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def paged(self, rows: list[Any], headers: dict[str, str]) -> Response:
        """One page of rows, with a Link to the next."""
        start = int(self.query.get("cursor", ["0"])[0])
        stop = start + int(self.query.get("limit", [str(self.state.tree_page_count)])[0])
        if stop < len(rows):
            others = [pair for pair in self.request.query.split("&") if pair and not pair.startswith("cursor=")]
            query = "&".join([*others, f"cursor={stop}"])
            headers = {**headers, "Link": f'<{self.state.hub_url}{self.raw_path}?{query}>; rel="next"'}
        return json_response(rows[start:stop], headers=headers)

    def cdn_redirect(
        self, sha256: str, size: int, xet_hash: str, token_route: str, headers: dict[str, str]
    ) -> Response:
        """302 to the object on the cdn; the headers tell clients what they need to know before they go there."""
        headers = {
            **headers,
            "Content-Type": "text/plain",
            "X-Linked-Size": str(size),
            "X-Linked-ETag": f'"{sha256}"',
            "ETag": f'"{sha256}"',
            "Location": self.state.signed(f"lfs/{sha256}"),
        }
        if xet_hash:
            headers["X-Xet-Hash"] = xet_hash
            headers["X-Xet-Refresh-Route"] = token_route
            headers["Link"] = f'<{token_route}>; rel="xet-auth"'
        return Response(302, headers, b"Found")

    def xet_token(self) -> Response:
        """Where the CAS is, and a token for it."""
        state = self.state
        if not state.xet:
            raise HubError(404, "Xet not enabled")
        url = state.cdn_url if state.xet == "http" else state.xet
        expiry = int(time.time()) + _TOKEN_SECONDS
        headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": "xet", "X-Xet-Token-Expiration": str(expiry)}
        return json_response({"accessToken": "xet", "exp": expiry, "casUrl": url}, headers=headers)


def file_json(path: str, entry: Entry) -> dict[str, Any]:
    """A file as `tree` and `paths-info` show it."""
    shown: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
    if entry.sha256:
        shown["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    if entry.xet_hash:
        shown["xetHash"] = entry.xet_hash
    return shown

"""Commits: what to upload how, and the commit itself, all or nothing."""

import base64
import fnmatch
import json
from typing import Any

from tests.servers.http_messages import Response
from tests.servers.hub_call import Call, HubError, HubState, json_response
from tests.servers.hub_refs import open_discussion
from tests.servers.hub_store import Entry, Repository, Tree, size_of


def preupload(call: Call, repository: Repository, revision: str) -> Response:
    """Which files go to LFS, which into the commit, and which .gitignore leaves out."""
    tree = call.commit_at(repository, revision).tree
    wish = call.json()
    store = call.state.store
    patterns = store.lfs_patterns(tree)
    ignored = [line for line in (wish.get("gitIgnore") or "").splitlines() if line and not line.startswith("#")]
    rows = []
    for file in wish["files"]:
        path = file["path"]
        names = (path, path.rsplit("/", 1)[-1])
        is_lfs = store.is_lfs(path, file["size"], base64.b64decode(file.get("sample", "")), patterns)
        row: dict[str, Any] = {
            "path": path,
            "uploadMode": "lfs" if is_lfs else "regular",
            "shouldIgnore": any(fnmatch.fnmatch(name, pattern) for pattern in ignored for name in names),
        }
        if path in tree:
            row["oid"] = tree[path].sha256 or tree[path].oid
        rows.append(row)
    return json_response({"files": rows})


def commit(call: Call, repository: Repository, revision: str, url_prefix: str) -> Response:
    """Apply the operations, one JSON line each, on top of a branch; 412 where it is not at `parentCommit`."""
    lines = [json.loads(line) for line in call.body.splitlines() if line.strip()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    base = call.commit_at(repository, revision)
    ref = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
    to_pull_request = call.flag("create_pr")
    if not to_pull_request and ref not in repository.refs:
        raise HubError(400, f"cannot commit to {revision}: not a branch")
    if header.get("parentCommit") not in (None, "", base.oid):
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    call.state.take_over_uploads()
    tree = dict(base.tree)
    for line in lines:
        _apply(call.state, tree, line["key"], line["value"])
    url = f"{call.state.hub_url}/{url_prefix}{repository.id}"
    result: dict[str, Any] = {"success": True, "hookOutput": ""}
    if to_pull_request:
        number = open_discussion(repository, header["summary"], author=call.known_user().name, is_pull_request=True)[
            "num"
        ]
        ref = f"refs/pr/{number}"
        result["pullRequestUrl"] = f"{url}/discussions/{number}"
    made = repository.commit(ref, tree, header["summary"], header.get("description", ""))
    return json_response({**result, "commitUrl": f"{url}/commit/{made.oid}", "commitOid": made.oid})


def _apply(state: HubState, tree: Tree, operation: str, value: dict[str, Any]) -> None:
    path = value.get("path", "")
    if operation == "file":
        is_base64 = value.get("encoding") == "base64"
        content = value["content"]
        tree[path] = state.store.add_blob(base64.b64decode(content) if is_base64 else content.encode())
    elif operation == "lfsFile":
        tree[path] = _uploaded(state, value["oid"], value.get("size"))
    elif operation == "deletedFile":
        if tree.pop(path, None) is None:
            raise HubError(404, f"{path} not found", "EntryNotFound")
    elif operation == "deletedFolder":
        for below in [name for name in tree if name.startswith(path.rstrip("/") + "/")]:
            del tree[below]


def _uploaded(state: HubState, sha256: str, size_claimed: int | None) -> Entry:
    xet_hash = state.xet_store.hash_of_sha256.get(sha256, "")
    if sha256 in state.store.lfs_objects:
        size = size_of(state.store.lfs_objects[sha256])
    elif xet_hash:
        size = state.xet_store.size_of(xet_hash)
    else:
        raise HubError(400, f"LFS object {sha256} was never uploaded")
    if size_claimed not in (None, size):
        raise HubError(400, f"LFS object {sha256} has {size} bytes, not {size_claimed}")
    return Entry.of_lfs(sha256, size, xet_hash)

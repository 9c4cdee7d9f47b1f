"""What a repository tells about itself: information, trees, paths, history."""

import json
from typing import Any
from urllib.parse import parse_qs

from tests.servers.http_messages import Response
from tests.servers.hub_call import Call, HubError, file_json, json_response
from tests.servers.hub_store import EPOCH_SECONDS, Commit, Repository, iso, tree_oids


def information(call: Call, repository: Repository, revision: str) -> Response:
    commit = call.commit_at(repository, revision)
    siblings = []
    for path, entry in sorted(commit.tree.items()):
        sibling: dict[str, Any] = {"rfilename": path}
        if call.flag("blobs"):
            sibling |= {"size": entry.size, "blobId": entry.oid}
            if entry.sha256:
                sibling["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
        siblings.append(sibling)
    return json_response(
        {
            "_id": "0" * 24,
            "id": repository.id,
            "author": repository.id.split("/")[0],
            "sha": commit.oid,
            "lastModified": iso(commit.seconds),
            "createdAt": iso(EPOCH_SECONDS),
            "private": repository.is_private,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": siblings,
            "usedStorage": sum(entry.size for entry in commit.tree.values()),
        }
    )


def repositories(call: Call, kind: str) -> Response:
    """The repositories of an author that the token may see, page by page."""
    (author,) = call.query["author"]
    rows = []
    for (found_kind, name), repository in sorted(call.state.store.repositories.items()):
        if found_kind != kind or name.split("/")[0] != author or not _may_see(call, kind, name):
            continue
        rows.append(
            {"_id": "0" * 24, "id": repository.id, "author": author, "private": repository.is_private, "tags": []}
        )
    return call.paged(rows, {})


def _may_see(call: Call, kind: str, name: str) -> bool:
    try:
        call.repository(kind, name)
    except HubError:
        return False
    return True


def tree(call: Call, repository: Repository, revision: str, prefix: str) -> Response:
    """The files and folders below `prefix`, page by page."""
    commit = call.commit_at(repository, revision)
    last_commit = _last_commit(commit) if call.flag("expand") else {}
    headers = {"X-Repo-Commit": commit.oid}
    if prefix in commit.tree:
        return call.paged([file_json(prefix, commit.tree[prefix]) | last_commit], headers)
    oids = tree_oids(commit.tree)
    if prefix not in oids:
        raise HubError(404, f"{prefix} does not exist on this revision", "EntryNotFound", headers)
    base, is_recursive = prefix + "/" if prefix else "", call.flag("recursive")
    rows: dict[str, dict[str, Any]] = {}
    for path, entry in sorted(commit.tree.items()):
        if not path.startswith(base):
            continue
        parts = path.removeprefix(base).split("/")
        for depth in range(1, len(parts) if is_recursive else min(len(parts), 2)):
            folder = base + "/".join(parts[:depth])
            rows.setdefault(folder, _folder_json(folder, oids[folder]) | last_commit)
        if is_recursive or len(parts) == 1:
            rows[path] = file_json(path, entry) | last_commit
    return call.paged(list(rows.values()), headers)


def paths_info(call: Call, repository: Repository, revision: str) -> Response:
    """Those of the named paths that exist."""
    commit = call.commit_at(repository, revision)
    is_json = "json" in call.headers.get("content-type", "")
    wish: dict[str, Any] = json.loads(call.body) if is_json else parse_qs(call.body.decode())
    is_expanded = str(wish.get("expand", "false")).lower().strip("[]'") in ("true", "1")
    last_commit = _last_commit(commit) if is_expanded else {}
    paths = wish.get("paths", [])
    oids = tree_oids(commit.tree)
    rows = []
    for path in [paths] if isinstance(paths, str) else paths:
        path = path.strip("/")
        if path in commit.tree:
            rows.append(file_json(path, commit.tree[path]) | last_commit)
        elif path and path in oids:
            rows.append(_folder_json(path, oids[path]) | last_commit)
    return json_response(rows)


def commits(call: Call, repository: Repository, revision: str) -> Response:
    """The history of a revision along first parents."""
    commit: Commit | None = call.commit_at(repository, revision)
    rows = []
    while commit is not None:
        shown = {"title": commit.title, "message": commit.message, "date": iso(commit.seconds)}
        rows.append({"id": commit.oid, **shown, "authors": [{"user": "u"}]})
        commit = repository.commits[commit.parents[0]] if commit.parents else None
    return json_response(rows)


def _folder_json(path: str, oid: str) -> dict[str, Any]:
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def _last_commit(commit: Commit) -> dict[str, Any]:
    """As if every path was changed by the commit that is listed."""
    return {
        "lastCommit": {"id": commit.oid, "title": commit.title, "date": iso(commit.seconds)},
        "securityFileStatus": {"status": "safe", "avScan": None, "pickleImportScan": None},
    }

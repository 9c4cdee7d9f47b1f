"""Which request to the Hub's own origin goes where; accounts, creation of repositories, and resolve."""

import re

from tests.servers import byte_ranges, hub_buckets, hub_commits, hub_lfs, hub_listings, hub_refs
from tests.servers.http_messages import Request, Response
from tests.servers.hub_call import Call, HubError, HubState, json_response

_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
_LFS_ROUTE = re.compile(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)\.git/info/lfs/objects/(batch|verify|complete/\w+)")


def answer(state: HubState, request: Request) -> Response:
    """Answer a request to the Hub; refusals become responses."""
    with state.store.lock:
        try:
            return _route(Call(state, request))
        except HubError as error:
            return error.response()


def _route(call: Call) -> Response:
    segments = call.segments
    if segments[0] == "api":
        return _api(call, segments[1:])
    if match := _LFS_ROUTE.fullmatch(call.raw_path):
        return hub_lfs.answer(call, _KINDS[match[1] or "models"], match[2], match[3])
    if segments[0] == "buckets" and segments[3:4] == ["resolve"]:
        return hub_buckets.resolve(call, "/".join(segments[1:3]), "/".join(segments[4:]))
    folder, rest = (segments[0], segments[1:]) if segments[0] in ("datasets", "spaces") else ("models", segments)
    if len(rest) > 4 and rest[2] == "resolve":
        return _resolve(call, folder, "/".join(rest[:2]), rest[3], "/".join(rest[4:]))
    raise HubError(404, f"no route {call.method} {call.raw_path}")


def _api(call: Call, segments: list[str]) -> Response:
    match segments:
        case ["whoami-v2"]:
            return _whoami(call)
        case ["validate-yaml"]:
            return json_response({"errors": [], "warnings": []})
        case ["repos", "create"]:
            return _create_repository(call)
        case ["repos", "delete"]:
            return _delete_repository(call)
        case [folder] if folder in _KINDS:
            return hub_listings.repositories(call, _KINDS[folder])
        case ["buckets", organization, name, *rest]:
            return hub_buckets.answer(call, f"{organization}/{name}", rest)
        case [folder, organization, name, *rest] if folder in _KINDS:
            return _repository_api(call, folder, f"{organization}/{name}", rest)
    raise HubError(404, f"no route {call.method} {call.raw_path}")


def _repository_api(call: Call, folder: str, repository_id: str, rest: list[str]) -> Response:
    kind = _KINDS[folder]
    match rest:
        case [] | ["revision", *_]:
            return hub_listings.information(call, call.repository(kind, repository_id), "/".join(rest[1:]) or "main")
        case ["tree", revision, *path]:
            return hub_listings.tree(call, call.repository(kind, repository_id), revision, "/".join(path))
        case ["paths-info", revision]:
            return hub_listings.paths_info(call, call.repository(kind, repository_id), revision)
        case ["commits", *revision]:
            return hub_listings.commits(call, call.repository(kind, repository_id), "/".join(revision))
        case ["refs"]:
            return hub_refs.refs(call.repository(kind, repository_id))
        case ["tag" | "branch" as space, *name]:
            repository = call.repository(kind, repository_id, to_write=True)
            return hub_refs.change_ref(call, repository, space, "/".join(name))
        case ["super-squash", branch]:
            return hub_refs.squash(call, call.repository(kind, repository_id, to_write=True), branch)
        case ["discussions", *discussion]:
            to_write = call.method == "POST"
            return hub_refs.discussions(call, call.repository(kind, repository_id, to_write=to_write), discussion)
        case ["preupload", revision]:
            return hub_commits.preupload(call, call.repository(kind, repository_id, to_write=True), revision)
        case ["commit", revision]:
            repository = call.repository(kind, repository_id, to_write=True)
            return hub_commits.commit(call, repository, revision, "" if kind == "model" else folder + "/")
        case ["xet-write-token" | "xet-read-token" as operation, *_]:
            call.repository(kind, repository_id, to_write=operation == "xet-write-token")
            return call.xet_token()
    raise HubError(404, f"no route {call.method} {call.raw_path}")


def _whoami(call: Call) -> Response:
    user = call.known_user()
    return json_response(
        {
            "type": "user",
            "id": "0",
            "name": user.name,
            "fullname": user.name,
            "email": "u@x",
            "isPro": False,
            "orgs": [{"name": organization, "type": "org"} for organization in user.organizations],
            "auth": {"type": "access_token", "accessToken": {"displayName": "t", "role": "write"}},
        }
    )


def _create_repository(call: Call) -> Response:
    user, wish = call.known_user(), call.json()
    kind = wish.get("type") or "model"
    repository_id = f"{wish.get('organization') or user.name}/{wish['name']}"
    if not user.owns(repository_id):
        raise HubError(403, "You don't have the rights to create a repo under this namespace")
    prefix = "" if kind == "model" else kind + "s/"
    created = {"url": f"{call.state.hub_url}/{prefix}{repository_id}", "name": repository_id, "id": repository_id}
    if (kind, repository_id) in call.state.store.repositories:
        return json_response({"error": "You already created this repo", **created}, status=409)
    is_private = wish.get("visibility") == "private" or bool(wish.get("private"))
    call.state.store.create_repository(kind, repository_id, is_private=is_private)
    return json_response(created)


def _delete_repository(call: Call) -> Response:
    user, wish = call.known_user(), call.json()
    kind, repository_id = wish.get("type") or "model", f"{wish.get('organization') or user.name}/{wish['name']}"
    call.repository(kind, repository_id, to_write=True)
    del call.state.store.repositories[kind, repository_id]
    return json_response({})


def _resolve(call: Call, folder: str, repository_id: str, revision: str, path: str) -> Response:
    repository = call.repository(_KINDS[folder], repository_id)
    commit = call.commit_at(repository, revision)
    entry = commit.tree.get(path)
    headers = {"X-Repo-Commit": commit.oid}
    if entry is None:
        raise HubError(404, "Entry not found", "EntryNotFound", headers)
    if entry.sha256:
        token_route = f"{call.state.hub_url}/api/{folder}/{repository_id}/xet-read-token/{commit.oid}"
        return call.cdn_redirect(entry.sha256, entry.size, entry.xet_hash, token_route, headers)
    headers |= {"ETag": f'"{entry.oid}"', "Content-Type": "text/plain; charset=utf-8"}
    return byte_ranges.serve(call.request, call.state.store.blobs[entry.oid], headers)

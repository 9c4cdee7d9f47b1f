"""Branches, tags, pull requests."""

from typing import Any

from tests.servers.http_messages import Response
from tests.servers.hub_call import Call, HubError, json_response
from tests.servers.hub_store import EPOCH_SECONDS, MAIN, Repository, iso


def refs(repository: Repository) -> Response:
    def below(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": oid}
            for ref, oid in repository.refs.items()
            if ref.startswith(prefix)
        ]

    return json_response(
        {
            "branches": below("refs/heads/"),
            "converts": [],
            "tags": below("refs/tags/"),
            "pullRequests": [{**row, "name": row["ref"]} for row in below("refs/pr/")],
        }
    )


def change_ref(call: Call, repository: Repository, space: str, name: str) -> Response:
    """Create or delete a tag (the path names its revision) or a branch (the path names itself)."""
    prefix = "refs/tags/" if space == "tag" else "refs/heads/"
    if call.method == "DELETE":
        if repository.refs.pop(prefix + name, None) is None:
            raise HubError(404, "ref not found", "RevisionNotFound")
        return json_response({})
    wish = call.json()
    new, revision = (wish["tag"], name) if space == "tag" else (name, wish.get("startingPoint") or "main")
    if prefix + new in repository.refs:
        raise HubError(409, f"{space} {new} already exists")
    repository.refs[prefix + new] = call.commit_at(repository, revision).oid
    return json_response({})


def squash(call: Call, repository: Repository, branch: str) -> Response:
    tree = call.commit_at(repository, branch).tree
    repository.commit(f"refs/heads/{branch}", tree, call.json().get("message") or "squash", parents=())
    return json_response({})


def discussions(call: Call, repository: Repository, rest: list[str]) -> Response:
    """Open a discussion, list them, show one, merge one, close or open one again."""
    if not rest and call.method == "POST":
        wish = call.json()
        author, is_pull_request = call.known_user().name, bool(wish.get("pullRequest"))
        opened = open_discussion(repository, wish["title"], author=author, is_pull_request=is_pull_request)
        return json_response({"num": opened["num"]})
    if not rest:
        found = [_shown(discussion) for discussion in repository.discussions.values()]
        return json_response({"discussions": found, "count": len(found), "start": 0})
    discussion = repository.discussions.get(int(rest[0]))
    if discussion is None:
        raise HubError(404, "discussion not found")
    if rest[1:] == ["merge"]:
        _merge(repository, discussion)
    if rest[1:] == ["status"]:
        return json_response({"newStatus": _change_status(discussion, call.json()["status"], call.known_user().name)})
    return json_response(_shown(discussion))


def open_discussion(repository: Repository, title: str, *, author: str, is_pull_request: bool) -> dict[str, Any]:
    number = len(repository.discussions) + 1
    base = repository.refs[MAIN]
    if is_pull_request:
        repository.refs[f"refs/pr/{number}"] = base
    discussion = {
        "num": number,
        "title": title,
        "status": "draft" if is_pull_request else "open",
        "isPullRequest": is_pull_request,
        "author": {"name": author},
        "createdAt": iso(EPOCH_SECONDS),
        "repo": {"name": repository.id, "type": repository.kind},
        "events": [],
        "diff": "",
        "filesWithConflicts": [],
        "changes": {"base": MAIN},
        "_base": base,
    }
    repository.discussions[number] = discussion
    return discussion


def _merge(repository: Repository, discussion: dict[str, Any]) -> None:
    """Carry what the pull request changed over to main; it wins every conflict. It is merged once."""
    if discussion["status"] not in ("draft", "open"):
        raise HubError(400, f"a pull request that is {discussion['status']} cannot be merged")
    base = repository.commits[discussion["_base"]].tree
    proposed = repository.commits[repository.refs[f"refs/pr/{discussion['num']}"]].tree
    merged = dict(repository.commits[repository.refs[MAIN]].tree)
    merged |= {path: entry for path, entry in proposed.items() if base.get(path) != entry}
    for path in base.keys() - proposed.keys():
        merged.pop(path, None)
    commit = repository.commit(MAIN, merged, f"{discussion['title']} (#{discussion['num']})")
    discussion["status"] = "merged"
    discussion["changes"]["mergeCommitId"] = commit.oid


def _change_status(discussion: dict[str, Any], status: str, author: str) -> dict[str, Any]:
    if discussion["status"] == "merged":
        raise HubError(400, "a merged pull request stays so")
    discussion["status"] = status
    event = {"id": f"{len(discussion['events']):015}", "type": "status-change", "createdAt": iso(EPOCH_SECONDS)}
    discussion["events"].append({**event, "author": {"name": author}, "data": {"status": status}})
    return discussion["events"][-1]


def _shown(discussion: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in discussion.items() if not name.startswith("_")}

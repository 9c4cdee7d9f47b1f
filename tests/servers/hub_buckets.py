"""Buckets, to read: information, listings by prefix, resolve."""

from typing import Any

from tests.servers.http_messages import Response
from tests.servers.hub_call import Call, HubError, json_response
from tests.servers.hub_store import EPOCH_SECONDS, Bucket, BucketEntry, iso


def answer(call: Call, bucket_id: str, rest: list[str]) -> Response:
    """Everything below /api/buckets/ORGANIZATION/NAME."""
    bucket = _bucket(call, bucket_id)
    match rest:
        case []:
            return json_response(
                {
                    "id": bucket.id,
                    "private": bucket.is_private,
                    "createdAt": iso(EPOCH_SECONDS),
                    "size": sum(entry.size for entry in bucket.files.values()),
                    "totalFiles": len(bucket.files),
                }
            )
        case ["tree", *prefix]:
            return _tree(call, bucket, "/".join(prefix))
        case ["paths-info"]:
            paths = call.json().get("paths", [])
            return json_response([_file_json(path, bucket.files[path]) for path in paths if path in bucket.files])
        case ["xet-read-token", *_]:
            return call.xet_token()
    raise HubError(404, f"no route {call.method} {call.raw_path}")


def resolve(call: Call, bucket_id: str, path: str) -> Response:
    entry = _bucket(call, bucket_id).files.get(path)
    if entry is None:
        raise HubError(404, "Entry not found", "EntryNotFound")
    token_route = f"{call.state.hub_url}/api/buckets/{bucket_id}/xet-read-token"
    return call.cdn_redirect(entry.sha256, entry.size, entry.xet_hash, token_route, {})


def _bucket(call: Call, bucket_id: str) -> Bucket:
    user = call.user()
    bucket = call.state.store.buckets.get(bucket_id)
    if bucket is None or (bucket.is_private and not (user is not None and user.owns(bucket_id))):
        raise HubError(401 if user is None else 404, "Repository not found", "RepoNotFound")
    return bucket


def _tree(call: Call, bucket: Bucket, prefix: str) -> Response:
    """Recursive: the files whose path starts with the letters of `prefix`. Else: what lies in that folder."""
    if call.flag("recursive"):
        found = [(path, entry) for path, entry in sorted(bucket.files.items()) if path.startswith(prefix)]
        return call.paged([_file_json(path, entry) for path, entry in found], {})
    base = prefix + "/" if prefix else ""
    rows: dict[str, dict[str, Any]] = {}
    for path, entry in sorted(bucket.files.items()):
        if path == prefix:
            rows[path] = _file_json(path, entry)
        elif path.startswith(base):
            name, slash, _ = path.removeprefix(base).partition("/")
            if slash:
                folder = {"type": "directory", "path": base + name, "uploadedAt": iso(entry.seconds)}
                rows.setdefault(base + name, folder)
            else:
                rows[path] = _file_json(path, entry)
    return call.paged(list(rows.values()), {})


def _file_json(path: str, entry: BucketEntry) -> dict[str, Any]:
    times = {"mtime": iso(entry.seconds), "uploadedAt": iso(entry.seconds)}
    return {"type": "file", "path": path, "size": entry.size, "xetHash": entry.xet_hash, **times}

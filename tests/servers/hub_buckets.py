"""Buckets: information, listings by prefix, resolve; what changes them is in hub_bucket_writes."""

from typing import Any

from tests.servers import hub_bucket_writes
from tests.servers.http_messages import Response
from tests.servers.hub_bucket_writes import MAX_OPERATIONS
from tests.servers.hub_call import Call, HubError, json_response
from tests.servers.hub_store import EPOCH_SECONDS, Bucket, BucketEntry, iso


def answer(call: Call, bucket_id: str, rest: list[str]) -> Response:
    """Everything below /api/buckets/ORGANIZATION/NAME."""
    if call.method in ("POST", "DELETE") and rest in ([], ["batch"]):
        return hub_bucket_writes.answer(call, bucket_id, is_batch=bool(rest))
    bucket = call.bucket(bucket_id, to_write=rest[:1] == ["xet-write-token"])
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
            if len(paths) > MAX_OPERATIONS:
                raise HubError(413, "too many parameters")
            return json_response([_file_json(path, bucket.files[path]) for path in paths if path in bucket.files])
        case ["xet-read-token" | "xet-write-token"]:
            return call.xet_token()
    raise HubError(404, f"no route {call.method} {call.raw_path}")


def resolve(call: Call, bucket_id: str, path: str) -> Response:
    entry = call.bucket(bucket_id).files.get(path)
    if entry is None:
        raise HubError(404, "Entry not found", "EntryNotFound")
    token_route = f"{call.state.hub_url}/api/buckets/{bucket_id}/xet-read-token"
    return call.cdn_redirect(entry.sha256, entry.size, entry.xet_hash, token_route, {})


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
                folder = {"type": "directory", "path": base + name, "uploadedAt": iso(entry.uploaded_seconds)}
                rows.setdefault(base + name, folder)
            else:
                rows[path] = _file_json(path, entry)
    return call.paged(list(rows.values()), {})


def _file_json(path: str, entry: BucketEntry) -> dict[str, Any]:
    mtime = iso(*divmod(entry.mtime_milliseconds, 1000))
    times = {"mtime": mtime, "uploadedAt": iso(entry.uploaded_seconds)}
    return {"type": "file", "path": path, "size": entry.size, "xetHash": entry.xet_hash, **times}

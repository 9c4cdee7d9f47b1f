"""Buckets, to write: creation, deletion, and batches of operations that succeed or fail one by one.

The bytes of a file come first, through the Xet CAS; a batch only names their hashes.
"""

import json
from typing import Any

from tests.servers.http_messages import Response
from tests.servers.hub_call import Call, HubError, json_response
from tests.servers.hub_store import Bucket, sha256_of

MAX_OPERATIONS = 1000  # what clients put into one request
_EMPTY_XET_HASH = "0" * 64  # an empty file has no chunks, so the CAS does not know it
_FIELDS = {"addFile": ("path", "xetHash"), "copyFile": ("path", "xetHash", "sourceRepoType", "sourceRepoId")}


class _RefusedError(Exception):
    """One operation fails; the others of its batch do not."""


def answer(call: Call, bucket_id: str, *, is_batch: bool) -> Response:
    """POST or DELETE of a bucket, or POST of a batch."""
    if is_batch:
        return _batch(call, call.bucket(bucket_id, to_write=True))
    if call.method == "POST":
        return _create(call, bucket_id)
    call.bucket(bucket_id, to_write=True)
    del call.state.store.buckets[bucket_id]
    return json_response({})


def _create(call: Call, bucket_id: str) -> Response:
    user, wish = call.known_user(), call.json()
    namespace, name = bucket_id.split("/")
    if namespace == "me":
        bucket_id = f"{user.name}/{name}"
    if not user.owns(bucket_id):
        raise HubError(403, "You don't have the rights to create a bucket under this namespace")
    created = {"url": f"{call.state.hub_url}/buckets/{bucket_id}", "name": bucket_id, "id": bucket_id}
    if bucket_id in call.state.store.buckets:
        return json_response({"error": "You already created this bucket", **created}, status=409)
    is_private = wish.get("visibility") == "private" or bool(wish.get("private"))
    call.state.store.buckets[bucket_id] = Bucket(bucket_id, is_private)
    return json_response(created)


def _batch(call: Call, bucket: Bucket) -> Response:
    """Apply the operations, one JSON line each, in their order; 200 tells which failed, 422 that all did."""
    operations = _operations(call.body)
    call.state.take_over_uploads()
    stop, bucket.operations_left = bucket.operations_left, None
    failed = []
    for operation in operations[:stop]:
        path = operation["path"]
        try:
            if path in bucket.refusals:
                raise _RefusedError(bucket.refusals.pop(path))
            _apply(call, bucket, operation)
        except _RefusedError as error:
            failed.append({"path": path, "error": str(error)})
    if stop is not None:
        raise HubError(503, f"broke off after {stop} operations")
    count = len(operations)
    report = {"success": not failed, "processed": count, "succeeded": count - len(failed), "failed": failed}
    return json_response(report, status=422 if failed and len(failed) == count else 200)


def _operations(body: bytes) -> list[dict[str, Any]]:
    try:
        operations = [json.loads(line) for line in body.splitlines() if line.strip()]
        for operation in operations:
            names = ("path",) if operation["type"] == "deleteFile" else _FIELDS[operation["type"]]
            if not all(isinstance(operation[name], str) for name in names):
                raise TypeError(f"{names} are strings")
    except (ValueError, KeyError, TypeError) as error:
        raise HubError(400, f"no batch of operations: {error!r}") from None
    if len(operations) > MAX_OPERATIONS:
        raise HubError(413, f"{len(operations)} operations, of at most {MAX_OPERATIONS}")
    return operations


def _apply(call: Call, bucket: Bucket, operation: dict[str, Any]) -> None:
    path = operation["path"]
    if "\\" in path or not all(path.split("/")) or {".", ".."} & set(path.split("/")):
        raise _RefusedError("Invalid path")
    if operation["type"] == "deleteFile":
        bucket.files.pop(path, None)  # what is not there counts as deleted
        return
    xet_hash = operation["xetHash"]
    if operation["type"] == "copyFile":
        size, sha256 = _copied(call, operation["sourceRepoType"], operation["sourceRepoId"], xet_hash)
    else:
        size, sha256 = _uploaded(call, xet_hash)
    bucket.write(path, size, sha256, xet_hash, operation.get("mtime"))


def _uploaded(call: Call, xet_hash: str) -> tuple[int, str]:
    """Size and SHA-256 of a file of the CAS."""
    state = call.state
    if xet_hash not in state.xet_store.files and xet_hash != _EMPTY_XET_HASH:
        raise _RefusedError("File not found in Xet storage")
    data = b"" if xet_hash == _EMPTY_XET_HASH else state.xet_store.read(xet_hash)
    sha256 = sha256_of(data)
    state.store.lfs_objects.setdefault(sha256, data)
    return len(data), sha256


def _copied(call: Call, kind: str, source_id: str, xet_hash: str) -> tuple[int, str]:
    """Size and SHA-256 of the file of this hash in a bucket or in any commit of a repository."""
    try:
        if kind == "bucket":
            entries = [(entry.xet_hash, entry.size, entry.sha256) for entry in call.bucket(source_id).files.values()]
        else:
            commits = call.repository(kind, source_id).commits.values()
            trees = [entry for commit in commits for entry in commit.tree.values()]
            entries = [(entry.xet_hash, entry.size, entry.sha256) for entry in trees]
    except HubError as error:
        raise _RefusedError(error.message) from None
    for found, size, sha256 in entries:
        if found == xet_hash:
            return size, sha256
    raise _RefusedError("File not found in Xet storage")

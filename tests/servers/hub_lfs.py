"""The LFS batch API: where to upload, in one piece or in parts, and whether it arrived."""

import hashlib
import json
from typing import Any

from tests.servers.http_messages import Response
from tests.servers.hub_call import Call, HubError, json_response
from tests.servers.hub_store import size_of


def answer(call: Call, kind: str, repository_id: str, operation: str) -> Response:
    """`batch`, `verify`, or `complete/SHA256`, below `.git/info/lfs/objects`."""
    if operation == "verify":
        wish = call.json()
        content = call.state.store.lfs_objects.get(wish["oid"])
        return json_response({}, status=200 if content is not None and size_of(content) == wish["size"] else 404)
    if operation.startswith("complete/"):
        return _complete(call, operation.removeprefix("complete/"))
    call.repository(kind, repository_id, to_write=True)
    is_multipart = call.state.multipart_over_bytes is not None
    rows = [_batch_row(call, wanted["oid"], wanted["size"]) for wanted in call.json()["objects"]]
    response = json_response({"transfer": "multipart" if is_multipart else "basic", "objects": rows})
    response.headers["Content-Type"] = "application/vnd.git-lfs+json"
    return response


def _batch_row(call: Call, sha256: str, size: int) -> dict[str, Any]:
    state = call.state
    row: dict[str, Any] = {"oid": sha256, "size": size}
    if sha256 in state.store.lfs_objects:
        return row
    base = state.hub_url + call.raw_path.removesuffix("/batch")
    upload: dict[str, Any] = {"href": state.signed(f"lfs/{sha256}")}
    part_bytes = state.multipart_over_bytes
    if part_bytes is not None and size > part_bytes:
        part_count = -(-size // part_bytes)
        parts = {str(number): state.signed(f"lfs/{sha256}/{number}") for number in range(1, part_count + 1)}
        upload = {"href": f"{base}/complete/{sha256}", "header": {"chunk_size": str(part_bytes), **parts}}
    row["actions"] = {"upload": upload, "verify": {"href": f"{base}/verify"}}
    return row


def _complete(call: Call, sha256: str) -> Response:
    parts = call.state.store.lfs_parts.pop(sha256, {})
    data = b"".join(parts[part["partNumber"]] for part in json.loads(call.body)["parts"])
    if hashlib.sha256(data).hexdigest() != sha256:
        raise HubError(400, "BadDigest")
    call.state.store.lfs_objects[sha256] = data
    return json_response({"success": True})

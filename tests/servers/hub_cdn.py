"""The second origin: LFS objects behind signed URLs, and the Xet CAS with its xorbs."""

import hashlib
import re

from tests.servers import byte_ranges
from tests.servers.http_messages import Request, Response
from tests.servers.hub_call import Call, HubError, HubState, json_response
from tests.servers.hub_xet import Version


def answer(state: HubState, request: Request) -> Response:
    """Answer a request to the cdn; refusals become responses."""
    with state.store.lock:
        try:
            return _route(Call(state, request))
        except HubError as error:
            return error.response()


def _route(call: Call) -> Response:
    state = call.state
    match call.segments:
        case ["lfs", sha256, *part]:
            _check_signature(call)
            return _put(call, sha256, part) if call.method == "PUT" else _get(call, sha256)
        case ["xorb", xorb] if xorb in state.xet_store.xorbs:
            _check_signature(call)
            return byte_ranges.serve(call.request, state.xet_store.xorbs[xorb], {})
        case ["v1", "xorbs", _, xorb] if call.method == "POST":
            is_new = xorb not in state.xet_store.xorbs
            state.xet_store.xorbs[xorb] = call.body
            return json_response({"was_inserted": is_new})
        case ["v1", "shards"] if call.method == "POST":
            state.xet_store.add_shard(call.body)
            return json_response({"result": 1})
        case ["v1", "reconstructions", file_hash]:
            return _reconstruct(call, file_hash, "v1")
        case ["v2", "reconstructions", file_hash]:
            return _reconstruct(call, file_hash, "v2")
        case ["v1", "telemetry"]:
            return json_response({})
    raise HubError(404, "not found")  # global deduplication and v2 shards: clients do without them


def _check_signature(call: Call) -> None:
    if call.query.get("sig") != [call.state.signature]:
        raise HubError(403, "signature expired")


def _put(call: Call, sha256: str, part: list[str]) -> Response:
    if part:
        call.state.store.lfs_parts.setdefault(sha256, {})[int(part[0])] = call.body
    elif hashlib.sha256(call.body).hexdigest() != sha256:
        raise HubError(400, "BadDigest")
    else:
        call.state.store.lfs_objects[sha256] = call.body
    return Response(200, {"ETag": f'"{hashlib.md5(call.body).hexdigest()}"'})


def _get(call: Call, sha256: str) -> Response:
    try:
        content = call.state.lfs_content(sha256)
    except KeyError:
        raise HubError(404, "NoSuchKey") from None
    headers = {"ETag": f'"{sha256}"', "Content-Type": "application/octet-stream"}
    return byte_ranges.serve(call.request, content, headers)


def _reconstruct(call: Call, file_hash: str, version: Version) -> Response:
    store = call.state.xet_store
    if file_hash not in store.files:
        raise HubError(404, "no such file")
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", call.headers.get("range", ""))
    span = (int(match[1]), int(match[2]) + 1) if match else None
    try:
        return json_response(store.reconstruction(file_hash, span, version, call.state.signed("xorb/{}")))
    except IndexError as error:
        raise HubError(416, str(error)) from None

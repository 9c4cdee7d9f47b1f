import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.faults import Fault
from tests.servers.hub import TOKEN, FakeHub
from tests.servers.raw_client import RawAnswer, ask

AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
UNKNOWN = "ab" * 32


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """Without a CAS: copies and deletions need none."""
    with FakeHub() as hub:
        hub.add_bucket("acme/b", {"x.txt": b"x", "y.txt": b"y"})
        yield hub


def send(hub: FakeHub, *operations: dict[str, Any], bucket: str = "acme/b", token: str = TOKEN) -> RawAnswer:
    """POST one batch."""
    return send_body(hub, b"".join(json.dumps(operation).encode() + b"\n" for operation in operations), bucket, token)


def send_body(hub: FakeHub, body: bytes, bucket: str = "acme/b", token: str = TOKEN) -> RawAnswer:
    headers = {"Content-Type": "application/x-ndjson"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return ask(f"{hub.url}/api/buckets/{bucket}/batch", method="POST", headers=headers, body=body)


def add(path: str, xet_hash: str, **more: Any) -> dict[str, Any]:
    return {"type": "addFile", "path": path, "xetHash": xet_hash, **more}


def copy(hub: FakeHub, path: str, target: str, **more: Any) -> dict[str, Any]:
    xet_hash = hub.bucket("acme/b").files[path].xet_hash
    source = {"sourceRepoType": "bucket", "sourceRepoId": "acme/b"}
    return {"type": "copyFile", "path": target, "xetHash": xet_hash, **source, **more}


def delete(path: str) -> dict[str, Any]:
    return {"type": "deleteFile", "path": path}


@pytest.mark.parametrize("mode", ["http", "local"])
def test_the_real_client_writes_buckets(mode):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.servers.hub_bucket_client_checks", mode],
        cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout.splitlines()[-1:]) == (0, ["failed: none"]), ran.stdout + ran.stderr


def test_a_batch_reports_what_failed(hub):
    answer = send(hub, copy(hub, "x.txt", "c.txt"), add("u.txt", UNKNOWN), delete("y.txt"), delete("nowhere"))
    assert (answer.status, json.loads(answer.body)) == (
        200,
        {
            "success": False,
            "processed": 4,
            "succeeded": 3,
            "failed": [{"path": "u.txt", "error": "File not found in Xet storage"}],
        },
    )
    assert hub.read_bucket("acme/b") == {"x.txt": b"x", "c.txt": b"x"}
    assert send(hub, add("u.txt", UNKNOWN)).status == 422
    assert json.loads(send(hub, delete("c.txt")).body) == {
        "success": True,
        "processed": 1,
        "succeeded": 1,
        "failed": [],
    }


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "./a", "a/../b", "a\\b"])
def test_paths_are_checked(hub, path):
    assert send(hub, copy(hub, "x.txt", path)).status == 422
    assert sorted(hub.bucket("acme/b").files) == ["x.txt", "y.txt"]


def test_copies_need_the_right_to_read_the_source(hub):
    hub.add_bucket("other/hidden", {"x.txt": b"x"}, private=True)
    for source, error in (
        ({"sourceRepoId": "other/hidden"}, "Repository not found"),
        ({"sourceRepoId": "acme/nope"}, "Repository not found"),
        ({"sourceRepoType": "model"}, "Repository not found"),
        ({"xetHash": UNKNOWN}, "File not found in Xet storage"),
    ):
        answer = send(hub, copy(hub, "x.txt", "c.txt", **source))
        assert json.loads(answer.body)["failed"] == [{"path": "c.txt", "error": error}]


def test_times_are_those_of_the_writer_and_of_the_hub(hub):
    send(hub, copy(hub, "x.txt", "c.txt", mtime=1_588_748_889_250), copy(hub, "x.txt", "d.txt"))
    url = f"{hub.url}/api/buckets/acme/b/paths-info"
    answer = ask(url, method="POST", headers=AUTHORIZED, body=json.dumps({"paths": ["c.txt", "d.txt"]}).encode())
    assert [(row["mtime"], row["uploadedAt"]) for row in json.loads(answer.body)] == [
        ("2020-05-06T07:08:09.250Z", "2023-11-14T22:13:22.000Z"),
        ("2023-11-14T22:13:23.000Z", "2023-11-14T22:13:23.000Z"),
    ]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', b'{"type": "moveFile", "path": "x"}', b'{"path": "x"}', b'{"type": "addFile"}']
)
def test_what_is_no_batch_changes_nothing(hub, body):
    assert send_body(hub, json.dumps(delete("x.txt")).encode() + b"\n" + body).status == 400
    assert "x.txt" in hub.bucket("acme/b").files


def test_requests_are_limited(hub):
    assert send(hub, *[delete("x.txt")] * 1001).status == 413
    assert "x.txt" in hub.bucket("acme/b").files
    assert send(hub, *[delete("x.txt")] * 1000).status == 200
    url = f"{hub.url}/api/buckets/acme/b/paths-info"
    for count, status in ((1000, 200), (1001, 413)):
        assert ask(url, method="POST", body=json.dumps({"paths": ["x"] * count}).encode()).status == status


def test_only_members_write(hub):
    hub.add_bucket("other/public", {})
    hub.add_bucket("other/hidden", {}, private=True)
    for bucket, token, status in (
        ("acme/b", "", 401),
        ("acme/b", "wrong", 401),
        ("acme/nope", TOKEN, 404),
        ("other/public", TOKEN, 403),
        ("other/hidden", TOKEN, 404),
        ("acme/b", TOKEN, 200),
    ):
        assert send(hub, delete("x.txt"), bucket=bucket, token=token).status == status
        if status != 200:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            url = f"{hub.url}/api/buckets/{bucket}"
            assert ask(f"{url}/xet-write-token", headers=headers).status == status
            assert ask(url, method="DELETE", headers=headers).status == status


def test_batches_are_counted_and_hit_by_faults(hub):
    hub.inject(Fault("status", method="POST", path="/batch$", status=429, headers={"Retry-After": "3"}))
    limited = send(hub, delete("x.txt"))
    assert (limited.status, limited.headers["Retry-After"]) == (429, "3")
    assert "x.txt" in hub.bucket("acme/b").files
    hub.inject(Fault("commit_then_drop", method="POST", path="/batch$"))
    assert send(hub, delete("x.txt")).data == b""
    assert "x.txt" not in hub.bucket("acme/b").files
    assert send(hub, delete("x.txt")).status == 200
    seen = [(exchange.server, exchange.method, exchange.path, exchange.fault) for exchange in hub.exchanges()]
    assert seen == [("hub", "POST", "/api/buckets/acme/b/batch", fault) for fault in ("status", "commit_then_drop", "")]


def test_operations_can_be_refused_and_batches_break_off(hub):
    hub.refuse_in_bucket("acme/b", {"x.txt": "internal error"})
    answers = [json.loads(send(hub, delete("x.txt"), delete("y.txt")).body) for _ in range(2)]
    assert [answer["failed"] for answer in answers] == [[{"path": "x.txt", "error": "internal error"}], []]
    hub.add_bucket("acme/b", {"x.txt": b"x", "y.txt": b"y"})
    hub.break_off_batch("acme/b", after=1)
    assert send(hub, delete("x.txt"), delete("y.txt")).status == 503
    assert hub.read_bucket("acme/b") == {"y.txt": b"y"}
    assert send(hub, delete("x.txt"), delete("y.txt")).status == 200

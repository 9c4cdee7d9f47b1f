"""Changes to a repository of the offline Hub, its state after them, and faults of its requests."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from episeek.stores.requests.retry import RetryPolicy
from episeek_pipelines.publish.hub_client import commits, pull_requests
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.hub_client.values import CommitOutcome, PullRequest
from episeek_pipelines.publish.overlay.changes import Addition, Changes
from tests.servers.faults import Exchange, Fault
from tests.servers.hub import TOKEN, FakeHub

NAME = "acme/ds"
QUICK = RetryPolicy(max_attempts=4, max_seconds=20, first_wait_seconds=0.001, max_wait_seconds=0.01)
VIDEO = np.random.default_rng(3).bytes(50_000)
OLD = {"README.md": b"# old\n", "data/old.parquet": b"old", "videos/a.mp4": b"\0old"}


class Hub(FakeHub):
    base = ""
    """The commit that all changes are planned for."""


def repository_of(hub: FakeHub, name: str = NAME, token: str | None = TOKEN, retry: RetryPolicy = QUICK) -> HubClient:
    return HubClient(name, token=token, retry=retry, endpoint=hub.url)


def addition(path: str, content: bytes) -> Addition:
    return Addition(path, content, len(content), hashlib.sha256(content).hexdigest())


def changes_of(files: Mapping[str, bytes], deletions: Iterable[str] = ()) -> Changes:
    return Changes(tuple(addition(path, files[path]) for path in sorted(files)), tuple(deletions), 0)


CHANGES = changes_of({"README.md": b"# new\n", "meta/x.json": b"{}", "videos/a.mp4": VIDEO}, ["data/old.parquet"])
AFTER = {".gitattributes", "README.md", "meta/x.json", "videos/a.mp4"}


def many(count: int = 250) -> Changes:
    files = {f"data/file-{number:03}.txt": f"{number}".encode() for number in range(count - 1)}
    return changes_of(files, ["data/old.parquet"])


def commit(repository: HubClient, hub: Hub, **options: Any) -> CommitOutcome:
    return commits.commit(repository, CHANGES, **{"parent": hub.base, "message": "new", **options})


def in_parts(repository: HubClient, hub: Hub, changes: Changes | None = None, **options: Any) -> PullRequest:
    """Commit the changes to a pull request; there is one, since the repository has none of the changes."""
    made = pull_requests.commit_in_parts(
        repository, many() if changes is None else changes, **{"parent": hub.base, "message": "many", **options}
    )
    assert made is not None
    return made


def commits_of(hub: FakeHub) -> list[str]:
    return list(hub.repository(NAME).commits)


def paths(hub: FakeHub, revision: str = "main") -> set[str]:
    found = hub.repository(NAME).find(revision)
    assert found is not None
    return set(found.tree)


def tag(hub: FakeHub) -> str | None:
    return hub.repository(NAME).refs.get("refs/tags/v3.0")


def asked(hub: FakeHub, method: str, path: str) -> list[Exchange]:
    return [exchange for exchange in hub.exchanges() if exchange.method == method and path in exchange.path]


FAULTS = {
    "429": Fault("status", status=429, headers={"Retry-After": "0"}),
    "429-rate-limit": Fault("status", status=429, headers={"RateLimit": '"api";r=0;t=0'}),
    "500": Fault("status", status=500, times=2),
    "503": Fault("status", status=503),
    "drop": Fault("drop"),
    "reset": Fault("reset", times=2),
    "lost": Fault("commit_then_drop"),
    "not-http": Fault("not_http"),
    "truncated": Fault("truncate"),
}


def inject(hub: FakeHub, name: str, method: str, path: str) -> None:
    hub.inject(replace(FAULTS[name], method=method, path=path))

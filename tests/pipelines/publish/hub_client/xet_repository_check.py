"""A repository's commits through Xet: python -m tests.pipelines.publish.hub_client.xet_repository_check FOLDER.

In a process of its own, because the client reads its environment once.
"""

import hashlib
import os
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest

from episeek.stores.requests.retry import RetryPolicy
from episeek_pipelines.publish.errors import RefusedError
from episeek_pipelines.publish.hub_client import commits, merges, pull_requests
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.overlay.changes import Addition, Changes
from tests.servers.faults import Fault
from tests.servers.hub import FakeHub

NAME = "acme/ds"
QUICK = RetryPolicy(max_attempts=4, max_seconds=30, first_wait_seconds=0.01, max_wait_seconds=0.05)


def main(folder: Path) -> int:
    with FakeHub(xet="http") as hub:
        os.environ.update(hub.environment(folder / "home"))
        try:
            check(hub, folder)
        except Exception:
            traceback.print_exc()
            return 1
    return 0


def check(hub: FakeHub, folder: Path) -> None:
    base = hub.add_dataset(NAME, {"README.md": b"# old\n"})
    repository = HubClient(NAME, retry=QUICK)
    content = np.random.default_rng(8).bytes(900_000)
    path = folder / "film.mp4"
    path.write_bytes(content)
    of_path = Addition("videos/a.mp4", str(path), len(content), hashlib.sha256(content).hexdigest())
    of_bytes = Addition("data/x.parquet", content[:9000], 9000, hashlib.sha256(content[:9000]).hexdigest())
    changes = Changes((of_bytes, of_path), (), 0)

    hub.inject(Fault("status", method="POST", path="/commit/", status=400))
    with pytest.raises(RefusedError, match="HTTP 400"):
        commits.commit(repository, changes, parent=base, message="m")
    sent = xorb_bytes(hub)
    assert sent >= len(content), sent

    hub.inject(Fault("commit_then_drop", method="POST", path="/commit/"))
    hub.inject(Fault("status", method="GET", path="/xet-write-token/"))
    outcome = commits.commit(repository, changes, parent=base, message="m")
    assert outcome.commit == hub.head(NAME)
    assert len(hub.repository(NAME).commits) == 3
    assert xorb_bytes(hub) - sent < len(content) / 10, "what had arrived was sent again"
    files = repository.files(outcome.commit)
    assert files["videos/a.mp4"].sha256 == of_path.sha256
    assert files["videos/a.mp4"].xet_hash
    assert hub.state.lfs_content(of_path.sha256) == content

    edited = content[:500_000] + b"edit" + content[500_000:]
    more = Addition("videos/b.mp4", edited, len(edited), hashlib.sha256(edited).hexdigest())
    made = pull_requests.commit_in_parts(repository, Changes((more,), (), 0), parent=outcome.commit, message="parts")
    assert made is not None
    assert repository.files(made.ref)["videos/b.mp4"].sha256 == more.sha256
    merged = merges.merge(repository, made.ref, expected_base=outcome.commit)
    assert hub.head(NAME) == merged.commit
    print("checked", flush=True)


def xorb_bytes(hub: FakeHub) -> int:
    return sum(exchange.received_bytes for exchange in hub.exchanges() if "/xorbs/" in exchange.path)


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # hf_xet's threads may outlive the interpreter

"""The offline Hub for publications: its client does not wait, and its repository can be replaced by a new one."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import episeek.stores.requests.retry
from episeek.stores.requests.retry import RetryPolicy
from episeek_pipelines.publish.hub.options import PublishOptions, PublishResult
from episeek_pipelines.publish.hub.publish import publish
from episeek_pipelines.publish.hub_client.client import HubClient
from tests.pipelines.conftest import DATA
from tests.pipelines.remote_datasets import hub_datasets
from tests.servers.faults import Exchange
from tests.servers.hub import TOKEN, FakeHub
from tests.servers.hub_store import Content, Tree
from tests.support.hub_client import hub_client
from tests.support.hurried import hurried_time
from tests.support.turns import before

QUICK = RetryPolicy(max_attempts=3, max_seconds=20, first_wait_seconds=0.001, max_wait_seconds=0.01)
UNVERIFIED = PublishOptions(is_verified=False, clip_count=2)
TAG = "v3.0"
NAME, SMALL = "acme/ds", "hevc"
"""A repository, and a dataset to start it with."""


class PublishHub:
    """An offline Hub with one repository at a time."""

    def __init__(self, hub: FakeHub, cache: Path) -> None:
        self.hub = hub
        self._cache = cache
        self.name = ""
        self._count = 0
        self._answer = hub._hub.application

    def start(self, name: str, files: Mapping[str, Content], *, tag: bool = True) -> str:
        """Replace everything on the Hub by a repository with these files in one tagged commit."""
        store = self.hub.state.store
        with store.lock:
            store.repositories.clear()
            store.lfs_objects.clear()
            store.lfs_parts.clear()
            self.name = name
            store.create_repository("dataset", name, is_private=False)
            # a new commit each time, which no client remembers
            self._count += 1
            base = self.hub.commit(name, files, title=f"start {self._count}")
            if tag:
                self.hub.add_tag(name, TAG)
        for folder in self._cache.glob("datasets--*"):
            shutil.rmtree(folder)
        shutil.rmtree(self._cache / "episeek", ignore_errors=True)
        self.hub._hub.application = self._answer
        self.hub.clear_faults()
        self.hub.clear()
        return base

    def before(self, method: str, path: str, number: int, action: Callable[[], object]) -> None:
        """Do something just before the Hub answers the request of this number among its kind."""
        before(self.hub, method, path, number, action)

    def publish(
        self, overlay: str, *, source: str | None = None, options: PublishOptions = UNVERIFIED, name: str | None = None
    ) -> PublishResult:
        """Publish as the command does, but without long waits."""
        data_root = None if source is None else str(DATA / source)
        repository = HubClient(name or self.name, retry=QUICK)
        return publish(overlay, name or self.name, data_root=data_root, options=options, repository=repository)

    def tree(self, revision: str = "main") -> Tree | None:
        """Return the files at a revision; None where there is no such revision."""
        commit = self.hub.repository(self.name).find(revision)
        return None if commit is None else commit.tree

    @property
    def head(self) -> str:
        return self.hub.head(self.name)

    @property
    def tag(self) -> str | None:
        return self.hub.repository(self.name).refs.get(f"refs/tags/{TAG}")

    @property
    def main_commits(self) -> list[str]:
        """Commits of main, its head first."""
        repository = self.hub.repository(self.name)
        found, commit = [], repository.find("main")
        while commit is not None:
            found.append(commit.oid)
            commit = repository.commits[commit.parents[0]] if commit.parents else None
        return found

    def asked(self, method: str, path: str) -> list[Exchange]:
        return [exchange for exchange in self.hub.exchanges() if exchange.method == method and path in exchange.path]

    def changing(self) -> list[Exchange]:
        """Return the requests that send or change something."""
        reading = ("/paths-info/", "/preupload/", "/validate-yaml")
        return [
            exchange
            for exchange in self.hub.exchanges()
            if exchange.method not in ("GET", "HEAD") and not any(part in exchange.path for part in reading)
        ]

    @property
    def is_untouched(self) -> bool:
        """Whether the repository is as it was started, and no request would have changed it."""
        return self.changing() == [] and len(self.main_commits) == 2


def publish_in_process(
    overlay: str, name: str, *, source: str, environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    """Start `episeek publish` in a process, without verification and output."""
    command = [sys.executable, "-m", "episeek_pipelines.cli", "publish", overlay, name]
    command += ["--no-verify", "--quiet", "--data-root", str(DATA / source)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def publish_hub(cache: Path) -> Iterator[PublishHub]:
    with hub_datasets(cache) as datasets, hub_client(cache) as patch:
        patch.setenv("HF_TOKEN", TOKEN)
        patch.setenv("EPISEEK_CACHE", str(cache / "episeek"))
        patch.setattr(episeek.stores.requests.retry, "time", hurried_time())
        yield PublishHub(datasets.hub, cache)

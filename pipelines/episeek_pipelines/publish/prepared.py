"""Preparing a dataset of the Hub and publishing the result onto it, as one job.

Videos stay where they are: of each its header is read, by ranges, and clips of some when the result has been published. Data files
and `meta/` are read, and written anew on this machine; what differs is sent. A run that was stopped goes on: the preparation from
its finished work, and the publication from what has arrived.
"""

import os
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from episeek.errors import DestinationError
from episeek.sidecars.local_copies import cache_directory
from episeek.stores.kinds import is_hub
from episeek.stores.transports.hub.location import HubLocation, parse_hub_url
from episeek_pipelines.dataset.locks import exclusive_lock
from episeek_pipelines.dataset.provenance import read_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs import prepare
from episeek_pipelines.jobs.graph import (
    Execution,
)
from episeek_pipelines.jobs.results import PrepareResult
from episeek_pipelines.publish.card.section import DatasetFigures, decoded_card, updated_card
from episeek_pipelines.publish.hub.options import DEFAULT_OPTIONS, PublishOptions, PublishResult
from episeek_pipelines.publish.hub.publish import publish
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.hub_client.uploads import require_writable
from episeek_pipelines.publish.hub_client.values import MAIN
from episeek_schemas import layout, sidecars

_SOURCE: Final = "hf://datasets/ORG/NAME, or hf://datasets/ORG/NAME@BRANCH: what it is published onto"
_HERE: Final = Execution()


@dataclass(frozen=True, slots=True)
class PreparedPublication:
    """What was done."""

    preparation: PrepareResult | None
    """None: an earlier run had done it, from the same commit with the same options."""
    publication: PublishResult | None
    """None: verification found errors, so nothing was sent."""


def prepare_and_publish(
    source: str,
    destination: str | None = None,
    *,
    max_episodes_per_file: int | None = None,
    options: PublishOptions = DEFAULT_OPTIONS,
    execution: Execution = _HERE,
    repository: HubClient | None = None,
) -> PreparedPublication:
    """Rewrite, index and verify a dataset of the Hub, and publish the result onto the branch that it was read from.

    Args:
        source: `hf://datasets/ORG/NAME`, with `@BRANCH` for another branch than main.
        destination: Where the result is kept on this machine, as `prepare` takes it; None: below `working_directory` until it is
            published.
        max_episodes_per_file: As `prepare` takes it.
        options: Of the publication; its branch is that of `source`, and what `prepare` has verified is not verified again.
        execution: Scheduler, workers, progress.
        repository: As `publish` takes it.

    Raises:
        DestinationError: `source` is no branch of a dataset repository; `destination` is in a store, or holds something.
        ConflictError: Others have changed the same files since.
        EpiseekError: As `prepare` and `publish` raise; the preparation is kept, and the same call goes on from there.
    """
    started = time.perf_counter()
    location = _location(source)
    hub = repository if repository is not None else HubClient(location.repo_id)
    branch = location.revision or MAIN
    if location.revision is not None and branch not in hub.refs().branches:
        raise DestinationError(source, f"{branch!r}, which is no branch", _SOURCE)
    is_kept = destination is not None
    folder = working_directory(source) if destination is None else destination
    root = Root(folder)
    if not root.is_local:
        raise DestinationError(folder, "a store", "a place on this machine, from which it is published")
    lock = root.local.with_name(f".{root.local.name}.lock")
    found, hint = "another run that works there", "wait until that run has ended, or give a DST"
    with nullcontext() if is_kept else exclusive_lock(lock, where=str(root), found=found, hint=hint):
        if not options.create_pr and not options.dry_run:
            require_writable(hub, branch)
        _require_usable_card(hub, branch)
        preparation = None
        if not _is_prepared(root, source, max_episodes_per_file, at=hub.head(branch)):
            if not is_kept:
                shutil.rmtree(root.local, ignore_errors=True)  # of an earlier commit; unfinished work lies beside it
            preparation = prepare.prepare(
                source, root.url, max_episodes_per_file=max_episodes_per_file, execution=execution
            )
            if preparation.verification is not None and preparation.verification.error_count:
                return PreparedPublication(preparation, None)
        chosen = replace(options, branch=branch, is_verified=preparation is None)
        publication = publish(root.url, location.repo_id, options=chosen, execution=execution, repository=repository)
        if preparation is not None:
            publication = replace(publication, verification=preparation.verification)
        if not is_kept and not options.dry_run:
            shutil.rmtree(root.local, ignore_errors=True)
    return PreparedPublication(preparation, replace(publication, seconds=time.perf_counter() - started))


def _require_usable_card(hub: HubClient, branch: str) -> None:
    """Before any work: what the publication will make of it.

    Raises:
        UnusableCardError: It cannot be kept and added to.
    """
    remote = Root(hub.url(hub.head(branch)))
    if remote.exists(layout.CARD_PATH):
        text = decoded_card(remote.read_bytes(layout.CARD_PATH), repository_id=hub.repository_id)
        figures = DatasetFigures(episode_count=0, frame_count=0, camera_count=0, fps=1.0, sidecar_bytes=0)
        updated_card(text, repository_id=hub.repository_id, format_version=sidecars.FORMAT_VERSION, figures=figures)


def working_directory(source: str) -> str:
    """Where a dataset of the Hub is prepared that is to be published, below `$EPISEEK_CACHE` or `~/.cache/episeek`."""
    location = _location(source)
    name = "--".join([*location.repo_id.split("/"), *([location.revision] if location.revision else [])])
    return os.fspath(Path(cache_directory(), "publications", quote(name, safe="")))


def _location(source: str) -> HubLocation:
    if is_hub(source):
        location = parse_hub_url(source)
        if location.kind == "datasets" and not location.prefix and not location.is_pinned:
            return location
    raise DestinationError(source, "no branch of a dataset repository on the Hub", _SOURCE)


def _is_prepared(root: Root, source: str, max_episodes_per_file: int | None, *, at: str) -> bool:
    """Whether an earlier run has prepared the same, so that only the publication is left."""
    record = read_record(root)
    plan = prepare.preparation_plan(source, max_episodes_per_file=max_episodes_per_file)
    return record is not None and record.commit == at and record.preparation == plan

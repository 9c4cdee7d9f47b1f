"""Preparing a dataset of the Hub and publishing the result onto it, as one job.

Videos stay where they are: only the header of each is read, by ranges, and some clips after the publication. Data files and `meta/`
are read and written anew on this machine, and the files that differ are sent. A run that was stopped continues: the preparation
with its finished work, the publication with the files that have arrived.
"""

import os
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from episeek.errors import DestinationError
from episeek.sidecars.local_copies import cache_directory
from episeek.stores.kinds import is_hub
from episeek.stores.transports.hub.location import HubLocation, parse_hub_url
from episeek_pipelines.dataset.locks import exclusive_lock
from episeek_pipelines.dataset.metadata import read_info_document
from episeek_pipelines.dataset.provenance import read_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs import prepare
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution
from episeek_pipelines.jobs.results import PrepareResult
from episeek_pipelines.publish.card.section import DatasetFigures, decoded_card, updated_card
from episeek_pipelines.publish.hub.options import DEFAULT_OPTIONS, PublishOptions, PublishResult
from episeek_pipelines.publish.hub.publish import publish
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.hub_client.uploads import require_writable
from episeek_pipelines.publish.hub_client.values import MAIN
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_schemas import layout, lerobot_v2, sidecars

_SOURCE: Final = "hf://datasets/ORG/NAME, or hf://datasets/ORG/NAME@BRANCH to publish onto another branch than main"


@dataclass(frozen=True, slots=True)
class PreparedPublication:
    """The results of a preparation and of the publication of its result."""

    preparation: PrepareResult | None
    """None where a previous run prepared the dataset, from the same commit with the same options."""
    publication: PublishResult | None
    """None where verification found errors, so that nothing was sent."""


def prepare_and_publish(
    source: str,
    destination: str | None = None,
    *,
    max_episodes_per_file: int | None = None,
    keyframes: KeyframeChoice = "auto",
    options: PublishOptions = DEFAULT_OPTIONS,
    execution: Execution = DEFAULT_EXECUTION,
    repository: HubClient | None = None,
) -> PreparedPublication:
    """Rewrite, index and verify a dataset of the Hub, and publish the result onto the branch that it was read from.

    Args:
        source: `hf://datasets/ORG/NAME`, with `@BRANCH` for another branch than main.
        destination: The folder of the result on this machine, as for `prepare`; None to keep it below `working_directory` until it
            is published.
        max_episodes_per_file: As for `prepare`.
        keyframes: As for `prepare`.
        options: The options of the publication. The branch is that of `source`, and a dataset that `prepare` has just verified is
            not verified again.
        execution: Scheduler, workers and progress.
        repository: As for `publish`.

    Raises:
        DestinationError: `source` is not a branch of a dataset repository, or of version 2.x; `destination` is in a store, or holds
            something else.
        ConflictError: Others have changed the same files since.
        EpiseekError: See `prepare` and `publish`; the preparation is kept, and the same call continues from there.
    """
    started = time.perf_counter()
    location = _location(source)
    hub = repository if repository is not None else HubClient(location.repo_id)
    branch = location.revision or MAIN
    if location.revision is not None and branch not in hub.refs().branches:
        raise DestinationError(source, f"{branch!r}, which is not a branch of the repository", _SOURCE)
    is_kept = destination is not None
    folder = working_directory(source) if destination is None else destination
    root = Root(folder)
    if not root.is_local:
        raise DestinationError(folder, "a store", "a folder on this machine, to publish from")
    lock = root.local.with_name(f".{root.local.name}.lock")
    found, hint = "another run at work there", "wait until that run has ended, or give a DST"
    with nullcontext() if is_kept else exclusive_lock(lock, where=str(root), found=found, hint=hint):
        if not options.create_pr and not options.dry_run:
            require_writable(hub, branch)
        _require_usable_card(hub, branch)
        _require_version_3(hub, branch)
        preparation = None
        plan = prepare.preparation_options(source, max_episodes_per_file=max_episodes_per_file, keyframes=keyframes)
        if not _is_prepared(root, plan, at=hub.head(branch)):
            if not is_kept:
                # a result of another commit; unfinished work lies beside it
                shutil.rmtree(root.local, ignore_errors=True)
            preparation = prepare.prepare(
                source,
                root.url,
                max_episodes_per_file=max_episodes_per_file,
                keyframes=keyframes,
                execution=execution,
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
    """Require, before any work, that the publication can update the card.

    Raises:
        UnusableCardError: It cannot.
    """
    remote = Root(hub.url(hub.head(branch)))
    if remote.exists(layout.CARD_PATH):
        text = decoded_card(remote.read_bytes(layout.CARD_PATH), repository_id=hub.repository_id)
        figures = DatasetFigures(episode_count=0, frame_count=0, camera_count=0, fps=1.0, sidecar_bytes=0)
        updated_card(text, repository_id=hub.repository_id, format_version=sidecars.FORMAT_VERSION, figures=figures)


def _require_version_3(hub: HubClient, branch: str) -> None:
    """Require, before any work, a dataset whose files a publication may replace.

    Raises:
        DestinationError: The dataset is of version 2.x: who reads that version would find its data files gone.
        NotADatasetError: There is no usable `meta/info.json`.
    """
    remote = Root(hub.url(hub.head(branch)))
    document = read_info_document(remote)
    if lerobot_v2.is_v2(document):
        found = f"codebase_version {document['codebase_version']!r}"
        hint = "prepare it into a DST with --videos copy or pack, and upload that as a repository of its own"
        raise DestinationError(remote.join(layout.INFO_PATH), found, "version 3.0 to publish onto", hint)


def working_directory(source: str) -> str:
    """Return the folder in which `prepare_and_publish` prepares a dataset, below `$EPISEEK_CACHE` or `~/.cache/episeek`."""
    location = _location(source)
    name = "--".join([*location.repo_id.split("/"), *([location.revision] if location.revision else [])])
    return os.fspath(Path(cache_directory(), "publications", quote(name, safe="")))


def _location(source: str) -> HubLocation:
    if is_hub(source):
        location = parse_hub_url(source)
        if location.kind == "datasets" and not location.prefix and not location.is_pinned:
            return location
    raise DestinationError(source, "not a branch of a dataset repository on the Hub", _SOURCE)


def _is_prepared(root: Root, plan: dict[str, Any], *, at: str) -> bool:
    """Return whether a previous run has prepared the dataset at commit `at`, so that only the publication remains."""
    record = read_record(root)
    return record is not None and record.commit == at and record.preparation == plan

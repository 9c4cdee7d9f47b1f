"""Prepare a dataset of the Hub and publish the result onto the same repository, as one job.

The videos stay on the Hub. Only the header of each video is read, and, after the publication, a few clips (short ranges of frames).
Data files and `meta/` are read and rewritten on this machine, and the files that differ are sent. A run that was stopped can be
started again, and then continues with the finished work of the preparation and the files that have already arrived on the Hub.
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
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.results import PrepareResult
from episeek_pipelines.jobs.run_options import preparation_options
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
    """The results of `prepare_and_publish`: the result of the preparation and the result of the publication."""

    preparation: PrepareResult | None
    """The result of the preparation. None if a previous run has already prepared the dataset from the same commit with the same
    options.
    """
    publication: PublishResult | None
    """The result of the publication. None if nothing was sent because the verification found errors."""


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
    """Rewrite, index and verify a dataset of the Hub, and publish the result onto the branch that was read.

    Args:
        source: `hf://datasets/ORG/NAME`, with `@BRANCH` for a branch other than main.
        destination: The folder on this machine in which the result is prepared. None stands for the folder that
            `working_directory` returns. That folder is deleted after a publication, and kept after a dry run.
        max_episodes_per_file: As for `prepare`.
        keyframes: As for `prepare`.
        options: The options of the publication. The job replaces two of them: `branch` becomes the branch of `source`, and
            `is_verified` becomes False if `prepare` has just verified the dataset, otherwise True.
        execution: Scheduler, workers and progress.
        repository: The client of the repository, as for `publish`.

    Raises:
        DestinationError: `source` is not a branch of a dataset repository, or its dataset has version 2.x; `destination` is in a
            store, or contains something other than a result of this job; or another run uses the same folder.
        ConflictError: Others have changed the same files since the dataset was read.
        EpiseekError: `prepare` or `publish` failed. The finished work of the preparation is kept, so the same call can continue.
    """
    started = time.perf_counter()
    location = _location(source)
    hub = repository if repository is not None else HubClient(location.repo_id)
    branch = location.revision or MAIN
    if location.revision is not None and branch not in hub.refs().branches:
        raise DestinationError(source, f"no branch {branch!r} in the repository", _SOURCE)
    is_kept = destination is not None
    folder = working_directory(source) if destination is None else destination
    root = Root(folder)
    if not root.is_local:
        raise DestinationError(folder, "the URL of a store", "a folder on this machine")
    lock = root.local.with_name(f".{root.local.name}.lock")
    found, hint = "another run that uses this folder", "wait until that run has ended, or give another folder as DST"
    with nullcontext() if is_kept else exclusive_lock(lock, where=str(root), found=found, hint=hint):
        if not options.create_pr and not options.dry_run:
            require_writable(hub, branch)
        _require_usable_card(hub, branch)
        _require_version_3(hub, branch)
        preparation = None
        plan = preparation_options(source, max_episodes_per_file=max_episodes_per_file, keyframes=keyframes)
        if not _is_prepared(root, plan, at=hub.head(branch)):
            if not is_kept:
                # The folder contains a result from another commit or other options. Unfinished work is in another folder.
                shutil.rmtree(root.local, ignore_errors=True)
            preparation = prepare(
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
    """Raise an error, before any work begins, if the section about episeek cannot be added to the repository's card.

    Raises:
        UnusableCardError: The card is malformed.
    """
    remote = Root(hub.url(hub.head(branch)))
    if remote.exists(layout.CARD_PATH):
        text = decoded_card(remote.read_bytes(layout.CARD_PATH), repository_id=hub.repository_id)
        figures = DatasetFigures(episode_count=0, frame_count=0, camera_count=0, fps=1.0, sidecar_bytes=0)
        updated_card(text, repository_id=hub.repository_id, format_version=sidecars.FORMAT_VERSION, figures=figures)


def _require_version_3(hub: HubClient, branch: str) -> None:
    """Raise an error, before any work begins, if the repository's dataset does not have version 3.0.

    Raises:
        DestinationError: The dataset has version 2.x. A publication would delete the data files that readers of version 2.x need.
        NotADatasetError: The repository has no usable `meta/info.json`.
    """
    remote = Root(hub.url(hub.head(branch)))
    document = read_info_document(remote)
    if lerobot_v2.is_v2(document):
        found = f"codebase_version {document['codebase_version']!r}"
        hint = "prepare the dataset into a DST with --videos copy or --videos pack, and publish DST onto another repository"
        raise DestinationError(remote.join(layout.INFO_PATH), found, "a dataset of version 3.0", hint)


def working_directory(source: str) -> str:
    """Return the folder in which `prepare_and_publish` prepares a dataset, below `$EPISEEK_CACHE` or `~/.cache/episeek`.

    Raises:
        DestinationError: `source` is not a branch of a dataset repository.
    """
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
    """Return whether `root` contains the result of a previous run, prepared from commit `at` with the options in `plan`."""
    record = read_record(root)
    return record is not None and record.commit == at and record.preparation == plan

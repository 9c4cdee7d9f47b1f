"""The survey of one dataset: what is in it, what preparing it will cost, and what will be refused.

The refusals are those of the job: the dataset is opened and its work planned as `prepare` does it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from episeek.errors import EpiseekError
from episeek.stores.identity import FileIdentity
from episeek_pipelines.batch.destination import require_free
from episeek_pipelines.batch.errors import Problem
from episeek_pipelines.batch.manifest import ManifestRow
from episeek_pipelines.batch.options import BatchOptions
from episeek_pipelines.dataset.contents import own_files
from episeek_pipelines.dataset.metadata import Dataset, open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.units import plan_index
from episeek_pipelines.publish.prepared import working_directory
from episeek_pipelines.rewrite.plan import plan_rewrite
from episeek_schemas import layout

HEADER_BYTES: Final = 65_536
"""Bytes that are read of a video file at least, where it has so many: its header is found from both ends."""

FRAME_HEADER_BYTES: Final = 20
"""Bytes of a header for each frame, and of keyframes that are looked at."""

SIDECAR_BYTES: Final = 35_000
"""Bytes of the four sidecars of a dataset with few frames."""

FRAME_SIDECAR_BYTES: Final = 10
"""Bytes of the sidecars for each frame of a camera."""

DATASET_REQUESTS, SHARD_REQUESTS, DATA_REQUESTS, VIDEO_REQUESTS = 24, 6, 8, 4
"""Requests to a store for each dataset, file of meta/episodes, data file and video file: listings, footers, rows, headers."""

DATASET_SECONDS, VIDEO_SECONDS, FRAME_SECONDS, MEGABYTE_SECONDS, REQUEST_SECONDS = 0.1, 0.03, 7e-5, 0.02, 0.02
"""Seconds of one core for each dataset, video file, row, megabyte read or written and request, by which datasets are dealt to
ranks. A measurement scales them to this machine and store."""


@dataclass(frozen=True, slots=True)
class PlannedDataset:
    """One dataset of a plan. Numbers of a refused dataset are zero."""

    destination: str
    source: str
    options: BatchOptions
    version: str = ""
    """LeRobot's `codebase_version`."""
    episodes: int = 0
    frames: int = 0
    cameras: int = 0
    """Cameras that are stored as video."""
    files: int = 0
    data_files: int = 0
    video_files: int = 0
    read_bytes: int = 0
    """About so many bytes will be read of the source."""
    write_bytes: int = 0
    """About so many bytes will be written or sent."""
    requests: int = 0
    """About so many requests will go to the store of the source; none where it is on this machine."""
    cost_seconds: float = 0.0
    """Seconds of one core as the figures above give them, before they are scaled by a measurement."""
    identity: str = ""
    """Digest of the identities of the source's files."""
    refusal: Problem | None = None
    """Why the dataset will be refused; None where it will be prepared."""


def survey_dataset(row: ManifestRow, out: Root, is_ours: bool) -> PlannedDataset:
    """Return what is in a dataset, or why it will be refused.

    Args:
        row: The dataset.
        out: The folder of the results.
        is_ours: Whether a run of this batch has written the destination, so that it may be replaced.
    """
    try:
        return _surveyed(row, out, is_ours)
    except EpiseekError as error:
        return PlannedDataset(row.destination, row.source, row.options, refusal=Problem.of(error))


def source_identity(root: Root, dataset: Dataset) -> str:
    """Return a digest of the names and identities of a dataset's own files; another digest means that something changed.

    The sidecars and hidden folders do not count, nor does a card on the Hub, where only a publication reads it.
    """
    return _digest(root.files(), dataset)


def _surveyed(row: ManifestRow, out: Root, is_ours: bool) -> PlannedDataset:
    options = row.options
    if options.publish:
        # refuses what is no branch of a repository
        working_directory(row.source)
    dataset = open_dataset(row.source)
    units = plan_index(dataset, dataset.root, keyframes=options.keyframes)
    rewriting = plan_rewrite(dataset, max_episodes_per_file=options.max_episodes_per_file)
    if not options.publish and not is_ours:
        require_free(Root(out.join(row.destination)))
    listing = dataset.root.files()
    frames = int(dataset.episodes.length.sum())
    data_bytes = sum(unit.source_bytes for unit in rewriting.units)
    meta_bytes = sum(_size(listing, path) for path in listing if _is_metadata(path))
    video_sizes = [_size(listing, unit.path) for unit in units]
    samples = [int(unit.episodes.length.sum()) for unit in units]
    headers = sum(
        min(size, HEADER_BYTES + FRAME_HEADER_BYTES * count) for size, count in zip(video_sizes, samples, strict=True)
    )
    copied = 0 if options.videos in ("none", "hardlink") else sum(video_sizes)
    sidecars = SIDECAR_BYTES + FRAME_SIDECAR_BYTES * sum(samples) if units else 0
    read_bytes = meta_bytes + 2 * data_bytes + headers + copied
    write_bytes = data_bytes + meta_bytes + sidecars + copied
    requests = 0
    if not dataset.root.is_local:
        shards = len(dataset.episodes.shards)
        requests = DATASET_REQUESTS + SHARD_REQUESTS * shards
        requests += DATA_REQUESTS * len(rewriting.units) + VIDEO_REQUESTS * len(units)
    seconds = DATASET_SECONDS + VIDEO_SECONDS * len(units) + FRAME_SECONDS * frames
    seconds += MEGABYTE_SECONDS * (read_bytes + write_bytes) / 1e6 + REQUEST_SECONDS * requests
    return PlannedDataset(
        row.destination,
        row.source,
        options,
        version=dataset.info.codebase_version,
        episodes=len(dataset.episodes),
        frames=frames,
        cameras=len(dataset.info.video_keys),
        files=len(listing),
        data_files=len(rewriting.units),
        video_files=len(units),
        read_bytes=read_bytes,
        write_bytes=write_bytes,
        requests=requests,
        cost_seconds=round(seconds, 3),
        identity=_digest(listing, dataset),
    )


def _digest(listing: Mapping[str, FileIdentity | None], dataset: Dataset) -> str:
    own, _ = own_files(listing, listing, dataset.info)
    is_published = dataset.root.kind.has_history
    lines = []
    for path in sorted(own):
        if path.startswith((f"{layout.BYTE_INDEX_DIR}/", f"{layout.BYTE_INDEX_PARTIAL_DIR}/")):
            continue
        if is_published and path in (layout.CARD_PATH, ".gitattributes"):
            continue
        found = listing[path]
        lines.append([path, None if found is None else [found.size, found.store_id, found.version]])
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def _size(listing: Mapping[str, FileIdentity | None], path: str) -> int:
    found = listing.get(path)
    return 0 if found is None else found.size


def _is_metadata(path: str) -> bool:
    return path.startswith(f"{layout.META_DIR}/") and not path.startswith(f"{layout.BYTE_INDEX_DIR}/")

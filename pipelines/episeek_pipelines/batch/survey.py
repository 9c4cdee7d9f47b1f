"""Survey one dataset of a batch: find its contents, the cost of its preparation, and any reason to refuse it.

The dataset is opened and its preparation is planned in the same way as in `prepare`, so the survey refuses the same datasets.
"""

import hashlib
import json
from dataclasses import dataclass

from episeek.errors import EpiseekError
from episeek_pipelines.batch.destination import require_free
from episeek_pipelines.batch.errors import Problem
from episeek_pipelines.batch.manifest import ManifestRow
from episeek_pipelines.batch.options import BatchOptions
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.preparation_plan import estimate
from episeek_pipelines.publish.prepared import working_directory
from episeek_schemas import layout

DATASET_SECONDS, VIDEO_SECONDS, FRAME_SECONDS, MEGABYTE_SECONDS, REQUEST_SECONDS = 0.1, 0.03, 7e-5, 0.02, 0.02
"""Estimated seconds of one core for each dataset, video file, frame, megabyte read or written, and request. Datasets are divided
among ranks by their estimated seconds. A measurement scales the estimate to this machine and store."""


@dataclass(frozen=True, slots=True)
class PlannedDataset:
    """One dataset of a plan, with the results of its survey. All numbers are 0 for a dataset that will be refused."""

    destination: str
    """Path of the result below the folder of the batch's results."""
    source: str
    """Path or URL of the dataset that is prepared."""
    options: BatchOptions
    version: str = ""
    """LeRobot's `codebase_version` of the source."""
    episodes: int = 0
    frames: int = 0
    cameras: int = 0
    """Number of cameras that are stored as video."""
    files: int = 0
    data_files: int = 0
    video_files: int = 0
    read_bytes: int = 0
    """Estimated number of bytes that will be read from the source."""
    write_bytes: int = 0
    """Estimated number of bytes that will be written or sent."""
    requests: int = 0
    """Estimated number of requests to the store of the source; 0 if the source is on this machine."""
    cost_seconds: float = 0.0
    """Estimated seconds of one core, before a measurement scales them."""
    identity: str = ""
    """Digest of the identities of the source's files, as `source_identity` returns it."""
    refusal: Problem | None = None
    """The error because of which the dataset will be refused; None if it will be prepared."""


def survey_dataset(row: ManifestRow, out: Root, is_ours: bool) -> PlannedDataset:
    """Return the contents and the cost of a dataset, or the error because of which it will be refused.

    Args:
        row: The entry of the manifest for the dataset.
        out: The folder of the results.
        is_ours: Whether a run of this batch has written the destination, so that the files there may be replaced.
    """
    try:
        return _surveyed(row, out, is_ours)
    except EpiseekError as error:
        return PlannedDataset(row.destination, row.source, row.options, refusal=Problem.of(error))


def source_identity(source: str) -> str:
    """Return a digest in hex of the paths and identities of a dataset's files, from one listing. It changes if a file changes.

    Hidden files and folders, the sidecars (the video index) and, on the Hub, the dataset card are left out, because they do not
    influence the preparation.
    """
    root = Root(source).pinned()
    lines = []
    for path, found in root.files().items():
        is_hidden = any(part.startswith(".") for part in path.split("/"))
        is_sidecar = path.startswith((f"{layout.BYTE_INDEX_DIR}/", f"{layout.BYTE_INDEX_PARTIAL_DIR}/"))
        if not (is_hidden or is_sidecar or (root.kind.has_history and path == layout.CARD_PATH)):
            lines.append([path, None if found is None else [found.size, found.store_id, found.version]])
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def _surveyed(row: ManifestRow, out: Root, is_ours: bool) -> PlannedDataset:
    options = row.options
    if options.publish:
        # This call refuses a source that is not a branch of a dataset repository.
        working_directory(row.source)
    dataset = open_dataset(row.source, skipped=options.skip_episodes)
    plan = estimate(
        dataset,
        row.destination,
        "new",
        max_episodes_per_file=options.max_episodes_per_file,
        videos=options.videos,
        keyframes=options.keyframes,
    )
    if not options.publish and not is_ours:
        require_free(Root(out.join(row.destination)))
    seconds = DATASET_SECONDS + VIDEO_SECONDS * plan.video_files + FRAME_SECONDS * plan.frames
    seconds += MEGABYTE_SECONDS * (plan.read_bytes + plan.write_bytes) / 1e6 + REQUEST_SECONDS * plan.requests
    return PlannedDataset(
        row.destination,
        row.source,
        options,
        version=plan.version,
        episodes=plan.episodes,
        frames=plan.frames,
        cameras=plan.cameras,
        files=plan.files,
        data_files=plan.data_files,
        video_files=plan.video_files,
        read_bytes=plan.read_bytes,
        write_bytes=plan.write_bytes,
        requests=plan.requests,
        cost_seconds=round(seconds, 3),
        identity=source_identity(row.source),
    )

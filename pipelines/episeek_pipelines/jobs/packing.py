"""Pack the videos of a dataset while it is prepared, in two graphs with a plan between them.

The first graph reads the headers of all files, from which the plan is made. The second graph writes the packed files. Both write
receipts to the work directory, so that a run continues where an earlier one was stopped.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from episeek_pipelines.dataset.copying import require_room
from episeek_pipelines.dataset.declared_videos import DeclaredVideo
from episeek_pipelines.dataset.metadata import Dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import DatasetStaging
from episeek_pipelines.jobs.graph import Execution, Graph
from episeek_pipelines.jobs.progress import PACKING, READING_HEADERS
from episeek_pipelines.jobs.receipts import read_receipt, write_receipt
from episeek_pipelines.jobs.running import added_up, run_graph
from episeek_pipelines.pack.plan import (
    PACK_VERSION,
    PackedFile,
    PackPlan,
    plan_packing,
    with_locations,
)
from episeek_pipelines.pack.source_video import SourceVideo, from_document, read_source_video, to_document
from episeek_pipelines.pack.write import WrittenVideo, write_packed_file
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice


@dataclass(frozen=True, slots=True)
class PackedVideo:
    """The result of writing one packed file."""

    file: WrittenVideo
    is_reused: bool
    """Whether an earlier run, which was stopped, had finished the file."""


@dataclass(frozen=True, slots=True)
class Packing:
    """The result of packing the videos of a dataset."""

    dataset: Dataset
    """The dataset with the new locations of its videos."""
    plan: PackPlan
    written: tuple[PackedVideo, ...]
    stage_seconds: dict[str, float]


def pack_videos(
    dataset: Dataset,
    declared: Sequence[DeclaredVideo],
    staging: DatasetStaging,
    *,
    limit_bytes: int,
    keyframes: KeyframeChoice,
    execution: Execution,
) -> Packing:
    """Write the packed videos of a dataset into the staging, where the destination is built.

    Args:
        dataset: The source.
        declared: The video files of the source.
        staging: The staging to which the packed files are written.
        limit_bytes: Size in bytes that a packed file has to stay below, unless it consists of one piece (samples that cannot be
            separated without encoding).
        keyframes: As for `prepare`.
        execution: Scheduler, workers, progress.

    Raises:
        MetadataError: An episode has two videos of one camera.
        DestinationError: The destination has too little free space.
        WorkFailedError: Files cannot be packed; the error lists all of them.
    """
    videos, is_whole = dataset.root.physical, dataset.is_file_an_episode
    graph = Graph()
    nodes = graph.map(
        _read_one,
        [(f"pack/source-{number:07d}.json", video) for number, video in enumerate(declared)],
        videos,
        staging.work,
        dataset.info.fps,
        keyframes,
        is_whole,
        label=lambda item: item[1].path,
        phase=READING_HEADERS,
        in_flight=videos.in_flight,
    )
    found: list[SourceVideo]
    found, first_seconds = run_graph(graph, nodes, staging, execution)
    plan = plan_packing(dataset, found, limit_bytes=limit_bytes)
    require_room(videos, staging.root, {file.path: file.media_bytes for file in plan.files}, way="copy")
    graph = Graph()
    nodes = graph.map(
        _write_one,
        [(f"pack/file-{number:07d}.json", file) for number, file in enumerate(plan.files)],
        videos,
        staging.root,
        staging.work,
        keyframes,
        label=lambda item: item[1].path,
        phase=PACKING,
        byte_count=lambda item: item[1].media_bytes,
    )
    written: list[PackedVideo]
    written, seconds = run_graph(graph, nodes, staging, execution)
    return Packing(with_locations(dataset, plan.locations), plan, tuple(written), added_up(first_seconds, seconds))


def _read_one(
    item: tuple[str, DeclaredVideo], videos: Root, work: Root, fps: float, keyframes: KeyframeChoice, is_whole: bool
) -> SourceVideo:
    """Read the header of one source file and record the result in a receipt, or return the result from an existing receipt."""
    receipt, video = item
    declared = video.episodes.digest(camera_index=video.camera_index, fps=fps)
    identity = _identity("source", f"{video.path} {declared} {keyframes} {is_whole} {videos.version_of(video.path)}")
    stored = read_receipt(work, receipt, identity)
    if stored is not None:
        return from_document(stored)
    found = read_source_video(videos, video, fps=fps, keyframes=keyframes, is_whole=is_whole)
    write_receipt(work, receipt, identity, to_document(found))
    return found


def _write_one(
    item: tuple[str, PackedFile], videos: Root, destination: Root, work: Root, keyframes: KeyframeChoice
) -> PackedVideo:
    """Write one packed file and record the result in a receipt, or return the result from an existing receipt."""
    receipt, file = item
    # the plan of a file contains the versions of its source files
    identity = _identity("file", f"{file!r} {keyframes}")
    stored: dict[str, Any] | None = read_receipt(work, receipt, identity)
    if stored is not None:
        written = WrittenVideo(**stored)
        if destination.exists(written.path) and destination.size(written.path) == written.size_bytes:
            return PackedVideo(written, is_reused=True)
    written = write_packed_file(videos, destination, file, keyframes=keyframes)
    write_receipt(
        work, receipt, identity, {"path": written.path, "size_bytes": written.size_bytes, "samples": written.samples}
    )
    return PackedVideo(written, is_reused=False)


def _identity(kind: str, text: str) -> str:
    return hashlib.sha256(f"pack {PACK_VERSION} {kind} {text}".encode()).hexdigest()

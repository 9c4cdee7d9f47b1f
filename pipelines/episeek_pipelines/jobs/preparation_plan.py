"""Plan a run of `prepare`: find out what the run would read and write, or why `prepare` would refuse to run."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from episeek_pipelines.dataset.contents import LeftOut, own_files
from episeek_pipelines.dataset.metadata import Dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import has_unfinished_run, require_destination
from episeek_pipelines.dataset.v2.strays import undeclared_files
from episeek_pipelines.index.units import plan_index
from episeek_pipelines.jobs.reruns import finished_run
from episeek_pipelines.jobs.video_choice import Videos
from episeek_pipelines.rewrite.plan import plan_rewrite
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_schemas import layout

HEADER_BYTES: Final = 65_536
"""Estimate of the bytes that are read from a video file with few frames, whose header may be at either end."""

FRAME_HEADER_BYTES: Final = 20
"""Estimate of the further bytes that are read for each frame of a video file: its entries in the header, and keyframes."""

SIDECAR_BYTES: Final = 35_000
"""Estimate of the size of the four sidecars of a dataset with few frames, in bytes."""

FRAME_SIDECAR_BYTES: Final = 10
"""Estimate of the further bytes in the sidecars for each frame of a camera."""

DATASET_REQUESTS, SHARD_REQUESTS, DATA_REQUESTS, VIDEO_REQUESTS = 24, 6, 8, 4
"""Estimates of the requests to a store for each dataset, each file of meta/episodes, each data file and each video file."""

State = Literal["new", "unfinished", "current", "replaced"]
"""The state of a destination.

A "new" destination is empty or does not exist. An "unfinished" one contains the work of a stopped run, which is continued. A
"current" one already contains the result. A "replaced" one contains another result, which the run replaces.
"""


@dataclass(frozen=True, slots=True)
class PreparationPlan:
    """The files, bytes and requests of a preparation. Bytes and requests are estimates. Files, episodes and frames are exact."""

    source: str
    destination: str
    state: State
    version: str
    """LeRobot's `codebase_version`."""
    episodes: int
    frames: int
    cameras: int
    """Number of cameras that are stored as video."""
    files: int
    """Number of files of any kind in the source."""
    data_files: int
    """Number of data files of the source."""
    written_data_files: int
    video_files: int
    """Number of video files of the source."""
    video_bytes: int
    videos: Videos
    """How the videos get to the destination."""
    copied_files: int
    """Number of files other than data and metadata, such as videos, that are copied, cloned or linked to the destination."""
    left_out: tuple[LeftOut, ...]
    """Folders of the source that are not part of the dataset."""
    read_bytes: int
    """Estimate of the bytes that will be read from the source."""
    write_bytes: int
    """Estimate of the bytes that will be written."""
    requests: int
    """Estimate of the requests to the store of the source; 0 if it is on this machine."""


def plan_of(
    dataset: Dataset,
    destination: str,
    options: dict[str, Any],
    *,
    max_episodes_per_file: int | None,
    videos: Videos,
    keyframes: KeyframeChoice,
    force: bool = False,
) -> PreparationPlan:
    """Return the plan of a preparation. Listings, metadata and footers are read, and nothing is written.

    Args:
        dataset: The source.
        destination: Root of the result.
        options: The command, its source and all options that decide the result.
        max_episodes_per_file: As for `prepare`.
        videos: As for `prepare`.
        keyframes: As for `prepare`.
        force: As for `prepare`.

    Raises:
        EpiseekError: `prepare` would refuse to run, and would raise this error.
    """
    target = Root(destination)
    state: State = "replaced" if force and target.is_local and target.exists(layout.SOURCE_RECORD_PATH) else "new"
    if not force and (finished := finished_run(dataset.root.physical, target, options)) is not None:
        finished.require_current()
        state = "current"
    else:
        require_destination(dataset.root.physical, target, options, force=force)
        state = "unfinished" if has_unfinished_run(target) else state
    return estimate(
        dataset,
        destination,
        state,
        max_episodes_per_file=max_episodes_per_file,
        videos=videos,
        keyframes=keyframes,
    )


def estimate(
    dataset: Dataset,
    destination: str,
    state: State,
    *,
    max_episodes_per_file: int | None,
    videos: Videos,
    keyframes: KeyframeChoice,
) -> PreparationPlan:
    """Return the plan of a preparation whose destination has the state `state`. Arguments and errors are those of `plan_of`."""
    dataset.require_sound_documents()
    units = plan_index(dataset, dataset.root.physical, keyframes=keyframes)
    rewriting = plan_rewrite(dataset, max_episodes_per_file=max_episodes_per_file)
    listing = dataset.root.files()
    sizes = {path: 0 if identity is None else identity.size for path, identity in listing.items()}
    others = [path for path in listing if not _is_metadata(path) and not _is_data(path) and not _is_sidecar(path)]
    own, left_out = own_files(others, listing, dataset.info)
    indexed = {unit.path for unit in units}
    undeclared = {*undeclared_files(dataset)}
    own = [path for path in own if path not in undeclared]
    copied = [] if videos == "none" else [path for path in own if videos != "pack" or path not in indexed]
    data_bytes = sum(unit.source_bytes for unit in rewriting.units)
    meta_bytes = sum(size for path, size in sizes.items() if _is_metadata(path))
    video_sizes = [sizes.get(unit.path, 0) for unit in units]
    samples = [int(unit.episodes.length.sum()) for unit in units]
    headers = sum(
        min(size, HEADER_BYTES + FRAME_HEADER_BYTES * count) for size, count in zip(video_sizes, samples, strict=True)
    )
    copied_bytes = 0 if videos == "hardlink" else sum(sizes[path] for path in copied)
    copied_bytes += sum(video_sizes) if videos == "pack" else 0
    sidecars = SIDECAR_BYTES + FRAME_SIDECAR_BYTES * sum(samples) if units else 0
    requests = 0
    if not dataset.root.is_local:
        requests = DATASET_REQUESTS + SHARD_REQUESTS * len(dataset.episodes.shards)
        requests += DATA_REQUESTS * len(rewriting.units) + VIDEO_REQUESTS * len(units)
    return PreparationPlan(
        source=dataset.root.url,
        destination=destination,
        state=state,
        version=dataset.found_version,
        episodes=len(dataset.episodes),
        frames=int(dataset.episodes.length.sum()),
        cameras=len(dataset.info.video_keys),
        files=len(listing),
        data_files=sum(len(unit.paths) for unit in rewriting.units),
        written_data_files=sum(len(unit.outputs) for unit in rewriting.units),
        video_files=len(units),
        video_bytes=sum(video_sizes),
        videos=videos,
        copied_files=len(copied),
        left_out=left_out if videos != "none" else (),
        # the verification reads the rows of the source and of the result
        read_bytes=meta_bytes + 2 * data_bytes + headers + copied_bytes,
        write_bytes=data_bytes + meta_bytes + sidecars + copied_bytes,
        requests=requests,
    )


def _is_sidecar(path: str) -> bool:
    return path.startswith((f"{layout.BYTE_INDEX_DIR}/", f"{layout.BYTE_INDEX_PARTIAL_DIR}/"))


def _is_metadata(path: str) -> bool:
    return path.startswith(f"{layout.META_DIR}/") and not _is_sidecar(path)


def _is_data(path: str) -> bool:
    return path.startswith(f"{layout.DATA_DIR}/") and path.endswith(".parquet")

"""Summarize a dataset in numbers, from its metadata, the footers of its data files and its sidecars (the index of its videos)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from episeek import ByteIndex
from episeek import open as open_index
from episeek.errors import MissingSidecarError
from episeek_pipelines.dataset.metadata import Dataset, open_dataset
from episeek_schemas import layout

MAX_SAMPLED_FRAMES = 200
MAX_FOOTERS = 1000


@dataclass(frozen=True, slots=True)
class DataSummary:
    """Totals of the data files. `rows`, `row_groups` and `episodes` count only the files whose footers were read."""

    files: int
    file_bytes: int
    footers_read: int
    rows: int
    row_groups: int
    episodes: int
    """Number of episodes that the metadata places in the files whose footers were read."""


@dataclass(frozen=True, slots=True)
class CameraSummary:
    """Totals and means of one camera, from the sidecars."""

    camera_key: str
    files: int
    file_bytes: int
    codecs: tuple[str, ...]
    sizes: tuple[str, ...]
    """Coded picture sizes, `width x height`."""
    fps: tuple[float, ...]
    frames: int
    samples: int
    keyframes: int
    span_bytes: int
    """Total size of the samples of all episodes, in bytes."""
    random_frame_bytes: float
    """Mean number of bytes to fetch for one frame, over up to `MAX_SAMPLED_FRAMES` frames."""
    random_frame_samples: float
    """Mean number of samples to decode for one frame, over the same frames as `random_frame_bytes`."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A summary of a dataset."""

    root: str
    codebase_version: str
    fps: float
    episodes: int
    frames: int
    shortest_episode: int
    median_episode: float
    longest_episode: int
    cameras: tuple[str, ...]
    """Cameras stored as video."""
    image_keys: tuple[str, ...]
    """Cameras whose pictures are stored in the data files."""
    data: DataSummary
    build_id: str | None
    """The id of the build of the sidecars; None if the dataset has no sidecars."""
    sidecar_bytes: int
    indexed_episodes: int | None
    """Number of episodes in the sidecars; None if the dataset has no sidecars."""
    indexed_frames: int | None
    camera_facts: tuple[CameraSummary, ...]


def inspect_dataset(source: str, *, data_root: str | None = None) -> Inspection:
    """Return a summary of a dataset. Pictures are not read.

    Raises:
        EpiseekError: The source is not a dataset, or its sidecars cannot be read.
    """
    dataset = open_dataset(source)
    lengths = dataset.episodes.length
    index: ByteIndex | None
    try:
        # opening the index reads no video
        index = open_index(dataset.root.url, data_root or dataset.root.url, on_stale="ignore")
    except MissingSidecarError:
        index = None
    return Inspection(
        root=dataset.root.url,
        codebase_version=dataset.found_version,
        fps=dataset.info.fps,
        episodes=len(dataset.episodes),
        frames=int(lengths.sum()),
        shortest_episode=int(lengths.min()) if len(lengths) else 0,
        median_episode=float(np.median(lengths)) if len(lengths) else 0.0,
        longest_episode=int(lengths.max(initial=0)),
        cameras=dataset.info.video_keys,
        image_keys=dataset.info.image_keys,
        data=_summarize_data(dataset),
        build_id=index.build_id if index is not None else None,
        sidecar_bytes=_sidecar_bytes(dataset) if index is not None else 0,
        indexed_episodes=None if index is None else index.episode_count,
        indexed_frames=None if index is None else index.frame_count,
        camera_facts=tuple(_summarize_camera(index, key) for key in index.cameras) if index is not None else (),
    )


def _summarize_data(dataset: Dataset) -> DataSummary:
    listed = dataset.root.files(layout.DATA_DIR)
    paths = [path for path in listed if path.endswith(".parquet")]
    chosen = set(paths[:MAX_FOOTERS])
    rows = row_groups = 0
    for path in sorted(chosen):
        with dataset.root.open_parquet(path) as file:
            rows += file.metadata.num_rows
            row_groups += file.metadata.num_row_groups
    episodes = sum(len(rows) for path, rows in dataset.data_rows().items() if path in chosen)
    sizes = sum(identity.size if (identity := listed[path]) is not None else dataset.root.size(path) for path in paths)
    return DataSummary(len(paths), sizes, len(chosen), rows, row_groups, episodes)


def _sidecar_bytes(dataset: Dataset) -> int:
    return sum(dataset.root.size(path) for path in dataset.root.list(layout.BYTE_INDEX_DIR, suffix=".parquet"))


def _summarize_camera(index: ByteIndex, camera_key: str) -> CameraSummary:
    camera = index.cameras.index(camera_key)
    table = index.table("episodes")

    def column(name: str) -> Any:
        return table.columns[name].slice(0, table.row_count)[camera :: len(index.cameras)]

    files = [index.file(int(file_id)) for file_id in np.unique(column("file_id"))]
    frame_counts = column("frame_count").astype(np.int64)
    bytes_read, samples_read = _random_frames(index, camera_key, frame_counts)
    return CameraSummary(
        camera_key=camera_key,
        files=len(files),
        file_bytes=sum(file.file_size for file in files),
        codecs=tuple(sorted({file.codec for file in files})),
        sizes=tuple(sorted({f"{file.width}x{file.height}" for file in files})),
        fps=tuple(sorted({round(file.avg_fps, 3) for file in files})),
        frames=int(frame_counts.sum()),
        samples=int(column("sample_count").astype(np.int64).sum()),
        keyframes=int(column("keyframe_count").astype(np.int64).sum()),
        span_bytes=int(column("mdat_length").sum()),
        random_frame_bytes=bytes_read,
        random_frame_samples=samples_read,
    )


def _random_frames(index: ByteIndex, camera_key: str, frame_counts: Any) -> tuple[float, float]:
    """Return the mean number of bytes to fetch and of samples to decode for one frame, measured with frames from all episodes."""
    total = int(frame_counts.sum())
    if not total:
        return 0.0, 0.0
    ends = np.cumsum(frame_counts)
    chosen = np.linspace(0, total - 1, min(MAX_SAMPLED_FRAMES, total)).astype(np.int64)
    clips = []
    for position in chosen:
        episode = int(np.searchsorted(ends, position, side="right"))
        frame = int(position - (ends[episode] - frame_counts[episode]))
        clips.append(index.clip(episode, camera_key, frame, frame + 1))
    fetched = [clip.byte_range[1] - clip.byte_range[0] for clip in clips]
    return float(np.mean(fetched)), float(np.mean([len(clip.samples.size) for clip in clips]))

"""Packing without Dask and without a job, and an oracle for its files: the packets that PyAV reads, and the numbers in pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import av
import numpy as np

from episeek_pipelines.dataset.declared_videos import DeclaredVideo, require_videos
from episeek_pipelines.dataset.metadata import CameraColumns, Dataset, EpisodeTable, open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.pack.plan import PackPlan, plan_packing
from episeek_pipelines.pack.source_video import SourceVideo, read_source_video
from episeek_pipelines.pack.write import write_packed_file
from episeek_pipelines.video.episode_frames import DeclaredEpisodes
from episeek_schemas.lerobot import DatasetInfo
from tests.support import bar_code

CAMERA = "top"
NO_LIMIT = 1 << 40


@dataclass(frozen=True)
class Packed:
    plan: PackPlan
    folder: Path


def pack_dataset(root: Path, folder: Path, *, limit_bytes: int = NO_LIMIT) -> tuple[Dataset, Packed]:
    dataset = open_dataset(str(root))
    sources = [
        read_source_video(dataset.root, video, fps=dataset.info.fps) for video in require_videos(dataset, dataset.root)
    ]
    return dataset, _write(dataset, sources, folder, limit_bytes)


def pack_files(
    folder: Path,
    files: Sequence[bytes],
    lengths: Sequence[Sequence[int]],
    *,
    fps: float = 30,
    firsts: Sequence[Sequence[int]] = (),
    stops: Sequence[Sequence[int]] = (),
    limit_bytes: int = NO_LIMIT,
) -> Packed:
    """Pack files of one camera; each has episodes of some lengths, one after the other or at frames `[first, stop)`."""
    declared, number = [], 0
    for place, (data, counts) in enumerate(zip(files, lengths, strict=True)):
        path = f"{place:03d}.mp4"
        (folder / "source").mkdir(parents=True, exist_ok=True)
        (folder / "source" / path).write_bytes(data)
        first = np.array(firsts[place] if firsts else np.cumsum([0, *counts[:-1]]))
        index = np.arange(number, number + len(counts))
        stop = np.array(stops[place]) if stops else first + counts
        episodes = DeclaredEpisodes(index, np.array(counts), first / fps, stop / fps)
        declared.append(DeclaredVideo(path, 0, episodes))
        number += len(counts)
    root = Root(str(folder / "source"))
    sources = [read_source_video(root, video, fps=fps) for video in declared]
    return _write(
        dataset_of(root, [count for counts in lengths for count in counts], fps), sources, folder, limit_bytes
    )


def dataset_of(root: Root, lengths: Sequence[int], fps: float = 30) -> Dataset:
    """A dataset of one camera of which packing needs no more than the episodes."""
    length = np.array(lengths)
    nothing = np.zeros(len(length), np.int64)
    camera = CameraColumns(nothing, nothing, np.zeros(len(length)), np.zeros(len(length)))
    stop = np.cumsum(length)
    table = EpisodeTable(
        np.arange(len(length)), length, nothing, nothing, stop - length, stop, {CAMERA: camera}, (("", len(length)),)
    )
    info = DatasetInfo("v3.0", fps, len(length), int(stop[-1]), 1000, "", "{video_key}", (CAMERA,))
    return Dataset(root, info, table)


def _write(dataset: Dataset, sources: Sequence[SourceVideo], folder: Path, limit_bytes: int) -> Packed:
    plan = plan_packing(dataset, sources, limit_bytes=limit_bytes)
    for file in plan.files:
        write_packed_file(dataset.root, Root(str(folder / "out")), file)
    return Packed(plan, folder / "out")


def places(packed: Packed, camera: str = CAMERA) -> list[tuple[Path, float, float]]:
    """The packed file and the seconds of each episode."""
    assert packed.plan.locations is not None
    columns = packed.plan.locations.cameras[camera]
    template = packed.plan.locations.video_path
    return [
        (packed.folder / template.format(video_key=camera, chunk_index=chunk, file_index=file), start, stop)
        for chunk, file, start, stop in zip(
            columns.chunk_index, columns.file_index, columns.from_timestamp, columns.to_timestamp, strict=True
        )
    ]


def packets(path: Path) -> list[Any]:
    """The packets of a file in decode order, as PyAV reads them: times from the first frame on, flags and bytes."""
    with av.open(str(path)) as container:
        found = [packet for packet in container.demux(video=0) if packet.size]
        seconds = [float(cast(Any, packet).pts * packet.time_base) for packet in found]
        return [
            (second - min(seconds), packet.is_keyframe, bytes(packet))
            for second, packet in zip(seconds, found, strict=True)
        ]


def pictures(path: Path) -> list[tuple[float, np.ndarray]]:
    """Seconds and picture of every frame, decoded from the start of the file."""
    with av.open(str(path)) as container:
        return [(float(cast(Any, frame).time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def numbers(found: Sequence[tuple[float, np.ndarray]]) -> list[int]:
    """The numbers that are burned into pictures."""
    return bar_code.read(np.stack([picture for _, picture in found]).transpose(0, 3, 1, 2))

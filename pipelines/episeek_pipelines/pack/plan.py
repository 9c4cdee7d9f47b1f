"""Plan which pieces of which source files go into which packed file, and the new location of each episode.

The pieces of a camera follow each other in the order of their episodes. A new file starts where the next piece would make the
file as large as the limit (LeRobot's rule). It also starts where the next piece cannot be in the same file, because its pictures
have another format, its clock differs, or decoding it depends on its position at the start of a file.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from episeek.errors import MetadataError
from episeek_pipelines.dataset.metadata import CameraColumns, Dataset
from episeek_pipelines.dataset.video_locations import VideoLocations
from episeek_pipelines.pack.clock import grid_ticks
from episeek_pipelines.pack.source_video import Piece, SourceVideo
from episeek_pipelines.video.decoding_starts.in_force import UnitKey
from episeek_schemas import layout

PACK_VERSION: Final = 1
"""Version of the written files. Increase it when they change: finished work of another version is not reused."""

BYTES_PER_MB: Final = 1 << 20
"""LeRobot's megabyte (`get_file_size_in_mb`)."""


@dataclass(frozen=True, slots=True)
class Part:
    """The samples `[start, stop)` of one source file, in decode order, which become a part of a packed file."""

    path: str
    version: str
    header_digest: str
    start: int
    stop: int
    begin_ticks: int
    """The time of the part's first frame in the packed file, in ticks of the packed file."""


@dataclass(frozen=True, slots=True)
class PackedFile:
    """The plan of one packed file: its path, its clock and its parts."""

    path: str
    camera_key: str
    timescale: int
    """Ticks per second."""
    frame_ticks: int
    """Number of ticks of one frame if all frames follow the dataset's rate; 0 if the parts keep the ticks of their source files."""
    end_ticks: int
    """The end of the last frame, in ticks."""
    media_bytes: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class PackPlan:
    """The packed files, sorted by camera and number, and the locations of all episodes in them."""

    files: tuple[PackedFile, ...]
    locations: VideoLocations | None
    """The new locations of the videos; None for a dataset without cameras."""
    source_files: int
    """Number of video files of the source that contain episodes."""

    @property
    def paths(self) -> frozenset[str]:
        """The paths of the packed files."""
        return frozenset(file.path for file in self.files)


@dataclass(slots=True)
class _OpenFile:
    """A packed file that is being filled."""

    members: list[tuple[SourceVideo, Piece]] = field(default_factory=list)
    size_bytes: int = 0
    left: frozenset[UnitKey] = frozenset()
    brought: frozenset[UnitKey] = frozenset()

    def takes(self, video: SourceVideo, piece: Piece, limit_bytes: int) -> bool:
        """Return whether a piece may follow the pieces that are already in the file."""
        if not self.members:
            return True
        last_video, last = self.members[-1]
        if self.size_bytes + piece.size_bytes >= limit_bytes:
            return False
        if piece.appearance != last.appearance or _clock(video, piece) != _clock(last_video, last):
            return False
        if video is last_video and last.stop == piece.start:
            return True
        # readers decode in any order, so the units of any sample may still be in force at any start
        return piece.is_reset and self.left | video.units.left <= self.brought & video.units.brought

    def add(self, video: SourceVideo, piece: Piece) -> None:
        """Add a piece to the end of the file."""
        is_first = not self.members
        self.members.append((video, piece))
        self.left |= video.units.left
        self.brought = video.units.brought if is_first else self.brought & video.units.brought
        self.size_bytes += piece.size_bytes


def size_limit(dataset: Dataset, size_mb: float | None) -> int:
    """Return the size limit of packed files in bytes.

    Args:
        dataset: The dataset, whose meta/info.json gives the default limit.
        size_mb: The limit in LeRobot's megabytes; None for the limit in meta/info.json.

    Raises:
        ValueError: `size_mb` is not greater than 0.
    """
    chosen = dataset.info.video_files_size_in_mb if size_mb is None else size_mb
    if not 0 < chosen < math.inf:
        raise ValueError(f"video_file_size_mb: found {chosen}; expected a number above 0")
    return int(chosen * BYTES_PER_MB)


def plan_packing(dataset: Dataset, videos: Iterable[SourceVideo], *, limit_bytes: int) -> PackPlan:
    """Plan the packed files of all cameras.

    Args:
        dataset: The source.
        videos: All video files that contain episodes.
        limit_bytes: Size in bytes that a packed file has to stay below, unless it has only one piece.

    Raises:
        MetadataError: An episode is in no file, or in two.
    """
    by_camera: dict[int, list[SourceVideo]] = {}
    count = 0
    for video in videos:
        by_camera.setdefault(video.camera_index, []).append(video)
        count += 1
    files: list[PackedFile] = []
    cameras: dict[str, CameraColumns] = {}
    for camera_index, camera_key in enumerate(dataset.info.video_keys):
        packed, cameras[camera_key] = _pack_camera(
            dataset, camera_key, by_camera.get(camera_index, []), limit_bytes=limit_bytes
        )
        files += packed
    locations = VideoLocations(layout.DEFAULT_VIDEO_PATH, cameras) if cameras else None
    return PackPlan(tuple(files), locations, count)


def with_locations(dataset: Dataset, locations: VideoLocations | None) -> Dataset:
    """Return the dataset with the given locations of its videos, or the same dataset if `locations` is None."""
    if locations is None:
        return dataset
    info = replace(dataset.info, video_path=locations.video_path)
    return replace(dataset, info=info, episodes=replace(dataset.episodes, cameras=dict(locations.cameras)))


def _pack_camera(
    dataset: Dataset, camera_key: str, videos: Sequence[SourceVideo], *, limit_bytes: int
) -> tuple[list[PackedFile], CameraColumns]:
    members = [(video, piece) for video in videos for piece in video.pieces]
    members.sort(key=lambda member: min(episode.episode_index for episode in member[1].episodes))
    length = len(dataset.episodes)
    chunk_index, file_index = np.full(length, -1, np.int64), np.zeros(length, np.int64)
    begin, end = np.zeros(length), np.zeros(length)
    files: list[PackedFile] = []
    for number, group in enumerate(_groups(members, limit_bytes)):
        chunk, place = divmod(number, dataset.info.chunks_size)
        path = layout.DEFAULT_VIDEO_PATH.format(video_key=camera_key, chunk_index=chunk, file_index=place)
        timescale, frame_ticks = _ticks(group, dataset.info.fps)
        parts: list[Part] = []
        time = 0
        for video, piece in group:
            for episode in piece.episodes:
                row = episode.episode_index
                if chunk_index[row] >= 0:
                    raise MetadataError(
                        video.path, f"episode {row}, which is in another file, too", "every episode in one file"
                    )
                first, stop = episode.begin_ticks, episode.end_ticks
                if frame_ticks:
                    first = episode.first_frame * frame_ticks
                    stop = first + episode.length * frame_ticks
                chunk_index[row], file_index[row] = chunk, place
                begin[row], end[row] = (time + first) / timescale, (time + stop) / timescale
            parts.append(Part(video.path, video.version, video.header_digest, piece.start, piece.stop, time))
            time += piece.sample_count * frame_ticks if frame_ticks else piece.duration_ticks
        size = sum(piece.size_bytes for _, piece in group)
        files.append(PackedFile(path, camera_key, timescale, frame_ticks, time, size, tuple(parts)))
    absent = np.flatnonzero(chunk_index < 0)
    if len(absent):
        where = dataset.root.join(layout.EPISODES_DIR)
        raise MetadataError(where, f"no video of {camera_key} for episode {absent[0]}", "a video for every episode")
    return files, CameraColumns(chunk_index, file_index, begin, end)


def _groups(
    members: Iterable[tuple[SourceVideo, Piece]], limit_bytes: int
) -> Iterator[list[tuple[SourceVideo, Piece]]]:
    """Yield, for each packed file of a camera, the list of its pieces."""
    current = _OpenFile()
    for video, piece in members:
        if not current.takes(video, piece, limit_bytes):
            yield current.members
            current = _OpenFile()
        current.add(video, piece)
    if current.members:
        yield current.members


def _clock(video: SourceVideo, piece: Piece) -> int:
    """Return the timescale that a piece has to keep; 0 for a piece whose frames follow the dataset's rate."""
    return 0 if piece.is_on_grid else video.timescale


def _ticks(group: Sequence[tuple[SourceVideo, Piece]], fps: float) -> tuple[int, int]:
    """Return the timescale of a packed file, and the number of its ticks from one frame to the next.

    The number is 0 if the frames do not follow the dataset's rate, so that the pieces keep the times of their source files.
    """
    first, piece = group[0]
    if not piece.is_on_grid:
        return first.timescale, 0
    return grid_ticks(fps, frozenset(video.timescale for video, _ in group))

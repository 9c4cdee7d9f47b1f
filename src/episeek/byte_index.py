"""The byte index of one dataset: the four sidecar tables, and what can be asked of them without reading a video's
header.

Opening maps the tables; it costs the same for ten rows and for ten million. Looking up an episode is arithmetic on its
row number.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek.clip import Clip
from episeek.clip_header import ClipSamples, TrackFacts
from episeek.errors import (
    CameraNotFoundError,
    EpisodeNotFoundError,
    FormatVersionError,
    FrameRangeError,
    MissingFileError,
    MissingSidecarError,
    MixedBuildError,
    SidecarLayoutError,
)
from episeek.mapped_table import Buffer, MappedTable, footer_metadata, open_buffer, open_table, read_footer, read_whole
from episeek.sources import ByteSource, LocalSource, open_source
from episeek.window import needed_samples
from episeek_schemas import layout, sidecars

_TABLES: tuple[tuple[str, str, pa.Schema], ...] = (
    ("files", layout.FILES_PATH, sidecars.FILES),
    ("episodes", layout.EPISODES_PATH, sidecars.EPISODES),
    ("keyframes", layout.KEYFRAMES_PATH, sidecars.KEYFRAMES),
    ("samples", layout.SAMPLES_PATH, sidecars.SAMPLES),
)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One MP4: a row of `files`. See `episeek_schemas.sidecars.FILES` for units."""

    file_id: int
    file_path: str
    file_size: int
    store_id: str
    moov_sha256: str
    moov_offset: int
    moov_length: int
    header_length: int
    faststart: bool
    codec: str
    width: int
    height: int
    timescale: int
    sample_count: int
    avg_fps: float
    sample_description: bytes

    def __repr__(self) -> str:
        return (
            f"FileRecord({self.file_id}, {self.file_path!r}, {self.file_size} bytes, {self.sample_count} samples of "
            f"{self.codec} {self.width}x{self.height} at {self.avg_fps:g} fps)"
        )


@dataclass(frozen=True, slots=True)
class EpisodeSpan:
    """Where one episode of one camera lies: a row of `episodes`."""

    global_episode_id: int
    episode_index: int
    camera_index: int
    camera_key: str
    file_id: int
    mdat_offset: int
    """Absolute offset of the first byte needed."""
    mdat_length: int
    """Bytes needed."""
    frame_count: int
    first_pts: float
    """Declared start, seconds in the file."""
    last_pts: float
    """Declared end, seconds in the file."""
    first_frame_tick: int
    sample_start: int
    sample_count: int
    keyframe_start: int
    keyframe_count: int
    lead_in_count: int


@dataclass(frozen=True, slots=True, eq=False)
class Keyframes:
    """The sync samples of one episode, by presentation time; arrays of shape [keyframe_count], views on the map."""

    pts: npt.NDArray[np.int64]  # ticks in the file
    byte_offset: npt.NDArray[np.int64]  # absolute
    sample_index: npt.NDArray[np.int32]  # decode position within the episode's samples
    frame_index: npt.NDArray[np.int32]  # presentation position within the episode; negative in the lead-in

    def __len__(self) -> int:
        return len(self.pts)


class ByteIndex:
    """The sidecars of one dataset, mapped. Made by `episeek.open`.

    Pickles as its URLs: a worker process opens the tables again.
    """

    def __init__(self, url: str, *, data_root: str | None, storage_options: dict[str, Any] | None) -> None:
        self._arguments = (url, data_root, storage_options)
        self.source: ByteSource = open_source(
            data_root if data_root is not None else url, storage_options=storage_options
        )
        """Where the MP4 files are read from."""
        sidecar_source = open_source(url, storage_options=storage_options)
        buffers = {name: _buffer(sidecar_source, path) for name, path, _ in _TABLES}
        where = {name: f"{sidecar_source.root}/{path}" for name, path, _ in _TABLES}
        metadata = {name: _check_version(buffers[name], where[name]) for name in buffers}
        self.build_id = _same_build(metadata, where)
        self._tables = {
            name: open_table(buffers[name], schema, name=name, where=where[name], unmapped=sidecars.UNMAPPED_COLUMNS)
            for name, _, schema in _TABLES[1:]
        }
        self._files = _read_files(buffers["files"], where["files"])
        self._file_records: dict[int, FileRecord] = {}
        dataset = _dataset_facts(metadata["files"], where["files"])
        self.cameras: tuple[str, ...] = tuple(dataset["video_keys"])
        """Camera keys; the position is the camera index."""
        self.fps = float(dataset["fps"])
        self.episode_count = int(dataset["total_episodes"])
        self.frame_count = int(dataset["total_frames"])
        """Frames of the dataset (of one camera), as its metadata says."""
        expected_rows = self.episode_count * len(self.cameras)
        if self._tables["episodes"].row_count != expected_rows:
            raise SidecarLayoutError(
                where["episodes"],
                f"{self._tables['episodes'].row_count} rows",
                f"{expected_rows}: {self.episode_count} episodes of {len(self.cameras)} cameras",
            )
        self._camera_index: Mapping[str, int] = {key: position for position, key in enumerate(self.cameras)}

    def __reduce__(self) -> tuple[Any, ...]:
        url, data_root, storage_options = self._arguments
        return _reopen, (url, data_root, storage_options)

    def __repr__(self) -> str:
        return (
            f"ByteIndex({self._arguments[0]!r}, {self.episode_count} episodes, {len(self.cameras)} cameras, "
            f"{self.file_count} files, {self.table('samples').row_count} samples)"
        )

    @property
    def file_count(self) -> int:
        """MP4 files indexed."""
        return int(self._files.num_rows)

    def table(self, name: str) -> MappedTable:
        """A mapped table: "episodes", "keyframes" or "samples"."""
        return self._tables[name]

    def file(self, file_id: int) -> FileRecord:
        """A row of `files`. Raises IndexError."""
        if not 0 <= file_id < self.file_count:
            raise IndexError(f"file {file_id} of {self.file_count}")
        record = self._file_records.get(file_id)
        if record is None:
            record = self._file_records[file_id] = FileRecord(**self._files.slice(file_id, 1).to_pylist()[0])
        return record

    def lookup(self, episode_index: int, camera_key: str) -> EpisodeSpan:
        """Where an episode of a camera lies; O(1).

        Raises:
            EpisodeNotFoundError: The dataset has no such episode.
            CameraNotFoundError: The dataset has no such camera.
        """
        camera_index = self._camera_index.get(camera_key)
        if camera_index is None:
            raise CameraNotFoundError("camera", repr(camera_key), f"one of {list(self.cameras)}")
        if not 0 <= episode_index < self.episode_count:
            raise EpisodeNotFoundError("episode", str(episode_index), f"0 to {self.episode_count - 1}")
        row = episode_index * len(self.cameras) + camera_index
        columns = self._tables["episodes"].columns
        values = {name: column.value(row).item() for name, column in columns.items()}
        if values["global_episode_id"] != row:
            raise SidecarLayoutError(
                "episodes", f"global_episode_id {values['global_episode_id']} in row {row}", str(row)
            )
        return EpisodeSpan(camera_key=camera_key, **values)

    def keyframes(self, episode_index: int, camera_key: str) -> Keyframes:
        """The sync samples of an episode. Raises as `lookup`."""
        span = self.lookup(episode_index, camera_key)
        rows = (span.keyframe_start, span.keyframe_start + span.keyframe_count)
        columns = self._tables["keyframes"].columns
        return Keyframes(
            *(columns[name].slice(*rows) for name in ("pts", "byte_offset", "sample_index", "frame_index"))
        )

    def clip(self, episode_index: int, camera_key: str, start: int = 0, stop: int | None = None) -> Clip:
        """Frames `[start, stop)` of an episode as a clip; nothing is fetched yet.

        Args:
            episode_index: 0 to `episode_count - 1`.
            camera_key: One of `cameras`.
            start: First frame, episode-local.
            stop: End of the frames, exclusive; None is the episode's end.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError: As `lookup`.
            FrameRangeError: The window is empty or reaches past the episode.
        """
        span = self.lookup(episode_index, camera_key)
        end = span.frame_count if stop is None else stop
        name = f"episode {episode_index} of {camera_key!r}"
        if not 0 <= start < end <= span.frame_count:
            raise FrameRangeError(name, f"frames [{start}, {end})", f"a window within its {span.frame_count} frames")
        file = self.file(span.file_id)
        rows = (span.sample_start, span.sample_start + span.sample_count)
        columns = self._tables["samples"].columns
        offset, size, pts = (columns[key].slice(*rows).astype(np.int64) for key in ("byte_offset", "byte_size", "pts"))
        keyframe_rows = (span.keyframe_start, span.keyframe_start + span.keyframe_count)
        sync = np.sort(self._tables["keyframes"].columns["sample_index"].slice(*keyframe_rows).astype(np.int64))

        frames = np.argsort(pts, kind="stable")[span.lead_in_count : span.lead_in_count + span.frame_count]
        wanted = frames[start:end]
        window = needed_samples(pts, sync, wanted, where=f"{file.file_path}, {name}")
        chosen = slice(window.start, window.stop)
        first_byte = int(offset[chosen].min())
        last_byte = int((offset[chosen] + size[chosen]).max())
        is_sync = np.zeros(len(pts), np.bool_)
        is_sync[sync] = True
        track = _track_facts(file)
        if end < span.frame_count:
            end_tick = pts[frames[end]]
        else:  # pictures of the next episode that lie within the span are not to be shown, whatever the average rate says
            after = pts[pts > pts[wanted[-1]]]
            end_tick = min(pts[wanted[-1]] + track.frame_duration, after.min(initial=np.iinfo(np.int64).max))
        return Clip(
            episode_index=episode_index,
            camera_key=camera_key,
            start=start,
            stop=end,
            file_path=file.file_path,
            byte_range=(span.mdat_offset + first_byte, span.mdat_offset + last_byte),
            samples=ClipSamples(offset[chosen] - first_byte, size[chosen], pts[chosen], is_sync[chosen]),
            frame_ticks=pts[wanted],
            end_tick=int(end_tick),
            track=track,
            source=self.source,
        )


def open_index(
    url: str | os.PathLike[str],
    data_root: str | os.PathLike[str] | None = None,
    *,
    storage_options: dict[str, Any] | None = None,
) -> ByteIndex:
    """Open the sidecars of a prepared dataset. Exported as `episeek.open`.

    Args:
        url: The dataset's root: a local path or an fsspec URL.
        data_root: Where the videos are, when the sidecars live elsewhere (an overlay made by `episeek prepare`).
        storage_options: For fsspec, where the URL needs any.

    Raises:
        MissingSidecarError: A table is not there.
        FormatVersionError: The tables have a format version this release does not know.
        MixedBuildError: The tables come from different builds.
        SidecarLayoutError: A table has other columns or types, or is damaged.

    Warns:
        SidecarLayoutWarning: A table was rewritten by another tool and is read into memory instead of being mapped.
    """
    root = None if data_root is None else os.fspath(data_root)
    return ByteIndex(os.fspath(url), data_root=root, storage_options=storage_options)


def _reopen(url: str, data_root: str | None, storage_options: dict[str, Any] | None) -> ByteIndex:
    return ByteIndex(url, data_root=data_root, storage_options=storage_options)


def _buffer(source: ByteSource, path: str) -> Buffer:
    if isinstance(source, LocalSource):
        return open_buffer(os.path.join(source.root, path))
    try:
        return source.get_ranges(path, [(0, source.size(path))])[0]
    except MissingFileError:
        raise MissingSidecarError(
            f"{source.root}/{path}", "no such file", "a sidecar table: run `episeek prepare`"
        ) from None


def _check_version(buffer: Buffer, where: str) -> dict[str, str]:
    metadata = footer_metadata(read_footer(buffer, where=where))
    version = metadata.get(sidecars.FORMAT_VERSION_KEY)
    if version != str(sidecars.FORMAT_VERSION):
        found = "no format version" if version is None else f"format version {version!r}"
        raise FormatVersionError(where, found, f"version {sidecars.FORMAT_VERSION}: write it anew with `episeek index`")
    return metadata


def _same_build(metadata: dict[str, dict[str, str]], where: dict[str, str]) -> str:
    builds = {name: facts.get(sidecars.BUILD_ID_KEY, "") for name, facts in metadata.items()}
    for name, build in builds.items():
        if build != builds["files"] or not build:
            raise MixedBuildError(
                where[name], f"build {build or 'without an id'}", f"build {builds['files']} as in {where['files']}"
            )
    return builds["files"]


def _dataset_facts(metadata: dict[str, str], where: str) -> dict[str, Any]:
    try:
        facts = json.loads(metadata[sidecars.DATASET_KEY])
        complete = isinstance(facts["video_keys"], list) and all(
            key in facts for key in ("fps", "total_episodes", "total_frames")
        )
    except (KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise SidecarLayoutError(
            where, f"footer entry {sidecars.DATASET_KEY!r} missing or incomplete", "the dataset's facts as JSON"
        )
    return dict(facts)


def _read_files(buffer: Buffer, where: str) -> pa.Table:
    try:
        table = read_whole(buffer)
    except (pa.ArrowException, OSError) as error:
        raise SidecarLayoutError(where, str(error).splitlines()[0], "a readable Parquet table") from None
    if table.schema.names != sidecars.FILES.names or table.schema.types != sidecars.FILES.types:
        found = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        raise SidecarLayoutError(where, f"columns {found}", f"columns {sidecars.FILES.names} of the format's types")
    for name in table.schema.names:
        if table[name].null_count:
            raise SidecarLayoutError(
                where, f"{table[name].null_count} nulls in column {name!r}", "a value in every row"
            )
    return table


def _track_facts(file: FileRecord) -> TrackFacts:
    duration = max(round(file.timescale / file.avg_fps), 1) if file.avg_fps > 0 else 1
    return TrackFacts(file.sample_description, file.timescale, file.width, file.height, duration)

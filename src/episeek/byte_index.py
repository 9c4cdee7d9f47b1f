"""The byte index of one dataset: it looks episodes up in the four sidecar tables, without reading the header of any video.

Opening maps the tables, which costs about the same for ten rows as for ten million. The row of an episode follows from its number.
Rows of large `samples` and `keyframes` tables in a store are fetched when they are needed.
"""

import logging
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek.clip import Clip, LeadIn
from episeek.decode import Backend
from episeek.episode_samples import EpisodeSamples, KeptSamples, make_episode_samples
from episeek.errors import (
    CameraNotFoundError,
    EpisodeNotFoundError,
    FileNotIndexedError,
    SidecarLayoutError,
    without_password,
)
from episeek.sidecars.file_record import FileRecord
from episeek.sidecars.files import open_sidecars
from episeek.sidecars.mapped_table import MappedTable
from episeek.sidecars.recorded_source import recorded_source, use_of_recorded_source
from episeek.sidecars.video_source import IndexedVideoSource, Verify
from episeek.spans import EpisodeSpan, Keyframes
from episeek.stores.byte_source import ByteSource, StoreSource
from episeek.stores.kinds import is_hub
from episeek.stores.open_source import Transport, open_source
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.requests.range_plan import DEFAULT_GAP_BYTES, WantedRange, fetch_planned, plan_requests
from episeek.stores.requests.retry import RetryPolicy

if TYPE_CHECKING:
    from episeek.rows.dataset_rows import DatasetRows

ClipRequest = Clip | tuple[int, str] | tuple[int, str, int] | tuple[int, str, int, int | None]
"""A clip, or the arguments of `ByteIndex.clip`: episode, camera, start and stop of the frames."""

_LOGGER = logging.getLogger("episeek")

_AS_WRITTEN = "rows as `episeek index` writes them"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options for reading the files of an index."""

    storage_options: tuple[tuple[str, Any], ...]
    verify: Verify
    retry: RetryPolicy
    transport: Transport

    def __repr__(self) -> str:
        # storage options hold credentials
        return f"ReadOptions(verify={self.verify!r}, transport={self.transport!r})"

    def open(self, url: str) -> StoreSource:
        """Return the source of a URL; on the Hub, pinned to the commit that the revision points to now."""
        source = open_source(
            url, storage_options=dict(self.storage_options), policy=self.retry, transport=self.transport
        )
        if not is_hub(source.root):
            return source
        from episeek.stores.transports.hub.source import HubSource

        return source.pinned() if isinstance(source, HubSource) else source


class ByteIndex:
    """The mapped sidecar tables of one dataset. `episeek.open` makes it.

    A pickled index contains only its URLs and options. The process that unpickles it opens the tables again.
    """

    def __init__(self, url: str, *, data_root: str | None, options: ReadOptions) -> None:
        sidecars = options.open(url)
        opened = open_sidecars(sidecars)
        self.sidecars: ByteSource = sidecars
        """The source of the sidecars."""
        self.videos: ByteSource = sidecars
        """The byte source of the videos, without the checks of `source`."""
        self.dataset = opened.dataset
        """The description of the dataset at the time when it was indexed."""
        if data_root is None and opened.dataset.video_keys:
            data_root = recorded_source(sidecars.root)
            if data_root is not None:
                _LOGGER.info("%s; data_root overrides", use_of_recorded_source(sidecars.root, data_root))
        self.videos = videos = sidecars if data_root is None else options.open(data_root)
        self._arguments = (sidecars.root, None if data_root is None else videos.root, options)
        self.retry = options.retry
        """How often, and for how long, a failed request is repeated."""
        self._file_ids: dict[str, int] | None = None
        self.source: ByteSource = IndexedVideoSource(videos, self.file_of_path, options.verify)
        """The byte source of the videos. It refuses files that have changed since they were indexed."""
        self._where = opened.where
        self._tables = opened.tables
        self._files = opened.files
        self._file_records: dict[int, FileRecord] = {}
        self._samples: PerProcess[KeptSamples] = PerProcess(KeptSamples)
        self.build_id = opened.build_id
        """Id of the build that wrote the four tables."""
        self.cameras = opened.dataset.video_keys
        """Keys of the cameras. The position of a key is its camera_index."""
        self.fps = opened.dataset.fps
        self.episode_count = opened.dataset.episode_count
        self.frame_count = opened.dataset.frame_count
        """Number of frames of the dataset, for one camera, from its metadata."""
        self._camera_index: Mapping[str, int] = {key: position for position, key in enumerate(self.cameras)}

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, self._arguments

    def __repr__(self) -> str:
        root, data_root, _ = self._arguments
        videos = "" if data_root is None else f"videos in {without_password(data_root)!r}, "
        return (
            f"ByteIndex({without_password(root)!r}, {videos}{self.episode_count} episodes, {len(self.cameras)} cameras, "
            f"{self.file_count} files, {self.table('samples').row_count} samples)"
        )

    @property
    def file_count(self) -> int:
        """Number of indexed videos."""
        return int(self._files.num_rows)

    @cached_property
    def dataset_rows(self) -> "DatasetRows":
        """The rows and the metadata of the dataset, which are read when they are first used.

        They come from the root of the sidecars if it contains `meta/info.json`, otherwise from `data_root`.
        """
        from episeek.rows.dataset_rows import DatasetRows
        from episeek.rows.metadata import has_info

        is_beside = self.videos is self.sidecars or has_info(self.sidecars)
        return DatasetRows(self.sidecars if is_beside else self.videos)

    @property
    def features(self) -> Mapping[str, Mapping[str, Any]]:
        """The features of the dataset by their keys, as `meta/info.json` describes them."""
        return self.dataset_rows.info.features

    @property
    def tasks(self) -> Mapping[int, str]:
        """The text of each task by its task_index."""
        return self.dataset_rows.tasks

    @property
    def stats(self) -> Mapping[str, Mapping[str, npt.NDArray[Any]]]:
        """For each feature, its statistics by name, from `meta/stats.json`; empty if the file does not exist."""
        return self.dataset_rows.stats

    def rows(
        self, episode_index: int, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return rows `[start, stop)` of an episode. They contain all values of its frames except videos.

        In a store, an episode in its own row group, as `episeek prepare` writes it, takes one request. The footer of each data
        file takes one or two more requests, once.

        Args:
            episode_index: 0 to `episode_count - 1`.
            start: First row, counted from the start of the episode.
            stop: End of the rows, exclusive; None for the end of the episode.
            columns: Names of columns; None for all.

        Raises:
            EpisodeNotFoundError: The dataset has no such episode.
            FrameRangeError: The rows reach past the end of the episode.
            MetadataError: The data file does not contain the episode in the rows that `meta/episodes` gives.
            MissingFileError, ParquetError, ReadError: A file is missing, is damaged, or cannot be read.
        """
        return self.dataset_rows.read(operator.index(episode_index), start, stop, columns)

    def table(self, name: str) -> MappedTable:
        """Return a mapped table: "episodes", "keyframes" or "samples"."""
        return self._tables[name]

    def file(self, file_id: int) -> FileRecord:
        """Return a row of the `files` table.

        Raises:
            FileNotIndexedError: There is no such row.
            SidecarLayoutError: The row is damaged.
        """
        if not 0 <= file_id < self.file_count:
            raise FileNotIndexedError(
                self._where["files"], f"no row {file_id}", f"a row number below {self.file_count}"
            )
        record = self._file_records.get(file_id)
        if record is None:
            record = FileRecord(**self._files.slice(file_id, 1).to_pylist()[0])
            problem = record.problem()
            if problem:
                raise SidecarLayoutError(f"{self._where['files']}, row {file_id}", problem, _AS_WRITTEN)
            self._file_records[file_id] = record
        return record

    def file_of_path(self, path: str) -> FileRecord:
        """Return the row of the `files` table for the path of a video.

        Raises:
            FileNotIndexedError: There is no row for this path.
            SidecarLayoutError: The row is damaged.
        """
        if self._file_ids is None:
            self._file_ids = {name: row for row, name in enumerate(self._files["file_path"].to_pylist())}
        file_id = self._file_ids.get(path)
        if file_id is None:
            raise FileNotIndexedError(self._where["files"], f"no row for {path!r}", "the path of an indexed video")
        return self.file(file_id)

    def lookup(self, episode_index: int, camera_key: str) -> EpisodeSpan:
        """Return the location of an episode of a camera, in constant time.

        Raises:
            EpisodeNotFoundError: The dataset has no such episode.
            CameraNotFoundError: The dataset has no such camera.
            SidecarLayoutError: The row is damaged.
        """
        camera_index = self._camera_index.get(camera_key)
        if camera_index is None:
            raise CameraNotFoundError(self._arguments[0], f"no camera {camera_key!r}", f"one of {list(self.cameras)}")
        # small numpy integers would wrap around in the arithmetic below
        episode_index = operator.index(episode_index)
        if not 0 <= episode_index < self.episode_count:
            expected = f"0 to {self.episode_count - 1}" if self.episode_count else "a dataset with episodes"
            raise EpisodeNotFoundError(self._arguments[0], f"no episode {episode_index}", expected)
        row = episode_index * len(self.cameras) + camera_index
        columns = self._tables["episodes"].columns
        values = {name: column.value(row).item() for name, column in columns.items()}
        span = EpisodeSpan(camera_key=camera_key, **values)
        problem = self._problem_of(span, row)
        if problem:
            raise SidecarLayoutError(f"{self._where['episodes']}, row {row}", problem, _AS_WRITTEN)
        return span

    def _problem_of(self, span: EpisodeSpan, row: int) -> str:
        """Return a noun phrase for an impossible value in a row of the `episodes` table; empty if all values are possible.

        A damaged row must not lead to the pictures of another episode.
        """
        if span.global_episode_id != row:
            return f"global_episode_id {span.global_episode_id}"
        if not 0 <= span.file_id < self.file_count:
            return f"file_id {span.file_id} of {self.file_count} files"
        for name, start, count in (
            ("samples", span.sample_start, span.sample_count),
            ("keyframes", span.keyframe_start, span.keyframe_count),
        ):
            if start < 0 or count < 1 or start + count > self._tables[name].row_count:
                return f"{count} {name} from row {start} of {self._tables[name].row_count}"
        if span.frame_count < 1 or span.lead_in_count < 0 or span.lead_in_count + span.frame_count > span.sample_count:
            return f"{span.lead_in_count} lead-in + {span.frame_count} frames in {span.sample_count} samples"
        file = self.file(span.file_id)
        if span.mdat_offset < 0 or span.mdat_length < 1 or span.mdat_offset + span.mdat_length > file.file_size:
            return f"{span.mdat_length} bytes from offset {span.mdat_offset} in a file of {file.file_size} bytes"
        return ""

    def keyframes(self, episode_index: int, camera_key: str) -> Keyframes:
        """Return the sync samples of an episode.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError, SidecarLayoutError: As for `lookup`.
            ChangedFileError, ReadError: The rows had to be fetched, and the table in the store has changed, or the store failed.
        """
        span = self.lookup(episode_index, camera_key)
        rows = (span.keyframe_start, span.keyframe_start + span.keyframe_count)
        columns = self._tables["keyframes"].columns
        return Keyframes(
            *(columns[name].slice(*rows) for name in ("pts", "byte_offset", "sample_index", "frame_index"))
        )

    def clip(self, episode_index: int, camera_key: str, start: int = 0, stop: int | None = None) -> Clip:
        """Return frames `[start, stop)` of an episode as a clip, without fetching any byte of the video.

        If the episode's rows of `samples` are not on this machine, they are fetched, together with rows of many other episodes.

        Args:
            episode_index: 0 to `episode_count - 1`.
            camera_key: One of `cameras`.
            start: First frame, counted from the start of the episode.
            stop: End of the frames, exclusive; None for the end of the episode.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError, SidecarLayoutError: As for `lookup`.
            ChangedFileError, ReadError: The rows had to be fetched, and the table in the store has changed, or the store failed.
            FrameRangeError: The range of frames is empty or is not within the episode.
        """
        samples = self.episode_samples(episode_index, camera_key)
        end = samples.frame_count if stop is None else operator.index(stop)
        return samples.clip(operator.index(start), end, self.source)

    def episode_samples(self, episode_index: int, camera_key: str) -> EpisodeSamples:
        """Return the samples of an episode of a camera. The samples of recently used episodes are kept in memory.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError, SidecarLayoutError: As for `lookup`.
            ChangedFileError, ReadError: The rows had to be fetched, and the table in the store has changed, or the store failed.
        """
        kept = self._samples.get()
        found = kept.get(operator.index(episode_index), camera_key) if camera_key in self._camera_index else None
        if found is not None:
            return found
        span = self.lookup(episode_index, camera_key)
        rows = (span.sample_start, span.sample_start + span.sample_count)
        columns = self._tables["samples"].columns
        offset, size, pts = (columns[key].slice(*rows).astype(np.int64) for key in ("byte_offset", "byte_size", "pts"))
        is_sync = columns["is_sync"].slice(*rows) if "is_sync" in columns else self._sync_of_version_1(span)
        samples = make_episode_samples(
            span, self.file(span.file_id), offset=offset, size=size, pts=pts, is_sync=is_sync
        )
        if samples is None:
            where = f"{self._where['samples']}, rows {rows[0]} to {rows[1]}"
            found_problem = "times that do not rise from 0, or samples that do not end with the episode's last byte"
            raise SidecarLayoutError(where, found_problem, _AS_WRITTEN)
        kept.put(samples)
        return samples

    def _sync_of_version_1(self, span: EpisodeSpan) -> npt.NDArray[np.bool_]:
        """Return whether each sample of a span is a sync sample.

        The table `keyframes` is read: in format version 1, no other table records the sync samples.
        """
        rows = (span.keyframe_start, span.keyframe_start + span.keyframe_count)
        position = self._tables["keyframes"].columns["sample_index"].slice(*rows).astype(np.int64)
        if position.min() < 0 or position.max() >= span.sample_count:
            where = f"{self._where['keyframes']}, rows {rows[0]} to {rows[1]}"
            raise SidecarLayoutError(where, "keyframes outside the samples of their episode", _AS_WRITTEN)
        is_sync = np.zeros(span.sample_count, np.bool_)
        is_sync[position] = True
        return is_sync

    def fetch_rows(self, episodes: Iterable[tuple[int, str]]) -> None:
        """Fetch, together, the rows of the tables that clips of these episodes need. Do nothing if the tables are on this machine.

        `clips`, `read_clips` and `decode_clips` call this method. `clip` itself fetches the rows of one clip.

        Args:
            episodes: Pairs of an episode and a camera.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError, SidecarLayoutError: As for `lookup`.
            ChangedFileError, ReadError: The table in the store has changed, or the store failed.
        """
        samples, keyframes = self._tables["samples"], self._tables["keyframes"]
        if samples.load is None and keyframes.load is None:
            return
        spans = [self.lookup(*episode) for episode in episodes]
        samples.fetch([(span.sample_start, span.sample_start + span.sample_count) for span in spans])
        if "is_sync" not in samples.columns:
            keyframes.fetch([(span.keyframe_start, span.keyframe_start + span.keyframe_count) for span in spans])

    def clips(self, requests: Iterable[ClipRequest]) -> list[Clip]:
        """Return one clip for each request. A request is a clip, or a tuple of the arguments of `clip`.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError, FrameRangeError: As for `clip`.
            FileNotIndexedError: A clip is from another index.
        """
        requests = list(requests)
        self.fetch_rows(request[:2] for request in requests if not isinstance(request, Clip))
        clips = []
        for request in requests:
            clip = request if isinstance(request, Clip) else self.clip(*request)
            if clip.source.root != self.source.root:
                raise FileNotIndexedError(repr(clip), f"a clip of {clip.source.root}", f"a clip of {self.source.root}")
            clips.append(clip)
        return clips

    def read_clips(
        self,
        requests: Iterable[ClipRequest],
        *,
        lead_in: LeadIn = "hidden",
        max_in_flight: int = 16,
        max_gap_bytes: int = DEFAULT_GAP_BYTES,
    ) -> list[bytes]:
        """Return many clips as standalone MP4s, in order. Ranges that are close together share a request. No byte is fetched twice.

        Args:
            requests: Clips, or tuples (episode_index, camera_key[, start[, stop]]).
            lead_in: As for `Clip.read`.
            max_in_flight: Largest number of requests at the same time.
            max_gap_bytes: Ranges with at most this many bytes between them share a request.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError, FrameRangeError, FileNotIndexedError: As for `clips`, before anything is
                fetched.
            ChangedFileError, MissingFileError, ReadError: As for `Clip.read`. If several clips fail, the error of the first one is
                raised, in the order of files and offsets.

        Example:
            >>> first, second = index.read_clips([(0, "observation.images.top"), (3, "observation.images.top", 10, 14)])
        """
        clips = self.clips(requests)
        payloads = self.fetch_clips(clips, max_in_flight=max_in_flight, max_gap_bytes=max_gap_bytes)
        return [clip.mux(payload, lead_in) for clip, payload in zip(clips, payloads, strict=True)]

    def decode_clips(
        self,
        requests: Iterable[ClipRequest],
        *,
        backend: Backend = "auto",
        device: str = "cpu",
        max_in_flight: int = 16,
        max_gap_bytes: int = DEFAULT_GAP_BYTES,
    ) -> list[Any]:
        """Return the pictures of many clips, in order. Their ranges are fetched as in `read_clips`.

        Args:
            requests: Clips, or tuples (episode_index, camera_key[, start[, stop]]).
            backend: As for `Clip.decode`.
            device: As for `Clip.decode`.
            max_in_flight: Largest number of requests at the same time.
            max_gap_bytes: Ranges with at most this many bytes between them share a request.

        Returns:
            The pictures of each clip, in the form of `Clip.decode_payload`.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError, FrameRangeError, FileNotIndexedError: As for `clips`, before anything is
                fetched.
            BackendUnavailableError, DecodeError: As for `Clip.decode`.
            ChangedFileError, MissingFileError, ReadError: As for `Clip.read`. If several clips fail, the error of the first one is
                raised, in the order of files and offsets.
        """
        clips = self.clips(requests)
        payloads = self.fetch_clips(clips, max_in_flight=max_in_flight, max_gap_bytes=max_gap_bytes)
        return [
            clip.decode_payload(payload, backend, device=device) for clip, payload in zip(clips, payloads, strict=True)
        ]

    def fetch_clips(
        self, clips: Sequence[Clip], *, max_in_flight: int = 16, max_gap_bytes: int = DEFAULT_GAP_BYTES
    ) -> list[memoryview]:
        """Return the bytes of the ranges of many clips, in order. Ranges that are close together share a request.

        Args:
            clips: Clips of this index.
            max_in_flight: Largest number of requests at the same time.
            max_gap_bytes: Ranges with at most this many bytes between them share a request.

        Raises:
            ChangedFileError, MissingFileError, ReadError: As for `Clip.read`. If several clips fail, the error of the first one is
                raised, in the order of files and offsets.
        """
        wanted = [WantedRange(clip.file_path, *clip.byte_range) for clip in clips]
        planned = plan_requests(wanted, max_gap_bytes=max_gap_bytes)
        return fetch_planned(self.source, wanted, planned, max_in_flight=max_in_flight)


def _reopen(url: str, data_root: str | None, options: ReadOptions) -> ByteIndex:
    return ByteIndex(url, data_root=data_root, options=options)

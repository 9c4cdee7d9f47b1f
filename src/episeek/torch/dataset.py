"""A map-style dataset with the same items as LeRobotDataset, read from a prepared dataset on any store."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from episeek.byte_index import ByteIndex
from episeek.clip import Clip
from episeek.errors import EpisodeNotFoundError, TimestampToleranceError
from episeek.opening import open_index
from episeek.range_cache.directory import RangeDirectory
from episeek.range_cache.fetch import KeptRanges
from episeek.range_cache.kept_source import KeptSource
from episeek.stores.kinds import is_local
from episeek.stores.transfers import Transfers
from episeek.torch.automatic_order import UNLIMITED_BYTES, FetchCosts, costs_of
from episeek.torch.columns import picture
from episeek.torch.delta_frames import DeltaFrames
from episeek.torch.episode_rows import Columns, EpisodeRows
from episeek.torch.fetch_units import UNIT_KINDS, UNIT_OF_ORDER, FetchUnits, UnitKind
from episeek.torch.metadata import Metadata
from episeek.torch.picture_batch import PictureBatch
from episeek.torch.pictures import decode_stretches, plan_stretches
from episeek.torch.row_values import row_values
from episeek.torch.work import Work, WorkCounter
from episeek_schemas import lerobot

Item = dict[str, Any]

MAX_ROWS_BYTES = 1 << 28
"""Default limit, in bytes, of the rows that each process keeps in memory."""

_LOGGER = logging.getLogger("episeek")


class EpisodeDataset(Dataset[Item]):
    """The items of a prepared dataset: `dataset[i]` equals `LeRobotDataset(...)[i]` in keys, types, shapes and values.

    `torch.utils.data.DataLoader` asks for a whole batch at once. The frames of a batch are planned together: ranges close to each
    other share a request, several requests run at the same time, and nearby frames are decoded in one pass.

    A frame of a video is found by its number within the episode, not by its time. If the time of a frame differs from the time of
    its row by `tolerance_s` or more, reading the item raises TimestampToleranceError. LeRobot applies the same tolerance.

    Args:
        index: An index from `episeek.open`, or the root of a prepared dataset, which is opened with `episeek.open`.
        data_root: As for `episeek.open`.
        episodes: The episodes to use; None for all. As in LeRobot, the items are in the order of the dataset, not of this list.
        delta_timestamps: For each feature, seconds relative to the item's frame. The item has the stack of the feature's values at
            these times. A time outside of the episode gets the value of the first or last frame, and `<feature>_is_pad` marks it.
        image_transforms: A function that is called with the tensor of pictures of each camera in each item.
        return_uint8: Whether pictures are uint8 from 0 to 255; if False, they are float32 from 0 to 1. Depth pictures (one channel
            of more than 8 bits) are uint16 [1, height, width] in both cases, with unchanged values.
        tolerance_s: The difference in seconds between the time of a row and the time of its frame must be less than this number.
            Times in `delta_timestamps` may differ from a multiple of the frame interval by up to this number.
        storage_options: As for `episeek.open`.
        max_in_flight: Largest number of requests at the same time.
        max_rows_bytes: Largest size, in bytes, of the rows that each process keeps in memory.
        cache_dir: A directory on this machine that keeps fetched bytes for all workers, ranks and jobs that use the directory; None
            to keep nothing. The directory may be removed at any time.
        cache_bytes: Largest size of `cache_dir`, in bytes; None leaves a tenth of the disk free.
        cache_local: Whether `cache_dir` also keeps bytes of files with a local path, which is useful for a network drive.
        fetch: The bytes that are fetched, and kept in `cache_dir`, for a frame: "window" for the samples that decoding the frame
            needs, "clump" for about one second of frames around it, or "episode" for the whole episode. "auto" chooses by the order
            of the sampler. Without a `cache_dir`, or if the frames that the order mixes with each other do not fit into the cache,
            "auto" chooses "window".

    Raises:
        EpiseekError: `episeek.open` failed, or the metadata of the dataset is missing or contradicts itself.
        EpisodeNotFoundError: `episodes` lists an episode that does not exist.
        ValueError: `fetch` is unknown, or `delta_timestamps` has an unknown feature, a feature without times, or a time that is not
            a multiple of the frame interval.
    """

    def __init__(
        self,
        index: ByteIndex | str | os.PathLike[str],
        *,
        data_root: str | os.PathLike[str] | None = None,
        episodes: Sequence[int] | None = None,
        delta_timestamps: Mapping[str, Sequence[float]] | None = None,
        image_transforms: Callable[[torch.Tensor], torch.Tensor] | None = None,
        return_uint8: bool = False,
        tolerance_s: float = 1e-4,
        storage_options: dict[str, Any] | None = None,
        max_in_flight: int = 16,
        max_rows_bytes: int = MAX_ROWS_BYTES,
        cache_dir: str | os.PathLike[str] | None = None,
        cache_bytes: int | None = None,
        cache_local: bool = False,
        fetch: Literal["auto"] | UnitKind = "auto",
    ) -> None:
        if fetch not in ("auto", *UNIT_KINDS):
            raise ValueError(f"fetch: found {fetch!r}; expected one of auto, {', '.join(UNIT_KINDS)}")
        self.index = (
            index if isinstance(index, ByteIndex) else open_index(index, data_root, storage_options=storage_options)
        )
        self.image_transforms = image_transforms
        self.return_uint8 = return_uint8
        self.tolerance_s = tolerance_s
        self.episodes = None if episodes is None else list(episodes)
        self.delta_timestamps = None if delta_timestamps is None else {k: list(v) for k, v in delta_timestamps.items()}
        self.fetch = fetch
        self._work = WorkCounter()
        self._rows = self.index.dataset_rows
        self._kept_ranges: KeptRanges | None = None
        if cache_dir is not None and (cache_local or not is_local(self.index.videos.root)):
            directory = RangeDirectory(cache_dir, max_bytes=cache_bytes)
            wait_seconds = self.index.retry.max_seconds
            self._kept_ranges = KeptRanges(directory, self.index.build_id, wait_seconds)
            self._rows = self._rows.through(lambda source: KeptSource(source, directory, wait_seconds))
        self.meta = Metadata(self._rows)
        """The dataset's metadata under the names that LeRobot uses."""
        # Reading a local file takes less time than starting a thread.
        self._max_in_flight = 1 if is_local(self.index.videos.root) else max_in_flight
        rows_in_flight = 1 if is_local(self._rows.root) else max_in_flight
        self._max_rows_bytes = max_rows_bytes
        self._episode_rows = EpisodeRows(self._rows, max_bytes=max_rows_bytes, max_in_flight=rows_in_flight)
        length = self._rows.episode_lengths
        self._chosen = np.arange(len(length)) if episodes is None else np.unique(np.asarray(self.episodes, np.int64))
        absent = self._chosen[(self._chosen < 0) | (self._chosen >= len(length))]
        if len(absent):
            raise EpisodeNotFoundError(
                repr(self.index), f"no episode {absent[0]}", f"episodes from 0 to {len(length) - 1}"
            )
        self._lengths = length[self._chosen]
        self._starts = np.cumsum(self._lengths) - self._lengths
        self.use_order("global")
        self._deltas = DeltaFrames(
            self.delta_timestamps, features=self.features, fps=float(self.fps), tolerance_s=tolerance_s
        )

    def __len__(self) -> int:
        return int(self._lengths.sum())

    def __repr__(self) -> str:
        return f"EpisodeDataset({self.index!r}, {self.num_episodes} episodes, {self.num_frames} frames)"

    @property
    def fps(self) -> Any:
        """The value `fps` of `meta/info.json`, in frames per second."""
        return self.meta.fps

    @property
    def features(self) -> dict[str, dict[str, Any]]:
        """The features of `meta/info.json` by key, with their shapes as tuples."""
        return self.meta.features

    @property
    def num_frames(self) -> int:
        """Number of items, which is the number of frames of all episodes in use."""
        return len(self)

    @property
    def num_episodes(self) -> int:
        """Number of episodes in use."""
        return len(self._chosen)

    @property
    def episode_lengths(self) -> npt.NDArray[np.int64]:
        """Number of frames of each episode in use, in the order of the items, shape [num_episodes]."""
        return self._lengths

    @property
    def delta_indices(self) -> dict[str, list[int]] | None:
        """For each feature in `delta_timestamps`, its times as frame offsets from the item's frame; None if no times were given."""
        return self._deltas.indices

    def use_order(self, order: str, *, clump_frames: int | None = None, pool_frames: int | None = None) -> None:
        """Set the order in which items will be read. With `fetch="auto"`, the order decides which bytes are fetched for a frame.

        `EpisodeSampler` calls this method when it is created.

        Args:
            order: "global", "clump", "episode" or "sequential".
            clump_frames: Number of consecutive frames that "clump" order keeps together; None for about one second.
            pool_frames: Number of frames that the order mixes with each other; None for all frames. Fetched bytes of these frames
                stay useful until all of the frames have been read.
        """
        clump = clump_frames or max(round(float(self.fps)), 1)
        if self.fetch != "auto":
            self.fetch_units = FetchUnits(self.fetch, clump)
            return
        self.fetch_units = FetchUnits("window", clump)
        if self._kept_ranges is None:
            # Without a cache, bytes that are fetched for later batches would be dropped.
            return
        pool_bytes = round((len(self) if pool_frames is None else pool_frames) * self.fetch_costs.frame_bytes)
        limit_bytes = self._kept_ranges.directory.limit_bytes()
        if pool_bytes > limit_bytes:
            _LOGGER.info(
                "frames are fetched one by one: the frames that %s order mixes with each other have %d bytes, "
                "and the cache may have at most %d bytes",
                order,
                pool_bytes,
                limit_bytes,
            )
            return
        self.fetch_units = FetchUnits(UNIT_OF_ORDER.get(order, "window"), clump)

    @cached_property
    def fetch_costs(self) -> FetchCosts:
        """The properties from which `EpisodeSampler(order="auto")` estimates costs. They are the same on all ranks."""
        cache_bytes = 0
        if self._kept_ranges is not None:
            limit = self._kept_ranges.directory.max_bytes
            cache_bytes = UNLIMITED_BYTES if limit is None else limit
        return costs_of(
            self.index,
            self.features,
            self._lengths,
            self._chosen,
            is_local=self._kept_ranges is None and is_local(self.index.videos.root),
            cache_bytes=cache_bytes,
            rows_memory_bytes=self._max_rows_bytes,
            fetch=self.fetch,
        )

    def work(self) -> Work:
        """Return the time, the requests and bytes, and the number of decoded frames of all items that this process has read.

        Items that a worker process reads are counted only in the worker process.
        """
        sources = {id(source): source for source in (self.index.sidecars, self.index.videos, self._rows.source)}
        return self._work.snapshot(sum((source.transfers() for source in sources.values()), Transfers()))

    def __getitem__(self, item: int) -> Item:
        return self.__getitems__([item])[0]

    def __getitems__(self, items: Sequence[int]) -> list[Item]:
        """Return the items of a batch, in the order of their numbers in `items`.

        All items of a batch share memory, so a reference to one item keeps the memory of the whole batch allocated.

        Raises:
            IndexError: The dataset has no item with one of the numbers.
            TimestampToleranceError: The time of a row differs from the time of its frame by `tolerance_s` or more.
            EpiseekError: Bytes cannot be fetched or decoded; the message names the file, the episode and the camera.
        """
        if not len(items):
            return []
        places = [self._place(int(item)) for item in items]
        with self._work.fetching():
            columns = self._episode_rows.load(episode for episode, _ in places)
        pictures = {camera: self._picture_batch(camera, places) for camera in self.meta.camera_keys}
        self._decode_videos(pictures, columns)
        self._decode_rows(pictures, columns)
        values = self._row_values(places, columns)
        batch: list[Item] = []
        for number in range(len(places)):
            item: Item = {camera: pictures[camera].of_item(number) for camera in self.meta.video_keys}
            for key, of_items in values.items():
                item[key] = pictures[key].of_item(number) if key in pictures else of_items[number]
            if self.image_transforms is not None:
                for camera in self.meta.camera_keys:
                    item[camera] = self.image_transforms(item[camera])
            item["task"] = self._rows.tasks[int(item[lerobot.TASK_INDEX])]
            batch.append(item)
        return batch

    def _picture_batch(self, camera: str, places: Sequence[tuple[int, int]]) -> PictureBatch:
        frames = [[(episode, frame) for frame in self._frames_of(camera, episode, row)] for episode, row in places]
        return PictureBatch(
            frames,
            as_uint8=self.return_uint8,
            is_final=self.image_transforms is None,
            # For a single time, LeRobot returns a video frame without a stack, but a picture of the rows as a stack of one.
            is_stack=camera in self.meta.image_keys and self._deltas.has(camera),
        )

    def _decode_videos(self, pictures: Mapping[str, PictureBatch], columns: Mapping[int, Columns]) -> None:
        wanted = [(e, camera, frame) for camera in self.meta.video_keys for e, frame in pictures[camera].wanted]
        if not wanted:
            return
        units = self.fetch_units
        stretches = plan_stretches(self.index, sorted(wanted), units, work=self._work)
        for stretch in stretches:
            timestamps = columns[stretch.clip.episode_index][lerobot.TIMESTAMP]
            self._check_times(timestamps, stretch.frames, stretch.clip)
        decode_stretches(
            self.index,
            stretches,
            lambda frame, picture: pictures[frame[1]].put((frame[0], frame[2]), picture),
            kept=self._kept_ranges,
            max_in_flight=self._max_in_flight,
            max_gap_bytes=units.max_gap_bytes,
            work=self._work,
        )

    def _decode_rows(self, pictures: Mapping[str, PictureBatch], columns: Mapping[int, Columns]) -> None:
        for key in self.meta.image_keys:
            for episode, row in pictures[key].wanted:
                where = f"episode {episode}, frame {row}, {key!r}"
                with self._work.decoding(1):
                    pictures[key].put((episode, row), picture(columns[episode][key][row], where=where))

    def _check_times(self, timestamps: torch.Tensor, frames: Sequence[int], clip: Clip) -> None:
        """Raise TimestampToleranceError if the time of a row differs from the time of its frame by `tolerance_s` or more.

        Both times count from the start of the episode.
        """
        by_row = timestamps.numpy()[list(frames)].astype(np.float64)
        ticks = clip.frame_ticks[np.asarray(frames) - clip.start]
        by_frame = ticks / clip.timescale
        wrong = np.flatnonzero(np.abs(by_row - by_frame) >= self.tolerance_s)
        if len(wrong):
            frame = frames[int(wrong[0])]
            raise TimestampToleranceError(
                f"{clip.file_path}, episode {clip.episode_index}, {clip.camera_key!r}, frame {frame}",
                f"a row at {by_row[wrong[0]]:.6f} s and its picture at {by_frame[wrong[0]]:.6f} s of the episode",
                f"less than tolerance_s = {self.tolerance_s:g} s between them",
                "run `episeek verify`, which reports the largest difference in the whole dataset",
            )

    def _row_values(
        self, places: Sequence[tuple[int, int]], columns: Mapping[int, Columns]
    ) -> dict[str, Sequence[Any]]:
        """Return the values of all items for each feature, with the features in the order of LeRobot's items.

        A feature with pictures in the rows gets an empty sequence, which only marks its position in the order.
        """
        values: dict[str, Sequence[Any]] = {}
        for key in columns[places[0][0]]:
            if key in self.meta.image_keys:
                values[key] = ()
                continue
            rows = [self._frames_of(key, episode, row) for episode, row in places]
            of_items = [columns[episode][key] for episode, _ in places]
            values[key] = row_values(of_items, rows, is_stack=self._deltas.has(key))
        for key in self._deltas.indices or ():
            rows_of_items = np.array([row for _, row in places])
            lengths = self._rows.episode_lengths[[episode for episode, _ in places]]
            values[f"{key}_is_pad"] = torch.from_numpy(self._deltas.is_outside(key, rows_of_items, lengths)).unbind()
        return values

    def _frames_of(self, key: str, episode: int, row: int) -> list[int]:
        return self._deltas.frames(key, row, int(self._rows.episode_lengths[episode]))

    def _place(self, item: int) -> tuple[int, int]:
        """Return the episode_index of an item, and the frame number of the item within the episode."""
        if not -len(self) <= item < len(self):
            raise IndexError(f"no item {item}: the dataset has {len(self)} items")
        item %= len(self)
        position = int(np.searchsorted(self._starts, item, side="right")) - 1
        return int(self._chosen[position]), item - int(self._starts[position])

"""Plan, fetch and decode the video frames of a batch, in stretches: runs of frames that are decoded in one pass."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy.typing as npt

from episeek.byte_index import ByteIndex
from episeek.clip import Clip
from episeek.episode_samples import EpisodeSamples
from episeek.range_cache.fetch import KeptRanges, Piece, fetch_pieces
from episeek.stores.byte_source import ByteRange
from episeek.stores.processes.workers import WorkerPool
from episeek.stores.requests.range_plan import DEFAULT_GAP_BYTES
from episeek.torch.fetch_units import WINDOWS, FetchUnits
from episeek.torch.work import WorkCounter

FrameKey = tuple[int, str, int]
"""The episode_index of an episode, a camera key, and a frame number within the episode."""

PutFrame = Callable[[FrameKey, npt.NDArray[Any]], None]
"""A function that receives a frame and its picture, [height, width, channels]."""

MAX_STRETCH_FRAMES = 256
"""Largest number of frames from the first to the last frame of a stretch. It limits the memory that a stretch needs."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Frames of one episode and camera that are decoded in one pass."""

    clip: Clip
    frames: tuple[int, ...]
    """Numbers of the wanted frames within the episode, ascending."""
    units: tuple[ByteRange, ...]
    """Byte ranges of the file that are fetched for the stretch. Together they contain all bytes that decoding the frames needs."""


def plan_stretches(
    index: ByteIndex, wanted: Iterable[FrameKey], units: FetchUnits = WINDOWS, *, work: WorkCounter | None = None
) -> list[Stretch]:
    """Return stretches that together contain each wanted frame exactly once.

    Args:
        index: The index.
        wanted: The frames.
        units: How the bytes of a video are divided into ranges that are fetched as a whole.
        work: The counter for the time of fetching rows of the index; None to count nothing.
    """
    work = WorkCounter() if work is None else work
    by_episode: dict[tuple[int, str], set[int]] = defaultdict(set)
    for episode, camera, frame in wanted:
        by_episode[episode, camera].add(frame)
    with work.fetching():
        index.fetch_rows(by_episode)
    stretches = []
    for (episode, camera), frames in by_episode.items():
        samples = index.episode_samples(episode, camera)
        for run in _runs(samples, sorted(frames)):
            clip = samples.clip(run[0], run[-1] + 1, index.source)
            stretches.append(Stretch(clip, tuple(run), units.of(samples, clip)))
    return stretches


def _runs(samples: EpisodeSamples, frames: list[int]) -> Iterator[list[int]]:
    """Divide wanted frames into stretches, and yield the frame numbers of each stretch.

    A frame joins the current stretch if the first sample that decoding the frame needs lies within or directly after the samples of
    the stretch. A stretch spans at most `MAX_STRETCH_FRAMES` frames.

    Args:
        samples: The samples of the episode.
        frames: Numbers of the wanted frames, ascending. Each frame outside of the episode gets a separate stretch.
    """
    run, stop = frames[:1], 0
    for frame in frames[1:]:
        if run[0] >= 0 and frame < min(samples.frame_count, run[0] + MAX_STRETCH_FRAMES):
            stop = stop or samples.window(run[0], run[0] + 1).stop
            window = samples.window(frame, frame + 1)
            if window.start <= stop:
                run.append(frame)
                stop = max(stop, window.stop)
                continue
        yield run
        run, stop = [frame], 0
    yield run


def decode_stretches(
    index: ByteIndex,
    stretches: Sequence[Stretch],
    put: PutFrame,
    *,
    kept: KeptRanges | None = None,
    max_in_flight: int = 16,
    max_gap_bytes: int = DEFAULT_GAP_BYTES,
    work: WorkCounter | None = None,
) -> None:
    """Fetch and decode stretches, and pass each picture to `put`. Byte ranges of a file that are close together share a request.

    Args:
        index: The index with which the stretches were planned.
        stretches: The stretches.
        put: A function that is called with each frame and its picture. The picture is uint8 [height, width, 3], or uint16
            [height, width, 1] for depth.
        kept: The cache that keeps fetched byte ranges; None to keep no ranges.
        max_in_flight: Largest number of requests at the same time.
        max_gap_bytes: Largest gap, in bytes, between byte ranges that share a request.
        work: The counter for the time of fetching and decoding, and for the pictures; None to count nothing.

    Raises:
        EpiseekError: Bytes cannot be fetched or decoded; the message names the file, the episodes and the cameras.
    """
    work = WorkCounter() if work is None else work

    def fetch(group: Sequence[Stretch]) -> list[memoryview]:
        return fetch_pieces(
            index.source, list(map(_piece, group)), kept=kept, max_in_flight=max_in_flight, max_gap_bytes=max_gap_bytes
        )

    groups = list(_groups(stretches, max_in_flight, max_gap_bytes))
    # The next group is fetched while the current group is decoded.
    pool = WorkerPool(1) if len(groups) > 1 else None
    try:
        coming: Future[list[memoryview]] | None = None
        for number, group in enumerate(groups):
            with work.fetching():
                payloads = fetch(group) if coming is None else coming.result()
            if pool is not None and number + 1 < len(groups):
                coming = pool.submit(partial(fetch, groups[number + 1]))
            for stretch, payload in zip(group, payloads, strict=True):
                with work.decoding(len(stretch.frames)):
                    _decode(stretch, payload, put)
    finally:
        if pool is not None:
            pool.close()


def _groups(stretches: Sequence[Stretch], max_requests: int, max_gap_bytes: int) -> Iterator[list[Stretch]]:
    """Yield the stretches, sorted by file and byte offset, in groups that need at most `max_requests` requests each.

    Stretches that may share a request or bytes are in the same group. If `max_requests` is 1, there is one group of all stretches,
    in the given order.
    """
    if max_requests == 1:
        yield list(stretches)
        return
    group: list[Stretch] = []
    path, stop, requests = "", 0, 0
    for stretch in sorted(stretches, key=lambda one: (one.clip.file_path, one.units[0])):
        if stretch.clip.file_path != path or stretch.units[0][0] > stop + max_gap_bytes:
            requests += 1
            if requests > max_requests:
                yield group
                group, requests = [], 1
            path, stop = stretch.clip.file_path, 0
        group.append(stretch)
        stop = max(stop, stretch.units[-1][1])
    yield group


def _decode(stretch: Stretch, payload: memoryview, put: PutFrame) -> None:
    clip, frames = stretch.clip, stretch.frames

    def put_ranked(rank: int, picture: npt.NDArray[Any]) -> None:
        put((clip.episode_index, clip.camera_key, frames[rank]), picture)

    clip.decode_into(put_ranked, payload, frames=[frame - clip.start for frame in frames])


def _piece(stretch: Stretch) -> Piece:
    clip = stretch.clip
    return Piece(
        clip.file_path, *clip.byte_range, stretch.units, f"episode {clip.episode_index} of {clip.camera_key!r}"
    )

"""Choose the order of an epoch from the cost of fetching its frames: `EpisodeSampler(order="auto")`.

All ranks of a job have to choose the same order. Therefore the choice depends only on the index and on the options of the dataset.
Nothing is measured, and the machine makes no difference.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from episeek.byte_index import ByteIndex
from episeek.orders.order import POOL_CLUMPS, POOL_EPISODES
from episeek.stores.requests.range_plan import DEFAULT_GAP_BYTES
from episeek.torch.fetch_units import MAX_UNIT_BYTES, UNIT_OF_ORDER, UnitKind

MixingOrder = Literal["global", "clump", "episode"]

REQUEST_BYTES: Final = DEFAULT_GAP_BYTES
"""The cost of a request, expressed in bytes. It equals the largest gap across which two ranges are fetched in one request."""

UNLIMITED_BYTES: Final = 64 << 30
"""The size in bytes that is assumed for a cache directory without a limit. The free disk space differs from machine to machine."""

_TOLERANCE: Final = 1.5
"""The chosen order costs at most this many times as much as the cheapest order."""

_ORDERS: Final[tuple[MixingOrder, ...]] = get_args(MixingOrder)
"""The orders, sorted from the order that mixes frames most to the order that mixes them least."""

_TEXT_BYTES: Final = 64
"""The size in bytes that is assumed for a text in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchCosts:
    """Properties of a dataset and its store from which the cost of fetching an epoch is estimated.

    Sizes are means over the episodes in use.
    """

    is_local: bool
    """Whether the videos are read from this machine, without a cache directory."""
    cache_bytes: int
    """Largest size of the cache directory, in bytes: `UNLIMITED_BYTES` if it has no limit, and 0 without a cache directory."""
    rows_memory_bytes: int
    """Largest size, in bytes, of the rows that a process keeps in memory."""
    fetch: Literal["auto"] | UnitKind
    """The dataset's option `fetch`."""
    episode_count: int
    frame_count: int
    """Number of frames of all episodes in use, counted for one camera."""
    camera_count: int
    """Number of cameras whose pictures are in videos."""
    frame_bytes: float
    """Mean encoded size of a frame, in bytes, summed over the videos of all cameras."""
    keyframe_distance: float
    """Mean number of frames from one keyframe to the next."""
    row_bytes: float
    """Size, in bytes, of all values of a row, before compression."""

    @property
    def episode_frames(self) -> float:
        """Mean number of frames of an episode."""
        return self.frame_count / max(self.episode_count, 1)


@dataclass(frozen=True, slots=True)
class Fetching:
    """An estimate of the requests and bytes that one machine needs to fetch an epoch."""

    requests: float
    byte_count: float

    @property
    def cost(self) -> float:
        """The cost in bytes: the bytes fetched, plus a fixed number of bytes for each request."""
        return self.byte_count + self.requests * REQUEST_BYTES

    def __str__(self) -> str:
        return f"{self.requests:,.0f} requests and {self.byte_count / 1e6:,.0f} MB"


@dataclass(frozen=True, slots=True)
class OrderChoice:
    """A chosen order and a sentence that says why."""

    order: MixingOrder
    reason: str


def choose_order(costs: FetchCosts, *, clump_frames: int) -> OrderChoice:
    """Return the order that mixes frames most, among the orders that cost little more than the cheapest order.

    Args:
        costs: The properties of the dataset and its store.
        clump_frames: Number of frames of a clump, which is a run of consecutive frames that clump order does not separate.
    """
    if costs.is_local:
        return OrderChoice("global", "The videos are on this machine, so global order costs no more than other orders.")
    fetching = {order: fetching_of(costs, order, clump_frames=clump_frames) for order in _ORDERS}
    cheapest = min(found.cost for found in fetching.values())
    chosen = next(order for order, found in fetching.items() if found.cost <= cheapest * _TOLERANCE)
    described = "; ".join(f"{found} in {order} order" for order, found in fetching.items())
    cache = f"a cache of {costs.cache_bytes / 1e9:,.1f} GB" if costs.cache_bytes else "no cache_dir"
    return OrderChoice(
        chosen,
        f"With {cache}, an epoch takes about {described}. "
        f"Among the orders that cost little more than the cheapest, {chosen} order mixes frames most.",
    )


def fetching_of(costs: FetchCosts, order: MixingOrder, *, clump_frames: int) -> Fetching:
    """Return an estimate of the requests and bytes that fetching an epoch in an order takes.

    A fetch unit is a byte range of a video that is fetched as a whole. Each unit is fetched once if the cache has space for the
    units of all frames that the order mixes with each other. Otherwise the unit is fetched again for each frame. The rows of an
    episode are fetched once if the memory of a process or the cache has space for the rows of all episodes that the order mixes.

    Args:
        costs: The properties of the dataset and its store.
        order: The order.
        clump_frames: Number of frames of a clump, which is a run of consecutive frames that clump order does not separate.
    """
    length = costs.episode_frames
    clump = min(float(clump_frames), length)
    pool_episodes, pool_frames = _pool(costs, order, clump)
    is_kept = 0 < pool_frames * costs.frame_bytes <= costs.cache_bytes
    unit = costs.fetch if costs.fetch != "auto" else UNIT_OF_ORDER[order] if is_kept else "window"
    if unit == "episode":
        is_kept = pool_episodes * length * costs.frame_bytes <= costs.cache_bytes
    unit_frames = {"window": 1.0, "clump": clump, "episode": length}[unit]
    # A range begins at a keyframe. On average, half of the frames between two keyframes come before the wanted frames.
    lead_in = 0.0 if unit == "episode" else min(costs.keyframe_distance - 1, length) / 2
    unit_bytes = (unit_frames + lead_in) * costs.frame_bytes
    times = costs.frame_count / unit_frames if is_kept else costs.frame_count
    requests_of_unit = costs.camera_count
    if unit == "episode" and costs.camera_count:
        requests_of_unit *= max(round(unit_bytes / costs.camera_count / MAX_UNIT_BYTES), 1)
    rows_are_kept = pool_episodes * length * costs.row_bytes <= max(costs.rows_memory_bytes, costs.cache_bytes)
    rows_times = costs.episode_count if rows_are_kept else costs.frame_count
    return Fetching(times * requests_of_unit + rows_times, times * unit_bytes + rows_times * length * costs.row_bytes)


def costs_of(
    index: ByteIndex,
    features: Mapping[str, Mapping[str, Any]],
    lengths: npt.NDArray[np.int64],
    episodes: npt.NDArray[np.int64],
    *,
    is_local: bool,
    cache_bytes: int,
    rows_memory_bytes: int,
    fetch: Literal["auto"] | UnitKind,
) -> FetchCosts:
    """Return the properties from which an order is chosen.

    Nothing is fetched: the sizes come from the table `episodes` of the index, which is already open.

    Args:
        index: The index.
        features: The features of the dataset.
        lengths: Number of frames of each episode in use, shape [episodes].
        episodes: Indices of the episodes in use, shape [episodes].
        is_local: As in `FetchCosts`.
        cache_bytes: As in `FetchCosts`.
        rows_memory_bytes: As in `FetchCosts`.
        fetch: As in `FetchCosts`.
    """
    cameras = len(index.cameras)
    rows = (episodes[:, None] * cameras + np.arange(cameras)).reshape(-1)
    columns = index.table("episodes").columns
    video_bytes, samples, keyframes = (
        int(columns[name].slice(0, len(columns[name]))[rows].astype(np.int64).sum())
        for name in ("mdat_length", "sample_count", "keyframe_count")
    )
    return FetchCosts(
        is_local=is_local,
        cache_bytes=cache_bytes,
        rows_memory_bytes=rows_memory_bytes,
        fetch=fetch,
        episode_count=len(episodes),
        frame_count=int(lengths.sum()),
        camera_count=cameras,
        frame_bytes=video_bytes / max(int(lengths.sum()), 1),
        keyframe_distance=samples / max(keyframes, 1),
        row_bytes=float(sum(_row_bytes(feature) for feature in features.values())),
    )


def _row_bytes(feature: Mapping[str, Any]) -> int:
    """Return the size in bytes of a feature's value in a row, before compression. A picture has the size of its decoded pixels."""
    dtype = feature["dtype"]
    if dtype in ("video", "string"):
        return 0 if dtype == "video" else _TEXT_BYTES
    try:
        value_bytes = 1 if dtype == "image" else np.dtype(dtype).itemsize
    except TypeError:
        return _TEXT_BYTES
    return value_bytes * math.prod(feature.get("shape") or (1,))


def _pool(costs: FetchCosts, order: MixingOrder, clump: float) -> tuple[float, float]:
    """Return the number of episodes, and the number of frames, that an order mixes with each other."""
    if order == "episode":
        episodes = min(POOL_EPISODES, costs.episode_count)
        return episodes, episodes * costs.episode_frames
    if order == "clump":
        return min(POOL_CLUMPS, costs.episode_count), min(POOL_CLUMPS * clump, costs.frame_count)
    return costs.episode_count, costs.frame_count

"""Choose the episodes of a dataset and the windows of a file to decode. The same arguments always give the same choice.

A window is a range of frames that starts at or shortly after a *later sync sample*, which is any sync sample except the file's
first one. Decoding from this sample shows whether readers may start there, too.
"""

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.videos.frames import FrameView, ParsedVideo
from episeek_pipelines.verify.videos.picture_reader import has_decoder

WINDOW_FRAMES: Final = 16
"""Largest number of frames of a window at level `decode`. Several frames are needed, since the first pictures after a false sync
sample may be right."""

SHORT_WINDOW_FRAMES: Final = 8
"""Largest number of frames of a window at lower levels."""

LATEST_START_FRAMES: Final = 3
"""Largest number of frames from the sync sample of a window to its first frame. The frames in between are its lead-in."""


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """Frames `[start, stop)` of one episode, counted from the episode's first frame.

    The episode is given by its `position` in the arrays of a `VideoFile`.
    """

    position: int
    start: int
    stop: int


def choose_episodes(episode_index: Int64Array, options: VerifyOptions) -> Int64Array:
    """Return the numbers of the episodes to decode, ascending: the first, the last, and episodes between them.

    A hash of the episode number and the seed chooses the episodes in between. The choice does not depend on the order of
    `episode_index`. If the dataset has two episodes or more, at least two are chosen.
    """
    episodes = np.unique(episode_index).astype(np.int64, copy=False)
    wanted = options.decoded_episodes
    if wanted is None or len(episodes) <= max(wanted, 2):
        return episodes
    inner = episodes[1:-1]
    rank = _scattered(inner, options.seed)
    chosen = inner[np.argsort(rank, kind="stable")[: max(wanted - 2, 0)]]
    return np.sort(np.concatenate([episodes[:1], chosen, episodes[-1:]]))


def reason_without_windows(context: VerificationContext) -> str:
    """Return the reason why no windows (short ranges of frames) are decoded although the options request them.

    The reason is a clause; it is empty if windows are decoded.
    """
    # At the level `decode`, a missing decoder fails every check of pictures.
    if context.options.looks_at("decode"):
        return ""
    if not context.data_root.is_local:
        return "the videos are in a store, from which this level reads only headers"
    return "" if has_decoder() else "PyAV is not installed"


def choose_windows(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> tuple[FrameWindow, ...]:
    """Return the windows of a file in the order of its frames. Each window has a different sync sample, never the file's first one.

    The option `window_count` gives the number of windows that are spread over the file. The first window is at the first possible
    sync sample. In addition, each decoded episode gets a window at a sync sample after the episode's first frame. For a file in a
    store, all windows are within decoded episodes, since they are compared with the pictures of these episodes.
    """
    options = context.options
    if not options.window_count or reason_without_windows(context):
        return ()
    starts = _window_starts(video)
    if not context.data_root.is_local:
        starts = starts[np.isin(owners(video.view)[starts], file.decoded)]
    if not len(starts):
        return ()
    owner = owners(video.view)
    seed = options.seed + zlib.crc32(file.path.encode(errors="surrogatepass"))
    chosen = _spread(starts, options.window_count, seed)
    for position in file.decoded:
        within = starts[(owner[starts] == position) & (starts > video.view.first[position])]
        chosen = np.concatenate([chosen, _spread(within, 1, seed, with_first=False)])
    length = WINDOW_FRAMES if options.looks_at("decode") else SHORT_WINDOW_FRAMES
    return tuple(
        _window(video.view, starts, frame, int(owner[frame]), length=length, seed=seed)
        for frame in np.unique(chosen).tolist()
    )


def owners(view: FrameView) -> Int64Array:
    """Return the position in `view` of the episode that each frame belongs to; -1 for a frame of no episode. Shape [frames]."""
    owner = np.full(view.frame_count, -1, np.int64)
    for position, (first, stop) in enumerate(zip(view.first.tolist(), view.stop.tolist(), strict=True)):
        owner[max(first, 0) : max(stop, 0)] = position
    return owner


def _window_starts(video: ParsedVideo) -> Int64Array:
    """Return the frame numbers of all sync samples that belong to an episode, except the file's first sync sample; ascending."""
    table, view = video.table, video.view
    rank = np.full(len(table), -1, np.int64)
    rank[view.decode_position] = np.arange(view.frame_count)
    frames = rank[np.flatnonzero(table.is_sync)[1:]]
    frames = np.sort(frames[frames >= 0])
    belongs: Int64Array = frames[owners(view)[frames] >= 0]
    return belongs


def _spread(frames: Int64Array, count: int, seed: int, *, with_first: bool = True) -> Int64Array:
    """Divide the frames into `count` parts of equal size, and return one frame of each part.

    A hash chooses the frame. With `with_first`, the first part returns its first frame instead.
    """
    if len(frames) <= count:
        return frames
    bounds = np.linspace(0, len(frames), count + 1).astype(np.int64)
    size = np.diff(bounds)
    picked = bounds[:-1] + (_scattered(frames[bounds[:-1]], seed) % size.astype(np.uint64)).astype(np.int64)
    if with_first:
        picked[0] = 0
    return frames[picked]


def _window(view: FrameView, starts: Int64Array, frame: int, position: int, *, length: int, seed: int) -> FrameWindow:
    first, stop = int(view.first[position]), int(view.stop[position])
    following = starts[np.searchsorted(starts, frame, side="right") :]
    room = min(int(following[0]) if len(following) else stop, stop) - frame
    late = int(_scattered(np.array([frame], np.int64), seed)[0] % np.uint64(min(LATEST_START_FRAMES + 1, room)))
    start = frame + late - first
    return FrameWindow(position, start, min(start + length, stop - first))


def _scattered(numbers: Int64Array, seed: int) -> npt.NDArray[np.uint64]:
    """Return a hash of each number together with the seed."""
    return _hashed(numbers.astype(np.uint64) + _hashed(np.array([seed % (1 << 64)], np.uint64)))


def _hashed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Apply SplitMix64's output function, a permutation of 64-bit numbers that scatters neighbours."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))

"""The video frames of a batch: which stretches to fetch and decode for them, and their pictures."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from episeek.byte_index import ByteIndex
from episeek.clip import Clip
from episeek.episode_samples import EpisodeSamples

FrameKey = tuple[int, str, int]
"""Episode, camera and frame of the episode."""

MAX_STRETCH_FRAMES = 256
"""Frames from the first to the last of a stretch, so that its bytes and pictures stay few."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Frames of one episode and camera that are fetched in one range and decoded in one go."""

    clip: Clip
    frames: tuple[int, ...]
    """The wanted frames of the episode, ascending."""


def plan_stretches(index: ByteIndex, wanted: Iterable[FrameKey]) -> list[Stretch]:
    """Return the stretches that hold all wanted frames, each of them once.

    Frames share a stretch where decoding the second would begin before the first is decoded anyway.
    """
    by_episode: dict[tuple[int, str], set[int]] = defaultdict(set)
    for episode, camera, frame in wanted:
        by_episode[episode, camera].add(frame)
    stretches = []
    for (episode, camera), frames in by_episode.items():
        samples = index.episode_samples(episode, camera)
        for run in _runs(samples, sorted(frames)):
            stretches.append(Stretch(samples.clip(run[0], run[-1] + 1, index.source), tuple(run)))
    return stretches


def _runs(samples: EpisodeSamples, frames: list[int]) -> Iterator[list[int]]:
    """Return the frames of each stretch: one joins it if its decoding begins no later than where the stretch ends.

    Args:
        samples: The samples of the episode.
        frames: Wanted frames, ascending; those outside the episode get stretches of their own.
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
    index: ByteIndex, stretches: list[Stretch], *, max_in_flight: int = 16
) -> dict[FrameKey, npt.NDArray[Any]]:
    """Fetch and decode stretches, near ranges of a file in one request.

    Returns:
        The picture of each frame, uint8 [3, height, width], or uint16 [1, height, width] for depth.
    """
    payloads = index.fetch_clips([stretch.clip for stretch in stretches], max_in_flight=max_in_flight)
    pictures: dict[FrameKey, npt.NDArray[Any]] = {}
    for stretch, payload in zip(stretches, payloads, strict=True):
        clip = stretch.clip
        decoded = clip.decode_payload(payload, frames=[frame - clip.start for frame in stretch.frames])
        for frame, picture in zip(stretch.frames, decoded, strict=True):
            pictures[clip.episode_index, clip.camera_key, frame] = picture
    return pictures

"""The video frames of a batch: which stretches to fetch and decode for them, and their pictures."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek.byte_index import ByteIndex
from episeek.clip import Clip

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
        ordered = sorted(frames)
        run = [ordered[0]]
        keyframes = np.sort(index.keyframes(episode, camera).frame_index) if len(ordered) > 1 else None
        for frame in ordered[1:]:
            assert keyframes is not None
            start = keyframes[max(int(np.searchsorted(keyframes, frame, side="right")) - 1, 0)]
            if start <= run[-1] and frame - run[0] < MAX_STRETCH_FRAMES:
                run.append(frame)
            else:
                stretches.append(_stretch(index, episode, camera, run))
                run = [frame]
        stretches.append(_stretch(index, episode, camera, run))
    return stretches


def _stretch(index: ByteIndex, episode: int, camera: str, frames: list[int]) -> Stretch:
    return Stretch(index.clip(episode, camera, frames[0], frames[-1] + 1), tuple(frames))


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

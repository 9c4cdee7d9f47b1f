"""VID028: find pictures that stand still while the scene moves, by comparing reduced copies of the pictures.

Unchanged pictures alone prove nothing. If a robot rests in front of a noisy camera, LeRobot's encoding (AV1, g=2, crf 30) makes
half of all consecutive pairs bit-identical, and HEVC with g=30 makes nine of ten pairs bit-identical. In a simulated scene all
pairs are bit-identical. Therefore the first two of these measures require motion around the unchanged pictures:

- *frozen*: for 0.5 s or more, all pictures show the same as the first of them. The scene moves directly before and directly after
  these pictures. After the last of them, the scene jumps by at least 4 times its later motion per frame, because it moved while the
  pictures stood still. A robot that rested starts with a step as small as the following steps.
- *repeated*: during strong motion, at least 30 % of the pairs of neighbouring pictures are bit-identical, and at least 10 pairs:
  the camera delivers fewer pictures than are recorded. Jerky motion gave up to 24 %. In slow motion, AV1 at crf 45 and more repeats
  every second picture, but the changes stay below 20 levels, which is not strong motion.
- *nothing changes*: in an episode of 2 s or more, no picture differs from the first picture.

The change between two pictures is the largest mean absolute difference of luma in any tile, in levels of 0 to 255. A tile has
16 x 16 pixels in a picture of 64 to 959 pixels in width, and more pixels in a wider picture. Measured on pictures with noise of 0.5
to 3 levels, encoded as AV1, H.264 and HEVC at crf 23 to 45, still scenes change by up to 7 levels (at a keyframe that refreshes the
noise), and a textured edge that moves by two pixels changes by 12 or more. Hence the limit of 8 levels for motion.

These defects are not found, on purpose: a freeze while the robot rests, at the start or at the end of an episode; a camera that
delivers two thirds of the rate; repeated frames that the encoder does not keep bit-identical (x264, x265).
"""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from episeek_pipelines.verify.videos.picture_reader import is_same_picture, luma, luma_bits

if TYPE_CHECKING:
    from av import VideoFrame

MOTION_LEVELS = 8.0
FROZEN_SECONDS = 0.5
UNCHANGED_SECONDS = 2.0
JUMP_RATIO = 4.0
REPEATED_SHARE = 0.3
STRONG_MOTION_LEVELS = 20.0
REPEATED_COUNT = 10

_NEAR_PAIRS = 5
"""Number of pairs of consecutive pictures that decide whether the scene moves before or after a run of unchanged pictures."""

_TILE = 8
_THINNED_WIDTH = 320

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Change:
    """The change between two pictures, in levels of 0 to 255."""

    peak: float
    """The mean absolute difference in the tile that changes most."""
    mean: float

    @property
    def is_motion(self) -> bool:
        """Whether the change is larger than encoding alone causes in a still scene."""
        return self.peak >= MOTION_LEVELS


@dataclass(frozen=True, slots=True)
class FrozenRun:
    """A range `[start, stop)` of frames that all show the same as frame `start`."""

    start: int
    stop: int


@dataclass(slots=True)
class _Held:
    """A run of unchanged pictures that is long enough to be reported as frozen.

    The run is reported if the scene moves in the pictures after it, and if the picture changes abruptly at its end.
    """

    run: FrozenRun
    jump: Change
    after: list[Change] = field(default_factory=list)


class PictureChanges:
    """Measures the changes between the pictures of an episode, which `add` takes in order.

    Only the last picture and small copies of three pictures are kept in memory.
    """

    def __init__(self, *, fps: float) -> None:
        self._fps = fps
        self.frozen: list[FrozenRun] = []
        """The frozen runs found so far."""
        self.picture_count = 0
        self.repeats: list[int] = []
        """The numbers of the frames that repeat the previous picture although the scene moves."""
        self.moving_count = 0
        """The number of pairs of consecutive pictures that differ by strong motion."""
        self._is_as_first = True
        self._first: FloatArray | None = None
        self._last: FloatArray | None = None
        self._last_frame: VideoFrame | None = None
        self._anchor: FloatArray | None = None
        self._anchor_number = 0
        self._before_anchor: list[Change] = []
        self._near: deque[Change] = deque(maxlen=_NEAR_PAIRS)
        self._held: list[_Held] = []
        self._pending_repeats = 0
        self._was_motion = False

    def add(self, frame: "VideoFrame") -> None:
        """Take the next picture of the episode."""
        small = _small_copy(frame)
        number, self.picture_count = self.picture_count, self.picture_count + 1
        if self._last is None or self._last_frame is None or small.shape != self._last.shape:
            self._first = self._anchor = small
            self._anchor_number = number
        else:
            change = _change(self._last, small)
            is_repeat = not change.peak and is_same_picture(self._last_frame, frame)
            self._count_repeats(number, change, is_repeat=is_repeat)
            self._follow_runs(number, small, change)
            if self._is_as_first and self._first is not None:
                self._is_as_first = not _change(self._first, small).is_motion
        self._last, self._last_frame = small, frame

    @property
    def never_changes(self) -> bool:
        """Whether all pictures show the same as the first one, and the episode lasts `UNCHANGED_SECONDS` or longer."""
        return self._is_as_first and self.picture_count >= UNCHANGED_SECONDS * self._fps

    @property
    def repeated_count(self) -> int:
        """The number of frames that repeat the previous picture although the scene moves."""
        return len(self.repeats)

    @property
    def repeats_frames(self) -> bool:
        """Whether so many frames repeat the previous picture, although the scene moves, that VID028 is reported."""
        moving = self.repeated_count + self.moving_count
        return self.repeated_count >= max(REPEATED_COUNT, REPEATED_SHARE * moving)

    def _count_repeats(self, number: int, change: Change, *, is_repeat: bool) -> None:
        """Record repeated frames if the last change before them and the first change after them are strong motion.

        Args:
            number: The number of the new frame.
            change: The change from the previous picture.
            is_repeat: Whether the new picture is bit-identical with the previous one.
        """
        if is_repeat:
            self._pending_repeats += self._was_motion
            return
        is_strong = change.peak >= STRONG_MOTION_LEVELS
        if is_strong:
            self.moving_count += 1
            if self._pending_repeats < FROZEN_SECONDS * self._fps:
                self.repeats.extend(range(number - self._pending_repeats, number))
        self._pending_repeats = 0
        self._was_motion = is_strong

    def _follow_runs(self, number: int, small: FloatArray, change: Change) -> None:
        for held in self._held:
            held.after.append(change)
        if self._held and len(self._held[0].after) == _NEAR_PAIRS:
            held = self._held.pop(0)
            moved = float(np.median([pair.mean for pair in held.after]))
            if _moves(held.after) and held.jump.mean >= JUMP_RATIO * moved:
                self.frozen.append(held.run)
        assert self._anchor is not None
        if _change(self._anchor, small).is_motion:
            pairs = number - 1 - self._anchor_number
            is_long = pairs >= max(FROZEN_SECONDS * self._fps, _NEAR_PAIRS)
            if is_long and _moves(self._before_anchor) and change.is_motion:
                self._held.append(_Held(FrozenRun(self._anchor_number, number), change))
            self._near.append(change)
            self._anchor, self._anchor_number = small, number
            self._before_anchor = list(self._near)
        else:
            self._near.append(change)


def _moves(pairs: list[Change]) -> bool:
    """Return whether most of the given changes are motion; False if they are too few to decide."""
    return len(pairs) == _NEAR_PAIRS and 2 * sum(pair.is_motion for pair in pairs) > len(pairs)


def _small_copy(frame: "VideoFrame") -> FloatArray:
    """Return every n-th row and column of the luma of a picture, in levels of 0 to 255."""
    picture = luma(frame)
    step = max(picture.shape[1] // _THINNED_WIDTH, 2 if picture.shape[1] >= 8 * _TILE else 1)
    small: FloatArray = picture[::step, ::step].astype(np.float32)
    small /= np.float32(1 << (luma_bits(frame) - 8))
    return small


def _change(one: FloatArray, other: FloatArray) -> Change:
    difference = np.abs(other - one)
    height, width = (max(side // _TILE, 1) for side in difference.shape)
    tiles = difference[: height * _TILE, : width * _TILE]
    if min(difference.shape) >= _TILE:
        tiles = tiles.reshape(height, _TILE, width, _TILE).mean(axis=(1, 3))
    return Change(float(tiles.max()), float(difference.mean()))

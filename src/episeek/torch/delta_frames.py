"""Find the frames of a feature that belong to an item: the frames at its `delta_timestamps`, or else the item's own frame."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class DeltaFrames:
    """Finds the frames of a feature that belong to an item.

    A feature in `delta_timestamps` has one frame for each of its times. Every other feature has only the item's own frame.

    Args:
        delta_timestamps: For each feature, seconds relative to the item's frame; None if no feature has any.
        features: The features of the dataset.
        fps: Frames per second.
        tolerance_s: Largest difference, in seconds, between a time and a multiple of the frame interval 1/fps.

    Raises:
        ValueError: A time is not a multiple of the frame interval, or a feature is unknown or has no times.
    """

    def __init__(
        self,
        delta_timestamps: Mapping[str, Sequence[float]] | None,
        *,
        features: Mapping[str, Any],
        fps: float,
        tolerance_s: float,
    ) -> None:
        self.indices: dict[str, list[int]] | None = None
        """For each feature in `delta_timestamps`, the times as frame offsets from the item's frame; None without such times."""
        if delta_timestamps is None:
            return
        self.indices = {}
        for key, seconds in delta_timestamps.items():
            if key not in features:
                raise ValueError(f"delta_timestamps: found {key!r}; expected one of {list(features)}")
            if not len(seconds):
                raise ValueError(f"delta_timestamps of {key!r}: found no times; expected one or more")
            frames = [round(second * fps) for second in seconds]
            off = [s for s, frame in zip(seconds, frames, strict=True) if abs(s * fps - frame) / fps > tolerance_s]
            if off:
                raise ValueError(
                    f"delta_timestamps of {key!r}: found {off[0]} s; expected multiples of 1/{fps:g} s, "
                    f"with a tolerance of {tolerance_s:g} s"
                )
            self.indices[key] = frames

    def has(self, key: str) -> bool:
        """Return whether an item has a stack of values for a feature instead of a single value."""
        return self.indices is not None and key in self.indices

    def frames(self, key: str, row: int, length: int) -> list[int]:
        """Return the frames of a feature that belong to an item, as frame numbers within the episode.

        A frame before the start of the episode is replaced by the first frame, and a frame after the end by the last frame.

        Args:
            key: The feature.
            row: The frame number of the item in its episode.
            length: Number of frames of the episode.
        """
        if self.indices is None or key not in self.indices:
            return [row]
        return [min(max(row + delta, 0), length - 1) for delta in self.indices[key]]

    def is_outside(
        self, key: str, rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Return, for each item and each time in `delta_timestamps`, whether the frame is outside of the item's episode.

        The result has the shape [items, times].

        Args:
            key: A feature with `delta_timestamps`.
            rows: The frame number of each item in its episode, shape [items].
            lengths: Number of frames of each item's episode, shape [items].
        """
        assert self.indices is not None
        wanted = rows[:, None] + np.asarray(self.indices[key], np.int64)
        return (wanted < 0) | (wanted >= lengths[:, None])

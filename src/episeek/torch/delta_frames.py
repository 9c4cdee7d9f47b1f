"""Find the frames of each feature that belong to an item: those at `delta_timestamps` from its own frame, within its episode."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class DeltaFrames:
    """Gives the frames of each feature that belong to an item; the item's own frame for features without `delta_timestamps`.

    Args:
        delta_timestamps: For each feature, seconds relative to the item's frame; None if no feature has any.
        features: The features of the dataset.
        fps: Frames per second.
        tolerance_s: Largest distance, in seconds, of a time from a multiple of the frame interval 1/fps.

    Raises:
        ValueError: A time is not such a multiple, or a feature is unknown or has no times.
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
        """`delta_timestamps` in frames relative to the item's frame, for each feature; None without `delta_timestamps`."""
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
                    f"to {tolerance_s:g} s"
                )
            self.indices[key] = frames

    def has(self, key: str) -> bool:
        """Return whether items have a stack of values of a feature instead of a single value."""
        return self.indices is not None and key in self.indices

    def frames(self, key: str, row: int, length: int) -> list[int]:
        """Return the frames of a feature that belong to an item, as frame numbers in the episode, clamped to its ends.

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
        """Return whether each frame of each item lies outside its episode, shape [items, frames of an item].

        Args:
            key: A feature with `delta_timestamps`.
            rows: The frame number of each item in its episode, shape [items].
            lengths: Number of frames of each item's episode, shape [items].
        """
        assert self.indices is not None
        wanted = rows[:, None] + np.asarray(self.indices[key], np.int64)
        return (wanted < 0) | (wanted >= lengths[:, None])

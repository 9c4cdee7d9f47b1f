"""The numbers of a dataset that the report page draws as charts. No finding depends on them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array


def _no_ints() -> Int64Array:
    return np.zeros(0, np.int64)


def _no_floats() -> Float64Array:
    return np.zeros(0, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class CameraFigures:
    """The figures of one camera, from the headers of its videos.

    The first three arrays have shape [episodes] and are sorted by episode_index.
    """

    camera_key: str
    episode_index: Int64Array = field(default_factory=_no_ints)
    byte_count: Int64Array = field(default_factory=_no_ints)
    """Size of the encoded frames of each episode, in bytes."""
    drift_seconds: Float64Array = field(default_factory=_no_floats)
    """from_timestamp minus the time of the episode's first frame, in seconds; NaN if the first frame is unknown."""
    interval_frames: Int64Array = field(default_factory=_no_ints)
    """The distinct distances from a keyframe to the next one, in frames in decode order, sorted; shape [intervals]."""
    interval_count: Int64Array = field(default_factory=_no_ints)
    """Number of times that each distance in `interval_frames` occurs; shape [intervals]."""

    @classmethod
    def joined(cls, camera_key: str, parts: Sequence["CameraFigures"]) -> "CameraFigures":
        """Return the figures of a camera, joined from the figures of its files."""
        index = np.concatenate([part.episode_index for part in parts])
        order = np.argsort(index, kind="stable")
        interval, which = np.unique(np.concatenate([part.interval_frames for part in parts]), return_inverse=True)
        count = np.zeros(len(interval), np.int64)
        np.add.at(count, which.reshape(-1), np.concatenate([part.interval_count for part in parts]))
        return cls(
            camera_key,
            index[order],
            np.concatenate([part.byte_count for part in parts])[order],
            np.concatenate([part.drift_seconds for part in parts])[order],
            interval,
            count,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """The figures of a dataset. Arrays have shape [episodes] and are sorted by episode_index."""

    episode_index: Int64Array = field(default_factory=_no_ints)
    episode_length: Int64Array = field(default_factory=_no_ints)
    """Number of frames of each episode, according to the metadata."""
    fps: float = 0.0
    cameras: tuple[CameraFigures, ...] = ()
    """The figures of the cameras, in the order of the video features; empty at the level `meta`."""

"""Numbers about a dataset that were seen on the way: what the report page draws. They take no part in judging it."""

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
    """Of one camera, where its video headers were read; the first three have shape [episodes], by rising episode_index."""

    camera_key: str
    episode_index: Int64Array = field(default_factory=_no_ints)
    byte_count: Int64Array = field(default_factory=_no_ints)
    """Encoded bytes of the episode's frames."""
    drift_seconds: Float64Array = field(default_factory=_no_floats)
    """from_timestamp minus the time of the episode's first frame; NaN where nothing says which that is."""
    interval_frames: Int64Array = field(default_factory=_no_ints)
    """Distinct distances of neighbouring keyframes in frames, in decode order, rising; shape [distances]."""
    interval_count: Int64Array = field(default_factory=_no_ints)
    """How often each of them occurs; shape [distances]."""

    @classmethod
    def joined(cls, camera_key: str, parts: Sequence["CameraFigures"]) -> "CameraFigures":
        """Those of a camera's files as those of the camera."""
        index = np.concatenate([part.episode_index for part in parts])
        order = np.argsort(index, kind="stable")
        distance, which = np.unique(np.concatenate([part.interval_frames for part in parts]), return_inverse=True)
        count = np.zeros(len(distance), np.int64)
        np.add.at(count, which.reshape(-1), np.concatenate([part.interval_count for part in parts]))
        return cls(
            camera_key,
            index[order],
            np.concatenate([part.byte_count for part in parts])[order],
            np.concatenate([part.drift_seconds for part in parts])[order],
            distance,
            count,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Of a dataset; arrays have shape [episodes], by rising episode_index."""

    episode_index: Int64Array = field(default_factory=_no_ints)
    episode_length: Int64Array = field(default_factory=_no_ints)
    """Frames, as declared."""
    fps: float = 0.0
    cameras: tuple[CameraFigures, ...] = ()
    """In the order of the dataset's video features; empty at the level `meta`."""

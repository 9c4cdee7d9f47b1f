"""Describe where the videos of a dataset are: the template of their paths, and the columns of meta/episodes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek_pipelines.dataset.metadata import CameraColumns
from episeek_schemas import lerobot


@dataclass(frozen=True, slots=True, eq=False)
class VideoLocations:
    """The video file, the start and the end of every episode, for each camera."""

    video_path: str
    """The path template of meta/info.json."""
    cameras: Mapping[str, CameraColumns]
    """The columns of each camera, by camera key; one value for each row of meta/episodes."""

    def columns(self) -> dict[str, npt.NDArray[np.int64] | npt.NDArray[np.float64]]:
        """Return the columns of meta/episodes that locate the videos, by the names that they have there."""
        return {
            lerobot.video_column(key, field): getattr(columns, field)
            for key, columns in self.cameras.items()
            for field in lerobot.VIDEO_FIELDS
        }

"""The metadata of a dataset under LeRobot's names, so that LeRobot's samplers, policies and processors can use it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek.rows.dataset_rows import DatasetRows


class Metadata:
    """The attributes of LeRobot's `LeRobotDatasetMetadata` that reading and training use.

    Args:
        rows: The rows of the dataset.
    """

    def __init__(self, rows: DatasetRows) -> None:
        self._rows = rows
        self.info: Mapping[str, Any] = rows.info.document
        """The contents of `meta/info.json`."""
        self.fps = self.info["fps"]
        """The value `fps` of `meta/info.json`, in frames per second."""
        self.features = {key: _with_tuple_shape(feature) for key, feature in rows.info.features.items()}
        """The features of `meta/info.json` by key, with their shapes as tuples."""
        self.video_keys = list(rows.info.info.video_keys)
        """Keys of the cameras whose pictures are in videos."""
        self.image_keys = list(rows.info.info.image_keys)
        """Keys of the cameras whose pictures are in the rows."""
        cameras = {*self.video_keys, *self.image_keys}
        self.camera_keys = [key for key in self.features if key in cameras]
        """Keys of all cameras, in the order of `features`."""
        self.robot_type = self.info.get("robot_type")
        self.total_episodes = rows.info.info.total_episodes
        self.total_frames = rows.info.info.total_frames

    @property
    def names(self) -> dict[str, Any]:
        """Names of the dimensions of each feature; None for a feature without names."""
        return {key: feature.get("names") for key, feature in self.features.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each feature."""
        return {key: tuple(feature["shape"]) for key, feature in self.features.items()}

    @property
    def stats(self) -> Mapping[str, Mapping[str, npt.NDArray[Any]]]:
        """Statistics of each feature by name, such as "mean"; empty if the dataset has no statistics."""
        return self._rows.stats

    @property
    def tasks(self) -> Mapping[int, str]:
        """Text of each task by its task_index."""
        return self._rows.tasks

    @property
    def episodes(self) -> dict[str, Sequence[int]]:
        """The columns episode_index, length, dataset_from_index and dataset_to_index, each with one value per episode."""
        length = self._rows.places.length
        stop = np.cumsum(length)
        return {
            "episode_index": list(range(len(length))),
            "length": length.tolist(),
            "dataset_from_index": (stop - length).tolist(),
            "dataset_to_index": stop.tolist(),
        }


def _with_tuple_shape(feature: Mapping[str, Any]) -> dict[str, Any]:
    shape = feature.get("shape")
    return {**feature, "shape": tuple(shape)} if isinstance(shape, list) else dict(feature)

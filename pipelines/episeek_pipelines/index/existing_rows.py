"""Read the rows of one video file from the existing sidecars, in the form in which the index step makes them.

The index step uses these rows for a file that has not changed, so that it need not read the file.
"""

import threading
import warnings

import numpy as np
import numpy.typing as npt

from episeek.errors import EpiseekError, SidecarLayoutWarning
from episeek.sidecars.files import SidecarFiles, open_sidecars
from episeek.sidecars.mapped_table import MappedTable
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.sample_widths import narrowest
from episeek_schemas import sidecars

Int64Array = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[np.generic]]

_INT64_COLUMNS = ("mdat_offset", "mdat_length", "first_frame_tick", "sample_count", "keyframe_count", "lead_in_count")
_FRAGMENT_COLUMNS = {
    "episode_index": np.int64,
    "frame_count": np.int64,
    "first_pts": np.float64,
    "last_pts": np.float64,
}


class ExistingRows:
    """The memory-mapped tables of one build. Each process opens them at first use, and only their location is pickled.

    Args:
        root: The dataset root above the sidecars.
        build_id: Id of the build. Sidecars that have another id when they are opened are not used.
    """

    def __init__(self, root: Root, build_id: str) -> None:
        self._root = root
        self._build_id = build_id
        self._lock = threading.Lock()
        self._opened: SidecarFiles | None = None
        self._is_unusable = False

    def __reduce__(self) -> tuple[type["ExistingRows"], tuple[Root, str]]:
        return ExistingRows, (self._root, self._build_id)

    def tables(self) -> SidecarFiles | None:
        """Return the tables, or None if they cannot be mapped or belong to another build."""
        with self._lock:
            if self._opened is None and not self._is_unusable:
                self._opened = _open(self._root, self._build_id)
                self._is_unusable = self._opened is None
            return self._opened

    def arrays(self, episode_index: Int64Array, camera_index: int) -> Arrays | None:
        """Return the rows of a file as the index step makes them, or None if the tables cannot be used or lack an episode.

        Args:
            episode_index: The episodes of the file, in declared order.
            camera_index: The camera of the file.
        """
        opened = self.tables()
        if opened is None:
            return None
        camera_count = len(opened.dataset.video_keys)
        try:
            return _arrays(opened, episode_index * camera_count + camera_index)
        except (IndexError, ValueError):
            # an episode without a row, or a row that refers to rows outside of a table
            return None


def _open(root: Root, build_id: str) -> SidecarFiles | None:
    try:
        with warnings.catch_warnings(action="error", category=SidecarLayoutWarning):
            opened = open_sidecars(root.source())
    except (EpiseekError, SidecarLayoutWarning):
        return None
    return opened if opened.build_id == build_id else None


def _arrays(opened: SidecarFiles, rows: Int64Array) -> Arrays:
    episodes = opened.tables["episodes"]
    arrays: Arrays = {f"episodes/{name}": _values(episodes, name, rows, np.dtype(np.int64)) for name in _INT64_COLUMNS}
    for name, dtype in _FRAGMENT_COLUMNS.items():
        arrays[f"episodes/{name}"] = _values(episodes, name, rows, np.dtype(dtype))
    for table, count_name, start_name, columns in (
        ("samples", "sample_count", "sample_start", sidecars.SAMPLES.names),
        ("keyframes", "keyframe_count", "keyframe_start", sidecars.KEYFRAMES.names[1:]),
    ):
        start = _values(episodes, start_name, rows, np.dtype(np.int64))
        count = np.asarray(arrays[f"episodes/{count_name}"], np.int64)
        if (count < 0).any():
            raise ValueError(f"{count_name} below 0")
        arrays[f"episodes/{start_name}"] = np.cumsum(count) - count
        ends = np.asarray(start, np.int64) + count
        opened.tables[table].fetch(list(zip(start.tolist(), ends.tolist(), strict=True)))
        for name in columns:
            column = opened.tables[table].columns[name]
            parts = [
                column.slice(first, first + row_count)
                for first, row_count in zip(start.tolist(), count.tolist(), strict=True)
            ]
            values = np.concatenate(parts).astype(column.dtype)
            arrays[f"{table}/{name}"] = narrowest(name, values) if table == "samples" else values
    return arrays


def _values(table: MappedTable, name: str, rows: Int64Array, dtype: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
    column = table.columns[name]
    if len(rows) and int(rows[-1]) - int(rows[0]) == len(rows) - 1 and (np.diff(rows) == 1).all():
        return column.slice(int(rows[0]), int(rows[-1]) + 1).astype(dtype)
    return np.array([column.value(row) for row in rows.tolist()], dtype)

"""Find the files of a dataset that need not be read again because the existing sidecars have their rows.

A file is unchanged if the sidecars have a row with its path, and this row records the same size, the same identity of its content
in the store, and the same declared episodes. A file whose episodes do not follow one another without gaps is always read again,
because the sidecars do not contain the warnings about it. Existing sidecars are trusted only as a whole: their build id is first
computed again from all of their rows. If they cannot be used, the headers of all files are read.
"""

import json
from dataclasses import replace

import numpy as np

from episeek.errors import EpiseekError
from episeek.sidecars.file_record import FileProperties
from episeek.sidecars.files import SidecarFiles
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.build_id import build_id_of, fragment_digest
from episeek_pipelines.index.existing_build import ExistingBuild, properties_of, read_existing_build
from episeek_pipelines.index.existing_rows import ExistingRows
from episeek_pipelines.index.units import IndexUnit
from episeek_pipelines.video.decoding_starts.choice import FEW_COUNT
from episeek_pipelines.video.episode_frames import is_counted_alone
from episeek_schemas.lerobot import DatasetInfo


def with_unchanged(
    units: list[IndexUnit], target: Root, info: DatasetInfo
) -> tuple[list[IndexUnit], ExistingRows | None]:
    """Mark the unchanged files. Return all files, and the existing rows from which the rows of unchanged files are copied.

    Args:
        units: The files to index.
        target: The root that may contain sidecars.
        info: The parsed meta/info.json.

    Returns:
        The units in the same order, and the existing rows, or None in place of the rows if no file is unchanged.
    """
    if not any(unit.identity is not None and unit.identity.store_id for unit in units):
        # nothing proves that a local file is unchanged
        return units, None
    try:
        build = read_existing_build(target)
    except EpiseekError:
        return units, None
    if build.outdated() is not None or video_keys(build) != list(info.video_keys):
        return units, None
    marked = [replace(unit, unchanged=_unchanged(unit, build, fps=info.fps)) for unit in units]
    if not any(unit.unchanged for unit in marked):
        return units, None
    existing = ExistingRows(target, build.build_id)
    opened = existing.tables()
    if opened is None or not _holds_together(build, opened, existing):
        return units, None
    return marked, existing


def video_keys(build: ExistingBuild) -> list[str]:
    """Return the names of the cameras of a build; an empty list if its footer does not list them."""
    try:
        keys = json.loads(build.description)["video_keys"]
    except (ValueError, KeyError, TypeError):
        return []
    return keys if isinstance(keys, list) else []


def _unchanged(unit: IndexUnit, build: ExistingBuild, *, fps: float) -> FileProperties | None:
    record = build.files.get(unit.path)
    identity = unit.identity
    if record is None or identity is None or not identity.store_id:
        return None
    is_same = (identity.size, identity.store_id) == (record.file_size, record.store_id) and unit.episodes.digest(
        camera_index=unit.camera_index, fps=fps
    ) == record.episodes_sha256
    is_plain = is_counted_alone(unit.episodes, record.sample_count, fps=fps)
    # if a file has few sync samples, "auto" inspects all of them, but possibly none of its other samples
    is_looked_at = unit.keyframes == "auto" or (FEW_COUNT < record.sync_samples_inspected == record.sync_sample_count)
    return properties_of(record) if is_same and is_plain and is_looked_at else None


def _holds_together(build: ExistingBuild, opened: SidecarFiles, existing: ExistingRows) -> bool:
    """Return whether the build id that is computed again from all rows equals the build id in the footers."""
    camera_count = len(opened.dataset.video_keys)
    table = opened.tables["episodes"]
    column = {
        name: table.columns[name].slice(0, table.row_count)
        for name in ("global_episode_id", "episode_index", "camera_index", "file_id", "first_pts")
    }
    ids = np.arange(table.row_count)
    episodes, cameras = np.divmod(ids, camera_count)
    if not (
        np.array_equal(column["global_episode_id"], ids)
        and np.array_equal(column["episode_index"], episodes)
        and np.array_equal(column["camera_index"], cameras)
    ):
        return False
    order = np.lexsort((column["episode_index"], column["first_pts"], column["file_id"]))
    bounds = np.searchsorted(column["file_id"][order], np.arange(len(build.files) + 1))
    if bounds[0] != 0 or bounds[-1] != len(order):
        return False
    digests = []
    for record, start, stop in zip(build.files.values(), bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = order[start:stop]
        if not len(rows) or (cameras[rows] != cameras[rows[0]]).any():
            return False
        arrays = existing.arrays(episodes[rows], int(cameras[rows[0]]))
        if arrays is None:
            return False
        digests.append(fragment_digest(record, arrays))
    return build_id_of(build.description, digests) == build.build_id

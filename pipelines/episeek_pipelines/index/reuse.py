"""Which files of a dataset need not be read again, since the sidecars of an earlier run say of them what reading would.

A file is unchanged where its path, its size, the store's identity of its content and what is declared of its episodes are
those of its row. Nothing is believed of sidecars that do not hold together: the id of their build is worked out again from
every one of their rows first. What cannot be used costs reading the headers, and nothing else.
"""

import json
from dataclasses import asdict, replace

import numpy as np

from episeek.errors import EpiseekError
from episeek.sidecars.file_record import FileFacts, FileRecord
from episeek.sidecars.files import SidecarFiles
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.existing_build import ExistingBuild, read_existing_build
from episeek_pipelines.index.existing_rows import ExistingRows
from episeek_pipelines.index.fragments import fragment_digest
from episeek_pipelines.index.merge import build_id_of
from episeek_pipelines.index.units import (
    WRITER,
    IndexUnit,
)
from episeek_schemas.lerobot import DatasetInfo


def with_unchanged(
    units: list[IndexUnit], target: Root, info: DatasetInfo
) -> tuple[list[IndexUnit], ExistingRows | None]:
    """The units, those of unchanged files marked, and where their rows are.

    Args:
        units: What is to be indexed.
        target: The root below which an earlier run may have written sidecars.
        info: The dataset's facts.
    """
    if not any(unit.identity is not None and unit.identity.store_id for unit in units):
        return units, None  # local files: nothing tells for certain that they are the same
    try:
        build = read_existing_build(target)
    except EpiseekError:
        return units, None
    if build.writer != WRITER or video_keys(build) != list(info.video_keys):
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
    """The cameras of a build; none where its footer does not say."""
    try:
        keys = json.loads(build.description)["video_keys"]
    except (ValueError, KeyError, TypeError):
        return []
    return keys if isinstance(keys, list) else []


def _unchanged(unit: IndexUnit, build: ExistingBuild, *, fps: float) -> FileFacts | None:
    record = build.files.get(unit.path)
    identity = unit.identity
    if record is None or identity is None or not identity.store_id:
        return None
    is_same = (identity.size, identity.store_id) == (record.file_size, record.store_id) and unit.episodes.digest(
        camera_index=unit.camera_index, fps=fps
    ) == record.episodes_sha256
    return _facts(record) if is_same else None


def _facts(record: FileRecord) -> FileFacts:
    return FileFacts(**{name: value for name, value in asdict(record).items() if name != "file_id"})


def _holds_together(build: ExistingBuild, opened: SidecarFiles, existing: ExistingRows) -> bool:
    """Whether the build's id follows from its rows."""
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
        digests.append(fragment_digest(_facts(record), arrays))
    return build_id_of(build.description, digests) == build.build_id

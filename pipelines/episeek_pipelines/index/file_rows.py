"""Read the header of a video file, and compute the rows of the sidecars that describe the file.

One `IndexUnit` per file contains its path, its identity in the store's listing, and the episodes declared in it. The rows of
a file become a fragment, a small `.npz`, with a `FragmentSummary` of a few hundred bytes. `write_sidecars` merges the
fragments in episode order, with a few of them in memory. Only some ranges of a file are read. A file whose existing rows are up
to date is not read at all. The step refuses files without a usable sample table, episodes outside their file, frames with the
same presentation time, and times that a clip cannot represent.
"""

from collections import defaultdict
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek.errors import (
    ChangedFileError,
    EpiseekError,
    EpisodeFramesError,
    MissingFileError,
    SampleTableError,
    SpanTooLargeError,
)
from episeek.mp4.moov.description_runs import description_runs
from episeek.mp4.moov.run_lengths import MAX_COMPOSITION, MAX_DURATION
from episeek.mp4.sample_table import SampleTable
from episeek.mp4.window import needed_samples
from episeek.sidecars.file_record import FileProperties, FileRecord
from episeek.stores.byte_source import CountingSource
from episeek.stores.identity import FileIdentity
from episeek.stores.kinds import kind_of
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.sample_widths import narrowest
from episeek_pipelines.index.units import Arrays, IndexUnit
from episeek_pipelines.video.alignment.encoder_starts import encoder_starts
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, EpisodeFrames
from episeek_pipelines.video.frame_problems import assign_frames, require_whole
from episeek_pipelines.video.header import read_video_header
from episeek_schemas import sidecars

_MAX_REORDERING_TICKS = MAX_COMPOSITION // 2
"""Greatest number of ticks by which a sample may be presented before a sample that precedes it in decode order.

A composition offset in a clip is at most twice this number, whichever samples the clip contains.
"""


def index_file(
    data_root: Root, unit: IndexUnit, *, fps: float
) -> tuple[FileProperties, Arrays, CountingSource, tuple[str, ...]]:
    """Read the header of one file and compute its rows.

    Returns:
        The file's row in the table `files`, its rows in the other tables as arrays, the source that counted requests and bytes,
        and warnings about episodes whose declaration contradicts the file.

    Raises:
        ChangedFileError: The file was replaced after it was listed.
        EpiseekError: The file cannot be indexed. The class of the error says why, and the message starts with the file.
    """
    source = CountingSource(data_root.source())
    listed = unit.identity or source.identity(unit.path)
    try:
        header = read_video_header(source, unit.path, file_size=listed.size, keyframes=unit.keyframes)
    except MissingFileError:
        raise
    except EpiseekError as error:
        _require_unchanged(source, unit.path, listed, failure=error)
        raise
    found = _require_unchanged(source, unit.path, listed)
    table = header.table
    properties = FileProperties(
        file_path=unit.path,
        file_size=header.file_size,
        store_id=listed.store_id or found.store_id,
        moov_sha256=header.digest,
        moov_offset=header.moov_offset,
        moov_length=len(header.moov),
        header_length=header.mdat_offset,
        faststart=header.is_faststart,
        codec=table.codec,
        width=table.width,
        height=table.height,
        timescale=table.timescale,
        sample_count=len(table),
        avg_fps=table.average_fps,
        sample_description=table.sample_description,
        container=header.container,
        track_matrix=table.matrix,
        sample_description_runs=description_runs(table.offset, table.description_index, where=unit.path),
        episodes_sha256=unit.episodes.digest(camera_index=unit.camera_index, fps=fps),
        start_description_runs=description_runs(table.offset, table.start_description_index, where=unit.path),
        sync_sample_count=header.sync_sample_count,
        sync_samples_inspected=header.sync_samples_inspected,
    )
    problem = FileRecord(file_id=0, **asdict(properties)).problem()
    if problem:
        # readers would refuse a row with these values as damaged
        raise SampleTableError(unit.path, problem, "a possible picture size, timescale and frame rate")
    if unit.is_whole:
        require_whole(table, unit.episodes, where=unit.path)
    read_marks = partial(encoder_starts, source, unit.path, table)
    frames, warnings = assign_frames(table, unit.episodes, fps=fps, where=unit.path, read_marks=read_marks)
    return properties, file_rows(table, unit.episodes, frames, where=unit.path), source, tuple(warnings)


def _require_unchanged(
    source: CountingSource, path: str, listed: FileIdentity, *, failure: EpiseekError | None = None
) -> FileIdentity:
    """Return the identity that the store sent with the ranges of a file, after checking that it equals the listed identity.

    Args:
        source: The source that read the ranges.
        path: The path of the file.
        listed: The identity of the file in the listing.
        failure: The error with which reading the file failed. If the identity cannot be read either, `listed` is returned, and the
            caller raises `failure`.

    Raises:
        ChangedFileError: The file was replaced after it was listed, which also explains a `failure`.
    """
    # for these stores, the answer to a range request does not identify the file
    kind = kind_of(source.root)
    if kind.transport != "local" and not kind.fsspec_range_has_identity:
        from episeek.stores.transports.fsspec import FsspecSource

        if isinstance(source.source, FsspecSource):
            return listed
    try:
        found = source.identity(path)
    except EpiseekError:
        if failure is not None:
            return listed
        raise
    is_same = (
        found.size == listed.size and found.version == listed.version and listed.is_content(found.store_id) is not False
    )
    if not is_same:
        expected = f"{listed.size} bytes, {listed.store_id or 'not modified'}, as in the listing"
        raise ChangedFileError(
            f"{source.root}/{path}",
            f"{found.size} bytes, {found.store_id or 'modified'}",
            expected,
            "run the command again when no other program changes the file",
        )
    return found


def file_rows(table: SampleTable, episodes: DeclaredEpisodes, frames: EpisodeFrames, *, where: str) -> Arrays:
    """Return the rows for one file in `episodes`, `keyframes` and `samples`, as arrays with the names `<table>/<column>`.

    The rows are in the order of `episodes`. `sample_start` and `keyframe_start` count from the first of the returned rows.
    """
    order = table.presentation_order()
    sync = np.flatnonzero(table.is_sync)
    rows: dict[str, list[Any]] = defaultdict(list)
    sample_start = keyframe_start = 0
    for row in range(len(episodes)):
        name = f"{where}, episode {episodes.episode_index[row]}"
        wanted = order[frames.first[row] : frames.first[row] + frames.count[row]]
        window = needed_samples(table.pts, sync, wanted, where=name)
        chosen = slice(window.start, window.stop)
        offset, size, pts = table.offset[chosen], table.size[chosen], table.pts[chosen]
        first_tick = int(table.pts[wanted[0]])
        first_byte, last_byte = int(offset.min()), int((offset + size).max())
        relative_pts = pts - first_tick
        neighbours = order[max(frames.first[row] - 1, 0) : frames.first[row] + frames.count[row] + 1]
        _check_times(name, relative_pts, table.pts[neighbours])

        by_time = np.argsort(pts, kind="stable")
        lead_in_count = int((relative_pts < 0).sum())
        rank = np.empty(len(pts), np.int64)
        rank[by_time] = np.arange(len(pts)) - lead_in_count
        keyframes = by_time[table.is_sync[chosen][by_time]]

        rows["samples/byte_offset"].append(offset - first_byte)
        rows["samples/byte_size"].append(size)
        rows["samples/pts"].append(relative_pts)
        rows["samples/is_sync"].append(table.is_sync[chosen])
        rows["keyframes/pts"].append(pts[keyframes])
        rows["keyframes/byte_offset"].append(offset[keyframes])
        rows["keyframes/sample_index"].append(keyframes.astype(np.int32))
        rows["keyframes/frame_index"].append(rank[keyframes].astype(np.int32))
        for column, value in (
            ("mdat_offset", first_byte),
            ("mdat_length", last_byte - first_byte),
            ("first_frame_tick", first_tick),
            ("sample_start", sample_start),
            ("sample_count", len(pts)),
            ("keyframe_start", keyframe_start),
            ("keyframe_count", len(keyframes)),
            ("lead_in_count", lead_in_count),
        ):
            rows[f"episodes/{column}"].append(value)
        sample_start += len(pts)
        keyframe_start += len(keyframes)
    arrays = {
        name: np.array(parts, np.int64) if name.startswith("episodes/") else np.concatenate(parts)
        for name, parts in rows.items()
    }
    for column in sidecars.SAMPLES.names:
        arrays[f"samples/{column}"] = narrowest(column, arrays[f"samples/{column}"])
    arrays["episodes/episode_index"] = episodes.episode_index
    arrays["episodes/frame_count"] = frames.count
    arrays["episodes/first_pts"] = episodes.from_timestamp
    arrays["episodes/last_pts"] = episodes.to_timestamp
    return arrays


def _check_times(name: str, relative_pts: npt.NDArray[np.int64], frame_pts: npt.NDArray[np.int64]) -> None:
    """Raise an error if a clip cannot represent the times of an episode, or if two frames have the same time.

    Args:
        name: The file and the episode, for messages.
        relative_pts: Presentation times of the samples that decoding the episode needs, in ticks from its frame 0.
        frame_pts: Presentation times of the episode's frames, and of the frames just before and after them.

    Raises:
        SpanTooLargeError: Two neighbouring samples are too many ticks apart for a clip, or a sample is presented too many ticks
            before a sample that precedes it in decode order.
        EpisodeFramesError: Two frames in `frame_pts` have the same presentation time.
    """
    distance = int(np.diff(np.sort(relative_pts)).max(initial=0))
    if distance > MAX_DURATION:
        raise SpanTooLargeError(name, f"two samples {distance} ticks apart", f"{MAX_DURATION} ticks or less")
    reordered = int((np.maximum.accumulate(relative_pts) - relative_pts).max())
    if reordered > _MAX_REORDERING_TICKS:
        raise SpanTooLargeError(
            name, f"samples reordered by {reordered} ticks", f"{_MAX_REORDERING_TICKS} ticks or less"
        )
    same = np.flatnonzero(np.diff(frame_pts) == 0)
    if len(same):
        found = f"two frames at the same tick {frame_pts[same[0]]}"
        raise EpisodeFramesError(name, found, "a different presentation time for every frame")

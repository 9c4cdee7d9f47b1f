"""Compare the header of one MP4 with its rows of the sidecars (index tables in `meta/byte_index/`): IDX031 to IDX033, IDX036.

A span is the range of samples that decoding an episode needs. The expected rows are computed from the header and the metadata,
without the code that writes the sidecars. Only the runs of sample descriptions and the digest of the declared episodes come from
shared code.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek.mp4.moov.description_runs import description_runs
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import IndexedFile, SidecarTables, VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import INDEXED_FILES, INDEXED_SAMPLES, INDEXED_SPANS, STALE
from episeek_pipelines.verify.sidecars.format import TABLES, read_rows, stored_rows
from episeek_pipelines.verify.videos.frames import ParsedVideo
from episeek_pipelines.video.episode_frames import DeclaredEpisodes
from episeek_pipelines.words import counted
from episeek_schemas import layout

_SPAN_COLUMNS = (
    "file_id", "mdat_offset", "mdat_length", "frame_count", "first_pts", "last_pts", "first_frame_tick",
    "sample_count", "keyframe_count", "lead_in_count",
)  # fmt: skip
_STARTS = ("sample_start", "keyframe_start")
_ROWS = (("samples", "sample"), ("keyframes", "keyframe"))
"""(table, prefix) of the tables with several rows per episode: the columns `prefix_start` and `prefix_count` of `episodes` locate
these rows."""
_BLOCK_SAMPLES = 1 << 18
"""Number of samples that are compared at once. The limit bounds memory: spans overlap if sync samples are rare, and together may
have far more samples than the file."""


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedSpans:
    """The rows that the sidecars should contain for some episodes of one camera."""

    row: dict[str, npt.NDArray[Any]]
    """Columns of the table `episodes`; shape [episodes]."""
    samples: dict[str, Int64Array]
    """Columns of the table `samples`: the rows of the first episode, then the rows of the next episode, and so on."""
    keyframes: dict[str, Int64Array]
    """Columns of the table `keyframes`, in the same order of episodes."""


def check_indexed_file(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield IDX031 if the index has no row for the file, or once for each column in which its row differs from the file."""
    where = Location(file=layout.FILES_PATH, camera=file.camera_key)
    if file.indexed is None:
        yield finding(INDEXED_FILES, f"no row for {file.path}", "a row for every MP4 of the dataset", where)
        return
    row = file.indexed.row
    for column, found, expected in _file_differences(file.indexed, file.path, video):
        at = Location(layout.FILES_PATH, camera=file.camera_key, row=row, column=column)
        yield finding(INDEXED_FILES, f"{found} for {file.path}", f"{expected}, as in the file now", at)


def check_spans(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """Yield IDX032 and IDX033 for rows of the sidecars that differ from the header, and IDX036 if the declared episodes changed.

    A file that changed since it was indexed is skipped, because IDX031 reports it.
    """
    tables, indexed = context.sidecars, file.indexed
    if tables is None or indexed is None or _file_differences(indexed, file.path, video):
        return
    camera_count, camera_index = len(context.info.video_keys), context.info.video_keys.index(file.camera_key)
    found = np.flatnonzero((video.view.stop > video.view.first) & (video.view.stop <= video.view.frame_count))
    ids = file.episode_index[found] * camera_count + camera_index
    # A separate check of the table reports a wrong number of rows.
    has_row = ids < tables.row_count["episodes"]
    found, ids = found[has_row], ids[has_row]
    stored = {column: read_rows(context.root, tables, "episodes", column, ids) for column in (*_SPAN_COLUMNS, *_STARTS)}
    windows = sample_windows(video, found)
    is_as_declared = True
    for block in _blocks(windows.stop - windows.start):
        expected = expected_spans(file, indexed, video, found[block], windows.of(block))
        stored_block = {column: values[block] for column, values in stored.items()}
        episode, row = file.episode_index[found[block]], ids[block]
        is_other = {column: stored_block[column] != expected.row[column] for column in _SPAN_COLUMNS}
        differs = np.logical_or.reduce(list(is_other.values()))
        for number in np.flatnonzero(differs).tolist():
            is_as_declared = False
            for column in _SPAN_COLUMNS:
                if is_other[column][number]:
                    at = Location(layout.EPISODES_PATH, int(episode[number]), file.camera_key, int(row[number]), column)
                    yield finding(
                        INDEXED_SPANS, f"{stored_block[column][number]}", f"{expected.row[column][number]}", at
                    )
        for table, prefix in _ROWS:
            places = (stored_block[f"{prefix}_start"], expected.row[f"{prefix}_count"])
            computed: dict[str, Int64Array] = getattr(expected, table)
            wanted = {column: values for column, values in computed.items() if column in tables.columns[table]}
            yield from _compare_rows(context.root, tables, table, *places, wanted, ~differs, episode, file.camera_key)
    # The sidecars contain lengths and fps only within a digest, which is compared last.
    if is_as_declared and context.is_complete:
        yield from _compare_declaration(context, file, indexed, camera_index)


def _compare_declaration(
    context: VerificationContext, file: VideoFile, indexed: IndexedFile, camera_index: int
) -> Iterator[Finding]:
    """Yield IDX036 if the episodes that are declared now differ from the episodes that were declared when the file was indexed."""
    declared = DeclaredEpisodes(file.episode_index, file.length, file.from_timestamp, file.to_timestamp)
    expected = declared.digest(camera_index=camera_index, fps=context.info.fps)
    found = indexed.values["episodes_sha256"]
    if found != expected:
        at = Location(layout.FILES_PATH, camera=file.camera_key, row=indexed.row, column="episodes_sha256")
        yield finding(
            STALE,
            f"{_short(found)} for {file.path}",
            f"{_short(expected)}, the digest of its episodes as declared now",
            at,
        )


SPAN_RULES = (check_indexed_file, check_spans)


@dataclass(frozen=True, slots=True, eq=False)
class SampleWindows:
    """The samples that decoding needs, as a range `[start, stop)` in decode order for each episode; shape [episodes]."""

    tick: Int64Array
    """The presentation time of the episode's first frame, in ticks."""
    start: Int64Array
    stop: Int64Array

    def of(self, part: slice) -> "SampleWindows":
        """Return the sample ranges of the episodes in a slice."""
        return SampleWindows(self.tick[part], self.start[part], self.stop[part])


def sample_windows(video: ParsedVideo, position: Int64Array) -> SampleWindows:
    """Return the range of samples that decoding each of some episodes needs.

    The range starts at the last sync sample before which no frame of the episode is decoded or presented. If there is no such sync
    sample, the range starts at sample 0. The range ends with the episode's last sample in decode order.

    Args:
        video: The parsed header of the file.
        position: The positions of the episodes in the file; each episode must have frames.
    """
    table, view = video.table, video.view
    count = view.stop[position] - view.first[position]
    begin = np.cumsum(count) - count
    frames = view.decode_position[_ranges(view.first[position], count)]
    tick = table.pts[frames[begin]]
    # Sample 0 is used if no sync sample precedes the episode.
    sync = np.concatenate([[0], np.flatnonzero(table.is_sync)])
    nearest = np.searchsorted(sync[1:], np.minimum.reduceat(frames, begin), side="right")
    # The loop ends after one or two groups of pictures.
    while (is_late := (nearest > 0) & (table.pts[sync[nearest]] > tick)).any():
        nearest -= is_late
    return SampleWindows(tick, sync[nearest], np.maximum.reduceat(frames, begin) + 1)


def expected_spans(
    file: VideoFile, indexed: IndexedFile, video: ParsedVideo, position: Int64Array, windows: SampleWindows
) -> ExpectedSpans:
    """Return the rows that the sidecars should contain for the episodes at `position` in `file`.

    Args:
        file: The file and its episodes.
        indexed: The file's row in the sidecars.
        video: The parsed header of the file.
        position: The positions of the episodes in `file`.
        windows: The result of `sample_windows` for these episodes.
    """
    table, view = video.table, video.view
    count = windows.stop - windows.start
    begin = np.cumsum(count) - count
    number = np.repeat(np.arange(len(count)), count)
    sample = _ranges(windows.start, count)
    offset, size, pts = table.offset[sample], table.size[sample], table.pts[sample]
    first_byte = np.minimum.reduceat(offset, begin)
    order = np.lexsort((pts, number))
    shown_at = np.empty_like(order)
    shown_at[order] = np.arange(len(order))
    lead_in = np.bincount(number[pts < windows.tick[number]], minlength=len(count))
    keyframe = order[table.is_sync[sample[order]]]
    of_episode = number[keyframe]
    row = {
        "file_id": np.full(len(count), indexed.row),
        "mdat_offset": first_byte,
        "mdat_length": np.maximum.reduceat(offset + size, begin) - first_byte,
        "frame_count": view.stop[position] - view.first[position],
        "first_pts": file.from_timestamp[position],
        "last_pts": file.to_timestamp[position],
        "first_frame_tick": windows.tick,
        "sample_count": count,
        "keyframe_count": np.bincount(of_episode, minlength=len(count)),
        "lead_in_count": lead_in,
    }
    keyframes = {
        "pts": pts[keyframe],
        "byte_offset": offset[keyframe],
        "sample_index": keyframe - begin[of_episode],
        "frame_index": (shown_at - begin[number])[keyframe] - lead_in[of_episode],
    }
    samples = {
        "byte_offset": offset - first_byte[number],
        "byte_size": size,
        "pts": pts - windows.tick[number],
        "is_sync": table.is_sync[sample].astype(np.int64),
    }
    return ExpectedSpans(row, samples, keyframes)


def _ranges(start: Int64Array, count: Int64Array) -> Int64Array:
    """Return the numbers in `[start, start + count)` for each element of the arrays, concatenated."""
    return np.repeat(start - (np.cumsum(count) - count), count) + np.arange(count.sum())


def _blocks(count: Int64Array) -> Iterator[slice]:
    """Yield slices of consecutive episodes that need at most `_BLOCK_SAMPLES` samples together.

    An episode that alone needs more has a slice for itself.

    Args:
        count: The number of samples that each episode needs.
    """
    end = np.cumsum(count)
    start = 0
    while start < len(count):
        stop = int(np.searchsorted(end, end[start] - count[start] + _BLOCK_SAMPLES, side="right"))
        yield slice(start, max(stop, start + 1))
        start = max(stop, start + 1)


def _file_differences(indexed: IndexedFile, path: str, video: ParsedVideo) -> list[tuple[str, str, str]]:
    """Return (column, found, expected) for each column in which the file's row in `files` differs from the file.

    If the digest of the header differs, only this difference is returned.
    """
    header, table = video.header, video.table
    expected = {
        "file_size": header.file_size,
        "moov_sha256": header.digest,
        "moov_offset": header.moov_offset,
        "moov_length": len(header.moov),
        "header_length": header.mdat_offset,
        "faststart": header.is_faststart,
        "codec": table.codec,
        "width": table.width,
        "height": table.height,
        "timescale": table.timescale,
        "sample_count": len(table),
        "avg_fps": table.average_fps,
        "sample_description": table.sample_description,
        "container": header.container,
        "track_matrix": table.matrix,
        "sample_description_runs": description_runs(table.offset, table.description_index, where=path),
        "start_description_runs": description_runs(table.offset, table.start_description_index, where=path),
        "sync_sample_count": header.sync_sample_count,
    }
    found = indexed.values
    # Sidecars of an older format version lack some of the columns.
    names = ["moov_sha256"] if found["moov_sha256"] != expected["moov_sha256"] else [n for n in expected if n in found]
    return [
        (name, _short(found[name]), _short(expected[name]))
        for name in names
        if found[name] != expected[name] or type(found[name]) is not type(expected[name])
    ]


def _short(value: object) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes with SHA-256 {hashlib.sha256(value).hexdigest()[:12]}..."
    return f"{value[:12]}..." if isinstance(value, str) and len(value) > 20 else str(value)


def _compare_rows(
    root: Root,
    tables: SidecarTables,
    table: str,
    start: npt.NDArray[Any],
    count: Int64Array,
    wanted: dict[str, Int64Array],
    is_compared: npt.NDArray[np.bool_],
    episode: Int64Array,
    camera_key: str,
) -> Iterator[Finding]:
    """Yield IDX033 for episodes whose rows in a sidecar table differ from the expected rows.

    The rows of all episodes are compared at once. Episodes that differ are then compared one by one.

    Args:
        root: The dataset.
        tables: The dataset's sidecars.
        table: Name of the table to compare.
        start: First row of each episode, from the table `episodes`; shape [episodes].
        count: Number of rows of each episode; shape [episodes].
        wanted: The expected columns, with the rows of the first episode, then the rows of the next episode, and so on.
        is_compared: Whether to compare each episode; shape [episodes].
        episode: The number of each episode; shape [episodes].
        camera_key: The camera.
    """
    total = min(stored_rows(tables, table, column) for column in wanted)
    first = start.astype(np.int64)
    is_whole = is_compared & (first >= 0) & (first <= total - count)
    whole = np.flatnonzero(is_whole)
    rows, at = _ranges(first[whole], count[whole]), _ranges((np.cumsum(count) - count)[whole], count[whole])
    is_wrong = np.zeros(len(rows), np.bool_)
    for column, values in wanted.items():
        is_wrong |= read_rows(root, tables, table, column, rows).astype(np.int64) != values[at]
    is_suspect = is_compared & ~is_whole
    is_suspect[np.repeat(whole, count[whole])[is_wrong]] = True
    for number in np.flatnonzero(is_suspect).tolist():
        before = int(count[:number].sum())
        of_one = {column: values[before : before + int(count[number])] for column, values in wanted.items()}
        where = Location(TABLES[table][0], int(episode[number]), camera_key)
        yield from _compare_rows_of_one(root, tables, table, of_one, int(start[number]), where)


def _compare_rows_of_one(
    root: Root, tables: SidecarTables, table: str, wanted: dict[str, Int64Array], start: int, where: Location
) -> Iterator[Finding]:
    for column, values in wanted.items():
        total = stored_rows(tables, table, column)
        rows = np.arange(max(start, 0), max(0, min(start + len(values), total)))
        found = read_rows(root, tables, table, column, rows).astype(np.int64)
        if len(found) != len(values):
            yield finding(
                INDEXED_SAMPLES,
                counted(len(found), "row"),
                counted(len(values), "row"),
                replace(where, row=start),
            )
            return
        wrong = np.flatnonzero(found != values)
        if len(wrong):
            first = int(wrong[0])
            at = replace(where, row=start + first, column=column)
            yield finding(
                INDEXED_SAMPLES,
                f"{found[first]}",
                f"{values[first]}, as in the video's header",
                at,
                more=len(wrong) - 1,
            )

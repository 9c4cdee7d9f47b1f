"""Rules that compare one MP4, as its header is now, with its rows of the sidecars: IDX031 to IDX033, IDX036.

The expected rows are worked out here from the header and the metadata, without the code that writes the sidecars; of the
file's row only the runs of sample descriptions and the digest of what is declared are shared.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.description_runs import description_runs
from episeek_pipelines.episode_frames import DeclaredEpisodes
from episeek_pipelines.verify.arrays import Int64Array
from episeek_pipelines.verify.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import INDEXED_FILES, INDEXED_SAMPLES, INDEXED_SPANS, STALE
from episeek_pipelines.verify.sidecar_format import read_runs
from episeek_pipelines.verify.tasks import VerificationContext, VideoFile
from episeek_pipelines.verify.video_frames import ParsedVideo
from episeek_schemas import layout, sidecars

_SPAN_COLUMNS = (
    "file_id", "mdat_offset", "mdat_length", "frame_count", "first_pts", "last_pts", "first_frame_tick",
    "sample_count", "keyframe_count", "lead_in_count",
)  # fmt: skip
_STARTS = ("sample_start", "keyframe_start")
_KEYFRAME_COLUMNS = ("pts", "byte_offset", "sample_index", "frame_index")


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedSpan:
    """What the sidecars have to say of one episode of one camera: values of its row, and its keyframes and samples by column."""

    row: dict[str, float]
    keyframes: dict[str, Int64Array]
    samples: dict[str, Int64Array]


def check_indexed_file(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """IDX031: the file is listed, and it is the one that was indexed."""
    where = Location(file=layout.FILES_PATH, camera=file.camera_key)
    if file.indexed is None:
        yield finding(INDEXED_FILES, f"no row for {file.path}; expected every MP4 of the dataset", where)
        return
    row = file.indexed.row
    for column, found, expected in _file_differences(file, video):
        at = Location(layout.FILES_PATH, camera=file.camera_key, row=row, column=column)
        yield finding(INDEXED_FILES, f"{found} for {file.path}; expected {expected}, as the file is now", at)


def check_spans(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> Iterator[Finding]:
    """IDX032 and IDX033, when the file is the one that was indexed."""
    tables = context.sidecars
    if tables is None or file.indexed is None or _file_differences(file, video):
        return
    camera_count, camera_index = len(context.info.video_keys), context.info.video_keys.index(file.camera_key)
    found = np.flatnonzero((video.view.stop > video.view.first) & (video.view.stop <= video.view.frame_count))
    ids = file.episode_index[found] * camera_count + camera_index
    is_there = ids < tables.row_count["episodes"]  # the table's own check reports the number of rows
    found, ids = found[is_there], ids[is_there]
    runs = [(row, row + 1) for row in ids.tolist()]
    spans = {
        column: [part[0].item() for part in read_runs(context.root, tables, "episodes", column, runs)]
        for column in (*_SPAN_COLUMNS, *_STARTS)
    }
    samples = _read_rows(context, "samples", sidecars.SAMPLES.names, spans["sample_start"], spans["sample_count"])
    keyframes = _read_rows(context, "keyframes", _KEYFRAME_COLUMNS, spans["keyframe_start"], spans["keyframe_count"])
    is_as_declared = True
    for number, position in enumerate(found.tolist()):
        expected = expected_span(file, video, position)
        episode, row = int(file.episode_index[position]), int(ids[number])
        differs = False
        for column in _SPAN_COLUMNS:
            if spans[column][number] != expected.row[column]:
                differs, is_as_declared = True, False
                at = Location(layout.EPISODES_PATH, episode, file.camera_key, row, column)
                yield finding(INDEXED_SPANS, f"{spans[column][number]}; expected {expected.row[column]}", at)
        if differs:  # rows of another span cannot be compared
            continue
        for table, start, rows, wanted in (
            (layout.SAMPLES_PATH, spans["sample_start"][number], samples, expected.samples),
            (layout.KEYFRAMES_PATH, spans["keyframe_start"][number], keyframes, expected.keyframes),
        ):
            yield from _compare_rows(table, episode, file.camera_key, start, rows[number], wanted)
    if is_as_declared and context.is_complete:  # lengths and the fps are in no column of their own
        yield from _compare_declaration(context, file, camera_index)


def _compare_declaration(context: VerificationContext, file: VideoFile, camera_index: int) -> Iterator[Finding]:
    assert file.indexed is not None
    declared = DeclaredEpisodes(file.episode_index, file.length, file.from_timestamp, file.to_timestamp)
    expected = declared.digest(camera_index=camera_index, fps=context.info.fps)
    found = file.indexed.values["episodes_sha256"]
    if found != expected:
        at = Location(layout.FILES_PATH, camera=file.camera_key, row=file.indexed.row, column="episodes_sha256")
        message = f"{_short(found)} for {file.path}; expected {_short(expected)}, as its episodes are declared now"
        yield finding(STALE, message, at)


SPAN_RULES = (check_indexed_file, check_spans)


def expected_span(file: VideoFile, video: ParsedVideo, position: int) -> ExpectedSpan:
    """The rows of the episode at `position` of `file`.

    The samples run from the last sync sample that is not behind the first frame, neither in decoding nor in
    presentation, to the last sample, in decode order, of any of the frames.
    """
    table, view = video.table, video.view
    frames = view.decode_position[view.first[position] : view.stop[position]]
    tick = int(table.pts[frames[0]])
    start = int(frames.min())
    while start > 0 and not (table.is_sync[start] and table.pts[start] <= tick):  # a group of pictures at most, or two
        start -= 1
    stop = int(frames.max()) + 1
    offset, size, pts = table.offset[start:stop], table.size[start:stop], table.pts[start:stop]
    first_byte = int(offset.min())
    order = np.argsort(pts, kind="stable")
    lead_in = int(np.count_nonzero(pts < tick))
    keyframes = order[table.is_sync[start:stop][order]]
    shown_at = np.argsort(order, kind="stable") - lead_in
    assert file.indexed is not None
    row = {
        "file_id": file.indexed.row,
        "mdat_offset": first_byte,
        "mdat_length": int((offset + size).max()) - first_byte,
        "frame_count": len(frames),
        "first_pts": float(file.from_timestamp[position]),
        "last_pts": float(file.to_timestamp[position]),
        "first_frame_tick": tick,
        "sample_count": stop - start,
        "keyframe_count": len(keyframes),
        "lead_in_count": lead_in,
    }
    return ExpectedSpan(
        row,
        {
            "pts": pts[keyframes],
            "byte_offset": offset[keyframes],
            "sample_index": keyframes,
            "frame_index": shown_at[keyframes],
        },
        {"byte_offset": offset - first_byte, "byte_size": size, "pts": pts - tick},
    )


def _file_differences(file: VideoFile, video: ParsedVideo) -> list[tuple[str, str, str]]:
    """(column, found, expected) of the row of `files`; only the digest when the header changed, since the rest follows from it."""
    assert file.indexed is not None
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
        "sample_description_runs": description_runs(table.offset, table.description_index, where=file.path),
    }
    found = file.indexed.values
    names = ["moov_sha256"] if found["moov_sha256"] != expected["moov_sha256"] else list(expected)
    return [
        (name, _short(found[name]), _short(expected[name]))
        for name in names
        if found[name] != expected[name] or type(found[name]) is not type(expected[name])
    ]


def _short(value: object) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes with SHA-256 {hashlib.sha256(value).hexdigest()[:12]}..."
    return f"{value[:12]}..." if isinstance(value, str) and len(value) > 20 else str(value)


def _read_rows(
    context: VerificationContext,
    table: str,
    columns: tuple[str, ...] | list[str],
    start: list[int],
    count: list[int],
) -> list[dict[str, npt.NDArray[np.generic]]]:
    tables = context.sidecars
    assert tables is not None
    total = tables.row_count[table]
    runs = [
        (max(0, min(first, total)), max(0, min(first + rows, total))) for first, rows in zip(start, count, strict=True)
    ]
    runs = [(first, max(first, stop)) for first, stop in runs]
    read = {column: read_runs(context.root, tables, table, column, runs) for column in columns}
    return [{column: read[column][number] for column in columns} for number in range(len(runs))]


def _compare_rows(
    table: str,
    episode: int,
    camera_key: str,
    start: int,
    rows: dict[str, npt.NDArray[np.generic]],
    expected: dict[str, Int64Array],
) -> Iterator[Finding]:
    for column, wanted in expected.items():
        found = rows[column].astype(np.int64)
        if len(found) != len(wanted):
            at = Location(table, episode, camera_key, int(start))
            yield finding(INDEXED_SAMPLES, f"{len(found)} rows; expected {len(wanted)}", at)
            return
        wrong = np.flatnonzero(found != wanted)
        if len(wrong):
            first = int(wrong[0])
            at = Location(table, episode, camera_key, int(start) + first, column)
            message = f"{found[first]}; expected {wanted[first]}, as in the video's header"
            yield finding(INDEXED_SAMPLES, message, at, more=len(wrong) - 1)

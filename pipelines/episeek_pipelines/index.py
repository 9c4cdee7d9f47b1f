"""The index step: from the header of each MP4 to its rows of the sidecars, and from all rows to the four tables.

Data: one `IndexUnit` per MP4 (its path and the episodes declared in it) gives one fragment, a small `.npz` of the
file's rows, and a `FragmentSummary` of some hundred bytes; `write_sidecars` merges the fragments in episode order,
holding a few at a time. Refused by name: whatever the sample table refuses, an episode outside its file, frames that
cannot be told apart, spans beyond the 32-bit columns.
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek import __version__
from episeek.byte_source import CountingSource
from episeek.description_runs import description_runs
from episeek.errors import EpisodeFramesError, MetadataError, MissingFileError, SampleTableError, SpanTooLargeError
from episeek.file_record import FileFacts, FileRecord
from episeek.sample_table import SampleTable
from episeek.window import needed_samples
from episeek_pipelines.dataset import Dataset
from episeek_pipelines.episode_frames import DeclaredEpisodes, assign_frames
from episeek_pipelines.storage import Root
from episeek_pipelines.video_header import read_video_header
from episeek_schemas import layout

WRITER = f"episeek {__version__}"

_BINARY_FACTS = ("sample_description", "track_matrix", "sample_description_runs")

_MAX_REORDERING_TICKS = 1 << 29
"""Composition offsets of a clip are 32-bit; a window of an episode displaces its samples twice as far at most."""

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class IndexUnit:
    """One MP4 to index."""

    path: str
    camera_index: int
    episodes: DeclaredEpisodes


@dataclass(frozen=True, slots=True)
class FragmentSummary:
    """What the reduction needs to know of a fragment."""

    fragment: str
    """Relative path in the work directory."""
    facts: FileFacts
    camera_index: int
    digest: str
    """SHA-256 of everything in the fragment."""
    bytes_read: int
    request_count: int
    is_reused: bool
    """True when an earlier run had finished it."""


def plan_index(dataset: Dataset, data_root: Root) -> list[IndexUnit]:
    """The MP4 files of a dataset with their episodes, sorted by path.

    Raises:
        MetadataError: Row i of meta/episodes is not episode i, or an episode has no frames, or more than 2^31.
        MissingFileError: A file that meta/episodes names is not there.
    """
    table = dataset.episodes
    wrong = np.flatnonzero(table.episode_index != np.arange(len(table)))
    if len(wrong):
        path, row = table.locate(int(wrong[0]))
        where = f"{dataset.root.join(path)}, row {row}"
        raise MetadataError(
            where, f"episode_index {table.episode_index[wrong[0]]}", f"{wrong[0]}: episodes in order, from 0"
        )
    odd = np.flatnonzero((table.length < 1) | (table.length >= 1 << 31))
    if len(odd):
        path, row = table.locate(int(odd[0]))
        raise MetadataError(
            f"{dataset.root.join(path)}, row {row}", f"length {table.length[odd[0]]}", "1 or more frames"
        )
    rows: dict[tuple[int, str], list[int]] = defaultdict(list)
    for camera_index, camera_key in enumerate(dataset.info.video_keys):
        for row, path in enumerate(dataset.video_paths(camera_key)):
            rows[camera_index, path].append(row)
    units = []
    for (camera_index, path), members in sorted(rows.items(), key=lambda item: item[0][1]):
        columns = table.cameras[dataset.info.video_keys[camera_index]]
        chosen = np.array(members)
        declared = DeclaredEpisodes.sorted(
            table.episode_index[chosen],
            table.length[chosen],
            columns.from_timestamp[chosen],
            columns.to_timestamp[chosen],
        )
        units.append(IndexUnit(path, camera_index, declared))
    _require_files(data_root, units)
    return units


def _require_files(data_root: Root, units: list[IndexUnit]) -> None:
    """One listing, not a request for each file."""
    there = (
        set(data_root.list(layout.VIDEOS_DIR))
        if all(unit.path.startswith(f"{layout.VIDEOS_DIR}/") for unit in units)
        else None
    )
    missing = [
        unit for unit in units if (unit.path not in there if there is not None else not data_root.exists(unit.path))
    ]
    if missing:
        first = missing[0]
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        expected = f"the MP4 of episode {first.episodes.episode_index[0]}"
        raise MissingFileError(data_root.join(first.path), f"no such file{others}", expected)


def index_file(data_root: Root, unit: IndexUnit, *, fps: float) -> tuple[FileFacts, Arrays, CountingSource]:
    """Read one header and work out the file's rows.

    Returns:
        The file's facts, the arrays of its fragment, and what reading cost.

    Raises:
        EpiseekError: One of its leaves, by what is wrong; the message starts with the file.
    """
    source = CountingSource(data_root.source())
    header = read_video_header(source, unit.path)
    table = header.table
    facts = FileFacts(
        file_path=unit.path,
        file_size=header.file_size,
        store_id=source.identity(unit.path).store_id,
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
    )
    problem = FileRecord(file_id=0, **asdict(facts)).problem()
    if problem:  # what the reader would call damaged
        raise SampleTableError(unit.path, problem, "a picture size, a clock and a rate that can be")
    return facts, file_rows(table, unit.episodes, fps=fps, where=unit.path), source


def file_rows(table: SampleTable, episodes: DeclaredEpisodes, *, fps: float, where: str) -> Arrays:
    """The rows of `episodes`, `keyframes` and `samples` for one file, by the names `<table>/<column>`.

    `sample_start` and `keyframe_start` count from the fragment's own first row; rows follow `episodes` as declared.
    """
    frames = assign_frames(table, episodes, fps=fps, where=where)
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
        _check_span(name, last_byte - first_byte, relative_pts, table.pts[neighbours])

        by_time = np.argsort(pts, kind="stable")
        lead_in_count = int((relative_pts < 0).sum())
        rank = np.empty(len(pts), np.int64)
        rank[by_time] = np.arange(len(pts)) - lead_in_count
        keyframes = by_time[table.is_sync[chosen][by_time]]

        rows["samples/byte_offset"].append((offset - first_byte).astype(np.uint32))
        rows["samples/byte_size"].append(size.astype(np.uint32))
        rows["samples/pts"].append(relative_pts.astype(np.int32))
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
    arrays["episodes/episode_index"] = episodes.episode_index
    arrays["episodes/frame_count"] = frames.count
    arrays["episodes/first_pts"] = episodes.from_timestamp
    arrays["episodes/last_pts"] = episodes.to_timestamp
    return arrays


def _check_span(name: str, length: int, relative_pts: npt.NDArray[np.int64], frame_pts: npt.NDArray[np.int64]) -> None:
    """`frame_pts`: of the episode's frames and of the one before and behind them, which must be told apart as well."""
    if length >= 1 << 32:
        raise SpanTooLargeError(name, f"a span of {length} bytes", "less than 4 GiB")
    if int(relative_pts.min()) < -(1 << 31) or int(relative_pts.max()) >= 1 << 31:
        raise SpanTooLargeError(
            name, f"presentation times up to {int(relative_pts.max())} ticks", "less than 2^31 ticks"
        )
    displaced = int(np.abs(relative_pts - np.sort(relative_pts)).max())
    if displaced >= _MAX_REORDERING_TICKS:
        raise SpanTooLargeError(name, f"samples reordered by {displaced} ticks", "less than 2^29 ticks")
    same = np.flatnonzero(np.diff(frame_pts) == 0)
    if len(same):
        found = f"two frames at the same tick {frame_pts[same[0]]}"
        raise EpisodeFramesError(name, found, "a presentation time of its own for every frame")


def index_to_fragment(data_root: Root, work: Root, fragment: str, unit: IndexUnit, *, fps: float) -> FragmentSummary:
    """`index_file`, kept in `work` under the name `fragment`; a fragment that an earlier run finished is used as it
    is.
    """
    identity = _identity(data_root, unit, fps)
    reused = _finished_fragment(work, fragment, identity)
    if reused is not None:
        return reused
    facts, arrays, source = index_file(data_root, unit, fps=fps)
    digest = _digest(facts, arrays)
    summary = FragmentSummary(
        fragment, facts, unit.camera_index, digest, source.byte_count, source.request_count, is_reused=False
    )
    receipt = {
        **asdict(summary),
        "identity": identity,
        "facts": {name: value.hex() if name in _BINARY_FACTS else value for name, value in asdict(facts).items()},
    }
    buffer = io.BytesIO()
    np.savez(buffer, receipt=np.frombuffer(json.dumps(receipt).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    work.write_bytes(fragment, buffer.getvalue())
    return summary


def load_fragment(work: Root, fragment: str) -> Arrays:
    """The arrays of a fragment."""
    with _open_fragment(work, fragment) as archive:
        return {name: archive[name] for name in archive.files if name != "receipt"}


def fragment_episodes(work: Root, fragment: str) -> npt.NDArray[np.int64]:
    """The episodes in a fragment; of a local file, nothing else is read."""
    with _open_fragment(work, fragment) as archive:
        episodes: npt.NDArray[np.int64] = archive["episodes/episode_index"]
        return episodes


@contextmanager
def _open_fragment(work: Root, fragment: str) -> Iterator[Any]:
    """A lazily read archive. The stream is opened here because `np.load` leaves its own open when it fails."""
    with (
        open(work.join(fragment), "rb") if work.is_local else io.BytesIO(work.read_bytes(fragment)) as stream,
        np.load(stream, allow_pickle=False) as archive,
    ):
        yield archive


def _identity(data_root: Root, unit: IndexUnit, fps: float) -> str:
    """What a fragment depends on: the file as it is now, what is declared about it, and this code's version."""
    digest = hashlib.sha256(f"{WRITER} {unit.path} {unit.camera_index} {fps} {data_root.identity(unit.path)}".encode())
    for array in (
        unit.episodes.episode_index,
        unit.episodes.length,
        unit.episodes.from_timestamp,
        unit.episodes.to_timestamp,
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _finished_fragment(work: Root, fragment: str, identity: str) -> FragmentSummary | None:
    if not work.exists(fragment):
        return None
    try:
        with _open_fragment(work, fragment) as archive:
            receipt = json.loads(archive["receipt"].tobytes())
            if receipt.pop("identity") != identity:
                return None
            arrays = {name: archive[name] for name in archive.files if name != "receipt"}
        stored = receipt.pop("facts")
        facts = FileFacts(**{**stored, **{name: bytes.fromhex(stored[name]) for name in _BINARY_FACTS}})
        is_whole = receipt["digest"] == _digest(facts, arrays)
        return FragmentSummary(**{**receipt, "facts": facts, "is_reused": True}) if is_whole else None
    except (
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
    ):  # damaged, or not one of ours: made anew
        return None


def _digest(facts: FileFacts, arrays: Arrays) -> str:
    digest = hashlib.sha256(repr(facts).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {len(arrays[name])}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()

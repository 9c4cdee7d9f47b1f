"""Clips of a damaged file, made as datasets' clips are: the index step's rows, `ByteIndex.clip`, a header.

The header is read by the parser that read the file's, and has to say of the same samples what the file's said. What the
index step writes, the index has to take: only the step itself may refuse.
"""

from typing import cast

import numpy as np

from episeek.byte_index import ByteIndex, ReadOptions
from episeek.clip import Clip, LeadIn
from episeek.episode_samples import KeptSamples
from episeek.errors import EpiseekError
from episeek.mp4.moov.sample_description import read_entries, start_bytes_of
from episeek.mp4.sample_table import SampleTable
from episeek.mp4.window import needed_samples
from episeek.sidecars.file_record import FileProperties, FileRecord
from episeek.sidecars.mapped_columns import MappedColumn
from episeek.sidecars.mapped_table import MappedTable
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.requests.retry import DEFAULT_POLICY
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.file_rows import index_file
from episeek_pipelines.index.units import Arrays, IndexUnit
from episeek_pipelines.video.episode_frames import DeclaredEpisodes
from episeek_pipelines.video.header import read_video_header
from episeek_schemas.sidecars import TABLES, UNMAPPED_COLUMNS, WIDE_SAMPLES
from tests.fuzz.box_tree import Node, parse, serialise
from tests.fuzz.promises import WHERE, PaddedSource, check_refusal, hold, read_table

CAMERA = "camera"


class PayloadOfLength(bytes):
    """Stands for a clip's fetched bytes: has their length, takes no room."""

    length: int

    def __new__(cls, length: int) -> "PayloadOfLength":
        payload = super().__new__(cls)
        payload.length = length
        return payload

    def __len__(self) -> int:
        return self.length

    def __radd__(self, header: bytes) -> bytes:
        return header


class MemoryRoot:
    """What the index step asks of a data root."""

    def __init__(self, source: PaddedSource) -> None:
        self._source = source

    def source(self) -> PaddedSource:
        return self._source


class MemoryIndex(ByteIndex):
    """The sidecars of one file, never written: episode 0 of one camera."""

    def __init__(self, facts: FileProperties, arrays: Arrays, source: PaddedSource) -> None:
        self._arguments = ("memory", None, ReadOptions((), "size", DEFAULT_POLICY, "auto"))
        self.source = source
        self._where = dict.fromkeys(TABLES, WHERE)
        self.cameras = (CAMERA,)
        self.episode_count = 1
        self._camera_index = {CAMERA: 0}
        record = FileRecord(file_id=0, **{name: getattr(facts, name) for name in FileProperties.__dataclass_fields__})
        hold(not record.problem(), f"the index takes what the index step writes: {record.problem()}")
        self._file_records = {0: record}
        self._samples = PerProcess(KeptSamples)
        known = dict.fromkeys(("global_episode_id", "camera_index", "file_id"), np.zeros(1, np.int64))
        self._tables = {name: _table(name, arrays, known) for name in ("episodes", "keyframes", "samples")}

    @property
    def file_count(self) -> int:
        return 1


def _table(name: str, arrays: Arrays, known: Arrays) -> MappedTable:
    columns = {}
    for field in TABLES[name][1]:
        if field.name in UNMAPPED_COLUMNS or (name == "keyframes" and field.name == "global_episode_id"):
            continue
        values = arrays.get(f"{name}/{field.name}")
        values = known[field.name] if values is None else values
        stored = values.astype(field.type.to_pandas_dtype())
        if name == "samples" and field.name in WIDE_SAMPLES and not np.array_equal(stored, values):
            stored = values.astype(WIDE_SAMPLES[field.name].to_pandas_dtype())
        hold(np.array_equal(stored, values), f"{name}.{field.name} fits its column")
        columns[field.name] = MappedColumn([stored], stored.dtype)
    rows = len(next(iter(columns.values())))
    return MappedTable(name, rows, columns, {}, is_mapped=True)


def indexed(source: PaddedSource, table: SampleTable) -> MemoryIndex | None:
    """The file as one episode of all its frames; None where the index step refuses it."""
    order = table.presentation_order()
    seconds = table.pts[order] / table.timescale
    end = (table.pts[order[-1]] + max(int(table.duration[order[-1]]), 1)) / table.timescale
    declared = DeclaredEpisodes(np.zeros(1, np.int64), np.array([len(order)]), seconds[:1], np.array([end]))
    unit = IndexUnit(WHERE, 0, declared)
    try:
        facts, arrays, _, _ = index_file(cast(Root, MemoryRoot(source)), unit, fps=table.average_fps or 30.0)
    except EpiseekError as error:
        check_refusal(error)
        return None
    return MemoryIndex(facts, arrays, source)


def check_some_clip(source: PaddedSource, table: SampleTable, choice: int) -> bool:
    """One clip in one form. Returns whether there is any."""
    frame_count = len(table.presentation_order())
    index = indexed(source, table) if frame_count else None
    if index is None:
        return False
    start = choice % frame_count
    stop = start + 1 + (choice >> 8) % (frame_count - start)
    if choice >> 17 & 1:
        start, stop = 0, frame_count
    check_clip(index.clip(0, CAMERA, start, stop), table, "hidden" if choice >> 16 & 1 else "shown")
    return True


def check_every_clip(source: PaddedSource) -> int:
    """All windows of frames in both forms, of a small file. Returns how many clips there are."""
    table = read_video_header(source, WHERE).table
    index = indexed(source, table)
    if index is None:
        return 0
    frame_count = len(table.presentation_order())
    windows = [(start, stop) for start in range(frame_count) for stop in range(start + 1, frame_count + 1)]
    for start, stop in windows:
        clip = index.clip(0, CAMERA, start, stop)
        check_clip(clip, table, "hidden")
        check_clip(clip, table, "shown")
    return len(windows)


def check_clip(clip: Clip, table: SampleTable, form: LeadIn) -> None:
    """A clip's header against the file's table."""
    wanted = table.presentation_order()[clip.start : clip.stop]
    window = needed_samples(table.pts, np.flatnonzero(table.is_sync), wanted, where=WHERE)
    hold(table.is_sync[window.start], "a window starts where decoding can")
    hold(window.start <= wanted.min() and wanted.max() < window.stop, "a window holds what is wanted")
    order = np.arange(window.start, window.stop)
    if table.is_sync[order].all() and table.description_index is None and table.start_description_index is None:
        order = order[np.argsort(table.pts[order], kind="stable")]
    of_file = {name: getattr(table, name)[order] for name in ("offset", "size", "pts", "is_sync")}
    is_start = of_file["is_sync"] & (np.maximum.accumulate(of_file["pts"]) <= of_file["pts"])
    is_start[1:] &= table.start_description_index is None
    is_start[0] = True
    first_byte, last_byte = int(of_file["offset"].min()), int((of_file["offset"] + of_file["size"]).max())
    hold(clip.byte_range == (first_byte, last_byte), "a clip fetches its samples and nothing else")
    hold(np.array_equal(clip.frame_ticks, table.pts[wanted] - table.pts[table.presentation_order()[0]]), "frame times")

    header = clip.mux(PayloadOfLength(last_byte - first_byte), form)
    try:
        made = read_table(PaddedSource(header, len(header) + last_byte - first_byte))
    except EpiseekError as error:
        raise AssertionError(f"a clip's header is refused: {error}") from error
    put_before = np.zeros(len(order), np.int64)
    if table.start_description_index is not None:
        entry = int(table.start_description_index[window.start])
        put_before[0] = len(start_bytes_of(table.sample_description, entry, where=WHERE))
    hold(np.array_equal(made.size - put_before, of_file["size"]), "a clip keeps the sizes")
    offset = made.offset + put_before - len(header)
    hold(np.array_equal(offset, of_file["offset"] - first_byte), "a clip's samples lie in its bytes")
    hold(np.array_equal(made.is_sync, is_start), "a clip's sync samples are those at which decoders may start")
    for name in ("timescale", "codec", "width", "height", "matrix"):
        hold(getattr(made, name) == getattr(table, name), f"a clip keeps the {name}")
    index = table.description_index
    used = None if index is None else index[order]
    ours = _descriptions(made.sample_description, made.description_index, len(made))
    theirs = _descriptions(table.sample_description, used, len(made))
    hold(ours == theirs, "a clip keeps the description of each sample")
    _check_times(clip, table, made, of_file["pts"], form)


def _check_times(clip: Clip, table: SampleTable, made: SampleTable, pts: np.ndarray, form: LeadIn) -> None:
    frames = table.pts[table.presentation_order()]
    first = int(frames[clip.start])
    origin = first if form == "hidden" else int(pts.min())
    hold(np.array_equal(made.pts, pts - origin), f"a clip keeps the times between pictures ({form})")
    shown = np.ones(len(pts), np.bool_)
    if form == "hidden":
        last = int(frames[clip.stop - 1])
        shown = (pts >= first) & (pts <= last)
        hold(np.array_equal(np.sort(pts[shown]), frames[clip.start : clip.stop]), "nothing lies between the frames")
    hold(np.array_equal(made.is_presented, shown), f"a clip shows what it should ({form})")


def _descriptions(stsd: bytes, index: np.ndarray | None, count: int) -> list[bytes]:
    """The contents of each sample's entry, in whatever form its size is."""
    entries = sample_entries(stsd)
    contents = [serialise([Node(entry.kind, entry.payload, entry.children)]) for entry in entries]
    return [contents[number - 1] for number in ([1] * count if index is None else index.tolist())]


def sample_entries(stsd: bytes) -> list[Node]:
    """The entries of a stsd box."""
    (box,) = parse(stsd)
    hold(box.kind == b"stsd" and box.children is not None, "the sample description is an stsd box")
    assert box.children is not None
    hold(box.count <= len(box.children), "as many entries as it says")
    try:
        read_entries(stsd, where=WHERE)
    except EpiseekError as error:
        check_refusal(error)
    return box.children[: box.count]

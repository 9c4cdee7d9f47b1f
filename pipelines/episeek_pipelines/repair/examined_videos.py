"""Read the headers of video files, and compare their frames with the episodes that are declared in each file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from episeek.errors import EpiseekError, MissingFileError, Mp4Error
from episeek.mp4.moov.sample_description import VisualSampleEntry, read_entries
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.seconds import SecondsOfFile, seconds_of_file
from episeek_pipelines.video.alignment.encoder_starts import encoder_starts
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, FileFrames
from episeek_pipelines.video.header import read_video_header
from episeek_schemas import lerobot


@dataclass(frozen=True, slots=True, eq=False)
class ExaminedVideo:
    """A video file whose header was read: its format, and the corrected seconds of its episodes."""

    path: str
    camera: str
    entry: VisualSampleEntry
    frame_count: int
    frames_per_second: float
    has_other_rate: bool
    """Whether the frames come at a steady rate other than fps."""
    seconds: SecondsOfFile
    rows: tuple[int, ...]
    """The rows of the file's episodes in meta/episodes. `seconds` refers to an episode by its position in this tuple."""


def examine_videos(draft: Draft, known: Sequence[ExaminedVideo] = ()) -> tuple[ExaminedVideo, ...]:
    """Read the headers of all video files, and find the frames of the episodes that are declared in each file.

    Missing and damaged files are left out: no repair can correct them, and `prepare` reports them. The result is empty if
    meta/episodes is incomplete or an episode has no usable length.

    Args:
        draft: The dataset.
        known: Files that were examined before. Those that still have the same episodes are not read again.

    Raises:
        ReadError: The store fails.
    """
    info = draft.evidence.info
    if not draft.has_all_episodes or not (draft.values(lerobot.LENGTH) > 0).all():
        return ()
    wanted: list[tuple[str, str, list[int]]] = []
    for camera in info.video_keys:
        rows_of: dict[str, list[int]] = {}
        chunk, file = (draft.values(lerobot.video_column(camera, name)) for name in ("chunk_index", "file_index"))
        for row in range(draft.row_count):
            if min(chunk[row], file[row]) >= 0:
                rows_of.setdefault(info.video_file(camera, int(chunk[row]), int(file[row])), []).append(row)
        wanted += [(camera, path, rows) for path, rows in rows_of.items()]
    wanted.sort(key=lambda each: each[1])
    before: Mapping[tuple[str, tuple[int, ...]], ExaminedVideo] = {(each.path, each.rows): each for each in known}
    examined = map_in_threads(
        lambda each: before.get((each[1], tuple(each[2]))) or examine_video(draft, *each),
        wanted,
        max_in_flight=draft.evidence.root.in_flight,
    )
    return tuple(each for each in examined if each is not None)


def examine_video(draft: Draft, camera: str, path: str, rows: list[int]) -> ExaminedVideo | None:
    """Find the frames of some episodes in a video file; None if the file is missing or damaged.

    Args:
        draft: The dataset.
        camera: The camera of the file.
        path: The file.
        rows: The rows of the episodes in meta/episodes, ascending.

    Raises:
        ReadError: The store fails.
    """
    source, fps = draft.evidence.root.source(), draft.evidence.info.fps
    try:
        header = read_video_header(source, path)
        entry = read_entries(header.table.sample_description, where=path)[0]
    except (Mp4Error, MissingFileError):
        return None
    frames = FileFrames.of(header.table, partial(encoder_starts, source, path, header.table))
    begin, end = (draft.values(lerobot.video_column(camera, name))[rows] for name in ("from_timestamp", "to_timestamp"))
    declared = DeclaredEpisodes(np.array(rows), draft.values(lerobot.LENGTH)[rows], begin, end)
    try:
        seconds = seconds_of_file(frames, declared, fps=fps)
    except EpiseekError:
        return None
    rate, is_other = frames.frames_per_second, frames.has_other_rate(fps=fps)
    return ExaminedVideo(path, camera, entry, len(frames), rate, is_other, seconds, tuple(rows))

"""Correct the video chunk_index and file_index of an episode if these numbers are missing or belong to no file."""

from collections.abc import Iterator, Mapping

import numpy as np

from episeek.errors import MissingFileError, Mp4Error
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.values import Outcome, Refusal, Repair
from episeek_pipelines.video.header import read_video_header
from episeek_pipelines.words import counted
from episeek_schemas import lerobot

_UNKNOWN_FRAMES = -1
_MOST_READINGS = 4


def repair_video_pointers(draft: Draft) -> Iterator[Outcome]:
    """Set the video file of episodes that have none to the file of a neighbouring episode.

    The file has to have exactly as many frames as its episodes and these episodes together. Every other file of the camera has to
    have too few frames for them besides the frames of its own episodes.
    """
    if not draft.has_all_episodes or draft.evidence.info.video_path is None:
        return
    length = draft.values(lerobot.LENGTH)
    is_countable = bool((length > 0).all())
    folder = draft.evidence.info.video_path.partition("/")[0]
    listed: list[str] | None = None
    for camera in draft.evidence.info.video_keys:
        names = tuple(lerobot.video_column(camera, name) for name in ("chunk_index", "file_index"))
        if listed is None:
            listed = sorted(draft.evidence.root.files("" if "{" in folder else folder))
        files = [path for path in listed if draft.evidence.info.video_camera(path) == camera]
        declared = _declared_files(draft, camera)
        existing = frozenset(files)
        is_known = [path in existing for path in declared]
        if all(is_known) or not files:
            continue
        free = _free_frames(draft, files, declared)
        lost = [row for row, known in enumerate(is_known) if not known]
        known = np.flatnonzero(is_known)
        candidates = {row: _candidates(draft, free, row) for row in lost}
        rows_of: dict[str, list[int]] = {}
        for row in lost:
            if len(candidates[row]) == 1:
                rows_of.setdefault(candidates[row][0], []).append(row)
        for row in lost:
            place = int(np.searchsorted(known, row))
            near = tuple(dict.fromkeys(str(declared[each]) for each in known[max(place - 1, 0) : place + 1].tolist()))
            path = candidates[row][0] if len(candidates[row]) == 1 else ""
            together = rows_of.get(path, [])
            numbers = draft.evidence.info.video_file_numbers(path)
            is_filled = path in near and is_countable and free[path] == int(length[together].sum())
            if not is_filled or numbers is None:
                yield _refusal(draft, camera, row, near, {path: free[path] for path in candidates[row]}, declared[row])
                continue
            for name, number in zip(names, numbers, strict=True):
                if draft.values(name)[row] != number:
                    old = draft.raw(name, row)
                    draft.set(name, row, number)
                    proof = (
                        f"{path} contains a neighbouring episode, and is the only file of the camera with enough frames of no "
                        f"episode: {free[path]}, exactly the frames of {_named(together)}"
                    )
                    yield Repair(registry.VIDEO_POINTERS.code, draft.place(row, name, camera), old, number, proof)


def _declared_files(draft: Draft, camera: str) -> list[str | None]:
    """Return the path of the video file that each episode declares; None for an episode without usable numbers."""
    chunk, file = (draft.values(lerobot.video_column(camera, name)).tolist() for name in ("chunk_index", "file_index"))
    return [
        draft.evidence.info.video_file(camera, *pair) if min(pair) >= 0 else None
        for pair in zip(chunk, file, strict=True)
    ]


def _free_frames(draft: Draft, files: list[str], declared: list[str | None]) -> dict[str, int]:
    """Return, for each file, how many frames it has more than its episodes have rows; `_UNKNOWN_FRAMES` for a damaged file."""
    source, length = draft.evidence.root.source(), draft.values(lerobot.LENGTH)

    def frame_count(path: str) -> int | None:
        try:
            return len(read_video_header(source, path).table.presentation_order())
        except (Mp4Error, MissingFileError):
            return None

    counts = map_in_threads(frame_count, files, max_in_flight=draft.evidence.root.in_flight)
    held: dict[str | None, int] = {}
    for path, rows in zip(declared, length.tolist(), strict=True):
        held[path] = held.get(path, 0) + rows
    return {
        path: _UNKNOWN_FRAMES if count is None else max(count - held.get(path, 0), 0)
        for path, count in zip(files, counts, strict=True)
    }


def _candidates(draft: Draft, free: Mapping[str, int], row: int) -> list[str]:
    """Return the files that may contain the frames of an episode: those with enough free frames, and damaged ones."""
    length = int(draft.values(lerobot.LENGTH)[row])
    return [path for path, count in free.items() if count >= max(length, 1) or count == _UNKNOWN_FRAMES]


def _named(rows: list[int]) -> str:
    """Return the numbers of episodes as words, such as `episodes 3, 4`."""
    numbers = ", ".join(str(row) for row in rows)
    return f"episode {numbers}" if len(rows) == 1 else f"episodes {numbers}"


def _refusal(
    draft: Draft, camera: str, row: int, near: tuple[str, ...], free: Mapping[str, int], declared: str | None
) -> Refusal:
    """Return the refusal of an episode whose video file is not certain.

    Args:
        draft: The dataset.
        camera: The camera of the file.
        row: The row of the episode in meta/episodes.
        near: The files of the episodes before and after.
        free: The number of frames that belong to no episode, for each file that may contain the frames of the episode.
        declared: The path that the numbers of the episode give, where no file exists; None for unusable numbers.
    """
    names = [lerobot.video_column(camera, name) for name in ("chunk_index", "file_index")]
    found = "chunk_index {} and file_index {}, which belong to no file".format(
        *(draft.raw(name, row) for name in names)
    )
    readings = [
        f"its frames are in {path}, which "
        + ("is damaged" if count == _UNKNOWN_FRAMES else f"has {counted(count, 'frame')} of no episode")
        for path, count in free.items()
    ][:_MOST_READINGS]
    readings = readings or [f"its frames are in {path}, and lengths of the episodes there are wrong" for path in near]
    lost = "its video is missing" if declared is None else f"its video {declared} is missing"
    return Refusal(registry.VIDEO_POINTERS.code, draft.place(row, names[1], camera), found, (*readings, lost))

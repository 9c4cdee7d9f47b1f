"""Correct the video file of episodes whose chunk_index and file_index are missing or belong to no file."""

from collections.abc import Iterator

import numpy as np

from episeek.errors import MissingFileError, Mp4Error
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.values import Outcome, Refusal, Repair
from episeek_pipelines.video.header import read_video_header
from episeek_schemas import lerobot

Numbers = tuple[int, int]


def repair_video_pointers(draft: Draft) -> Iterator[Outcome]:
    """Set the video file of an episode to the file of a neighbouring episode, if exactly its frames are in that file."""
    if not draft.has_all_episodes or draft.evidence.info.video_path is None:
        return
    folder = draft.evidence.info.video_path.partition("/")[0]
    listed: frozenset[str] | None = None
    for camera in draft.evidence.info.video_keys:
        names = tuple(lerobot.video_column(camera, name) for name in ("chunk_index", "file_index"))
        pairs = np.stack([draft.values(name) for name in names], axis=1)
        if listed is None:
            listed = frozenset(draft.evidence.root.files("" if "{" in folder else folder))
        is_known = np.array([_is_file(draft, camera, pair, listed) for pair in pairs.tolist()])
        if is_known.all() or not is_known.any():
            continue
        for row in np.flatnonzero(~is_known).tolist():
            before, after = np.flatnonzero(is_known[:row]), np.flatnonzero(is_known[row:]) + row
            near = [pairs[before[-1]]] if len(before) else []
            near += [pairs[after[0]]] if len(after) else []
            candidates = list(dict.fromkeys((int(chunk), int(file)) for chunk, file in near))
            fitting = candidates
            if len(candidates) > 1 or len(near) == 1:
                fitting = [pair for pair in candidates if _fills(draft, camera, pair, row, pairs, is_known)]
            place = draft.place(row, names[1], camera)
            if len(fitting) != 1:
                found = f"chunk_index {pairs[row, 0]} and file_index {pairs[row, 1]}, which are those of no file"
                readings = tuple(
                    f"its frames are in {draft.evidence.info.video_file(camera, *pair)}" for pair in candidates
                )
                yield Refusal(registry.VIDEO_POINTERS.code, place, found, (*readings, "its video is missing"))
                continue
            path = draft.evidence.info.video_file(camera, *fitting[0])
            for name, number in zip(names, fitting[0], strict=True):
                if draft.values(name)[row] != number:
                    old = draft.raw(name, row)
                    draft.set(name, row, number)
                    proof = f"{path} holds the episodes beside it, and its frames"
                    yield Repair(registry.VIDEO_POINTERS.code, draft.place(row, name, camera), old, number, proof)


def _is_file(draft: Draft, camera: str, pair: list[int], listed: frozenset[str]) -> bool:
    return min(pair) >= 0 and draft.evidence.info.video_file(camera, *pair) in listed


def _fills(draft: Draft, camera: str, pair: Numbers, row: int, pairs: np.ndarray, is_known: np.ndarray) -> bool:
    """Return whether a file has exactly the frames of its episodes and of one more."""
    path = draft.evidence.info.video_file(camera, *pair)
    try:
        header = read_video_header(draft.evidence.root.source(), path)
    except (Mp4Error, MissingFileError):
        return False
    length = draft.values(lerobot.LENGTH)
    held = int(length[is_known & (pairs == pair).all(axis=1)].sum())
    return len(header.table.presentation_order()) == held + int(length[row])

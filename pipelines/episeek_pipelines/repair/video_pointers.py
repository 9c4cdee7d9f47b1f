"""Correct the video chunk_index and file_index of an episode if these numbers are missing or belong to no file."""

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
    """Set the video file of an episode that has none to the file of a neighbouring episode.

    The file must be the only candidate that has exactly as many frames as its episodes and this episode together. If both
    neighbours are in the same file, the episode is placed there without this check.
    """
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
                found = f"chunk_index {pairs[row, 0]} and file_index {pairs[row, 1]}, which belong to no file"
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
                    proof = f"{path} contains the neighbouring episodes and the frames of this episode"
                    yield Repair(registry.VIDEO_POINTERS.code, draft.place(row, name, camera), old, number, proof)


def _is_file(draft: Draft, camera: str, pair: list[int], listed: frozenset[str]) -> bool:
    return min(pair) >= 0 and draft.evidence.info.video_file(camera, *pair) in listed


def _fills(draft: Draft, camera: str, pair: Numbers, row: int, pairs: np.ndarray, is_known: np.ndarray) -> bool:
    """Return whether a video file has exactly as many frames as its episodes and the episode in `row` need together.

    Args:
        draft: The dataset.
        camera: The camera of the file.
        pair: The chunk_index and file_index of the file.
        row: The row of the additional episode in meta/episodes.
        pairs: The chunk_index and file_index of all episodes; shape [episodes, 2].
        is_known: Whether the file of an episode exists; shape [episodes].
    """
    path = draft.evidence.info.video_file(camera, *pair)
    try:
        header = read_video_header(draft.evidence.root.source(), path)
    except (Mp4Error, MissingFileError):
        return False
    length = draft.values(lerobot.LENGTH)
    held = int(length[is_known & (pairs == pair).all(axis=1)].sum())
    return len(header.table.presentation_order()) == held + int(length[row])

"""ROW048: find episodes that have the same rows as another episode, by comparing a digest ("print") of each episode's rows."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import numpy as np

from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.observations import Observations
from episeek_pipelines.verify.findings.prints import UNKNOWN, FramePrints
from episeek_pipelines.verify.rules import DUPLICATE
from episeek_pipelines.verify.rules.rows import OTHER_PICTURES_REMEDY

LEAST_CHANGES: Final = 10
"""Equal rows of two episodes prove a copy only if at least this many rows differ from the row before them.

If fewer rows differ, the episode is short or the robot rests, and two episodes may have equal rows by chance.
"""

_Frames = Literal["same", "other", "unknown"]
_ABOUT: Final[dict[_Frames, str]] = {
    "same": ", and the coded frames of both episodes have the same sizes",
    "other": ", but the coded frames of the two episodes differ",
    "unknown": "",
}


def check_duplicates(observations: Observations, camera_keys: Sequence[str]) -> Iterator[Finding]:
    """Yield ROW048 for each episode that has the same rows as an earlier one.

    An episode whose rows hardly change is reported only if its coded (still compressed) frames are the same, too, in all cameras.

    Args:
        observations: The results of all checks, which contain the prints of rows and the digests of coded frames.
        camera_keys: The cameras with videos.
    """
    prints = observations.row_prints
    if not prints:
        return
    joined = {
        name: np.concatenate([getattr(each, name) for each in prints])
        for name in ("episode_index", "first_row", "row_count", "change_count", "digest")
    }
    path = np.repeat(np.arange(len(prints)), [len(each.digest) for each in prints])
    _, group, sizes = np.unique(joined["digest"], return_inverse=True, return_counts=True)
    rows = np.flatnonzero(sizes[group] > 1)
    if not len(rows):
        return
    frames = _frames_by_episode(observations.frame_prints, {*joined["episode_index"][rows].tolist()})
    originals: dict[tuple[int, ...], int] = {}
    for row in rows[np.argsort(joined["episode_index"][rows], kind="stable")].tolist():
        episode, of_frames = int(joined["episode_index"][row]), frames.get(int(joined["episode_index"][row]), {})
        key: tuple[int, ...] = (int(group[row]),)
        if joined["change_count"][row] < LEAST_CHANGES:
            if not camera_keys or not all(of_frames.get(camera) for camera in camera_keys):
                continue
            key += tuple(of_frames[camera] for camera in camera_keys)
        first = originals.setdefault(key, episode)
        # ROW015 reports an episode that occurs twice.
        if first == episode:
            continue
        about = _comparison(of_frames, frames.get(first, {}), camera_keys)
        yield finding(
            DUPLICATE,
            f"the numbers of all {joined['row_count'][row]} rows equal those of episode {first}{_ABOUT[about]}",
            "rows that no other episode has",
            Location(prints[path[row]].path, episode, row=int(joined["first_row"][row])),
            remedy=OTHER_PICTURES_REMEDY if about == "other" else "",
        )


def _frames_by_episode(prints: Sequence[FramePrints], episodes: set[int]) -> dict[int, dict[str, int]]:
    """Return the digests of coded frames as `{episode: {camera: digest}}`, for the given episodes only."""
    found: dict[int, dict[str, int]] = {}
    for each in prints:
        for episode, digest in zip(each.episode_index.tolist(), each.digest.tolist(), strict=True):
            if episode in episodes and digest != UNKNOWN:
                found.setdefault(episode, {})[each.camera_key] = digest
    return found


def _comparison(frames: dict[str, int], others: dict[str, int], camera_keys: Sequence[str]) -> _Frames:
    pairs = [(frames.get(camera, UNKNOWN), others.get(camera, UNKNOWN)) for camera in camera_keys]
    if any(a != b for a, b in pairs if UNKNOWN not in (a, b)):
        return "other"
    return "same" if pairs and all(UNKNOWN not in pair for pair in pairs) else "unknown"

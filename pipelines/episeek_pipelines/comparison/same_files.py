"""Find the episodes that are equal in both datasets because their files have the same bytes. They need not be read."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from episeek_pipelines.comparison.identities import FilePair, same_by_identity
from episeek_pipelines.comparison.side import Side
from episeek_pipelines.video.episode_frames import DeclaredEpisodes

Verdicts = Mapping[tuple[str, str], bool | None]
"""Whether two files have the same bytes, by their paths in A and B; None if the listings do not decide it."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The pairs of files, one of each dataset, that contain episodes with the same numbers."""

    data: Verdicts
    videos: Verdicts


@dataclass(frozen=True, slots=True)
class Covered:
    """The numbers of the episodes that are equal in both datasets because their files have the same bytes."""

    rows: frozenset[int]
    videos: Mapping[str, frozenset[int]]
    """The numbers of the episodes whose videos are equal, by camera."""
    data_files: frozenset[tuple[str, str]] = frozenset()
    """Data files with the same bytes, by their paths in A and B."""


def find_candidates(a: Side, b: Side) -> Candidates:
    """Return the pairs of files, one of each dataset, that contain episodes with the same numbers.

    Each pair has a verdict: whether the listings show that the two files are equal.
    """
    shared = [(a.row_of[number], b.row_of[number]) for number in a.row_of.keys() & b.row_of.keys()]
    data = {(a.data_paths[one], b.data_paths[other]) for one, other in shared}
    videos = {
        (a.video_paths[camera][one], b.video_paths[camera][other])
        for camera in a.video_paths.keys() & b.video_paths.keys()
        for one, other in shared
    }
    return Candidates(
        {
            (one, other): same_by_identity(a.root, one, a.files.get(one), b.root, other, b.files.get(other))
            for one, other in sorted(data)
        },
        {
            (one, other): same_by_identity(
                a.videos, one, a.video_files.get(one), b.videos, other, b.video_files.get(other)
            )
            for one, other in sorted(videos)
        },
    )


def unknown_pairs(verdicts: Verdicts, files: Mapping[str, object]) -> list[FilePair]:
    """Return the pairs of files for which the listings do not show whether the two files are equal.

    Args:
        verdicts: For each pair of files, whether they are equal; None if the listings do not show it.
        files: The identities of the first dataset's files, by path. A pair is skipped if its first file has no identity.
    """
    return [
        FilePair(one, other, getattr(files.get(one), "size", 0))
        for (one, other), is_same in verdicts.items()
        if is_same is None and files.get(one) is not None
    ]


def find_covered(
    a: Side, b: Side, same_data: Iterable[tuple[str, str]], same_videos: Iterable[tuple[str, str]]
) -> Covered:
    """Return the episodes that are equal in both datasets, given the files that have the same bytes.

    Args:
        a: The first dataset.
        b: The second dataset.
        same_data: The pairs of data files with the same bytes, by their paths in A and B.
        same_videos: The pairs of videos with the same bytes, by their paths in A and B.
    """
    numbers = sorted(a.row_of.keys() & b.row_of.keys())
    data, videos = _one_to_one(same_data), set(same_videos)
    # equal rows refer to different tasks if the texts of the task numbers differ
    has_same_texts = a.tasks == b.tasks and a.subtasks == b.subtasks
    rows = frozenset(
        number
        for number in numbers
        if has_same_texts and (a.data_paths[a.row_of[number]], b.data_paths[b.row_of[number]]) in data
    )
    covered: dict[str, frozenset[int]] = {}
    has_same_rate = a.dataset.info.fps == b.dataset.info.fps
    for camera in a.video_paths.keys() & b.video_paths.keys() if has_same_rate else ():
        ours, theirs = a.declared_in(camera), b.declared_in(camera)
        # where an episode begins in a video also depends on the episodes before and after it
        alike = {(one, other) for one, other in videos if _are_alike(ours.get(one), theirs.get(other))}
        covered[camera] = frozenset(
            number
            for number in numbers
            if (a.video_paths[camera][a.row_of[number]], b.video_paths[camera][b.row_of[number]]) in alike
        )
    return Covered(rows, covered, frozenset(data))


def _one_to_one(pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the pairs whose two files are in no other pair.

    If two files of a dataset have the same bytes, LeRobot reads the same rows twice.
    """
    found = set(pairs)
    counts = [Counter(pair[place] for pair in found) for place in (0, 1)]
    return {pair for pair in found if counts[0][pair[0]] == counts[1][pair[1]] == 1}


def _are_alike(a: DeclaredEpisodes | None, b: DeclaredEpisodes | None) -> bool:
    if a is None or b is None:
        return False
    names = ("episode_index", "length", "from_timestamp", "to_timestamp")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)

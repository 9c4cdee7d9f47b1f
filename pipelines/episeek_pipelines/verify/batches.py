"""Divide the files of a dataset among checks, the units of work of a verification.

Data files with rows of the same source file form a group. One check examines several groups of data files, or several videos.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from episeek_pipelines.verify.findings.checks import (
    Check,
    DataCheck,
    DataFile,
    DataGroup,
    SidecarCheck,
    SourceFile,
    VerificationContext,
    VideoCheck,
    VideoFile,
)
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.metadata.survey import Files, Survey
from episeek_pipelines.verify.sidecars.format import TABLES
from episeek_pipelines.verify.videos.choice import choose_episodes

T = TypeVar("T")

MAX_CHECKS_PER_KIND = 2000
"""Largest number of data checks of a dataset, and also of video checks. A dataset with a million episodes has some ten thousand
files, so each check gets a few files.
"""

FILES_PER_VIDEO_CHECK = 8
"""Smallest number of local MP4 files in a check that only reads headers. One header, a few kilobytes, is too little for a check."""

REMOTE_FILES_PER_VIDEO_CHECK = 64
"""Smallest number of MP4 files in a check that only reads headers from a store. Such a check requests many headers in parallel."""

FOOTERS_PER_DATA_CHECK = 4
"""Smallest number of groups of data files in a check that only reads footers."""


def batched_checks(
    context: VerificationContext,
    data_files: Sequence[DataFile],
    video_files: Sequence[VideoFile],
    sources: Sequence[SourceFile],
    surveyed: Survey,
) -> list[Check]:
    """Return the checks of the data files, of the videos, and of the four sidecars (index tables in `meta/byte_index/`).

    Files that do not exist, are empty or are pointers of Git LFS or git-annex get no check. The level `meta` has no checks.

    Args:
        context: The parts of the dataset that every check needs, and the options of the verification.
        data_files: The data files to check.
        video_files: The MP4 files to check.
        sources: The data files of the source that the dataset is compared with; empty without a source.
        surveyed: The listings of the dataset.
    """
    options = context.options
    if not options.looks_at("layout"):
        return []
    existing = [file for file in data_files if _is_readable(file, surveyed.files, surveyed.pointers)]
    compared = sources if options.looks_at("rows") else ()
    groups = _grouped(existing, compared)
    least = 1 if options.looks_at("rows") else FOOTERS_PER_DATA_CHECK
    checks: list[Check] = [DataCheck(tuple(batch)) for batch in _batched(groups, least)]
    videos = [file for file in video_files if _is_readable(file, surveyed.videos, surveyed.pointers)]
    if options.looks_at("decode"):
        videos = _with_decoded(videos, options)
    least = FILES_PER_VIDEO_CHECK if context.data_root.is_local else REMOTE_FILES_PER_VIDEO_CHECK
    checks += [VideoCheck(tuple(batch)) for batch in _batched(videos, 1 if options.looks_at("decode") else least)]
    if context.sidecars is not None:
        checks += [SidecarCheck(name) for name in TABLES]
    return checks


def _is_readable(file: DataFile | VideoFile, listed: Files, pointers: frozenset[str]) -> bool:
    return file.path in listed and file.file_size != 0 and file.path not in pointers


def _grouped(files: Sequence[DataFile], sources: Sequence[SourceFile]) -> list[DataGroup]:
    """Divide data files into groups, so that all files with rows of the same source file are in the same group."""
    group_of = {file.path: file.path for file in files}

    def leader(path: str) -> str:
        while group_of[path] != path:
            path = group_of[path]
        return path

    for source in sources:
        members_of_source = [path for path in source.rewritten_paths if path in group_of]
        for path in members_of_source[1:]:
            first, other = sorted((leader(members_of_source[0]), leader(path)))
            group_of[other] = first
    members: dict[str, list[DataFile]] = {}
    for file in files:
        members.setdefault(leader(file.path), []).append(file)
    origins: dict[str, list[SourceFile]] = {}
    for source in sources:
        members_of_source = [path for path in source.rewritten_paths if path in group_of]
        if members_of_source:
            origins.setdefault(leader(members_of_source[0]), []).append(source)
    return [DataGroup(tuple(group), tuple(origins.get(path, ()))) for path, group in members.items()]


def _with_decoded(files: Sequence[VideoFile], options: VerifyOptions) -> list[VideoFile]:
    """Choose the episodes to decode, and return the files with the positions of these episodes in their field `decoded`.

    The same episodes are decoded for each camera.
    """
    episodes = np.unique(np.concatenate([file.episode_index for file in files])) if files else np.zeros(0, np.int64)
    chosen = choose_episodes(episodes, options)
    return [
        replace(file, decoded=tuple(np.flatnonzero(np.isin(file.episode_index, chosen)).tolist())) for file in files
    ]


def _batched(items: Sequence[T], least: int) -> list[Sequence[T]]:
    size = max(least, -(-len(items) // MAX_CHECKS_PER_KIND))
    return [items[start : start + size] for start in range(0, len(items), size)]

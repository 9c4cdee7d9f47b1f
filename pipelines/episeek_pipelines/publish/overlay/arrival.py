"""Check that a published dataset contains the files that were sent, and compare clips (short ranges of frames) with the source.

Files are compared by size and content identity. The index is opened as a reader opens it, and clips, each read as an MP4, are
compared byte by byte. Differences are returned in a report and not raised as errors, so the caller decides what to do with a
revision that differs.
"""

import hashlib
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import episeek
from episeek.byte_index import ByteIndex
from episeek.clip import Clip
from episeek.errors import BackendUnavailableError, EpiseekError, MissingFileError, first_line
from episeek.sidecars.mapped_table import footer_metadata, read_footer
from episeek.stores.byte_source import STORE_IN_FLIGHT, ByteSource
from episeek.stores.open_source import open_source
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.errors import ArrivalProblem
from episeek_pipelines.publish.overlay.changes import MAX_READ_BYTES, Addition, Changes
from episeek_pipelines.publish.overlay.file_comparison import sha256_in, stored_sha256
from episeek_pipelines.words import counted
from episeek_schemas import layout, sidecars

MAX_CLIP_FRAMES = 8
"""Largest number of frames in a clip that is compared."""

_NOTHING_SENT = Changes((), (), 0)


@dataclass(frozen=True, slots=True)
class ArrivalReport:
    """The result of comparing a published revision with the files that were sent."""

    url: str
    build_id: str
    """Build id of the published byte index, a digest of its rows; empty if the index could not be opened."""
    file_count: int
    """Number of files that arrived with the content that was sent."""
    size_only_count: int
    """Number of files in `file_count` that were compared only by size, because they are large and the store gives no digest of
    them.
    """
    deleted_count: int
    """Number of files that the publication deleted and that really no longer exist."""
    compared_clips: int
    """Number of clips that are byte for byte the same as the clips of the source video."""
    decoded_clips: int
    """Number of clips that were decoded and compared with the index instead, because their source videos are not on this machine.
    """
    clip_bytes: int
    """Number of bytes that were fetched for the clips."""
    problems: tuple[ArrivalProblem, ...]

    @property
    def is_as_sent(self) -> bool:
        """Return whether no difference was found."""
        return not self.problems

    @property
    def summary(self) -> str:
        """Return the result in one line: the first problem, or the numbers of files and clips that were compared."""
        if self.problems:
            more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            return f"{self.url} differs from what was sent: {self.problems[0]}{more}"
        parts = [f"{self.file_count} files as sent"]
        if self.size_only_count:
            parts[0] += f" ({self.size_only_count} compared by size alone)"
        if self.compared_clips:
            parts.append(f"{counted(self.compared_clips, 'clip')} as in the source videos")
        if self.decoded_clips:
            parts.append(f"{counted(self.decoded_clips, 'clip')} decoded")
        return f"{', '.join(parts)}, {self.clip_bytes:,} bytes of clips, build {self.build_id[:12]}"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result of comparing one clip or file: the difference, if any, and how the two were compared."""

    problem: ArrivalProblem | None = None
    byte_count: int = 0
    is_decoded: bool = False
    is_size_only: bool = False


def check_arrival(
    url: str,
    overlay: Root,
    data_root: Root | None,
    *,
    sent: Changes = _NOTHING_SENT,
    clip_count: int = 16,
    seed: int = 0,
    storage_options: dict[str, Any] | None = None,
) -> ArrivalReport:
    """Open a published revision, compare it with the files that were sent, and return the differences.

    Args:
        url: The dataset at the new revision: `hf://datasets/ORG/NAME@COMMIT`, or any other root.
        overlay: The output of `episeek prepare` that was published.
        data_root: Root of the videos that were indexed. With None, clips are compared with the overlay's videos; if the overlay
            has no videos, clips are decoded with PyAV instead.
        sent: The changes that were sent. Their files are compared with the revision. If the changes contain sidecars (the tables of
            the byte index), the revision must have the build id of these sidecars, otherwise the build id of the overlay.
        clip_count: Number of clips to compare: one at the start of the first episode, one at the end of the last episode, and
            random clips.
        seed: Seed for choosing the random clips.
        storage_options: Options of the store, for `episeek.open`.

    Raises:
        BackendUnavailableError: PyAV is needed, but it is not installed.
        EpiseekError: The overlay's own sidecars or videos cannot be read. Problems of the revision are not raised, but are in the
            report.
    """
    local = episeek.open(overlay.url, data_root=(overlay if data_root is None else data_root).url, on_stale="ignore")
    expected_build = _build_sent(sent) or local.build_id
    source = open_source(url, storage_options=storage_options)
    files = map_in_threads(partial(_compare_file, source), sent.additions, max_in_flight=STORE_IN_FLIGHT)
    gone = map_in_threads(partial(_compare_deleted, source), sent.deletions, max_in_flight=STORE_IN_FLIGHT)
    problems = [outcome.problem for outcome in (*files, *gone)]
    build_id, clips = "", []
    try:
        published = episeek.open(url, storage_options=storage_options, on_stale="ignore")
    except EpiseekError as error:
        problems.append(ArrivalProblem(layout.BYTE_INDEX_DIR, _reason(error), "sidecars that can be opened"))
    else:
        build_id = published.build_id
        differences = _compare_indexes(published, local, expected_build)
        problems += differences
        if not differences:
            wanted = sample_clips(local, clip_count, seed=seed)
            compare = partial(_compare_clip, published, local, has_source=data_root is not None)
            clips = map_in_threads(compare, wanted, max_in_flight=STORE_IN_FLIGHT)
            problems += [outcome.problem for outcome in clips]
    good_files = [outcome for outcome in files if outcome.problem is None]
    good_clips = [outcome for outcome in clips if outcome.problem is None]
    return ArrivalReport(
        url=url,
        build_id=build_id,
        file_count=len(good_files),
        size_only_count=sum(outcome.is_size_only for outcome in good_files),
        deleted_count=sum(outcome.problem is None for outcome in gone),
        compared_clips=sum(not outcome.is_decoded for outcome in good_clips),
        decoded_clips=sum(outcome.is_decoded for outcome in good_clips),
        clip_bytes=sum(outcome.byte_count for outcome in clips),
        problems=tuple(problem for problem in problems if problem is not None),
    )


def sample_clips(index: ByteIndex, clip_count: int, *, seed: int) -> list[Clip]:
    """Choose clips of up to `MAX_CLIP_FRAMES` frames, and return them without reading their bytes.

    The clips contain the first frames of the first episode, the last frames of the last episode, and random frames of random
    episodes and cameras. The list is empty for a dataset without videos.
    """
    if not index.cameras or not index.episode_count:
        return []
    chosen = random.Random(seed)
    first, last = (0, index.cameras[0]), (index.episode_count - 1, index.cameras[-1])
    clips = []
    for number in range(clip_count):
        anywhere = (chosen.randrange(index.episode_count), chosen.choice(index.cameras))
        episode, camera = first if number == 0 else last if number == 1 else anywhere
        frame_count = index.lookup(episode, camera).frame_count
        length = min(frame_count, MAX_CLIP_FRAMES)
        latest = frame_count - length
        start = 0 if number == 0 else latest if number == 1 else chosen.randint(0, latest)
        clips.append(index.clip(episode, camera, start, start + length))
    return clips


def _build_sent(sent: Changes) -> str:
    """Return the build id (a digest of the rows) of the byte index that was sent, or an empty string if no index was sent."""
    content = next((addition.source for addition in sent.additions if addition.path == layout.FILES_PATH), None)
    if content is None:
        return ""
    data = content if isinstance(content, bytes) else Path(content).read_bytes()
    return footer_metadata(read_footer(data, where=layout.FILES_PATH)).get(sidecars.BUILD_ID_KEY, "")


# --- files ----------------------------------------------------------------------------------------------------------------------


def _compare_file(source: ByteSource, addition: Addition) -> _Outcome:
    expected = f"{addition.size} bytes with SHA-256 {addition.sha256[:12]}..., as sent"
    try:
        identity = source.identity(addition.path)
        if identity.size != addition.size:
            return _Outcome(ArrivalProblem(addition.path, f"{identity.size} bytes", expected))
        sha256 = sha256_in(identity)
        if not sha256 and addition.size > MAX_READ_BYTES:
            return _Outcome(is_size_only=True)
        sha256 = sha256 or stored_sha256(source, addition.path, addition.size)
    except EpiseekError as error:
        return _Outcome(ArrivalProblem(addition.path, _reason(error), expected))
    if sha256 == addition.sha256:
        return _Outcome()
    return _Outcome(ArrivalProblem(addition.path, f"SHA-256 {sha256[:12]}...", expected))


def _compare_deleted(source: ByteSource, path: str) -> _Outcome:
    try:
        identity = source.identity(path)
    except MissingFileError:
        return _Outcome()
    except EpiseekError as error:
        return _Outcome(ArrivalProblem(path, _reason(error), "no such file, since it was deleted"))
    return _Outcome(ArrivalProblem(path, f"{identity.size} bytes", "no such file, since it was deleted"))


# --- index and clips ------------------------------------------------------------------------------------------------------------


def _compare_indexes(published: ByteIndex, local: ByteIndex, build_id: str) -> list[ArrivalProblem]:
    compared: list[tuple[str, object, object]] = [
        ("build", published.build_id, build_id),
        ("cameras", published.cameras, local.cameras),
        ("fps", published.fps, local.fps),
        ("episodes", published.episode_count, local.episode_count),
        ("frames", published.frame_count, local.frame_count),
        ("videos", published.file_count, local.file_count),
    ]
    for name in ("episodes", "keyframes", "samples"):
        compared.append((f"rows of {name}", published.table(name).row_count, local.table(name).row_count))
    return [
        ArrivalProblem(layout.BYTE_INDEX_DIR, f"{what} {found}", f"{expected}, as sent")
        for what, found, expected in compared
        if found != expected
    ]


def _compare_clip(published: ByteIndex, local: ByteIndex, wanted: Clip, *, has_source: bool) -> _Outcome:
    """Compare a published clip with the same clip of the source video, or with the index if there is no source video."""
    where = f"episode {wanted.episode_index} of {wanted.camera_key!r}, frames [{wanted.start}, {wanted.stop})"
    mine = _source_bytes(wanted, has_source=has_source)
    try:
        clip = published.clip(wanted.episode_index, wanted.camera_key, wanted.start, wanted.stop)
        byte_count = clip.byte_range[1] - clip.byte_range[0]
        if mine is None:
            # Decoding compares the frames and their times with the index.
            clip.decode("pyav")
            return _Outcome(byte_count=byte_count, is_decoded=True)
        found = clip.read()
    except BackendUnavailableError:
        raise
    except EpiseekError as error:
        return _Outcome(ArrivalProblem(where, _reason(error), "a clip that can be read"), is_decoded=mine is None)
    if found == mine:
        return _Outcome(byte_count=byte_count)
    problem = ArrivalProblem(where, _described(found), f"{_described(mine)}, as in {wanted.source.root}")
    return _Outcome(problem, byte_count)


def _source_bytes(clip: Clip, *, has_source: bool) -> bytes | None:
    """Return the bytes of a clip of a source video, or None if the video is not on this machine.

    Raises:
        MissingFileError: `has_source` is True, but the video does not exist.
    """
    try:
        return clip.read()
    except MissingFileError:
        if has_source:
            raise
        return None


def _described(mp4: bytes) -> str:
    return f"{len(mp4)} bytes with SHA-256 {hashlib.sha256(mp4).hexdigest()[:12]}..."


def _reason(error: EpiseekError) -> str:
    return f"{type(error).__name__}: {first_line(error)}"

"""Find the stale parts of the sidecars without writing anything.

The footers of the sidecars and their table `files` record the videos and meta/episodes as they were when the sidecars were written.
These records are compared with the listing of the store and with meta/episodes as they are now. Local file systems and some stores
list no identity of a file that can be compared. In this case the headers of the videos are read, many at once, and their digests
are compared.
"""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from episeek.errors import MissingFileError, Mp4Error, SidecarError
from episeek.sidecars.file_record import FileRecord
from episeek.stores.byte_source import ByteSource, CountingSource
from episeek.stores.identity import FileIdentity
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.provenance import recorded_videos
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.existing_build import ExistingBuild, read_existing_build
from episeek_pipelines.index.merge import dataset_description
from episeek_pipelines.index.units import IndexUnit, list_units
from episeek_pipelines.video.header import recorded_header_digest
from episeek_pipelines.words import counted
from episeek_schemas import layout

Reason = Literal["changed", "new", "gone", "episodes", "dataset", "sidecars"]
"""Why something is stale.

For a video file: "changed" (its size, identity or header differs), "new" (it has no row), "gone" (it does not exist, or contains no
episode any more), or "episodes" (other episodes are declared in it). For the whole build: "dataset" (meta/info.json describes the
dataset differently), or "sidecars" (they are missing, damaged, or of another format version or index version).
"""


@dataclass(frozen=True, slots=True)
class Stale:
    """A part of the sidecars that is wrong or missing, with the reason."""

    path: str
    reason: Reason
    found: str
    expected: str


_UNSURE = Stale("", "changed", "", "")
"""The result for a file whose size and identity do not show whether it has changed."""


@dataclass(frozen=True, slots=True)
class IndexCheck:
    """The stale parts of the sidecars, sorted by path, and the cost of finding them."""

    target: str
    """The root of the dataset that contains the sidecars."""
    build_id: str
    """The build id of the sidecars; empty if they are missing or cannot be read."""
    file_count: int
    stale: tuple[Stale, ...]
    headers_read: int = 0
    request_count: int = 0
    bytes_read: int = 0


def check_index(
    source: str,
    *,
    output: str | None = None,
    data_root: str | None = None,
    progress: Callable[[int], Callable[[int], None]] | None = None,
) -> IndexCheck:
    """Compare a dataset with its sidecars.

    Args:
        source: Root of a LeRobot dataset of version 3.0, 2.1 or 2.0.
        output: Root below which the sidecars are in `meta/byte_index/`; None for `source`.
        data_root: The dataset with the videos if `source` is an overlay. None for the source that a local overlay records,
            and for `source` itself if there is no such record.
        progress: Called once with the number of headers to read. It returns a function, which is called with the number of headers
            that were read since its last call.

    Raises:
        EpiseekError: The check is impossible, since `source` is not a dataset or a store does not answer.
    """
    dataset = open_dataset(source)
    target = dataset.root if output is None else Root(output).pinned()
    videos = Root(data_root).pinned() if data_root is not None else recorded_videos(dataset.root) or dataset.root
    units, missing = list_units(dataset, videos)
    file_count = len(units) + len(missing)
    try:
        build = read_existing_build(target)
    except SidecarError as error:
        where = error.where.removeprefix(f"{target.url}/")
        return IndexCheck(target.url, "", file_count, (Stale(where, "sidecars", error.found, error.expected),))
    outdated = build.outdated()
    if outdated is not None:
        other = Stale(layout.BYTE_INDEX_DIR, "sidecars", *outdated)
        return IndexCheck(target.url, build.build_id, file_count, (other,))
    stale = [
        *_missing_rows(units, build),
        *_gone(units, missing, build),
        *_redeclared(units, build, fps=dataset.info.fps),
    ]
    indexed = [(unit, build.files[unit.path]) for unit in units if unit.path in build.files]
    compared = [(unit, record, _compare(unit.path, unit.identity, record)) for unit, record in indexed]
    stale += [found for _, _, found in compared if found is not None and found is not _UNSURE]
    unsure = [(unit, record) for unit, record, found in compared if found is _UNSURE]
    report = _one_at_a_time(progress(len(unsure)) if progress is not None and unsure else _ignore)
    in_flight = (os.cpu_count() or 1) if videos.is_local else videos.in_flight
    read = map_in_threads(partial(_read, videos.source(), report), unsure, max_in_flight=in_flight)
    stale += [found for found, _ in read if found is not None]
    description = dataset_description(
        dataset.info, episode_count=len(dataset.episodes), frame_count=int(dataset.episodes.length.sum())
    )
    if build.description != description and not stale:
        stale.append(Stale(layout.INFO_PATH, "dataset", description, build.description))
    return IndexCheck(
        target=target.url,
        build_id=build.build_id,
        file_count=file_count,
        stale=tuple(sorted(stale, key=lambda found: (found.path, found.reason))),
        headers_read=sum(counting.request_count > 0 for _, counting in read),
        request_count=sum(counting.request_count for _, counting in read),
        bytes_read=sum(counting.byte_count for _, counting in read),
    )


def _missing_rows(units: list[IndexUnit], build: ExistingBuild) -> Iterator[Stale]:
    for unit in units:
        if unit.path not in build.files:
            yield Stale(
                unit.path, "new", "no row in the sidecars", f"a row for its {counted(len(unit.episodes), 'episode')}"
            )


def _gone(units: list[IndexUnit], missing: list[IndexUnit], build: ExistingBuild) -> Iterator[Stale]:
    for unit in missing:
        yield Stale(unit.path, "gone", "no such file", f"the MP4 of episode {unit.episodes.episode_index[0]}")
    for path in build.files.keys() - {unit.path for unit in (*units, *missing)}:
        yield Stale(path, "gone", "no episode in the file", "the episodes that were indexed")


def _redeclared(units: list[IndexUnit], build: ExistingBuild, *, fps: float) -> Iterator[Stale]:
    for unit in units:
        record = build.files.get(unit.path)
        declared = unit.episodes.digest(camera_index=unit.camera_index, fps=fps)
        if record is not None and declared != record.episodes_sha256:
            found, expected = f"declared episodes with digest {declared[:12]}...", f"{record.episodes_sha256[:12]}..."
            yield Stale(unit.path, "episodes", found, expected)


def _compare(path: str, identity: FileIdentity | None, record: FileRecord) -> Stale | None:
    """Return the difference between a file and its row of `files`: None if they agree, `_UNSURE` if they cannot be compared."""
    if identity is None:
        return _UNSURE
    if identity.size != record.file_size:
        return Stale(path, "changed", f"{identity.size} bytes", f"{record.file_size} bytes")
    is_same = identity.is_content(record.store_id)
    if is_same is False:
        return Stale(path, "changed", ", ".join(identity.store_ids), record.store_id)
    return None if is_same else _UNSURE


def _read(
    source: ByteSource, report: Callable[[int], None], item: tuple[IndexUnit, FileRecord]
) -> tuple[Stale | None, CountingSource]:
    """Compare a file with its row of `files`: first the file's identity, then its header if the identity cannot be compared.

    Returns:
        The difference, or None if there is none, and the source that counted requests and bytes.
    """
    unit, record = item
    counting = CountingSource(source)
    try:
        identity = unit.identity or counting.identity(unit.path)
        found = _compare(unit.path, identity, record)
        if found is _UNSURE:
            found = _compare_header(counting, record)
    except MissingFileError:
        found = Stale(unit.path, "gone", "no such file", f"the MP4 of episode {unit.episodes.episode_index[0]}")
    report(1)
    return found, counting


def _compare_header(source: ByteSource, record: FileRecord) -> Stale | None:
    try:
        digest = recorded_header_digest(source, record)
    except Mp4Error as error:
        return Stale(record.file_path, "changed", error.found, "the header that was indexed")
    if digest == record.moov_sha256:
        return None
    return Stale(record.file_path, "changed", f"a header with digest {digest[:12]}...", f"{record.moov_sha256[:12]}...")


def _one_at_a_time(report: Callable[[int], None]) -> Callable[[int], None]:
    lock = threading.Lock()

    def locked(file_count: int, /) -> None:
        with lock:
            report(file_count)

    return locked


def _ignore(file_count: int, /) -> None:
    """Ignore the number of headers that were read: the caller passed no `progress`."""

"""Whether what would be published belongs to the repository as it is at the parent commit: its videos are those that the
sidecars describe, and the metadata names files that will be there.

Videos are compared by size and content identity. Where sidecars were made from local files they have none: then the header is
read, by ranges, and its digest compared. Nothing else of a video is read, and nothing is sent.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from episeek.errors import EpiseekError, MissingFileError, Mp4Error
from episeek.sidecars.file_record import FileRecord
from episeek.stores.byte_source import STORE_IN_FLIGHT, ByteSource, CountingSource
from episeek.stores.identity import FileIdentity, etag_id
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.dataset.metadata import Dataset, open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.existing_build import ExistingBuild, read_existing_build
from episeek_pipelines.index.merge import dataset_description
from episeek_pipelines.index.units import (
    IndexUnit,
    list_units,
)
from episeek_pipelines.publish.overlay.changes import Changes, RemoteFile, RemoteFiles
from episeek_pipelines.publish.overlay.files import sendable_files
from episeek_pipelines.video.header import recorded_header_digest
from episeek_schemas import layout, lerobot
from episeek_schemas.lerobot import DatasetInfo, DocumentError

_SHOWN_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class TargetProblem:
    """One file that is not what the publication takes it for."""

    path: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.path}: found {self.found}; expected {self.expected}"


class TargetMismatchError(EpiseekError, ValueError):
    """The sidecars or the metadata do not belong to the repository's files; `problems` has all of it, by path."""

    def __init__(self, where: str, found: str, expected: str, problems: tuple[TargetProblem, ...] = ()) -> None:
        super().__init__(where, found, expected)
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.found, self.expected, self.problems)

    @classmethod
    def of(cls, problems: list[TargetProblem], *, where: str) -> "TargetMismatchError":
        """From what was found, the first of it in words."""
        ordered = tuple(sorted(problems, key=lambda problem: (problem.path, problem.found)))
        shown = " | ".join(map(str, ordered[:_SHOWN_PROBLEMS]))
        more = f" | and {len(ordered) - _SHOWN_PROBLEMS} more" if len(ordered) > _SHOWN_PROBLEMS else ""
        plural = "" if len(ordered) == 1 else "s"
        expected = "the files that were prepared: prepare the dataset again from this revision"
        return cls(where, f"{len(ordered)} problem{plural}: {shown}{more}", expected, ordered)


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """What was compared, all of it equal."""

    info: DatasetInfo
    episode_count: int
    frame_count: int
    units: tuple[IndexUnit, ...]
    """The MP4 files by path; the identity is the one that the published file has in the repository."""
    headers_read: int = 0
    """Of files without an identity to compare."""
    request_count: int = 0
    """To the repository, for headers; those of files that are here as well are read here."""
    bytes_read: int = 0


@dataclass(frozen=True, slots=True)
class _Pending:
    """A file whose header has to be compared with its row."""

    source: CountingSource
    record: FileRecord


def check_target(
    overlay: Root, remote: RemoteFiles, videos: ByteSource, *, changes: Changes, sidecars_only: bool
) -> TargetCheck:
    """Compare an overlay with the repository that it is to be published in.

    Args:
        overlay: As for `episeek_pipelines.publish.overlay.plan.plan_changes`.
        remote: The repository's files at the parent commit.
        videos: The repository at that commit.
        changes: What would be published, as planned from the two; whether store identities are filled in yet does not matter.
        sidecars_only: The metadata that counts is the repository's, not the overlay's.

    Raises:
        TargetMismatchError: The sidecars describe other files, or the metadata names files that will not be there.
        EpiseekError: The metadata or the sidecars cannot be read, or the repository does not answer.
    """
    build = read_existing_build(overlay)
    with _metadata(overlay, remote, videos, sidecars_only) as root:
        dataset = open_dataset(root)
        there, elsewhere = list_units(dataset, root)
    units = sorted((*there, *elsewhere), key=lambda unit: unit.path)
    episode_count, frame_count = len(dataset.episodes), int(dataset.episodes.length.sum())
    problems = [
        *_description_problems(dataset, build),
        *_data_problems(dataset, (remote.keys() | changes.paths) - set(changes.deletions)),
        *_row_problems(units, build, fps=dataset.info.fps),
    ]
    sent = {addition.path: addition for addition in changes.additions}
    local = overlay.source()
    kept_here = set() if sidecars_only else sendable_files(overlay).keys()
    identified, pending = [], []
    for unit in units:
        addition, known, record = sent.get(unit.path), remote.get(unit.path), build.files.get(unit.path)
        if addition is not None:
            identity = FileIdentity(addition.size, (f"sha256:{addition.sha256}",))
        elif known is not None:
            identity = identity_in_repository(known)
        else:
            expected = f"the MP4 of episode {unit.episodes.episode_index[0]}"
            problems.append(TargetProblem(unit.path, "no such file in the repository, and none is sent", expected))
            continue
        identified.append(replace(unit, identity=identity))
        if record is None:
            continue
        if identity.size != record.file_size:
            found, expected = f"{identity.size} bytes", f"{record.file_size}, as when it was indexed"
            problems.append(TargetProblem(unit.path, found, expected))
            continue
        is_same = _is_content(identity, record.store_id)
        if is_same is False:
            found, expected = ", ".join(identity.store_ids), f"{record.store_id}, as when it was indexed"
            problems.append(TargetProblem(unit.path, found, expected))
        elif is_same is None:  # one that is here as well has the same content: that is why it is not sent
            source = local if unit.path in kept_here else videos
            pending.append(_Pending(CountingSource(source), record))
    compared = map_in_threads(_header_problem, pending, max_in_flight=STORE_IN_FLIGHT)
    problems += [problem for problem in compared if problem is not None]
    if problems:
        raise TargetMismatchError.of(problems, where=videos.root)
    asked = [item.source for item in pending if item.source.source is videos]
    return TargetCheck(
        dataset.info,
        episode_count,
        frame_count,
        tuple(identified),
        headers_read=len(pending),
        request_count=sum(source.request_count for source in asked),
        bytes_read=sum(source.byte_count for source in asked),
    )


def require_no_loss(info: bytes, target_check: TargetCheck, *, where: str) -> None:
    """Refuse an overlay that was prepared before the repository grew: what replaces its files would not have the new episodes.

    Args:
        info: The repository's meta/info.json at the parent commit.
        target_check: What was compared.
        where: The repository, for messages.

    Raises:
        TargetMismatchError: The repository has more episodes or frames than the overlay.
    """
    try:
        document = lerobot.parse_document(info)
    except DocumentError:
        # Nothing that a reader could lose.
        return
    counts = {"total_episodes": target_check.episode_count, "total_frames": target_check.frame_count}
    for key, here in counts.items():
        count = document.get(key)
        if isinstance(count, int) and count > here:
            found = f"{key} {count} in the repository, {here} in what is to be published"
            raise TargetMismatchError(
                where, found, "no fewer than the repository has: prepare the dataset again from it"
            )


def identity_in_repository(file: RemoteFile) -> FileIdentity:
    """What the Hub tells readers of a file: LFS's SHA-256 and Xet's hash, or Git's id of the blob as the ETag. Of a store, what it
    tells them.
    """
    if file.store_ids is not None:
        return FileIdentity(file.size, file.store_ids)
    if file.sha256 is None:
        return FileIdentity(file.size, etag_id(file.blob_id))
    xet = (f"xet:{file.xet_hash}",) if file.xet_hash else ()
    return FileIdentity(file.size, (f"sha256:{file.sha256}", *xet))


@contextmanager
def _metadata(overlay: Root, remote: RemoteFiles, source: ByteSource, sidecars_only: bool) -> Iterator[Root]:
    """The root whose `meta/` readers see after the change."""
    if not sidecars_only:
        yield overlay
        return
    paths = [
        path
        for path in remote
        if path == layout.INFO_PATH or (path.startswith(f"{layout.EPISODES_DIR}/") and path.endswith(".parquet"))
    ]
    with tempfile.TemporaryDirectory(prefix="episeek-") as folder:

        def fetch(path: str) -> None:
            data = source.get_ranges(path, [(0, remote[path].size)])[0]
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

        map_in_threads(fetch, paths, max_in_flight=STORE_IN_FLIGHT)
        yield Root(folder)


def _description_problems(dataset: Dataset, build: ExistingBuild) -> Iterator[TargetProblem]:
    frame_count = int(dataset.episodes.length.sum())
    description = dataset_description(dataset.info, episode_count=len(dataset.episodes), frame_count=frame_count)
    if description != build.description:
        yield TargetProblem(layout.INFO_PATH, description, f"{build.description}, as when it was indexed")


def _data_problems(dataset: Dataset, after: set[str]) -> Iterator[TargetProblem]:
    first_episode: dict[str, int] = {}
    for row, path in enumerate(dataset.data_paths()):
        first_episode.setdefault(path, row)
    for path, episode in first_episode.items():
        if path not in after:
            yield TargetProblem(path, "no such file after the change", f"the rows of episode {episode}")


def _row_problems(units: list[IndexUnit], build: ExistingBuild, *, fps: float) -> Iterator[TargetProblem]:
    """Files without a row, rows without a file that episodes name, and files whose episodes are others by now."""
    for unit in units:
        record = build.files.get(unit.path)
        if record is None:
            yield TargetProblem(unit.path, "no row in the sidecars", f"one for its {len(unit.episodes)} episodes")
            continue
        declared = unit.episodes.digest(camera_index=unit.camera_index, fps=fps)
        if declared != record.episodes_sha256:
            found = f"declared episodes with digest {declared[:12]}..."
            yield TargetProblem(unit.path, found, f"{record.episodes_sha256[:12]}..., as when it was indexed")
    for path in build.files.keys() - {unit.path for unit in units}:
        yield TargetProblem(path, "a row in the sidecars, and no episode in it", "the episodes that were indexed")


def _is_content(identity: FileIdentity, store_id: str) -> bool | None:
    """As `FileIdentity.is_content`; but ETags that differ say nothing, since those of another store are no ids of Git's."""
    is_same = identity.is_content(store_id)
    return None if is_same is False and store_id.startswith("etag:") else is_same


def _header_problem(item: _Pending) -> TargetProblem | None:
    """How the header of a file differs from its row."""
    path, record = item.record.file_path, item.record
    expected = f"the header that was indexed, with digest {record.moov_sha256[:12]}..."
    try:
        digest = recorded_header_digest(item.source, record)
    except (Mp4Error, MissingFileError) as error:
        return TargetProblem(path, error.found, expected)
    return None if digest == record.moov_sha256 else TargetProblem(path, f"one with digest {digest[:12]}...", expected)

"""Check that an overlay (the output of `episeek prepare`) belongs to its target, the repository or store to publish into.

The sidecars must describe the videos of the target, and every file that the metadata refers to must exist after the publication.
Videos are compared by size and content identity. If the sidecars contain no identities, because they were made from local files,
the header of each video is read with range requests, and its digest is compared. Nothing else of a video is read, and nothing is
sent.
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
from episeek_pipelines.index.units import IndexUnit, list_units
from episeek_pipelines.publish.overlay.changes import Addition, Changes, RemoteFile, RemoteFiles
from episeek_pipelines.publish.overlay.file_comparison import SHA256
from episeek_pipelines.publish.overlay.files import sendable_files
from episeek_pipelines.video.header import recorded_header_digest
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot, lerobot_v2
from episeek_schemas.lerobot import DatasetInfo, DocumentError

_SHOWN_PROBLEMS = 3
_PREPARE_AGAIN = "prepare the dataset again from this revision"


@dataclass(frozen=True, slots=True)
class TargetProblem:
    """One file of the target that differs from what the overlay's metadata or byte index describe."""

    path: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.path}: found {self.found}; expected {self.expected}"


class TargetMismatchError(EpiseekError, ValueError):
    """The overlay's metadata or sidecars (the byte index) do not match the files of the target.

    `problems` lists the files that do not match, sorted by path.
    """

    def __init__(
        self, where: str, found: str, expected: str, hint: str = "", problems: tuple[TargetProblem, ...] = ()
    ) -> None:
        super().__init__(where, found, expected, hint)
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.found, self.expected, self.hint, self.problems)

    @classmethod
    def of(cls, problems: list[TargetProblem], *, where: str) -> "TargetMismatchError":
        """Return the error for a list of problems. The message of the error shows only the first few problems."""
        ordered = tuple(sorted(problems, key=lambda problem: (problem.path, problem.found)))
        shown = " | ".join(map(str, ordered[:_SHOWN_PROBLEMS]))
        more = f" | and {len(ordered) - _SHOWN_PROBLEMS} more" if len(ordered) > _SHOWN_PROBLEMS else ""
        found = f"{counted(len(ordered), 'problem')}: {shown}{more}"
        return cls(where, found, "the files that were prepared", _PREPARE_AGAIN, ordered)


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """The result of a check that found no problem: the dataset that readers will see after the publication, and what was read."""

    info: DatasetInfo
    episode_count: int
    frame_count: int
    units: tuple[IndexUnit, ...]
    """The videos, sorted by path, with the identities that they will have after the publication."""
    headers_read: int = 0
    """Number of video headers that were read because identities could not be compared."""
    request_count: int = 0
    """Number of requests to the target for headers. The header of a file that is also on this machine is read without a request."""
    bytes_read: int = 0
    """Number of bytes of video headers that were read from the target."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A video whose header has to be read and compared with the video's row in the byte index."""

    source: CountingSource
    record: FileRecord


def check_target(
    overlay: Root, remote: RemoteFiles, videos: ByteSource, *, changes: Changes, sidecars_only: bool
) -> TargetCheck:
    """Compare an overlay with its target, and return the dataset that readers will see after the publication.

    Args:
        overlay: The overlay, as for `episeek_pipelines.publish.overlay.plan.plan_changes`.
        remote: The files of the target, by path.
        videos: The reader of the target's files.
        changes: The changes that were planned from the overlay and the target.
        sidecars_only: Compare the sidecars with the metadata of the target instead of the overlay's metadata.

    Raises:
        TargetMismatchError: The sidecars describe other files, or a file that the metadata refers to will not exist after the
            publication.
        EpiseekError: The metadata or the sidecars cannot be read, or the target does not answer.
    """
    build = read_existing_build(overlay)
    with _metadata(overlay, remote, videos, sidecars_only) as root:
        dataset = open_dataset(root)
        present, missing = list_units(dataset, root)
    units = sorted((*present, *missing), key=lambda unit: unit.path)
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
        identity = _published_identity(sent.get(unit.path), remote.get(unit.path))
        if identity is None:
            expected = f"the MP4 of episode {unit.episodes.episode_index[0]}"
            problems.append(TargetProblem(unit.path, "no such file in the target, and none is sent", expected))
            continue
        identified.append(replace(unit, identity=identity))
        record = build.files.get(unit.path)
        if record is None:
            continue
        is_same = identity.size == record.file_size and _is_content(identity, record.store_id)
        if is_same is False:
            problems.append(_identity_problem(identity, record))
        elif is_same is None:
            # A file that is also on this machine has the same content here, because otherwise it would be sent.
            source = local if unit.path in kept_here else videos
            pending.append(_Pending(CountingSource(source), record))
    compared = map_in_threads(_header_problem, pending, max_in_flight=STORE_IN_FLIGHT)
    problems += [problem for problem in compared if problem is not None]
    if problems:
        raise TargetMismatchError.of(problems, where=videos.root)
    requested = [item.source for item in pending if item.source.source is videos]
    return TargetCheck(
        dataset.info,
        episode_count,
        frame_count,
        tuple(identified),
        headers_read=len(pending),
        request_count=sum(source.request_count for source in requested),
        bytes_read=sum(source.byte_count for source in requested),
    )


def require_no_loss(info: bytes, target_check: TargetCheck, *, where: str) -> None:
    """Raise an error if the publication would take episodes or files away from the readers of the target.

    Readers would lose episodes that were added to the target after the overlay was prepared. If the target has version 2.x, readers
    would lose its data files, because a publication deletes them.

    Args:
        info: The content of the target's meta/info.json.
        target_check: The result of `check_target`.
        where: The target, for messages.

    Raises:
        TargetMismatchError: The target has more episodes or frames than the overlay, or it has version 2.x.
    """
    try:
        document = lerobot.parse_document(info)
    except DocumentError:
        # No reader can open this dataset, so no reader can lose anything.
        return
    if lerobot_v2.is_v2(document):
        hint = "prepare the dataset with --videos copy or --videos pack, and publish it into a new repository or folder"
        found = f"codebase_version {document['codebase_version']!r} in the target"
        raise TargetMismatchError(where, found, "version 3.0", hint)
    counts = {"total_episodes": target_check.episode_count, "total_frames": target_check.frame_count}
    for key, here in counts.items():
        count = document.get(key)
        if isinstance(count, int) and count > here:
            found = f"{key} {count} in the target, {here} in the overlay"
            raise TargetMismatchError(where, found, f"{key} {count} or more in the overlay", _PREPARE_AGAIN)


def identity_in_target(file: RemoteFile) -> FileIdentity:
    """Return the identity that the target reports to its readers for a file.

    For a file in LFS, the Hub reports the SHA-256, and the Xet hash if the file has one. For a file in Git itself, the Hub reports
    Git's blob id as the ETag.
    """
    if file.store_ids is not None:
        return FileIdentity(file.size, file.store_ids)
    if file.sha256 is None:
        return FileIdentity(file.size, etag_id(file.blob_id))
    xet = (f"xet:{file.xet_hash}",) if file.xet_hash else ()
    return FileIdentity(file.size, (f"{SHA256}{file.sha256}", *xet))


@contextmanager
def _metadata(overlay: Root, remote: RemoteFiles, source: ByteSource, sidecars_only: bool) -> Iterator[Root]:
    """Yield a root with the `meta/` that readers will see after the publication.

    The root is the overlay, or with `sidecars_only` a temporary folder with the target's info.json and meta/episodes.
    """
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
        yield TargetProblem(layout.INFO_PATH, description, f"{build.description}, as when the dataset was indexed")


def _data_problems(dataset: Dataset, after: set[str]) -> Iterator[TargetProblem]:
    for path, rows in dataset.data_rows().items():
        if path not in after:
            yield TargetProblem(path, "no such file after the publication", f"the rows of episode {rows[0]}")


def _row_problems(units: list[IndexUnit], build: ExistingBuild, *, fps: float) -> Iterator[TargetProblem]:
    """Yield the differences between the videos that the metadata declares and the videos that the byte index describes.

    A video may have no row in the index, a row may have no video, and a video may have other episodes than when it was indexed.
    """
    for unit in units:
        record = build.files.get(unit.path)
        if record is None:
            yield TargetProblem(
                unit.path, "no row in the sidecars", f"a row for {counted(len(unit.episodes), 'episode')}"
            )
            continue
        declared = unit.episodes.digest(camera_index=unit.camera_index, fps=fps)
        if declared != record.episodes_sha256:
            found = f"declared episodes with digest {declared[:12]}..."
            yield TargetProblem(unit.path, found, f"digest {record.episodes_sha256[:12]}..., as when it was indexed")
    for path in build.files.keys() - {unit.path for unit in units}:
        yield TargetProblem(path, "a row in the sidecars, but no episode in the file", "the episodes that were indexed")


def _published_identity(addition: Addition | None, file: RemoteFile | None) -> FileIdentity | None:
    """Return the identity that a file will have after the publication, or None if the file will not exist."""
    if addition is not None:
        return FileIdentity(addition.size, (f"{SHA256}{addition.sha256}",))
    return None if file is None else identity_in_target(file)


def _identity_problem(identity: FileIdentity, record: FileRecord) -> TargetProblem:
    """Return the problem to report for a file whose size or identity in the target differs from its row in the byte index."""
    if identity.size != record.file_size:
        found, expected = f"{identity.size} bytes", f"{record.file_size}"
    else:
        found, expected = ", ".join(identity.store_ids), record.store_id
    return TargetProblem(record.file_path, found, f"{expected}, as when it was indexed")


def _is_content(identity: FileIdentity, store_id: str) -> bool | None:
    """Return whether the identities of a file include the recorded `store_id`; None if they cannot be compared with it.

    ETags that differ prove nothing, because two stores may give the same content different ETags.
    """
    is_same = identity.is_content(store_id)
    return None if is_same is False and store_id.startswith("etag:") else is_same


def _header_problem(item: _Pending) -> TargetProblem | None:
    """Read the header of a video, and return a problem if the byte index has another digest of the header, otherwise None."""
    path, record = item.record.file_path, item.record
    expected = f"the header that was indexed, with digest {record.moov_sha256[:12]}..."
    try:
        digest = recorded_header_digest(item.source, record)
    except (Mp4Error, MissingFileError) as error:
        return TargetProblem(path, error.found, expected)
    return None if digest == record.moov_sha256 else TargetProblem(path, f"digest {digest[:12]}...", expected)

"""Write and read the record of the source from which a dataset was prepared. The record is never published.

The record contains the identities of the source's files and, if the source is a repository on the Hub or a copy of one, its commit.
A publication compares the recorded identities with the files that it would replace, and never silently replaces files that have
changed since the dataset was prepared.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from episeek.errors import DatasetError, MetadataError, MissingFileError, first_line
from episeek.sidecars.recorded_source import recorded_source
from episeek.stores.identity import FileIdentity
from episeek.stores.kinds import is_hub
from episeek.stores.transports.hub.location import parse_hub_url
from episeek_pipelines.dataset.digests import Digests, LocalDigests
from episeek_pipelines.dataset.metadata import read_info
from episeek_pipelines.dataset.recorded_options import command_again
from episeek_pipelines.dataset.root import Root
from episeek_schemas import layout

SKIPPED_KEY: Final = "skip_episodes"
"""Key in `SourceRecord.preparation`. Its value lists the numbers, in the source, of the episodes that were left out."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DOWNLOAD_DIR = ".cache/huggingface/download"
_EXPECTED = "a JSON object with commit, plan and files, as `episeek prepare` writes it"
_HINT = "remove the file, or prepare the dataset again"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """The source of a prepared dataset, and how it was prepared."""

    commit: str | None
    """The commit at which the source was read, or the commit of a later publication; None if it is unknown."""
    preparation: dict[str, Any]
    """The command, its source and its options, as `episeek_pipelines.jobs.run_options` records them."""
    files: dict[str, FileIdentity] = field(default_factory=dict)
    """The identities of the source's files that a publication may replace, by path."""
    version: str = ""
    """The `codebase_version` of a source of version 2.x; empty for other versions."""


def source_commit(root: Root) -> str | None:
    """Return the commit of a dataset, or the commit from which it was copied or prepared, or None if no commit is known.

    A commit is known for a repository on the Hub at a fixed commit, for a dataset that was prepared from such a repository, and
    for a Git clone. A commit is also known for a snapshot in the Hub client's cache, and for a folder into which that client has
    downloaded all metadata and data files at one commit. Copies may have been edited since.

    Raises:
        MetadataError: The record of the dataset is damaged.
    """
    if is_hub(root.url):
        location = parse_hub_url(root.url)
        return location.revision if location.kind == "datasets" and root.is_pinned and not location.prefix else None
    if not root.is_local:
        return None
    record = read_record(root)
    if record is not None and record.commit is not None:
        return record.commit
    return _snapshot_commit(root.local) or _downloaded_commit(root.local) or _cloned_commit(root.local)


def record_source(source: Root, preparation: dict[str, Any]) -> SourceRecord:
    """Return the record for a dataset that is now prepared from `source`. Local files are hashed for it.

    Args:
        source: The source.
        preparation: The command, its source and its options.

    Raises:
        MetadataError: The source's own record is damaged.
        ReadError: A file cannot be read, or is being written.
    """
    return SourceRecord(source_commit(source), preparation, _identities(source))


def local_identity(digests: Digests) -> FileIdentity:
    """Return the identity of a local file for `SourceRecord.files`: size, `sha256:` with its SHA-256, and `blob:` with its Git id.
    A file that is larger than `MAX_BLOB_BYTES` has no `blob:`.
    """
    blob = (f"blob:{digests.blob_id}",) if digests.blob_id else ()
    return FileIdentity(digests.size, (f"sha256:{digests.sha256}", *blob))


def write_record(root: Root, record: SourceRecord) -> None:
    """Write the record below a root.

    Raises:
        WriteError: The record cannot be written.
    """
    document = {
        "commit": record.commit,
        "plan": record.preparation,
        **({"version": record.version} if record.version else {}),
        "files": {path: [identity.size, *identity.store_ids] for path, identity in record.files.items()},
    }
    root.write_bytes(layout.SOURCE_RECORD_PATH, f"{json.dumps(document, indent=1, sort_keys=True)}\n".encode())


def read_record(root: Root) -> SourceRecord | None:
    """Return the record below a root, or None if there is none.

    Raises:
        MetadataError: The record is damaged.
    """
    if not root.exists(layout.SOURCE_RECORD_PATH):
        return None
    try:
        document = json.loads(root.read_bytes(layout.SOURCE_RECORD_PATH))
        commit, preparation = document["commit"], document["plan"]
        files = {path: FileIdentity(size, tuple(ids)) for path, (size, *ids) in document.get("files", {}).items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        found = f"{type(error).__name__}: {first_line(error)}"
        raise MetadataError(root.join(layout.SOURCE_RECORD_PATH), found, _EXPECTED, _HINT) from None
    is_commit = commit is None or (isinstance(commit, str) and _COMMIT.fullmatch(commit))
    if not is_commit or not isinstance(preparation, dict):
        raise MetadataError(root.join(layout.SOURCE_RECORD_PATH), f"commit {commit!r}", _EXPECTED, _HINT)
    return SourceRecord(commit, preparation, files, str(document.get("version", "")))


def is_recorded_source(root: Root, source: Root) -> bool:
    """Return whether a dataset was prepared from exactly the files that `source` has now, according to its record of the source.

    Raises:
        MetadataError: The record is damaged.
        ReadError: A file of `source` cannot be read.
    """
    record = read_record(root)
    return record is not None and record.files == _identities(source)


def preparation_command(root: Root) -> str:
    """Return the command line that prepares the recorded source of a dataset again with the recorded options.

    The source and the destination are called SRC and DST. Without a usable record, the command has no options.
    """
    record = None
    with suppress(DatasetError):
        record = read_record(root)
    return command_again({} if record is None else record.preparation)


def skipped_episodes(root: Root) -> tuple[int, ...]:
    """Return the episodes that were left out of a local prepared dataset, by the numbers that they have in the source.

    The numbers are read from the dataset's record of its source. The result is empty if there is no usable record.
    """
    if not root.is_local:
        return ()
    with suppress(DatasetError):
        record = read_record(root)
        numbers = None if record is None else record.preparation.get(SKIPPED_KEY)
        if isinstance(numbers, list) and all(type(number) is int and number >= 0 for number in numbers):
            return tuple(numbers)
    return ()


def recorded_videos(root: Root) -> Root | None:
    """Return the recorded source of a local overlay (a prepared dataset without its videos), from which the videos are read.

    Return None if the dataset contains videos, has no cameras, or has no usable record.

    Raises:
        MissingFileError: The recorded source no longer exists.
    """
    source = recorded_source(root.url)
    if source is None:
        return None
    try:
        if not read_info(root).video_keys:
            return None
    except DatasetError:
        # the command that reads the dataset reports this error
        return None
    videos = Root(source)
    if videos.is_local and not videos.is_dir():
        found = f"no videos, and nothing at {source}, the source recorded in {layout.SOURCE_RECORD_PATH}"
        hint = "give the dataset with the videos as --data-root (data_root)"
        raise MissingFileError(str(root), found, "the videos of this dataset, which was prepared without them", hint)
    return videos


def _identities(source: Root) -> dict[str, FileIdentity]:
    folders, sidecars = (layout.DATA_DIR, layout.META_DIR), f"{layout.BYTE_INDEX_DIR}/"
    if not source.is_local:
        listed = {path: identity for folder in folders for path, identity in source.files(folder).items()}
        return {
            path: identity
            for path, identity in listed.items()
            if identity is not None and not path.startswith(sidecars)
        }
    paths = [path for folder in folders for path in source.list(folder) if not path.startswith(sidecars)]
    paths = [path for path in paths if (source.local / path).is_file()]
    digests = LocalDigests().of_all([str(source.local / path) for path in paths])
    return {path: local_identity(found) for path, found in zip(paths, digests, strict=True)}


def _snapshot_commit(folder: Path) -> str | None:
    """Return the commit of a folder `datasets--ORG--NAME/snapshots/COMMIT` in the Hub client's cache, or None for another
    folder.
    """
    path = folder.resolve()
    is_snapshot = path.parent.name == "snapshots" and path.parent.parent.name.startswith("datasets--")
    return path.name if is_snapshot and _COMMIT.fullmatch(path.name) else None


def _downloaded_commit(folder: Path) -> str | None:
    """Return the commit from which the Hub client has downloaded the metadata and data files of a folder.

    Return None if the client has downloaded none of these files, or has downloaded them at several commits.

    The client keeps a text file for each downloaded file, with the lines commit, ETag and time.
    """
    folders = [folder / _DOWNLOAD_DIR / name for name in (layout.META_DIR, layout.DATA_DIR)]
    notes = [note for each in folders for note in sorted(each.rglob("*.metadata"))]
    commits = {_first_line(note) for note in notes}
    commit = commits.pop() if len(commits) == 1 else ""
    return commit if _COMMIT.fullmatch(commit) else None


def _cloned_commit(folder: Path) -> str | None:
    """Return the commit at HEAD of a Git clone (gitrepository-layout(5)), or None for a folder that is no Git clone."""
    git = folder / ".git"
    head = _first_line(git / "HEAD")
    if head.startswith("ref: "):
        name = head.removeprefix("ref: ")
        head = _first_line(git / name) or _packed(git, name)
    return head if _COMMIT.fullmatch(head) else None


def _packed(git: Path, name: str) -> str:
    with suppress(OSError, UnicodeDecodeError):
        for line in (git / "packed-refs").read_text().splitlines():
            commit, _, reference = line.partition(" ")
            if reference == name:
                return commit
    return ""


def _first_line(path: Path) -> str:
    """Return the first line of a file; empty if the file does not exist or is not text."""
    with suppress(OSError, UnicodeDecodeError), path.open() as file:
        return file.readline().strip()
    return ""

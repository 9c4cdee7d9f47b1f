"""The commit of a Hub repository that a dataset is a copy of: recorded beside what is prepared from it, and never published.

A publication compares the repository with that commit, so that what others have changed since is not replaced without a word.
"""

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from episeek.errors import MetadataError, first_line
from episeek.hub_location import is_hub, parse_hub_url
from episeek_pipelines.storage import Root
from episeek_schemas import layout

RECORD_PATH: Final = ".episeek/source.json"
"""Below the root of what was prepared; hidden files are neither verified nor published."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DOWNLOAD_DIR = ".cache/huggingface/download"
_EXPECTED = "a JSON object with commit and plan, as `episeek prepare` writes it; or no such file"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What a dataset was prepared from."""

    commit: str
    """Of the repository: what the source was read at, or the publication that followed."""
    plan: dict[str, Any]
    """The command, its source and its options, as `episeek_pipelines.prepare` keeps them for a run that is stopped."""


def commit_of(root: Root) -> str | None:
    """The commit that a dataset is at, or is a copy of; None where that is not known.

    Known are a repository on the Hub and what was prepared from one, snapshots in the client's cache, folders that the client has
    downloaded all of the metadata to at one commit, and clones. Copies may have been edited since.

    Raises:
        MetadataError: A record is damaged.
    """
    if is_hub(root.url):
        location = parse_hub_url(root.url)
        return location.revision if location.kind == "datasets" and root.is_pinned and not location.prefix else None
    if not root.is_local:
        return None
    record = read_record(root)
    if record is not None:
        return record.commit
    return _snapshot_commit(root.local) or _downloaded_commit(root.local) or _cloned_commit(root.local)


def write_record(root: Root, record: SourceRecord) -> None:
    """Keep a record below a root. Raises WriteError."""
    root.write_bytes(RECORD_PATH, f"{json.dumps(asdict(record), indent=2, sort_keys=True)}\n".encode())


def read_record(root: Root) -> SourceRecord | None:
    """The record below a root; None where there is none.

    Raises:
        MetadataError: It is damaged.
    """
    if not root.exists(RECORD_PATH):
        return None
    try:
        document = json.loads(root.read_bytes(RECORD_PATH))
        commit, plan = document["commit"], document["plan"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MetadataError(root.join(RECORD_PATH), f"{type(error).__name__}: {first_line(error)}", _EXPECTED) from None
    if not (isinstance(commit, str) and _COMMIT.fullmatch(commit) and isinstance(plan, dict)):
        raise MetadataError(root.join(RECORD_PATH), f"commit {commit!r}", _EXPECTED)
    return SourceRecord(commit, plan)


def _snapshot_commit(folder: Path) -> str | None:
    """`datasets--ORG--NAME/snapshots/COMMIT` of the client's cache."""
    path = folder.resolve()
    is_snapshot = path.parent.name == "snapshots" and path.parent.parent.name.startswith("datasets--")
    return path.name if is_snapshot and _COMMIT.fullmatch(path.name) else None


def _downloaded_commit(folder: Path) -> str | None:
    """What the client notes of each file that it downloads to a folder: its commit, its ETag, the time, a line each."""
    notes = sorted((folder / _DOWNLOAD_DIR / layout.META_DIR).rglob("*.metadata"))
    commits = {_first_line(note) for note in notes}
    commit = commits.pop() if len(commits) == 1 else ""
    return commit if _COMMIT.fullmatch(commit) else None


def _cloned_commit(folder: Path) -> str | None:
    """HEAD of a clone (gitrepository-layout(5))."""
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
    """Empty where the file is not there, or no text."""
    with suppress(OSError, UnicodeDecodeError), path.open() as file:
        return file.readline().strip()
    return ""

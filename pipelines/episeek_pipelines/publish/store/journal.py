"""The file that says that a publication is being switched to, and which: `meta/byte_index.partial/publication.json`.

It is written right before the first file gets its name, and removed last. While it is there no other publication may switch:
what readers see may be half of this one. It names the publication by what it wants to be in the store, so that the same one,
run again or run twice at once, goes on from it. It also names the run that wrote it: only that one may take it back.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

from episeek.errors import MissingFileError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.errors import (
    ConflictError,
)
from episeek_pipelines.publish.overlay.changes import (
    STAGED_PREFIX,
    Addition,
    Changes,
)
from episeek_pipelines.publish.store.switch_order import DataOrder
from episeek_pipelines.publish.store.writers.writer import StoreWriter
from episeek_schemas.layout import (
    JOURNAL_PATH as JOURNAL_PATH,
)

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Publication:
    """What is wanted, whatever is there."""

    digest: str
    """Of the overlay's files, hex."""

    @classmethod
    def of(cls, wanted: Sequence[Addition], *, sidecars_only: bool) -> "Publication":
        """From all that the overlay wants to be in the store: the same whatever of it is there already."""
        digest = hashlib.sha256(b"sidecars" if sidecars_only else b"dataset")
        for addition in sorted(wanted, key=lambda addition: addition.path):
            digest.update(f"\0{addition.path}\0{addition.size}\0{addition.sha256}".encode())
        return cls(digest.hexdigest())

    @property
    def staged_prefix(self) -> str:
        """Below which its files are staged."""
        return f"{STAGED_PREFIX}{self.digest[:16]}/"


@dataclass(frozen=True, slots=True)
class Journal:
    """What the file says."""

    publication: str
    run: str
    """Which run of the publication wrote it."""
    order: DataOrder
    """In which data files change: once some have, it cannot be told any more."""


def claim(
    writer: StoreWriter, publication: Publication, changes: Changes, *, run: str, order: DataOrder = "any"
) -> Journal | None:
    """Write the journal, unless it is there, of the same publication; returns what is there. None where another run of the
    publication had it and has removed it since: then it is done, or has been taken back, and can be claimed again.

    Raises:
        ConflictError: Another publication has begun to switch.
    """
    document = {
        "version": _VERSION,
        "publication": publication.digest,
        "run": run,
        "data_order": order,
        "switched": [[addition.path, addition.size, addition.sha256] for addition in changes.additions],
        "deleted": list(changes.deletions),
    }
    found = journal_of(writer.root, publication)
    if found is not None:
        return found
    if writer.create(JOURNAL_PATH, json.dumps(document, indent=1).encode()):
        return Journal(publication.digest, run, order)
    return journal_of(writer.root, publication)


def require_free(root: Root, publication: Publication) -> bool:
    """Whether the journal is there, of this publication.

    Raises:
        ConflictError: It is of another.
    """
    return journal_of(root, publication) is not None


def journal_of(root: Root, publication: Publication) -> Journal | None:
    """The journal of this publication; None where there is none.

    Raises:
        ConflictError: It is of another.
    """
    found = _read(root)
    if found is not None and found.publication != publication.digest:
        raise _taken(root, found.publication)
    return found


def require_ours(root: Root, publication: Publication) -> Journal:
    """The journal, which has to be there, and of this publication.

    Raises:
        ConflictError: It is not: another publisher has taken it, or has finished the same publication.
    """
    found = journal_of(root, publication)
    if found is None:
        raise ConflictError(root.join(JOURNAL_PATH), "no such file", "the journal of this publication: run it again")
    return found


def _read(root: Root) -> Journal | None:
    try:
        data = root.read_bytes(JOURNAL_PATH)
    except MissingFileError:
        return None
    try:
        document = json.loads(data)
        order = document.get("data_order")
        known: DataOrder = order if order in get_args(DataOrder) else "any"
        return Journal(str(document["publication"]), str(document.get("run", "")), known)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Journal("of no known form", "", "any")


def _taken(root: Root, found: str) -> ConflictError:
    expected = (
        "no other publication in progress: run that one again, or remove this file and publish with --overwrite: that is "
        "whole, and replaces what is half switched"
    )
    return ConflictError(root.join(JOURNAL_PATH), f"publication {found[:16]}, in progress or stopped", expected)

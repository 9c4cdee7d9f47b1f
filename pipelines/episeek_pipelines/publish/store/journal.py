"""The journal of a publication whose switch is in progress: `meta/byte_index.partial/publication.json`.

It is written right before the first file gets its final name, and removed last. Meanwhile readers may see half of the publication,
so that no other publication may switch. The journal identifies the publication by the content that it wants in the store: the same
publication, run again or twice at once, continues. It also identifies the run that wrote it: only that run may withdraw it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

from episeek.errors import MissingFileError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.errors import ConflictError
from episeek_pipelines.publish.overlay.changes import STAGED_PREFIX, Addition, Changes
from episeek_pipelines.publish.store.switch_order import DataOrder
from episeek_pipelines.publish.store.writers.writer import StoreWriter
from episeek_schemas.layout import JOURNAL_PATH as JOURNAL_PATH

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication, identified by the content that it wants in the store."""

    digest: str
    """Digest of the overlay's files, hex."""

    @classmethod
    def of(cls, wanted: Sequence[Addition], *, sidecars_only: bool) -> "Publication":
        """Return the publication of all files of an overlay, whether the store has some of them already or not."""
        digest = hashlib.sha256(b"sidecars" if sidecars_only else b"dataset")
        for addition in sorted(wanted, key=lambda addition: addition.path):
            digest.update(f"\0{addition.path}\0{addition.size}\0{addition.sha256}".encode())
        return cls(digest.hexdigest())

    @property
    def staged_prefix(self) -> str:
        """Beginning of the paths below which its files are staged."""
        return f"{STAGED_PREFIX}{self.digest[:16]}/"


@dataclass(frozen=True, slots=True)
class Journal:
    """The content of the journal."""

    publication: str
    """Digest of the publication."""
    run: str
    """The run of the publication that wrote it."""
    order: DataOrder
    """The order in which data files change. Once some have changed, it cannot be computed any more."""


def claim(
    writer: StoreWriter, publication: Publication, changes: Changes, *, run: str, order: DataOrder = "any"
) -> Journal | None:
    """Write the journal, and return the journal that the store has then: this one, or that of another run of the publication.

    None means that another run had a journal and has removed it since. That run has finished or given up; claim again.

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


def has_journal(root: Root, publication: Publication) -> bool:
    """Return whether the store has a journal of this publication.

    Raises:
        ConflictError: It has a journal of another publication.
    """
    return journal_of(root, publication) is not None


def journal_of(root: Root, publication: Publication) -> Journal | None:
    """Return the journal of this publication; None where there is none.

    Raises:
        ConflictError: The store has a journal of another publication.
    """
    found = _read(root)
    if found is not None and found.publication != publication.digest:
        raise _taken(root, found.publication)
    return found


def require_ours(root: Root, publication: Publication) -> Journal:
    """Return the journal of this publication, which must exist.

    Raises:
        ConflictError: Another publication has replaced it, or another run has finished this publication.
    """
    found = journal_of(root, publication)
    if found is None:
        raise ConflictError(
            root.join(JOURNAL_PATH), "no such file", "the journal of this publication", hint="run the publication again"
        )
    return found


def _read(root: Root) -> Journal | None:
    try:
        data = root.read_bytes(JOURNAL_PATH)
    except MissingFileError:
        return None
    try:
        document = json.loads(data)
        order = document.get("data_order")
        data_order: DataOrder = order if order in get_args(DataOrder) else "any"
        return Journal(str(document["publication"]), str(document.get("run", "")), data_order)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Journal("of unknown form", "", "any")


def _taken(root: Root, found: str) -> ConflictError:
    hint = (
        "run that publication again to complete it, or remove this file and publish with --overwrite, which replaces the files "
        "of both"
    )
    where, what = root.join(JOURNAL_PATH), f"publication {found[:16]}, in progress or stopped"
    return ConflictError(where, what, "no other publication in progress", hint=hint)

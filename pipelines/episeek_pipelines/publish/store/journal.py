"""The journal of a publication that is giving its files their final names: `meta/byte_index.partial/publication.json` in a store.

This step is the switch. Before the switch, the files have staged names. The journal is written before the first file gets its final
name, and removed after the last one. In between, readers may see half of the publication, so no other publication may begin its
switch.

The journal identifies the publication by the content of its files. Another run of the same publication, later or at the same time,
may therefore continue the switch. The journal also identifies the run that wrote it, because only that run may remove the journal
after a conflict.
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
    """A publication, identified by the content of the files that it publishes."""

    digest: str
    """SHA-256 in hex of the paths, sizes and digests of the files to publish."""

    @classmethod
    def of(cls, wanted: Sequence[Addition], *, sidecars_only: bool) -> "Publication":
        """Return the publication that publishes these files.

        Args:
            wanted: All files to publish, including files that the store contains already.
            sidecars_only: Whether only sidecars are published. The publication then has a different digest.
        """
        digest = hashlib.sha256(b"sidecars" if sidecars_only else b"dataset")
        for addition in sorted(wanted, key=lambda addition: addition.path):
            digest.update(f"\0{addition.path}\0{addition.size}\0{addition.sha256}".encode())
        return cls(digest.hexdigest())

    @property
    def staged_prefix(self) -> str:
        """Return the beginning of the paths of this publication's staged files."""
        return f"{STAGED_PREFIX}{self.digest[:16]}/"


@dataclass(frozen=True, slots=True)
class Journal:
    """The entries of a journal, from which another run can continue the publication."""

    publication: str
    """`Publication.digest` of the publication."""
    run: str
    """Random id of the run that wrote the journal."""
    order: DataOrder
    """The order in which data files change. The order is recorded because it cannot be computed after some files have changed."""


def claim(
    writer: StoreWriter, publication: Publication, changes: Changes, *, run: str, order: DataOrder = "any"
) -> Journal | None:
    """Write a journal, unless another run of the same publication has written one, and return the journal in the store.

    Return None if another run has removed its journal in the meantime, because that run has finished or given up. The caller has to
    call this function again.

    Raises:
        ConflictError: The store contains the journal of another publication.
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
    """Return whether the store contains a journal of this publication.

    Raises:
        ConflictError: The store contains the journal of another publication.
    """
    return journal_of(root, publication) is not None


def journal_of(root: Root, publication: Publication) -> Journal | None:
    """Return the journal of this publication, or None if the store contains no journal.

    Raises:
        ConflictError: The store contains the journal of another publication.
    """
    found = _read(root)
    if found is not None and found.publication != publication.digest:
        raise _taken(root, found.publication)
    return found


def require_ours(root: Root, publication: Publication) -> Journal:
    """Return the journal of this publication, which has to exist.

    Raises:
        ConflictError: The store contains no journal, because another run has finished this publication and removed the journal; or
            it contains the journal of another publication.
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
        "of both publications"
    )
    where, what = (
        root.join(JOURNAL_PATH),
        f"the journal of publication {found[:16]}, which is in progress or was stopped",
    )
    return ConflictError(where, what, "no other publication in progress", hint=hint)

"""The origin of the files of a store that a publication would replace or delete: they may be somebody else's.

A file may be replaced where it is the file of the source that the overlay was prepared from, or the file last published from here.
A store has no history that could say more. `episeek_pipelines.publish.hub.origin` does the same for repositories.
"""

from collections.abc import Mapping
from pathlib import Path

from episeek.stores.byte_source import STORE_IN_FLIGHT
from episeek.stores.identity import FileIdentity
from episeek.stores.kinds import is_local
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.publish.overlay.changes import STAGED_PREFIX, Addition, Changes, Listing
from episeek_pipelines.publish.overlay.file_comparison import SHA256, sha256_in
from episeek_pipelines.publish.store.contents import StoreContents
from episeek_schemas import layout

_DERIVED = (f"{layout.BYTE_INDEX_DIR}/", STAGED_PREFIX)


def paths_of_unknown_origin(
    listing: Listing,
    changes: Changes,
    contents: StoreContents,
    *,
    source: str,
    source_files: Mapping[str, FileIdentity],
    published: Mapping[str, FileIdentity],
) -> tuple[str, ...]:
    """Return the sorted paths of files that would be replaced or deleted, and may be somebody else's.

    The card is not among them, since it is only added to, nor are the sidecars, which are compared with the videos.

    Args:
        listing: The store's files.
        changes: The changes to be published; files that are the same already are not in them.
        contents: The contents of the store.
        source: Root of the dataset that the overlay was prepared from; empty where it is unknown.
        source_files: Its files at that time, as `episeek_pipelines.dataset.provenance` records them.
        published: The files last published into the store from here, as `identities_of` returns them.
    """
    is_read = contents.root.is_local
    replaced = {path for path in changes.paths & listing.keys() if not path.startswith((*_DERIVED, layout.CARD_PATH))}
    unknown = sorted(
        path
        for path in replaced
        if is_read or not _shares_id(listing[path], source_files.get(path), published.get(path))
    )
    published_here = [_as_published(path, published.get(path)) for path in unknown] if is_read else []
    in_source = map_in_threads(
        lambda path: _in_source(source, path, source_files.get(path), contents), unknown, max_in_flight=STORE_IN_FLIGHT
    )
    candidates = [addition for addition in (*published_here, *in_source) if addition is not None]
    # One by one: a differing identity is evidence only beside other identities of the same files.
    compared = map_in_threads(
        lambda addition: contents.compare(listing, [(addition, addition.path)]),
        candidates,
        max_in_flight=STORE_IN_FLIGHT,
    )
    same = {path for found in compared for path, is_same in found.items() if is_same}
    return tuple(path for path in unknown if path not in same)


def identities_of(wanted: tuple[Addition, ...], listing: Listing) -> dict[str, FileIdentity]:
    """Return the identities of published files: the digests of what was sent, and the identities that the store gives them."""
    found = {}
    for addition in wanted:
        identity = listing.get(addition.path)
        ids = () if identity is None else identity.store_ids
        found[addition.path] = FileIdentity(addition.size, (f"{SHA256}{addition.sha256}", *ids))
    return found


def _shares_id(stored: FileIdentity | None, *candidates: FileIdentity | None) -> bool:
    """Return whether a file of the store has the size and an identity of a candidate; without identities, the size is enough."""
    if stored is None:
        return False
    alike = [candidate for candidate in candidates if candidate is not None and candidate.size == stored.size]
    ids = set(stored.store_ids)
    return any(not ids or not ids.isdisjoint(candidate.store_ids) for candidate in alike)


def _as_published(path: str, identity: FileIdentity | None) -> Addition | None:
    """Return the file as last published; the file of a store is read to compare the two."""
    sha256 = sha256_in(identity)
    return None if identity is None or not sha256 else Addition(path, b"", identity.size, sha256)


def _in_source(source: str, path: str, identity: FileIdentity | None, contents: StoreContents) -> Addition | None:
    """Return the file of the source, if it is on this machine and unchanged."""
    file = Path(source, path)
    if identity is None or not source or not is_local(source) or not file.is_file():
        return None
    (digests,) = contents.digests.of_all([str(file)])
    if digests.sha256 != sha256_in(identity):
        return None
    return Addition(path, str(file), digests.size, digests.sha256)

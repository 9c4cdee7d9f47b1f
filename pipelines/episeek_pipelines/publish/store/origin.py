"""Find the files of a store that a publication would replace or delete although somebody else may have changed them.

A file may be replaced if it has the same content as in the source that the dataset was prepared from, or as this machine last
published it. A store has no history that could prove more. The module `episeek_pipelines.publish.hub.origin` finds such files of
repositories.
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
    """Return the sorted paths of files that would be replaced or deleted although somebody else may have changed them.

    Two kinds of files are never returned: the card, because a publication only extends it, and the sidecars (the byte index),
    because `check_target` compares them with the videos.

    Args:
        listing: The files of the store.
        changes: The changes to be published. Files that need no change are not among them.
        contents: Compares files of the store with local content.
        source: Root of the dataset that the published dataset was prepared from; empty if it is not recorded.
        source_files: The files of that dataset when it was prepared, as `episeek_pipelines.dataset.provenance` records them.
        published: The files that this machine last published into the store, as `identities_of` returns them.
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
    # The files are compared one by one. In one comparison of several files, a match of one file would make the differing
    # identities of the others count as evidence.
    compared = map_in_threads(
        lambda addition: contents.compare(listing, [(addition, addition.path)]),
        candidates,
        max_in_flight=STORE_IN_FLIGHT,
    )
    same = {path for found in compared for path, is_same in found.items() if is_same}
    return tuple(path for path in unknown if path not in same)


def identities_of(wanted: tuple[Addition, ...], listing: Listing) -> dict[str, FileIdentity]:
    """Return the identities of published files, by path: the SHA-256 of the content, and the identities in the store's listing."""
    found = {}
    for addition in wanted:
        identity = listing.get(addition.path)
        ids = () if identity is None else identity.store_ids
        found[addition.path] = FileIdentity(addition.size, (f"{SHA256}{addition.sha256}", *ids))
    return found


def _shares_id(stored: FileIdentity | None, *candidates: FileIdentity | None) -> bool:
    """Return whether a file of the store has the same size as one of the candidates, and shares an identity with this candidate.

    If the store gives the file no identity, only the size is compared.
    """
    if stored is None:
        return False
    alike = [candidate for candidate in candidates if candidate is not None and candidate.size == stored.size]
    ids = set(stored.store_ids)
    return any(not ids or not ids.isdisjoint(candidate.store_ids) for candidate in alike)


def _as_published(path: str, identity: FileIdentity | None) -> Addition | None:
    """Return an `Addition` with the size and SHA-256 of the content last published at a path, or None if they are not recorded."""
    sha256 = sha256_in(identity)
    return None if identity is None or not sha256 else Addition(path, b"", identity.size, sha256)


def _in_source(source: str, path: str, identity: FileIdentity | None, contents: StoreContents) -> Addition | None:
    """Return the source's file at a path as an `Addition`, a file to publish.

    Return None if the file is not on this machine, or has changed since the published dataset was prepared from it.
    """
    file = Path(source, path)
    if identity is None or not source or not is_local(source) or not file.is_file():
        return None
    (digests,) = contents.digests.of_all([str(file)])
    if digests.sha256 != sha256_in(identity):
        return None
    return Addition(path, str(file), digests.size, digests.sha256)

"""Which files of a store a publication would replace or delete, and may be somebody else's.

As `episeek_pipelines.publish.hub.origin` for repositories: a file may be replaced where it is known, as the file of the source
that the overlay was prepared from, or as what was published from here. A store has no history to ask.
"""

from collections.abc import Mapping
from pathlib import Path

from episeek.stores.byte_source import STORE_IN_FLIGHT
from episeek.stores.identity import FileIdentity
from episeek.stores.kinds import is_local
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.publish.overlay.changes import (
    STAGED_PREFIX,
    Addition,
    Changes,
    Listing,
)
from episeek_pipelines.publish.store.contents import (
    StoreContents,
)
from episeek_schemas import layout

_SHA256 = "sha256:"
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
    """Paths, sorted; without the card, which is added to, and the sidecars, which are compared with the videos.

    Args:
        listing: The store's files.
        changes: What would be published there: files that are the same already are not in it.
        contents: Of the store.
        source: Root of the dataset that the overlay was prepared from; empty where that is not known.
        source_files: Its files then, as `episeek_pipelines.dataset.provenance` records them.
        published: What was published into the store from here last, as `identities_of` has it.
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
    known = [addition for addition in (*published_here, *in_source) if addition is not None]
    compared = map_in_threads(  # one by one: identities that differ say something only beside others of the same files
        lambda addition: contents.compared(listing, [(addition, addition.path)]), known, max_in_flight=STORE_IN_FLIGHT
    )
    same = {path for found in compared for path, is_same in found.items() if is_same}
    return tuple(path for path in unknown if path not in same)


def identities_of(wanted: tuple[Addition, ...], listing: Listing) -> dict[str, FileIdentity]:
    """What is in a store after a publication, to be remembered: the digests that were sent, and what the store says of them."""
    found = {}
    for addition in wanted:
        identity = listing.get(addition.path)
        ids = () if identity is None else identity.store_ids
        found[addition.path] = FileIdentity(addition.size, (f"{_SHA256}{addition.sha256}", *ids))
    return found


def _shares_id(there: FileIdentity | None, *known: FileIdentity | None) -> bool:
    """Without identities the size is all that a store says."""
    if there is None:
        return False
    alike = [one for one in known if one is not None and one.size == there.size]
    ids = set(there.store_ids)
    return any(not ids or not ids.isdisjoint(one.store_ids) for one in alike)


def _as_published(path: str, identity: FileIdentity | None) -> Addition | None:
    """What was published, for a store whose files are read to compare them."""
    sha256 = _sha256_of(identity)
    return None if identity is None or not sha256 else Addition(path, b"", identity.size, sha256)


def _in_source(source: str, path: str, identity: FileIdentity | None, contents: StoreContents) -> Addition | None:
    """The file of the source, where it is on this machine and still what it was."""
    file = Path(source, path)
    if identity is None or not source or not is_local(source) or not file.is_file():
        return None
    (digests,) = contents.digests.of_all([str(file)])
    if digests.sha256 != _sha256_of(identity):
        return None
    return Addition(path, str(file), digests.size, digests.sha256)


def _sha256_of(identity: FileIdentity | None) -> str:
    ids = () if identity is None else identity.store_ids
    return next((known.removeprefix(_SHA256) for known in ids if known.startswith(_SHA256)), "")

"""Plan the publication of an overlay (the output of `episeek prepare`) into a store: the files to add, replace and delete."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from episeek.errors import DestinationError, without_password
from episeek.stores.kinds import is_local
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.card.overlay_card import overlay_card
from episeek_pipelines.publish.overlay.changes import STAGED_PREFIX, Addition, Changes, Listing
from episeek_pipelines.publish.overlay.files import SIDECAR_PATHS, sendable_files
from episeek_pipelines.publish.overlay.plan import plan_changes
from episeek_pipelines.publish.overlay.sidecar_identities import write_identified_sidecars
from episeek_pipelines.publish.overlay.target_check import TargetCheck, check_target, require_no_loss
from episeek_pipelines.publish.store.contents import StoreContents
from episeek_schemas import layout


@dataclass(frozen=True, slots=True)
class StorePlan:
    """The plan of a publication, made from one listing of the store."""

    listing: Listing
    """The files that the store contained when the plan was made."""
    target_check: TargetCheck
    changes: Changes
    wanted: tuple[Addition, ...]
    """All files that the publication is to put into the store, sorted by path, including files that the store contains already."""
    sidecars: Root
    """Root of the sidecars (the byte index) that are published: the overlay, or a local folder with new sidecars that contain the
    identities of the videos in the store.
    """


def plan_for_store(
    overlay: Root, listing: Listing, contents: StoreContents, *, sidecars_only: bool, work: Root
) -> StorePlan:
    """Compare an overlay with a store, and return the plan of its publication.

    Args:
        overlay: The overlay, as for `plan_changes`.
        listing: The files of the store, including staged files (files that do not have their final names yet).
        contents: Compares files of the store with local content.
        sidecars_only: Publish only the sidecars (the byte index) and the card.
        work: A local root for new sidecars that contain the identities of the videos in the store.

    Raises:
        EpiseekError: The overlay cannot be published, because `plan_changes`, `check_target`, `write_identified_sidecars` or
            `overlay_card` raised an error.
    """
    root = contents.root
    local: dict[str, str | bytes] = dict(wanted_files(overlay, sidecars_only=sidecars_only))
    files = dict(contents.remote_files(listing, contents.additions_of(local)))

    def changes(card: bytes | None, replaced: Mapping[str, bytes | str]) -> Changes:
        return plan_changes(
            overlay,
            files,
            card=card,
            sidecars_only=sidecars_only,
            replaced_files=replaced,
            digests=contents.digests,
            is_repository=False,
        )

    target_check = check_target(overlay, files, root.source(), changes=changes(None, {}), sidecars_only=sidecars_only)
    if layout.INFO_PATH in files and not sidecars_only:
        info = root.read_bytes(layout.INFO_PATH, file_size=files[layout.INFO_PATH].size)
        require_no_loss(info, target_check, where=root.url)
    replaced = write_identified_sidecars(overlay, target_check, work)
    there = root if layout.CARD_PATH in files else None
    url = "." if is_local(root.url) else without_password(root.url)
    card = overlay_card(overlay, there, target_check, replaced, name=_name_of(root), where=root.url, url=url)
    made: dict[str, str | bytes] = {**replaced, layout.CARD_PATH: card}
    again = contents.additions_of(made)
    files |= contents.remote_files({path: listing[path] for path in made if path in listing}, again)
    wanted = contents.additions_of({**local, **made})
    return StorePlan(listing, target_check, changes(card, replaced), tuple(wanted), work if replaced else overlay)


def wanted_files(overlay: Root, *, sidecars_only: bool) -> dict[str, str]:
    """Return the local path of each file of an overlay that is to be published, by its path in the dataset.

    With `sidecars_only`, only the four tables of the byte index are to be published.
    """
    files = sendable_files(overlay)
    return {path: file for path, file in files.items() if not sidecars_only or path in SIDECAR_PATHS}


def require_room(root: Root, listing: Listing, wanted: Mapping[str, object], *, create: bool) -> None:
    """Raise an error unless the root contains a dataset, or a new dataset may be created there.

    A new dataset may be created if `create` is given and the root contains no other files. Files that an earlier run of this
    publication has sent, and a card, are allowed.

    Raises:
        DestinationError: The root contains no dataset, and `create` is False or the root contains other files.
    """
    if layout.INFO_PATH in listing:
        return
    where = root.url
    if not create:
        found = f"no {layout.INFO_PATH}" if listing else "no files"
        raise DestinationError(where, found, "a dataset", "create a new dataset in an existing bucket with --create")
    kept = {layout.CARD_PATH, ".gitattributes"}
    foreign = min(
        (p for p in listing if p not in wanted and p not in kept and not p.startswith(STAGED_PREFIX)), default=""
    )
    if foreign:
        raise DestinationError(where, f"{foreign}, which belongs to no dataset", "an empty folder for the new dataset")


def _name_of(root: Root) -> str:
    """Return the dataset's name for the title of its card: the last part of the root's path, with `-` for special characters.

    Return `dataset` if the root has no path.
    """
    return "".join(letter if letter.isalnum() else "-" for letter in Path(urlsplit(root.url).path).name) or "dataset"

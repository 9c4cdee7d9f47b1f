"""Separate the files that belong to a dataset from other files in its folder, which tools have left there.

While LeRobot records, it writes pictures below `images/`, and removes them after encoding. If a recording is stopped, the pictures
remain. Tools keep their state in hidden folders (`.annotate_staging`, `.cache`, `.git`). Readers of a dataset open none of these
files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from episeek.stores.identity import FileIdentity
from episeek_schemas.lerobot import DatasetInfo

IMAGES_DIR: Final = "images"
"""The folder of pictures that are not encoded yet (LeRobot's `DEFAULT_IMAGE_PATH`)."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A folder of the source that is not part of the dataset, and is left out of the result."""

    folder: str
    """Path relative to the root of the source."""
    files: int
    size_bytes: int
    """Total size in bytes of the files in the folder. Files without a size in the listing count as 0."""


def own_files(
    paths: Iterable[str], listing: Mapping[str, FileIdentity | None], info: DatasetInfo
) -> tuple[list[str], tuple[LeftOut, ...]]:
    """Return the files that belong to a dataset, in the given order, and the folders of all other files, sorted.

    Hidden folders do not belong to a dataset. Neither does `images/`, with two exceptions: the dataset has features of dtype
    `image`, whose rows may contain paths, or the path templates of its data or videos begin with `images/`.

    Args:
        paths: Paths relative to the root.
        listing: The identities of the files, for their sizes.
        info: Parsed meta/info.json.
    """
    own: list[str] = []
    others: dict[str, list[str]] = {}
    for path in paths:
        folder = _foreign_folder(path, info)
        if folder:
            others.setdefault(folder, []).append(path)
        else:
            own.append(path)
    sizes = {path: identity.size for path, identity in listing.items() if identity is not None}
    left = (
        LeftOut(folder, len(files), sum(sizes.get(path, 0) for path in files))
        for folder, files in sorted(others.items())
    )
    return own, tuple(left)


def _foreign_folder(path: str, info: DatasetInfo) -> str:
    """Return the outermost folder of a path that is not part of the dataset; empty if the file belongs to the dataset."""
    parts = path.split("/")[:-1]
    if parts and parts[0] == IMAGES_DIR and not info.image_keys and not _holds_videos(info):
        return IMAGES_DIR
    hidden = next((number for number, part in enumerate(parts) if part.startswith(".")), None)
    return "" if hidden is None else "/".join(parts[: hidden + 1])


def _holds_videos(info: DatasetInfo) -> bool:
    """Return whether the path templates of the dataset place its own files below `images/`."""
    return any((template or "").startswith(f"{IMAGES_DIR}/") for template in (info.data_path, info.video_path))

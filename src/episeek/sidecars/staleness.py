"""Compare the sidecars with the `meta/info.json` next to them, to find out whether the dataset has changed since it was indexed.

Recording more episodes does not change the sidecars. Reading an indexed episode still gives the right bytes or an error, but the
sidecars do not contain the new episodes.
"""

import hashlib
import os
import warnings
from dataclasses import replace
from typing import Final, Literal, get_args

from episeek.errors import MissingFileError, StaleSidecarsError, StaleSidecarsWarning
from episeek.sidecars.files import IndexedDataset
from episeek.stores.byte_source import ByteSource
from episeek.stores.transports.local import LocalSource
from episeek_schemas import layout, lerobot, lerobot_v2

OnStale = Literal["auto", "warn", "raise", "ignore"]
"""The reaction to a dataset that has other episodes than its sidecars. "auto" warns, and checks only local datasets."""

ON_STALE: Final[tuple[OnStale, ...]] = get_args(OnStale)

_HINT: Final = (
    "if episodes were recorded or removed, run `episeek index` again, or `episeek prepare` for a new overlay (`episeek repair` if "
    "it was repaired): until then, only indexed episodes can be read; otherwise `episeek verify` says which entry of "
    "meta/info.json is wrong"
)


def check_staleness(
    source: ByteSource,
    dataset: IndexedDataset,
    on_stale: OnStale,
    *,
    left_out: int = 0,
    repaired_sha256: str | None = None,
    stacklevel: int,
) -> None:
    """Warn or raise if `meta/info.json` describes other episodes than those that were indexed.

    The whole file is read once. A root without the file is not checked, since `episeek index --output` writes only sidecars.

    Args:
        source: The source of the sidecars, or of the videos.
        dataset: The dataset that was indexed.
        on_stale: What to do if the episodes differ.
        left_out: Number of episodes of the source that were left out, and so were not indexed.
        repaired_sha256: Digest of a `meta/info.json` that is not compared, since its differences are repairs.
        stacklevel: The stack frame that a warning names as its cause, as for `warnings.warn`.

    Raises:
        StaleSidecarsError: The episodes differ, and `on_stale` is "raise".

    Warns:
        StaleSidecarsWarning: The episodes differ.
    """
    is_local = isinstance(source, LocalSource)
    if on_stale == "ignore" or (on_stale == "auto" and not is_local):
        return
    if is_local and not os.path.isfile(os.path.join(source.root, layout.INFO_PATH)):
        # opening a pipe would wait for its writer
        return
    try:
        data = source.get_ranges(layout.INFO_PATH, [(0, source.identity(layout.INFO_PATH).size)])[0]
    except MissingFileError:
        return
    if repaired_sha256 is not None and hashlib.sha256(data).hexdigest() == repaired_sha256:
        return
    found = _difference(data, dataset, left_out)
    if not found:
        return
    error = StaleSidecarsError(f"{source.root}/{layout.INFO_PATH}", found, _described(dataset), _HINT)
    if on_stale == "raise":
        raise error
    warnings.warn(StaleSidecarsWarning(str(error)), stacklevel=stacklevel + 1)


def _difference(data: bytes, dataset: IndexedDataset, left_out: int) -> str:
    """Return a description of the dataset in `meta/info.json` if it is not the indexed dataset, otherwise an empty text."""
    try:
        document = lerobot.parse_document(data)
        if lerobot_v2.is_v2(document) and not lerobot_v2.validate_info_v2(document):
            document = lerobot_v2.info_as_v3(document)
        info = lerobot.parse_info(document)
    except (lerobot.DocumentError, lerobot.InfoProblemsError) as error:
        return f"no usable description of a dataset ({error})"
    described = IndexedDataset(info.video_keys, info.fps, info.total_episodes, info.total_frames)
    if left_out:
        # the number of frames of the episodes that were left out is unknown here
        same_frames = replace(described, frame_count=dataset.frame_count)
        is_same = same_frames == replace(dataset, episode_count=dataset.episode_count + left_out)
    else:
        is_same = described == dataset
    return "" if is_same else _described(described)


def _described(dataset: IndexedDataset) -> str:
    cameras = ", ".join(dataset.video_keys) or "none"
    counts = f"{dataset.episode_count:,} episodes with {dataset.frame_count:,} frames"
    return f"{counts} at {dataset.fps:g} fps, cameras {cameras}"

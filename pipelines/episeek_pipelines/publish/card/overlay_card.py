"""Make the dataset card (README.md) for the publication of an overlay, the output of `episeek prepare`.

The section about episeek is added to the card in the repository or store, or, if that has no card, to the overlay's card.
"""

from collections.abc import Mapping
from pathlib import Path

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.card.section import DatasetFigures, decoded_card, updated_card
from episeek_pipelines.publish.overlay.files import sendable_files
from episeek_pipelines.publish.overlay.target_check import TargetCheck
from episeek_schemas import layout, sidecars


def overlay_card(
    overlay: Root,
    remote: Root | None,
    target_check: TargetCheck,
    replaced: Mapping[str, str],
    *,
    name: str,
    where: str,
    url: str | None = None,
) -> bytes:
    """Return the content of README.md for a publication.

    Args:
        overlay: The overlay that is published.
        remote: The target (the repository or store to publish into); None if the target has no card yet.
        target_check: The result of the check of the target. The section shows its numbers of episodes, frames and cameras.
        replaced: Local paths of the sidecars (the byte index) that are sent instead of the overlay's sidecars, by path in the
            dataset.
        name: The name of the dataset. It becomes the title if neither the target nor the overlay has a card.
        where: The name of the target, for messages.
        url: The URL that readers open; None for the dataset repository `name` on the Hub.

    Raises:
        UnusableCardError: The section cannot be added to the card.
        ReadError: The card cannot be read.
    """
    own = overlay if layout.CARD_PATH in sendable_files(overlay) else None
    source = remote if remote is not None else own
    text = None if source is None else decoded_card(source.read_bytes(layout.CARD_PATH), repository_id=where)
    paths = [replaced.get(path, overlay.join(path)) for path, _ in sidecars.TABLES.values()]
    figures = DatasetFigures(
        episode_count=target_check.episode_count,
        frame_count=target_check.frame_count,
        camera_count=len(target_check.info.video_keys),
        fps=target_check.info.fps,
        sidecar_bytes=sum(Path(path).stat().st_size for path in paths),
    )
    card = updated_card(text, repository_id=name, format_version=sidecars.FORMAT_VERSION, figures=figures, url=url)
    return card.encode()

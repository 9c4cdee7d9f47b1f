"""The card that a published overlay has: that of where it is published to, or else its own, with what readers have to know."""

from collections.abc import Mapping
from pathlib import Path

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.card.section import CardFacts, decoded_card, updated_card
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
    """The content of README.md.

    Args:
        overlay: What is published.
        remote: Where it is published to; None where there is no card yet.
        target_check: What the sidecars describe.
        replaced: Local paths of sidecars that take the place of the overlay's, by path.
        name: Of the dataset, for a title where there is no card at all.
        where: The place, for messages.
        url: What readers open; None: `name` on the Hub.

    Raises:
        UnusableCardError: The card cannot be kept and added to.
        ReadError: It cannot be read.
    """
    own = overlay if layout.CARD_PATH in sendable_files(overlay) else None
    source = remote if remote is not None else own
    text = None if source is None else decoded_card(source.read_bytes(layout.CARD_PATH), repository_id=where)
    paths = [replaced.get(path, overlay.join(path)) for path, _ in sidecars.TABLES.values()]
    facts = CardFacts(
        episode_count=target_check.episode_count,
        frame_count=target_check.frame_count,
        camera_count=len(target_check.info.video_keys),
        fps=target_check.info.fps,
        sidecar_bytes=sum(Path(path).stat().st_size for path in paths),
    )
    card = updated_card(text, repository_id=name, format_version=sidecars.FORMAT_VERSION, facts=facts, url=url)
    return card.encode()

"""The dataset card, README.md: HUB."""

from pathlib import Path
from typing import Final

from tests.broken.case import AV1, Case
from tests.support.sample_cards import FRONT_MATTER, PIN

PINNED: Final = f"{FRONT_MATTER}# Cubes and drawers\n"


def write_card(root: Path, text: str) -> None:
    (root / "README.md").write_text(text)


def pinned_to(glob: str) -> str:
    return PINNED.replace("data/*/*.parquet", f'"{glob}"')


UNPINNED: Final = PINNED.replace(PIN, "")

CASES: Final = [
    Case("a card as LeRobot writes it", AV1, "", lambda r: write_card(r, PINNED), indexed=True),
    Case("a card that pins nothing", AV1, "HUB007", lambda r: write_card(r, UNPINNED),
         remedied=lambda r: write_card(r, PINNED)),
    Case("a card that pins nothing, with sidecars", AV1, "HUB007 HUB035", lambda r: write_card(r, UNPINNED), indexed=True,
         remedied=lambda r: write_card(r, PINNED)),
    Case("a card without front matter", AV1, "HUB007", lambda r: write_card(r, "# Cubes and drawers\n")),
    Case("a card of every Parquet file", AV1, "HUB035 HUB007", lambda r: write_card(
        r, pinned_to("**/*.parquet")), indexed=True),
]  # fmt: skip

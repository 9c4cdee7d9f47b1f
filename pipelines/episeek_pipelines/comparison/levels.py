"""The levels of a comparison: how much of both datasets is read."""

from typing import Final, Literal, get_args

DiffLevel = Literal["meta", "layout", "rows", "videos"]
"""`meta`: metadata and listings. `layout`: also footers and headers of videos. `rows`: also rows. `videos`: also coded samples."""

DIFF_LEVELS: Final[tuple[DiffLevel, ...]] = get_args(DiffLevel)


def reads(level: DiffLevel, part: DiffLevel) -> bool:
    """Return whether a level reads what the level `part` adds."""
    return DIFF_LEVELS.index(level) >= DIFF_LEVELS.index(part)

"""The levels of a comparison, which determine how much of both datasets is read."""

from typing import Final, Literal, get_args

DiffLevel = Literal["meta", "layout", "rows", "videos"]
"""`meta` reads metadata and listings, `layout` also footers and video headers, `rows` also rows, and `videos` also coded
samples.
"""

DIFF_LEVELS: Final[tuple[DiffLevel, ...]] = get_args(DiffLevel)


def reads(level: DiffLevel, part: DiffLevel) -> bool:
    """Return whether a level reads everything that the level `part` reads."""
    return DIFF_LEVELS.index(level) >= DIFF_LEVELS.index(part)

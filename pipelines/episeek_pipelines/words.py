"""Counts and sizes in words, as people read them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `inspect` has to work where Dask is not installed
    pass


def human_bytes(count: float) -> str:
    """A size as people write it: `7.5 kB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def counted(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

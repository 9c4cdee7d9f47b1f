"""Counts and sizes in words, as people read them."""


def human_bytes(count: float) -> str:
    """Return a size as people write it: `7.5 kB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun: `1 file`, `2,000 files`.

    Args:
        count: The count.
        noun: The noun in the singular.
        plural: Its plural, where that is not the singular and an s.
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}"

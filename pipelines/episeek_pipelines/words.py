"""Functions that write counts and sizes in words, for lines and messages."""


def human_bytes(count: float) -> str:
    """Return a number of bytes with a decimal unit and up to three digits, such as `7.5 kB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun in the singular or plural, such as `1 file` or `2,000 files`.

    Args:
        count: The number of things.
        noun: The noun in the singular.
        plural: The noun in the plural; empty if the plural is the singular with an s.
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}"

"""A report at the end of a test run: what readers saw of publications that were stopped."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

_PROPERTY = "publication stopped"


def record_publication(
    record_property: Callable[[str, Any], None], how: str, request_count: int, seen: Mapping[str, int]
) -> None:
    """Record one publication that was stopped at each of its requests."""
    record_property(_PROPERTY, [how, request_count, dict(seen)])


def report_publications(reports: Iterable[Any]) -> list[str]:
    """Return a line for each recorded publication."""
    lines = []
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if name == _PROPERTY:
                how, request_count, seen = value
                counts = ", ".join(f"{what} {count}" for what, count in seen.items())
                lines.append(f"Publication stopped at each of {request_count} requests ({how}), never half: {counts}")
    return sorted(lines)

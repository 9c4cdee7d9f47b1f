"""The table of faults that each source survived, at the end of a test run: tests record a cell, whichever process they run in."""

from collections.abc import Callable, Iterable
from typing import Any

_PROPERTY = "survived"


def record(record_property: Callable[[str, Any], None], *, fault: str, source: str, outcome: str) -> None:
    """One cell: what came of a fault at a source."""
    record_property(_PROPERTY, [fault, source, outcome])


def report_survival(reports: Iterable[Any]) -> list[str]:
    """The table of the cells that passed; nothing without any."""
    cells: dict[tuple[str, str], str] = {}
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if name == _PROPERTY:
                fault, source, outcome = value
                cells[fault, source] = outcome
    if not cells:
        return []
    faults = sorted({fault for fault, _ in cells})
    sources = sorted({source for _, source in cells})
    first = max(map(len, faults)) + 2
    widths = [max(len(source), *(len(cells.get((fault, source), "")) for fault in faults)) + 2 for source in sources]
    lines = ["", "Faults survived: right bytes, or the error that names the file and the range"]
    lines.append(
        " " * first + "".join(source.ljust(width) for source, width in zip(sources, widths, strict=True)).rstrip()
    )
    for fault in faults:
        row = [cells.get((fault, source), "").ljust(width) for source, width in zip(sources, widths, strict=True)]
        lines.append((fault.ljust(first) + "".join(row)).rstrip())
    return lines

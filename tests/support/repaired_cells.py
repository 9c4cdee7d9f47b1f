"""The totals of the corruption matrix, at the end of a test run: tests record their cells, whichever process they run in."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

_PROPERTY = "repaired_cell"


def record_cell(record_property: Callable[[str, Any], None], sample: str, verdict: str) -> None:
    """One cell: what became of a sample with some defects."""
    record_property(_PROPERTY, [sample, verdict])


def report_repairs(reports: Iterable[Any]) -> list[str]:
    """The table of the cells that passed; nothing without any."""
    cells = [
        (sample, verdict)
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == _PROPERTY
        for sample, verdict in [value]
    ]
    title = "Corrupted datasets: repaired to the original's rows and pictures, or refused by name; nothing else"
    return ["", title, *totals(cells)] if cells else []


def totals(cells: Iterable[tuple[str, str]]) -> list[str]:
    """The number of cells of each verdict by sample."""
    counts = Counter(cells)
    lines = [f"{'sample':<16}{'repaired':>10}{'refused':>10}{'tried':>10}"]
    for sample in (*sorted({sample for sample, _ in counts}), "all"):
        chosen = Counter[str]()
        for (name, verdict), count in counts.items():
            if sample in (name, "all"):
                chosen[verdict] += count
        lines.append(f"{sample:<16}{chosen['repaired']:>10,}{chosen['refused']:>10,}{sum(chosen.values()):>10,}")
    return lines

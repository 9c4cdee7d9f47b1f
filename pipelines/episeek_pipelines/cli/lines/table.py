"""Format tables as lines of text."""

from collections.abc import Iterator, Sequence


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> Iterator[str]:
    """Yield the lines of a table whose columns are as wide as their longest cell.

    Args:
        header: The names of the columns.
        rows: The cells of each row, one for each column.
        right: One letter for each column: `r` to align it to the right, `l` to the left. Empty to align all columns to the left.
    """
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    sides = right or "l" * len(header)
    for row in [header, *rows]:
        cells = (
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        )
        yield "  " + "  ".join(cells).rstrip()

"""`python -m tests.repairs [--pairs] [SAMPLE...]`: the corruption matrix, counted and printed; code 1 after a third outcome."""

import argparse
import sys
from collections.abc import Sequence
from itertools import combinations

from tests.repairs.defects import DEFECTS
from tests.repairs.matrix import SAMPLES, Cell, ThirdOutcomeError, applies, try_cell
from tests.support.repaired_cells import totals


def main(arguments: Sequence[str] | None = None) -> int:
    """Try every defect alone, or every pair, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.repairs", description=__doc__)
    parser.add_argument("samples", nargs="*", metavar="SAMPLE", help=f"of {', '.join(SAMPLES)} (default: all)")
    parser.add_argument("--pairs", action="store_true", help="every pair of defects, not every defect alone")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th of them")
    options = parser.parse_args(arguments)
    tried = list(combinations(DEFECTS, 2)) if options.pairs else [(defect,) for defect in DEFECTS]
    cells: list[Cell] = []
    third: list[str] = []
    for sample in options.samples or SAMPLES:
        for defects in tried[:: options.every]:
            if not applies(sample, defects):
                continue
            try:
                cell = try_cell(sample, defects)
            except ThirdOutcomeError as error:
                third.append(str(error))
                print(f"THIRD     {error}", flush=True)
            else:
                cells.append(cell)
                print(f"{cell.verdict:<9} {sample:<14} {' + '.join(cell.defects):<75} {cell.detail[:150]}", flush=True)
    for line in totals((cell.sample, cell.verdict) for cell in cells):
        print(line)
    print(f"third outcomes: {len(third)}")
    return 1 if third else 0


if __name__ == "__main__":
    sys.exit(main())

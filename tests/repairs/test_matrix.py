"""The corruption matrix: every defect on every sample, alone and in pairs. A third outcome fails.

All of it takes an hour (`make test-repairs`). A full run of the tests tries every defect on one of the samples, in turn, and one
of each 300 pairs; `make test` tries some of them.
"""

from itertools import combinations

import pytest

from tests.repairs.defects import DEFECTS
from tests.repairs.matrix import SAMPLES, applies, try_cell
from tests.support.amount import IS_FULL, amount
from tests.support.repaired_cells import record_cell

ALONE = [
    (sample, (defect,))
    for number, defect in enumerate(DEFECTS)
    for place, sample in enumerate(SAMPLES)
    if applies(sample, (defect,)) and (number % 90 == 9 * place + 4 or (IS_FULL and place == number % len(SAMPLES)))
]
PAIRS = [
    (sample, pair)
    for number, pair in enumerate(combinations(DEFECTS, 2))
    for sample in [SAMPLES[number % len(SAMPLES)]]
    if applies(sample, pair) and number % amount(19, 300) == amount(5, 77)
]


@pytest.mark.parametrize(
    ("sample", "defects"),
    [*ALONE, *PAIRS],
    ids=lambda value: value if isinstance(value, str) else " + ".join(each.name for each in value),
)
def test_a_dataset_is_repaired_exactly_or_refused_by_name(sample, defects, record_property):
    cell = try_cell(sample, defects)
    if len(defects) == 1 and not defects[0].is_open and sample in ("av1_multifile", "h264_bframes", "edited"):
        assert cell.verdict == "repaired", cell.detail
    # of a pair, one defect may take the other away: rows that are there twice, in a part of the file that is cut off
    if len(defects) == 1 and defects[0].is_open:
        assert cell.verdict == "refused", cell.detail
    record_cell(record_property, sample, cell.verdict)


def test_every_defect_has_its_own_name():
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)

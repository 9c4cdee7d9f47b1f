"""The corruption matrix: every defect on every sample, alone and in pairs. A third outcome fails.

All of it takes two hours (`make test-repairs`). `make test-all` tries every defect on one sample, and one of 19 pairs. `make test`
tries four defects, and one of 300 pairs.
"""

from itertools import combinations

import pytest

from tests.repairs.defects import DEFECTS
from tests.repairs.matrix import SAMPLES, applies, try_cell
from tests.support.amount import IS_FULL, amount
from tests.support.repaired_cells import record_cell

ALWAYS_REPAIRED = ("av1_multifile", "h264_bframes", "edited")
"""The samples in which every defect with one reading is repaired. In the other samples, only episode 1 has its task."""


def samples_of(defects):
    return [sample for sample in SAMPLES if applies(sample, defects)]


ALONE = [
    (samples[number % len(samples)], (defect,))
    for number, defect in enumerate(DEFECTS)
    for samples in [samples_of((defect,))]
    if IS_FULL or number % 18 == 4
]
STEP, FIRST = amount(19, 300), amount(5, 77)
PAIRS = [
    (samples[number // STEP % len(samples)], pair)
    for number, pair in enumerate(combinations(DEFECTS, 2))
    for samples in [samples_of(pair)]
    if number % STEP == FIRST
]


@pytest.mark.parametrize(
    ("sample", "defects"),
    [*ALONE, *PAIRS],
    ids=lambda value: value if isinstance(value, str) else " + ".join(each.name for each in value),
)
def test_a_dataset_is_repaired_exactly_or_refused_by_name(sample, defects, record_property):
    cell = try_cell(sample, defects)
    # Of a pair, one defect may take the other away: rows that are there twice, in a part of the file that is cut off.
    if len(defects) == 1 and defects[0].is_open:
        assert cell.verdict == "refused", cell.detail
    elif len(defects) == 1 and sample in ALWAYS_REPAIRED:
        assert cell.verdict == "repaired", cell.detail
    record_cell(record_property, sample, cell.verdict)


def test_every_defect_has_its_own_name():
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)

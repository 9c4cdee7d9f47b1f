import pytest

from tests.fuzz.clips import check_every_clip
from tests.fuzz.invariants import MAX_CLIP_SAMPLES, check, source_of
from tests.fuzz.promises import read_table
from tests.fuzz.regressions.cases import CASES


@pytest.mark.parametrize("name", CASES)
def test_what_once_came_out_wrong_comes_out_right(name):
    case = CASES[name]
    data = case.make()
    assert check(data) == case.outcome, case.was_wrong
    if case.outcome == "clips" and len(read_table(source_of(data))) <= MAX_CLIP_SAMPLES:
        assert check_every_clip(source_of(data)) > 0

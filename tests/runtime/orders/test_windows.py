"""The steps of an epoch: each position once, to all ranks alike, from any start."""

from hypothesis import given
from hypothesis import strategies as st

from episeek.orders.windows import Windows


@st.composite
def windows(draw):
    count = draw(st.integers(0, 300))
    start = draw(st.integers(0, count))
    return Windows(start, count, draw(st.integers(1, 9)), draw(st.integers(1, 8)), draw(st.booleans()))


def dealt(windows, steps=None):
    return [
        [windows.positions(step, rank).tolist() for rank in range(windows.world_size)]
        for step in range(len(windows) if steps is None else steps)
    ]


@given(windows())
def test_each_position_once_and_the_same_number_of_steps_for_each_rank(windows):
    steps = dealt(windows)
    found = sorted(position for step in steps for batch in step for position in batch)
    step_size = windows.batch_size * windows.world_size
    whole = (windows.frame_count - windows.start) // step_size * step_size
    assert found == list(range(windows.start, windows.start + whole if windows.drop_last else windows.frame_count))
    assert all(len(batch) <= windows.batch_size for step in steps for batch in step)
    if windows.drop_last:
        assert all(len(batch) == windows.batch_size for step in steps for batch in step)
    elif windows.batch_size > 1 and windows.frame_count - windows.start >= windows.world_size:
        assert all(step_batch for step in steps for step_batch in step)
    for rank in range(windows.world_size):
        assert windows.steps_of(rank) == sum(bool(step[rank]) for step in steps)


@given(windows(), st.data())
def test_what_is_consumed_after_some_steps_and_the_rest_are_all(windows, data):
    steps = data.draw(st.integers(0, len(windows)))
    before = sorted(position for step in dealt(windows, steps) for batch in step for position in batch)
    assert before == list(range(windows.start, windows.stop(steps)))

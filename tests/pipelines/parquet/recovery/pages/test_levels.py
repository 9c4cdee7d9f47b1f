"""Counts of levels, against the levels that were encoded."""

from hypothesis import given, settings
from hypothesis import strategies as st

from episeek_pipelines.parquet.recovery.pages.levels import count_levels
from tests.support.amount import examples


def varint(value):
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def encoded(runs, width):
    """Runs of one level, or lists of levels that are packed, eight to a group; the last group is padded."""
    out = b""
    for run in runs:
        if isinstance(run, tuple):
            level, count = run
            out += varint(count << 1) + bytes([level])
        else:
            padded = [*run, *[0] * (-len(run) % 8)]
            bits = sum(level << place * width for place, level in enumerate(padded))
            out += varint(len(padded) // 8 << 1 | 1) + bits.to_bytes(len(padded) // 8 * width, "little")
    return out


@st.composite
def level_runs(draw):
    max_level = draw(st.integers(1, 5))
    levels = st.integers(0, max_level)
    packed = st.lists(levels, min_size=1, max_size=30).map(lambda run: run[: max(len(run) // 8 * 8, 8)])
    runs = draw(st.lists(st.one_of(st.tuples(levels, st.integers(1, 300)), packed), max_size=6))
    # only the last group may be padded
    runs = [
        run for place, run in enumerate(runs) if isinstance(run, tuple) or len(run) % 8 == 0 or place == len(runs) - 1
    ]
    return max_level, runs


@given(level_runs())
@settings(max_examples=examples(200), deadline=None)
def test_levels_are_counted(drawn):
    max_level, runs = drawn
    levels = [level for run in runs for level in ([run[0]] * run[1] if isinstance(run, tuple) else run)]
    data = encoded(runs, max_level.bit_length())
    found = count_levels(data, max_level=max_level, value_count=len(levels))
    assert found is not None
    assert list(found.counts) == [levels.count(level) for level in range(max_level + 1)]
    assert found.first == (levels[0] if levels else 0)
    assert count_levels(data, max_level=max_level, value_count=len(levels) + 8) is None
    if levels and levels[-1]:
        # a count that leaves out a value, which is then not padding
        assert count_levels(data, max_level=max_level, value_count=len(levels) - 1) is None
    assert count_levels(data + b"\x02", max_level=max_level, value_count=len(levels)) is None


@given(st.binary(max_size=30), st.integers(1, 7), st.integers(0, 1 << 31))
@settings(max_examples=examples(200), deadline=None)
def test_any_bytes_are_counted_or_refused(data, max_level, value_count):
    found = count_levels(data, max_level=max_level, value_count=value_count)
    assert found is None or sum(found.counts) == value_count

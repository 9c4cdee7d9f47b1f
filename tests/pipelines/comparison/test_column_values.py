"""Digests and differing rows of columns, against the values as Python has them."""

import math
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek_pipelines.comparison.rows.column_values import differing_rows, digest_of, type_text

FLOATS = st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, None])
VALUES = {
    pa.float64(): FLOATS,
    pa.int16(): st.one_of(st.none(), st.integers(-3, 3)),
    pa.bool_(): st.one_of(st.none(), st.booleans()),
    pa.string(): st.sampled_from([None, "", "a", "ab"]),
    pa.binary(): st.sampled_from([None, b"", b"a", b"\0"]),
    pa.list_(pa.float32()): st.one_of(st.none(), st.lists(FLOATS, max_size=3)),
    pa.list_(pa.list_(pa.int8())): st.lists(st.one_of(st.none(), st.lists(st.integers(0, 1), max_size=2)), max_size=2),
    pa.struct([("bytes", pa.binary()), ("path", pa.string())]): st.one_of(
        st.none(),
        st.fixed_dictionaries({"bytes": st.sampled_from([None, b"", b"x"]), "path": st.sampled_from([None, "p"])}),
    ),
}


def exact(value: Any) -> Any:
    """A value in a form in which Python's equality is that of the bits."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, list):
        return [exact(item) for item in value]
    return {key: exact(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("dtype", VALUES, ids=str)
@given(data=st.data())
def test_digests_and_rows_tell_what_the_bits_tell(dtype, data):
    rows = data.draw(st.lists(st.tuples(VALUES[dtype], VALUES[dtype]), max_size=4))
    a, b = ([exact(value) for value in side] for side in (zip(*rows, strict=True) if rows else ([], [])))
    one, other = (pa.array([row[place] for row in rows], dtype) for place in (0, 1))
    assert (digest_of(one) == digest_of(other)) == (a == b)
    assert differing_rows(one, other).tolist() == [x != y for x, y in zip(a, b, strict=True)]
    # slices and chunks of a larger array are the same values
    padded = pa.concat_arrays([one, other])
    assert digest_of(padded.slice(0, len(one))) == digest_of(one)
    assert digest_of(padded.slice(len(one))) == digest_of(other)


def test_kinds_of_one_thing_are_the_same():
    values = [[1.0, 2.0], [3.0, math.nan]]
    same = [
        pa.array(values, t) for t in (pa.list_(pa.float32()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 2))
    ]
    assert len({digest_of(array) for array in same}) == len({type_text(array.type) for array in same}) == 1
    texts = [pa.array(["b", "a", "b"], pa.string()), pa.array(["b", "a", "b"], pa.large_string())]
    texts.append(texts[0].dictionary_encode())
    assert len({digest_of(array) for array in texts}) == len({type_text(array.type) for array in texts}) == 1
    assert not differing_rows(same[0], same[2]).any()


def test_other_types_are_told_apart():
    assert type_text(pa.float32()) != type_text(pa.float64())
    assert digest_of(pa.array([1], pa.int32())) != digest_of(pa.array([1], pa.int64()))
    assert digest_of(pa.array([None, 1], pa.int32())) != digest_of(pa.array([0, 1], pa.int32()))
    quiet, other = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
    assert digest_of(pa.array([quiet], pa.float32())) != digest_of(pa.array([other], pa.float32()))


def test_what_a_null_hides_does_not_count():
    hidden = pa.Array.from_buffers(pa.int32(), 2, [pa.py_buffer(b"\x02"), pa.py_buffer(struct.pack("<2i", 9, 5))])
    assert digest_of(hidden) == digest_of(pa.array([None, 5], pa.int32()))
    offsets = pa.py_buffer(struct.pack("<3i", 0, 2, 3))
    lists = pa.Array.from_buffers(
        pa.list_(pa.int8()), 2, [pa.py_buffer(b"\x02"), offsets], children=[pa.array([1, 2, 3], pa.int8())]
    )
    assert digest_of(lists) == digest_of(pa.array([None, [3]], pa.list_(pa.int8())))
    assert not differing_rows(lists, pa.array([None, [3]], pa.list_(pa.int8()))).any()

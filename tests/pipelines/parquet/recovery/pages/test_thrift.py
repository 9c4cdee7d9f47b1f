"""Structs of Thrift's compact protocol, against another implementation and any bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek_pipelines.parquet.recovery.pages.thrift import (
    CutStructError,
    MalformedStructError,
    read_struct,
    write_struct,
)
from tests.support import thrift_structs
from tests.support.amount import examples
from tests.support.lost_footers import RECORDED, whole_file

INTEGERS = {kind: st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) for kind, bits in ((4, 16), (5, 32), (6, 64))}


def fields_of(values):
    """Structs whose values are drawn from a strategy of pairs of a type and a value."""
    return st.dictionaries(st.integers(0, 40), values, max_size=5)


SCALARS = st.one_of(
    st.tuples(st.sampled_from((1,)), st.just(True)),
    st.tuples(st.sampled_from((2,)), st.just(False)),
    *(st.tuples(st.just(kind), integers) for kind, integers in INTEGERS.items()),
    st.tuples(st.just(7), st.floats(allow_nan=False)),
    st.tuples(st.just(8), st.binary(max_size=20)),
    st.tuples(st.just(9), st.tuples(st.just(5), st.lists(INTEGERS[5], max_size=20))),
)
STRUCTS = fields_of(st.one_of(SCALARS, st.tuples(st.just(12), fields_of(SCALARS))))


@given(STRUCTS)
@settings(max_examples=examples(100), deadline=None)
def test_structs_are_read_and_written_as_by_another_implementation(fields):
    data = write_struct(fields)
    assert data == thrift_structs.encode(fields)
    assert read_struct(data + b"rest") == (fields, len(data))
    for stop in range(len(data)):
        with pytest.raises(CutStructError):
            read_struct(data[:stop])


def test_the_footer_of_a_file():
    whole = whole_file(RECORDED[0])
    data = whole.data[whole.footer_start : -8]
    fields, stop = read_struct(data)
    assert fields == thrift_structs.decode(data)
    assert stop == len(data)
    assert write_struct(fields) == data


@given(st.binary(max_size=60))
@settings(max_examples=examples(200), deadline=None)
def test_any_bytes_are_a_struct_or_refused(data):
    try:
        fields, stop = read_struct(data, max_values=100)
    except MalformedStructError:
        return
    assert stop <= len(data)
    assert isinstance(fields, dict)


@pytest.mark.parametrize(
    "data",
    [
        b"\x15" + b"\xff" * 10 + b"\x00",  # an integer of more than ten bytes
        b"\x15\xfe\xff\xff\xff\xff\x01\x00",  # more than 32 bits
        b"\x15\x02\x05\x02\x04\x00",  # field 1 again
        b"\x1b\x00\x00",  # a map
        b"\x1c" * 40,  # structs within structs
        b"\x19" * 40,  # lists within lists
        b"\x19\xf5\xff\x7f" + b"\x00" * 20000 + b"\x00",  # more values than are allowed
    ],
)
def test_what_is_no_struct(data):
    with pytest.raises(MalformedStructError):
        read_struct(data, max_values=1000)

"""Compare two columns bit for bit, including NaN payloads, signed zeros and nulls, regardless of their division into chunks."""

import pyarrow as pa

_INTEGER_OF_FLOAT = {pa.float16(): pa.int16(), pa.float32(): pa.int32(), pa.float64(): pa.int64()}


def first_difference(left: pa.ChunkedArray, right: pa.ChunkedArray) -> int | None:
    """Return the first row in which two columns of the same type and length differ; None if they are equal."""
    a, b = _bits(left), _bits(right)
    if a.equals(b):
        return None
    # the first difference lies in [start, stop)
    start, stop = 0, len(a)
    while stop - start > 1:
        middle = (start + stop) // 2
        if a.slice(start, middle - start).equals(b.slice(start, middle - start)):
            start = middle
        else:
            stop = middle
    return start


def _bits(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with each float replaced by the integer with the same bits.

    A comparison of floats as numbers is not bit for bit, since NaN != NaN and -0.0 == 0.0.
    """
    if isinstance(column.type, pa.ExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    if pa.types.is_dictionary(column.type):
        column = pa.chunked_array([chunk.dictionary_decode() for chunk in column.chunks], column.type.value_type)
    target = _bit_type(column.type)
    if target == column.type:
        return column
    return pa.chunked_array([chunk.view(target) for chunk in column.chunks], target)


def _bit_type(dtype: pa.DataType) -> pa.DataType:
    if dtype in _INTEGER_OF_FLOAT:
        return _INTEGER_OF_FLOAT[dtype]
    if pa.types.is_fixed_size_list(dtype):
        return pa.list_(_bit_field(dtype.value_field), dtype.list_size)
    if pa.types.is_list(dtype):
        return pa.list_(_bit_field(dtype.value_field))
    if pa.types.is_large_list(dtype):
        return pa.large_list(_bit_field(dtype.value_field))
    if pa.types.is_struct(dtype):
        return pa.struct([_bit_field(field) for field in dtype])
    return dtype


def _bit_field(field: pa.Field) -> pa.Field:
    return field.with_type(_bit_type(field.type))

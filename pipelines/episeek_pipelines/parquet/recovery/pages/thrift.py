"""Read and write structs of Thrift's compact protocol, in which Parquet stores page headers and footers.

A struct is a mapping from field ids to pairs of a type and a value. Integers are int, booleans bool and binaries bytes. A list is a
pair of the type of its items and the items. A nested struct is a mapping again.
Source: thrift-compact-protocol.md of Apache Thrift. Maps are not read, since Parquet has none.
"""

import struct
from collections.abc import Mapping
from typing import Any, Final

TRUE: Final = 1
FALSE: Final = 2
BYTE: Final = 3
I16: Final = 4
I32: Final = 5
I64: Final = 6
DOUBLE: Final = 7
BINARY: Final = 8
LIST: Final = 9
STRUCT: Final = 12

Struct = Mapping[int, tuple[int, Any]]

_INTEGER_BITS: Final = {I16: 16, I32: 32, I64: 64}
_MAX_DEPTH: Final = 16
_MAX_VALUES: Final = 1 << 16
"""Greatest number of values of one struct and its nested structs. A few bytes must not become a large list in memory."""
_MAX_VARINT_BYTES: Final = 10


class MalformedStructError(ValueError):
    """The bytes are not a struct. The message is a noun phrase."""


class CutStructError(MalformedStructError):
    """The bytes end within a struct that more bytes may complete."""


def read_struct(
    data: bytes, start: int = 0, *, max_values: int = _MAX_VALUES
) -> tuple[dict[int, tuple[int, Any]], int]:
    """Return the struct that begins at a position, and the position after it.

    Raises:
        CutStructError: The struct reaches past the end of `data`.
        MalformedStructError: The bytes are not a struct: an unknown type, a field that comes twice, an integer that is too large.
    """
    reader = _Reader(data, start, max_values)
    return reader.struct(0), reader.position


def write_struct(fields: Struct) -> bytes:
    """Return the bytes of a struct."""
    out = bytearray()
    _put_struct(out, fields)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes, start: int, max_values: int) -> None:
        self._data = data
        self.position = start
        self._values_left = max_values

    def struct(self, depth: int) -> dict[int, tuple[int, Any]]:
        if depth > _MAX_DEPTH:
            raise MalformedStructError(f"structs nested more than {_MAX_DEPTH} deep")
        fields: dict[int, tuple[int, Any]] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer(I16)
            kind = head & 15
            if number in fields or number < 0:
                raise MalformedStructError(f"field {number} again" if number >= 0 else f"field {number}")
            is_boolean = kind in (TRUE, FALSE)
            fields[number] = kind, kind == TRUE if is_boolean else self._value(kind, depth)
            self._count()
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGER_BITS:
            return self._integer(kind)
        if kind == BINARY:
            return self._take(self._varint())
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind == LIST:
            return self._list(depth)
        if kind == DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        if kind == BYTE:
            return int.from_bytes(self._take(1), "little", signed=True)
        raise MalformedStructError(f"a value of type {kind}")

    def _list(self, depth: int) -> tuple[int, list[Any]]:
        if depth > _MAX_DEPTH:
            raise MalformedStructError(f"lists nested more than {_MAX_DEPTH} deep")
        head = self._byte()
        kind = head & 15
        count = self._varint() if head >> 4 == 15 else head >> 4
        # each item takes at least one byte
        if count > len(self._data) - self.position:
            raise CutStructError(f"a list of {count} items within {len(self._data) - self.position} bytes")
        self._count(count)
        if kind in (TRUE, FALSE):
            return kind, [self._byte() == TRUE for _ in range(count)]
        return kind, [self._value(kind, depth + 1) for _ in range(count)]

    def _integer(self, kind: int) -> int:
        value = self._varint()
        signed = (value >> 1) ^ -(value & 1)
        if not -(1 << _INTEGER_BITS[kind] - 1) <= signed < 1 << _INTEGER_BITS[kind] - 1:
            raise MalformedStructError(f"{signed} as an integer of {_INTEGER_BITS[kind]} bits")
        return signed

    def _varint(self) -> int:
        value = 0
        for place in range(_MAX_VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 0x7F) << 7 * place
            if not byte & 0x80:
                return value
        raise MalformedStructError(f"an integer of more than {_MAX_VARINT_BYTES} bytes")

    def _byte(self) -> int:
        if self.position >= len(self._data):
            raise CutStructError("an end within a struct")
        self.position += 1
        return self._data[self.position - 1]

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self.position:
            raise CutStructError(f"a value of {count} bytes within {len(self._data) - self.position} bytes")
        self.position += count
        return bytes(self._data[self.position - count : self.position])

    def _count(self, values: int = 1) -> None:
        self._values_left -= values
        if self._values_left < 0:
            raise MalformedStructError("a struct of too many values")


def _put_struct(out: bytearray, fields: Struct) -> None:
    last = 0
    for number, (kind, value) in sorted(fields.items()):
        head = (TRUE if value else FALSE) if kind in (TRUE, FALSE) else kind
        if 0 < number - last < 16:
            out.append(number - last << 4 | head)
        else:
            out.append(head)
            _put_integer(out, number)
        last = number
        if kind not in (TRUE, FALSE):
            _put_value(out, kind, value)
    out.append(0)


def _put_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGER_BITS:
        _put_integer(out, value)
    elif kind == BINARY:
        _put_varint(out, len(value))
        out += value
    elif kind == STRUCT:
        _put_struct(out, value)
    elif kind == LIST:
        item_kind, items = value
        out.append(min(len(items), 15) << 4 | item_kind)
        if len(items) >= 15:
            _put_varint(out, len(items))
        for item in items:
            _put_value(out, item_kind, item)
    elif kind == DOUBLE:
        out += struct.pack("<d", value)
    elif kind == BYTE:
        out += value.to_bytes(1, "little", signed=True)
    else:
        # items of a list of booleans
        out.append(TRUE if value else FALSE)


def _put_integer(out: bytearray, value: int) -> None:
    _put_varint(out, value << 1 if value >= 0 else (-value << 1) - 1)


def _put_varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)

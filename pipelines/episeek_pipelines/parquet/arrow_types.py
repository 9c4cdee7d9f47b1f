"""Functions that classify Arrow types: lists, texts, bytes, numbers."""

import pyarrow as pa


def is_any_list(arrow_type: pa.DataType) -> bool:
    """Return whether a type is a list type, of fixed or variable size."""
    return bool(
        pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type) or pa.types.is_fixed_size_list(arrow_type)
    )


def differ_in_lists(one: pa.DataType, other: pa.DataType) -> bool:
    """Return whether two types differ only in the kind of list, such as fixed-size and variable-size, and not in the values."""
    is_list = is_any_list(one) and is_any_list(other)
    return is_list and (one.value_type == other.value_type or differ_in_lists(one.value_type, other.value_type))


def storage_type(arrow_type: pa.DataType) -> pa.DataType:
    """Return the storage type of an extension type, and any other type unchanged.

    The library `datasets` registers extension types. Unless it is imported, columns are read in their storage types.
    """
    return arrow_type.storage_type if isinstance(arrow_type, pa.BaseExtensionType) else arrow_type


def is_text(arrow_type: pa.DataType) -> bool:
    """Return whether a type is a string type."""
    return bool(
        pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type) or pa.types.is_string_view(arrow_type)
    )


def is_binary(arrow_type: pa.DataType) -> bool:
    """Return whether a type is a binary type of variable length."""
    return bool(
        pa.types.is_binary(arrow_type) or pa.types.is_large_binary(arrow_type) or pa.types.is_binary_view(arrow_type)
    )


def is_number(arrow_type: pa.DataType) -> bool:
    """Return whether a type is an integer or float type."""
    return bool(pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type))

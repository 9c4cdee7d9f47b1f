"""INF003 and INF003W: compare the Arrow schema of a data file with `features`.

LeRobot writes these types:

- a scalar for the shape [1], to which `datasets` cannot cast a list of one value;
- a fixed-size list for one dimension, or a plain list if its size is 0;
- nested lists for two to five dimensions (`datasets.Array2D` to `Array5D`);
- a struct of bytes and path for an image;
- a list of structs for each of its two language columns.

LeRobot's merging and its converter from v2.1 use pandas, which writes plain lists and wider numbers and drops the schema metadata.
Such differences are INF003W. Features of unknown dtype are skipped. `rules.check_columns` reports missing and undeclared columns.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from episeek_pipelines.parquet.arrow_types import is_any_list, is_binary, is_number, is_text, storage_type
from episeek_pipelines.verify.data.row_scan import SCANNED_COLUMNS
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.quoting import one_line
from episeek_pipelines.verify.rules import COLUMN_STYLE, COLUMNS
from episeek_schemas import lerobot
from episeek_schemas.features import SCALARS, declared_dtype, declared_shape

Problem = tuple[str, bool]
"""The expected type, and whether LeRobot can read values of the type that was found."""


TYPE_REMEDY: Final = (
    "decide whether the type of the column or its declaration in meta/info.json is right, and correct the other one. If you change "
    "the type of the column, convert its values"
)
"""Remedy for a column that does not have the declared type."""
SCALAR_REMEDY: Final = (
    "run `episeek repair SRC DST`, or replace each list of one number by the number, in the rows and "
    "in the `huggingface` metadata, as LeRobot does for "
    "shape [1]; if the lists are longer, decide whether the shape or the rows are wrong"
)

_SHOWN_COLUMNS = 4
_IMAGE = "struct<bytes: binary, path: string>"


def language_problem(column: str, arrow_type: pa.DataType) -> str | None:
    """Return the type that a language column should have, or None if LeRobot can read the column.

    LeRobot lets PyArrow infer the type from the annotations. Therefore a file without annotations may have lists of nulls, and a
    field without values may have the type null. Fields that LeRobot does not read may be missing or added.
    """
    timestamped = column == lerobot.LANGUAGE_PERSISTENT
    expected = f"list<struct<role, content, style{', timestamp' if timestamped else ''}>>"
    if not is_any_list(arrow_type):
        return expected
    row = arrow_type.value_type
    if pa.types.is_null(row):
        return None
    if not pa.types.is_struct(row):
        return expected
    for name in ("role", "content", "style"):
        position = row.get_field_index(name)
        if position < 0 or not (pa.types.is_null(row[position].type) or is_text(row[position].type)):
            return expected
    if timestamped:
        position = row.get_field_index(lerobot.TIMESTAMP)
        if position < 0 or not is_number(row[position].type):
            return expected
    return None


def check_feature_types(path: str, schema: pa.Schema, features: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield INF003 or INF003W for each column with another type than its feature declares, and INF003W for wrong schema metadata.

    Args:
        path: The data file.
        schema: Its Arrow schema, with metadata.
        features: `features` of meta/info.json; its contents may be invalid.
    """
    types = {column.name: storage_type(column.type) for column in reversed(list(schema))}
    for key, spec in features.items():
        dtype = declared_dtype(spec)
        if key not in types or dtype is None or dtype == "video":
            continue
        found = types[key]
        if key in SCANNED_COLUMNS and not (
            pa.types.is_integer(found) or (key == lerobot.TIMESTAMP and is_number(found))
        ):
            # `check_columns` reports such a column.
            continue
        problem = _problem(key, found, dtype, spec)
        if problem is not None:
            expected, is_style = problem
            shape = declared_shape(spec)
            declared = f"dtype {one_line(dtype)}" + (
                f", shape {one_line(list(shape) or [1])}" if shape is not None else ""
            )
            is_list_of_one = shape == () and is_any_list(found)
            yield finding(
                COLUMN_STYLE if is_style else COLUMNS,
                f"type {one_line(found)}",
                f"{expected}, as declared in features ({declared})",
                Location(file=path, column=key),
                remedy=SCALAR_REMEDY if is_list_of_one else "" if is_style else TYPE_REMEDY,
            )
    yield from _check_schema_metadata(path, schema)


def _problem(key: str, found: pa.DataType, dtype: str, spec: Mapping[str, Any]) -> Problem | None:
    if key in lerobot.LANGUAGE_COLUMNS:
        expected = language_problem(key, found)
        return None if expected is None else (expected, False)
    if dtype == "image":
        return _image_problem(found)
    if dtype not in SCALARS:
        return None
    shape = declared_shape(spec)
    leaf, sizes = _unnest(found)
    if shape is None:
        return _leaf_problem(leaf, dtype, str(SCALARS[dtype]))
    expected = _expected(shape, dtype)
    if len(sizes) != len(shape) or any(size not in (None, wanted) for size, wanted in zip(sizes, shape, strict=True)):
        return expected, False
    if 0 in shape and pa.types.is_null(leaf):
        return None
    problem = _leaf_problem(leaf, dtype, expected)
    if problem is None and len(shape) == 1 and shape != (0,) and sizes[0] is None:
        return expected, True
    return problem


def _leaf_problem(leaf: pa.DataType, dtype: str, expected: str) -> Problem | None:
    wanted = SCALARS[dtype]
    if leaf == wanted:
        return None
    if pa.types.is_dictionary(leaf):
        leaf = leaf.value_type
    if dtype == "string" and (pa.types.is_null(leaf) or is_binary(leaf)):
        return expected, True
    return expected, _kind(leaf) == _kind(wanted)


def _image_problem(found: pa.DataType) -> Problem | None:
    # `datasets.Image` also reads a column of bytes. A column of paths is useless, since the files are on another machine.
    if is_binary(found):
        return _IMAGE, True
    if is_text(found):
        return _IMAGE, False
    if not pa.types.is_struct(found):
        return _IMAGE, False
    types = {name: found[found.get_field_index(name)].type for name in ("bytes", "path") if _has_one(found, name)}
    for name, is_right in (("bytes", is_binary), ("path", is_text)):
        if name in types and not (is_right(types[name]) or pa.types.is_null(types[name])):
            return _IMAGE, False
    if not types:
        return _IMAGE, False
    has_bytes = "bytes" in types and not pa.types.is_null(types["bytes"])
    return None if has_bytes and "path" in types else (_IMAGE, True)


def _has_one(struct: pa.StructType, name: str) -> bool:
    return bool(struct.get_field_index(name) >= 0)


def _unnest(found: pa.DataType) -> tuple[pa.DataType, list[int | None]]:
    """Return the type of a single value, and the size of each list around it; the size is None for a list of variable size."""
    sizes: list[int | None] = []
    while is_any_list(found):
        sizes.append(found.list_size if pa.types.is_fixed_size_list(found) else None)
        found = storage_type(found.value_type)
    return found, sizes


def _expected(shape: tuple[int, ...], dtype: str) -> str:
    leaf = str(SCALARS[dtype])
    if len(shape) == 1 and shape[0] > 0:
        return f"fixed_size_list<{leaf}>[{shape[0]}]"
    depth = min(len(shape), 8)
    return "list<" * depth + leaf + ">" * depth


def _kind(arrow_type: pa.DataType) -> str | None:
    """Return the kind of a type: "float", "integer", "bool" or "string". Return None for a type of none of these kinds.

    Types of the same kind differ only in their width.
    """
    for kind, is_kind in (
        ("float", pa.types.is_floating),
        ("integer", pa.types.is_integer),
        ("bool", pa.types.is_boolean),
        ("string", is_text),
    ):
        if is_kind(arrow_type):
            return kind
    return None


def _check_schema_metadata(path: str, schema: pa.Schema) -> Iterator[Finding]:
    """Yield INF003W if the schema metadata, from which `datasets` reads the features, does not fit the columns."""
    where = Location(file=path)
    key = f"key `{lerobot.DATA_FEATURES_KEY}`"
    text = (schema.metadata or {}).get(lerobot.DATA_FEATURES_KEY.encode())
    if text is None:
        yield finding(
            COLUMN_STYLE,
            f"no {key} in the schema metadata",
            "the features of the columns, which `datasets` reads",
            where,
        )
        return
    try:
        listed = json.loads(text)["info"]["features"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        listed = None
    if not isinstance(listed, dict):
        yield finding(COLUMN_STYLE, f"schema metadata whose {key} does not parse", "JSON with info.features", where)
        return
    columns = set(schema.names)
    extra, absent = sorted(set(listed) - columns), sorted(columns - set(listed))
    if extra or absent:
        parts = [f"has the extra columns {_few(extra)}"] if extra else []
        parts += [f"lacks {_few(absent)}"] if absent else []
        yield finding(
            COLUMN_STYLE, f"schema metadata whose {key} {' and '.join(parts)}", "the columns of the file", where
        )


def _few(names: list[str]) -> str:
    listed = ", ".join(one_line(name) for name in names[:_SHOWN_COLUMNS])
    return listed if len(names) <= _SHOWN_COLUMNS else f"{listed} and {len(names) - _SHOWN_COLUMNS} more"

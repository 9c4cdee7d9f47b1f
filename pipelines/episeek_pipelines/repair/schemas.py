"""Correct the schemas of data files: the types of columns, and the `huggingface` metadata."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from episeek_pipelines.parquet.arrow_types import is_any_list, is_text, storage_type
from episeek_pipelines.parquet.exact_values import first_difference
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import DataEdit, Draft
from episeek_pipelines.repair.evidence import DataFileEvidence
from episeek_pipelines.repair.row_runs import flat_lists
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_schemas import lerobot
from episeek_schemas.features import SCALARS, declared_dtype, declared_shape

_VALUE_NAMES = {"float": "float32", "double": "float64", "halffloat": "float16"}
"""The names of types in `datasets` that differ from the names in Arrow, by the name in Arrow."""


def repair_types(draft: Draft) -> Iterator[Outcome]:
    """Convert columns to the types that `features` declares if the conversion keeps every value exactly."""
    code, features = registry.COLUMN_TYPES.code, draft.info["features"]
    for path, file in draft.evidence.data.items():
        for name, spec in features.items():
            target = _declared_type(draft, name, spec)
            if file.schema is None or target is None or file.schema.names.count(name) != 1:
                continue
            found = storage_type(file.schema.field(name).type)
            if _is_same(found, target):
                continue
            place = Place(path, column=name)
            with draft.evidence.open_data(path) as opened:
                column = opened.read(columns=[name], use_threads=False)[name]
            if converted(column, target) is None:
                readings = (f"the declared type {target} is wrong", "the values are wrong")
                yield Refusal(code, place, f"type {found}, with values that {target} cannot represent", readings)
                continue
            draft.edit(path).types[name] = target
            proof = f"all {len(column)} values are exactly the same in {target}, the type that `features` declares"
            yield Repair(code, place, str(found), str(target), proof)


def repair_metadata_of_types(draft: Draft) -> Iterator[Outcome]:
    """Write the new types of columns into the `huggingface` metadata of files. Yield nothing."""
    for path, file in draft.evidence.data.items():
        edit = draft.edits.get(path)
        if edit is not None and edit.types and file.schema is not None and _describes_columns(file.schema):
            _set_metadata(draft, file)
    yield from ()


def repair_metadata(draft: Draft) -> Iterator[Outcome]:
    """Write the `huggingface` metadata of data files in which it is missing or does not describe the columns."""
    code = registry.SCHEMA_METADATA.code
    for path, file in draft.evidence.data.items():
        if file.schema is None or _describes_columns(file.schema) or not _set_metadata(draft, file):
            continue
        described = _described(file.schema)
        place = Place(path, column=lerobot.DATA_FEATURES_KEY)
        before = "no such key" if described is None else f"features of {len(described)} columns"
        proof = "the file has the columns of `features`, and their types determine the metadata"
        yield Repair(code, place, before, f"the features of its {len(file.schema)} columns", proof)


def _describes_columns(schema: pa.Schema) -> bool:
    described = _described(schema)
    return described is not None and {*described} == {*schema.names}


def _set_metadata(draft: Draft, file: DataFileEvidence) -> bool:
    """Write the `huggingface` metadata of a file into the draft, from the types of its columns as repaired so far.

    Returns:
        False if the file does not have the declared columns, or if their types do not determine the metadata.
    """
    assert file.schema is not None
    names = {*file.schema.names}
    declared = {name for name, spec in draft.info["features"].items() if declared_dtype(spec) not in (None, "video")}
    if not declared <= names <= declared | {*lerobot.ROW_COLUMNS}:
        return False
    edit = draft.edits.get(file.path, DataEdit())
    described = _described(file.schema) or {}
    is_kept = _describes_columns(file.schema)
    columns = {field.name: edit.types.get(field.name, field.type) for field in file.schema}
    made = {
        name: described.get(name) if is_kept and name not in edit.types else _feature(draft, file, name, kind)
        for name, kind in columns.items()
    }
    if None in made.values() or len(columns) != len(file.schema):
        return False
    draft.edit(file.path).features = json.dumps({"info": {"features": made}}).encode()
    return True


def converted(column: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray | None:
    """Return a column converted to the type `target`; None if the conversion would change a value."""
    kind = storage_type(column.type)
    if kind != column.type:
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind)
    if pa.types.is_dictionary(kind):
        column = pa.chunked_array([chunk.dictionary_decode() for chunk in column.chunks], kind.value_type)
        return converted(column, target)
    if is_any_list(kind) and not is_any_list(target):
        flat = flat_lists(column)
        return None if flat is None else converted(flat, target)
    try:
        new = column.cast(target)
        if is_any_list(kind):
            # Only the values are compared, since list types may differ while the values agree.
            values, back = _flat(column), _flat(new).cast(kind.value_type)
            is_kept = len(values) == len(back) and first_difference(values, back) is None
            return new if is_kept and new.null_count == column.null_count else None
        back = new.cast(kind)
    except pa.ArrowException:
        return None
    return new if first_difference(column, back) is None else None


def edited_schema(schema: pa.Schema, edit: DataEdit) -> pa.Schema:
    """Return the schema that a data file has after an edit."""
    fields = [field.with_type(edit.types.get(field.name, field.type)) for field in schema]
    metadata = dict(schema.metadata or {})
    if edit.features is not None:
        metadata[lerobot.DATA_FEATURES_KEY.encode()] = edit.features
    return pa.schema(fields, metadata or None)


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)


def _declared_type(draft: Draft, name: str, spec: Any) -> pa.DataType | None:
    """Return the Arrow type of a feature of numbers, texts, or vectors of numbers or texts; None for any other feature."""
    dtype, shape = declared_dtype(spec), declared_shape(spec) if isinstance(spec, Mapping) else None
    if (
        dtype is None
        or dtype not in SCALARS
        or shape is None
        or len(shape) > 1
        or 0 in shape
        or name in lerobot.LANGUAGE_COLUMNS
    ):
        return None
    leaf = SCALARS[dtype]
    if not shape:
        return leaf
    for file in draft.evidence.data.values():
        if file.schema is not None and file.schema.names.count(name) == 1:
            kind = file.schema.field(name).type
            if pa.types.is_fixed_size_list(kind) and (kind.value_type, kind.list_size) == (leaf, shape[0]):
                # This type has the item name that the dataset's files use.
                return kind
    return pa.list_(pa.field("element", leaf), shape[0])


def _is_same(found: pa.DataType, target: pa.DataType) -> bool:
    if pa.types.is_fixed_size_list(found) and pa.types.is_fixed_size_list(target):
        return bool(found.value_type == target.value_type and found.list_size == target.list_size)
    return bool(found == target)


def _described(schema: pa.Schema) -> dict[str, Any] | None:
    text = (schema.metadata or {}).get(lerobot.DATA_FEATURES_KEY.encode())
    try:
        described = json.loads(text or b"")["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return described if isinstance(described, dict) else None


def _feature(draft: Draft, file: DataFileEvidence, name: str, kind: pa.DataType) -> Any:
    """Return the entry of a column in the `huggingface` metadata.

    The entry is copied from another file in which the column has the same type. Otherwise the entry is made from the type and the
    declared dtype. The result is None if no entry can be made for the type.
    """
    for other in draft.evidence.data.values():
        if other is not file and other.schema is not None and name in other.schema.names:
            described = _described(other.schema) or {}
            if name in described and _is_same(other.schema.field(name).type, kind):
                return described[name]
    if declared_dtype(draft.info["features"].get(name)) == "image":
        return {"_type": "Image"}
    if pa.types.is_fixed_size_list(kind):
        return {"feature": _value(kind.value_type), "length": kind.list_size, "_type": "List"}
    return _value(kind)


def _value(kind: pa.DataType) -> dict[str, Any] | None:
    if is_text(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return {"dtype": _VALUE_NAMES.get(str(kind), str(kind)), "_type": "Value"}
    return None

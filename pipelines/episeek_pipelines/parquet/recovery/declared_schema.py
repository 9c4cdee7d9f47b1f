"""Find the Arrow schema of a dataset's data files, from other data files or from `features` of meta/info.json."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa

from episeek.errors import MetadataError
from episeek_schemas import layout, lerobot
from episeek_schemas.features import SCALARS, declared_dtype, declared_shape

_IMAGE: Final = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
_MAX_DIMENSIONS: Final = 5


def declared_schema(
    features: Mapping[str, Any], *, others: Iterable[pa.Schema] = (), where: str = layout.INFO_PATH
) -> pa.Schema:
    """Return the schema with which LeRobot writes the data files of a dataset, with the metadata for the library `datasets`.

    If `others` is not empty, the common schema of these files is returned, since it shows the order and the types that were really
    written. Otherwise the columns have the order of `features`.

    Args:
        features: `features` of meta/info.json.
        others: Schemas of the dataset's readable data files.
        where: The name of the document in errors.

    Raises:
        MetadataError: The schemas of the other files differ, or a feature has a dtype or shape that defines no column.
    """
    known = list(others)
    if known:
        if any(not schema.equals(known[0]) for schema in known):
            raise MetadataError(where, "data files whose columns differ", "the same columns in all data files")
        return known[0]
    fields: list[pa.Field] = []
    described: dict[str, Any] = {}
    for name, spec in features.items():
        if declared_dtype(spec) == "video":
            continue
        column = _column(name, spec)
        if column is None:
            found = f"feature {name!r} of dtype {declared_dtype(spec)!r}, for which LeRobot writes no column"
            raise MetadataError(where, found, "a dtype and a shape of LeRobot")
        field, described[name] = column
        fields.append(field)
    text = json.dumps({"info": {"features": described}})
    return pa.schema(fields, {lerobot.DATA_FEATURES_KEY: text})


def _column(name: str, spec: Any) -> tuple[pa.Field, dict[str, Any]] | None:
    """Return the Arrow field of a feature and its description for `datasets`, as LeRobot's `get_hf_features_from_features` makes
    them.
    """
    dtype = declared_dtype(spec)
    if dtype == "image":
        return pa.field(name, _IMAGE), {"_type": "Image"}
    shape = declared_shape(spec) if isinstance(spec, Mapping) else None
    if dtype not in SCALARS or shape is None or name in lerobot.LANGUAGE_COLUMNS or len(shape) > _MAX_DIMENSIONS:
        return None
    leaf = SCALARS[str(dtype)]
    value = {"dtype": dtype, "_type": "Value"}
    if not shape:
        return pa.field(name, leaf), value
    if len(shape) == 1:
        # a list without elements has no fixed size
        kind = pa.list_(pa.field("element", leaf), shape[0] or -1)
        return pa.field(name, kind), {"feature": value, "length": shape[0], "_type": "List"}
    kind = leaf
    for _ in shape:
        kind = pa.list_(pa.field("element", kind))
    array = f"Array{len(shape)}D"
    extension = {
        "ARROW:extension:name": f"datasets.features.features.{array}ExtensionType",
        "ARROW:extension:metadata": json.dumps([list(shape), dtype]),
    }
    return pa.field(name, kind, metadata=extension), {"shape": list(shape), "dtype": dtype, "_type": array}

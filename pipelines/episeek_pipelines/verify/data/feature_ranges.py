"""STA020: find dimensions of features that never change, from their smallest and largest values."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from episeek_pipelines.verify.findings.charts import range_chart
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.quoting import one_line
from episeek_pipelines.verify.findings.ranges import FeatureRanges
from episeek_pipelines.verify.rules import CONSTANT_DIMENSION
from episeek_pipelines.words import counted
from episeek_schemas import layout
from episeek_schemas.features import declared_dtype, declared_shape

MIN_CONSTANT_ROWS: Final = 2
"""Smallest number of rows for STA020: with a single row every dimension would be constant."""

_SHOWN_DIMENSIONS = 4
_SHOWN_NAME = 40


def check_constant_dimensions(ranges: FeatureRanges, features: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield one STA020 for each float vector with dimensions that have the same value in all rows.

    Scalars and whole numbers are not reported: policies do not normalize a reward or a flag that never changes.

    Args:
        ranges: Smallest and largest values of all data files.
        features: `features` of meta/info.json.
    """
    for name, ranged in ranges.of.items():
        spec = features.get(name)
        shape = declared_shape(spec) if isinstance(spec, Mapping) else None
        dtype = declared_dtype(spec)
        if shape is None or len(shape) != 1 or dtype is None or not dtype.startswith("float"):
            continue
        if ranged.row_count < MIN_CONSTANT_ROWS or ranged.minimum.shape != shape:
            continue
        constant = np.flatnonzero(ranged.minimum == ranged.maximum).tolist()
        if not constant:
            continue
        first = [
            f"{dimension_text(number, shape, spec)} is always {ranged.minimum[number]:.6g}"
            for number in constant[:_SHOWN_DIMENSIONS]
        ]
        rest = f", and {len(constant) - len(first)} more" if len(constant) > len(first) else ""
        found = (
            f"dimension {', '.join(first)}{rest} ({len(constant)} of {shape[0]}, in {counted(ranged.row_count, 'row')})"
        )
        resting = np.where(ranged.minimum == ranged.maximum, ranged.minimum, np.nan)
        chart = range_chart(ranged.minimum, ranged.maximum, resting)
        where = Location(file=layout.INFO_PATH, column=name)
        charts = () if chart is None else (chart,)
        yield finding(CONSTANT_DIMENSION, found, "values that vary", where, charts=charts)


def dimension_names(spec: object, count: int) -> list[str] | None:
    """Return the names of a feature's dimensions, or None if `names` does not have exactly `count` names.

    LeRobot writes a list, a dictionary of lists (`{"motors": [...]}`), or a dictionary from names to positions.
    """
    names = spec.get("names") if isinstance(spec, Mapping) else None
    flat: list[Any] = []
    if isinstance(names, Mapping):
        positions = list(names.values())
        if positions == list(range(len(positions))) and not any(isinstance(p, bool) for p in positions):
            flat = list(names)
        else:
            flat = [name for group in positions if isinstance(group, list | tuple) for name in group]
    elif isinstance(names, list | tuple):
        for name in names:
            flat.extend(name if isinstance(name, list | tuple) else [name])
    return flat if len(flat) == count and all(isinstance(name, str) for name in flat) else None


def dimension_text(number: int, shape: tuple[int, ...], spec: object) -> str:
    """Return the text for a dimension: `3 (gripper)` in a vector, or the indices `[0, 3]` in an array with several axes.

    Args:
        number: Position of the dimension in the flattened array.
        shape: Shape of the feature.
        spec: The feature in meta/info.json, which may name its dimensions.
    """
    if len(shape) > 1:
        return str([int(index) for index in np.unravel_index(number, shape)])
    names = dimension_names(spec, shape[0])
    return f"{number} ({one_line(names[number], _SHOWN_NAME)})" if names else str(number)

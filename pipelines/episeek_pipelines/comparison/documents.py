"""Find the differences between meta/info.json, the tables of tasks and the statistics of two datasets."""

import math
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from episeek_pipelines.comparison.results import StatisticChange, TaskChange, ValueChange
from episeek_pipelines.comparison.side import Side

_ROUNDING: Final = 1e-6
"""Statistics that differ by at most this share of their largest value count as equal: float32 has 24 bits."""

LAYOUT_KEYS: Final = (
    "codebase_version",
    "data_path",
    "video_path",
    "chunks_size",
    "data_files_size_in_mb",
    "video_files_size_in_mb",
)
"""Keys of meta/info.json that concern the layout of files."""


def same_json(a: Any, b: Any) -> bool:
    """Return whether two JSON values are equal. NaN equals NaN, 1 equals 1.0 but not true, and the order of keys is ignored."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same_json(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_json, a, b))
    return type(a) is type(b) and bool(a == b)


def info_changes(a: Mapping[str, Any], b: Mapping[str, Any], *, is_layout: bool) -> list[ValueChange]:
    """Return the values of meta/info.json that differ.

    If `is_layout`, only the values of the keys `LAYOUT_KEYS` are compared, otherwise the values of all other keys.
    """
    ours, theirs = (
        {key: value for key, value in side.items() if (key in LAYOUT_KEYS) == is_layout and value is not None}
        for side in (a, b)
    )
    return list(_value_changes(ours, theirs))


def task_changes(a: Side, b: Side) -> list[TaskChange]:
    """Return the tasks and subtasks that only one side has, or that have different numbers in A and B."""
    found = []
    for table in ("tasks", "subtasks"):
        ours, theirs = (_numbers_by_text(getattr(side, table)) for side in (a, b))
        for text in sorted(ours.keys() | theirs.keys()):
            one, other = (sorted(x.get(text, set()) - y.get(text, set())) for x, y in ((ours, theirs), (theirs, ours)))
            for own, their in zip_longest(one, other):
                found.append(TaskChange(text, own, their, table))
    return found


def statistic_changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[StatisticChange]:
    """Return the statistics of the whole dataset that differ."""
    found = []
    for feature in sorted(a.keys() | b.keys()):
        ours, theirs = (_named(side.get(feature)) for side in (a, b))
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in ours or name not in theirs:
                found.append(StatisticChange(feature, name, None, only_in="A" if name in ours else "B"))
            elif not same_json(ours[name], theirs[name]):
                largest = largest_difference(ours[name], theirs[name])
                found.append(StatisticChange(feature, name, largest, is_rounding=is_rounding(ours[name], theirs[name])))
    return found


def _numbers_by_text(texts: Mapping[int, str]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for number, text in texts.items():
        found.setdefault(text, set()).add(number)
    return found


def largest_difference(a: Any, b: Any) -> float | None:
    """Return the largest absolute difference between the values at the same position of two nested lists of numbers.

    Return None if the shapes differ, if the lists are empty, if a value is not a number, or if only one of two values is NaN.
    """
    try:
        one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    except (TypeError, ValueError):
        return None
    if one.shape != other.shape or not one.size or (np.isnan(one) != np.isnan(other)).any():
        return None
    with np.errstate(invalid="ignore"):
        difference = np.where((one == other) | np.isnan(one), 0.0, np.abs(one - other))
    return float(difference.max())


def is_rounding(a: Any, b: Any) -> bool:
    """Return whether two nested lists of floats differ by at most one part in a million of their largest value."""
    largest = largest_difference(a, b)
    if largest is None:
        return False
    one, other = np.asarray(a), np.asarray(b)
    is_float = one.dtype.kind == "f" or other.dtype.kind == "f"
    scale = max(float(np.nanmax(np.abs(each), initial=0.0)) for each in (one, other))
    return is_float and np.isfinite(scale) and largest <= _ROUNDING * scale


def _named(statistics: Any) -> Mapping[str, Any]:
    return statistics if isinstance(statistics, Mapping) else {} if statistics is None else {"": statistics}


def _value_changes(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> Iterator[ValueChange]:
    for key in sorted(a.keys() | b.keys()):
        ours, theirs = a.get(key), b.get(key)
        if same_json(ours, theirs):
            continue
        # a feature that only one side has is reported as one change
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            yield from _value_changes(ours, theirs, f"{prefix}{key}.")
        else:
            yield ValueChange(f"{prefix}{key}", ours, theirs)

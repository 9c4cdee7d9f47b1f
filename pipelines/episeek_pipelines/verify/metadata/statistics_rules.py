"""STA029: check that `meta/stats.json` has statistics of every feature that a policy may use, and that their values are possible.

`verify.data` compares these statistics with the rows. All statistics that LeRobot itself writes pass:

- LeRobot's own columns (`index` and the like) need no entry, since they are not normalized.
- Quantiles are estimates from histograms whose edges are 1e-10 outside the values. From the quantiles of several episodes, LeRobot
  takes the weighted mean or the outermost value. In both cases quantiles stay in order and between the extremes.
- The statistics of an array with several axes may be arrays with only one axis, the last one of the feature.
- Pictures need no quantiles, since no policy normalizes pictures with them.
- `count` of pictures is the number of sampled pictures. `action` may have statistics of relative actions, whose `count` is the
  number of chunks.
- Means come from float32 sums of up to a whole episode's values, so their error is much larger than one rounding.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np

from episeek_pipelines.statistics.relative_actions import may_be_relative
from episeek_pipelines.verify.findings.arrays import Float64Array
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import STATISTICS
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot
from episeek_schemas.features import SCALARS

QUANTILES: Final = ("q01", "q10", "q50", "q90", "q99")
STATISTIC_NAMES: Final = ("min", "max", "mean", "std", "count", *QUANTILES)

RELATIVE_TOLERANCE: Final = 1e-3
"""Tolerance for statistics, relative to the larger of |min| and |max|.

The mean of 100,000 equal float32 values that are added one by one has a relative error of up to 1.4e-4.
"""
ABSOLUTE_TOLERANCE: Final = 1e-8
ZERO_STD: Final = 1e-8
"""Standard deviations below this count as zero. LeRobot adds this value to a standard deviation before it divides by it."""

ZERO_STD_REMEDY: Final = (
    "recompute the statistics if the dimension varies in the rows; otherwise decide how to train: leave the dimension out, or "
    "normalize with a lower limit for the standard deviation"
)

PICTURES_REMEDY: Final = (
    "run `episeek repair SRC DST --picture-statistics`, which recomputes these statistics from sampled pictures"
)

_AGGREGATION_REMEDY: Final = (
    "run `episeek repair SRC DST`, which aggregates these statistics from those of the episodes, if meta/episodes has them; if it "
    "refuses, "
)
"""Start of the remedy for missing statistics of pictures. `repair` keeps all others, except with --picture-statistics."""

_DEPTHS_REMEDY: Final = (
    "compute these statistics from the depth maps with the LeRobot that recorded them; `episeek repair` keeps them"
)

_VISUAL: Final = frozenset({"image", "video"})
_FLOATS: Final = frozenset({"float16", "float32", "float64"})
_NUMBERS: Final = frozenset(SCALARS) - {"string"}
_MOST_DIMENSIONS: Final = 8


def check_statistics(
    features: Mapping[str, object], document: object, total_frames: int | None, *, has_quantiles: bool = True
) -> Iterator[Finding]:
    """Yield STA029 for missing, misshapen and impossible statistics.

    Args:
        features: The object `features` of meta/info.json.
        document: Parsed meta/stats.json; None without such a file.
        total_frames: The number of frames of the dataset, which `count` has to equal; None if counts are not compared.
        has_quantiles: Whether datasets of this version have quantiles.
    """
    where = Location(file=layout.STATS_PATH)
    specs = {key: spec for key, spec in features.items() if isinstance(spec, Mapping) and _has_statistics(spec)}
    needed = [key for key in specs if key not in lerobot.ROW_COLUMNS]
    if document is None:
        if needed and total_frames != 0:
            yield finding(STATISTICS, "no such file", f"statistics of {counted(len(needed), 'feature')}", where)
        return
    if not isinstance(document, Mapping):
        yield finding(STATISTICS, type(document).__name__, "an object with a key for each feature", where)
        return
    entries = {key: document[key] for key in specs if isinstance(document.get(key), Mapping)}
    absent = [name for name in QUANTILES if entries and not any(name in entry for entry in entries.values())]
    if absent and has_quantiles:
        yield finding(
            STATISTICS, f"no feature with {', '.join(absent)}", "the quantiles that policies normalize with", where
        )
    for key, spec in specs.items():
        at = Location(file=layout.STATS_PATH, column=key)
        if key in entries:
            without = {*absent, *(QUANTILES if spec.get("dtype") in _VISUAL else ())}
            required = [name for name in STATISTIC_NAMES if name not in without]
            count = None if total_frames is None or may_be_relative(key, document, total_frames) else total_frames
            yield from _check_feature(key, spec, entries[key], required, count, at)
        elif key in document:
            found = type(document[key]).__name__
            yield finding(STATISTICS, found, "an object with the statistics", at, remedy=_remedy(spec, is_missing=True))
        elif key in needed:
            yield finding(STATISTICS, "no entry", ", ".join(STATISTIC_NAMES), at, remedy=_remedy(spec, is_missing=True))


def _check_feature(
    key: str,
    spec: Mapping[str, Any],
    entry: Mapping[str, object],
    required: list[str],
    total_frames: int | None,
    where: Location,
) -> Iterator[Finding]:
    remedy, without = _remedy(spec), _remedy(spec, is_missing=True)
    missing = [name for name in required if name not in entry]
    if missing:
        yield finding(STATISTICS, f"no {', '.join(missing)}", ", ".join(required), where, remedy=without)
    is_visual = spec.get("dtype") in _VISUAL
    arrays: dict[str, Float64Array] = {}
    misshapen: list[tuple[str, str]] = []
    for name in STATISTIC_NAMES:
        if name == "count" or name not in entry:
            continue
        array = number_array(entry[name])
        shape = _shape(spec)
        if array is None:
            misshapen.append((f"{name} that is not an array of numbers", "an array of numbers"))
        elif not _fits(array.shape, shape, is_visual=is_visual):
            expected = "[channels, 1, 1]" if is_visual else list(shape or ())
            misshapen.append((f"{name} of shape {list(array.shape)}", f"shape {expected}"))
        else:
            arrays[name] = array
    yield from _first(misshapen, where, remedy=remedy)
    infinite = (problem for name in arrays for problem in _not_finite(name, arrays[name]))
    yield from _first(infinite, where, remedy=without)
    if "count" in entry:
        yield from _check_count(entry["count"], None if is_visual else total_frames, where, remedy)
    yield from _check_values(arrays, where, remedy)
    if "std" in arrays and _is_normalized(key, spec):
        std = arrays["std"]
        zero = np.flatnonzero((std.ravel() >= 0) & (std.ravel() < ZERO_STD))
        varies = "a dimension that varies"
        problems = ((f"std {std.flat[i]:g}{_dimension(std, i)}", varies) for i in zero.tolist())
        yield from _first(problems, where, remedy=ZERO_STD_REMEDY)


def _check_values(arrays: Mapping[str, Float64Array], where: Location, remedy: str) -> Iterator[Finding]:
    """Yield findings for a negative standard deviation, and for extremes, quantiles or means in a wrong order."""
    if "std" in arrays:
        std = arrays["std"]
        below = np.flatnonzero(std.ravel() < 0).tolist()
        yield from _first(
            ((f"std {std.flat[i]:g}{_dimension(std, i)}", "0 or more") for i in below), where, remedy=remedy
        )
    if "min" not in arrays or "max" not in arrays or arrays["min"].size != arrays["max"].size:
        return
    tolerance = _tolerance(arrays["min"].ravel(), arrays["max"].ravel())
    ordered = [name for name in ("min", *QUANTILES, "max") if name in arrays]
    unsorted = (problem for pair in pairwise(ordered) for problem in _above(arrays, *pair, tolerance))
    yield from _first(unsorted, where, remedy=remedy)
    if "mean" in arrays and not any(_above(arrays, "min", "max", tolerance)):
        pairs = (("min", "mean"), ("mean", "max"))
        outside = (problem for pair in pairs for problem in _above(arrays, *pair, tolerance))
        yield from _first(outside, where, remedy=remedy)


def _above(
    arrays: Mapping[str, Float64Array], lower: str, upper: str, tolerance: Float64Array
) -> Iterator[tuple[str, str]]:
    """Yield (found, expected) for each dimension in which the statistic `lower` exceeds `upper` by more than the tolerance."""
    low, high = arrays[lower].ravel(), arrays[upper].ravel()
    if not low.size == high.size == tolerance.size:
        return
    with np.errstate(all="ignore"):
        # The comparison is False for NaN, and between equal infinities.
        wrong = np.flatnonzero(low > high + tolerance)
    for i in wrong.tolist():
        found = f"{lower} {low[i]:g} above {upper} {high[i]:g}{_dimension(arrays[lower], i)}"
        yield found, f"{lower} not above {upper}"


def _tolerance(low: Float64Array, high: Float64Array) -> Float64Array:
    with np.errstate(all="ignore"):
        return RELATIVE_TOLERANCE * np.maximum(np.abs(low), np.abs(high)) + ABSOLUTE_TOLERANCE


def _check_count(value: object, total_frames: int | None, where: Location, remedy: str) -> Iterator[Finding]:
    array = number_array(value)
    expected = "a number above 0" if total_frames is None else f"{total_frames}, the frames of the dataset"
    if array is None or array.size != 1:
        yield finding(STATISTICS, "count that is not one number", expected, where, remedy=remedy)
        return
    count = float(array.flat[0])
    if not (0 < count < np.inf) if total_frames is None else count != total_frames:
        yield finding(STATISTICS, f"count {count:.17g}", expected, where, remedy=remedy)


def _not_finite(name: str, array: Float64Array) -> Iterator[tuple[str, str]]:
    for i in np.flatnonzero(~np.isfinite(array.ravel())).tolist():
        yield f"{name} {array.flat[i]}{_dimension(array, i)}", "a finite number"


def _first(problems: Iterable[tuple[str, str]], where: Location, *, remedy: str = "") -> Iterator[Finding]:
    """Yield one finding for the first (found, expected) in `problems`, if there is any, with the number of further problems."""
    listed = list(problems)
    if listed:
        found, expected = listed[0]
        yield finding(STATISTICS, found, expected, where, more=len(listed) - 1, remedy=remedy)


def _dimension(array: Float64Array, position: int) -> str:
    if array.size == 1:
        return ""
    index = [int(i) for i in np.unravel_index(position, array.shape)]
    long = [i for i, size in zip(index, array.shape, strict=True) if size > 1]
    return f" in dimension {long[0] if len(long) == 1 else long}"


def _remedy(spec: Mapping[str, Any], *, is_missing: bool = False) -> str:
    """Return the remedy for the statistics of a feature; empty if the remedy of the rule applies.

    Args:
        spec: The declaration of the feature.
        is_missing: Whether statistics are missing or not finite, and not only wrong.
    """
    if spec.get("dtype") not in _VISUAL:
        return ""
    remedy = _DEPTHS_REMEDY if lerobot.is_depth(spec) else PICTURES_REMEDY
    return f"{_AGGREGATION_REMEDY}{remedy}" if is_missing else remedy


def _has_statistics(spec: Mapping[str, Any]) -> bool:
    dtype = spec.get("dtype")
    return isinstance(dtype, str) and (dtype in _VISUAL or dtype in _NUMBERS)


def _is_normalized(key: str, spec: Mapping[str, Any]) -> bool:
    """Return whether policies divide a feature by its standard deviation.

    Policies normalize vectors of floats, and single floats that LeRobot takes as a state or an action.
    """
    if spec.get("dtype") not in _FLOATS or key in lerobot.ROW_COLUMNS:
        return False
    shape = _shape(spec)
    return key.startswith(("observation", "action")) or (shape is not None and any(size > 1 for size in shape))


def _shape(spec: Mapping[str, Any]) -> tuple[int, ...] | None:
    shape = spec.get("shape")
    if not isinstance(shape, (list, tuple)) or not all(type(size) is int for size in shape):
        return None
    return tuple(shape)


def _fits(found: tuple[int, ...], shape: tuple[int, ...] | None, *, is_visual: bool) -> bool:
    if is_visual:
        channels = set(shape) if shape is not None and len(shape) == 3 else None
        return len(found) == 3 and found[1:] == (1, 1) and (channels is None or found[0] in channels)
    return shape is None or _squeeze(found) in (_squeeze(shape), _squeeze(shape[-1:]))


def _squeeze(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def number_array(value: object) -> Float64Array | None:
    """Return a number, or nested lists of numbers with equal lengths, as an array of floats; None for anything else.

    null becomes NaN, and an integer that is too large for a float becomes infinite.
    """
    shape: list[int] = []
    first = value
    while isinstance(first, list) and first and len(shape) < _MOST_DIMENSIONS:
        shape.append(len(first))
        first = first[0]
    leaves: list[Any] = [value]
    for size in shape:
        if not all(isinstance(part, list) and len(part) == size for part in leaves):
            return None
        leaves = [leaf for part in leaves for leaf in part]
    if not all(leaf is None or isinstance(leaf, (int, float)) for leaf in leaves):
        return None
    return np.array([_float(leaf) for leaf in leaves], np.float64).reshape(shape)


def _float(leaf: float | None) -> float:
    if leaf is None:
        return float("nan")
    try:
        return float(leaf)
    except OverflowError:
        return float("inf") if leaf > 0 else float("-inf")

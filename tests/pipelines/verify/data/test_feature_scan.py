"""ROW020, lengths of lists and STA020, against plain Python over the same rows, however the batches are cut."""

import json
import math
import pickle
from itertools import pairwise
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek_pipelines.verify.data.feature_ranges import check_constant_dimensions, dimension_names
from episeek_pipelines.verify.data.feature_scan import MAX_RANGED_DIMENSIONS, FeatureScan
from episeek_pipelines.verify.findings.findings import Finding, Location
from episeek_pipelines.verify.findings.ranges import FeatureRanges
from tests.support.amount import examples
from tests.support.build_index import DATA

PATH = "data/chunk-000/file-000.parquet"
SAMPLES = ("av1_multifile", "edited", "h264_bframes", "hevc", "images")


def scan_of(features: object, table: pa.Table, cuts: tuple[int, ...] = ()) -> FeatureScan:
    scan = FeatureScan(features, PATH)  # type: ignore[arg-type]  # hostile documents on purpose
    edges = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
    for start, stop in pairwise(edges):
        for batch in table.slice(start, stop - start).combine_chunks().to_batches() or []:
            scan.add(batch, start)
    return scan


def seen(scan: FeatureScan) -> list[tuple[str, str, str | None, int | None, int]]:
    return [(f.code, f.message, f.location.column, f.location.row, f.more) for f in scan.findings()]


def bounds(ranges: FeatureRanges) -> dict[str, tuple[list[float], list[float], int]]:
    return {name: (r.minimum.tolist(), r.maximum.tolist(), r.row_count) for name, r in ranges.of.items()}


def one(values: list[Any], arrow_type: pa.DataType, dtype: str, shape: object, names: object = None) -> FeatureScan:
    table = pa.table({"x": pa.array(values, arrow_type)})
    return scan_of({"x": {"dtype": dtype, "shape": shape, "names": names}}, table)


# --- an oracle: Python lists, one row after the other --------------------------------------------------------------------


def expected_of(rows: list[Any], shape: tuple[int, ...]) -> tuple[dict[str, tuple[Any, int | None, int]], Any]:
    """Return (row, dimension or length, rows) by kind, and the ranges with their numbers of rows."""
    odd: dict[str, tuple[Any, int | None, int]] = {}
    dimensions = math.prod(shape)
    low, high, row_count = [math.inf] * dimensions, [-math.inf] * dimensions, 0

    def note(kind: str, row: int, detail: int | None) -> None:
        first = odd.get(kind)
        odd[kind] = (row, detail, 1) if first is None else (*first[:2], first[2] + 1)

    for number, row in enumerate(rows):
        level = [row]
        for size in shape:
            if any(item is None for item in level):
                note("null", number, None)
                break
            wrong = [len(item) for item in level if len(item) != size]
            if wrong:
                note("length", number, wrong[0])
                break
            level = [value for item in level for value in item]
        else:
            row_count += 1
            for kind, is_kind in (
                ("null", lambda v: v is None),
                ("NaN", lambda v: v is not None and math.isnan(v)),
                ("infinity", lambda v: v is not None and math.isinf(v)),
            ):
                hits = [position for position, value in enumerate(level) if is_kind(value)]
                if hits:
                    note(kind, number, hits[0])
            for position, value in enumerate(level):
                if value is not None and math.isfinite(value):
                    low[position], high[position] = min(low[position], value), max(high[position], value)
    return odd, (low, high, row_count) if row_count and dimensions else None


def message_parts(scan: FeatureScan, shape: tuple[int, ...]) -> dict[str, tuple[Any, int | None, int]]:
    found: dict[str, tuple[Any, int | None, int]] = {}
    for each in scan.findings():
        if each.code == "INF003":
            length = int(each.found.removeprefix("a list of length "))
            found["length"] = (each.location.row, length, each.more + 1)
            continue
        kind, _, rest = each.found.partition(" in dimension ")
        detail: int | None = None
        if rest:
            index = [int(part) for part in rest.strip("[]").split(",")]
            detail = int(np.ravel_multi_index(tuple(index), shape)) if len(shape) > 1 else index[0]
        elif shape == () and kind:
            detail = 0
        found[kind] = (each.location.row, detail, each.more + 1)
    return found


VALUES = st.sampled_from([0.0, -1.5, 2.0, math.nan, math.inf, -math.inf, None])
CLEAN = st.sampled_from([0.0, -1.5, 2.0, 7.25])
SHAPES = st.sampled_from([(), (2,), (3,), (0,), (2, 2), (1, 3), (2, 1, 2)])


@st.composite
def tables(draw: Any) -> tuple[tuple[int, ...], list[Any], pa.DataType]:
    shape = draw(SHAPES)
    is_fixed = draw(st.booleans()) and 0 not in shape
    value = draw(st.sampled_from([VALUES, CLEAN]))
    arrow_type, rows = draw(st.sampled_from([pa.float32(), pa.float64(), pa.float16()])), value
    for size in reversed(shape):
        arrow_type = pa.list_(arrow_type, size) if is_fixed else pa.list_(arrow_type)
        least, most = (size, size) if is_fixed or draw(st.booleans()) else (max(0, size - 1), size + 1)
        rows = st.lists(rows, min_size=least, max_size=most)
        if draw(st.booleans()):
            rows = rows | st.none()
    return shape, draw(st.lists(rows, max_size=12)), arrow_type


@settings(max_examples=examples(200), deadline=None)
@given(tables(), st.lists(st.integers(0, 12), max_size=3))
def test_against_plain_python_wherever_batches_end(drawn, cuts):
    shape, rows, arrow_type = drawn
    features = {"x": {"dtype": "float32", "shape": list(shape) or [1]}}
    table = pa.table({"x": pa.array(rows, arrow_type)})
    scan = scan_of(features, table, tuple(cuts))
    odd, ranged = expected_of(rows, shape)
    if shape == () and "null" in odd:
        odd["null"] = (odd["null"][0], 0, odd["null"][2])
    assert message_parts(scan, shape) == odd
    assert bounds(scan.ranges()) == ({"x": ranged} if ranged else {})
    whole = scan_of(features, table)
    assert seen(scan) == seen(whole)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.lists(st.integers(-128, 127) | st.none(), min_size=2, max_size=2), max_size=9), st.integers(0, 9))
def test_whole_numbers_have_only_nulls(rows, cut):
    table = pa.table({"x": pa.array(rows, pa.list_(pa.int8(), 2))})
    scan = scan_of({"x": {"dtype": "int8", "shape": [2]}}, table, (cut,))
    odd, ranged = expected_of(rows, (2,))
    assert message_parts(scan, (2,)) == odd
    assert bounds(scan.ranges()) == ({"x": ranged} if ranged else {})


# --- LeRobot's own files -------------------------------------------------------------------------------------------------


def of_dataset(name: str) -> tuple[dict[str, Any], list[pa.Table]]:
    features = json.loads((DATA / name / "meta/info.json").read_text())["features"]
    return features, [pq.read_table(path) for path in sorted((DATA / name).glob("data/*/*.parquet"))]


@pytest.mark.parametrize("name", SAMPLES)
def test_lerobots_files_are_clean(name):
    features, files = of_dataset(name)
    assert files
    ranges = FeatureRanges()
    for table in files:
        scan = scan_of(features, table, (7,))
        assert scan.columns == ("observation.state", "action", "next.done")
        assert not list(scan.findings())
        ranges = ranges.merge(pickle.loads(pickle.dumps(scan.ranges())))
    assert not list(check_constant_dimensions(ranges, features))
    rows = np.concatenate([np.array(table["action"].to_pylist()) for table in files])
    assert ranges.of["action"].minimum.tolist() == rows.min(axis=0).tolist()
    assert ranges.of["action"].maximum.tolist() == rows.max(axis=0).tolist()
    assert ranges.of["action"].row_count == len(rows)


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
def test_one_bad_value_in_lerobots_file(bad):
    features, (table, *_) = of_dataset("av1_multifile")
    rows = table["action"].to_pylist()
    rows[9][3] = rows[9][5] = rows[11][0] = bad
    position = table.schema.get_field_index("action")
    table = table.set_column(position, "action", pa.array(rows, table.schema.field("action").type))
    kind = "null" if bad is None else "NaN" if math.isnan(bad) else "infinity"
    message = f"{kind} in dimension 3 (joint_3); expected finite numbers"
    (found,) = scan_of(features, table, (10,)).findings()
    assert (found.code, found.message, found.more) == ("ROW020", message, 1)
    assert found.location == Location(file=PATH, row=9, column="action")


# --- shapes and types ----------------------------------------------------------------------------------------------------


def test_lists_of_another_length():
    scan = one([[1.0, 2.0], [1.0], None, [], [1.0, math.nan]], pa.list_(pa.float32()), "float32", [2])
    assert seen(scan) == [
        ("INF003", "a list of length 1; expected 2, as declared in features (dtype float32, shape [2])", "x", 1, 1),
        ("ROW020", "NaN in dimension 1; expected finite numbers", "x", 4, 0),
        ("ROW020", "null; expected finite numbers", "x", 2, 0),
    ]
    assert scan.ranges().of["x"].row_count == 2


def test_scalar_in_a_list_of_one():
    scan = one([[1.0], [math.nan], []], pa.list_(pa.float32()), "float32", [1])
    assert [(code, row) for code, _, _, row, _ in seen(scan)] == [("INF003", 2), ("ROW020", 1)]


@pytest.mark.parametrize("is_registered", [True, False])
def test_matrices_of_datasets(is_registered):
    features = datasets.Features({"x": datasets.Array2D(shape=(2, 3), dtype="float32")})
    rows = [np.arange(6.0).reshape(2, 3), np.full((2, 3), 9.0)]
    rows[1][1, 2] = np.nan
    table = datasets.Dataset.from_dict({"x": rows}, features=features).with_format("arrow")[:]
    if not is_registered:
        storage = table["x"].combine_chunks()
        table = pa.table({"x": (storage.chunk(0) if isinstance(storage, pa.ChunkedArray) else storage).storage})
    scan = scan_of({"x": {"dtype": "float32", "shape": [2, 3]}}, table)
    assert seen(scan) == [("ROW020", "NaN in dimension [1, 2]; expected finite numbers", "x", 1, 0)]
    assert scan.ranges().of["x"].maximum.tolist() == [9.0, 9.0, 9.0, 9.0, 9.0, 5.0]


@pytest.mark.parametrize(
    ("arrow_type", "shape"),
    [
        (pa.list_(pa.float32(), 2), [3]),
        (pa.list_(pa.float32(), 2), [2, 1]),
        (pa.list_(pa.float32(), 2), [10**12]),
        (pa.list_(pa.string(), 2), [2]),
        (pa.list_(pa.list_(pa.float32()), 2), [2]),
        (pa.list_(pa.float32(), 2), []),
    ],
)
def test_other_types_are_skipped_for_the_schema_rules(arrow_type, shape):
    scan = one([None], arrow_type, "float32", shape)
    assert not seen(scan)
    assert not bounds(scan.ranges())


def test_wide_features_have_no_ranges_but_are_checked():
    width = MAX_RANGED_DIMENSIONS + 1
    rows = [[0.0] * width, [*([0.0] * MAX_RANGED_DIMENSIONS), math.nan]]
    scan = one(rows, pa.list_(pa.float32(), width), "float32", [width])
    assert seen(scan) == [("ROW020", f"NaN in dimension {width - 1}; expected finite numbers", "x", 1, 0)]
    assert not bounds(scan.ranges())


def test_columns_are_the_numeric_features():
    dtypes = ("float32", "bool", "uint8", "string", "image", "video", "language", "audio")
    features: dict[str, Any] = {dtype: {"dtype": dtype, "shape": [1]} for dtype in dtypes}
    features |= {"timestamp": features["float32"], "language_events": features["float32"], "no": None}
    assert FeatureScan(features, PATH).columns == ("float32", "bool", "uint8")


def test_values_of_a_slice():
    values = pa.array([[math.nan, 1.0], [2.0, 3.0], [4.0, 5.0], None], pa.list_(pa.float32(), 2)).slice(1, 2)
    scan = FeatureScan({"x": {"dtype": "float32", "shape": [2]}}, PATH)
    scan.add(pa.record_batch({"x": values}), 100)
    assert not seen(scan)
    assert bounds(scan.ranges()) == {"x": ([2.0, 3.0], [4.0, 5.0], 2)}


@settings(max_examples=examples(50), deadline=None)
@given(st.integers(1, 700), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_ranges_of_any_number_of_rows(row_count, width, seed):
    numbers = np.random.default_rng(seed).standard_normal((row_count, width), dtype=np.float32)
    values = pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), width)
    scan = scan_of({"x": {"dtype": "float32", "shape": [width]}}, pa.table({"x": values}))
    expected = numbers[:, 0] if width == 1 else numbers
    if width > 1:
        assert scan.ranges().of["x"].minimum.tolist() == expected.min(axis=0).tolist()
        assert scan.ranges().of["x"].maximum.tolist() == expected.max(axis=0).tolist()
    else:
        assert scan.ranges().of["x"].minimum.tolist() == [expected.min().item()]


# --- constant dimensions -------------------------------------------------------------------------------------------------


def constant(ranges: FeatureRanges, spec: object) -> list[Finding]:
    return list(check_constant_dimensions(ranges, {"x": spec}))


def test_constant_over_all_files():
    spec = {"dtype": "float32", "shape": [3], "names": ["a", "b", "c"]}
    first = one([[1.0, 2.0, 3.0]] * 2, pa.list_(pa.float32(), 3), "float32", [3]).ranges()
    other = one([[1.0, 2.0, 4.0]], pa.list_(pa.float32(), 3), "float32", [3]).ranges()
    (found,) = constant(first.merge(other), spec)
    assert found.location == Location(file="meta/info.json", column="x")
    assert (found.code, found.severity) == ("STA020", "warning")
    assert found.message == (
        "dimension 0 (a) is always 1, 1 (b) is always 2 (2 of 3, in 3 rows); expected values that vary"
    )
    assert bounds(first.merge(other)) == bounds(other.merge(first))
    assert bounds(first.merge(FeatureRanges())) == bounds(FeatureRanges().merge(first)) == bounds(first)


def test_one_row_is_not_constant():
    spec = {"dtype": "float32", "shape": [2]}
    assert not constant(one([[1.0, 2.0]], pa.list_(pa.float32(), 2), "float32", [2]).ranges(), spec)
    assert constant(one([[1.0, 2.0]] * 2, pa.list_(pa.float32(), 2), "float32", [2]).ranges(), spec)


def test_scalars_whole_numbers_and_matrices_may_be_constant():
    for values, arrow_type, dtype, shape in (
        ([0.0] * 3, pa.float32(), "float32", [1]),
        ([False] * 3, pa.bool_(), "bool", [1]),
        ([[1, 2]] * 3, pa.list_(pa.int64(), 2), "int64", [2]),
        ([[[1.0, 2.0]]] * 3, pa.list_(pa.list_(pa.float32())), "float32", [1, 2]),
    ):
        scan = one(values, arrow_type, dtype, shape)
        assert scan.ranges().of["x"].row_count == 3
        assert not constant(scan.ranges(), {"dtype": dtype, "shape": shape})


def test_many_constant_dimensions_are_counted():
    ranges = one([[0.5] * 9] * 2, pa.list_(pa.float32(), 9), "float32", [9]).ranges()
    (found,) = constant(ranges, {"dtype": "float32", "shape": [9]})
    assert "3 is always 0.5, and 5 more (9 of 9, in 2 rows)" in found.message


def test_names_of_dimensions():
    cases: list[tuple[object, list[str] | None]] = [
        (["a", "b"], ["a", "b"]),
        ({"motors": ["a", "b"]}, ["a", "b"]),
        ({"left": ["a"], "right": ["b"]}, ["a", "b"]),
        ({"a": 0, "b": 1}, ["a", "b"]),
        ([["a", "b"]], ["a", "b"]),
        ({"b": 1, "a": 0}, None),
        ({"a": False, "b": True}, None),
        (["a"], None),
        (["a", 2], None),
        (None, None),
        ("ab", None),
        (3, None),
        ({"motors": "ab"}, None),
    ]
    assert [dimension_names({"names": names}, 2) for names, _ in cases] == [expected for _, expected in cases]
    assert dimension_names("nonsense", 2) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("float32"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
SPECS = JSON | st.fixed_dictionaries(
    {"dtype": st.just("float32") | JSON, "shape": st.just([2]) | JSON}, optional={"names": JSON}
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["x", "y", "\ud800"]), SPECS))
def test_hostile_features_never_raise(features):
    table = pa.table({"x": pa.array([[1.0, math.nan]] * 3, pa.list_(pa.float32(), 2)), "y": pa.array([1.0, None, 1.0])})
    scan = scan_of(features, table)
    everything = [*scan.findings(), *check_constant_dimensions(scan.ranges(), features)]
    good = one([[1.0, 2.0]] * 2, pa.list_(pa.float32(), 2), "float32", [2]).ranges()
    everything += check_constant_dimensions(good, features)
    assert all(found.message.isprintable() for found in everything)

"""INF003 for types and INF003W, against what `datasets` writes for LeRobot's features, and against LeRobot's own files."""

import io
import json
from itertools import product
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek_pipelines.verify.data.schema_rules import check_feature_types
from episeek_pipelines.verify.findings.findings import Location
from episeek_schemas import lerobot
from episeek_schemas.features import SCALARS, declared_shape
from tests.support.amount import examples
from tests.support.build_index import DATA

PATH = "data/chunk-000/file-000.parquet"
SAMPLES = sorted(DATA.glob("*/data/*/*.parquet"))
NUMBERS = sorted(set(SCALARS) - {"string"})


def features_of(path) -> dict[str, Any]:
    return json.loads((path.parents[2] / "meta/info.json").read_text())["features"]


def with_metadata(schema: pa.Schema) -> pa.Schema:
    listed: dict[str, Any] = {"info": {"features": {name: {} for name in schema.names}}}
    return schema.with_metadata({"huggingface": json.dumps(listed)})


def check(features: object, **columns: pa.DataType) -> list[tuple[str, str, str | None]]:
    schema = with_metadata(pa.schema(list(columns.items())))
    found = check_feature_types(PATH, schema, features)  # type: ignore[arg-type]  # hostile documents on purpose
    return [(each.code, each.message, each.location.column) for each in found]


def codes(found_type: pa.DataType, dtype: str, shape: object) -> list[str]:
    return [code for code, _, _ in check({"x": {"dtype": dtype, "shape": shape}}, x=found_type)]


def lerobot_feature(dtype: str, shape: tuple[int, ...]) -> Any:
    """The feature that LeRobot's get_hf_features_from_features makes."""
    if dtype == "image":
        return datasets.Image()
    if shape == (1,):
        return datasets.Value(dtype)
    if len(shape) == 1:
        return datasets.Sequence(length=shape[0] if shape[0] else -1, feature=datasets.Value(dtype))
    return getattr(datasets, f"Array{len(shape)}D")(shape=shape, dtype=dtype)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parts[-4]}-{path.stem}")
def test_lerobots_files_are_clean(path):
    assert not list(check_feature_types(PATH, pq.read_schema(path), features_of(path)))


def test_there_are_samples():
    assert {path.parts[-4] for path in SAMPLES} >= {"av1_multifile", "edited", "h264_bframes", "hevc", "images"}


@settings(max_examples=examples(40), deadline=None)
@given(
    st.sampled_from([*NUMBERS, "string"]),
    st.one_of(
        st.just((1,)), st.lists(st.integers(0, 4), min_size=1, max_size=1), st.lists(st.integers(1, 3), max_size=5)
    ),
)
def test_types_that_datasets_writes_are_clean(dtype, shape):
    if not shape or (dtype == "string" and len(shape) > 1):
        return
    features = datasets.Features({"x": lerobot_feature(dtype, tuple(shape)), "i": datasets.Image()})
    value: Any = np.zeros(tuple(shape), "U1" if dtype == "string" else dtype).tolist()
    table = datasets.Dataset.from_dict(
        {"x": [value[0] if tuple(shape) == (1,) else value] * 2, "i": [None, None]}, features=features
    ).with_format("arrow")[:]
    sink = io.BytesIO()
    pq.write_table(table, sink)
    declared = {"x": {"dtype": dtype, "shape": list(shape)}, "i": {"dtype": "image", "shape": [2, 2, 3]}}
    assert not list(check_feature_types(PATH, pq.read_schema(sink), declared))


def test_every_pair_of_number_types():
    """The oracle is numpy's: the same type is right, the same kind is style, anything else is wrong."""
    kinds = {"f": "f", "i": "i", "u": "i", "b": "b"}
    for dtype, found, nest in product(NUMBERS, NUMBERS, range(3)):
        leaf = SCALARS[found]
        arrow_type, shape = ((leaf, [1]), (pa.list_(leaf, 3), [3]), (pa.list_(pa.list_(leaf)), [2, 2]))[nest]
        same_kind = kinds[np.dtype(dtype).kind] == kinds[np.dtype(found).kind]
        expected = [] if dtype == found else ["INF003W"] if same_kind else ["INF003"]
        assert codes(arrow_type, dtype, shape) == expected, (dtype, found, shape)


@pytest.mark.parametrize(
    ("found", "dtype", "shape", "expected"),
    [
        (pa.list_(pa.float32(), 7), "float32", [6], ["INF003"]),
        (pa.list_(pa.float32()), "float32", [6], ["INF003W"]),
        (pa.large_list(pa.float32()), "float32", [6], ["INF003W"]),
        (pa.list_(pa.float64()), "float32", [6], ["INF003W"]),
        (pa.list_(pa.int64()), "float32", [6], ["INF003"]),
        (pa.float32(), "float32", [6], ["INF003"]),
        (pa.list_(pa.list_(pa.float32())), "float32", [6], ["INF003"]),
        (pa.list_(pa.float32()), "float32", [0], []),
        (pa.list_(pa.null()), "float32", [0], []),
        (pa.null(), "float32", [1], ["INF003"]),
        (pa.float32(), "float32", [], []),
        (pa.list_(pa.float32(), 1), "float32", [1], ["INF003"]),
        (pa.list_(pa.float32()), "float32", [1], ["INF003"]),
        (pa.list_(pa.float32(), 2), "float32", [1], ["INF003"]),
        (pa.list_(pa.float32(), 6), "float32", [2, 3], ["INF003"]),
        (pa.list_(pa.list_(pa.float32(), 3), 2), "float32", [2, 3], []),
        (pa.list_(pa.list_(pa.float32(), 2), 3), "float32", [2, 3], ["INF003"]),
        (pa.string(), "float32", None, ["INF003"]),
        (pa.list_(pa.float32(), 9), "float32", "nonsense", []),
        (pa.large_string(), "string", [1], ["INF003W"]),
        (pa.dictionary(pa.int32(), pa.string()), "string", [1], ["INF003W"]),
        (pa.binary(), "string", [1], ["INF003W"]),
        (pa.null(), "string", [1], ["INF003W"]),
        (pa.int64(), "string", [1], ["INF003"]),
        (pa.timestamp("us"), "float64", [1], ["INF003"]),
        (pa.int64(), "audio", [1], []),
        (pa.struct({"bytes": pa.binary(), "path": pa.string()}), "image", [4, 4, 3], []),
        (pa.struct({"path": pa.null(), "bytes": pa.large_binary()}), "image", [4, 4, 3], []),
        (pa.struct({"bytes": pa.binary()}), "image", [4, 4, 3], ["INF003W"]),
        (pa.struct({"bytes": pa.null(), "path": pa.string()}), "image", [4, 4, 3], ["INF003W"]),
        (pa.struct({"bytes": pa.int64(), "path": pa.string()}), "image", [4, 4, 3], ["INF003"]),
        (pa.struct({"data": pa.binary()}), "image", [4, 4, 3], ["INF003"]),
        (pa.binary(), "image", [4, 4, 3], ["INF003W"]),
        (pa.string(), "image", [4, 4, 3], ["INF003"]),
        (pa.list_(pa.uint8()), "image", [4, 4, 3], ["INF003"]),
    ],
)
def test_types(found, dtype, shape, expected):
    assert codes(found, dtype, shape) == expected


ROW = {"role": pa.string(), "content": pa.string(), "style": pa.string()}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pa.list_(pa.null()), []),
        (pa.list_(pa.struct({**ROW, "timestamp": pa.float32(), "tool_calls": pa.list_(pa.json_())})), []),
        (pa.list_(pa.struct({**ROW, "timestamp": pa.float64(), "tool_calls": pa.null(), "camera": pa.null()})), []),
        (pa.list_(pa.struct({**ROW, "content": pa.null(), "timestamp": pa.float64()})), []),
        (pa.list_(pa.struct({**ROW, "style": pa.int64(), "timestamp": pa.float32()})), ["INF003"]),
        (pa.list_(pa.struct(ROW)), ["INF003"]),
        (pa.struct(ROW), ["INF003"]),
        (pa.string(), ["INF003"]),
    ],
)
def test_persistent_language(found, expected):
    features = {"language_persistent": {"dtype": "language", "shape": [1]}}
    assert [code for code, _, _ in check(features, language_persistent=found)] == expected


def test_language_events_have_no_timestamp():
    features = {name: {"dtype": "language", "shape": [1]} for name in lerobot.LANGUAGE_COLUMNS}
    rows = pa.list_(pa.struct(ROW))
    found = check(features, language_events=rows, language_persistent=rows)
    assert [(code, column) for code, _, column in found] == [("INF003", "language_persistent")]
    assert "list<struct<role, content, style, timestamp>>" in found[0][1]


def test_the_message_names_type_and_feature():
    found = check({"action": {"dtype": "float32", "shape": [6]}}, action=pa.list_(pa.float32(), 7))
    assert found == [
        (
            "INF003",
            "type fixed_size_list<item: float>[7]; expected fixed_size_list<float>[6], as declared in features "
            "(dtype float32, shape [6])",
            "action",
        )
    ]


def test_own_columns_are_reported_once():
    """Findings of `check_columns` are not reported again; all others are."""
    features = {
        "timestamp": {"dtype": "float32", "shape": [1]},
        "frame_index": {"dtype": "int64", "shape": [1]},
        "task_index": {"dtype": "int64", "shape": [1]},
        "index": {"dtype": "int64", "shape": [1]},
    }
    found = check(features, timestamp=pa.string(), frame_index=pa.float32(), task_index=pa.string(), index=pa.int32())
    assert [(code, column) for code, _, column in found] == [("INF003", "task_index"), ("INF003W", "index")]
    found = check(features, timestamp=pa.float64(), frame_index=pa.int64())
    assert [(code, column) for code, _, column in found] == [("INF003W", "timestamp")]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "no key `huggingface`"),
        ({"pandas": "{}"}, "no key `huggingface`"),
        ({"huggingface": "{"}, "does not parse"),
        ({"huggingface": b"\xff"}, "does not parse"),
        ({"huggingface": "[" * 100_000}, "does not parse"),
        ({"huggingface": "[1]"}, "does not parse"),
        ({"huggingface": '{"info": {"features": []}}'}, "does not parse"),
        ({"huggingface": '{"info": {"features": {"b": 1}}}'}, "has the extra columns b and lacks a;"),
        ({"huggingface": '{"info": {"features": {}}}'}, "lacks a;"),
    ],
)
def test_schema_metadata(metadata, message):
    schema = pa.schema({"a": pa.float32()}).with_metadata(metadata)
    (found,) = check_feature_types(PATH, schema, {"a": {"dtype": "float32", "shape": [1]}})
    assert (found.code, found.location) == ("INF003W", Location(file=PATH))
    assert message in found.message


def test_a_file_that_went_through_pandas():
    """Merging goes through pandas, which gives lists and drops the features of `datasets`."""
    path = DATA / "av1_multifile/data/chunk-000/file-000.parquet"
    table = pa.Table.from_pandas(pq.read_table(path).to_pandas(), preserve_index=False)
    found = sorted(check_feature_types(PATH, table.schema, features_of(path)))
    assert [(each.code, each.location.column) for each in found] == [
        ("INF003W", None),
        ("INF003W", "action"),
        ("INF003W", "observation.state"),
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["float32", "image"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
SPECS = st.fixed_dictionaries({}, optional={"dtype": JSON, "shape": JSON, "names": JSON}) | JSON


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["x", "language_events", "timestamp", "\ud800", ""]), SPECS))
def test_hostile_features_never_raise(features):
    check(features, x=pa.list_(pa.float32(), 3), language_events=pa.string(), timestamp=pa.float32())


def test_hostile_text_is_printable():
    features = {"language_events": {"dtype": "\ud800\n" * 1000, "shape": [1] * 1000}}
    ((_, message, _),) = check(features, language_events=pa.struct({f"f{n}": pa.int64() for n in range(1000)}))
    assert message.isprintable()
    assert message.encode()
    assert len(message) < 700


def test_unusable_shapes():
    shapes: list[object] = [None, "6", 6, [6.0], [True], [-1], [[6]], {"0": 6}]
    assert [declared_shape({"shape": shape}) for shape in shapes] == [None] * len(shapes)

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek_pipelines.verify.metadata.statistics_rules import QUANTILES, STATISTIC_NAMES, check_statistics
from tests.support.amount import full_run
from tests.support.build_index import DATA

SAMPLES = ("av1_multifile", "edited", "h264_bframes", "hevc", "images")
TOP = "observation.images.top"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
)


def texts(features, document, total_frames) -> list[str]:
    found = list(check_statistics(features, document, total_frames))
    assert all(f.code == "STA029" and f.location.file == "meta/stats.json" for f in found)
    return [f"{f.location.column}: {f.message} +{f.more}" for f in found]


def sample(name: str) -> tuple[dict[str, Any], dict[str, Any], int]:
    info, stats = (json.loads((DATA / name / "meta" / file).read_text()) for file in ("info.json", "stats.json"))
    return info["features"], stats, info["total_frames"]


def entry(values: np.ndarray) -> dict[str, Any]:
    """Return numpy's statistics of values of shape [frames, ...]."""
    named = {name: np.quantile(values, int(name[1:]) / 100, axis=0) for name in QUANTILES}
    named |= {name: getattr(values, name)(axis=0) for name in ("min", "max", "mean", "std")}
    return {name: np.atleast_1d(value).tolist() for name, value in named.items()} | {"count": [len(values)]}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_no_findings(name):
    assert not texts(*sample(name))


def test_strings_and_lerobot_columns_need_no_entry():
    features, stats, frames = sample("av1_multifile")
    features |= {"note": {"dtype": "string", "shape": [1]}, "language_events": {"dtype": "language"}, "odd": {}}
    for key in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
        del stats[key]
    assert not texts(features, stats, frames)


def test_no_file():
    features, _, frames = sample("av1_multifile")
    assert texts(features, None, frames) == ["None: no such file; expected statistics of 5 features +0"]
    assert not texts(features, None, 0)
    assert not texts({"index": {"dtype": "int64", "shape": [1]}}, None, 5)


def test_quantiles_that_no_feature_has_are_reported_once():
    features, stats, frames = sample("av1_multifile")
    for of_feature in stats.values():
        for name in QUANTILES:
            del of_feature[name]
    expected = "None: no feature with q01, q10, q50, q90, q99; expected the quantiles that policies normalize with +0"
    assert texts(features, stats, frames) == [expected]


def test_quantiles_as_others_choose_them():
    """lerobot#4671: q02 and q98 instead of q10 and q90."""
    features, stats, frames = sample("av1_multifile")
    for of_feature in stats.values():
        of_feature["q02"], of_feature["q98"] = of_feature.pop("q10"), of_feature.pop("q90")
    (found,) = texts(features, stats, frames)
    assert found.startswith("None: no feature with q10, q90;")


Damage = Callable[[dict[str, Any]], object]


def put(feature: str, name: str, value: object) -> Damage:
    return lambda stats: stats[feature].__setitem__(name, value)


def put_at(feature: str, name: str, position: int, value: object) -> Damage:
    return lambda stats: stats[feature][name].__setitem__(position, value)


DEFECTS: list[tuple[Damage, str]] = [
        (lambda stats: stats.pop("action"), f"action: no entry; expected {', '.join(STATISTIC_NAMES)} +0"),
        (lambda stats: stats.__setitem__("action", []), "action: list; expected an object with the statistics +0"),
        (
            lambda stats: [stats["action"].pop(name) for name in ("std", "q01")],
            f"action: no std, q01; expected {', '.join(STATISTIC_NAMES)} +0",
        ),
        (put("action", "std", [1.0] * 5), "action: std of shape [5]; expected shape [6] +0"),
        (put("action", "std", "wide"), "action: std that is not an array of numbers; expected an array of numbers +0"),
        (put("action", "std", [1.0, [2.0]] * 3), "action: std that is not an array of numbers; expected an array of numbers +0"),
        (put("action", "std", {"0": 1.0}), "action: std that is not an array of numbers; expected an array of numbers +0"),
        (put(TOP, "mean", [0.5, 0.5, 0.5]), f"{TOP}: mean of shape [3]; expected shape [channels, 1, 1] +0"),
        (put(TOP, "mean", [[[0.5]], [[0.5]]]), f"{TOP}: mean of shape [2, 1, 1]; expected shape [channels, 1, 1] +0"),
        (put_at("action", "mean", 2, float("nan")), "action: mean nan in dimension 2; expected a finite number +0"),
        (put_at("action", "max", 2, float("inf")), "action: max inf in dimension 2; expected a finite number +0"),
        (put_at("action", "mean", 2, None), "action: mean nan in dimension 2; expected a finite number +0"),
        (put_at("action", "max", 2, 10**400), "action: max inf in dimension 2; expected a finite number +0"),
        (
            put_at("action", "q10", 3, -9.0),
            "action: q01 -2.11758 above q10 -9 in dimension 3; expected q01 not above q10 +0",
        ),
        (
            put_at("action", "q99", 0, 99.0),
            "action: q99 99 above max 3.57029 in dimension 0; expected q99 not above max +0",
        ),
        (
            put("action", "mean", [99.0] * 6),
            "action: mean 99 above max 3.57029 in dimension 0; expected mean not above max +5",
        ),
        (
            put(TOP, "mean", [[[1.5]], [[0.5]], [[0.5]]]),
            f"{TOP}: mean 1.5 above max 1 in dimension 0; expected mean not above max +0",
        ),
        (
            put("timestamp", "min", [2.0]),
            "timestamp: min 2 above q01 -1e-10; expected min not above q01 +0",
        ),
        (put_at("action", "std", 1, -1.0), "action: std -1 in dimension 1; expected 0 or more +0"),
        (put_at("action", "std", 1, 0.0), "action: std 0 in dimension 1; expected a dimension that varies +0"),
        (put("action", "std", [0.0] * 6), "action: std 0 in dimension 0; expected a dimension that varies +5"),
        (put("next.done", "count", [375]), "next.done: count 375; expected 376, the frames of the dataset +0"),
        (
            put("next.done", "count", [376, 1]),
            "next.done: count that is not one number; expected 376, the frames of the dataset +0",
        ),
        (put(TOP, "count", [0]), f"{TOP}: count 0; expected a number above 0 +0"),
        (put(TOP, "count", [float("nan")]), f"{TOP}: count nan; expected a number above 0 +0"),
        (put("action", "count", []), "action: count that is not one number; expected a number above 0 +0"),
    ]  # fmt: skip


@pytest.mark.parametrize(("damage", "expected"), DEFECTS, ids=map(str, range(len(DEFECTS))))
def test_one_defect_one_finding(damage, expected):
    features, stats, frames = sample("av1_multifile")
    damage(stats)
    assert texts(features, stats, frames) == [expected]


@pytest.mark.parametrize(
    "damage",
    [
        put("action", "count", [376 * 50]),  # of relative actions, by chunk
        put(TOP, "count", [100]),
        put("next.done", "std", [0.0]),
        put("frame_index", "std", [0.0]),
        put("index", "max", [5000]),  # merged datasets keep the old bounds
        put_at("action", "q01", 0, -2.9865),  # rounding at the minimum
        lambda stats: stats.__setitem__("unknown", 5),
    ],
    ids=map(str, range(7)),
)
def test_statistics_that_lerobot_writes_pass(damage):
    features, stats, frames = sample("av1_multifile")
    damage(stats)
    assert not texts(features, stats, frames)


def test_depth_maps_and_arrays_of_several_dimensions():
    random = np.random.default_rng(0)
    poses = random.normal(size=(50, 3, 4))
    depth = {name: [[value[0]]] for name, value in entry(random.uniform(size=(50, 1))).items() if name != "count"}
    features = {
        "pose": {"dtype": "float32", "shape": [3, 4]},
        "last": {"dtype": "float64", "shape": [3, 4]},
        "scalar": {"dtype": "float32", "shape": [1]},
        "none": {"dtype": "float32", "shape": []},
        "depth": {"dtype": "video", "shape": [48, 64, 1]},
    }
    document = {
        "pose": entry(poses),
        "last": entry(poses.reshape(-1, 4)) | {"count": [50]},
        "scalar": entry(np.zeros(50)),
        "none": entry(np.zeros(50)),
        "depth": {name: [value] for name, value in depth.items()} | {"count": [50]},
    }
    assert not texts(features, document, 50)
    document["pose"]["std"][2][1] = 0.0
    assert texts(features, document, 50) == ["pose: std 0 in dimension [2, 1]; expected a dimension that varies +0"]
    document["pose"]["std"][2][1] = 1.0
    features["observation.force"] = {"dtype": "float32", "shape": [1]}
    document["observation.force"] = entry(np.zeros(50))
    assert texts(features, document, 50) == ["observation.force: std 0; expected a dimension that varies +0"]


def test_means_summed_in_float32():
    """numpy's mean of many equal float32 rows lies outside [min, max]."""
    values = np.full((100_000, 2), 0.1, np.float32)
    stats = entry(values.astype(np.float64)) | {"mean": values.mean(axis=0).tolist(), "std": [1.0, 1.0]}
    assert abs(stats["mean"][0] - 0.1) > 1e-6
    assert not texts({"state": {"dtype": "float32", "shape": [2]}}, {"state": stats}, 100_000)


@settings(deadline=None)
@given(
    values=st.lists(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2), min_size=1, max_size=20),
)
def test_statistics_of_any_values_pass(values):
    stats = entry(np.array(values))
    features = {"state": {"dtype": "float32", "shape": [2]}}
    assert all("dimension that varies" in text for text in texts(features, {"state": stats}, len(values)))


@settings(deadline=None)
@given(document=JSON | st.dictionaries(st.sampled_from(["action", TOP, "state"]), JSON))
def test_hostile_documents(document):
    features, _, frames = sample("av1_multifile")
    texts(features, document, frames)


@settings(deadline=None)
@given(data=st.data())
@full_run
def test_hostile_entries(data):
    features, stats, frames = sample("av1_multifile")
    stats = copy.deepcopy(stats)
    for key in data.draw(st.sets(st.sampled_from(sorted(features)))):
        for name in data.draw(st.sets(st.sampled_from(STATISTIC_NAMES))):
            numbers = st.floats() | st.integers() | st.none() | st.booleans()
            stats[key][name] = data.draw(JSON | st.lists(numbers, min_size=6, max_size=6))
    texts(features, stats, frames)


@settings(deadline=None)
@given(features=st.dictionaries(st.sampled_from(["a", "b"]), JSON | st.fixed_dictionaries(
    {"dtype": st.sampled_from(["float32", "video", "bool", "string"]) | JSON, "shape": JSON | st.lists(st.integers(0, 4))}
)))  # fmt: skip
def test_hostile_features(features):
    numbers: dict[str, Any] = {name: [1.0, 2.0] for name in STATISTIC_NAMES}
    texts(features, {"a": numbers, "b": {}}, 2)


def test_nested_deep():
    deep: Any = 1.0
    for _ in range(5000):
        deep = [deep]
    found = texts({"a": {"dtype": "float32", "shape": [1]}}, {"a": {"min": deep, "count": deep}}, 1)
    assert any("min that is not an array" in text for text in found)

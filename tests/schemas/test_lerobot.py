"""`meta/info.json`: every problem at once, by key; what real files vary in is accepted."""

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek_schemas import lerobot
from episeek_schemas.lerobot import InfoProblemsError, camera_of_column, codebase_major, parse_info, validate_info
from tests.support.amount import examples
from tests.support.build_index import CAMERAS, DATA, VIDEO_DATASETS

VALID = {
    "codebase_version": "v3.0",
    "fps": 30,
    "total_episodes": 2,
    "total_frames": 60,
    "features": {
        "action": {"dtype": "float32", "shape": [6]},
        "observation.images.b": {"dtype": "video"},
        "observation.images.a": {"dtype": "video"},
    },
}


def problem_keys(document) -> list[str]:
    return [problem.key for problem in validate_info(document)]


def test_the_least_that_is_needed():
    info = parse_info(VALID)
    assert (info.fps, info.chunks_size, info.total_frames) == (30.0, 1000, 60)
    assert info.video_keys == ("observation.images.b", "observation.images.a")  # in the file's order, not sorted
    assert info.data_file(3, 12) == "data/chunk-003/file-012.parquet"
    assert info.video_file("key", 0, 1000) == "videos/key/chunk-000/file-1000.mp4"
    assert lerobot.is_info(VALID)


@pytest.mark.parametrize("name", [*VIDEO_DATASETS, "images"])
def test_files_of_lerobot_are_accepted(name):
    document = json.loads((DATA / name / "meta/info.json").read_text())
    assert validate_info(document) == []
    info = parse_info(document)
    assert info.video_keys == (() if name == "images" else CAMERAS)
    assert info.data_file(0, 0) == "data/chunk-000/file-000.parquet"


@pytest.mark.parametrize(
    "changes",
    [
        {"fps": 30.0},
        {"fps": 29.97},
        {"codebase_version": "v3.1"},
        {"codebase_version": "3.0"},
        {"codebase_version": "v3.0.2"},
        {"chunks_size": 1},
        {"unknown": object()},
        {"features": {}},
        {"features": {}, "video_path": None},
        {"data_path": "d/{file_index}-{chunk_index}.parquet"},
        {"total_episodes": 0, "total_frames": 0},
    ],
)
def test_what_real_files_vary_in(changes):
    assert validate_info(VALID | changes) == []
    parse_info(VALID | changes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("codebase_version", value) for value in (None, 3, "", "v2.1", "v4.0", "three", "v3", " v3.0")),
        *(("fps", value) for value in (None, 0, -1, "30", True, float("nan"), float("inf"), 1e7)),
        *((key, value) for key in ("total_episodes", "total_frames") for value in (None, -1, 1.5, "2", True)),
        *(("chunks_size", value) for value in (None, 0, -1, 1.5)),
        *(("features", value) for value in (None, ["action"], "action")),
        *(("data_path", value) for value in (None, 3, "", "data/file.parquet", "{chunk_index}", "/{chunk_index}/{file_index}")),
        ("data_path", "../{chunk_index}/{file_index}"),
        ("data_path", "{chunk_index}/{file_index}/{other}"),
        ("data_path", "{chunk_index}/{file_index"),
        ("data_path", "{chunk_index.x}/{file_index}"),
        ("data_path", "{chunk_index:s}/{file_index}"),
        ("video_path", None),
        ("video_path", "{chunk_index}/{file_index}"),
        ("video_path", "{video_key}/../{chunk_index}/{file_index}"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_named(key, value):
    assert problem_keys(VALID | {key: value}) == [key]
    assert not lerobot.is_info(VALID | {key: value})
    with pytest.raises(InfoProblemsError, match=f"{key}: found"):
        parse_info(VALID | {key: value})


@pytest.mark.parametrize("key", ["codebase_version", "fps", "total_episodes", "total_frames", "features"])
def test_a_key_that_is_not_there_is_named(key):
    (problem,) = validate_info({name: value for name, value in VALID.items() if name != key})
    assert (problem.key, problem.found) == (key, "nothing")


def test_all_problems_are_listed_and_survive_pickling():
    document = VALID | {"codebase_version": "v2.1", "fps": 0, "total_frames": -1}
    assert problem_keys(document) == ["codebase_version", "fps", "total_frames"]
    with pytest.raises(InfoProblemsError) as caught:
        parse_info(document)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.problems == caught.value.problems == tuple(validate_info(document))
    assert str(again) == str(caught.value)
    assert str(again).count("expected") == 3


@pytest.mark.parametrize("document", [None, [], "text", 3, True])
def test_a_document_that_is_no_object(document):
    assert problem_keys(document) == ["(document)"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["{", "{}", "{0}", "{a[0]}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = [*VALID, "chunks_size", "data_path", "video_path"]


@settings(max_examples=examples(300), deadline=None)
@given(changes=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4))
def test_validation_never_raises_and_parsing_agrees(changes):
    document = VALID | changes
    if validate_info(document):
        with pytest.raises(InfoProblemsError):
            parse_info(document)
    else:
        info = parse_info(document)
        info.data_file(0, 0)
        assert not info.video_keys or info.video_file(info.video_keys[0], 0, 0)


@pytest.mark.parametrize(
    ("version", "major"),
    [("v3.0", 3), ("3.0", 3), ("v2.1", 2), ("v10.0", 10), ("v3", None), (3, None), (None, None), ("", None)],
)
def test_major_version(version, major):
    assert codebase_major(version) == major


def test_columns_of_cameras():
    for key in ("observation.images.top", "cam/with/slashes"):
        for field in lerobot.VIDEO_FIELDS:
            assert camera_of_column(lerobot.video_column(key, field)) == key
    for column in (
        "videos/key",
        "videos//from_timestamp",
        "videos/key/other",
        "stats/key/from_timestamp",
        "episode_index",
    ):
        assert camera_of_column(column) is None

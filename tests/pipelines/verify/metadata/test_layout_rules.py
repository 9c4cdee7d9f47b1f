import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek_pipelines.verify import Finding, VerifyOptions
from episeek_pipelines.verify.metadata.layout_rules import check_folders, check_shards, check_splits
from tests.support.build_index import DATA

SAMPLES = ("av1_multifile", "edited", "h264_bframes", "hevc", "images")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
)


def texts(findings) -> list[str]:
    return [f"{f.code} {f.location}: {f.message}" for f in findings]


def numbered(folder: str, count: int) -> list[str]:
    return [f"{folder}/file-{number:03d}.mp4" for number in range(count)]


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_no_findings(name):
    info = json.loads((DATA / name / "meta/info.json").read_text())
    files = [path.relative_to(DATA / name).as_posix() for path in (DATA / name).rglob("*") if path.is_file()]
    assert not texts(check_folders(files, info["chunks_size"]))
    assert not texts(check_splits(info, info["total_episodes"]))


def test_folders_at_their_limits():
    files = numbered("videos/top/chunk-000", 1000) + numbered("videos/top/chunk-001", 1000) + numbered("images", 10_000)
    assert not texts(check_folders(files, 1000))
    assert not texts(check_folders([], 1000))


def test_a_chunk_folder_with_too_many_files():
    files = numbered("videos/top/chunk-000", 4) + numbered("data/chunk-12", 3) + numbered("chunks", 9)
    assert texts(check_folders(files, 3)) == [
        "INF006 videos/top/chunk-000: 4 files in a chunk folder; expected 3 (chunks_size) or fewer"
    ]


def test_a_folder_with_too_many_entries_is_reported_once():
    files = numbered("videos/top/chunk-000", 10_001)
    assert texts(check_folders(files, 1000)) == [
        "INF006 videos/top/chunk-000: 10,001 entries in videos/top/chunk-000; expected 10,000 or fewer"
    ]


def test_folders_are_entries():
    files = [f"data/chunk-{number:05d}/file-000.parquet" for number in range(10_001)]
    assert texts(check_folders(files, 1000)) == ["INF006 data: 10,001 entries in data; expected 10,000 or fewer"]


def test_the_root_is_a_folder():
    assert texts(check_folders([str(number) for number in range(10_001)], 1000)) == [
        "INF006 dataset: 10,001 entries in the root; expected 10,000 or fewer"
    ]


def test_too_many_files():
    files = [path for folder in range(101) for path in numbered(f"videos/{folder}", 1000)]
    assert texts(check_folders(files, 1000)) == ["INF006 dataset: 101,000 files; expected 100,000 or fewer"]
    assert not texts(check_folders(files[:100_000], 1000))


@pytest.mark.parametrize(
    "splits",
    [
        None,
        {},
        [],
        "0:99",
        {"train": "0:10"},
        {"train": "0:8", "val": "8:10"},
        {"train": "0:0"},
        {"train": " 0 : 10 "},
        {"train": [0, 99]},
        {"train": "80%"},
        {"train": "5:"},
        {"train": "-1:10"},
        {"train": "0:" + "9" * 5000},
    ],
)
def test_splits_that_pass(splits):
    assert not texts(check_splits({"splits": splits}, 10))


@pytest.mark.parametrize("spelled", ["0:11", "11:12", "5:4"])
def test_splits_outside_the_episodes(spelled):
    assert texts(check_splits({"splits": {"train": spelled, "val": "8:10"}}, 10)) == [
        f"INF009W meta/info.json, key splits: split 'train' of episodes {spelled}; "
        "expected a range within 0:10, the total_episodes of the file"
    ]


@settings(deadline=None)
@given(document=st.dictionaries(st.just("splits"), JSON), total=st.integers(0, 3))
def test_hostile_splits(document, total):
    assert all(isinstance(f, Finding) for f in check_splits(document, total))


@pytest.mark.parametrize(
    ("ranks", "workers", "prepared", "expected"),
    [
        (None, 64, False, ""),
        (3, 0, False, ""),
        (3, 1, False, ""),
        (4, 0, False, "TRN037"),
        (4, 8, False, "TRN037"),
        (3, 2, False, "TRN037W"),
        (4, 2, True, "TRN037W"),
        (3, 2, True, ""),
        (7, 1, True, ""),
        (8, 1, True, "TRN037"),
    ],
)
def test_shards(ranks, workers, prepared, expected):
    options = VerifyOptions(world_size=ranks, num_workers=workers)
    found = texts(check_shards(options, row_groups=7, data_files=3, is_prepared_layout=prepared))
    assert [text.split(" ")[0] for text in found] == ([expected] if expected else [])


def test_the_kind_of_shards_is_reported():
    options = VerifyOptions(world_size=4, num_workers=2)
    assert texts(check_shards(options, row_groups=7, data_files=3, is_prepared_layout=False)) == [
        "TRN037 dataset: 3 shards (data files) for 4 ranks; expected one shard or more for each rank"
    ]
    assert texts(check_shards(options, row_groups=7, data_files=3, is_prepared_layout=True)) == [
        "TRN037W dataset: 7 shards (row groups) for 4 ranks with 2 workers each; expected 8 shards or more, and a multiple of the"
        " number of ranks: otherwise `datasets` lets every rank read all shards"
    ]
    assert "multiple" not in texts(check_shards(options, row_groups=4, data_files=3, is_prepared_layout=True))[0]

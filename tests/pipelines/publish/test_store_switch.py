"""The order in which the files of a publication get their names."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from episeek_pipelines.publish.changes import Addition, Changes
from episeek_pipelines.publish.store_switch import moves_rows, switch_waves


def added(*paths, deleted=()):
    return Changes(tuple(Addition(path, b"", 0, "") for path in paths), tuple(deleted), 0)


def test_the_order():
    paths = [
        "README.md",
        "data/chunk-000/file-000.parquet",
        "meta/byte_index/episodes.parquet",
        "meta/byte_index/files.parquet",
        "meta/byte_index/samples.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json",
        "meta/stats.json",
        "videos/c/chunk-000/file-000.mp4",
    ]
    assert switch_waves(added(*paths), set()) == [
        ["videos/c/chunk-000/file-000.mp4"],
        ["data/chunk-000/file-000.parquet"],
        ["meta/stats.json"],
        ["meta/episodes/chunk-000/file-000.parquet"],
        ["meta/info.json"],
        ["README.md"],
        ["meta/byte_index/episodes.parquet", "meta/byte_index/samples.parquet"],
        ["meta/byte_index/files.parquet"],
    ]
    assert switch_waves(added(), set()) == []


@given(
    before=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    pieces=st.integers(1, 3),
)
def test_no_row_is_missing_while_episodes_move_to_later_files(before, pieces):
    """Splitting each file into up to `pieces`, numbered anew, as a rewrite does."""
    names = [f"data/chunk-000/file-{number:03}.parquet" for number in range(100)]
    numbers = itertools.count()
    there = {name: {next(numbers) for _ in range(count)} for name, count in zip(names, before, strict=False)}
    parts = []
    for episodes in there.values():
        ordered, size = sorted(episodes), -(-len(episodes) // pieces)
        parts += [set(ordered[start : start + size]) for start in range(0, len(ordered), size)]
    new = dict(zip(names, parts, strict=False))
    changes = added(*(name for name in new if there.get(name) != new[name]))
    everything = set().union(*there.values())
    assert moves_rows(changes, there) is (len(new) > len(there))
    waves = switch_waves(changes, there)
    if not moves_rows(changes, there):
        return
    now = dict(there)
    for wave in waves:
        for order in itertools.islice(itertools.permutations(wave), 3):
            seen = dict(now)
            for path in order:
                seen[path] = new[path]
                assert set().union(*seen.values()) == everything
        now |= {path: new[path] for path in wave}
    assert now == new


def test_rows_stay_where_they_are_in_a_new_dataset_or_the_same_files():
    path = "data/chunk-000/file-000.parquet"
    assert not moves_rows(added(path), {path})
    assert not moves_rows(added(path), set())
    assert moves_rows(added(deleted=[path]), {path})

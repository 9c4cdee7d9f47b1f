"""The order in which the files of a publication get their names."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from episeek_pipelines.publish.overlay.changes import Addition, Changes
from episeek_pipelines.publish.store.switch_order import data_order, moves_rows, switch_waves


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


NAMES = [f"data/chunk-000/file-{number:03}.parquet" for number in range(100)]


def split(counts):
    """Return the episodes of each file."""
    numbers = itertools.count()
    return {name: {next(numbers) for _ in range(count)} for name, count in zip(NAMES, counts, strict=False)}


def pieces_of(sources, most):
    """Return the numbers of episodes in the files that sources are split into, of at most `most` episodes each."""
    for count in sources:
        number = -(-count // most)
        size = -(-count // number)
        yield from (min(size, count - start) for start in range(0, count, size))


def check_no_row_is_missing(there, new):
    deleted = [name for name in there if name not in new]
    changes = added(*(name for name in new if there.get(name) != new[name]), deleted=deleted)
    everything = set().union(*there.values())
    assert moves_rows(changes, there) is (len(new) != len(there))
    now = dict(there)
    for wave in switch_waves(changes, there):
        for order in itertools.islice(itertools.permutations(wave), 3):
            seen = dict(now)
            for path in order:
                seen[path] = new[path]
                assert set().union(*seen.values()) == everything
        now |= {path: new[path] for path in wave}
    assert {path: now[path] for path in now if path not in deleted} == new


@given(sources=st.lists(st.integers(1, 9), min_size=1, max_size=6), before=st.integers(1, 9), after=st.integers(1, 9))
def test_no_row_is_missing_while_the_number_of_files_changes(sources, before, after):
    there, new = split(pieces_of(sources, before)), split(pieces_of(sources, after))
    if len(there) == len(new):
        return
    check_no_row_is_missing(there, new)


@given(old=st.lists(st.integers(1, 6), min_size=1, max_size=6), cuts=st.sets(st.integers(1, 35), max_size=6))
def test_no_row_is_missing_where_all_files_begin_earlier_or_all_later(old, cuts):
    """Any contiguous split into another number of files. No order helps where some files begin earlier and others later."""
    total = sum(old)
    starts = [0, *sorted(cut for cut in cuts if cut < total)]
    new = [stop - start for start, stop in itertools.pairwise([*starts, total])]
    begins = list(itertools.accumulate(old, initial=0))[:-1]
    more = len(new) > len(old)
    pairs = list(zip(begins, starts, strict=False))
    if len(new) == len(old) or not all(b <= a if more else a <= b for a, b in pairs):
        return
    check_no_row_is_missing(split(old), split(new))


def test_the_order_of_a_switch_that_had_begun():
    """Once the new files exist, it cannot be seen any more that rows move."""
    paths = NAMES[:2]
    assert switch_waves(added(*paths), set(NAMES[:3])) == [paths]
    assert switch_waves(added(*paths), set(NAMES[:3]), order="last first") == [[paths[1]], [paths[0]]]
    assert data_order(added(*NAMES[:3]), set(paths)) == "last first"
    assert data_order(added(*paths, deleted=[NAMES[2]]), set(NAMES[:3])) == "first first"
    assert data_order(added(*paths), set(paths)) == "any"


def test_rows_stay_where_they_are_in_a_new_dataset_or_the_same_files():
    path = "data/chunk-000/file-000.parquet"
    assert not moves_rows(added(path), {path})
    assert not moves_rows(added(path), set())
    assert moves_rows(added(deleted=[path]), {path})

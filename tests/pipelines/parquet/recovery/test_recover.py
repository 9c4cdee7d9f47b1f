"""Files that lost their footer: the complete row groups, equal to what pyarrow reads from the whole file, and no other rows."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.errors import AmbiguousPagesError, ChangedFileError, EpiseekError, ParquetError, WriteError
from episeek_pipelines.parquet.recovery.pages.headers import read_parts
from episeek_pipelines.parquet.recovery.pages.source import LocalBytes
from episeek_pipelines.parquet.recovery.recover import (
    Recovered,
    lacks_footer,
    open_recovered,
    recover,
    write_recovered,
)
from tests.support.amount import amount_of_repairs, every
from tests.support.lost_footers import (
    ARROW_17,
    OPTIONS,
    RECORDED,
    WholeFile,
    episode_table,
    rich_tables,
    whole_file,
    written,
)

FILES = [*RECORDED, ARROW_17]


def recovered(folder: Path, data: bytes, whole: WholeFile, **options: Any) -> tuple[Recovered, pa.Table]:
    path = folder / "lost.parquet"
    path.write_bytes(data)
    found = recover(path, whole.schema, **options)
    with open_recovered(path, found) as file:
        return found, file.read()


def check_cut(folder: Path, whole: WholeFile, stop: int, **options: Any) -> None:
    """The file that ends at a byte has exactly the rows of the row groups before it."""
    found, table = recovered(folder, whole.data[:stop], whole, **options)
    rows = whole.rows_before(stop)
    assert table.equals(whole.table.slice(0, rows)), stop
    assert found.row_count == rows
    assert found.stop <= stop
    if stop < whole.footer_start and stop not in [*whole.group_starts(), *(end for end, _ in whole.group_stops())]:
        assert found.losses


@pytest.mark.parametrize("path", FILES, ids=lambda path: Path(path).parts[0] if path != ARROW_17 else "arrow17")
def test_all_rows_of_a_file_that_lacks_its_footer(path, tmp_path):
    whole = whole_file(path)
    found, table = recovered(tmp_path, whole.data[: whole.footer_start], whole)
    assert table.equals(whole.table)
    assert table.schema.equals(whole.schema, check_metadata=True)
    assert found.episodes == tuple(sorted(set(whole.table["episode_index"].to_pylist())))
    assert not found.losses
    target = tmp_path / "whole.parquet"
    write_recovered(tmp_path / "lost.parquet", found, target)
    assert pq.read_table(target).equals(whole.table)
    assert target.read_bytes()[: found.stop] == whole.data[: found.stop]
    assert {path.name for path in tmp_path.iterdir()} == {"lost.parquet", "whole.parquet"}


@pytest.mark.parametrize(
    "path", every(FILES, 3), ids=lambda path: Path(path).parts[0] if path != ARROW_17 else "arrow17"
)
def test_files_that_are_cut_anywhere(path, tmp_path):
    """At page boundaries, beside them, and at random bytes."""
    whole = whole_file(path)
    (tmp_path / "whole.parquet").write_bytes(whole.data)
    with LocalBytes(tmp_path / "whole.parquet") as source:
        parts = read_parts(source).parts
    share = 4 if len(whole.schema) < 20 and len(whole.data) < 100_000 else 1
    stops = {stop + shift for stop, _ in whole.group_stops() for shift in every((-1, 0, 1), 2)}
    stops |= {stop for part in every(parts, max(len(parts) // share, 1)) for stop in (part.start, part.start + 1)}
    stops |= {part.body_start for part in every(parts, max(2 * len(parts) // share, 1)) if hasattr(part, "body_start")}
    random = Random(17)
    stops |= {random.randrange(4, len(whole.data)) for _ in range(amount_of_repairs(1000, 100, share))}
    stops |= {whole.footer_start, len(whole.data)}
    for stop in sorted(stops):
        check_cut(tmp_path, whole, min(stop, len(whole.data)))


@pytest.mark.parametrize("name", every([*OPTIONS], 2))
def test_every_form_in_which_pyarrow_writes_pages(name, tmp_path):
    whole = written(rich_tables(40, 1, 33), **OPTIONS[name])
    ends = [stop for stop, _ in whole.group_stops()]
    for stop in {whole.footer_start, len(whole.data) - 1, *ends, *(end - 1 for end in ends)}:
        check_cut(tmp_path, whole, stop)


@pytest.mark.parametrize("name", every([*OPTIONS], 4))
def test_damage_never_becomes_rows(name, tmp_path):
    """Bytes are changed anywhere in a file with checksums: a row group is as it was, or not there."""
    whole = written(rich_tables(40, 1, 33), **{**OPTIONS[name], "write_page_checksum": True})
    table = whole.table
    bounds = [0, *(rows for _, rows in whole.group_stops())]
    groups = {number: table.slice(bounds[number], bounds[number + 1] - bounds[number]) for number in range(3)}
    random = Random(name)
    for _ in range(amount_of_repairs(400, 60, 6)):
        data = bytearray(whole.data[: whole.footer_start])
        for _ in range(random.choice((1, 1, 2, 5))):
            place = random.randrange(4, len(data))
            data[place] = random.choice((data[place] ^ 1 << random.randrange(8), 0, 0xFF, random.randrange(256)))
        (tmp_path / "lost.parquet").write_bytes(data)
        try:
            found = recover(tmp_path / "lost.parquet", whole.schema)
        except EpiseekError:
            continue
        with open_recovered(tmp_path / "lost.parquet", found) as file:
            for number, group in enumerate(found.groups):
                assert file.read_row_group(number).equals(groups[group.episodes[0]])
        assert len(found.groups) == 3 or found.losses or bytes(data) == whole.data[: whole.footer_start]


def test_a_row_group_after_a_damaged_one_is_found(tmp_path):
    whole = written([episode_table(0, 9), episode_table(1, 8), episode_table(2, 7)], write_page_checksum=True)
    data = bytearray(whole.data[: whole.footer_start])
    data[whole.group_stops()[1][0] - 1] ^= 1
    found, table = recovered(tmp_path, bytes(data), whole)
    assert found.episodes == (0, 2)
    assert table["frame_index"].to_pylist() == [*range(9), *range(7)]
    (loss,) = found.losses
    assert [loss.start, loss.stop] == [stop for stop, _ in whole.group_stops()[:2]]


def test_pages_that_fit_in_two_ways_are_decided_by_the_rows(tmp_path):
    """Columns of one type without dictionaries: two pages of ten rows each may be one column of twenty or two of ten."""
    options = {"use_dictionary": False, "data_page_size": 1, "write_batch_size": 10}
    names = ("frame_index", "episode_index", "index", "task_index")
    tables = [episode_table(episode, 20, first_index=20 * episode).select(names) for episode in range(3)]
    whole = written(tables, **options)
    for stop in (whole.footer_start, whole.group_stops()[1][0] + 300):
        check_cut(tmp_path, whole, stop)


def test_pages_that_fit_in_two_ways_are_refused_where_no_rows_decide(tmp_path):
    options = {"use_dictionary": False, "data_page_size": 1, "write_batch_size": 10, "write_statistics": False}
    whole = written([pa.table({"one": range(20), "other": range(20)})], **options)
    with pytest.raises(AmbiguousPagesError, match=r"row group of 10 rows and as .* 20 rows"):
        recovered(tmp_path, whole.data[: whole.footer_start], whole)
    # the first column of twenty rows looks like both columns of ten
    with LocalBytes(tmp_path / "lost.parquet") as source:
        second = read_parts(source).parts[2]
    with pytest.raises(AmbiguousPagesError, match="beginning of a longer one"):
        recovered(tmp_path, whole.data[: second.start], whole)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"frame_index": [0, 1, 3, 4]}, "frame_index"),
        ({"index": [0, 1, 1, 2]}, "index"),
        (
            {"episode_index": [0, 1, 0, 0], "frame_index": [0, 0, 0, 1], "timestamp": [0.0, 0.0, 0.0, 0.1]},
            "not contiguous",
        ),
        ({"index": [0, 1, None, 3]}, "null"),
        ({"frame_index": [-1, 0, 1, 2]}, "negative"),
        ({"timestamp": [0.0, 0.1, 0.2, 0.4]}, "timestamps"),
    ],
)
def test_rows_that_no_recorder_writes_are_not_recovered(change, problem, tmp_path):
    table = episode_table(0, 4)
    for name, values in change.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
    whole = written([table, episode_table(2, 3, first_index=4)])
    found, _ = recovered(tmp_path, whole.data[: whole.footer_start], whole, fps=10)
    assert found.episodes == (2,)
    assert problem in str(found.losses[0])


def test_a_schema_that_is_not_that_of_the_file(tmp_path):
    whole = written([episode_table(1, 4)])
    path = tmp_path / "lost.parquet"
    path.write_bytes(whole.data[: whole.footer_start])
    wrong = pa.schema([pa.field("timestamp", pa.float64()), *list(whole.schema)[1:]])
    swapped = pa.schema(
        [whole.schema.field(name) for name in ("timestamp", "episode_index", "frame_index", "index", "task_index")]
    )
    for schema in (wrong, swapped):
        found = recover(path, schema)
        assert not found.groups
        assert found.losses
        with open_recovered(path, found) as file:
            assert file.metadata.num_rows == 0
    with pytest.raises(ParquetError, match="begin no row group of the declared columns"):
        recover(path, pa.schema(list(whole.schema)[:-1]))


@pytest.mark.parametrize(("data", "said"), [(b"", "empty"), (b"PAR", "begins with"), (b"no Parquet", "begins with")])
def test_what_is_no_parquet_file(data, said, tmp_path):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ParquetError, match=said):
        recover(tmp_path / "file", pa.schema([("index", pa.int64())]))
    with LocalBytes(tmp_path / "file") as source:
        assert not lacks_footer(source)


def test_row_groups_without_rows_hold_nothing(tmp_path):
    table = episode_table(0, 4, done=pa.array([True] * 4))
    whole = written([table.slice(0, 0), table, table.slice(0, 0), table.slice(0, 0)])
    found, rows = recovered(tmp_path, whole.data[: whole.footer_start], whole)
    assert rows.equals(table)
    assert not found.losses


def test_bytes_that_are_cut_off_and_zeros_are_told(tmp_path):
    whole = whole_file(RECORDED[0])
    end = whole.group_stops()[0][0]
    found, _ = recovered(tmp_path, whole.data[:end] + bytes(100), whole)
    assert (found.episodes, found.stop) == ((3,), end)
    assert [(loss.start, loss.stop) for loss in found.losses] == [(end, end + 100)]
    found, _ = recovered(tmp_path, whole.data[: end + 300], whole)
    assert found.losses[0].start == end
    assert found.losses[-1].stop == end + 300
    assert "cut off" in str(found.losses[0])


@pytest.mark.parametrize("path", FILES, ids=lambda path: Path(path).parts[0] if path != ARROW_17 else "arrow17")
def test_the_remains_of_a_footer_are_no_lost_rows(path, tmp_path):
    whole = whole_file(path)
    # the last byte of the magic, the whole end of the file, and all but the first fields of the footer
    for stop in (len(whole.data) - 1, len(whole.data) - 8, whole.footer_start + 4):
        found, table = recovered(tmp_path, whole.data[:stop], whole)
        assert table.equals(whole.table)
        assert [(loss.start, loss.stop, loss.holds_rows) for loss in found.losses] == [
            (whole.footer_start, stop, False)
        ]
        assert "footer" in str(found.losses[0])


def test_the_codec_may_be_given(tmp_path):
    whole = whole_file(RECORDED[0])
    found, _ = recovered(tmp_path, whole.data[: whole.footer_start], whole, codec="SNAPPY")
    assert len(found.groups) == 4
    found, _ = recovered(tmp_path, whole.data[: whole.footer_start], whole, codec="zstd")
    assert not found.groups
    with pytest.raises(ValueError, match="unknown codec 'zip'"):
        recovered(tmp_path, whole.data, whole, codec="zip")


def test_the_file_itself_is_never_written(tmp_path):
    whole = whole_file(RECORDED[0])
    found, _ = recovered(tmp_path, whole.data[: whole.footer_start], whole)
    path = tmp_path / "lost.parquet"
    with pytest.raises(WriteError, match="another file"):
        write_recovered(path, found, path)
    with pytest.raises(WriteError):
        write_recovered(path, found, tmp_path / "missing" / "whole.parquet")
    path.write_bytes(whole.data)
    for use in (lambda: open_recovered(path, found), lambda: write_recovered(path, found, tmp_path / "whole.parquet")):
        with pytest.raises(ChangedFileError):
            use()
    assert [path.name for path in tmp_path.iterdir()] == ["lost.parquet"]


def test_only_a_file_that_begins_as_parquet_lacks_a_footer(tmp_path):
    whole = whole_file(RECORDED[0])
    for data, lacks in ((whole.data, False), (whole.data[:-1], True), (b"PAR1", True), (b"PAR1PAR1", True)):
        (tmp_path / "file").write_bytes(data)
        with LocalBytes(tmp_path / "file") as source:
            assert lacks_footer(source) == lacks


@pytest.mark.parametrize(
    ("column", "values", "altered"),
    [
        ("value", pa.array([1.5, 2.5, 3.5], pa.float32()), np.float32(99)),
        ("value", pa.array([-3, 0, 7], pa.int64()), np.int64(8)),
        ("value", pa.array([3, 200, 7], pa.uint8()), np.int32(2)),
        (
            "value",
            pa.FixedSizeListArray.from_arrays(pa.array([0.5, float("nan"), 2.5], pa.float64()), 1),
            np.float64(3),
        ),
    ],
)
def test_a_value_beyond_the_extremes_of_its_page_is_noticed(column, values, altered, tmp_path):
    """The page has no checksum, but its header names the smallest and the largest value. The last value is changed."""
    options = {"compression": "none", "use_dictionary": False}
    whole = written(
        [episode_table(0, 3, **{column: values}), episode_table(1, 2, first_index=3, **{column: values[:2]})], **options
    )
    found, _ = recovered(tmp_path, whole.data[: whole.footer_start], whole)
    assert found.episodes == (0, 1)
    page_end = whole.metadata.row_group(0).column(1).data_page_offset
    data = bytearray(whole.data[: whole.footer_start])
    data[page_end - altered.nbytes : page_end] = altered.tobytes()
    found, _ = recovered(tmp_path, bytes(data), whole)
    assert found.episodes == (1,)
    assert "extremes" in str(found.losses[0])

"""Fixing in place: what is left as it is, and what is refused."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.errors import DestinationError, MissingFileError
from episeek_pipelines.cli.lines.fix import result_lines
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs import prepare
from episeek_pipelines.jobs.fix import apply_fix, fix, plan_fix
from episeek_pipelines.rewrite.in_place import examine_data_file
from episeek_pipelines.verify import RULES, Location, VerificationReport
from episeek_pipelines.verify.findings.findings import Finding, finding
from tests.pipelines.conftest import copy_dataset, digests
from tests.support.broken_datasets import TOP, collapse, copy_of, data, drop_rows, edit_parquet, set_value, video
from tests.support.fixing import all_files, collapsed, report_of, rows, state


def reverse_rows(groups: list[pa.Table]) -> list[pa.Table]:
    (table,) = groups
    runs = [table.filter(pa.compute.equal(table["episode_index"], episode)) for episode in (6, 5, 4, 3)]
    return [pa.concat_tables(runs).combine_chunks()]


def interleave_rows(groups: list[pa.Table]) -> list[pa.Table]:
    (table,) = groups
    return [table.take(pa.array([*range(1, len(table)), 0]))]


def damage_pages(contents: bytearray) -> None:
    contents[200:20_000] = bytes(19_800)


REFUSED = {
    "episodes that fall": (lambda root: edit_parquet(root, data(1), reverse_rows), "after episode", "ROW015"),
    "an episode in two places": (lambda root: edit_parquet(root, data(1), interleave_rows), "after episode", "ROW015"),
    "an episode of another file": (
        lambda root: set_value(root, data(1), "episode_index", 123, 8),
        "episode 8 at row 123, which meta/episodes does not place in this file",
        "ROW015",
    ),
    "an episode nobody knows": (
        lambda root: set_value(root, data(1), "episode_index", 123, 77),
        "episode 77",
        "ROW015",
    ),
    "no episode_index": (
        lambda root: edit_parquet(root, data(1), lambda groups: [groups[0].drop_columns("episode_index")]),
        "no column 'episode_index'",
        "ROW015",
    ),
    "no footer": (lambda root: os.truncate(root / data(1), 1000), "Parquet", "ROW005"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_fixed_stays_unfixed_and_the_others_are_fixed(name, tmp_path):
    damage, found, remedy = REFUSED[name]
    root = collapsed("av1_multifile", tmp_path)
    damage(root)
    before = state(root)
    result = fix(str(root), all_files(root, "ROW018"))
    assert [done.action.path for done in result.done] == [data(0), data(2)]
    (item,) = result.unfixed
    assert (item.code, item.path) == ("ROW018", data(1))
    assert found in (item.reason or "")
    assert item.remedy == RULES[remedy].remedy
    assert state(root)[data(1)] == before[data(1)]
    assert set(digests(root)) == set(before)


def test_damaged_pages_are_found_while_rewriting_and_stay_unfixed(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    plan = plan_fix(all_files(root), Root(str(root)))
    stamp = os.stat(root / data(1))
    with pq.ParquetFile(root / data(1)) as file:
        start = file.metadata.row_group(0).column(0).data_page_offset
    with open(root / data(1), "r+b") as stream:
        stream.seek(start)
        stream.write(bytes(3000))
    os.utime(root / data(1), ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # a disk that forgets tells nobody
    before = (root / data(1)).read_bytes()
    result = apply_fix(plan, Root(str(root)))
    assert [done.action.path for done in result.done] == [data(0), data(2)]
    assert [(item.code, item.path) for item in result.unfixed] == [("ROW038", data(1))]
    assert [line for line in result_lines(result) if line.startswith("unfixed: ")]
    assert (root / data(1)).read_bytes() == before
    assert not list(root.rglob("*.tmp"))


def test_a_missing_file_stays_unfixed(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    report = all_files(root)
    (root / data(1)).unlink()
    result = fix(str(root), report)
    assert [(item.path, item.remedy) for item in result.unfixed] == [(data(1), "fix this and verify again")]
    assert len(result.done) == 2


def test_metadata_that_cannot_be_read_leaves_everything(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    episodes = root / "meta/episodes/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(episodes).drop_columns("data/file_index"), episodes)
    before = state(root)
    result = fix(str(root), all_files(root))
    assert result.done == ()
    assert [(item.code, item.count) for item in result.unfixed] == [("ROW038", 3)]
    assert "data/file_index" in (result.unfixed[0].reason or "")
    assert state(root) == before


def test_a_file_with_missing_rows_is_fixed_as_it_is(tmp_path):
    root = collapsed("av1_multifile", tmp_path)
    drop_rows(root, data(1), 0)
    collapse(root, data(1))
    before = rows(root, data(1))
    assert fix(str(root), report_of(root, ("ROW018", data(1)), ("ROW015", data(1)))).done
    assert rows(root, data(1)).equals(before)


def test_everything_else_stays_unfixed_with_its_remedy(tmp_path):
    root = copy_of("av1_multifile", tmp_path)
    place = Location(file=data(0), episode=1)
    found: list[Finding] = [
        finding(RULES["ROW017"], "late", "", place, more=4),
        finding(RULES["ROW017"], "late", "", Location(file=data(1))),
        finding(RULES["VID022W"], "moov", "", Location(file=video(TOP, 0))),
    ]
    before = state(root)
    result = fix(str(root), VerificationReport(str(root), tuple(found), 10, 3, 12, 0, 0, 0.0))
    assert [(item.code, item.count, item.remedy, item.path) for item in result.unfixed] == [
        ("ROW017", 6, RULES["ROW017"].remedy, None),
        ("VID022W", 1, RULES["VID022W"].remedy, None),
    ]
    assert list(result_lines(result)) == []
    assert state(root) == before


def test_the_result(tmp_path):
    root = copy_of("av1_multifile", tmp_path)
    report = report_of(root, ("ROW038", data(0)), ("ROW017", data(0)))
    result = fix(str(root), report)
    (action,) = result.plan.actions
    assert (action.path, action.codes, action.summary) == (data(0), ("ROW038",), "page index added")
    (done,) = result.done
    assert done.action == action
    assert " -> " in done.result
    assert [item.code for item in result.unfixed] == ["ROW017"]
    assert not result.is_dry_run
    assert fix(str(root), report, dry_run=True).is_dry_run


@pytest.mark.parametrize("url", ["s3://bucket/set", "hf://datasets/org/name", "hf://buckets/org/name", "memory://set"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_stores_are_refused(url, dry_run, tmp_path):
    with pytest.raises(DestinationError, match=f"`episeek prepare {url} DST`"):
        fix(url, report_of(tmp_path, ("ROW038", data(0))), dry_run=dry_run)


@pytest.mark.parametrize("dry_run", [False, True])
def test_overlays_are_refused(dry_run, tmp_path):
    source = copy_dataset("hevc", tmp_path / "source")
    prepare.prepare(str(source), str(tmp_path / "overlay"))
    before = state(tmp_path / "overlay")
    with pytest.raises(DestinationError, match="an overlay"):
        fix(str(tmp_path / "overlay"), report_of(tmp_path, ("ROW038", data(0))), dry_run=dry_run)
    assert state(tmp_path / "overlay") == before


def test_examining_a_file_that_is_not_there(tmp_path):
    with pytest.raises(MissingFileError):
        examine_data_file(Root(str(tmp_path)), data(0), pa.array([0]).to_numpy())

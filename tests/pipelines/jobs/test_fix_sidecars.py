"""Fixing in place: sidecars built anew."""

import shutil

import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import WriteError
from episeek_pipelines.cli.lines.fix import result_lines
from episeek_pipelines.jobs import fix as job
from episeek_pipelines.jobs.fix import fix
from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.jobs.verify import verify
from tests.pipelines.conftest import change_episodes, digests
from tests.support.broken_datasets import TOP, collapse, copy_of, data, patch, video
from tests.support.fixing import SERIAL, all_files, report_of, state


def test_stale_sidecars_are_built_anew(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    change_episodes(root, f"videos/{TOP}/to_timestamp", 9, 2.3333)
    before = digests(root)
    report = report_of(root, ("IDX036", video(TOP, 5)), ("IDX036", video(TOP, 4)))
    dry = fix(str(root), report, dry_run=True)
    assert digests(root) == before
    (action,) = dry.plan.actions
    lines = list(result_lines(dry))
    assert lines[:2] == ["--- meta/byte_index", "+++ meta/byte_index"]
    assert lines[2].startswith("-sidecars: build ")
    assert any(line.startswith(f"-stale: {video(TOP, 5)}: episodes: found ") for line in lines)
    assert lines[-1] == "+sidecars: rebuilt from 12 video files"

    result = fix(str(root), report)
    assert [done.action for done in result.done] == [action]
    after = digests(root)
    assert {path for path in after if after[path] != before[path]} <= {path for path in after if "byte_index" in path}
    assert set(after) == set(before)
    assert any(line.startswith("done: build ") for line in result_lines(result))
    fresh = copy_of("av1_multifile", tmp_path / "fresh")
    change_episodes(fresh, f"videos/{TOP}/to_timestamp", 9, 2.3333)
    index(str(fresh))
    assert digests(root / "meta/byte_index") == digests(fresh / "meta/byte_index")
    assert episeek.open(root).episode_count == 10


def test_data_and_sidecars_in_one_run(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    collapse(root, data(1))
    change_episodes(root, f"videos/{TOP}/to_timestamp", 9, 2.3333)
    result = fix(str(root), verify(str(root)))
    assert [done.action.path for done in result.done][-1] == "meta/byte_index"
    assert data(1) in [done.action.path for done in result.done]
    after = verify(str(root))
    assert not {found.code for found in after.findings} & (job.DATA_CODES | job.SIDECAR_CODES)


def test_files_that_no_episode_names_leave_the_sidecars_and_stay_where_they_are(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    files = root / "meta/byte_index/files.parquet"
    orphan = root / video(TOP, 9)
    shutil.copy(root / video(TOP, 0), orphan)
    files.write_bytes(b"damaged")
    result = fix(str(root), report_of(root, ("IDX034", "meta/byte_index/files.parquet"), ("INF004", video(TOP, 9))))
    assert [done.action.codes for done in result.done] == [("IDX034",)]
    assert "-sidecars: no readable build" in list(result_lines(result))
    assert video(TOP, 9) not in pq.read_table(files)["file_path"].to_pylist()
    assert orphan.exists()
    assert [item.code for item in result.unfixed] == ["INF004"]


def test_sidecars_are_not_written_where_there_are_none(tmp_path):
    root = copy_of("av1_multifile", tmp_path)
    before = state(root)
    result = fix(str(root), report_of(root, ("IDX031", video(TOP, 0))))
    assert [(item.code, item.reason) for item in result.unfixed] == [("IDX031", "no sidecars")]
    assert "episeek index" in result.unfixed[0].remedy
    assert state(root) == before
    fix(str(root), all_files(root))
    assert not (root / "meta/byte_index").exists()


def test_sidecars_of_a_missing_video_stay_unfixed(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    (root / video(TOP, 2)).unlink()
    before = state(root)
    result = fix(str(root), report_of(root, ("IDX031", video(TOP, 2))))
    assert result.done == ()
    assert "no such file" in (result.unfixed[0].reason or "")
    assert state(root) == before


def test_sidecars_of_a_damaged_video_stay_unfixed(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    patch(root, video(TOP, 2), lambda contents: contents.__delitem__(slice(20_000, None)))
    before = digests(root / "meta/byte_index")
    result = fix(str(root), report_of(root, ("IDX031", video(TOP, 2)), ("ROW038", data(0))))
    assert [done.action.path for done in result.done] == [data(0)]
    assert [(item.code, item.path) for item in result.unfixed] == [("IDX031", "meta/byte_index")]
    assert video(TOP, 2) in (result.unfixed[0].reason or "")
    assert digests(root / "meta/byte_index") == before


def test_linked_sidecars_stay_unfixed(tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    shutil.move(root / "meta/byte_index", tmp_path / "elsewhere")
    (root / "meta/byte_index").symlink_to(tmp_path / "elsewhere")
    result = fix(str(root), report_of(root, ("IDX031", video(TOP, 2))))
    assert "a symbolic link" in (result.unfixed[0].reason or "")
    assert (root / "meta/byte_index").is_symlink()


def test_a_failure_to_write_sidecars_is_trouble(tmp_path, monkeypatch):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    before = digests(root / "meta/byte_index")

    def full(*_, **__):
        raise WriteError("meta/byte_index", "no space left on the device", "room")

    monkeypatch.setattr("episeek_pipelines.jobs.node_functions.write_sidecars", full)
    with pytest.raises(WorkFailedError, match="no space left"):
        fix(str(root), report_of(root, ("IDX031", video(TOP, 2))), execution=SERIAL)
    assert digests(root / "meta/byte_index") == before

"""Sidecars with the identities of a repository, made from sidecars of local files: the same as from indexing the repository."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import SidecarLayoutError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.staleness import check_index
from episeek_pipelines.jobs.index import index
from episeek_pipelines.publish.overlay.plan import plan_changes
from episeek_pipelines.publish.overlay.sidecar_identities import write_identified_sidecars
from episeek_pipelines.publish.overlay.target_check import TargetCheck, check_target
from episeek_schemas import layout, sidecars
from tests.pipelines.conftest import DATA, digests
from tests.pipelines.publish.overlays import listing_of, prepared
from tests.pipelines.remote_datasets import files_of, hub_datasets

NAMES = ("av1_multifile", "h264_bframes", "hevc", "edited")
TABLES = {name: path for name, (path, _) in sidecars.TABLES.items()}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with hub_datasets(tmp_path_factory.mktemp("hub")) as datasets:
        yield datasets


@dataclass
class Case:
    """A repository with a dataset, and an overlay prepared from the same dataset."""

    url: str
    overlay: Root
    target_check: TargetCheck


@pytest.fixture
def case(hub):
    def make(name, *, overlay=None):
        url = hub.add(files_of(DATA / name))
        chosen = overlay or prepared(name)
        remote = listing_of(hub.hub, url)
        changes = plan_changes(chosen, remote, card=None, sidecars_only=True)
        return Case(url, chosen, check_target(chosen, remote, Root(url).source(), changes=changes, sidecars_only=True))

    return make


def published(hub, case, work, *, fill=True):
    """Send the files that a publication would send."""
    remote = listing_of(hub.hub, case.url)
    replaced = write_identified_sidecars(case.overlay, case.target_check, Root(str(work))) if fill else {}
    changes = plan_changes(case.overlay, remote, card=None, sidecars_only=False, replaced_files=replaced)
    contents = {
        a.path: a.source if isinstance(a.source, bytes) else Path(a.source).read_bytes() for a in changes.additions
    }
    hub.change(case.url, contents, delete=changes.deletions)
    return changes


@pytest.mark.parametrize("name", NAMES)
def test_byte_for_byte_what_indexing_the_repository_writes(name, case, hub, tmp_path):
    made = case(name)
    replaced = write_identified_sidecars(made.overlay, made.target_check, Root(str(tmp_path / "work")))
    assert sorted(replaced) == sorted(TABLES.values())
    published(hub, made, tmp_path / "work")
    index(made.url, output=str(tmp_path / "indexed"), keyframes="all")  # as from this machine
    for path, local in replaced.items():
        assert Path(local).read_bytes() == (tmp_path / "indexed" / path).read_bytes(), path


@pytest.mark.parametrize("name", NAMES)
def test_only_identities_and_the_build_id_change(name, case, tmp_path):
    made = case(name)
    replaced = write_identified_sidecars(made.overlay, made.target_check, Root(str(tmp_path)))
    builds = set()
    for table, path in TABLES.items():
        before, after = (pq.ParquetFile(file) for file in (made.overlay.join(path), replaced[path]))
        metadata = [dict(file.schema_arrow.metadata) for file in (before, after)]
        build_ids = [each.pop(sidecars.BUILD_ID_KEY.encode()) for each in metadata]
        assert metadata[0] == metadata[1]
        assert build_ids[0] != build_ids[1]
        builds.add(build_ids[1])
        rows = [file.read().replace_schema_metadata() for file in (before, after)]
        if table == "files":
            assert set(rows[0]["store_id"].to_pylist()) == {""}
            expected = {unit.path: unit.identity.store_id for unit in made.target_check.units if unit.identity}
            found = dict(zip(rows[1]["file_path"].to_pylist(), rows[1]["store_id"].to_pylist(), strict=True))
            assert found == expected
            assert all(each.startswith("sha256:") for each in found.values())
            rows = [each.drop_columns("store_id") for each in rows]
        assert rows[0].equals(rows[1])
    assert len(builds) == 1


def test_the_same_bytes_again_and_no_temporary_files(case, tmp_path):
    made = case("av1_multifile")
    before = digests(made.overlay.local)
    first = write_identified_sidecars(made.overlay, made.target_check, Root(str(tmp_path / "a")))
    again = write_identified_sidecars(made.overlay, made.target_check, Root(str(tmp_path / "b")))
    write_identified_sidecars(made.overlay, made.target_check, Root(str(tmp_path / "b")))
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert sorted(digests(tmp_path / "a")) == sorted(first) == sorted(again)
    assert digests(made.overlay.local) == before


def test_no_tables_where_the_identities_are_there_already(case, hub, tmp_path):
    made = case("av1_multifile")
    index(made.url, output=str(tmp_path / "indexed"), keyframes="all")  # as from this machine
    filled = case("av1_multifile", overlay=Root(str(tmp_path / "indexed")))
    assert filled.target_check.headers_read == 0
    assert write_identified_sidecars(filled.overlay, filled.target_check, Root(str(tmp_path / "work"))) == {}
    assert not (tmp_path / "work").exists()
    images = case("images")
    assert write_identified_sidecars(images.overlay, images.target_check, Root(str(tmp_path / "work"))) == {}


@pytest.mark.parametrize("fill", [True, False])
def test_readers_need_no_header(fill, case, hub, tmp_path):
    made = case("av1_multifile")
    published(hub, made, tmp_path, fill=fill)
    opened = episeek.open(made.url)
    wanted = [(episode, camera, 0, 2) for episode in range(opened.episode_count) for camera in opened.cameras]
    hub.clear()
    for request in wanted:
        opened.clip(*request).read()
    ranges = [e for e in hub.exchanges() if e.server == "cdn"]
    assert len(ranges) == len(wanted) + (0 if fill else opened.file_count)  # one a clip; else one more a file


def test_published_sidecars_are_not_stale_and_are_reused(case, hub, tmp_path):
    made = case("h264_bframes")
    published(hub, made, tmp_path)
    result = check_index(made.url)
    assert (result.stale, result.headers_read) == ((), 0)
    new = tmp_path / "again"
    for path in TABLES.values():
        target = new / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tmp_path / path, target)
    before = digests(new)
    hub.clear()
    summary = index(made.url, output=str(new)).index
    assert summary is not None
    assert summary.unchanged_files == summary.files > 0
    assert (summary.request_count, digests(new)) == (0, before)
    assert summary.build_id == result.build_id


def test_rows_that_contradict_each_other_get_no_new_id(case, tmp_path):
    made = case("edited")
    shutil.copytree(made.overlay.local, tmp_path / "overlay")
    path = tmp_path / "overlay" / layout.FILES_PATH
    table = pq.read_table(path)
    rows = [row | {"avg_fps": row["avg_fps"] + 1} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    damaged = Root(str(tmp_path / "overlay"))
    with pytest.raises(SidecarLayoutError, match="rows whose build id is"):
        write_identified_sidecars(damaged, made.target_check, Root(str(tmp_path / "work")))
    assert digests(tmp_path / "work") == {}


def test_tables_of_another_index_version_or_rewritten(case, tmp_path):
    made = case("edited")
    shutil.copytree(made.overlay.local, tmp_path / "overlay")
    overlay = Root(str(tmp_path / "overlay"))
    samples = overlay.join(layout.SAMPLES_PATH)
    pq.write_table(pq.read_table(samples), samples, compression="zstd")
    with pytest.raises(SidecarLayoutError, match="do not contain the rows"):
        write_identified_sidecars(overlay, made.target_check, Root(str(tmp_path / "work")))
    for path in TABLES.values():
        table = pq.read_table(overlay.join(path))
        other = {**table.schema.metadata, sidecars.INDEX_VERSION_KEY.encode(): b"0"}
        pq.write_table(table.replace_schema_metadata(other), overlay.join(path))
    with pytest.raises(
        SidecarLayoutError,
        match=f"found index version 0; expected index version {sidecars.INDEX_VERSION}; hint: prepare",
    ):
        write_identified_sidecars(overlay, made.target_check, Root(str(tmp_path / "work")))


def test_row_groups_are_those_of_the_index_step(case, tmp_path):
    made = case("av1_multifile")
    replaced = write_identified_sidecars(made.overlay, made.target_check, Root(str(tmp_path)))
    for path, local in replaced.items():
        before, after = (pq.ParquetFile(file).metadata for file in (made.overlay.join(path), local))
        for group in range(before.num_row_groups):
            for column in range(before.num_columns):
                chunks = [each.row_group(group).column(column) for each in (before, after)]
                assert chunks[0].encodings == chunks[1].encodings
                assert chunks[0].compression == chunks[1].compression

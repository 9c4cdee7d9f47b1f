"""Indexing again: only changed files are read, and the result is that of reading all files."""

import json
import pickle
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import episeek
from episeek_pipelines.cli.lines.summary import prepare_lines
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.existing_rows import ExistingRows
from episeek_pipelines.index.file_rows import index_file
from episeek_pipelines.index.units import plan_index
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.results import IndexSummary, WorkFailedError
from episeek_pipelines.jobs.verify import verify
from episeek_schemas import layout, sidecars
from tests.pipelines.conftest import DATA, copy_dataset, digests
from tests.pipelines.remote_datasets import files_of, hub_datasets, s3_datasets
from tests.support.amount import amount, full_run

FREE_BOX = b"\0\0\0\x08free"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
TOP = "videos/observation.images.top"


@pytest.fixture(scope="module")
def s3():
    with s3_datasets("index-unchanged") as datasets:
        yield datasets


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with hub_datasets(tmp_path_factory.mktemp("hub")) as datasets:
        yield datasets


@pytest.fixture(scope="module", params=["s3", "hub"])
def store(request):
    return request.getfixturevalue(request.param)


def indexed(url: str, output: Path, **options) -> IndexSummary:
    summary = index(url, output=str(output), **options).index
    assert summary is not None
    return summary


def read_paths(store, files: dict[str, bytes]) -> set[str]:
    return {path for path in files if path.endswith(".mp4") and store.ranges_of(path, files[path])}


def with_table(files: dict[str, bytes], change) -> dict[str, bytes]:
    """Files with another meta/episodes."""
    sink = pa.BufferOutputStream()
    pq.write_table(change(pq.read_table(pa.BufferReader(files[EPISODES]))), sink)
    return {**files, EPISODES: sink.getvalue().to_pybytes()}


def with_value(files: dict[str, bytes], column: str, row: int, value: object) -> dict[str, bytes]:
    def change(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        values[row] = value
        position = table.schema.get_field_index(column)
        return table.set_column(
            position, table.schema.field(position), pa.array(values, table.schema.field(position).type)
        )

    return with_table(files, change)


def test_only_the_changed_file_is_read(store, tmp_path):
    files = files_of(DATA / "av1_multifile")
    url = store.add(files)
    first = indexed(url, tmp_path / "out")
    assert (first.files, first.unchanged_files) == (12, 0)
    before = digests(tmp_path / "out")

    store.clear()
    again = indexed(url, tmp_path / "out")
    assert (again.unchanged_files, again.request_count, again.bytes_read) == (12, 0, 0)
    assert again.build_id == first.build_id
    assert digests(tmp_path / "out") == before
    assert read_paths(store, files) == set()

    changed = f"{TOP}/chunk-000/file-002.mp4"
    files = {**files, changed: files[changed] + FREE_BOX}
    store.change(url, {changed: files[changed]})
    store.clear()
    result = index(url, output=str(tmp_path / "out"))
    assert read_paths(store, files) == {changed}
    assert result.index is not None
    assert result.index.unchanged_files == 11
    assert any(
        line.startswith("index    12 video files, 11 unchanged, 752 samples, ") for line in prepare_lines(result)
    )
    indexed(url, tmp_path / "full")
    assert digests(tmp_path / "out") == digests(tmp_path / "full") != before


@pytest.mark.parametrize("seed", range(amount(2, 1)))
def test_any_changes_give_the_bytes_of_a_full_build(seed, hub, tmp_path):
    """A walk of random changes: files replaced, remuxed under the same size, episodes added, removed, declared otherwise."""
    chance = random.Random(seed)
    whole = files = files_of(DATA / ("av1_multifile" if seed % 2 else "edited"))
    url = hub.add(files)
    indexed(url, tmp_path / "out")
    episode_count = pq.read_table(pa.BufferReader(whole[EPISODES])).num_rows
    unchanged = []
    for step in range(5):
        before = files
        kind = chance.choice(["replace", "replace", "episodes", "redeclare"])
        if kind == "replace":
            videos = [path for path in files if path.endswith(".mp4")]
            files = {**files, **{path: files[path] + FREE_BOX for path in chance.sample(videos, chance.randint(1, 3))}}
        elif kind == "episodes":
            kept = chance.randint(1, episode_count)
            files = {**files, EPISODES: with_table(whole, lambda table, kept=kept: table.slice(0, kept))[EPISODES]}
        else:
            row = chance.randrange(pq.read_table(pa.BufferReader(files[EPISODES])).num_rows)
            column = f"videos/{chance.choice(['observation.images.top', 'observation.images.wrist'])}/to_timestamp"
            value = pq.read_table(pa.BufferReader(files[EPISODES]))[column][row].as_py() + 0.0001
            files = with_value(files, column, row, value)
        hub.change(url, {path: content for path, content in files.items() if before[path] is not content})
        unchanged.append(indexed(url, tmp_path / "out").unchanged_files)
        full = indexed(url, tmp_path / f"full{step}")
        assert full.unchanged_files == 0
        assert digests(tmp_path / "out") == digests(tmp_path / f"full{step}"), (kind, step)
    assert sum(unchanged) > 0


@full_run
def test_in_place_in_a_store_and_on_other_processes(s3, tmp_path, monkeypatch):
    monkeypatch.setenv("EPISEEK_CACHE", str(tmp_path / "cache"))
    files = files_of(DATA / "hevc")
    url = s3.add(files)
    assert indexed(url, tmp_path / "out").unchanged_files == 0
    first = index(url).index
    changed = f"{TOP}/chunk-000/file-000.mp4"
    s3.change(url, {changed: files[changed] + FREE_BOX})
    again = index(url, execution=Execution("processes", workers=2)).index
    assert first is not None
    assert again is not None
    assert (first.unchanged_files, again.unchanged_files) == (0, 1)
    indexed(url, tmp_path / "full")
    for path, digest in digests(tmp_path / "full").items():
        (tmp_path / "found").write_bytes(Root(url).read_bytes(path))
        assert digests(tmp_path)["found"] == digest
    assert not [path for path in Root(url).list("meta") if "partial" in path]


def test_a_bucket_has_no_commits_and_says_what_is_unchanged(hub, tmp_path):
    files = files_of(DATA / "hevc")
    hub.hub.add_bucket("acme/bucket", files)
    root = Root("hf://buckets/acme/bucket")
    assert root.pinned() == root
    assert not root.kind.has_history
    indexed(root.url, tmp_path / "out")
    store_ids = pq.read_table(tmp_path / "out" / layout.FILES_PATH)["store_id"].to_pylist()
    assert all(store_id.startswith("xet:") for store_id in store_ids)
    changed = f"{TOP}/chunk-000/file-000.mp4"
    hub.hub.add_bucket("acme/bucket", {changed: files[changed] + FREE_BOX})
    assert indexed(root.url, tmp_path / "out").unchanged_files == 1
    indexed(root.url, tmp_path / "full")
    assert digests(tmp_path / "out") == digests(tmp_path / "full")


def replace_in_footer(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes by as many others, so that the table can still be mapped."""
    raw = path.read_bytes()
    assert len(old) == len(new)
    assert old in raw
    path.write_bytes(raw.replace(old, new))


def truncate(root: Path) -> None:
    path = root / layout.SAMPLES_PATH
    path.write_bytes(path.read_bytes()[:-100])


def flip_samples(root: Path) -> None:
    flip(root / layout.SAMPLES_PATH)


def flip_keyframes(root: Path) -> None:
    flip(root / layout.KEYFRAMES_PATH)


def flip_episodes(root: Path) -> None:
    flip(root / layout.EPISODES_PATH)


def flip(path: Path) -> None:
    """Flip one bit of a value in the middle of the first mapped column after the ids."""
    with pq.ParquetFile(path) as file:
        position = next(k for k, name in enumerate(file.schema.names) if name in ("byte_offset", "mdat_length"))
        chunk = file.metadata.row_group(0).column(position)
    raw = bytearray(path.read_bytes())
    raw[chunk.data_page_offset + chunk.total_compressed_size - 4 * (chunk.num_values // 2) - 4] ^= 1
    path.write_bytes(raw)


def drop_a_table(root: Path) -> None:
    (root / layout.KEYFRAMES_PATH).unlink()


TABLES = (layout.FILES_PATH, layout.EPISODES_PATH, layout.KEYFRAMES_PATH, layout.SAMPLES_PATH)
INDEX_VERSION_ENTRY = b"episeek:index_version\x18\x013"
"""The entry as the footer stores it: Thrift's compact protocol, field 2 of KeyValue, one byte."""


def other_index_version(root: Path) -> None:
    for path in TABLES:
        replace_in_footer(root / path, INDEX_VERSION_ENTRY, INDEX_VERSION_ENTRY[:-1] + b"9")


def without_index_version(root: Path) -> None:
    """Rename the entry: tables without it have index version 1."""
    for path in TABLES:
        replace_in_footer(root / path, b"episeek:index_version", b"someone:index_version")


def other_files(root: Path) -> None:
    path = root / layout.FILES_PATH
    table = pq.read_table(path)
    position = table.schema.get_field_index("timescale")
    values = pa.array([2 * value for value in table["timescale"].to_pylist()], pa.int32())
    pq.write_table(table.set_column(position, table.schema.field(position), values), path)


def mixed_builds(root: Path) -> None:
    build_id = pq.read_schema(root / layout.EPISODES_PATH).metadata[b"episeek:build_id"]
    replace_in_footer(root / layout.EPISODES_PATH, build_id, b"0" * len(build_id))


def fewer_columns(root: Path) -> None:
    path = root / layout.FILES_PATH
    pq.write_table(pq.read_table(path).drop_columns(["episodes_sha256"]), path)


def garbage(root: Path) -> None:
    (root / layout.FILES_PATH).write_bytes(b"PAR1" + bytes(range(256)) + b"PAR1")


def other_tool(root: Path) -> None:
    path = root / layout.SAMPLES_PATH
    pq.write_table(pq.read_table(path), path, compression="zstd")


DAMAGES = (
    truncate, flip_samples, flip_keyframes, flip_episodes, drop_a_table, other_index_version,
    without_index_version, other_files, mixed_builds, fewer_columns, garbage, other_tool,
)  # fmt: skip


@pytest.fixture(scope="module")
def sound(hub, tmp_path_factory):
    url = hub.add(files_of(DATA / "hevc"))
    root = tmp_path_factory.mktemp("sound")
    indexed(url, root)
    return url, root


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_nothing_is_believed_of_damaged_or_foreign_sidecars(damage, sound, tmp_path):
    url, root = sound
    for path in root.rglob("*.parquet"):
        target = tmp_path / "out" / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert digests(tmp_path / "out") == digests(root)
    damage(tmp_path / "out")
    assert digests(tmp_path / "out") != digests(root)
    assert indexed(url, tmp_path / "out").unchanged_files == 0
    assert digests(tmp_path / "out") == digests(root)


def test_another_release_changes_nothing_but_its_name(hub, tmp_path, monkeypatch):
    url = hub.add(files_of(DATA / "hevc"))
    first = indexed(url, tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "before")
    monkeypatch.setattr("episeek_pipelines.index.merge.__version__", "9.9.9")
    again = indexed(url, tmp_path / "out")
    full = indexed(url, tmp_path / "full")
    assert (again.unchanged_files, full.unchanged_files) == (2, 0)
    assert first.build_id == again.build_id == full.build_id
    assert digests(tmp_path / "out") == digests(tmp_path / "full") != digests(tmp_path / "before")
    for path in TABLES:
        before, after = (pq.read_table(tmp_path / name / path) for name in ("before", "out"))
        footers = [dict(table.schema.metadata) for table in (before, after)]
        writers = [footer.pop(b"episeek:writer") for footer in footers]
        assert writers == [f"episeek {episeek.__version__}".encode(), b"episeek 9.9.9"]
        assert footers[0] == footers[1]
        assert before.equals(after)


def test_another_index_version_is_read_again(sound, tmp_path, monkeypatch):
    url, root = sound
    shutil.copytree(root, tmp_path / "out")
    monkeypatch.setattr(sidecars, "INDEX_VERSION", 99)
    result = indexed(url, tmp_path / "out")
    assert result.unchanged_files == 0
    assert result.build_id != pq.read_schema(root / layout.FILES_PATH).metadata[b"episeek:build_id"].decode()
    assert indexed(url, tmp_path / "out").unchanged_files == 2


def test_other_cameras_and_another_rate_are_read_again(hub, tmp_path):
    files = files_of(DATA / "hevc")
    url = hub.add(files)
    indexed(url, tmp_path / "out")
    info = json.loads(files["meta/info.json"])
    features = {name: feature for name, feature in info["features"].items() if not name.endswith("top")}
    for changed in (info | {"fps": 25}, info | {"features": features}):
        hub.change(url, {"meta/info.json": json.dumps(changed).encode()})
        assert indexed(url, tmp_path / "out").unchanged_files == 0
        indexed(url, tmp_path / f"full{changed['fps']}")
        assert digests(tmp_path / "out") == digests(tmp_path / f"full{changed['fps']}")


def test_local_files_are_read_again(dataset, tmp_path):
    """A copy may keep size and times: nothing on a local file system proves that a file is the same."""
    first = indexed(str(dataset), tmp_path / "out")
    again = indexed(str(dataset), tmp_path / "out")
    assert (again.unchanged_files, again.bytes_read) == (0, first.bytes_read)


def test_a_stopped_run_keeps_what_was_taken_over(hub, tmp_path):
    files = files_of(DATA / "hevc")
    url = hub.add(files)
    indexed(url, tmp_path / "out")
    changed = f"{TOP}/chunk-000/file-000.mp4"
    hub.change(url, {changed: files[changed][:5000]})
    with pytest.raises(WorkFailedError, match=changed):
        index(url, output=str(tmp_path / "out"))
    hub.change(url, {changed: files[changed] + FREE_BOX})
    result = index(url, output=str(tmp_path / "out"))
    assert result.is_resumed
    assert result.index is not None
    assert (result.index.reused_files, result.index.unchanged_files) == (1, 1)
    indexed(url, tmp_path / "full")
    assert digests(tmp_path / "out") == digests(tmp_path / "full")


@pytest.mark.parametrize("name", ["av1_multifile", "edited", "h264_bframes", "hevc"])
def test_rows_are_those_that_reading_gives(name, tmp_path):
    summary = indexed(str(DATA / name), tmp_path)
    existing = pickle.loads(pickle.dumps(ExistingRows(Root(str(tmp_path)), summary.build_id)))
    dataset = open_dataset(str(DATA / name))
    for unit in plan_index(dataset, dataset.root):
        _, arrays, _, _ = index_file(dataset.root, unit, fps=dataset.info.fps)
        found = existing.arrays(unit.episodes.episode_index, unit.camera_index)
        assert found is not None
        assert found.keys() == arrays.keys()
        for column, values in arrays.items():
            assert found[column].dtype == values.dtype
            assert np.array_equal(found[column], values)
    assert existing.arrays(np.array([10_000]), 0) is None
    assert ExistingRows(Root(str(tmp_path)), "another build").arrays(np.array([0]), 0) is None


def test_verification_knows_what_was_declared(tmp_path):
    root = copy_dataset("hevc", tmp_path / "source")
    prepare(str(root), str(tmp_path / "out"))
    path = tmp_path / "out" / layout.FILES_PATH
    table = pq.read_table(path)
    position = table.schema.get_field_index("episodes_sha256")
    values = [table["episodes_sha256"][0].as_py(), "0" * 64]
    pq.write_table(table.set_column(position, table.schema.field(position), pa.array(values)), path)
    report = verify(str(tmp_path / "out"), data_root=str(root))
    assert [(f.code, f.location.column) for f in report.findings if f.code.startswith("IDX")] == [
        ("IDX036", "episodes_sha256")
    ]

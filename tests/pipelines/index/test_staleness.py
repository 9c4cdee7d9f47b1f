"""`episeek index --check`: every reason for stale sidecars by name, an exit code, and nothing written."""

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek_pipelines.cli import main
from episeek_pipelines.index.staleness import check_index
from episeek_pipelines.jobs.index import index
from episeek_schemas import layout, sidecars
from tests.pipelines.conftest import DATA, change_episodes, change_info, copy_dataset, digests
from tests.pipelines.remote_datasets import files_of, http_dataset, hub_datasets
from tests.support.broken_datasets import older_version

TOP = "videos/observation.images.top/chunk-000"
WRIST = "videos/observation.images.wrist/chunk-000"
FREE_BOX = b"\0\0\0\x08free"
TABLES = (layout.FILES_PATH, layout.EPISODES_PATH, layout.KEYFRAMES_PATH, layout.SAMPLES_PATH)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with hub_datasets(tmp_path_factory.mktemp("hub")) as datasets:
        yield datasets


def run(capsys, *arguments):
    code = main.main(["index", "--check", *map(str, arguments)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def replace_longer(root):
    path = root / TOP / "file-001.mp4"
    path.write_bytes(path.read_bytes() + FREE_BOX)


def remux_under_the_same_size(root):
    """Change the creation time in the moov box, which keeps its length."""
    path = root / TOP / "file-001.mp4"
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"mvhd") + 11] ^= 0xFF
    path.write_bytes(raw)


def cut(root):
    path = root / TOP / "file-001.mp4"
    path.write_bytes(path.read_bytes()[:20000])


def damage_the_header(root):
    path = root / TOP / "file-001.mp4"
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"moov") - 4] = 0xFF
    path.write_bytes(raw)


def delete(root):
    (root / TOP / "file-001.mp4").unlink()


def redeclare(root):
    change_episodes(root, "videos/observation.images.top/to_timestamp", 9, 2.3333)


def drop_episodes(root):
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(path).slice(0, 9), path)


def other_rate(root):
    change_info(root, fps=25)


def other_version(root):
    change_info(root, codebase_version="v3.1")


def without_sidecars(root):
    for path in TABLES:
        (root / path).unlink()
    (root / layout.BYTE_INDEX_DIR).rmdir()


def truncated(root):
    path = root / layout.SAMPLES_PATH
    path.write_bytes(path.read_bytes()[:-10])


def empty_table(root):
    (root / layout.FILES_PATH).write_bytes(b"")


def with_metadata(path, key, value):
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, key: value}), path)


def other_index_version(root):
    for path in TABLES:
        with_metadata(root / path, b"episeek:index_version", "99")


def other_format(root):
    for path in TABLES:
        with_metadata(root / path, b"episeek:format_version", "3")


def damaged_row(root):
    path = root / layout.FILES_PATH
    table = pq.read_table(path)
    position = table.schema.get_field_index("timescale")
    pq.write_table(
        table.set_column(position, table.schema.field(position), pa.array([0] * table.num_rows, pa.int32())), path
    )


def mixed(root):
    with_metadata(root / layout.SAMPLES_PATH, b"episeek:build_id", "0" * 32)


ALL_EPISODES = {(f"{camera}/file-{number:03d}.mp4", "episodes") for camera in (TOP, WRIST) for number in range(6)}
FILE_001 = f"{TOP}/file-001.mp4"
STALE = {
    replace_longer: {(FILE_001, "changed")},
    remux_under_the_same_size: {(FILE_001, "changed")},
    cut: {(FILE_001, "changed")},
    damage_the_header: {(FILE_001, "changed")},
    delete: {(FILE_001, "gone")},
    redeclare: {(f"{TOP}/file-005.mp4", "episodes")},
    other_rate: ALL_EPISODES,
    other_version: {("meta/info.json", "dataset")},
    without_sidecars: {(layout.FILES_PATH, "sidecars")},
    truncated: {(layout.SAMPLES_PATH, "sidecars")},
    empty_table: {(layout.FILES_PATH, "sidecars")},
    other_index_version: {(layout.BYTE_INDEX_DIR, "sidecars")},
    other_format: {(layout.FILES_PATH, "sidecars")},
    damaged_row: {(f"{layout.FILES_PATH}, row 0", "sidecars")},
    mixed: {(layout.SAMPLES_PATH, "sidecars")},
}


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    root = copy_dataset("av1_multifile", tmp_path_factory.mktemp("indexed") / "source")
    index(str(root))
    return root


@pytest.fixture
def source(indexed, tmp_path):
    return Path(shutil.copytree(indexed, tmp_path / "source"))


def test_nothing_is_stale(source, capsys):
    code, out, err = run(capsys, source)
    assert (code, err) == (0, "")
    assert out == f"check    {source}: 12 video files, none stale (12 headers read, 13.6 kB)\n"
    assert run(capsys, source, "--quiet") == (0, "", "")
    document = json.loads(run(capsys, source, "--json")[1])
    assert document["stale"] == []
    assert (document["file_count"], document["headers_read"]) == (12, 12)


@pytest.mark.parametrize("damage", STALE, ids=lambda damage: damage.__name__)
def test_what_is_stale_is_named(damage, source, tmp_path, capsys):
    damage(source)
    before, beside = digests(source), sorted(tmp_path.iterdir())
    code, out, err = run(capsys, source)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert len(lines) == len(STALE[damage]) + 1
    assert all(line.startswith("stale ") and "found " in line and "; expected " in line for line in lines[:-1])
    is_readable = damage is other_index_version or not any(reason == "sidecars" for _, reason in STALE[damage])
    count = f"{len(STALE[damage])} stale: run `episeek index` to update the sidecars"
    missing = "no readable sidecars: run `episeek index` to write them"
    assert f"12 video files, {count if is_readable else missing}" in lines[-1]
    code, out, _ = run(capsys, source, "--json")
    document = json.loads(out)
    assert code == 1
    assert {(stale["path"], stale["reason"]) for stale in document["stale"]} == STALE[damage]
    assert all(set(stale) == {"path", "reason", "found", "expected"} for stale in document["stale"])
    assert run(capsys, source, "--quiet")[:2] == (1, "".join(f"{line}\n" for line in lines[:-1]))
    assert (digests(source), sorted(tmp_path.iterdir())) == (before, beside)
    if damage not in (cut, damage_the_header, delete):
        index(str(source))
        assert run(capsys, source)[0] == 0


def test_episodes_that_are_gone_and_new(source, tmp_path, capsys):
    whole = digests(source)
    table = pq.read_table(source / "meta/episodes/chunk-000/file-000.parquet")
    drop_episodes(source)
    found = check_index(str(source)).stale
    assert {(stale.path, stale.reason) for stale in found} == {
        (f"{camera}/file-005.mp4", "episodes" if holds_more(table, camera, 5) else "gone") for camera in (TOP, WRIST)
    }
    index(str(source))
    pq.write_table(table, source / "meta/episodes/chunk-000/file-000.parquet")
    found = check_index(str(source)).stale
    assert {(stale.path, stale.reason) for stale in found} == {
        (f"{camera}/file-005.mp4", "episodes" if holds_more(table, camera, 5) else "new") for camera in (TOP, WRIST)
    }
    assert digests(source).keys() == whole.keys()


def holds_more(table, camera, number):
    """Return whether a file holds more than the last episode."""
    key = camera.split("/")[1]
    return table[f"videos/{key}/file_index"].to_pylist().count(number) > 1


def test_the_sidecars_of_another_root(tmp_path, capsys):
    source = DATA / "hevc"
    code, out, _ = run(capsys, source, "--output", tmp_path / "out")
    assert code == 1
    assert "sidecars  meta/byte_index/files.parquet: found no such file" in out
    assert "2 video files, no readable sidecars: run `episeek index` to write them" in out
    assert list(tmp_path.iterdir()) == []
    index(str(source), output=str(tmp_path / "out"))
    before = digests(tmp_path)
    assert run(capsys, source, "--output", tmp_path / "out")[0] == 0
    assert digests(tmp_path) == before


def test_what_cannot_be_done_is_2(tmp_path, capsys):
    code, out, err = run(capsys, tmp_path / "missing")
    assert (code, out) == (2, "")
    assert "no such directory" in err
    root = copy_dataset("hevc", tmp_path / "source")
    index(str(root))
    change_episodes(root, "length", 1, 0)
    code, _, err = run(capsys, root)
    assert code == 2
    assert "length 0" in err


def test_another_release_is_not_stale(source, monkeypatch, capsys):
    for path in TABLES:
        with_metadata(source / path, b"episeek:writer", "episeek 99.0.0")
    assert run(capsys, source)[0] == 0
    monkeypatch.setattr("episeek.version.__version__", "99.1.0")
    monkeypatch.setattr("episeek_pipelines.index.merge.__version__", "99.1.0")
    assert run(capsys, source)[0] == 0


def test_sidecars_without_an_index_version_are_of_version_1(source, monkeypatch, capsys):
    for path in TABLES:
        table = pq.read_table(source / path)
        kept = {key: value for key, value in table.schema.metadata.items() if key != b"episeek:index_version"}
        pq.write_table(table.replace_schema_metadata(kept), source / path)
    code, out, _ = run(capsys, source)
    assert code == 1
    expected = f"index version {sidecars.INDEX_VERSION}"
    assert f"sidecars  {layout.BYTE_INDEX_DIR}: found index version 1; expected {expected}" in out
    monkeypatch.setattr(sidecars, "INDEX_VERSION", 1)
    assert run(capsys, source)[0] == 0


def test_a_readable_format_that_is_no_longer_written_is_stale(source, capsys):
    older_version(source)
    code, out, _ = run(capsys, source)
    assert code == 1
    assert "found format version 1; expected format version 2" in out
    index(str(source))
    assert run(capsys, source)[0] == 0


def test_a_touched_file_is_not_stale(source, capsys):
    os.utime(source / TOP / "file-001.mp4", ns=(1, 1))
    assert run(capsys, source)[0] == 0


def test_a_store_is_listed_and_nothing_is_read(hub, tmp_path, capsys):
    files = files_of(DATA / "hevc")
    url = hub.add(files)
    index(url, output=str(tmp_path))
    hub.clear()
    code, out, _ = run(capsys, url, "--output", tmp_path, "--json")
    assert (code, json.loads(out)["headers_read"]) == (0, 0)
    path = f"{WRIST}/file-000.mp4"
    assert not hub.questions_about(path)
    other = files[path][:-1] + b"!"  # of the same size, and with the same header
    hub.change(url, {path: other})
    before = digests(tmp_path)
    hub.clear()
    code, out, _ = run(capsys, url, "--output", tmp_path)
    assert code == 1
    assert f"changed   {path}: found sha256:" in out
    assert f"; expected {hub.store_id(files[path])}" in out
    assert not hub.questions_about(path)
    assert digests(tmp_path) == before


def test_a_web_server_is_asked_once_a_file(tmp_path, capsys):
    with http_dataset(DATA / "hevc", tmp_path / "web") as server:
        index(server.url, output=str(tmp_path / "out"))
        server.clear()
        code, out, _ = run(capsys, server.url, "--output", tmp_path / "out", "--json")
        assert (code, json.loads(out)["headers_read"]) == (0, 0)
        asked = [e.method for e in server.exchanges() if e.path.endswith(".mp4")]
        assert asked == ["HEAD"] * 2


def test_a_copy_in_a_store_is_compared_by_its_headers(hub, tmp_path, capsys):
    """Sidecars made from local files have no identities with which those of the store could be compared."""
    index(str(DATA / "hevc"), output=str(tmp_path))
    files = files_of(DATA / "hevc")
    url = hub.add(files)
    code, out, _ = run(capsys, url, "--output", tmp_path, "--json")
    assert (code, json.loads(out)["headers_read"]) == (0, 2)
    assert json.loads(out)["bytes_read"] < 200_000

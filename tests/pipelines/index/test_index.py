"""The index step: the tables' exact layout, their contents against plain readers, repeatability, fragments, refusals."""

import hashlib
import json
import os
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import EpisodeOutsideFileError, MetadataError, MissingFileError, TruncatedMp4Error
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.build_id import build_id_of, fragment_digest
from episeek_pipelines.index.existing_build import read_existing_build
from episeek_pipelines.index.existing_rows import ExistingRows
from episeek_pipelines.index.fragments import index_to_fragment
from episeek_pipelines.index.units import plan_index
from episeek_schemas import layout, sidecars
from tests.support.amount import each_choice
from tests.support.build_index import (
    CAMERAS,
    DATA,
    VIDEO_DATASETS,
    build_index,
    copy_dataset,
    episode_frames_in_file,
    make_fragments,
    merge_fragments,
)

TABLES = {
    "files": (layout.FILES_PATH, sidecars.FILES),
    "episodes": (layout.EPISODES_PATH, sidecars.EPISODES),
    "keyframes": (layout.KEYFRAMES_PATH, sidecars.KEYFRAMES),
    "samples": (layout.SAMPLES_PATH, sidecars.SAMPLES),
}
# Written out again on purpose: the format is what design and readers agreed on, not what the schema module happens to say.
COLUMNS = {
    "files": "file_id int32, file_path string, file_size int64, store_id string, moov_sha256 string, moov_offset int64, "
    "moov_length int64, header_length int64, faststart bool, codec string, width int32, height int32, timescale int32, "
    "sample_count int64, avg_fps double, sample_description binary, container string, track_matrix binary, "
    "sample_description_runs binary, episodes_sha256 string, start_description_runs binary, sync_sample_count int64, "
    "sync_samples_inspected int64",
    "episodes": "global_episode_id int64, episode_index int64, camera_index int32, camera_key string, file_id int32, "
    "mdat_offset int64, mdat_length int64, frame_count int32, first_pts double, last_pts double, first_frame_tick int64, "
    "sample_start int64, sample_count int32, keyframe_start int64, keyframe_count int32, lead_in_count int32",
    "keyframes": "global_episode_id int64, pts int64, byte_offset int64, sample_index int32, frame_index int32",
    "samples": "byte_offset uint32, byte_size uint32, pts int32, is_sync bool",
}


def file_digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def data_page_count(raw: bytes, chunk) -> int:
    """Pages of a column chunk, by walking their headers (Thrift compact protocol: three i32 fields come first)."""
    position, count = chunk.data_page_offset, 0
    end = position + chunk.total_compressed_size
    while position < end:
        fields = []
        cursor = position
        for _ in range(3):
            assert raw[cursor] == 0x15
            cursor, value, shift = cursor + 1, 0, 0
            while True:
                byte = raw[cursor]
                cursor, value, shift = cursor + 1, value | (byte & 0x7F) << shift, shift + 7
                if byte < 0x80:
                    break
            fields.append(value >> 1)
        page_bytes = fields[2]
        bits = {"BOOLEAN": 1, "INT32": 32, "INT64": 64, "DOUBLE": 64}[chunk.physical_type]
        if count == 0 and page_bytes == -(-chunk.num_values * bits // 8):
            return 1 if end - position - page_bytes < 128 else -1
        raise AssertionError(f"a page of {page_bytes} bytes")
    return count


@pytest.mark.parametrize("name", VIDEO_DATASETS)
@pytest.mark.parametrize("table", TABLES)
def test_tables_are_laid_out_as_the_format_says(sidecar_roots, name, table):
    path = sidecar_roots[name] / TABLES[table][0]
    with pq.ParquetFile(path) as file:
        footer = file.metadata
        schema = file.schema_arrow
    assert ", ".join(f"{field.name} {field.type}" for field in schema) == COLUMNS[table]
    for position in range(footer.num_columns):
        column = footer.schema.column(position)
        assert column.max_definition_level == 0, f"{column.name} is not REQUIRED"
        if table == "files" or column.name == "camera_key":
            continue
        for group in range(footer.num_row_groups):
            chunk = footer.row_group(group).column(position)
            assert chunk.compression == "UNCOMPRESSED"
            assert not chunk.has_dictionary_page
            assert "PLAIN" in chunk.encodings
            assert not any("DICT" in encoding for encoding in chunk.encodings)
            assert data_page_count(path.read_bytes(), chunk) == 1


@pytest.mark.parametrize("name", VIDEO_DATASETS)
def test_footers_carry_the_same_facts(sidecar_roots, name):
    info = json.loads((DATA / name / "meta/info.json").read_text())
    footers = [pq.read_schema(sidecar_roots[name] / path).metadata for path, _ in TABLES.values()]
    keys = [key.encode() for key in sidecars.FOOTER_KEYS]
    assert all([footer[key] for key in keys] == [footers[0][key] for key in keys] for footer in footers)
    assert [key for key in footers[0] if key.startswith(b"episeek:")] == keys
    versions = [sidecars.FORMAT_VERSION, sidecars.INDEX_VERSION]
    assert [footers[0][key] for key in keys[:2]] == [str(version).encode() for version in versions]
    assert footers[0][keys[2]] == f"episeek {episeek.__version__}".encode()
    described = {key: info[key] for key in ("codebase_version", "fps", "total_episodes", "total_frames")}
    assert json.loads(footers[0][keys[3]]) == described | {"video_keys": list(CAMERAS)}


@pytest.mark.parametrize(
    ("name", "max_row_group_rows"), each_choice(list(VIDEO_DATASETS), [sidecars.MAX_ROW_GROUP_ROWS, 100, 7])
)
def test_duckdb_pyarrow_and_the_map_read_the_same_values(tmp_path, name, max_row_group_rows):
    build_index(DATA / name, tmp_path / "work", tmp_path / "out", max_row_group_rows=max_row_group_rows)
    index = episeek.open(tmp_path / "out", data_root=DATA / name)
    for table, (path, schema) in TABLES.items():
        plain = pq.read_table(tmp_path / "out" / path)
        with duckdb.connect() as connection:
            rows = connection.execute(f"SELECT * FROM '{tmp_path / 'out' / path}'").fetchall()
        assert rows == [tuple(row.values()) for row in plain.to_pylist()]
        if table == "files":
            continue
        assert pq.read_metadata(tmp_path / "out" / path).num_row_groups == -(-plain.num_rows // max_row_group_rows)
        mapped = index.table(table)
        assert mapped.is_mapped
        assert mapped.row_count == plain.num_rows
        for column in set(schema.names) - sidecars.UNMAPPED_COLUMNS:
            expected = plain[column].to_numpy()
            values = mapped.columns[column].slice(0, plain.num_rows)
            assert values.dtype == expected.dtype
            assert values.tolist() == expected.tolist()
            assert [mapped.columns[column].value(row) for row in range(plain.num_rows)] == expected.tolist()


@pytest.mark.parametrize("name", VIDEO_DATASETS)
def test_rows_say_what_the_dataset_and_its_files_say(sidecar_roots, name):
    root = sidecar_roots[name]
    files = pq.read_table(root / layout.FILES_PATH).to_pylist()
    paths = sorted(path.relative_to(DATA / name).as_posix() for path in (DATA / name / "videos").rglob("*.mp4"))
    assert [row["file_path"] for row in files] == paths
    for row in files:
        raw = (DATA / name / row["file_path"]).read_bytes()
        moov = raw[row["moov_offset"] : row["moov_offset"] + row["moov_length"]]
        assert moov[4:8] == b"moov"
        assert int.from_bytes(moov[:4]) == len(moov)
        assert row["moov_sha256"] == hashlib.sha256(moov).hexdigest()
        assert raw[row["header_length"] + 4 : row["header_length"] + 8] == b"mdat"
        assert row["faststart"] == (row["moov_offset"] < row["header_length"])
        assert row["sample_description"] in moov
        assert row["sample_description"][4:8] == b"stsd"
        assert (row["file_size"], row["store_id"]) == (len(raw), "")
        assert row["avg_fps"] == pytest.approx(30)

    declared = pq.read_table(DATA / name / "meta/episodes").to_pylist()
    episodes = pq.read_table(root / layout.EPISODES_PATH).to_pylist()
    samples = pq.read_table(root / layout.SAMPLES_PATH)
    keyframes = pq.read_table(root / layout.KEYFRAMES_PATH)
    assert [row["global_episode_id"] for row in episodes] == list(range(len(declared) * len(CAMERAS)))
    sample_start = keyframe_start = 0
    for number, row in enumerate(episodes):
        episode, camera = divmod(number, len(CAMERAS))
        path, _, length = episode_frames_in_file(DATA / name, CAMERAS[camera])[episode]
        assert (row["episode_index"], row["camera_index"], row["camera_key"]) == (episode, camera, CAMERAS[camera])
        assert files[row["file_id"]]["file_path"] == path
        assert row["frame_count"] == length == row["sample_count"]
        assert row["lead_in_count"] == 0
        assert row["first_pts"] == declared[episode][f"videos/{CAMERAS[camera]}/from_timestamp"]
        assert row["last_pts"] == declared[episode][f"videos/{CAMERAS[camera]}/to_timestamp"]
        assert row["first_frame_tick"] == round(row["first_pts"] * 15360)
        assert (row["sample_start"], row["keyframe_start"]) == (sample_start, keyframe_start)
        own = samples.slice(sample_start, row["sample_count"]).to_pydict()
        ends = [offset + size for offset, size in zip(own["byte_offset"], own["byte_size"], strict=True)]
        assert (min(own["byte_offset"]), max(ends)) == (0, row["mdat_length"])
        assert sorted(own["pts"]) == [512 * frame for frame in range(length)]
        keys = keyframes.slice(keyframe_start, row["keyframe_count"]).to_pydict()
        assert set(keys["global_episode_id"]) == {number}
        assert keys["frame_index"][0] == 0
        for pts, offset, position, frame in zip(*list(keys.values())[1:], strict=True):
            assert pts == row["first_frame_tick"] + 512 * frame
            assert own["pts"][position] == 512 * frame
            assert offset == row["mdat_offset"] + own["byte_offset"][position]
        sample_start += row["sample_count"]
        keyframe_start += row["keyframe_count"]
    assert (sample_start, keyframe_start) == (samples.num_rows, keyframes.num_rows)


def test_same_bytes_again_and_for_fragments_in_any_order(tmp_path):
    name = "av1_multifile"
    build_index(DATA / name, tmp_path / "work-a", tmp_path / "a")
    copy = copy_dataset(name, tmp_path / "copy")  # another path and other times, the same content
    fragments = make_fragments(copy, tmp_path / "work-b")
    merge_fragments(copy, tmp_path / "work-b", fragments[::-1], tmp_path / "b")
    assert len(file_digests(tmp_path / "a")) == 4
    assert file_digests(tmp_path / "a") == file_digests(tmp_path / "b")


def test_build_ids_are_those_of_every_release_with_this_index_version(sidecar_roots):
    """A change here makes all sidecars that exist unusable for another run: bump INDEX_VERSION instead."""
    root = Root(str(sidecar_roots["hevc"]))
    build = read_existing_build(root)
    assert (build.build_id, sidecars.INDEX_VERSION) == ("15a5b5a0ea29aaf0942a2e1a37f357d5", 3)
    rows = ExistingRows(root, build.build_id)
    fragments = [rows.arrays(np.arange(4), camera_index) for camera_index in range(2)]
    row_digests = [
        fragment_digest(record, arrays)
        for record, arrays in zip(build.files.values(), fragments, strict=True)
        if arrays is not None
    ]
    assert build_id_of(build.description, row_digests) == build.build_id


def test_build_id_changes_with_the_content(tmp_path):
    fragments = make_fragments(DATA / "hevc", tmp_path / "work")
    first = merge_fragments(DATA / "hevc", tmp_path / "work", fragments, tmp_path / "a")
    copy = copy_dataset("hevc", tmp_path / "copy")
    with (copy / fragments[0].properties.file_path).open("ab") as stream:
        stream.write(b"\0\0\0\x08free")
    second = merge_fragments(copy, tmp_path / "work", make_fragments(copy, tmp_path / "work"), tmp_path / "b")
    assert first != second


def test_fragments_are_reused_until_their_file_or_its_episodes_change(tmp_path):
    copy = copy_dataset("edited", tmp_path / "copy")
    first = make_fragments(copy, tmp_path / "work")
    assert not any(fragment.is_reused for fragment in first)
    assert all(fragment.bytes_read for fragment in first)
    again = make_fragments(copy, tmp_path / "work")
    assert all(fragment.is_reused for fragment in again)
    assert [fragment.properties for fragment in again] == [fragment.properties for fragment in first]
    assert [fragment.digest for fragment in again] == [fragment.digest for fragment in first]

    touched = copy / first[3].properties.file_path
    os.utime(touched, ns=(1, 1))
    assert [fragment.is_reused for fragment in make_fragments(copy, tmp_path / "work")] == [
        fragment.properties.file_path != first[3].properties.file_path for fragment in first
    ]

    shard = next((copy / "meta/episodes").rglob("*.parquet"))
    table = pq.read_table(shard)
    column = f"videos/{CAMERAS[0]}/to_timestamp"
    values = table[column].to_pylist()
    values[-1] += 0.001
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, pa.array(values)), shard)
    last_file = episode_frames_in_file(DATA / "edited", CAMERAS[0])[-1][0]
    assert [fragment.is_reused for fragment in make_fragments(copy, tmp_path / "work")] == [
        fragment.properties.file_path != last_file for fragment in first
    ]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"not an archive"])
def test_a_damaged_fragment_is_made_anew(tmp_path, content):
    first = make_fragments(DATA / "hevc", tmp_path / "work")
    whole = (tmp_path / "work" / first[0].fragment).read_bytes()
    for damaged in (content, whole[: len(whole) // 2]):
        (tmp_path / "work" / first[0].fragment).write_bytes(damaged)
        assert [fragment.is_reused for fragment in make_fragments(DATA / "hevc", tmp_path / "work")] == [False, True]
        assert (tmp_path / "work" / first[0].fragment).read_bytes() == whole


def test_a_missing_mp4_is_named_before_anything_is_read(tmp_path):
    copy = copy_dataset("edited", tmp_path / "copy")
    gone = [f"videos/{CAMERAS[1]}/chunk-000/file-{number:03d}.mp4" for number in (2, 3)]
    for path in gone:
        (copy / path).unlink()
    with pytest.raises(
        MissingFileError, match=r"file-002\.mp4: found no such file and 1 more; expected the MP4 of episode 2"
    ):
        make_fragments(copy, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_truncated_mp4_is_named(tmp_path):
    copy = copy_dataset("edited", tmp_path / "copy")
    path = f"videos/{CAMERAS[0]}/chunk-000/file-003.mp4"
    whole = (copy / path).read_bytes()
    (copy / path).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TruncatedMp4Error, match=path):
        make_fragments(copy, tmp_path / "work")


def edit_episodes(root: Path, column: str, change) -> None:
    shard = next((root / "meta/episodes").rglob("*.parquet"))
    table = pq.read_table(shard)
    values = change(table[column].to_pylist())
    position = table.schema.get_field_index(column)
    pq.write_table(table.set_column(position, column, pa.array(values, table.schema.field(column).type)), shard)


@pytest.mark.parametrize(("start", "stop"), [(1000, 1001), (np.nan, np.nan), (0, np.nan), (np.nan, 1), (2, 1)])
def test_an_episode_outside_its_file_is_named(tmp_path, start, stop):
    copy = copy_dataset("hevc", tmp_path / "copy")
    edit_episodes(copy, f"videos/{CAMERAS[0]}/from_timestamp", lambda values: [*values[:-1], start])
    edit_episodes(copy, f"videos/{CAMERAS[0]}/to_timestamp", lambda values: [*values[:-1], stop])
    with pytest.raises(EpisodeOutsideFileError, match=f"{CAMERAS[0]}/chunk-000/file-000.mp4, episode 3"):
        make_fragments(copy, tmp_path / "work")


def test_episodes_out_of_order_are_named(tmp_path):
    copy = copy_dataset("hevc", tmp_path / "copy")
    edit_episodes(copy, "episode_index", lambda values: [0, 2, 1, 3])
    with pytest.raises(MetadataError, match=r"row 1: found episode_index 2; expected 1"):
        make_fragments(copy, tmp_path / "work")


def test_a_fragment_too_few_or_too_many_is_named(tmp_path):
    fragments = make_fragments(DATA / "hevc", tmp_path / "work")
    with pytest.raises(MetadataError, match=f"episode 0 of '{CAMERAS[1]}'"):
        merge_fragments(DATA / "hevc", tmp_path / "work", fragments[:1], tmp_path / "out")
    with pytest.raises(MetadataError, match="a second file"):
        merge_fragments(DATA / "hevc", tmp_path / "work", [*fragments, fragments[0]], tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*.tmp")] == []


def test_index_reads_headers_and_the_start_of_each_sync_sample(tmp_path):
    dataset = open_dataset(str(DATA / "av1_multifile"))
    units = plan_index(dataset, dataset.root)
    assert len(units) == 12
    for number, unit in enumerate(units):
        made = index_to_fragment(dataset.root, Root(str(tmp_path)), f"{number}.npz", unit, fps=30)
        assert made.bytes_read <= made.properties.moov_length + (1 << 16)
        assert made.properties.sync_samples_inspected == made.properties.sync_sample_count
        assert made.request_count == 0


def test_a_dataset_without_videos_has_empty_tables(tmp_path):
    build_index(DATA / "images", tmp_path / "work", tmp_path / "out")
    index = episeek.open(tmp_path / "out")
    assert index.cameras == ()
    assert (index.episode_count, index.file_count) == (4, 0)
    assert [index.table(name).row_count for name in ("episodes", "keyframes", "samples")] == [0, 0, 0]

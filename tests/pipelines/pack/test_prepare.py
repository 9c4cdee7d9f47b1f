"""`prepare --videos pack` as a whole: clean by verification, resumable, the same bytes again, and named refusals."""

import json

import pyarrow.parquet as pq
import pytest

from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.jobs import packing
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.pack.plan import BYTES_PER_MB
from episeek_pipelines.pack.write import WrittenVideo, write_packed_file
from tests.features.catalogue import FEATURES
from tests.pipelines.conftest import DATA, change_info, copy_dataset, digests

SERIAL = Execution(scheduler="sync")
SMALL = 0.1
PLACES = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")


class Killed(BaseException):
    """Ends a run as a signal does."""


def test_a_killed_run_goes_on_where_it_was_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    source = copy_dataset("edited", tmp_path / "source")
    change_info(source, video_path="clips/{video_key}/{chunk_index}/{file_index}.mp4")
    for path in sorted((source / "videos").rglob("*.mp4")):
        camera, chunk, name = path.relative_to(source / "videos").parts
        target = source / "clips" / camera / str(int(chunk[6:])) / f"{int(name[5:8])}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    (source / "videos/orphan.mp4").write_bytes(b"of no episode")
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    expected = prepare(str(source), str(undisturbed), videos="pack", video_file_size_mb=SMALL, execution=SERIAL)
    assert expected.packing is not None
    assert expected.packing.files > 2
    written: list[WrittenVideo] = []

    def write_two(*arguments, **options):
        if len(written) == 2:
            raise Killed
        written.append(write_packed_file(*arguments, **options))
        return written[-1]

    monkeypatch.setattr(packing, "write_packed_file", write_two)
    with pytest.raises(Killed):
        prepare(str(source), str(out), videos="pack", video_file_size_mb=SMALL, execution=SERIAL)
    monkeypatch.undo()
    result = prepare(str(source), str(out), videos="pack", video_file_size_mb=SMALL, execution=SERIAL)
    assert result.is_resumed
    assert result.packing is not None
    assert result.packing.reused_files == 2
    without_records = {path for path in digests(undisturbed) if not path.startswith(".episeek")}
    assert {path: digests(out)[path] for path in without_records} == {
        path: digests(undisturbed)[path] for path in without_records
    }
    assert result.verification is not None
    assert not result.verification.findings
    videos = [path for path in without_records if path.endswith(".mp4")]
    assert len(videos) == result.packing.files
    assert all((out / path).stat().st_size < SMALL * BYTES_PER_MB * 1.2 for path in videos)
    # nothing else of the metadata is changed
    found, before = open_dataset(str(out)), open_dataset(str(source))
    assert found.info.video_path == "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    shard = "meta/episodes/chunk-000/file-000.parquet"
    new, old = pq.read_table(out / shard), pq.read_table(source / shard)
    moved = [f"videos/{key}/{field}" for key in before.info.video_keys for field in PLACES]
    assert new.schema == old.schema
    assert new.drop_columns(moved).equals(old.drop_columns(moved))
    documents = [json.loads((root / "meta/info.json").read_text()) for root in (out, source)]
    assert documents[0] == {**documents[1], "video_path": found.info.video_path}


def test_every_file_that_cannot_be_packed_is_named(tmp_path):
    source = copy_dataset("av1_multifile", tmp_path / "source")
    broken = [f"videos/observation.images.top/chunk-000/file-00{number}.mp4" for number in (1, 4)]
    contents = [next(each.build() for each in FEATURES if each.name == name) for name in ("encrypted.mp4", "av1.mkv")]
    for path, data in zip(broken, contents, strict=True):
        (source / path).write_bytes(data)
    with pytest.raises(WorkFailedError) as error:
        prepare(str(source), str(tmp_path / "out"), videos="pack", execution=SERIAL)
    assert [(failure.label, failure.kind) for failure in error.value.failures] == [
        (broken[0], "EncryptedMp4Error"),
        (broken[1], "ContainerError"),
    ]
    assert not (tmp_path / "out").exists()


def test_a_dataset_without_videos_has_nothing_to_pack(tmp_path):
    result = prepare(str(DATA / "images"), str(tmp_path / "out"), videos="pack", execution=SERIAL)
    assert result.packing is not None
    assert result.packing.files == 0
    assert result.verification is not None
    assert not result.verification.findings

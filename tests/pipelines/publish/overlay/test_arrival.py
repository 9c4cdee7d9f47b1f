"""The check of a published revision: what it compares, and how it reports each difference."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import episeek
from episeek.errors import EpiseekError, MissingFileError, MissingSidecarError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.overlay import arrival, file_comparison
from episeek_pipelines.publish.overlay.arrival import check_arrival, sample_clips
from episeek_pipelines.publish.overlay.changes import Addition, Changes
from episeek_pipelines.publish.overlay.plan import plan_changes
from episeek_pipelines.publish.overlay.sidecar_identities import write_identified_sidecars
from episeek_pipelines.publish.overlay.target_check import check_target
from episeek_schemas import layout
from tests.pipelines.conftest import DATA
from tests.pipelines.publish.overlays import listing_of, prepared, repository_of
from tests.pipelines.remote_datasets import files_of, hub_datasets, s3_datasets

NAME = "av1_multifile"
VIDEO = "videos/observation.images.top/chunk-000/file-000.mp4"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with hub_datasets(tmp_path_factory.mktemp("hub")) as datasets:
        yield datasets


@pytest.fixture(scope="module")
def s3():
    with s3_datasets("arrival") as datasets:
        yield datasets


def contents_of(changes):
    return {a.path: a.source if isinstance(a.source, bytes) else Path(a.source).read_bytes() for a in changes.additions}


def publish(hub, work, *, name=NAME, overlay=None, start=None):
    """Publish without the client: plan, check, fill in identities, commit. Return the URL of the commit and the changes."""
    url = hub.add(files_of(DATA / name) if start is None else start)
    overlay = overlay or prepared(name)
    remote = listing_of(hub.hub, url)
    first = plan_changes(overlay, remote, card=None, sidecars_only=False)
    target_check = check_target(overlay, remote, Root(url).source(), changes=first, sidecars_only=False)
    replaced = write_identified_sidecars(overlay, target_check, Root(str(work)))
    changes = plan_changes(overlay, remote, card=None, sidecars_only=False, replaced_files=replaced)
    hub.change(url, contents_of(changes), delete=changes.deletions)
    return f"{url}@{hub.hub.head(url.removeprefix('hf://datasets/'))}", changes


@pytest.fixture
def published(tmp_path):
    """A local directory in place of the published revision, and the changes sent to it."""
    root = tmp_path / "published"
    shutil.copytree(DATA / NAME, root)
    changes = plan_changes(prepared(NAME), repository_of(root), card=None, sidecars_only=False)
    for path, content in contents_of(changes).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    for path in changes.deletions:
        (root / path).unlink()
    return root, changes


SOURCE = Root(str(DATA / NAME))


def arrived(root, changes, *, data_root=SOURCE, **options):
    return check_arrival(str(root), prepared(NAME), data_root, sent=changes, **options)


# --- as sent --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [NAME, "h264_bframes", "hevc", "images", "edited"])
def test_a_publication_on_the_hub(name, hub, tmp_path):
    url, changes = publish(hub, tmp_path, name=name)
    report = check_arrival(url, prepared(name), Root(str(DATA / name)), sent=changes)
    assert report.problems == ()
    assert report.is_as_sent
    assert report.file_count == len(changes.additions)
    assert (report.compared_clips, report.decoded_clips) == (0 if name == "images" else 16, 0)
    assert report.build_id == episeek.open(url).build_id
    assert report.summary.startswith(f"{len(changes.additions)} files as sent")
    assert report.build_id[:12] in report.summary


def test_without_videos_clips_are_decoded(hub, tmp_path):
    url, changes = publish(hub, tmp_path, name="h264_bframes")
    report = check_arrival(url, prepared("h264_bframes"), None, sent=changes, clip_count=5)
    assert report.problems == ()
    assert (report.compared_clips, report.decoded_clips) == (0, 5)
    assert "5 clips decoded" in report.summary


def test_a_full_dataset_in_an_empty_repository(hub, tmp_path):
    overlay = prepared(NAME, "link")
    url, changes = publish(hub, tmp_path, overlay=overlay, start={".gitattributes": b"*.mp4 filter=lfs"})
    assert sum(a.path.endswith(".mp4") for a in changes.additions) == 12
    report = check_arrival(url, overlay, None, sent=changes)
    assert report.problems == ()
    # The overlay has the videos itself.
    assert (report.compared_clips, report.decoded_clips) == (16, 0)
    index = episeek.open(url)
    hub.clear()
    for episode in range(index.episode_count):
        index.clip(episode, index.cameras[0], 0, 1).read()
    assert len([e for e in hub.exchanges() if e.server == "cdn"]) == index.episode_count  # no header


def test_the_source_may_be_in_a_store(hub, tmp_path):
    url, changes = publish(hub, tmp_path, name="edited")
    source = hub.add(files_of(DATA / "edited"))
    report = check_arrival(url, prepared("edited"), Root(source), sent=changes, clip_count=4)
    assert (report.problems, report.compared_clips) == ((), 4)


def test_a_store_without_sha256_is_read(s3, published, monkeypatch):
    root, changes = published
    url = s3.add(files_of(root))
    report = arrived(url, changes)
    assert (report.problems, report.file_count, report.size_only_count) == ((), len(changes.additions), 0)
    monkeypatch.setattr(file_comparison, "_RANGE_BYTES", 1000)
    assert arrived(url, changes).problems == ()
    monkeypatch.setattr(arrival, "MAX_READ_BYTES", 10_000)
    report = arrived(url, changes)
    assert report.size_only_count == sum(a.size > 10_000 for a in changes.additions) > 0
    assert f"({report.size_only_count} compared by size alone)" in report.summary


def test_nothing_sent_compares_the_overlays_own_sidecars(published):
    root, _ = published
    report = check_arrival(str(root), prepared(NAME), Root(str(DATA / NAME)), clip_count=3)
    assert (report.problems, report.file_count, report.compared_clips) == ((), 0, 3)


def test_the_sample_is_the_first_the_last_and_the_same_for_a_seed():
    index = episeek.open(prepared(NAME).url, data_root=DATA / NAME)
    clips = sample_clips(index, 40, seed=3)
    places = [(clip.episode_index, clip.camera_key, clip.start, clip.stop) for clip in clips]
    last = index.episode_count - 1
    assert places[0] == (0, index.cameras[0], 0, 8)
    assert places[1][:2] == (last, index.cameras[-1])
    assert places[1][3] == index.lookup(last, index.cameras[-1]).frame_count
    assert len({place[0] for place in places}) > 5
    assert {place[1] for place in places} == set(index.cameras)
    again = sample_clips(index, 40, seed=3)
    assert [(clip.episode_index, clip.camera_key, clip.start, clip.stop) for clip in again] == places
    other = sample_clips(index, 40, seed=4)
    assert [clip.start for clip in other] != [clip.start for clip in clips]
    assert sample_clips(index, 0, seed=3) == []


# --- not as sent ----------------------------------------------------------------------------------------------------------------


def test_a_file_with_other_bytes_or_another_size(published):
    root, changes = published
    path = root / "data/chunk-000/file-000.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    (root / "data/chunk-000/file-001.parquet").write_bytes(b"short")
    report = arrived(root, changes)
    assert [problem.where for problem in report.problems] == [
        "data/chunk-000/file-000.parquet",
        "data/chunk-000/file-001.parquet",
    ]
    assert report.problems[0].found.startswith("SHA-256 ")
    assert report.problems[1].found == "5 bytes"
    assert report.file_count == len(changes.additions) - 2
    assert not report.is_as_sent
    assert "differs from what was sent: data/chunk-000/file-000.parquet: found SHA-256" in report.summary
    assert report.summary.endswith("(and 1 more)")
    assert "\n" not in report.summary


def test_a_file_on_the_hub_with_another_digest(hub, tmp_path):
    url, changes = publish(hub, tmp_path, name="edited")
    first = next(a for a in changes.additions if a.path.startswith("data/"))
    other = replace(first, sha256="0" * 64)
    sent = replace(changes, additions=tuple(other if a is first else a for a in changes.additions))
    (found,) = check_arrival(url, prepared("edited"), Root(str(DATA / "edited")), sent=sent).problems
    assert (found.where, found.found) == (first.path, f"SHA-256 {first.sha256[:12]}...")


def test_a_file_that_is_missing_or_still_there(published):
    root, changes = published
    (root / "data/chunk-000/file-000.parquet").unlink()
    sent = replace(changes, deletions=("data/chunk-000/file-001.parquet", "data/gone.parquet"))
    report = arrived(root, sent)
    assert report.deleted_count == 1
    missing, still_there = report.problems
    assert missing.found.startswith("MissingFileError: ")
    assert (still_there.where, still_there.expected) == (sent.deletions[0], "no such file, since it was deleted")


def test_sidecars_that_are_missing_or_of_another_build(published):
    root, _ = published
    for path in (root / layout.BYTE_INDEX_DIR).iterdir():
        shutil.copyfile(prepared("edited").local / layout.BYTE_INDEX_DIR / path.name, path)
    report = arrived(root, Changes((), (), 0))
    assert report.problems[0].found.startswith("build ")
    assert {problem.where for problem in report.problems} == {layout.BYTE_INDEX_DIR}
    assert report.compared_clips == 0
    (root / layout.SAMPLES_PATH).unlink()
    (found,) = arrived(root, Changes((), (), 0)).problems
    assert found.found.startswith("MissingSidecarError: ")
    assert arrived(root, Changes((), (), 0)).build_id == ""


def test_a_build_that_was_sent_and_did_not_arrive(published):
    root, changes = published
    files = (prepared("edited").local / layout.FILES_PATH).read_bytes()
    other = Addition(layout.FILES_PATH, files, len(files), "")
    sent = replace(changes, additions=tuple(other if a.path == layout.FILES_PATH else a for a in changes.additions))
    assert any(problem.found.startswith("build ") for problem in arrived(root, sent).problems)


@pytest.mark.parametrize("has_source", [True, False])
def test_a_video_with_other_bytes_under_the_same_header(has_source, published):
    root, changes = published
    index = episeek.open(prepared(NAME).url, data_root=DATA / NAME)
    for path in sorted({clip.file_path for clip in sample_clips(index, 16, seed=0)}):
        record = index.file_of_path(path)
        content = (root / path).read_bytes()
        moov = content[record.moov_offset : record.moov_offset + record.moov_length]
        damaged = content[: record.header_length + 8] + bytes(len(content) - record.header_length - 8)
        (root / path).write_bytes(
            damaged[: record.moov_offset] + moov + damaged[record.moov_offset + record.moov_length :]
        )
    report = arrived(root, changes, data_root=Root(str(DATA / NAME)) if has_source else None)
    assert len(report.problems) == 16
    assert (report.compared_clips, report.decoded_clips) == (0, 0)
    if has_source:
        assert "SHA-256" in report.problems[0].found
        assert report.problems[0].where == "episode 0 of 'observation.images.top', frames [0, 8)"
    else:
        assert report.problems[0].found.startswith("DecodeError: ")


def test_a_video_that_was_replaced(published):
    root, changes = published
    (root / VIDEO).write_bytes(b"other")
    report = arrived(root, changes, clip_count=1)
    (found,) = report.problems
    assert found.found.startswith(("ChangedFileError: ", "ShortReadError: "))


def test_faults_of_the_overlay_are_raised(published, tmp_path):
    root, changes = published
    with pytest.raises(MissingFileError):
        arrived(root, changes, data_root=Root(str(tmp_path)))
    with pytest.raises(MissingSidecarError):
        check_arrival(str(root), Root(str(tmp_path / "nothing")), None)


def test_a_revision_that_does_not_exist(hub):
    report = check_arrival(f"hf://datasets/acme/none@{'0' * 40}", prepared(NAME), Root(str(DATA / NAME)))
    assert not report.is_as_sent
    assert issubclass(getattr(episeek.errors, report.problems[0].found.partition(":")[0]), EpiseekError)

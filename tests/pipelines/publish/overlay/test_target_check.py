"""The check that an overlay belongs to its target: by identity, by header where there is none; how mismatches are reported."""

import json
import pickle
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.errors import MixedBuildError, NotADatasetError, ReadError
from episeek.stores.identity import FileIdentity
from episeek.stores.requests.retry import DEFAULT_POLICY
from episeek.stores.transports.hub.source import HubSource
from episeek.stores.transports.local import LocalSource
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.publish.overlay.changes import RemoteFile
from episeek_pipelines.publish.overlay.plan import plan_changes
from episeek_pipelines.publish.overlay.target_check import TargetMismatchError, check_target, identity_in_target
from episeek_schemas import layout
from tests.pipelines.conftest import DATA, change_episodes, change_info, copy_dataset
from tests.pipelines.publish.overlays import in_git, in_lfs, listing_of, prepared, repository_of
from tests.pipelines.remote_datasets import files_of, hub_datasets
from tests.support.remux import remux

FIRST = "videos/observation.images.top/chunk-000/file-000.mp4"
SECOND = "videos/observation.images.top/chunk-000/file-001.mp4"


@pytest.fixture
def repository(tmp_path):
    """A directory in place of the repository."""
    return copy_dataset("av1_multifile", tmp_path / "repository")


@pytest.fixture
def overlay(tmp_path):
    shutil.copytree(prepared("av1_multifile").local, tmp_path / "overlay")
    return Root(str(tmp_path / "overlay"))


def check(overlay, repository, *, remote=None, sidecars_only=False):
    """Plan and check as a publication does; `repository` is read instead of the Hub."""
    listed = repository_of(repository) if remote is None else remote
    changes = plan_changes(overlay, listed, card=None, sidecars_only=sidecars_only)
    source = LocalSource(str(repository))
    return check_target(overlay, listed, source, changes=changes, sidecars_only=sidecars_only)


def problems(*args, **options):
    with pytest.raises(TargetMismatchError) as caught:
        check(*args, **options)
    assert len(caught.value.problems) > 0
    return caught.value.problems


def with_rows(overlay, change):
    """Rewrite the table `files` with changed rows."""
    path = overlay.join(layout.FILES_PATH)
    table = pq.read_table(path)
    rows = [change(row) for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path, compression="zstd", use_dictionary=False)


def store_id(path, repository, kind="sha256"):
    return identity_in_target(in_lfs(path, (repository / path).read_bytes())).store_ids[0].replace("sha256", kind)


# --- what is accepted -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["av1_multifile", "h264_bframes", "hevc", "images", "edited"])
@pytest.mark.parametrize("sidecars_only", [False, True])
def test_an_overlay_of_the_repository(name, sidecars_only):
    target_check = check(prepared(name), DATA / name, sidecars_only=sidecars_only)
    videos = {path: file for path, file in repository_of(DATA / name).items() if path.endswith(".mp4")}
    assert {unit.path: unit.identity for unit in target_check.units} == {
        path: FileIdentity(file.size, (f"sha256:{file.sha256}",)) for path, file in videos.items()
    }
    assert (target_check.headers_read, target_check.request_count) == (len(videos), len(videos))
    moovs = pq.read_table(prepared(name).join(layout.FILES_PATH))["moov_length"].to_pylist()
    assert target_check.bytes_read == sum(moovs)
    info = json.loads((DATA / name / layout.INFO_PATH).read_text())
    assert (target_check.episode_count, target_check.frame_count) == (info["total_episodes"], info["total_frames"])


def test_identities_cost_no_request(overlay, repository):
    with_rows(overlay, lambda row: row | {"store_id": store_id(row["file_path"], repository)})
    target_check = check(overlay, repository)
    assert (target_check.headers_read, target_check.request_count, target_check.bytes_read) == (0, 0, 0)
    listed = {path: replace(file, xet_hash="f" * 64) for path, file in repository_of(repository).items() if file.sha256}
    with_rows(overlay, lambda row: row | {"store_id": f"xet:{'f' * 64}"})
    target_check = check(overlay, repository, remote={**repository_of(repository), **listed})
    assert target_check.request_count == 0
    assert target_check.units[0].identity is not None
    assert target_check.units[0].identity.store_ids == (store_id(FIRST, repository), f"xet:{'f' * 64}")


def test_etags_of_another_store_prove_nothing(overlay, repository):
    with_rows(overlay, lambda row: row | {"store_id": "etag:d41d8cd98f00b204e9800998ecf8427e"})
    assert check(overlay, repository).headers_read == 12
    content = (repository / FIRST).read_bytes()
    listed = {**repository_of(repository), FIRST: in_git(FIRST, content)}
    target_check = check(overlay, repository, remote=listed)
    assert target_check.headers_read == 12
    assert target_check.units[0].identity == FileIdentity(len(content), (f"etag:{in_git(FIRST, content).blob_id}",))
    with_rows(overlay, lambda row: row | {"store_id": f"etag:{in_git(FIRST, content).blob_id}"})
    assert check(overlay, repository, remote=listed).headers_read == 11


def test_videos_that_the_overlay_sends_or_holds(repository):
    overlay = prepared("av1_multifile", "link")
    assert (check(overlay, repository).headers_read, check(overlay, repository).request_count) == (12, 0)
    for video in repository.rglob("*.mp4"):
        video.unlink()
    target_check = check(overlay, repository)
    assert [unit.path for unit in target_check.units] == [p for p in overlay.list() if p.endswith(".mp4")]
    assert all(unit.identity and unit.identity.store_id.startswith("sha256:") for unit in target_check.units)


def test_local_files_are_not_read_from_the_repository(repository):
    overlay = prepared("av1_multifile", "link")
    remote = repository_of(repository)
    for video in repository.rglob("*.mp4"):
        video.write_bytes(b"not to be read")
    assert check(overlay, repository, remote=remote).headers_read == 12
    with pytest.raises(ReadError):
        check(overlay, repository, remote=remote, sidecars_only=True)  # which sends no videos, whatever is here


def test_headers_are_read_by_ranges_from_the_hub(tmp_path):
    name = "h264_bframes"
    with hub_datasets(tmp_path / "cache") as hub:
        url = hub.add(files_of(DATA / name))
        remote = listing_of(hub.hub, url)
        changes = plan_changes(prepared(name), remote, card=None, sidecars_only=False)
        source = HubSource.from_url(url, storage_options={}, policy=DEFAULT_POLICY)
        hub.clear()
        target_check = check_target(prepared(name), remote, source, changes=changes, sidecars_only=False)
        ranges = [e for e in hub.exchanges() if e.server == "cdn"]
        assert len(ranges) == target_check.request_count == target_check.headers_read > 0
        assert sum(e.sent_bytes for e in ranges) == target_check.bytes_read
        hub.clear()
        check_target(prepared(name), remote, source, changes=changes, sidecars_only=True)
        whole = {path for path in remote if path == layout.INFO_PATH or path.startswith("meta/episodes/")}
        assert sum(len(hub.questions_about(path)) for path in whole) == len(whole)


def test_sidecars_alone_are_compared_with_the_repositorys_metadata(tmp_path, repository):
    index(str(DATA / "av1_multifile"), output=str(tmp_path / "index"))
    overlay = Root(str(tmp_path / "index"))
    assert len(check(overlay, repository, sidecars_only=True).units) == 12
    change_episodes(repository, "videos/observation.images.top/from_timestamp", 1, 0.5)
    (found,) = problems(overlay, repository, sidecars_only=True)
    assert found.found.startswith("declared episodes with digest")
    assert found.path == open_dataset(str(repository)).video_paths("observation.images.top")[1]


# --- what is refused ------------------------------------------------------------------------------------------------------------


def test_a_video_of_another_size(overlay, repository):
    with open(repository / SECOND, "ab") as stream:
        stream.write(b"\0\0\0\x08free")
    (found,) = problems(overlay, repository)
    size = (repository / SECOND).stat().st_size
    assert (found.path, found.found, found.expected) == (
        SECOND,
        f"{size} bytes",
        f"{size - 8}, as when it was indexed",
    )


@pytest.mark.parametrize("kind", ["sha256", "xet"])
def test_a_video_of_another_identity(kind, overlay, repository):
    with_rows(overlay, lambda row: row | {"store_id": f"{kind}:{'0' * 64}" if row["file_path"] == SECOND else ""})
    remote = repository_of(repository)
    remote[SECOND] = replace(remote[SECOND], xet_hash="1" * 64)
    (found,) = problems(overlay, repository, remote=remote)
    assert found.path == SECOND
    assert f"{kind}:" in found.found
    assert found.expected.startswith(f"{kind}:{'0' * 64}")


def test_a_video_with_another_header(overlay, repository):
    content = (repository / SECOND).read_bytes()
    at = content.index(b"mvhd") + 8
    (repository / SECOND).write_bytes(content[:at] + b"\1\2\3\4" + content[at + 4 :])
    (found,) = problems(overlay, repository)
    assert found.path == SECOND
    assert "digest" in found.found
    assert "the header that was indexed" in found.expected


def test_a_missing_video(overlay, repository):
    (repository / FIRST).unlink()
    (repository / SECOND).unlink()
    found = problems(overlay, repository)
    assert [problem.path for problem in found] == [FIRST, SECOND]
    assert found[0].found == "no such file in the target, and none is sent"
    assert found[0].expected == "the MP4 of episode 0"


def test_sidecars_that_list_other_files(overlay, repository):
    def renamed(row):
        return row | (
            {"file_path": row["file_path"].replace("file-001", "file-0010")} if row["file_path"] == SECOND else {}
        )

    with_rows(overlay, renamed)
    found = problems(overlay, repository)
    assert [(problem.path, problem.found) for problem in found] == [
        (SECOND, "no row in the sidecars"),
        (SECOND.replace("file-001", "file-0010"), "a row in the sidecars, but no episode in the file"),
    ]


def test_metadata_of_another_dataset(overlay, repository):
    change_info(overlay.local, fps=25)
    found = problems(overlay, repository)
    assert layout.INFO_PATH in {problem.path for problem in found}


def test_data_files_that_will_be_missing(overlay, repository):
    (overlay.local / "data/chunk-000/file-001.parquet").unlink()
    (found,) = problems(overlay, repository)  # the repository's is deleted: it was replaced
    assert found.path == "data/chunk-000/file-001.parquet"
    assert found.found == "no such file after the publication"
    assert found.expected.startswith("the rows of episode ")
    (repository / "data/chunk-000/file-001.parquet").unlink()
    (again,) = problems(prepared("av1_multifile"), repository, sidecars_only=True)
    assert again.path == found.path


def test_all_problems_are_kept_and_the_first_are_shown(overlay, repository):
    for video in repository.rglob("*.mp4"):
        video.write_bytes(b"other")
    with pytest.raises(TargetMismatchError, match=r"12 problems: videos/.*file-000.* and 9 more; expected") as caught:
        check(overlay, repository)
    error = caught.value
    assert len(error.problems) == 12
    assert [problem.path for problem in error.problems] == sorted(problem.path for problem in error.problems)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.problems) == (str(error), error.problems)
    assert str(repository) in str(error)


@pytest.mark.parametrize("container", ["fragmented", "matroska"])
def test_other_containers(container, tmp_path):
    source = copy_dataset("edited", tmp_path / "source")
    videos = list(source.rglob("*.mp4"))
    for video in videos:
        remux(video, container)
    prepare(str(source), str(tmp_path / "prepared"))
    overlay = Root(str(tmp_path / "prepared"))
    assert set(pq.read_table(overlay.join(layout.FILES_PATH))["container"].to_pylist()) == {container}
    assert check(overlay, source).headers_read == len(videos)
    with_rows(overlay, lambda row: row | {"moov_sha256": "0" * 64})
    assert [problem.found[:6] for problem in problems(overlay, source)] == ["digest"] * len(videos)


def test_sidecars_that_cannot_be_read(overlay, repository):
    remote = repository_of(repository)
    changes = plan_changes(overlay, remote, card=None, sidecars_only=False)
    shutil.copyfile(prepared("edited").join(layout.FILES_PATH), overlay.join(layout.FILES_PATH))
    source = LocalSource(str(repository))
    with pytest.raises(MixedBuildError):
        check_target(overlay, remote, source, changes=changes, sidecars_only=False)


def test_a_repository_without_metadata(overlay, repository):
    remote: dict[str, RemoteFile] = {}
    changes = plan_changes(overlay, repository_of(repository), card=None, sidecars_only=True)
    with pytest.raises(NotADatasetError):
        check_target(overlay, remote, LocalSource(str(repository)), changes=changes, sidecars_only=True)

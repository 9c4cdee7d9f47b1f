"""Publishing onto a repository of the offline Hub: the bytes that are sent, the clips that readers get, and the options."""

import io

import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import DestinationError
from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.publish.hub.options import PublishOptions
from episeek_pipelines.publish.overlay.files import SIDECAR_PATHS
from episeek_schemas import layout
from tests.pipelines.conftest import DATA, copy_dataset
from tests.pipelines.publish.overlays import change_one_data_file, prepared
from tests.pipelines.publish.published import burned_in, check_readable
from tests.pipelines.remote_datasets import files_of
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.publish_hub import NAME, SMALL, TAG

pytestmark = CLIENT_WARNINGS


def test_publish_and_again_and_what_has_changed(running, tmp_path):
    name = "edited"
    base = running.start(NAME, files_of(DATA / name))
    source = copy_dataset(name, tmp_path / "source")
    overlay = prepared(name).url
    first = running.publish(overlay, source=name, options=PublishOptions(clip_count=6))
    assert (first.is_new, first.commit_count, first.tag_moved, first.attempts) == (True, 1, True, 1)
    assert first.parent == base
    assert running.main_commits[:2] == [first.commit, base]
    assert running.tag == first.commit == running.head
    assert first.verification is not None
    assert first.verification.error_count == 0
    assert first.arrival is not None
    assert first.arrival.compared_clips == 6
    assert not running.asked("PUT", f"{name}.mp4")

    for revision in ("main", TAG):
        opened = episeek.open(f"hf://datasets/{NAME}@{revision}")
        clips = [(episode, camera, 3, 7) for episode in range(opened.episode_count) for camera in opened.cameras]
        running.hub.clear()
        for found, expected in burned_in(opened, clips):
            assert found == expected
        assert len([e for e in running.hub.exchanges() if e.server == "cdn"]) == len(clips), "a header was asked for"
    assert all(store_id.startswith("sha256:") for store_id in store_ids(running))

    running.hub.clear()
    again = running.publish(overlay, source=name)
    assert (again.is_new, again.commit_count, again.tag_moved, again.commit) == (False, 0, False, first.commit)
    assert running.changing() == []
    assert running.tag == running.head == first.commit

    change_one_data_file(source)
    prepare(str(source), str(tmp_path / "overlay"))
    running.hub.clear()
    third = running.publish(str(tmp_path / "overlay"), source=name)
    sent = {addition.path for addition in third.changes.additions}
    assert sent == {"data/chunk-000/file-000.parquet"}
    assert third.changes.deletions == ()
    (committed,) = running.asked("POST", "/commit/")
    (uploaded,) = running.asked("PUT", "/lfs/")
    assert uploaded.received_bytes == third.changes.byte_count
    assert committed.received_bytes < 2000
    assert running.tag == running.head == third.commit
    assert running.main_commits == [third.commit, first.commit, base, running.main_commits[-1]]


def store_ids(hub):
    content = hub.hub.state.lfs_content(hub.tree()[layout.FILES_PATH].sha256)
    return pq.read_table(io.BytesIO(content))["store_id"].to_pylist()


def test_options_that_exclude_each_other():
    with pytest.raises(ValueError, match="create_pr"):
        PublishOptions(create_pr=True, branch="next")
    with pytest.raises(ValueError, match="private"):
        PublishOptions(private=True)


def test_a_dry_run_sends_nothing(hub):
    result = hub.publish(prepared(SMALL).url, source=SMALL, options=PublishOptions(dry_run=True))
    assert hub.is_untouched
    assert hub.asked("POST", "/preupload/") == []
    assert (result.commit, result.arrival, result.tag_moved) == ("", None, False)
    done = hub.publish(prepared(SMALL).url, source=SMALL)
    assert [a.path for a in done.changes.additions] == [a.path for a in result.changes.additions]


def test_a_repository_is_made(running):
    running.start(NAME, files_of(DATA / SMALL))
    running.name = "acme/made"
    full = prepared(SMALL, "link").url
    with pytest.raises(DestinationError, match="--create"):
        running.publish(full)
    dry = running.publish(full, options=PublishOptions(create=True, dry_run=True, is_verified=False))
    assert dry.parent == dry.commit == ""
    with pytest.raises(DestinationError, match="--videos link"):
        running.publish(prepared(SMALL).url, source=SMALL, options=PublishOptions(create=True))
    assert ("dataset", "acme/made") not in running.hub.state.store.repositories, "made for nothing"
    result = running.publish(full, options=PublishOptions(create=True, private=True, clip_count=2))
    assert running.hub.repository("acme/made").is_private
    assert [a.path for a in dry.changes.additions] == [a.path for a in result.changes.additions]
    assert running.tag == running.head == result.commit
    check_readable(f"hf://datasets/acme/made@{TAG}")


def test_a_pull_request_for_others(hub):
    base, options = hub.head, PublishOptions(create_pr=True, is_verified=False, clip_count=2)
    result = hub.publish(prepared(SMALL).url, source=SMALL, options=options)
    assert result.pull_request is not None
    assert result.pull_request.endswith("/discussions/1")
    assert (result.is_new, result.tag_moved) == (True, False)
    assert hub.head == hub.tag == base
    check_readable(f"hf://datasets/{NAME}@refs%2Fpr%2F1")
    again = hub.publish(prepared(SMALL).url, source=SMALL, options=options)
    assert (again.is_new, again.pull_request, again.commit) == (False, result.pull_request, result.commit)
    assert len(hub.hub.repository(NAME).discussions) == 1


def test_another_branch(hub):
    base = hub.head
    hub.hub.move_branch(NAME, base, "next")
    options = PublishOptions(branch="next", is_verified=False, clip_count=2)
    result = hub.publish(prepared(SMALL).url, source=SMALL, options=options)
    assert hub.hub.head(NAME, "next") == result.commit
    assert hub.head == hub.tag == base
    assert not result.tag_moved


@pytest.mark.parametrize("is_indexed", [True, False], ids=["index --output", "prepare"])
def test_sidecars_alone(is_indexed, hub, tmp_path):
    overlay = prepared(SMALL).url
    if is_indexed:
        overlay = str(tmp_path / "indexed")
        index(str(DATA / SMALL), output=overlay)
    options = PublishOptions(sidecars_only=True, clip_count=2)
    before = hub.tree()
    result = hub.publish(overlay, source=SMALL, options=options)
    assert {a.path for a in result.changes.additions} == {"README.md", *SIDECAR_PATHS}
    assert (result.verification is None) is is_indexed
    assert {path: entry for path, entry in hub.tree().items() if path in before} == before
    check_readable(f"hf://datasets/{NAME}@{TAG}")
    assert not hub.publish(overlay, source=SMALL, options=options).is_new

"""Publishing as a whole on the offline Hub: what travels, what readers see whenever it stops, and who wins a race."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

import episeek
from episeek_pipelines.prepare import prepare
from episeek_pipelines.publishing import PublishOptions
from episeek_schemas import layout
from tests.pipelines.conftest import DATA, copy_dataset
from tests.pipelines.publish.overlays import prepared
from tests.pipelines.remote_datasets import files_of
from tests.support import bar_code
from tests.support.publish_hub import TAG, publish_hub

# The client's own upload uses what its HTTP library calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")

NAME = "acme/ds"
SMALL = "hevc"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with publish_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
def hub(running):
    running.start(NAME, files_of(DATA / SMALL))
    return running


def burned_in(index, clips):
    """The numbers in the pictures of clips, each with the frames it should show."""
    for episode, camera, start, stop in clips:
        yield bar_code.read(np.asarray(index.clip(episode, camera, start, stop).decode("pyav"))), [*range(start, stop)]


# --- what travels ---------------------------------------------------------------------------------------------------------


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
        index = episeek.open(f"hf://datasets/{NAME}@{revision}")
        clips = [(episode, camera, 3, 7) for episode in range(index.episode_count) for camera in index.cameras]
        running.hub.clear()
        for found, expected in burned_in(index, clips):
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
    return pq.read_table(__import__("io").BytesIO(content))["store_id"].to_pylist()


def change_one_data_file(root):
    path = sorted((root / "data").rglob("*.parquet"))[0]
    table = pq.read_table(path)
    column = table.schema.get_field_index("action")
    values = [[value + 1 for value in row] for row in table["action"].to_pylist()]
    pq.write_table(table.set_column(column, table.schema.field(column), [values]), path)


# --- somebody stops -------------------------------------------------------------------------------------------------------

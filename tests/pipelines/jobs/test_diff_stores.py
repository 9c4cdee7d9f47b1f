"""`diff` of datasets in stores: what is equal by digests is not fetched, and revisions of a repository are told apart."""

import shutil

import pytest

from episeek_pipelines.api import diff
from episeek_pipelines.comparison.results import ColumnChange, EpisodeChange
from tests.pipelines.conftest import DATA, copy_dataset
from tests.pipelines.remote_datasets import files_of, hub_datasets, s3_datasets
from tests.support.amount import IS_FULL
from tests.support.edited_datasets import change_cell, flip_bytes
from tests.support.remux import remux

EXPECTED = (EpisodeChange(4, 4, columns=(ColumnChange("action", 1, 3),)),)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with hub_datasets(tmp_path_factory.mktemp("hub")) as datasets:
        yield datasets


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A dataset in which one value of one of three data files differs."""
    root = copy_dataset("av1_multifile", tmp_path_factory.mktemp("changed") / "copy")
    change_cell(root, 4, 3, "action", lambda value: [*value[:-1], value[-1] + 1])
    return root


def fetched(hub, root):
    """The data files and videos of which any byte was fetched."""
    return [path for path, data in files_of(root).items() if path[:4] in ("data", "vide") and hub.ranges_of(path, data)]


def test_of_two_revisions_only_what_changed_is_fetched(hub, changed):
    url = hub.add(files_of(DATA / "av1_multifile"))
    first = hub.hub.head(url.removeprefix("hf://datasets/"))
    hub.change(url, {path: data for path, data in files_of(changed).items() if path.startswith("data/")})
    hub.clear()
    found = diff(f"{url}@{first}", url)
    assert found.changed == EXPECTED
    assert first in found.a.url
    assert first not in found.b.url
    assert found.reading.headers == 0
    (path,) = [path for path, data in files_of(changed).items() if data != (DATA / "av1_multifile" / path).read_bytes()]
    assert fetched(hub, DATA / "av1_multifile") == fetched(hub, changed) == [path]
    assert not diff(f"{url}@{first}", f"{url}@{first}").is_different


def test_a_local_copy_is_compared_by_its_digests(hub, changed):
    url = hub.add(files_of(DATA / "av1_multifile"))
    hub.clear()
    assert not diff(url, str(DATA / "av1_multifile")).is_different
    assert fetched(hub, DATA / "av1_multifile") == []
    assert diff(url, str(changed)).changed == EXPECTED


def test_remuxed_videos_on_the_hub_are_read_where_sizes_leave_it_open(hub, tmp_path):
    shutil.copytree(DATA / "av1_multifile", tmp_path / "flipped")
    flip_bytes(min((tmp_path / "flipped/videos").rglob("*.mp4")), [2])
    for video in (tmp_path / "flipped/videos").rglob("*.mp4"):
        remux(video, "fragmented")
    urls = [hub.add(files_of(root)) for root in (DATA / "av1_multifile", tmp_path / "flipped")]
    found = diff(*urls)
    (change,) = found.changed
    assert [(video.different_samples, video.first_sample) for video in change.videos] == [(1, 2)]
    assert found.reading.samples == 752
    less = diff(*urls, level="rows")
    assert not less.is_different
    assert less.reading.samples == 0
    assert less.reading.byte_count < found.reading.byte_count


@pytest.mark.skipif(not IS_FULL, reason="a server of S3 takes seconds; identities have tests of their own")
def test_prefixes_of_a_bucket(changed):
    with s3_datasets("diff") as s3:
        urls = [s3.add(files_of(root)) for root in (DATA / "av1_multifile", changed)]
        s3.clear()
        found = diff(*urls)
        assert found.changed == EXPECTED
        assert (found.reading.data_files, found.reading.headers) == (2, 0)
        assert not any(s3.ranges_of(path, data) for path, data in files_of(changed).items() if path.endswith(".mp4"))

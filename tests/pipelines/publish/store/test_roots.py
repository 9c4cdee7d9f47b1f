"""Publications change nothing beside a root: names are no patterns, and folders of other places are refused."""

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from episeek.errors import DestinationError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.index import index
from episeek_pipelines.publish.store.journal import JOURNAL_PATH
from episeek_pipelines.publish.store.publish import publish_to_store
from episeek_pipelines.publish.store.writers import directory
from episeek_pipelines.publish.store.writers.open_writer import open_writer
from tests.pipelines.conftest import DATA, copy_dataset
from tests.pipelines.publish.overlays import prepared
from tests.pipelines.remote_datasets import files_of
from tests.support.amount import first
from tests.support.publish_s3 import OVERWRITE, QUICK, STAGED, UNVERIFIED

NAME = "hevc"
OLD_PATHS = [f"data/chunk-000/file-{number:03}.parquet" for number in (1, 2, 3)]


def publish(url, options=OVERWRITE):
    return publish_to_store(prepared(NAME).url, str(url), data_root=str(DATA / NAME), options=options, retry=QUICK)


@pytest.mark.parametrize("pattern", first(["run[1]", "run?", "run*"]))
def test_a_root_is_no_pattern(s3, pattern):
    files = {**files_of(DATA / NAME), **dict.fromkeys(OLD_PATHS, b"rows")}
    innocent = s3.start({**files, f"{STAGED}0123456789abcdef/file": b"staged", JOURNAL_PATH: b"{}"})
    url = f"{innocent[:-1]}{pattern.removeprefix('run').replace('1', innocent[-1])}"
    s3.datasets.change(url, files)
    before = s3.files(innocent)
    result = publish(url)
    assert list(result.changes.deletions) == OLD_PATHS
    index(url)
    assert s3.files(innocent) == before
    there = s3.files(url)
    assert not [path for path in there if path.startswith(STAGED) or path in OLD_PATHS]


@pytest.mark.parametrize("url", ["memory://episeek-roots", "local"])
def test_names_are_no_patterns_when_files_are_removed(url, tmp_path):
    url = str(tmp_path) if url == "local" else url
    root = Root(url)
    for name in ("run1/a/b", "run[1]/a/b", "run[1]/c", "run*"):
        root.write_bytes(name, b"x")
    root.remove("run[1]")
    root.remove("run*")
    root.remove("nothing?")
    assert root.list() == ["run1/a/b"]
    assert not Root(root.join("run[1]")).is_dir()


def test_a_linked_staging_folder_is_refused(tmp_path):
    there = copy_dataset(NAME, tmp_path / "there")
    (tmp_path / "victim" / "sub").mkdir(parents=True)
    (tmp_path / "victim" / "sub" / "thesis").write_text("t")
    (there / STAGED.rstrip("/")).symlink_to(tmp_path / "victim")
    for run in (lambda: publish(f"file://{there}"), lambda: index(str(there))):
        with pytest.raises(DestinationError, match=r"a link to .*victim"):
            run()
    assert files_of(tmp_path / "victim") == {"sub/thesis": b"t"}


def test_a_link_below_the_staging_folder_is_not_followed(tmp_path):
    there = copy_dataset(NAME, tmp_path / "there")
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "thesis").write_text("t")
    (there / STAGED).mkdir()
    (there / STAGED / ("0" * 16)).symlink_to(tmp_path / "victim")
    assert publish(f"file://{there}").is_new
    assert files_of(tmp_path / "victim") == {"thesis": b"t"}


def test_a_linked_folder_of_another_dataset_is_refused(tmp_path):
    """Linked folders are refused where files in them would change; linked videos do not change, and are accepted."""
    one = copy_dataset(NAME, tmp_path / "one")
    (one / OLD_PATHS[0]).write_bytes((one / "data/chunk-000/file-000.parquet").read_bytes())
    two = tmp_path / "two"
    for path, content in files_of(one).items():
        if path.startswith("meta/"):
            Root(str(two)).write_bytes(path, content)
    for folder in ("data", "videos"):
        (two / folder).symlink_to(one / folder)
    before, meta = files_of(one), files_of(two / "meta")
    with pytest.raises(DestinationError, match=r"/data: found a link to .*one/data"):
        publish(f"file://{two}")
    assert (files_of(one), files_of(two / "meta")) == (before, meta)
    (two / "data").unlink()
    Root(str(two)).write_bytes("data/chunk-000/file-000.parquet", before["data/chunk-000/file-000.parquet"])
    assert publish(f"file://{two}").is_new
    assert files_of(one) == before


def test_a_folder_on_another_file_system_is_refused(tmp_path, monkeypatch):
    """The refusal comes before any change."""
    there = copy_dataset(NAME, tmp_path / "there")
    before = files_of(there)
    monkeypatch.setattr(directory, "_device_of", lambda folder: int(folder == there / "meta"))
    with pytest.raises(DestinationError, match="another file system"):
        publish(f"file://{there}")
    assert files_of(there) == before


class Forgetful(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Accepts the mode of `pipe_file` and ignores it, as some file systems do."""

    protocol = ("forgetful",)
    store: dict = {}  # noqa: RUF012 - as fsspec has it
    pseudo_dirs = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("forgetful://", "memory://"))

    def pipe_file(self, path, value, overwrite=True, **options):
        return super().pipe_file(path, value)


def test_a_store_that_may_not_create_exclusively_is_read_back():
    fsspec.register_implementation("forgetful", Forgetful, clobber=True)
    writer = open_writer("forgetful://ds")
    assert not writer.create(JOURNAL_PATH, b"1")
    assert not writer.create(JOURNAL_PATH, b"2")


@pytest.mark.parametrize("kind", ["s3", "bucket", "local"])
def test_indexing_in_place_keeps_the_files_of_publications(kind, s3, bucket, tmp_path):
    files = files_of(DATA / NAME)
    staged = f"{STAGED}0123456789abcdef/data/file"
    stopped = {**files, JOURNAL_PATH: b'{"publication": "x"}', staged: b"staged"}
    if kind == "local":
        url = str(tmp_path / "there")
        for path, content in stopped.items():
            Root(url).write_bytes(path, content)
        read = lambda: files_of(tmp_path / "there")  # noqa: E731
    else:
        store = s3 if kind == "s3" else bucket
        url = store.start(stopped)
        read = lambda: store.files(url)  # noqa: E731
    with pytest.raises(DestinationError, match=r"publication.json: found the journal .* run that publication again"):
        index(url)
    assert read() == stopped
    Root(url).remove(JOURNAL_PATH)
    index(url)
    there = read()
    assert {path for path in there if path.startswith(STAGED)} == {staged}
    assert "meta/byte_index/files.parquet" in there


def test_a_publication_keeps_the_files_of_a_running_index(tmp_path):
    there = copy_dataset(NAME, tmp_path / "there")
    kept = f"{STAGED}.episeek-work/lock"
    Root(str(there)).write_bytes(kept, b"")
    assert publish(f"file://{there}", UNVERIFIED).is_new
    assert [path for path in files_of(there) if path.startswith(STAGED)] == [kept]

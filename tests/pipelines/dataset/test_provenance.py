"""The commit that a dataset is a copy of, and the record that `prepare` writes of it."""

import hashlib
import subprocess

import pytest

from episeek.errors import MetadataError
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.provenance import SourceRecord, read_record, source_commit, write_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.rewrite import rewrite
from episeek_schemas.layout import SOURCE_RECORD_PATH
from tests.pipelines.conftest import DATA, copy_dataset
from tests.pipelines.remote_datasets import files_of
from tests.servers.hub_store import git_oid

COMMIT, OTHER = "0123456789abcdef0123456789abcdef01234567", "f" * 40


def test_a_repository_at_a_commit():
    assert source_commit(Root(f"hf://datasets/acme/ds@{COMMIT}")) == COMMIT
    for url in (
        "hf://datasets/acme/ds",
        "hf://datasets/acme/ds@main",
        f"hf://datasets/acme/ds@{COMMIT}/folder",
        f"hf://acme/model@{COMMIT}",
        "s3://bucket/ds",
    ):
        assert source_commit(Root(url)) is None


def test_a_snapshot_in_the_clients_cache(tmp_path):
    folder = tmp_path / "datasets--acme--ds" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    assert source_commit(Root(str(folder))) == COMMIT
    (tmp_path / "link").symlink_to(folder)
    assert source_commit(Root(str(tmp_path / "link"))) == COMMIT
    other = tmp_path / "datasets--acme--ds" / COMMIT
    other.mkdir()
    assert source_commit(Root(str(other))) is None


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({"info.json": COMMIT, "episodes/chunk-000/file-000.parquet": COMMIT}, COMMIT),
        ({"info.json": COMMIT, "stats.json": OTHER}, None),  # files of two commits
        ({"info.json": "main"}, None),
        ({}, None),
    ],
)
def test_a_folder_that_the_client_downloaded_to(notes, expected, tmp_path):
    for path, commit in notes.items():
        note = tmp_path / ".cache/huggingface/download/meta" / f"{path}.metadata"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{commit}\netag\n1700000000.0\n")
    assert source_commit(Root(str(tmp_path))) == expected


def test_a_clone(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", "-b", "main")
    root = Root(str(tmp_path))
    assert source_commit(root) is None
    (tmp_path / "file").write_text("content")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    head = git("rev-parse", "HEAD")
    assert source_commit(root) == head
    git("pack-refs", "--all")
    assert source_commit(root) == head
    git("checkout", "-q", "--detach")
    assert source_commit(root) == head


def test_a_dataset_prepared_from_a_clone(tmp_path):
    source = copy_dataset("hevc", tmp_path / "source")
    (source / ".git").mkdir()
    (source / ".git/HEAD").write_text(f"{COMMIT}\n")
    prepare(str(source), str(tmp_path / "out"))
    record = read_record(Root(str(tmp_path / "out")))
    assert record is not None
    assert (record.commit, record.preparation["command"]) == (COMMIT, "prepare")
    rewrite(str(tmp_path / "out"), str(tmp_path / "again"))
    assert source_commit(Root(str(tmp_path / "again"))) == COMMIT


def test_a_dataset_prepared_from_an_unknown_place(tmp_path):
    prepare(str(DATA / "hevc"), str(tmp_path / "out"))
    record = read_record(Root(str(tmp_path / "out")))
    assert record is not None
    assert record.commit is None
    expected = {
        path: content for path, content in files_of(DATA / "hevc").items() if path.startswith(("data/", "meta/"))
    }
    assert record.files.keys() == expected.keys()
    for path, content in expected.items():
        ids = (f"sha256:{hashlib.sha256(content).hexdigest()}", f"blob:{git_oid('blob', content)}")
        assert record.files[path] == FileIdentity(len(content), ids)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"commit": 1, "plan": {}}',
        '{"commit": "main", "plan": {}}',
        '{"commit": null, "plan": {}, "files": {"a": 1}}',
        "[" * 99999,
    ],
)
def test_a_damaged_record(text, tmp_path):
    root = Root(str(tmp_path))
    write_record(root, SourceRecord(COMMIT, {}))
    (tmp_path / SOURCE_RECORD_PATH).write_text(text)
    with pytest.raises(MetadataError, match=r"\.episeek/source\.json.*hint: remove the file, or prepare"):
        read_record(root)

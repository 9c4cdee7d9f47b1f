"""Prepared datasets and repositories to publish them in, made once for all tests of a process."""

import atexit
import hashlib
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.video_choice import Videos
from episeek_pipelines.publish.overlay.changes import RemoteFile, RemoteFiles
from tests.pipelines.conftest import DATA
from tests.servers.hub import FakeHub
from tests.servers.hub_store import git_oid


@cache
def prepared(name: str, videos: Videos = "none") -> Root:
    """Return the overlay of a sample dataset; tests must not change it."""
    folder = mkdtemp(prefix="episeek-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    destination = Path(folder, name)
    prepare(str(DATA / name), str(destination), videos=videos)
    return Root(str(destination))


def change_one_data_file(root: Path, *, by: int = 1) -> None:
    """Write other values into the rows of one data file."""
    path = _first_data_file(root)
    groups = [pq.ParquetFile(path).read_row_group(number) for number in range(pq.read_metadata(path).num_row_groups)]
    column = groups[0].schema.get_field_index("action")
    field = groups[0].schema.field(column)
    with pq.ParquetWriter(path, groups[0].schema, write_page_index=True) as writer:
        for table in groups:
            values = pa.array([[value + by for value in row] for row in table["action"].to_pylist()], field.type)
            writer.write_table(table.set_column(column, field, values))


def cut_one_data_file(root: Path) -> None:
    """Cut one data file short, so that it is not a Parquet file any more."""
    path = _first_data_file(root)
    path.write_bytes(path.read_bytes()[:-8])


def _first_data_file(root: Path) -> Path:
    return min((root / "data").rglob("*.parquet"))


def in_git(path: str, content: bytes) -> RemoteFile:
    """Return a file that a repository has in Git itself."""
    return RemoteFile(path, len(content), None, git_oid("blob", content))


def in_lfs(path: str, content: bytes) -> RemoteFile:
    """Return a file that a repository has in LFS."""
    sha256 = hashlib.sha256(content).hexdigest()
    return RemoteFile(path, len(content), sha256, git_oid("blob", sha256.encode()))


def repository_of(root: Path) -> dict[str, RemoteFile]:
    """Return a directory as a repository lists it, with JSON and text in Git and other files in LFS."""
    files = {}
    for file in sorted(root.rglob("*")):
        if file.is_file():
            path = file.relative_to(root).as_posix()
            make = in_git if path.endswith((".json", ".md", ".gitattributes")) else in_lfs
            files[path] = make(path, file.read_bytes())
    return files


def listing_of(hub: FakeHub, url: str) -> RemoteFiles:
    """Return the files on the main branch of a repository of the offline Hub."""
    repository_id = url.removeprefix("hf://datasets/")
    tree = hub.repository(repository_id).commits[hub.head(repository_id)].tree
    return {
        path: RemoteFile(path, entry.size, entry.sha256 or None, entry.oid, entry.xet_hash or None)
        for path, entry in tree.items()
    }

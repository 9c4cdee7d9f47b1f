"""Each kind of manifest gives the same rows; what cannot be meant is refused with its place."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek_pipelines.batch.errors import ManifestError
from episeek_pipelines.batch.manifest import Manifest, read_manifest
from episeek_pipelines.batch.options import BatchOptions
from tests.support.many_datasets import make_datasets

DEFAULTS = BatchOptions()


def rows(manifest: Manifest) -> list[tuple[str, str]]:
    return [(row.source, row.destination) for row in manifest.rows]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    for name in ("a/one", "a/deep/er/two", "b/three"):
        (tmp_path / name / "meta").mkdir(parents=True)
        (tmp_path / name / "meta/info.json").write_text("{}")
    return tmp_path


def test_a_folder_holds_datasets_at_any_depth(desk: Path):
    # within a dataset, hidden, being written, and the results: none of them is an input
    for name in ("a/one/old", "a/.cache/x", "a/new.partial", "a/out/done"):
        (desk / name / "meta").mkdir(parents=True)
        (desk / name / "meta/info.json").write_text("{}")
    (desk / "a/new.partial/.episeek-work").mkdir()
    (desk / "a/around").symlink_to(desk / "a")
    (desk / "a/elsewhere").symlink_to(desk / "b")
    found = read_manifest(str(desk / "a"), str(desk / "a/out"), DEFAULTS)
    a = str(desk / "a")
    assert rows(found) == [(f"{a}/{name}", name) for name in ("deep/er/two", "elsewhere/three", "one")]


def test_a_folder_that_is_a_dataset_is_the_only_one(desk: Path):
    found = read_manifest(str(desk / "b/three"), str(desk / "out"), DEFAULTS)
    assert rows(found) == [(str(desk / "b/three"), "three")]


def test_files_give_the_same_rows(desk: Path):
    (desk / "list.txt").write_text("# datasets\na/one   # the first\n\nhf://datasets/org/two@v1\n")
    (desk / "list.csv").write_text("source,options\na/one,\nhf://datasets/org/two@v1,\n")
    pq.write_table(pa.table({"source": ["a/one", "hf://datasets/org/two@v1"]}), desk / "list.parquet")
    found = [read_manifest(str(desk / f"list.{kind}"), "out", DEFAULTS) for kind in ("txt", "csv", "parquet")]
    assert rows(found[0]) == [(str(desk / "a/one"), "one"), ("hf://datasets/org/two@v1", "org/two@v1")]
    assert {manifest.digest for manifest in found} == {found[0].digest}


def test_a_row_has_options_of_its_own(desk: Path):
    (desk / "list.csv").write_text(
        'source,destination,options\na/one,x/y,"videos=copy --max-episodes-per-file=7 skip_episodes=3,1"\n'
    )
    (row,) = read_manifest(str(desk / "list.csv"), "out", BatchOptions(keyframes="all")).rows
    assert (row.destination, row.options) == ("x/y", BatchOptions("copy", 7, "all", skip_episodes=(1, 3)))


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("list.txt", "# nothing\n", "no dataset"),
        ("list.txt", "a/one\nb/one\n", "the destination 'one', as in"),
        ("list.csv", "source,destination\na,x\nb,x/y\n", "within the destination 'x'"),
        ("list.csv", "source,destination\na,../x\n", "the destination '../x'"),
        ("list.csv", "source,destination\na,.episeek-batch/x\n", "the destination '.episeek-batch/x'"),
        ("list.csv", "source,destinations\na,x\n", "the columns source, destinations"),
        ("list.csv", "source,options\na,videos=some\n", "videos=some"),
        ("list.csv", "source,options\na,colour=red\n", "the option 'colour'"),
        ("list.csv", "source,options\na,skip_episodes=x\n", "skip_episodes=x"),
        ("list.csv", "source,options\na,video_file_size_mb=0\n", "video_file_size_mb=0"),
        ("list.csv", "source,options\na,video_file_size_mb=9 videos=copy\n", "video_file_size_mb=9 with videos=copy"),
        ("list.csv", "source,options\na,publish=yes\n", "the option 'publish'"),
        ("list.csv", "source,destination\na\n", "fewer values than columns"),
        ("list.csv", "source\n\xff".encode("latin-1"), "bytes that are not UTF-8 text"),
        ("nothing.txt", None, "no such file or folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, name: str, text: str | bytes | None, found: str):
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ManifestError) as refused:
        read_manifest(str(tmp_path / name), "out", DEFAULTS)
    assert found in refused.value.found
    assert name in refused.value.where


@pytest.mark.parametrize("text", ["videos=copy", "skip_episodes=1", "videos=pack video_file_size_mb=9"])
def test_what_a_publication_cannot_use_is_refused(text: str):
    with pytest.raises(ManifestError, match="with publish") as refused:
        BatchOptions(publish=True).with_row(text, where="list.csv, line 2")
    assert refused.value.where == "list.csv, line 2"


def test_a_size_of_packed_files_is_not_for_a_dataset_that_is_copied():
    options = BatchOptions("pack", video_file_size_mb=9.0)
    assert options.with_row("videos=copy", where="row") == BatchOptions("copy")
    assert options.with_row("keyframes=all", where="row").video_file_size_mb == 9.0


def test_the_generator_makes_what_it_says(tmp_path: Path):
    names = make_datasets(tmp_path / "many", 12)
    assert [row.destination for row in read_manifest(str(tmp_path / "many"), "out", DEFAULTS).rows] == names
    assert len(names) == 12

"""The data file of each episode in the rewritten `meta/episodes`: that of its rows, whatever the source's metadata says."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.errors import RowOrderError
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.jobs.verify import verify
from episeek_schemas.lerobot import DatasetInfo
from tests.pipelines.conftest import DATA, change_episodes
from tests.support.broken_datasets import data
from tests.support.rewriting import episodes_table, rewrite, write_dataset

FILE_INDEX = "data/file_index"


def holders(root) -> dict[int, list[str]]:
    """The files that hold rows of each episode, by plain pyarrow."""
    found: dict[int, list[str]] = {}
    for path in sorted((root / "data").rglob("*.parquet")):
        for episode in pq.read_table(path, columns=["episode_index"])["episode_index"].unique().to_pylist():
            found.setdefault(episode, []).append(path.relative_to(root).as_posix())
    return found


def declared(root) -> dict[int, list[str]]:
    dataset = open_dataset(str(root))
    return {e: [path] for e, path in zip(dataset.episodes.episode_index.tolist(), dataset.data_paths(), strict=True)}


def shift_as_the_converter_does(root) -> int:
    """Declare the first episode of each file but the first to be in the file before (lerobot#2401); return their number."""
    files = open_dataset(str(root)).episodes.data_file_index.tolist()
    firsts = [row for row in range(1, len(files)) if files[row] != files[row - 1]]
    for row in firsts:
        change_episodes(root, FILE_INDEX, row, files[row - 1])
    return len(firsts)


@pytest.mark.parametrize("cap", [None, 2])
def test_prepare_declares_the_file_that_holds_the_rows(cap, dataset, tmp_path):
    wrong = shift_as_the_converter_does(dataset)
    assert declared(dataset) != holders(dataset)
    assert {found.code for found in verify(str(dataset)).findings} >= {"EPI012"}
    result = prepare(str(dataset), str(tmp_path / "out"), max_episodes_per_file=cap)
    assert declared(tmp_path / "out") == holders(tmp_path / "out")
    assert result.verification is not None
    assert not [found for found in result.verification.findings if found.severity == "error"]
    assert result.rewrite is not None
    # where files are split, an episode may happen to get to the file that was planned for it
    assert 0 < result.rewrite.corrected_episodes <= wrong if cap is None else True
    rows = [pq.read_table(path) for path in sorted((tmp_path / "out/data").rglob("*.parquet"))]
    source = [pq.read_table(path) for path in sorted((DATA / "av1_multifile/data").rglob("*.parquet"))]
    assert pa.concat_tables(rows).equals(pa.concat_tables(source))


def test_every_episode_declared_one_file_early(dataset, tmp_path):
    """The converter's result where each episode is larger than a file should be: the first file does not exist."""
    files = open_dataset(str(dataset)).episodes.data_file_index.tolist()
    for number in sorted({*files}, reverse=True):
        (dataset / data(number)).rename(dataset / data(number + 1))
    result = prepare(str(dataset), str(tmp_path / "out"))
    assert declared(tmp_path / "out") == holders(tmp_path / "out")
    assert result.rewrite is not None
    assert result.rewrite.corrected_episodes == len(files)
    assert result.verification is not None
    assert result.verification.error_count == 0


def test_a_file_that_is_missing_with_its_rows_is_named(dataset, tmp_path):
    (dataset / data(1)).unlink()
    with pytest.raises(WorkFailedError, match=r"file-001\.parquet: found no such file; expected the rows of episode"):
        prepare(str(dataset), str(tmp_path / "out"))


def test_a_sound_source_keeps_its_metadata_byte_for_byte(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([2] * 3), episodes_table([2] * 2, first=3)])
    rewrite(source, tmp_path / "out")
    path = "meta/episodes/chunk-000/file-000.parquet"
    assert (tmp_path / "out" / path).read_bytes() == (source / path).read_bytes()


def test_a_file_that_no_episode_names_may_hold_all_of_them(tmp_path):
    """All episodes are declared in file 0, which holds the first two; a plan that splits would leave empty files."""
    source = write_dataset(tmp_path / "source", [episodes_table([2] * 2), episodes_table([2] * 4, first=2)])
    for row in range(2, 6):
        change_episodes(source, FILE_INDEX, row, 0)
    for cap in (None, 2):
        target = tmp_path / f"out-{cap}"
        rewrite(source, target, max_episodes_per_file=cap)
        assert declared(target) == holders(target)
        assert all(pq.read_metadata(path).num_rows for path in (target / "data").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("in_first", "in_second", "expected"),
    [
        (2, 2, "refused"),  # half of it in each
        (4, 4, data(0)),  # all of it in both: the metadata decides
        (0, 4, data(1)),
        (1, 4, data(1)),  # one row was left behind
        (4, 1, data(0)),
        (3, 0, data(0)),  # shorter than declared, which verification reports
    ],
)
def test_an_episode_in_two_files(in_first, in_second, expected, tmp_path):
    """Episode 1 of 4 rows is declared in the first file."""
    source = write_dataset(tmp_path / "source", [episodes_table([4, 4]), episodes_table([4], first=2)])
    episode = episodes_table([4], first=1)
    first = [episodes_table([4]), episode.slice(0, in_first)]
    second = [episode.slice(4 - in_second), episodes_table([4], first=2)]
    for number, tables in enumerate((first, second)):
        pq.write_table(pa.concat_tables(tables), source / data(number))
    if expected == "refused":
        with pytest.raises(RowOrderError, match=r"rows of episode 1 in .*file-000\.parquet and .*file-001\.parquet"):
            rewrite(source, tmp_path / "out")
    else:
        rewrite(source, tmp_path / "out")
        assert declared(tmp_path / "out")[1] == [expected]


def test_an_ambiguous_episode_is_refused_by_name_and_the_source_stays(dataset, tmp_path):
    first, second = dataset / data(0), dataset / data(1)
    table = pq.read_table(first)
    last = table["episode_index"].to_pylist()[-1]
    rows = table["episode_index"].to_pylist().count(last)
    pq.write_table(table.slice(0, len(table) - rows // 2), first)
    pq.write_table(pa.concat_tables([table.slice(len(table) - rows // 2), pq.read_table(second)]), second)
    with pytest.raises(WorkFailedError, match=f"rows of episode {last} in data"):
        prepare(str(dataset), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_name_that_the_template_cannot_give_leaves_the_metadata_alone(tmp_path):
    source = write_dataset(tmp_path / "source", [episodes_table([2] * 2), episodes_table([2] * 2, first=2)])
    shutil.move(source / data(1), source / "data/chunk-000/rows.parquet")
    for row in (2, 3):
        change_episodes(source, FILE_INDEX, row, 0)
    rewrite(source, tmp_path / "out")
    assert declared(tmp_path / "out")[2] == [data(0)]


@pytest.mark.parametrize(
    ("template", "path", "numbers"),
    [
        ("data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet", "data/chunk-001/file-1234.parquet", (1, 1234)),
        ("data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet", "data/chunk-1/file-002.parquet", None),
        ("data/{chunk_index}/{chunk_index}-{file_index}.parquet", "data/3/3-4.parquet", (3, 4)),
        ("data/{chunk_index}/{chunk_index}-{file_index}.parquet", "data/3/4-4.parquet", None),
        ("a.b/{chunk_index}/{file_index}.parquet", "axb/1/2.parquet", None),
    ],
)
def test_the_numbers_of_a_path(template, path, numbers):
    info = DatasetInfo("v3.0", 30.0, 0, 0, 1000, template, None, ())
    assert info.data_file_numbers(path) == numbers


def test_the_camera_of_a_path():
    template = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    info = DatasetInfo("v3.0", 30.0, 0, 0, 1000, "d", template, ())
    assert info.video_camera("videos/a.b/c/chunk-000/file-001.mp4") == "a.b/c"
    assert info.video_camera("videos/a.b/chunk-000/other.mp4") is None

"""ROW005 for data files that lost their footer: the finding names what is left in them."""

import os
import shutil

import pytest

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import verify
from episeek_pipelines.verify.findings.options import VerifyOptions
from tests.support.lost_footers import DATA, WholeFile

FILE = "data/chunk-000/file-001.parquet"


@pytest.fixture
def dataset(tmp_path):
    shutil.copytree(DATA / "av1_multifile", tmp_path / "dataset")
    return tmp_path / "dataset"


def found_in(dataset, level="rows"):
    report = verify(Root(str(dataset)), options=VerifyOptions(level=level))
    [finding] = [found for found in report.findings if found.code == "ROW005"]
    assert finding.location.file == FILE
    return finding


def stops_of(dataset):
    whole = WholeFile((dataset / FILE).read_bytes())
    return [4, *(stop for stop, _ in whole.group_stops())], whole.footer_start


@pytest.mark.parametrize(
    ("group_count", "spare", "said"),
    [
        (0, 0, "no footer at its end, and no complete episode in the file"),
        (1, 40, "no footer at its end, after the complete episode 3; no complete episode in the last 40 bytes"),
        (3, 0, "no footer at its end, after 3 complete episodes, 3 to 5"),
    ],
)
def test_the_complete_episodes_are_named_at_level_rows(group_count, spare, said, dataset):
    stops, _ = stops_of(dataset)
    os.truncate(dataset / FILE, stops[group_count] + spare)
    finding = found_in(dataset)
    assert finding.found == said
    assert "episeek repair SRC DST" in finding.advice


def test_the_remains_of_a_footer_are_not_said_to_lack_episodes(dataset):
    os.truncate(dataset / FILE, (dataset / FILE).stat().st_size - 40)
    assert found_in(dataset).found == "no footer at its end, after 4 complete episodes, 3 to 6"


def test_other_levels_read_only_the_ends_of_the_file(dataset):
    _, footer_start = stops_of(dataset)
    os.truncate(dataset / FILE, footer_start)
    assert found_in(dataset, "layout").found == "no footer at its end"


def test_files_that_are_no_parquet_are_not_said_to_lack_a_footer(dataset):
    (dataset / FILE).write_bytes(b"no Parquet at all, nothing of it")
    assert "footer" not in found_in(dataset).found.replace("magic bytes not found in footer", "")

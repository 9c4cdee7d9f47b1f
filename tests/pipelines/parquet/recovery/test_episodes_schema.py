"""The schema of meta/episodes from the documents, against the files that LeRobot wrote."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek_pipelines.parquet.recovery.episodes_schema import episodes_schema
from episeek_pipelines.parquet.recovery.recover import open_recovered, recover
from tests.support.lost_footers import DATA, whole_file

SAMPLES = ("av1_multifile", "h264_bframes", "hevc", "images")
FILE = "meta/episodes/chunk-000/file-000.parquet"


def documents_of(sample):
    return (json.loads((DATA / sample / f"meta/{name}.json").read_text()) for name in ("info", "stats"))


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_schema_is_the_one_that_lerobot_wrote(sample):
    info, statistics = documents_of(sample)
    written = pq.read_schema(DATA / sample / FILE)
    assert episodes_schema(info["features"], statistics).equals(written)
    assert episodes_schema(info["features"], None).equals(written)


def test_episodes_of_a_file_without_footer_are_recovered_by_the_documents_alone(tmp_path):
    info, statistics = documents_of("images")
    whole = whole_file(f"images/{FILE}")
    (tmp_path / "lost.parquet").write_bytes(whole.data[: whole.footer_start])
    found = recover(tmp_path / "lost.parquet", episodes_schema(info["features"], statistics))
    assert found.episodes == (0, 1, 2, 3)
    with open_recovered(tmp_path / "lost.parquet", found) as file:
        assert file.read().equals(whole.table)


def test_documents_tell_which_statistics_there_are():
    features = {
        "action": {"dtype": "float32", "shape": [2, 3]},
        "done": {"dtype": "bool", "shape": [1]},
        "note": {"dtype": "string", "shape": [1]},
    }
    schema = episodes_schema(features, {"action": {"max": [0.5, 0.5, 0.5], "min": [[0.0]], "count": [7]}})
    statistics = [name for name in schema.names if name.startswith("stats/")]
    assert statistics == ["stats/action/min", "stats/action/max", "stats/action/count"]
    numbers = pa.list_(pa.field("element", pa.float64()))
    assert schema.field("stats/action/max").type == numbers
    assert schema.field("stats/action/min").type == pa.list_(pa.field("element", numbers))
    assert schema.field("stats/action/count").type.value_type == pa.int64()
    done = episodes_schema(features, {"done": {"min": [False], "mean": [0.5]}})
    assert done.field("stats/done/min").type.value_type == pa.bool_()
    every = episodes_schema(features, None)
    assert every.field("stats/action/mean").type == numbers
    assert "stats/note/min" not in every.names

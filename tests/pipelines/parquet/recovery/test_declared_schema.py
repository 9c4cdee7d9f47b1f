"""The schema of data files from meta/info.json, against the files that LeRobot wrote."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.errors import MetadataError
from episeek_pipelines.parquet.recovery.declared_schema import declared_schema
from tests.support.lost_footers import DATA

SAMPLES = ("av1_multifile", "images", "edited", "v21_videos", "v21_images")


def features_of(sample):
    return json.loads((DATA / sample / "meta/info.json").read_text())["features"]


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_schema_is_the_one_that_lerobot_wrote(sample):
    schema = declared_schema(features_of(sample))
    for path in sorted((DATA / sample / "data").rglob("*.parquet")):
        written = pq.read_schema(path)
        assert schema.equals(written)
        described, expected = (json.loads(one.metadata[b"huggingface"])["info"] for one in (schema, written))
        # datasets called it Sequence before version 4, and reads both
        assert described["features"] == json.loads(json.dumps(expected["features"]).replace("Sequence", "List"))


def test_other_files_show_what_was_written():
    features = features_of("images")
    other = pa.schema([("action", pa.list_(pa.float64())), ("index", pa.int32())])
    assert declared_schema(features, others=[other, other]) == other
    with pytest.raises(MetadataError, match="columns differ"):
        declared_schema(features, others=[other, other.remove(0)])


def test_features_of_every_shape():
    features = {
        "text": {"dtype": "string", "shape": [1]},
        "grid": {"dtype": "int32", "shape": [2, 3]},
        "camera": {"dtype": "video", "shape": [4, 4, 3]},
        "none": {"dtype": "float32", "shape": [0]},
    }
    schema = declared_schema(features)
    assert schema.names == ["text", "grid", "none"]
    assert schema.field("grid").type == pa.list_(pa.field("element", pa.list_(pa.field("element", pa.int32()))))
    assert schema.field("none").type == pa.list_(pa.field("element", pa.float32()))
    assert schema.field("grid").metadata[b"ARROW:extension:name"].endswith(b"Array2DExtensionType")


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"dtype": "float32"},
        {"dtype": "complex", "shape": [2]},
        {"dtype": "int8", "shape": [1, 2, 3, 4, 5, 6]},
    ],
)
def test_features_from_which_no_column_follows(spec):
    with pytest.raises(MetadataError, match=re.escape("feature 'x'")):
        declared_schema({"x": spec})

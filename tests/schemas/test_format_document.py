"""docs/format.md is what the code does: tables, columns, types, order, sort keys, footer keys, versions, and the example."""

import io
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import episeek
from episeek_schemas import sidecars
from tests.support.build_index import DATA

DOCUMENT = (Path(__file__).parents[2] / "docs/format.md").read_text()
EXAMPLE = "h264_bframes"


def section(title: str, text: str = DOCUMENT) -> str:
    """The text below a heading, up to the next heading of the same or a higher level."""
    level = len(title) - len(title.lstrip("#"))
    assert text.count(f"\n{title}\n") == 1, title
    rest = text.split(f"\n{title}\n")[1]
    return re.split(rf"^#{{1,{level}}} ", rest, flags=re.MULTILINE)[0]


def tables(text: str) -> list[list[dict[str, str]]]:
    """The Markdown tables of a text: a dict a row, by the header, without backticks."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        lines = [
            [cell.strip().replace("`", "") for cell in line.strip("|\n").split("|")] for line in block.splitlines()
        ]
        header, rule, *rows = lines
        assert all(re.fullmatch("-+", cell) for cell in rule)
        assert all(len(row) == len(header) for row in rows), block
        found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found


def stored_as(schema: pa.Schema) -> list[str]:
    """The Parquet types of a schema, as pyarrow stores them."""
    stream = io.BytesIO()
    pq.write_table(schema.empty_table(), stream)
    columns = pq.ParquetFile(stream).schema
    return [
        column.physical_type if column.logical_type.type == "NONE" else f"{column.physical_type}, {column.logical_type}"
        for column in (columns.column(position) for position in range(len(columns)))
    ]


def test_the_tables():
    [rows, *_] = tables(section("## Files and tables"))
    assert {row["table"]: row["file"] for row in rows} == {name: path for name, (path, _) in sidecars.TABLES.items()}
    assert {row["table"]: tuple(row["sorted by"].split(", ")) for row in rows} == dict(sidecars.SORT_KEYS)
    assert [row["table"] for row in rows if row["mapped"] == "yes"] == [
        name for name in sidecars.TABLES if name != "files"
    ]
    assert f"at most {sidecars.MAX_ROW_GROUP_ROWS} rows" in section("### Encoding")
    assert f"row groups of {sidecars.ROW_GROUP_ROWS} rows" in section("### Encoding")
    assert {f"all but `{column}`" in DOCUMENT for column in sidecars.UNMAPPED_COLUMNS} == {True}


@pytest.mark.parametrize("name", sidecars.TABLES)
def test_the_columns(name):
    schema = sidecars.TABLES[name][1]
    [rows, *_] = tables(section(f"### `{name}`"))
    assert [row["column"] for row in rows] == schema.names
    assert [row["type"] for row in rows] == [str(field.type) for field in schema]
    assert [row["Parquet"] for row in rows] == stored_as(schema)
    assert all(row["meaning"].endswith(".") for row in rows)
    assert not any(field.nullable for field in schema)


def test_the_wide_types():
    [_, rows] = tables(section("### `samples`"))
    wide = sidecars.samples_schema(sidecars.WIDE_SAMPLES)
    chosen = pa.schema([wide.field(row["column"]) for row in rows])
    assert chosen.names == list(sidecars.WIDE_SAMPLES)
    assert [row["wide type"] for row in rows] == [str(field.type) for field in chosen]
    assert [row["Parquet"] for row in rows] == stored_as(chosen)


def test_the_columns_of_version_1():
    text = section("## Versions")
    for name, (_, schema) in sidecars.TABLES.items():
        lacking = set(schema.names) - set(sidecars.schema_of(name, version="1", found=schema).names)
        sentence = re.sub(r"\s+", " ", text)
        assert all(
            re.search(rf"Tables of format version 1 lack [^.]*`{column}`[^.]* of `{name}`", sentence)
            for column in lacking
        )


def test_the_values_within_columns():
    [_, containers, runs, declared] = tables(section("### `files`"))
    assert [row["container"] for row in containers] == list(sidecars.CONTAINERS)
    assert [(row["field"], row["type"]) for row in runs] == sidecars.DESCRIPTION_RUN.descr
    assert [(row["array"], row["type"]) for row in declared] == list(sidecars.DECLARED_EPISODES)


def test_the_footer(sidecar_roots):
    [keys, described] = tables(section("## Footer"))
    assert [row["key"] for row in keys] == list(sidecars.FOOTER_KEYS)
    footer = pq.read_schema(sidecar_roots[EXAMPLE] / sidecars.TABLES["files"][0]).metadata
    assert [row["key"] for row in described] == list(json.loads(footer[sidecars.DATASET_KEY.encode()]))
    assert re.fullmatch("[0-9a-f]{32}", footer[sidecars.BUILD_ID_KEY.encode()].decode())


def test_the_versions():
    assert DOCUMENT.startswith(f"# The byte-index sidecars, format version {sidecars.FORMAT_VERSION}\n")
    [[form, index]] = tables(section("## Versions"))
    readable = ", ".join(map(str, sorted(sidecars.READABLE_FORMAT_VERSIONS)))
    assert form == {"version": "format version", "current": str(sidecars.FORMAT_VERSION), "readable": readable}
    assert index == {"version": "index version", "current": str(sidecars.INDEX_VERSION), "readable": "all"}
    changes = section("## Changelog")
    for version in range(1, sidecars.INDEX_VERSION + 1):
        assert f"**Index version {version}**" in changes
    for version in range(1, sidecars.FORMAT_VERSION + 1):
        assert f"**Format version {version}**" in changes


def test_rows_are_sorted_by_the_keys(sidecar_roots):
    for root in sidecar_roots.values():
        for name in ("files", "episodes", "keyframes"):
            table = pq.read_table(root / sidecars.TABLES[name][0], columns=list(sidecars.SORT_KEYS[name]))
            rows = [tuple(row.values()) for row in table.to_pylist()]
            assert rows == sorted(set(rows))


def test_the_example(sidecar_roots, monkeypatch):
    text = section("### An example")
    [span, samples] = tables(text)
    clip = episeek.open(sidecar_roots[EXAMPLE], data_root=DATA / EXAMPLE).clip(1, "observation.images.top", 32, 36)
    row = pq.read_table(sidecar_roots[EXAMPLE] / sidecars.TABLES["episodes"][0]).to_pylist()[2]
    assert (row["episode_index"], row["camera_key"]) == (1, "observation.images.top")
    assert {entry["column"]: int(entry["value"]) for entry in span} == {
        entry["column"]: row[entry["column"]] for entry in span
    }

    table = pq.read_table(sidecar_roots[EXAMPLE] / sidecars.TABLES["samples"][0]).to_pylist()
    first = row["sample_start"]
    in_order = sorted(range(row["sample_count"]), key=lambda position: table[first + position]["pts"])
    assert f"rows {first + 30} to {first + 35} of `samples`" in text
    for entry in samples:
        position = int(entry["sample"])
        assert {key: json.loads(entry[key]) for key in sidecars.SAMPLES.names} == table[first + position]
        assert int(entry["frame"]) == in_order.index(position)
        assert entry["wanted"] == ("yes" if 32 <= int(entry["frame"]) < 36 else "no")
    assert [int(entry["pts"]) for entry in samples] == clip.samples.pts.tolist()

    start, stop = clip.byte_range
    assert f"9789 + 4245 = {start} and ends at 9789 + 5500 + 102 = {stop}." in text
    header_bytes = len(clip.read()) - (stop - start)
    assert f"These {stop - start} bytes of the file, after a header of {header_bytes}\nbytes, are the clip." in text
    seconds = (row["first_frame_tick"] + int(clip.frame_ticks[0])) / clip.timescale
    assert f"(25088 + 16384) / {clip.timescale} = {seconds:g} seconds" in text

    [code] = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(sidecar_roots[EXAMPLE])
    names: dict[str, object] = {}
    exec(code, names)
    assert (names["start"], names["stop"]) == clip.byte_range

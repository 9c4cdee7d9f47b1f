"""ROW030, on columns as LeRobot's annotation writer makes them, against plain Python over the same rows."""

import io
import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek_pipelines.verify.data.language_rules import EVENT_STYLES, PERSISTENT_STYLES, LanguageScan
from episeek_pipelines.verify.findings.findings import Location
from tests.support.amount import examples
from tests.support.build_index import DATA

PATH = "data/chunk-000/file-000.parquet"
DECLARED = {
    name: {"dtype": "language", "shape": [1], "names": None} for name in ("language_persistent", "language_events")
}
TOP = "observation.images.top"


def held(content: str, timestamp: Any = 0.0, style: str | None = "subtask") -> dict[str, Any]:
    row = {"role": "assistant", "content": content, "style": style, "timestamp": timestamp}
    return {**row, "camera": None, "tool_calls": None}


def event(style: str | None, role: str = "user", camera: str | None = None, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": "text", "style": style, "camera": camera, "tool_calls": None, **more}


SPEECH = {
    **event(None, "assistant"),
    "content": None,
    "tool_calls": [{"type": "function", "function": {"name": "say", "arguments": {"text": "hello"}}}],
}


def table_of(episodes: Sequence[int | None], persistent: list[Any] | None, events: list[Any] | None) -> pa.Table:
    """Return a table as LeRobot's LanguageColumnsWriter writes it: pyarrow infers the types from the annotations."""
    columns = {
        "episode_index": pa.array(episodes, pa.int64()),
        "timestamp": pa.array([row / 10 for row in range(len(episodes))], pa.float32()),
    }
    columns |= {"language_persistent": pa.array(persistent)} if persistent is not None else {}
    columns |= {"language_events": pa.array(events)} if events is not None else {}
    return pa.table(columns)


def scan_of(table: pa.Table, cuts: tuple[int, ...] = (), features: object = DECLARED) -> LanguageScan:
    scan = LanguageScan(features, table.schema, PATH)  # type: ignore[arg-type]  # hostile documents on purpose
    if not scan.columns:
        return scan
    table = table.select(list(scan.columns))
    edges = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
    for start, stop in pairwise(edges):
        for batch in table.slice(start, stop - start).combine_chunks().to_batches():
            scan.add(batch, start)
    return scan


def seen(scan: LanguageScan) -> list[tuple[Any, ...]]:
    return [(f.code, f.location.column, f.location.episode, f.location.row, f.more) for f in scan.findings()]


def words(scan: LanguageScan) -> list[str]:
    return [found.message for found in scan.findings()]


def good_table() -> pa.Table:
    first, second = [held("reach"), held("grasp", 0.2), held("todo", 0.0, "plan")], [held("place")]
    persistent = [first] * 4 + [second] * 3 + [[]] * 2
    asked = [
        event("vqa", "user", TOP),
        event("vqa", "assistant", TOP),
        event("vqa", "user", "observation.images.wrist"),
    ]
    events = [[], asked, [event("interjection"), SPEECH], [], [], [], asked, [], [event("vqa")] * 2]
    return table_of([0] * 4 + [1] * 3 + [2] * 2, persistent, events)


def through_parquet(table: pa.Table) -> pa.Table:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return pq.read_table(sink)


@pytest.mark.parametrize("cuts", [(), (1,), (4,), (2, 5, 8), tuple(range(9))])
def test_annotations_of_lerobots_writer_are_clean(cuts):
    scan = scan_of(through_parquet(good_table()), cuts)
    assert scan.columns == ("episode_index", "language_persistent", "language_events")
    assert not seen(scan)


def test_the_types_that_lerobot_declares_are_read():
    """Tool calls are JSON to `datasets`, in the features of LeRobot's language.py."""
    row = {name: datasets.Value("string") for name in ("role", "content", "style")}
    calls = {"camera": datasets.Value("string"), "tool_calls": datasets.List(datasets.Json())}
    features = datasets.Features(
        {
            "episode_index": datasets.Value("int64"),
            "language_persistent": datasets.List({**row, "timestamp": datasets.Value("float32"), **calls}),
            "language_events": datasets.List({**row, **calls}),
        }
    )
    columns = {
        "episode_index": [0, 0, 0],
        "language_persistent": [[held("reach")], [held("reach")], [held("grasp")]],
        "language_events": [[], [SPEECH], [event("subtask")]],
    }
    table = datasets.Dataset.from_dict(columns, features=features).with_format("arrow")[:]
    assert "json" in str(table.schema.field("language_events").type)
    assert seen(scan_of(through_parquet(table))) == [
        ("ROW030", "language_persistent", 0, 2, 0),
        ("ROW030", "language_events", 0, 2, 0),
    ]


@pytest.mark.parametrize("name", ["av1_multifile", "edited", "h264_bframes", "hevc", "images"])
def test_files_without_language_are_not_read(name):
    features = json.loads((DATA / name / "meta/info.json").read_text())["features"]
    for path in sorted((DATA / name).glob("data/*/*.parquet")):
        scan = LanguageScan(features, pq.read_schema(path), PATH)
        assert scan.columns == ()
        assert not seen(scan)


def test_files_without_any_annotation():
    assert not seen(scan_of(table_of([0, 0, 1], [[]] * 3, [[]] * 3)))
    assert not seen(scan_of(table_of([0, 0, 1], [None] * 3, [None] * 3)))
    assert not seen(scan_of(table_of([0, 0], [[held("a")]] * 2, [None, [None, event("vqa")]])))


def test_persistent_annotations_differ():
    same, other = [held("reach")], [held("grasp")]
    table = table_of([0, 0, 0, 0, 1, 1], [same, same, other, other, other, []], [[]] * 6)
    first, second = scan_of(table).findings()
    assert first.location == Location(file=PATH, episode=0, row=2, column="language_persistent")
    assert first.more == 1
    assert first.found == "annotations that differ from those of the episode's first row"
    assert (second.location.episode, second.location.row, second.more) == (1, 5, 0)


def test_nan_and_null_lists_are_equal():
    rows = [[held("a", math.nan)], [held("a", math.nan)], None, [], None]
    table = table_of([0, 0, 1, 1, 1], rows, None)
    assert words(scan_of(table, (1, 3))) == [
        "timestamp nan of an annotation (style subtask); expected the time in seconds from which on the annotation applies"
    ]


def test_a_timestamp_is_needed():
    table = table_of([3, 3], [[held("a", 0.0), held("b", None, "plan")]] * 2, None)
    assert seen(scan_of(table)) == [("ROW030", "language_persistent", 3, 0, 0)]
    assert "timestamp null of an annotation (style plan)" in words(scan_of(table))[0]


@pytest.mark.parametrize("style", [*sorted(PERSISTENT_STYLES | EVENT_STYLES), None, "a style of theirs"])
def test_the_column_of_a_style(style):
    persistent = seen(scan_of(table_of([0, 0], [[held("a", 0.0, style)]] * 2, None)))
    events = seen(scan_of(table_of([0, 0], None, [[event(style, camera=TOP)]] * 2)))
    is_event = style in EVENT_STYLES or style is None
    assert persistent == ([("ROW030", "language_persistent", 0, 0, 0)] if is_event else [])
    assert events == ([("ROW030", "language_events", 0, 0, 1)] if style in PERSISTENT_STYLES else [])


def test_two_answers_for_one_camera():
    rows = [event("vqa", "user", TOP), event("vqa", "user", TOP), event("vqa", "user", TOP)]
    scan = scan_of(table_of([0, 0, 0, 1], None, [[], rows, rows, rows[:1]]))
    assert seen(scan) == [("ROW030", "language_events", 0, 1, 1)]
    assert f"several annotations of style vqa, role user, camera {TOP} in one row" in words(scan)[0]


def test_events_of_the_first_version_have_the_time_of_their_row():
    def at(seconds: float | None) -> list[dict[str, Any]]:
        return [event("interjection", timestamp=seconds)]

    table = table_of([0] * 5, None, [at(0.0), at(0.1), at(0.5), at(None), at(math.nan)])
    scan = scan_of(table)
    assert scan.columns == ("episode_index", "timestamp", "language_events")
    assert seen(scan) == [("ROW030", "language_events", 0, 2, 1)]
    assert words(scan) == ["an event at 0.500000 s; expected 0.200000 s, the time of its row"]


def test_events_of_a_row_without_a_time_are_not_compared():
    table = table_of([0, 0], None, [[event("interjection", timestamp=0.0)]] * 2)
    table = table.set_column(1, "timestamp", pa.array([None, math.nan], pa.float32()))
    assert not seen(scan_of(table))


def test_rows_without_an_episode_are_reported_without_one():
    table = table_of([None, None, 1], [[held("a")], [held("b")], [held("c")]], [[event("plan")], [], []])
    assert seen(scan_of(table)) == [("ROW030", "language_events", None, 0, 0)]


def test_declared_otherwise():
    features = {
        "language_persistent": {"dtype": "string", "shape": [1]},
        "language_events": None,
        "instruction": {"dtype": "language", "shape": [1]},
    }
    scan = scan_of(good_table(), features=features)
    assert [found.location for found in scan.findings()] == [
        Location(file="meta/info.json", column=name) for name in features
    ]
    assert words(scan)[:2] == ["dtype string; expected dtype language", "no dtype; expected dtype language"]
    assert "LeRobot finds by name" in words(scan)[2]


@pytest.mark.parametrize("column", ["language_persistent", "language_events"])
def test_columns_of_another_type_are_skipped_for_the_schema_rules(column):
    table = good_table()
    position = table.schema.get_field_index(column)
    scan = scan_of(table.set_column(position, column, pa.array(["text"] * len(table))))
    assert column not in scan.columns
    assert not seen(scan)


# --- an oracle: Python lists, one row after the other --------------------------------------------------------------------


def expected_of(
    episodes: list[int], persistent: list[Any], events: list[Any]
) -> dict[tuple[Any, ...], tuple[int, int]]:
    """Return the first row and the number of further rows by (column, episode, kind)."""
    found: dict[tuple[Any, ...], tuple[int, int]] = {}

    def note(key: tuple[Any, ...], row: int) -> None:
        found[key] = (found[key][0], found[key][1] + 1) if key in found else (row, 0)

    for row, episode in enumerate(episodes):
        first = row
        while first and episodes[first - 1] == episode:
            first -= 1
        annotations = persistent[row] or []
        if repr(annotations) != repr(persistent[first] or []):
            note(("language_persistent", episode, "unlike"), row)
        for each in annotations if first == row else []:
            if each["style"] in EVENT_STYLES or each["style"] is None:
                found.setdefault(("language_persistent", episode, str(each["style"])), (row, 0))
            if each["timestamp"] is None or math.isnan(each["timestamp"]):
                found.setdefault(("language_persistent", episode, "timestamp"), (row, 0))
        happened = events[row] or []
        for style in {each["style"] for each in happened} & PERSISTENT_STYLES:
            note(("language_events", episode, style), row)
        asked = [(e["role"], e["camera"]) for e in happened if e["style"] == "vqa" and e["camera"] is not None]
        if len(set(asked)) < len(asked):
            note(("language_events", episode, "several"), row)
    return found


def keyed(scan: LanguageScan) -> dict[tuple[Any, ...], tuple[int | None, int]]:
    found: dict[tuple[Any, ...], tuple[int | None, int]] = {}
    for each in scan.findings():
        kind = each.found.split()[0]  # timestamp, several
        if each.expected.startswith("such annotations in"):
            style = each.found.removeprefix("an annotation of ").removeprefix("style ")
            kind = "None" if style == "no style" else style
        elif "that differ" in each.found:
            kind = "unlike"
        key = (each.location.column, each.location.episode, kind)
        assert key not in found
        found[key] = (each.location.row, each.more)
    return found


PERSISTENT = st.lists(
    st.builds(
        held, st.sampled_from("ab"), st.sampled_from([0.0, 1.0, math.nan]), st.sampled_from(["plan", "vqa", None])
    ),
    max_size=2,
)
EVENTS = st.lists(
    st.builds(event, st.sampled_from(["vqa", "plan", None]), st.sampled_from("xy"), st.sampled_from([None, TOP])),
    max_size=3,
)


@settings(max_examples=examples(200), deadline=None)
@given(st.data(), st.lists(st.integers(0, 9), max_size=3))
def test_against_plain_python_wherever_batches_end(data, cuts):
    lengths = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    episodes, persistent = [], []
    for episode, length in enumerate(lengths):
        common = data.draw(PERSISTENT | st.none())
        episodes += [episode] * length
        persistent += [data.draw(st.sampled_from([common, common, common, [held("z")]])) for _ in range(length)]
    events = [data.draw(EVENTS | st.none()) for _ in episodes]
    whole = table_of([-5, *episodes], [[held("z")], *persistent], [[event("trace")], *events])
    scan = scan_of(whole.slice(1), tuple(cuts))
    assert keyed(scan) == expected_of(episodes, persistent, events)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("language"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["language_persistent", "language_events", "x"]), JSON | st.fixed_dictionaries({"dtype": JSON})
    )
)
def test_hostile_features_never_raise(features):
    assert all(found.message.isprintable() for found in scan_of(good_table(), (3,), features).findings())

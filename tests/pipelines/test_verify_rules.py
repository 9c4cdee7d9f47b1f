"""One defect per case; exactly the codes that it should give appear, beside the warnings the sample has anyway."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek_pipelines.storage import Root
from episeek_pipelines.verify import RULES, VerificationReport, verify
from episeek_schemas import lerobot, sidecars
from tests.support.broken_datasets import (
    EPISODES,
    TOP,
    WRIST,
    append_free_box,
    collapse,
    copy_of,
    data,
    delay_sample_run,
    drop_rows,
    edit_info,
    edit_parquet,
    edit_sidecar,
    optional_columns,
    other_build,
    other_version,
    patch,
    same,
    second_video_track,
    set_modification_time,
    set_sync_sample,
    set_timescale,
    set_value,
    set_values,
    sidecar_value,
    swap_rows,
    video,
    with_value,
)
from tests.support.build_index import DATA

GOOD = ("av1_multifile", "h264_bframes", "hevc", "images")


@dataclass(frozen=True)
class Case:
    """Damage to a copy of `dataset`, and the codes that have to appear."""

    name: str
    dataset: str
    codes: str
    damage: Callable[[Path], object]
    indexed: bool = False
    against: bool = False
    prepared: bool | None = None


def from_ts(camera: str) -> str:
    return lerobot.video_column(camera, "from_timestamp")


def to_ts(camera: str) -> str:
    return lerobot.video_column(camera, "to_timestamp")


def shift_episode(root: Path, row: int, seconds: float) -> None:
    table = pq.read_table(root / EPISODES)
    values = {(name, row): table[name][row].as_py() + seconds for name in (from_ts(TOP), to_ts(TOP))}
    set_values(root, EPISODES, values)


def drift(root: Path, frames_per_episode: float) -> None:
    """As summed floats drift: each episode declared a little longer than it is."""

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        [table] = groups
        start = np.cumsum([0.0, *(np.array(table["length"]) + frames_per_episode) / 30])
        for name, values in ((from_ts(TOP), start[:-1]), (to_ts(TOP), start[1:])):
            table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
        return [table]

    edit_parquet(root, EPISODES, change)


def swap_files(root: Path, first: str, second: str) -> None:
    shutil.move(root / first, root / "aside")
    shutil.move(root / second, root / first)
    shutil.move(root / "aside", root / second)


def replace_file(root: Path, path: str, by: str) -> None:
    shutil.copyfile(root / by, root / path)


def truncate(root: Path, path: str, size: int) -> None:
    with open(root / path, "r+b") as file:
        file.truncate(size)


def add_video_columns(root: Path) -> None:
    edit_parquet(
        root, EPISODES, lambda groups: [groups[0].append_column("videos/ghost/chunk_index", pa.array([0] * 10))]
    )


def two_shards(root: Path) -> Path:
    """The second half of meta/episodes in a file of its own."""
    table = pq.read_table(root / EPISODES)
    second = root / EPISODES.replace("file-000", "file-001")
    pq.write_table(table.slice(5), second)
    pq.write_table(table.slice(0, 5), root / EPISODES)
    return second


def drop_column(root: Path, path: str, column: str) -> None:
    edit_parquet(root, path, lambda groups: [table.drop_columns(column) for table in groups])


def change_type(root: Path, path: str, column: str, kind: pa.DataType) -> None:
    def change(groups: list[pa.Table]) -> list[pa.Table]:
        place = groups[0].schema.get_field_index(column)
        return [table.set_column(place, column, table[column].cast(kind)) for table in groups]

    edit_parquet(root, path, change)


def change_metadata(root: Path, path: str, metadata: dict[str, str] | None) -> None:
    edit_parquet(root, path, lambda groups: [table.replace_schema_metadata(metadata) for table in groups])


def swap_row_groups(groups: list[pa.Table]) -> list[pa.Table]:
    return [groups[1], groups[0], *groups[2:]]


def interleave(groups: list[pa.Table]) -> list[pa.Table]:
    """The last row of episode 0 behind the first of episode 1; the numbers that follow from the place are set right."""
    table = pa.concat_tables(groups[:2]).combine_chunks()
    return [swap_rows(table, len(groups[0]) - 1), *groups[2:]]


def append_rows_of_unlisted_episode(groups: list[pa.Table]) -> list[pa.Table]:
    last = groups[-1]
    place = last.schema.get_field_index("episode_index")
    ghost = last.set_column(place, last.schema.field(place), pa.array([99] * len(last)))
    return [*groups, ghost]


def copy_rows(root: Path, source: str, target: str) -> None:
    """The rows of the first episode of one file in another file too."""
    first = pq.ParquetFile(root / source).read_row_group(0)
    edit_parquet(root, target, lambda groups: [*groups, first])


def delete_tasks(root: Path) -> None:
    (root / "meta/tasks.parquet").unlink()


def negative_zero(root: Path) -> None:
    """0.0 and -0.0 are equal to every comparison but one of bits."""
    set_value(root, data(0), "timestamp", 0, -0.0)


def foreign_feature(root: Path) -> None:
    edit_parquet(root, data(0), lambda groups: [t.append_column("extra", pa.array([0] * len(t))) for t in groups])


H264, AV1, HEVC, IMAGES = "h264_bframes", "av1_multifile", "hevc", "images"

METADATA_CASES = [
    Case("fps with a fraction", IMAGES, "INF002 ROW017", lambda r: edit_info(r, fps=29.97)),
    Case("total_episodes", H264, "INF009", lambda r: edit_info(r, total_episodes=7)),
    Case("total_frames", H264, "INF009", lambda r: edit_info(r, total_frames=233)),
    Case("episodes swapped", H264, "EPI008", lambda r: edit_parquet(r, EPISODES, lambda g: [swap_rows(g[0], 2)])),
    Case("a gap in dataset_from_index", H264, "EPI010", lambda r: set_values(
        r, EPISODES, {("dataset_from_index", 3): 141, ("dataset_to_index", 3): 161, ("dataset_from_index", 4): 161,
                      ("dataset_to_index", 4): 194, ("dataset_from_index", 5): 194, ("dataset_to_index", 5): 235})),
    Case("dataset_to_index and length differ", H264, "EPI010", lambda r: set_value(r, EPISODES, "dataset_to_index", 5, 235)),
    Case("a null file_index", AV1, "EPI011", lambda r: set_value(r, EPISODES, "data/file_index", 4, None)),
    Case("a null episode_index", AV1, "EPI011", lambda r: set_value(r, EPISODES, "episode_index", 4, None)),
    Case("a null length", AV1, "EPI011", lambda r: set_value(r, EPISODES, "length", 4, None)),
    Case("a NaN timestamp", AV1, "EPI011", lambda r: set_value(r, EPISODES, from_ts(TOP), 4, float("nan"))),
    Case("a negative chunk_index", AV1, "EPI011", lambda r: set_value(
        r, EPISODES, lerobot.video_column(WRIST, "chunk_index"), 9, -1)),
    Case("a column is missing", AV1, "EPI011", lambda r: drop_column(r, EPISODES, to_ts(WRIST))),
    Case("text instead of numbers", AV1, "EPI011", lambda r: change_type(r, EPISODES, "length", pa.string())),
    Case("columns of an unknown camera", AV1, "EPI013", add_video_columns),
    Case("a shard without footer", AV1, "EPI005", lambda r: truncate(r, str(two_shards(r)), 1000)),
    Case("pointer to the wrong data file", AV1, "EPI012", lambda r: set_value(r, EPISODES, "data/file_index", 3, 0)),
    Case("pointer to no data file", AV1, "EPI012 INF004", lambda r: set_value(r, EPISODES, "data/file_index", 3, 9)),
    Case("data file missing", AV1, "INF004", lambda r: (r / data(1)).unlink()),
    Case("data file empty", AV1, "INF004", lambda r: truncate(r, data(1), 0)),
    Case("data file of nobody", AV1, "INF004W", lambda r: shutil.copyfile(r / data(1), r / data(7))),
    Case("video of nobody", AV1, "INF004W", lambda r: shutil.copyfile(r / video(TOP, 1), r / video(TOP, 7))),
]  # fmt: skip

ROW_CASES = [
    Case("no footer", AV1, "ROW005", lambda r: truncate(r, data(1), 3000)),
    Case("a feature is missing", AV1, "INF003", lambda r: drop_column(r, data(0), "action")),
    Case("a feature too many", AV1, "INF003", foreign_feature),
    Case("no frame_index", AV1, "INF003", lambda r: drop_column(r, data(0), "frame_index")),
    Case("frame_index is text", AV1, "INF003", lambda r: change_type(r, data(0), "frame_index", pa.string())),
    Case("the last row is missing", AV1, "ROW015", lambda r: drop_rows(r, data(0), 51)),
    Case("a row in the middle is missing", AV1, "ROW015 ROW016 ROW017", lambda r: drop_rows(r, data(0), 20)),
    Case("rows of two episodes mixed", AV1, "ROW015", lambda r: edit_parquet(r, data(0), interleave)),
    Case("all rows of an episode are missing", AV1, "ROW015", lambda r: drop_rows(r, data(0), *range(52, 90))),
    Case("rows of no episode", AV1, "ROW015", lambda r: edit_parquet(r, data(0), append_rows_of_unlisted_episode)),
    Case("an episode twice", AV1, "ROW015", lambda r: copy_rows(r, data(1), data(0))),
    Case("a null episode_index", IMAGES, "ROW015", lambda r: set_value(r, data(0), "episode_index", 54, None)),
    Case("index jumps", AV1, "ROW016", lambda r: set_value(r, data(1), "index", 7, 4000)),
    Case("frame_index jumps", AV1, "ROW016", lambda r: set_value(r, data(1), "frame_index", 7, 4000)),
    Case("a null index", AV1, "ROW016", lambda r: set_value(r, data(1), "index", 7, None)),
    Case("timestamp off", AV1, "ROW017", lambda r: set_value(r, data(1), "timestamp", 7, 0.24)),
    Case("a null timestamp", AV1, "ROW017", lambda r: set_value(r, data(1), "timestamp", 7, None)),
    Case("a NaN timestamp", AV1, "ROW017", lambda r: set_value(r, data(1), "timestamp", 7, float("nan"))),
    Case("collapsed", AV1, "", lambda r: collapse(r, data(0))),
    Case("collapsed, prepared", AV1, "ROW018", lambda r: collapse(r, data(0)), prepared=True),
    Case("collapsed, with sidecars", AV1, "ROW018W", lambda r: collapse(r, data(0)), indexed=True),
    Case("row groups swapped", AV1, "ROW018", lambda r: edit_parquet(r, data(0), swap_row_groups), prepared=True),
    Case("an episode in two row groups", AV1, "ROW018", lambda r: edit_parquet(
        r, data(0), lambda g: [g[0].slice(0, 9), g[0].slice(9), *g[1:]]), prepared=True),
]  # fmt: skip

VIDEO_CASES = [
    Case("missing", AV1, "INF004", lambda r: (r / video(TOP, 1)).unlink()),
    Case("empty", AV1, "INF004", lambda r: truncate(r, video(TOP, 1), 0)),
    Case("truncated", AV1, "VID022", lambda r: truncate(r, video(TOP, 1), 9000)),
    Case("no MP4", AV1, "VID022", lambda r: (r / video(TOP, 1)).write_bytes(b"not an MP4, only some text" * 9)),
    Case("two video tracks", AV1, "VID022", lambda r: patch(r, video(TOP, 3), second_video_track)),
    Case("moov behind mdat", H264, "VID022W", lambda r: replace_file(r, video(TOP, 0), f"{video(TOP, 0)}.late")),
    Case("another frame rate", H264, "INF002", lambda r: patch(r, video(TOP, 0), lambda c: set_timescale(c, 18432))),
    Case("files swapped", AV1, "VID023 VID023W VID024 VID025", lambda r: swap_files(r, video(TOP, 1), video(TOP, 2))),
    Case("too long", AV1, "VID023W", lambda r: replace_file(r, video(TOP, 3), video(TOP, 4))),
    Case("too short", AV1, "VID023 VID024", lambda r: replace_file(r, video(TOP, 4), video(TOP, 3))),
    Case("seconds for another length", H264, "VID024", lambda r: set_value(r, EPISODES, to_ts(TOP), 5, 7.9)),
    Case("episodes overlap", H264, "VID024", lambda r: shift_episode(r, 2, -5 / 30)),
    Case("a gap before the last episode", H264, "VID024", lambda r: shift_episode(r, 5, 5 / 30)),
    Case("one frame off its place", H264, "VID024", lambda r: patch(r, video(TOP, 0), lambda c: delay_sample_run(c, 3, 256 + 512))),
    Case("seconds drift by a fifth of a frame an episode", H264, "VID024W", lambda r: drift(r, 0.2)),
    Case("not on a keyframe", H264, "VID025", lambda r: patch(r, video(TOP, 0), lambda c: set_sync_sample(c, 2, 49))),
]  # fmt: skip

SIDECAR_CASES = [
    Case("a file grew", AV1, "IDX031", lambda r: patch(r, video(TOP, 0), append_free_box)),
    Case("a header changed", AV1, "IDX031", lambda r: patch(r, video(TOP, 0), set_modification_time)),
    Case("a wrong size", AV1, "IDX031", sidecar_value("files", "width", 3, 64)),
    Case("the last file is not listed", AV1, "IDX031", lambda r: edit_sidecar(r, "files", lambda t: t.slice(0, 11))),
    Case("a file that does not exist", AV1, "IDX031", lambda r: edit_sidecar(r, "files", lambda t: pa.concat_tables(
        [t, with_value(with_value(t.slice(11), "file_id", 0, 12), "file_path", 0, "videos/x.mp4")]).combine_chunks())),
    Case("a span moved", H264, "IDX032", sidecar_value("episodes", "mdat_offset", 3, lambda old: old + 1)),
    Case("a span of another file", AV1, "IDX032", sidecar_value("episodes", "file_id", 3, 0)),
    Case("seconds not as declared", AV1, "IDX032", sidecar_value("episodes", "last_pts", 3, 1.5)),
    Case("wrong lead-in", HEVC, "IDX032", sidecar_value("episodes", "lead_in_count", 3, 1)),
    Case("wrong camera", AV1, "IDX032", sidecar_value("episodes", "camera_key", 3, "ghost")),
    Case("an episode is missing", AV1, "IDX032", lambda r: edit_sidecar(r, "episodes", lambda t: t.slice(0, 19))),
    Case("keyframes are missing", AV1, "IDX032 IDX033", lambda r: edit_sidecar(r, "keyframes", lambda t: t.slice(0, 300))),
    Case("built for another dataset", AV1, "IDX032", lambda r: edit_sidecar(r, "samples", same, metadata={
        sidecars.DATASET_KEY: json.dumps(
            {"fps": 30, "total_episodes": 9, "total_frames": 376, "video_keys": [TOP, WRIST]})})),
    Case("a sample moved", H264, "IDX033", sidecar_value("samples", "byte_offset", 77, lambda old: old + 1)),
    Case("a sample of another size", H264, "IDX033", sidecar_value("samples", "byte_size", 77, lambda old: old + 1)),
    Case("a sample at another time", H264, "IDX033", sidecar_value("samples", "pts", 77, lambda old: old + 1)),
    Case("a keyframe moved", H264, "IDX033", sidecar_value("keyframes", "byte_offset", 2, lambda old: old + 1)),
    Case("a keyframe of another frame", H264, "IDX033", sidecar_value("keyframes", "frame_index", 2, 3)),
    Case("unknown version", AV1, "IDX034", lambda r: edit_sidecar(r, "episodes", same, metadata=other_version())),
    Case("another build", AV1, "IDX034", lambda r: edit_sidecar(r, "samples", same, metadata=other_build())),
    Case("compressed", AV1, "IDX034", lambda r: edit_sidecar(r, "samples", same, compression="zstd")),
    Case("several pages", AV1, "IDX034", lambda r: edit_sidecar(
        r, "samples", same, data_page_size=64, write_batch_size=8)),
    Case("optional columns", AV1, "IDX034", lambda r: edit_sidecar(r, "keyframes", optional_columns)),
    Case("a column too few", AV1, "IDX034", lambda r: edit_sidecar(r, "keyframes", lambda t: t.drop_columns("pts"))),
    Case("a table is missing", AV1, "IDX034", lambda r: (r / "meta/byte_index/samples.parquet").unlink()),
    Case("a table without footer", AV1, "IDX034", lambda r: truncate(r, "meta/byte_index/samples.parquet", 3000)),
    Case("rows out of order", AV1, "IDX034 IDX033", lambda r: edit_sidecar(r, "keyframes", lambda t: swap_rows(t, 4))),
    Case("a value out of range", AV1, "IDX034 IDX032", sidecar_value("episodes", "mdat_length", 3, 0)),
    Case("a digest that is none", AV1, "IDX034 IDX031", sidecar_value("files", "moov_sha256", 3, "nothing")),
]  # fmt: skip

REWRITE_CASES = [
    Case("a value", AV1, "ROW021", lambda r: set_value(r, data(1), "next.done", 7, True)),
    Case("a zero became negative", AV1, "ROW021", negative_zero),
    Case("a null", AV1, "ROW021", lambda r: set_value(r, data(1), "task_index", 7, None)),
    Case("a type", AV1, "ROW021", lambda r: change_type(r, data(0), "task_index", pa.int32())),
    Case("fixed-size lists became lists", AV1, "ROW021", lambda r: change_type(r, data(0), "action", pa.list_(pa.float32()))),
    Case("schema metadata lost", AV1, "ROW021", lambda r: change_metadata(r, data(0), None)),
    Case("schema metadata changed", AV1, "ROW021", lambda r: change_metadata(r, data(0), {"huggingface": "{}"})),
    Case("a task", AV1, "EPI021", lambda r: set_value(r, EPISODES, "tasks", 4, ["other"])),
    Case("metadata of the episodes lost", AV1, "EPI021", lambda r: drop_column(r, EPISODES, "stats/action/mean")),
    Case("the tasks are missing", AV1, "INF021", delete_tasks),
    Case("the statistics", AV1, "INF021", lambda r: (r / "meta/stats.json").write_text("{}")),
    Case("a key of info.json", AV1, "INF021", lambda r: edit_info(r, robot_type="other")),
]  # fmt: skip

SIDECAR_CASES = [Case(**{**vars(case), "indexed": True}) for case in SIDECAR_CASES]
REWRITE_CASES = [Case(**{**vars(case), "against": True}) for case in REWRITE_CASES]
CASES = [*METADATA_CASES, *ROW_CASES, *VIDEO_CASES, *SIDECAR_CASES, *REWRITE_CASES]


def codes(report: VerificationReport) -> set[str]:
    return {found.code for found in report.findings}


def baseline(dataset: str) -> set[str]:
    """What the sample has without any damage: MP4 files with the moov box at the end."""
    return {"VID022W"} if dataset == AV1 else set()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.codes.replace(' ', '+') or 'none'}: {case.name}")
def test_a_defect_gives_exactly_its_codes(case: Case, tmp_path: Path):
    root = copy_of(case.dataset, tmp_path, indexed=case.indexed)
    if case.name == "moov behind mdat":
        moov_last(root, video(TOP, 0))
    case.damage(root)
    against = Root(str(DATA / case.dataset)) if case.against else None
    report = verify(Root(str(root)), against=against, prepared=case.prepared)
    found = codes(report)
    if "VID022W" not in case.codes.split():
        found -= baseline(case.dataset)
    assert found == set(case.codes.split()), [str(f.location) + ": " + f.message for f in report.findings]
    assert report.is_clean == all(code.endswith("W") or code == "EPI013" for code in case.codes.split())


NOT_YET = {
    "HUB007", "HUB035", "IDX036", "INF001", "INF003W", "INF006", "INF009W", "ROW019", "ROW020", "ROW030", "ROW038", "STA020",
    "STA029", "TRN037", "TRN037W", "TSK014", "VID026", "VID026W", "VID027", "VID028", "VID039",
}  # fmt: skip
"""Registered, and not looked at so far."""


def test_every_rule_has_a_case():
    covered = {code for case in CASES for code in case.codes.split()}
    assert covered == set(RULES) - {"VER000", "VER001"} - NOT_YET  # the two are in test_verify_plan.py


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("dataset", [*GOOD, "edited"])
def test_good_datasets_give_no_errors(dataset: str, indexed: bool, tmp_path: Path):
    root = copy_of(dataset, tmp_path, indexed=indexed)
    report = verify(Root(str(root)))
    assert report.error_count == 0
    late = {AV1: 4, "edited": 8}.get(dataset, 0)
    warnings = [found.code for found in report.findings]
    collapsed = ["ROW018W"] * 3 if dataset == "edited" and indexed else []
    assert warnings == [*collapsed, *["VID022W"] * late]


def moov_last(root: Path, path: str) -> None:
    """A remuxed copy beside the file."""
    import av

    with av.open(root / path) as source, av.open(root / f"{path}.late", "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)

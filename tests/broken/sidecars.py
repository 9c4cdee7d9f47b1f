"""The sidecars meta/byte_index/: IDX."""

import dataclasses
import json
from pathlib import Path
from typing import Final

import pyarrow as pa

from episeek_schemas import sidecars
from tests.broken.case import AV1, H264, HEVC, Case
from tests.broken.metadata import from_ts
from tests.support.broken_datasets import (
    EPISODES,
    TOP,
    WRIST,
    append_free_box,
    edit_sidecar,
    older_version,
    optional_columns,
    other_build,
    other_version,
    patch,
    same,
    set_modification_time,
    set_value,
    sidecar_value,
    swap_rows,
    truncate,
    video,
    with_value,
)

SAMPLES: Final = "meta/byte_index/samples.parquet"
OTHER_DATASET: Final = json.dumps({"fps": 30, "total_episodes": 9, "total_frames": 376, "video_keys": [TOP, WRIST]})


def list_ghost(root: Path) -> None:
    def change(files: pa.Table) -> pa.Table:
        ghost = with_value(with_value(files.slice(11), "file_id", 0, 12), "file_path", 0, "videos/x.mp4")
        return pa.concat_tables([files, ghost]).combine_chunks()

    edit_sidecar(root, "files", change)


def sign_of_zero(root: Path) -> None:
    """Declare that the first episode starts at -0.0 s: the same second, but not what was declared when the index was built."""
    set_value(root, EPISODES, from_ts(TOP), 0, -0.0)


_CASES: Final = [
    Case("a file grew", AV1, "IDX031", lambda r: patch(r, video(TOP, 0), append_free_box)),
    Case("a header changed", AV1, "IDX031", lambda r: patch(r, video(TOP, 0), set_modification_time)),
    Case("a wrong size", AV1, "IDX031", sidecar_value("files", "width", 3, 64)),
    Case("the last file is not listed", AV1, "IDX031", lambda r: edit_sidecar(r, "files", lambda t: t.slice(0, 11))),
    Case("a file that does not exist", AV1, "IDX031", list_ghost),
    Case("a span moved", H264, "IDX032", sidecar_value("episodes", "mdat_offset", 3, lambda old: old + 1)),
    Case("a span of another file", AV1, "IDX032", sidecar_value("episodes", "file_id", 3, 0)),
    Case("seconds not as declared", AV1, "IDX032", sidecar_value("episodes", "last_pts", 3, 1.5)),
    Case("wrong lead-in", HEVC, "IDX032", sidecar_value("episodes", "lead_in_count", 3, 1)),
    Case("wrong camera", AV1, "IDX032", sidecar_value("episodes", "camera_key", 3, "ghost")),
    Case("an episode is missing", AV1, "IDX032", lambda r: edit_sidecar(r, "episodes", lambda t: t.slice(0, 19))),
    Case("keyframes are missing", AV1, "IDX032 IDX033", lambda r: edit_sidecar(r, "keyframes", lambda t: t.slice(0, 300))),
    Case("built for another dataset", AV1, "IDX032", lambda r: edit_sidecar(
        r, "samples", same, metadata={sidecars.DATASET_KEY: OTHER_DATASET})),
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
    Case("a table is missing", AV1, "IDX034", lambda r: (r / SAMPLES).unlink()),
    Case("a table without footer", AV1, "IDX034", lambda r: truncate(r, SAMPLES, 3000)),
    Case("rows out of order", AV1, "IDX034 IDX033", lambda r: edit_sidecar(r, "keyframes", lambda t: swap_rows(t, 4))),
    Case("a value out of range", AV1, "IDX034 IDX032", sidecar_value("episodes", "mdat_length", 3, 0)),
    Case("a digest that is none", AV1, "IDX034 IDX031", sidecar_value("files", "moov_sha256", 3, "nothing")),
    Case("a second declared with another sign", AV1, "IDX036", sign_of_zero),
    Case("an older version", H264, "IDX037", older_version),
    Case("a sync sample that is none", H264, "IDX033", sidecar_value("samples", "is_sync", 77, True)),
]  # fmt: skip

CASES: Final = [dataclasses.replace(case, indexed=True) for case in _CASES]

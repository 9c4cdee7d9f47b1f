"""Headers of videos, and their declarations in meta/: INF002, INF004, VID022 to VID026, VID039, VID040."""

import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from episeek_schemas.lerobot import video_column
from tests.broken import encoded
from tests.broken.case import AV1, H264, HEVC, Case
from tests.broken.metadata import from_ts, to_ts
from tests.broken.takes import set_seconds_by_lengths, write_takes
from tests.support.broken_datasets import (
    EPISODES,
    TOP,
    box,
    delay_sample_run,
    edit_features,
    edit_parquet,
    episode_values,
    hide_sync_samples,
    patch,
    restore,
    second_video_track,
    set_sync_sample,
    set_timescale,
    set_value,
    set_values,
    truncate,
    video,
)

FILE_INDEX: Final = video_column(TOP, "file_index")


def shift_episode(root: Path, row: int, seconds: float) -> None:
    values = {(name, row): episode_values(root, name)[row] + seconds for name in (from_ts(TOP), to_ts(TOP))}
    set_values(root, EPISODES, values)


def drift(root: Path, frames_per_episode: float) -> None:
    """Declare each episode a little longer than it is, as sums of rounded seconds drift."""

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        [table] = groups
        start = np.cumsum([0.0, *(np.array(table["length"]) + frames_per_episode) / 30])
        for name, values in ((from_ts(TOP), start[:-1]), (to_ts(TOP), start[1:])):
            table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
        return [table]

    edit_parquet(root, EPISODES, change)


def recompute_seconds(root: Path) -> None:
    """Set the seconds of each episode to those of its frames: the file has all of them in order, at 30 a second."""
    drift(root, 0)


def swap_files(root: Path, first: str, second: str) -> None:
    shutil.move(root / first, root / "aside")
    shutil.move(root / second, root / first)
    shutil.move(root / "aside", root / second)


def replace_file(root: Path, path: str, by: str) -> None:
    shutil.copyfile(root / by, root / path)


def declare(root: Path, **values: Any) -> None:
    """Change the declared properties of the first camera's files."""
    changes = {f"video.{key}": value for key, value in values.items()}
    edit_features(root, lambda features: features[TOP]["info"].update(changes))


def other_subsampling(root: Path) -> None:
    """Change the header of one file to 4:4:4, and remove the declared pixel format."""

    def change(contents: bytearray) -> None:
        contents[box(contents, b"av1C") + 2] &= ~12  # chroma_subsampling_x and _y (AV1-ISOBMFF 2.3.3)

    edit_features(root, lambda features: features[TOP]["info"].pop("video.pix_fmt"))
    patch(root, SINGLE, change)


SINGLE: Final = video(TOP, 3)
"""A file of av1_multifile that holds the frames of episode 6 alone."""
SINGLE_FRAMES: Final = 35


def reordered(root: Path, path: str, count: int) -> None:
    encoded.encode(root / path, encoded.moving(count), codec="libx264", keyframe_interval=20, reorders=True)


def one_keyframe(root: Path) -> None:
    """Encode all 234 frames of the camera as one group of pictures, as encoders do by default."""
    encoded.encode(root / video(TOP, 0), encoded.moving(234), codec="libx264", keyframe_interval=1000)


def seconds_of_lengths(root: Path) -> None:
    write_takes(root, tail={1: 7})
    set_seconds_by_lengths(root)


CONTAINERS: Final = [
    Case("video missing", AV1, "INF004", lambda r: (r / video(TOP, 1)).unlink(), "lerobot#2861",
         remedied=lambda r: restore(r, AV1, video(TOP, 1))),
    Case("video empty", AV1, "INF004", lambda r: truncate(r, video(TOP, 1), 0)),
    Case("truncated", AV1, "VID022", lambda r: truncate(r, video(TOP, 1), 9000)),
    Case("no MP4", AV1, "VID022", lambda r: (r / video(TOP, 1)).write_bytes(b"not an MP4, only some text" * 9)),
    Case("two video tracks", AV1, "VID022", lambda r: patch(r, video(TOP, 3), second_video_track)),
    Case("moov after mdat", H264, "VID022W", lambda r: encoded.put_moov_last(r / video(TOP, 0)),
         "every file that LeRobot writes with one episode in it"),
]  # fmt: skip

FRAMES: Final = [
    Case("another frame rate", H264, "INF002", lambda r: patch(r, video(TOP, 0), lambda c: set_timescale(c, 18432)),
         "lerobot#4025", shows_at={"INF002": "layout"},
         remedied=lambda r: patch(r, video(TOP, 0), lambda c: set_timescale(c, 15360))),
    Case("far too short", AV1, "VID023 VID024", lambda r: replace_file(r, video(TOP, 0), video(TOP, 3))),
    Case("files swapped", AV1, "VID023W VID024 VID025", lambda r: swap_files(r, video(TOP, 1), video(TOP, 2))),
    Case("too long", AV1, "VID023W", lambda r: replace_file(r, video(TOP, 3), video(TOP, 4))),
    Case("too short", AV1, "VID024", lambda r: replace_file(r, video(TOP, 4), video(TOP, 3)),
         "lerobot/berkeley_rpt, lerobot/toto, soarm101"),
    Case("an episode in another video", AV1, "VID023W VID024", lambda r: set_value(r, EPISODES, FILE_INDEX, 5, 3),
         remedied=lambda r: set_value(r, EPISODES, FILE_INDEX, 5, 2)),
    Case("the only episode of a video in another one", AV1, "INF004W VID024", lambda r: set_value(r, EPISODES, FILE_INDEX, 7, 3),
         remedied=lambda r: set_value(r, EPISODES, FILE_INDEX, 7, 4)),
    Case("seconds for another length", H264, "VID024", lambda r: set_value(r, EPISODES, to_ts(TOP), 5, 7.9), "lerobot#2627",
         remedied=lambda r: set_value(r, EPISODES, to_ts(TOP), 5, 7.8)),
    Case("episodes overlap", H264, "VID024", lambda r: shift_episode(r, 2, -5 / 30), "lerobot#3177",
         remedied=lambda r: shift_episode(r, 2, 5 / 30)),
    Case("a gap before the last episode", H264, "VID024", lambda r: shift_episode(r, 5, 5 / 30), "lerobot#2550"),
    Case("one frame off its place", H264, "VID024", lambda r: patch(r, video(TOP, 0), lambda c: delay_sample_run(c, 3, 256 + 512)),
         shows_at={"VID024": "rows"}),
    Case("frames of a discarded take", H264, "VID023W VID024", lambda r: write_takes(r, tail={1: 7}), "lerobot#4109"),
    Case("seconds of lengths, with a discarded take", H264, "VID023W VID024", seconds_of_lengths, "lerobot#4109"),
    Case("idle frames cut from the rows", H264, "VID023W VID025", lambda r: write_takes(r, head={1: 5, 4: 12}), "lerobot#2775",
         milder="VID025"),
    Case("episodes as one stream", H264, "VID025", lambda r: write_takes(r, is_one_stream=True), milder="VID025"),
    Case("seconds drift by a fifth of a frame an episode", H264, "VID024W VID046", lambda r: drift(r, 0.2),
         remedied=recompute_seconds),
    Case("a recording cut within the picture after its last frame", AV1, "VID040", lambda r: encoded.cut_short(
        r / SINGLE, encoded.moving(SINGLE_FRAMES + 1))),
    Case("not on a keyframe", H264, "VID025 VID046", lambda r: patch(r, video(TOP, 0), lambda c: set_sync_sample(c, 2, 49)),
         milder="VID025"),
]  # fmt: skip

FORMATS: Final = [
    Case("another codec than declared", AV1, "VID026", lambda r: declare(r, codec="h264"),
         remedied=lambda r: declare(r, codec="av1"), milder="VID026"),
    Case("a stale video_info", AV1, "VID026", lambda r: edit_features(r, lambda features: features[TOP].update(
        video_info={**features[TOP]["info"], "video.codec": "h264"})), "leisaac#158",
         remedied=lambda r: edit_features(r, lambda features: features[TOP].pop("video_info")), milder="VID026"),
    Case("colours for a depth map", AV1, "VID026", lambda r: declare(r, is_depth_map=True, codec="av1"), "hflow#399"),
    Case("another size than declared", AV1, "VID026", lambda r: declare(r, height=480, width=640),
         remedied=lambda r: declare(r, height=96, width=128), milder="VID026"),
    Case("another rate declared than the dataset's", AV1, "INF002", lambda r: declare(r, fps=25), "lerobot#4025",
         remedied=lambda r: declare(r, fps=30)),
    Case("another pixel format than declared", AV1, "VID026", lambda r: declare(r, pix_fmt="yuv444p"),
         remedied=lambda r: declare(r, pix_fmt="yuv420p"), milder="VID026"),
    Case("a file of another size", AV1, "VID026", lambda r: encoded.encode(
        r / SINGLE, encoded.moving(SINGLE_FRAMES, height=64, width=96))),
    Case("a file of another codec", AV1, "VID026", lambda r: encoded.encode(
        r / SINGLE, encoded.moving(SINGLE_FRAMES), codec="libx264"),
         milder="VID026"),
    Case("a file of other chroma subsampling", AV1, "VID026", other_subsampling,
         milder="VID026"),
    Case("a file of another codec, reordered", AV1, "VID026 VID026W", lambda r: reordered(r, SINGLE, SINGLE_FRAMES),
         milder="VID026"),
    Case("reordered frames", HEVC, "VID026W VID046", lambda r: None, "LeRobot 0.4.4 cannot read the hevc that it records"),
    Case("one keyframe", H264, "VID025 VID039", one_keyframe, milder="VID025"),
    Case("every sample flagged", H264, "VID046", lambda r: patch(r, video(TOP, 0), hide_sync_samples),
         "MP4 without stss: LeRobot gets other pictures"),
]  # fmt: skip

CASES: Final = [*CONTAINERS, *FRAMES, *FORMATS]

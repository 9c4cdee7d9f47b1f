"""VID046: the frames that a seek loses are those that PyAV does not get when it seeks, in the same file."""

import hashlib
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from episeek.stores.transports.local import LocalSource
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import verify
from episeek_pipelines.verify.videos.lerobot_reading import lost_frames
from episeek_pipelines.video.header import read_video_header
from tests.support.broken_datasets import TOP, copy_of, hide_sync_samples, patch, video
from tests.support.build_index import DATA

FILES = {
    "hevc with open groups": DATA / "hevc" / video(TOP, 0),
    "h264 with B-frames": DATA / "h264_bframes" / video(TOP, 0),
    "av1": DATA / "av1_multifile" / video(TOP, 0),
}


def lost_by_pyav(path: Path, *, margin_ticks: int) -> list[int]:
    """The frames that are not among those from the keyframe on to which FFmpeg seeks for their time."""
    with av.open(path.as_posix()) as container:
        stream = container.streams.video[0]
        times = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        lost = []
        for number, pts in enumerate(times):
            container.seek(pts - margin_ticks, backward=True, any_frame=False, stream=stream)
            decoded = next(
                frame.pts for frame in container.decode(stream) if frame.pts is not None and frame.pts >= pts
            )
            if decoded != pts:
                lost.append(number)
        return lost


def lost_by_header(path: Path, *, margin_ticks: int) -> list[int]:
    table = read_video_header(LocalSource(path.parent.as_posix()), path.name).table
    return np.flatnonzero(lost_frames(table, margin_ticks=margin_ticks)[table.presentation_order()]).tolist()


@pytest.mark.parametrize("margin_ticks", [0, 1])
@pytest.mark.parametrize("name", FILES)
def test_lost_frames_are_those_that_a_seek_loses(name: str, margin_ticks: int):
    path = FILES[name]
    lost = lost_by_pyav(path, margin_ticks=margin_ticks)
    assert lost_by_header(path, margin_ticks=margin_ticks) == lost
    assert bool(lost) == (name == "hevc with open groups" and margin_ticks == 0)


def test_the_finding_says_how_many_frames_and_why(tmp_path: Path):
    [top, _] = [found for found in verify(Root(str(copy_of("hevc", tmp_path)))).findings if found.code == "VID046"]
    count = len(lost_by_pyav(FILES["hevc with open groups"], margin_ticks=0))
    assert (top.severity, top.location.file) == ("error", video(TOP, 0))
    assert top.found == f"{count} of 132 frames stored after a keyframe and shown before it"
    assert "open-gop=0" in top.advice
    shutil.rmtree(tmp_path / "hevc")


def test_flags_of_samples_at_which_decoding_cannot_start_are_found(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path)
    whole = read_by_seeking(root / video(TOP, 0))
    patch(root, video(TOP, 0), hide_sync_samples)
    other = sum(a != b for a, b in zip(whole, read_by_seeking(root / video(TOP, 0)), strict=True))
    [top] = [found for found in verify(Root(str(root))).findings if found.code == "VID046"]
    assert other > 200
    assert top.found == "223 of 234 sync samples at which decoding cannot start"


def read_by_seeking(path: Path) -> list[str]:
    """The picture that PyAV gets first at or after the time of each frame, if it seeks to this time."""
    with av.open(path.as_posix()) as container:
        stream = container.streams.video[0]
        read = []
        for pts in sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None):
            container.seek(pts, backward=True, any_frame=False, stream=stream)
            frames = container.decode(stream)
            frame = next((frame for frame in frames if frame.pts is not None and frame.pts >= pts), None)
            read.append("" if frame is None else hashlib.md5(frame.to_ndarray().tobytes()).hexdigest())
        return read

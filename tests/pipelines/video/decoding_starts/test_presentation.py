"""Files whose pictures contradict their times are refused: B-pictures without composition offsets, fields as samples."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest

from episeek.errors import SampleTableError
from episeek.mp4.sample_table import SampleTable
from episeek.stores.transports.local import LocalSource
from episeek_pipelines.video.bitstreams.entry_codec import codec_of_entry
from episeek_pipelines.video.bitstreams.h264 import H264
from episeek_pipelines.video.decoding_starts.presentation import require_order
from episeek_pipelines.video.decoding_starts.reading import SampleReader
from tests.support.encode import Encoding, encode_episodes
from tests.support.one_file_index import read_table

X264 = "log-level=none:scenecut=0"
ENCODINGS = {
    "b-pictures": Encoding("libx264", {"g": "12", "x264-params": X264}, b_frame_count=2),
    "pyramid, open GOPs": Encoding(
        "libx264", {"g": "12", "x264-params": f"{X264}:open-gop=1:b-pyramid=normal:cqm=jvt:b-adapt=0"}, b_frame_count=5
    ),
    "interlaced": Encoding("libx264", {"g": "12", "x264-params": f"{X264}:interlaced=1"}, b_frame_count=2),
    "mpeg4": Encoding("mpeg4", {"g": "12"}, b_frame_count=2),
    "mpeg2video": Encoding("mpeg2video", {"g": "12"}, b_frame_count=2),
}


def encode(path: Path, encoding: Encoding, count: int) -> None:
    """Write a video of `count` pictures. MPEG-2 takes no other time base than 1/30 s."""
    if encoding.codec != "mpeg2video":
        encode_episodes(path, encoding, [count])
        return
    rng = np.random.default_rng(0)
    with av.open(path.as_posix(), "w") as container:
        stream = cast(av.VideoStream, container.add_stream(encoding.codec, rate=30, options=encoding.options))
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.max_b_frames = encoding.b_frame_count
        for _ in range(count):
            picture = av.VideoFrame.from_ndarray(rng.integers(0, 256, (64, 96, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def check(path: Path, table: SampleTable, codec=None) -> None:
    reader = SampleReader(LocalSource(str(path.parent)), path.name, table)
    codec = codec or codec_of_entry(table.sample_description, 1, table.codec, where=path.name)
    require_order(reader, codec, table, where=path.name)


@pytest.mark.parametrize("name", ENCODINGS)
def test_pictures_out_of_order_need_composition_offsets(name, tmp_path):
    path = tmp_path / "video.mp4"
    encode(path, ENCODINGS[name], 40)
    table = read_table(path)
    check(path, table)
    early = np.flatnonzero(table.pts < np.maximum.accumulate(table.pts))[0]
    with pytest.raises(
        SampleTableError, match=f"no composition offsets, although sample {early} is shown before"
    ) as caught:
        check(path, replace(table, pts=table.dts))
    assert caught.value.hint == "re-encode the video"


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mpeg2video", "libsvtav1"])
def test_pictures_in_order_need_none(codec, tmp_path):
    path = tmp_path / "video.mp4"
    encode(path, Encoding(codec, {"g": "200" if codec == "libx264" else "12"}), 70)
    table = read_table(path)
    assert (np.diff(table.pts) > 0).all()
    check(path, table)


class Bits:
    """Writes a NAL unit of H.264."""

    def __init__(self) -> None:
        self.text = ""

    def u(self, value: int, count: int) -> "Bits":
        self.text += f"{value:0{count}b}"
        return self

    def ue(self, *values: int) -> "Bits":
        for value in values:
            self.text += "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"
        return self

    def nal(self, header: int) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return bytes([header]) + int(text, 2).to_bytes(len(text) // 8, "big")


SPS = (
    Bits()
    .u(77, 8)
    .u(0, 8)
    .u(30, 8)
    .ue(0, 0, 0, 4, 1)
    .u(0, 1)
    .ue(3, 1)
    .u(0, 1)
    .u(0, 1)
    .u(1, 1)
    .u(0, 1)
    .u(0, 1)
    .nal(0x67)
)
PPS = Bits().ue(0, 0).u(0, 2).ue(0).nal(0x68)
AVCC = b"\1\x4d\0\x1e\xff\xe1" + len(SPS).to_bytes(2, "big") + SPS + b"\1" + len(PPS).to_bytes(2, "big") + PPS


def field(number: int, *, bottom: bool) -> bytes:
    bits = Bits().ue(0, 7, 0).u(number % 16, 4).u(1, 1).u(bottom, 1)
    nal = (bits.ue(0) if number == 0 else bits).u(2 * number % 256, 8).nal(0x65 if number == 0 else 0x61)
    return len(nal).to_bytes(4, "big") + nal


@pytest.mark.parametrize("paired", [True, False])
def test_a_field_is_no_frame(paired, tmp_path):
    fields = [field(number, bottom=bottom) for number in range(4) for bottom in (False, True)]
    samples = [one + other for one, other in zip(fields[::2], fields[1::2], strict=True)] if paired else fields
    path = tmp_path / "fields.264"
    path.write_bytes(b"".join(samples))
    size = np.array([len(sample) for sample in samples])
    count = len(samples)
    table = SampleTable(
        offset=np.cumsum(size) - size,
        size=size,
        dts=np.arange(count) * 512,
        pts=np.arange(count) * 512,
        duration=np.full(count, 512),
        is_sync=np.ones(count, np.bool_),
        is_presented=np.ones(count, np.bool_),
        timescale=15360,
        codec="avc1",
        width=64,
        height=64,
        sample_description=b"",
        matrix=b"",
    )
    if paired:
        check(path, table, H264(AVCC))
        return
    with pytest.raises(SampleTableError, match="samples 0 and 1, which are the two fields of a frame"):
        check(path, table, H264(AVCC))

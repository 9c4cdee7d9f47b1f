"""Pictures other than upright RGB of 8 bits: depth keeps every bit, and rotated tracks are decoded rotated."""

import io
import struct
from typing import cast

import av
import numpy as np
import pytest

from episeek.decode import Backend
from episeek.errors import BackendUnavailableError, DecodeError
from tests.features.encoding import Recipe, encode
from tests.features.muxer import mux, track_of
from tests.support.one_file_index import CAMERA, open_one_file, read_table
from tests.support.whole_file import usable_backends

HEIGHT, WIDTH, FRAME_COUNT = 64, 96, 12
ONE = 1 << 16

pytestmark = pytest.mark.torch


@pytest.fixture
def torchcodec():
    if "torchcodec" not in usable_backends():
        pytest.skip("FFmpeg's libraries are not there")


LOSSLESS = {
    "libx265": {"x265-params": "lossless=1:log-level=none:keyint=4:bframes=2:pools=none", "preset": "ultrafast"},
    "libx264": {"qp": "0", "g": "4", "preset": "ultrafast"},
    "ffv1": {},
}


def depth_video(pictures, pixels, codec="libx265"):
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=30, options=LOSSLESS[codec]))
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pixels
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format=pixels)))
        container.mux(stream.encode(None))
    return target.getvalue()


@pytest.fixture(
    scope="module",
    params=[
        ("libx265", "gray12le", 12),  # as LeRobot records depth
        ("libx264", "gray10le", 10),  # of which FFmpeg's decoder makes yuv420p10le
        ("ffv1", "gray16le", 16),  # of which the header does not say it
    ],
    ids=lambda param: param[0],
)
def depth(request, tmp_path_factory):
    """Random values, encoded without loss, and their index."""
    codec, pixels, bits = request.param
    folder = tmp_path_factory.mktemp("depth")
    pictures = np.random.default_rng(0).integers(0, 1 << bits, (FRAME_COUNT, HEIGHT, WIDTH), np.uint16)
    path = folder / "videos/depth.mp4"
    path.parent.mkdir()
    path.write_bytes(depth_video(pictures, pixels, codec))
    return pictures, open_one_file(path, read_table(path), folder)


@pytest.mark.parametrize(("start", "stop"), [(0, FRAME_COUNT), (5, 6), (3, 9), (FRAME_COUNT - 1, FRAME_COUNT)])
@pytest.mark.parametrize("backend", ["pyav", "auto"])
def test_depth_keeps_every_bit(depth, backend, start, stop):
    pictures, index = depth
    decoded = index.clip(0, CAMERA, start, stop).decode(backend)
    found = np.asarray(decoded.data)
    assert found.dtype == np.uint16
    assert found.shape == (stop - start, 1, HEIGHT, WIDTH)
    assert np.array_equal(found[:, 0], pictures[start:stop])
    assert len(decoded.pts_seconds) == stop - start


@pytest.mark.usefixtures("torchcodec")
def test_depth_is_a_tensor_where_other_pictures_are(depth):
    import torch

    _, index = depth
    assert index.clip(0, CAMERA, 0, 2).decode().data.dtype == torch.uint16


@pytest.mark.usefixtures("torchcodec")
@pytest.mark.parametrize(("backend", "device"), [("torchcodec", "cpu"), ("auto", "cuda")])
def test_depth_is_not_squeezed_into_8_bits_in_silence(depth, backend, device):
    _, index = depth
    with pytest.raises((BackendUnavailableError, DecodeError), match=r"keeps every bit|Unsupported device"):
        index.clip(0, CAMERA).decode(backend, device=device)


def test_gray_of_8_bits_is_rgb(tmp_path):
    pictures = np.random.default_rng(0).integers(16, 235, (4, HEIGHT, WIDTH), np.uint8)
    path = tmp_path / "videos/gray.mp4"
    path.parent.mkdir()
    path.write_bytes(depth_video(pictures, "gray"))
    found = open_one_file(path, read_table(path), tmp_path).clip(0, CAMERA).decode("pyav").data
    assert found.dtype == np.uint8
    assert found.shape == (4, 3, HEIGHT, WIDTH)


TURNS = {  # (a, b, c, d) of the matrix, and quarter turns counterclockwise
    "upright": ((ONE, 0, 0, ONE), 0),
    "90": ((0, ONE, -ONE, 0), 3),
    "180": ((-ONE, 0, 0, -ONE), 2),
    "270": ((0, -ONE, ONE, 0), 1),
    "30, taken for 0": ((56756, 32768, -32768, 56756), 0),
    "mirrored, taken for 180": ((-ONE, 0, 0, ONE), 2),
    "zeros": ((0, 0, 0, 0), 0),
}


@pytest.mark.parametrize("name", TURNS)
def test_turned_pictures_come_out_turned_by_both_decoders(tmp_path, name):
    (a, b, c, d), turns = TURNS[name]
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = tmp_path / "videos/turned.mp4"
    path.parent.mkdir()
    path.write_bytes(mux(track_of(encode(Recipe("libx264", b_frames=2)), matrix=matrix)))
    with av.open(path.as_posix()) as container:  # PyAV leaves turning to its caller
        upright = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])[5:11]
    expected = np.rot90(upright, turns, axes=(1, 2)).transpose(0, 3, 1, 2)
    clip = open_one_file(path, read_table(path), tmp_path).clip(0, CAMERA, 5, 11)
    assert struct.pack(">9i", *matrix) in clip.read()
    backends: tuple[Backend, ...] = (*usable_backends(), "packets", "auto")
    for backend in backends:
        assert np.array_equal(np.asarray(clip.decode(backend).data), expected)
        # without an array that pictures are copied into
        assert np.array_equal(np.asarray(clip.decode(backend, frames=[3]).data), expected[3:4])


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le", "gray"])
def test_a_configuration_that_lies_about_depth_is_found_out(tmp_path, pixels):
    """hvcC says chroma_format_idc 0 and 12 bits for pictures with colour or of 8 bits: decoding fails."""
    mp4 = bytearray(mux(track_of(encode(Recipe("libx265", pixels=pixels)))))
    configuration = mp4.index(b"hvcC") + 4
    mp4[configuration + 16], mp4[configuration + 17] = 0xFC, 0xFC
    path = tmp_path / "videos/lies.mp4"
    path.parent.mkdir()
    path.write_bytes(mp4)
    with pytest.raises(DecodeError, match="as the decoder configuration says"):
        open_one_file(path, read_table(path), tmp_path).clip(0, CAMERA).decode("pyav")

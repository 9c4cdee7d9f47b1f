"""Depth in items: videos and pictures of one channel and more than 8 bits keep every bit."""

import io
import shutil

import numpy as np
import pytest

import episeek
from episeek.errors import MetadataError
from tests.runtime.test_depth_and_rotation import FRAME_COUNT, depth_video
from tests.support.build_index import CAMERAS, DATA, build_index
from tests.support.lazy import Lazy, require_installed

require_installed("torch")
pytestmark = pytest.mark.torch

torch = Lazy("torch")
EpisodeDataset = Lazy("episeek.torch", "EpisodeDataset")
picture = Lazy("episeek.torch.columns", "picture")

TOP, WRIST = CAMERAS


@pytest.fixture(scope="module")
def with_depth(tmp_path_factory):
    """A dataset of which one camera is one of depth, as LeRobot records it, its values, and its index."""
    root = tmp_path_factory.mktemp("dataset") / "hevc"
    shutil.copytree(DATA / "hevc", root)
    videos = sorted((root / "videos" / WRIST).rglob("*.mp4"))
    assert len(videos) == 1
    count = len(EpisodeDataset(episeek_index(root, tmp_path_factory)))
    assert count > FRAME_COUNT
    pictures = np.random.default_rng(0).integers(0, 1 << 12, (count, 64, 96), np.uint16)
    videos[0].write_bytes(depth_video(pictures, "gray12le"))
    return pictures, episeek_index(root, tmp_path_factory)


def episeek_index(root, tmp_path_factory):
    sidecars = tmp_path_factory.mktemp("sidecars")
    build_index(root, tmp_path_factory.mktemp("work"), sidecars)
    return episeek.open(sidecars, data_root=root)


@pytest.mark.parametrize("return_uint8", [False, True])
def test_depth_keeps_every_bit(with_depth, return_uint8):
    pictures, index = with_depth
    dataset = EpisodeDataset(index, return_uint8=return_uint8)
    batch = next(iter(torch.utils.data.DataLoader(dataset, batch_size=len(dataset))))
    assert batch[WRIST].dtype == torch.uint16
    assert np.array_equal(batch[WRIST][:, 0].numpy(), pictures)
    assert batch[TOP].dtype == (torch.uint8 if return_uint8 else torch.float32)


def test_windows_of_depth_are_stacked(with_depth):
    pictures, index = with_depth
    item = EpisodeDataset(index, delta_timestamps={WRIST: [-1 / 30, 0]})[5]
    assert np.array_equal(item[WRIST][:, 0].numpy(), pictures[4:6])


def encoded(values, image_format):
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(values).save(target, image_format)
    return {"bytes": target.getvalue(), "path": None}


def test_a_picture_of_16_bits_keeps_every_bit():
    values = np.random.default_rng(0).integers(0, 1 << 16, (5, 7), np.uint16)
    found = picture(encoded(values, "PNG"), where="a row")
    assert found.dtype == np.uint16
    assert np.array_equal(found, values[:, :, None])


def test_a_picture_of_floats_is_refused():
    with pytest.raises(MetadataError, match=r"a row: .*float32.*16 bits in one channel"):
        picture(encoded(np.zeros((5, 7), np.float32), "TIFF"), where="a row")

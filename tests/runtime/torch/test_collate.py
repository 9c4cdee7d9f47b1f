"""Batches that are not copied equal those of torch's own function, whatever the items are."""

import numpy as np
import pytest

from tests.support import bar_code
from tests.support.build_index import CAMERAS

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from torch.utils.data import DataLoader, default_collate  # noqa: E402

from episeek.torch import EpisodeDataset, EpisodeSampler, collate  # noqa: E402
from episeek.torch.picture_batch import PictureBatch  # noqa: E402

TOP, WRIST = CAMERAS
DELTAS: dict[str, list[float]] = {TOP: [-2 / 30, 0, 1 / 30], "action": [0, 1 / 30], "observation.state": [0]}


def assert_equal(ours, theirs):
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        if isinstance(value, torch.Tensor):
            assert (ours[key].dtype, ours[key].shape) == (value.dtype, value.shape), key
            assert torch.equal(ours[key], value), key
        else:
            assert ours[key] == value, key


@pytest.mark.parametrize("options", [{}, {"return_uint8": True, "delta_timestamps": DELTAS}, {"image_transforms": abs}])
def test_a_batch_equals_that_of_torch(indexes, options):
    dataset = EpisodeDataset(indexes["hevc"], **options)
    # neighbours, of which several share frames, and an item that comes twice
    items = dataset.__getitems__([40, 41, 3, 40])
    assert_equal(collate(items), default_collate(items))
    assert_equal(collate(items[1:]), default_collate(items[1:]))
    assert_equal(collate(items[::-1]), default_collate(items[::-1]))
    alone = [dataset[number] for number in (40, 41, 3, 40)]
    assert_equal(collate(items), collate(alone))


def test_pictures_of_a_batch_are_not_copied(indexes):
    items = EpisodeDataset(indexes["hevc"]).__getitems__([7, 2])
    batch = collate(items)
    assert batch[TOP].data_ptr() == items[0][TOP].data_ptr()
    assert batch[TOP][1].data_ptr() == items[1][TOP].data_ptr()
    assert batch[TOP].is_contiguous()


def test_changing_an_item_changes_no_other(indexes):
    dataset = EpisodeDataset(indexes["hevc"], delta_timestamps=DELTAS)
    items = dataset.__getitems__([40, 41, 40])
    for value in items[0].values():
        if isinstance(value, torch.Tensor):
            value.zero_()
    assert_equal(collate(items[1:]), collate([dataset[41], dataset[40]]))


def test_workers_give_the_same_batches(indexes):
    dataset = EpisodeDataset(indexes["hevc"], return_uint8=True)
    loader = DataLoader(dataset, batch_sampler=EpisodeSampler(dataset, 24), num_workers=1, collate_fn=collate)
    frames = 0
    for batch in loader:
        for camera in CAMERAS:
            assert bar_code.read(batch[camera].numpy()) == batch["frame_index"].tolist()
        frames += len(batch["index"])
    assert frames == len(dataset)


def test_pictures_of_different_sizes_are_items_of_their_own():
    pictures = [np.full((height, 4, 3), height, np.uint8) for height in (2, 6, 2)]
    batch = PictureBatch([[(0, 0)], [(0, 1)], [(0, 2)], [(0, 1)]], as_uint8=True)
    for number, picture in enumerate(pictures):
        batch.put((0, number), picture)
    assert [tuple(batch.of_item(number).shape) for number in range(4)] == [(3, 2, 4), (3, 6, 4), (3, 2, 4), (3, 6, 4)]
    assert [int(batch.of_item(number).unique()) for number in range(4)] == [2, 6, 2, 6]
    # another decoder, which is tried after the first has failed, gives them once more
    batch.put((0, 1), pictures[0])
    assert batch.of_item(1).shape == (3, 2, 4)
    assert int(batch.of_item(3).max()) == 2

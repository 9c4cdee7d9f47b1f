"""Shared memory of worker processes is written again when nobody holds it, and not before."""

import gc
import os
import signal
import sys
import time
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest

from tests.support import bar_code
from tests.support.build_index import CAMERAS

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.skipif(sys.platform != "linux", reason="uses memfd_create(2)")]

from torch.utils.data import DataLoader  # noqa: E402

from episeek.torch import EpisodeDataset, EpisodeSampler, collate  # noqa: E402
from episeek.torch.shared_blocks import UNUSED_TAKES, SharedBlocks  # noqa: E402

SHAPE = (5, 3, 8)


@pytest.fixture
def blocks():
    reducers: dict[Any, Any] = ForkingPickler._extra_reducers  # type: ignore[attr-defined]  # there is no public one
    before = dict(reducers)
    yield SharedBlocks()
    reducers.clear()
    reducers.update(before)


def filled(blocks: SharedBlocks, value: int) -> Any:
    tensor = blocks.tensor(SHAPE, np.float32)
    assert tensor is not None
    return tensor.fill_(value)


def sent(tensor: Any) -> bytes:
    return bytes(ForkingPickler.dumps(tensor))


def wait_until_free(blocks: SharedBlocks) -> None:
    """Wait until all memory is free: the thread that sends a file closes its own copy a moment later than it arrives."""
    for _ in range(1000):
        if all(block.is_free for block in blocks._blocks.values()):
            return
        time.sleep(0.01)
    raise AssertionError("memory that nobody holds is not free")


def test_memory_is_taken_again_when_the_last_reader_lets_go(blocks):
    tensor = filled(blocks, 1)
    address = tensor.data_ptr()
    message = sent(tensor[1:, 0])
    del tensor
    # on its way
    assert filled(blocks, 2).data_ptr() != address
    received = ForkingPickler.loads(message)
    assert received.shape == (4, 8)
    assert received.stride() == (24, 1)
    last_row = received.numpy()[-1]
    del received
    # an array made of the tensor
    assert {filled(blocks, 3).data_ptr() for _ in range(3)}.isdisjoint({address})
    assert last_row.tolist() == [1] * 8
    del last_row
    gc.collect()
    wait_until_free(blocks)
    held = [filled(blocks, 4) for _ in range(2)]
    assert address in [tensor.data_ptr() for tensor in held]
    assert len(blocks._blocks) == 2


def test_memory_that_is_not_sent_is_taken_again(blocks):
    view = filled(blocks, 1)[2].numpy()[:2]
    assert filled(blocks, 2).data_ptr() != view.ctypes.data
    assert np.array_equal(view, np.ones((2, 8)))
    del view
    assert len({filled(blocks, 3).data_ptr() for _ in range(5)}) == 1
    assert len(blocks._blocks) == 2


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_fork_of_the_receiver_holds_what_it_has(blocks, is_killed):
    tensor = filled(blocks, 7)
    address = tensor.data_ptr()
    received = ForkingPickler.loads(sent(tensor))
    assert torch.equal(received, tensor)
    del tensor
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"1")
        os.read(go[0], 1)
        os._exit(0 if bool((received == 7).all()) else 1)
    os.read(ready[0], 1)
    del received
    assert filled(blocks, 8).data_ptr() != address
    if is_killed:
        os.kill(child, signal.SIGKILL)
    os.write(go[1], b"1")
    _, status = os.waitpid(child, 0)
    assert status == (signal.SIGKILL if is_killed else 0)
    wait_until_free(blocks)
    held = [filled(blocks, 9) for _ in range(2)]
    assert address in [tensor.data_ptr() for tensor in held]
    for end in (*ready, *go):
        os.close(end)


def test_memory_of_other_sizes_is_given_back(blocks):
    filled(blocks, 1)
    for _ in range(UNUSED_TAKES + 1):
        assert blocks.tensor((100,), np.uint8) is not None
    assert len(blocks._blocks) == 2
    assert blocks.tensor((1000,), np.uint8) is not None
    assert sorted(block.size for block in blocks._blocks.values()) == [100, 1000]


def test_other_tensors_are_sent_as_torch_sends_them(blocks):
    filled(blocks, 1)
    for tensor in (torch.arange(6).reshape(2, 3).T, torch.zeros(0), torch.ones(2, requires_grad=True).detach()):
        assert torch.equal(ForkingPickler.loads(sent(tensor)), tensor)


def test_without_such_memory_batches_are_shared_as_torch_shares_them(blocks, monkeypatch):
    def refused(*arguments):
        raise PermissionError(1, "no such call here")

    monkeypatch.setattr(os, "memfd_create", refused)
    assert blocks.tensor(SHAPE, np.float32) is None
    monkeypatch.undo()
    monkeypatch.setattr("episeek.torch.shared_blocks.get_sharing_strategy", lambda: "file_system")
    assert blocks.tensor(SHAPE, np.float32) is None


def test_what_lies_together_is_not_copied_without_such_memory(indexes, monkeypatch):
    monkeypatch.setattr("episeek.torch.batch_memory._passes_on", True)
    monkeypatch.setattr("episeek.torch.batch_memory._blocks.tensor", lambda *_: None)
    items = EpisodeDataset(indexes["hevc"], return_uint8=True).__getitems__([7, 2, 30, 31, 9, 40, 3, 21])
    batch = collate(items)
    for camera in CAMERAS:
        assert batch[camera].data_ptr() == items[0][camera].data_ptr()


def test_files_are_closed(blocks):
    before = len(os.listdir("/proc/self/fd"))
    for value in range(5):
        ForkingPickler.loads(sent(filled(blocks, value)))
    wait_until_free(blocks)
    blocks._blocks.clear()
    gc.collect()
    # the listener of messages stays
    assert len(os.listdir("/proc/self/fd")) <= before + 2


@pytest.mark.parametrize("kept", [1, 1000])
def test_batches_that_are_kept_stay_as_they_are(indexes, kept):
    dataset = EpisodeDataset(indexes["hevc"], return_uint8=True)
    loader = DataLoader(dataset, batch_sampler=EpisodeSampler(dataset, 8), num_workers=2, collate_fn=collate)
    batches: list[Any] = []
    frames = 0
    for batch in loader:
        batches = [*batches, batch][-kept:]
        frames += len(batch["index"])
        for held in batches if kept == 1 else batches[-1:]:
            for camera in CAMERAS:
                assert bar_code.read(held[camera].numpy()) == held["frame_index"].tolist()
    assert frames == len(dataset)
    for held in batches:
        for camera in CAMERAS:
            assert bar_code.read(held[camera].numpy()) == held["frame_index"].tolist()


@pytest.mark.parametrize("options", [{}, {"image_transforms": torch.neg}])
def test_no_batch_needs_dev_shm(indexes, options):
    dataset = EpisodeDataset(indexes["hevc"], episodes=[0], **options)
    loader = DataLoader(dataset, batch_sampler=EpisodeSampler(dataset, 8), num_workers=1, collate_fn=collate)
    for batch in loader:
        alone = collate([dataset[int(number)] for number in batch["index"]])
        for camera in CAMERAS:
            assert batch[camera].nbytes > 1 << 18
            # torch's own would be
            assert not batch[camera].is_shared()
            assert torch.equal(batch[camera], alone[camera])

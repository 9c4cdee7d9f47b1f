"""Shared memory of a worker process that is reused from batch to batch.

New memory costs more than decoding: the system zeroes and maps it page by page, which takes 4 ms for a picture of 640x480 in
float32. Therefore a worker keeps the memory of its batches, and writes into it again when no process uses the old batch any more.

File locks tell whether a batch is still in use. Each message carries an open file description of the memory that holds a shared
lock (flock(2)), and the receiver's mapping keeps it open. The lock ends when the last copy of the description is closed: when the
receiver has released the tensor, or when all processes that hold it, forks among them, have ended or crashed. The worker writes
into a block only after it has obtained the exclusive lock.
"""

import fcntl
import mmap
import os
import threading
import weakref
from collections.abc import Callable
from multiprocessing.reduction import DupFd, ForkingPickler
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.multiprocessing import get_sharing_strategy
from torch.multiprocessing.reductions import reduce_tensor

UNUSED_TAKES: Final = 64
"""A block is freed when this many other blocks were taken since its last use."""


class SharedBlock:
    """A piece of anonymous shared memory.

    Args:
        size: Its size in bytes.

    Raises:
        OSError: The system provides no such memory, or no locks on it.
    """

    def __init__(self, size: int) -> None:
        self._file = os.memfd_create("episeek-batch", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._file).atexit = False
        os.ftruncate(self._file, size)
        # tried at once, so that a system without it is found before anything is written
        os.close(self._locked_file())
        self.size = size
        self.last_take = 0
        self._memory = mmap.mmap(self._file, size)
        self._array: weakref.ref[npt.NDArray[np.uint8]] | None = None

    @property
    def address(self) -> int:
        """The address of the memory in this process."""
        return np.frombuffer(self._memory, np.uint8).ctypes.data

    @property
    def is_free(self) -> bool:
        """Whether neither an array of this process nor another process uses the memory."""
        if self._array is not None and self._array() is not None:
            return False
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return True

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """Return the first `size` bytes as an array. The block is in use as long as something refers to the array."""
        array = np.frombuffer(self._memory, np.uint8, size)
        self._array = weakref.ref(array)
        return array

    def handle(self) -> Any:
        """Return a handle that a message can carry.

        The block is in use as long as the handle, or the file opened from it, exists.
        """
        file = self._locked_file()
        try:
            return DupFd(file)
        finally:
            os.close(file)

    def _locked_file(self) -> int:
        # a description of its own: locks of one description are one lock
        file = os.open(f"/proc/self/fd/{self._file}", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
        except OSError:
            os.close(file)
            raise
        return file


class SharedBlocks:
    """The blocks of shared memory of a worker process.

    After the first call of `tensor`, tensors in a block are sent to other processes without a copy, and all other tensors as torch
    sends them.
    """

    def __init__(self) -> None:
        self._blocks: dict[int, SharedBlock] = {}
        """The blocks by their address in this process."""
        self._takes = 0
        self._lock = threading.Lock()

    def tensor(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> torch.Tensor | None:
        """Return an uninitialized tensor in shared memory, or None if this system does not support such blocks."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if not size or get_sharing_strategy() != "file_descriptor":  # type: ignore[no-untyped-call]  # torch's
            return None
        with self._lock:
            try:
                array = self._take(size)
            except OSError:
                return None
        return torch.from_numpy(array.view(dtype).reshape(shape))

    def holds(self, tensor: torch.Tensor) -> bool:
        """Return whether the memory of a tensor belongs to a block."""
        return tensor.untyped_storage().data_ptr() in self._blocks

    def _take(self, size: int) -> npt.NDArray[np.uint8]:
        self._takes += 1
        fitting = [block for block in self._blocks.values() if size <= block.size <= 2 * size]
        block = next((block for block in fitting if block.is_free), None)
        if block is None:
            self._drop_unused()
            block = SharedBlock(size)
            if not self._blocks:
                ForkingPickler.register(torch.Tensor, self._reduce)
            self._blocks[block.address] = block
        block.last_take = self._takes
        return block.take(size)

    def _drop_unused(self) -> None:
        self._blocks = {
            address: block
            for address, block in self._blocks.items()
            if self._takes - block.last_take <= UNUSED_TAKES or not block.is_free
        }

    def _reduce(self, tensor: torch.Tensor) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return the function and arguments that rebuild a tensor in another process, in the form that `ForkingPickler` expects."""
        block = None
        if tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.requires_grad:
            block = self._blocks.get(tensor.untyped_storage().data_ptr())
        if block is None:
            reduced: tuple[Callable[..., Any], tuple[Any, ...]] = reduce_tensor(tensor)  # type: ignore[no-untyped-call]  # torch's
            return reduced
        dtype = tensor.numpy().dtype
        view = (tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
        return received_tensor, (block.handle(), tensor.untyped_storage().nbytes(), dtype.str, *view)


def received_tensor(
    handle: Any, size: int, dtype: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> torch.Tensor:
    """Return a tensor that another process has sent.

    Args:
        handle: The handle of the memory, from `SharedBlock.handle`.
        size: Size of the memory in bytes.
        dtype: Name of the numpy type of the values.
        offset: Start of the tensor in the memory, in values.
        shape: Shape of the tensor.
        strides: Strides of the tensor, in values.
    """
    file = handle.detach()
    try:
        # the mapping keeps the file open: the memory is held exactly as long as it is mapped
        memory = mmap.mmap(file, size)
    finally:
        os.close(file)
    return torch.from_numpy(np.frombuffer(memory, dtype)).as_strided(shape, strides, offset)

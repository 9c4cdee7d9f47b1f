"""Shared memory of a worker process that is reused from batch to batch.

Allocating new memory costs more than decoding: the system zeroes and maps each page, which takes 4 ms for a picture of 640x480 in
float32. Therefore a worker keeps the memory of its batches in blocks. It writes into a block again when no process uses the old
batch any more.

File locks show whether a batch is still in use. Each message to another process carries an open file description of the block with
a shared lock (flock(2)). The receiver maps the block, and the mapping keeps the file description open. The lock ends when the
receiver has released the tensor, or when all processes with the mapping, including forks, have ended or crashed. The worker writes
into a block only if it can obtain the exclusive lock.
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
"""A free block may be dropped when more than this number of tensors were created in other blocks since its last use."""


class SharedBlock:
    """A piece of anonymous shared memory.

    Args:
        size: Size of the memory in bytes.

    Raises:
        OSError: The system does not provide anonymous shared memory, or does not support file locks on it.
    """

    def __init__(self, size: int) -> None:
        self._file = os.memfd_create("episeek-batch", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._file).atexit = False
        os.ftruncate(self._file, size)
        # Try the lock now, so that a system without such locks is detected before anything is written.
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
        """Return a handle that a message can carry to another process, which then maps the memory.

        The block is in use until the handle, and every file and mapping that was opened from the handle, is closed.
        """
        file = self._locked_file()
        try:
            return DupFd(file)
        finally:
            os.close(file)

    def _locked_file(self) -> int:
        # Open the file again, because all locks on one open file description count as one lock.
        file = os.open(f"/proc/self/fd/{self._file}", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
        except OSError:
            os.close(file)
            raise
        return file


class SharedBlocks:
    """The blocks of shared memory of a worker process.

    After the first call of `tensor`, tensors in a block are sent to other processes without a copy. All other tensors are still
    sent by torch's own function.
    """

    def __init__(self) -> None:
        self._blocks: dict[int, SharedBlock] = {}
        """The blocks by their address in this process."""
        self._takes = 0
        self._lock = threading.Lock()

    def tensor(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> torch.Tensor | None:
        """Return an uninitialized tensor in shared memory, or None if the tensor is empty or the memory cannot be shared.

        Sharing requires anonymous memory with file locks, and torch's sharing strategy "file_descriptor".
        """
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
        """Return whether the memory of a tensor is one of the blocks."""
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
        offset: Index of the tensor's first value in the memory.
        shape: Shape of the tensor.
        strides: Strides of the tensor, as numbers of values.
    """
    file = handle.detach()
    try:
        # The mapping keeps the file open, so that the block is in use exactly as long as the mapping exists.
        memory = mmap.mmap(file, size)
    finally:
        os.close(file)
    return torch.from_numpy(np.frombuffer(memory, dtype)).as_strided(shape, strides, offset)

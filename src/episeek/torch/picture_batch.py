"""Write the decoded pictures of a batch directly one after another into the memory of the batch.

If each picture had separate memory and were stacked later, its bytes would be written and read several times.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from episeek.torch.batch_memory import empty

EpisodeFrame = tuple[int, int]
"""The episode_index of an episode, and a frame number within the episode."""


class PictureBatch:
    """The pictures of one feature for all items of a batch.

    A frame that several items share is decoded once and copied. The pictures of all items are views of one tensor.

    Args:
        frames: The frames of each item. All items have the same number of frames.
        as_uint8: Whether pictures of 8 bits stay uint8; if False, they become float32 from 0 to 1.
        is_final: Whether the pictures go into the batch unchanged; False if they are transformed first.
        is_stack: Whether an item with one frame has a stack of one picture instead of the picture itself.
    """

    def __init__(
        self,
        frames: Sequence[Sequence[EpisodeFrame]],
        *,
        as_uint8: bool,
        is_final: bool = True,
        is_stack: bool = False,
    ) -> None:
        self._as_uint8 = as_uint8
        self._is_final = is_final
        self._is_stack = is_stack
        self._per_item = len(frames[0])
        self._places: defaultdict[EpisodeFrame, list[int]] = defaultdict(list)
        for place, frame in enumerate(frame for of_item in frames for frame in of_item):
            self._places[frame].append(place)
        self._count = len(frames) * self._per_item
        self._pictures: npt.NDArray[Any] | None = None
        self._tensor: torch.Tensor | None = None
        self._odd: dict[int, torch.Tensor] = {}
        """Pictures whose size or type differs from the first picture's, by their position in the batch."""

    @property
    def wanted(self) -> Iterable[EpisodeFrame]:
        """The distinct frames of all items."""
        return self._places

    def put(self, frame: EpisodeFrame, picture: npt.NDArray[Any]) -> None:
        """Write the picture of a frame into the batch, for every item that contains the frame.

        The picture has the shape [height, width, channels]; the batch stores it as [channels, height, width].
        """
        planes = picture.transpose(2, 0, 1)
        is_scaled = picture.dtype == np.uint8 and not self._as_uint8
        dtype = np.dtype(np.float32) if is_scaled else picture.dtype
        if self._pictures is None:
            self._pictures, self._tensor = empty((self._count, *planes.shape), dtype, is_final=self._is_final)
        place, *others = self._places[frame]
        if (planes.shape, dtype) == (self._pictures.shape[1:], self._pictures.dtype):
            target = self._pictures[place]
            for other in self._places[frame]:
                self._odd.pop(other, None)
        else:
            target = np.empty(planes.shape, dtype)
            self._odd.update(dict.fromkeys(self._places[frame], torch.from_numpy(target)))
            others = []
        if is_scaled:
            # NumPy divides like torch, to the last bit. Torch's threads cost more than they save for a single picture.
            np.divide(planes, np.float32(255), out=target, dtype=np.float32)
        else:
            target[...] = planes
        for other in others:
            self._pictures[other] = target

    def of_item(self, number: int) -> torch.Tensor:
        """Return the pictures of an item as a tensor [frames, channels, height, width].

        An item with one frame gets [channels, height, width], unless the batch was created with `is_stack`.
        """
        assert self._tensor is not None
        places = range(number * self._per_item, (number + 1) * self._per_item)
        if not self._odd.keys().isdisjoint(places):
            stack = torch.stack([self._odd.get(place, self._tensor[place]) for place in places])
        else:
            stack = self._tensor[places.start : places.stop]
        return stack if self._is_stack else stack.squeeze(0)

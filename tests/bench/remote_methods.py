"""Ways to get one picture of a file on a server, all decoded by TorchCodec; the pictures are the same.

A method gives each worker (one in flight) a function from a frame to its picture, uint8 [3, height, width]. What a worker may
keep between frames is what tells the methods apart.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import fsspec
from torch import Tensor
from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined]  # the package exports it without saying so

import episeek
from episeek.stores.requests.retry import RetryPolicy
from tests.bench.remote_dataset import CAMERA, VIDEO_PATH, Frame
from tests.bench.remote_prototype import HeaderAndSlice

Worker = Callable[[Frame], Tensor | None]

_READ_AHEAD_BYTES = 1 << 20


class Method(Protocol):
    @property
    def label(self) -> str: ...

    def worker(self) -> Worker: ...


@dataclass(frozen=True, slots=True)
class ReadAheadNewDecoder:
    """As LeRobot's streaming opens files: fsspec with read-ahead, a new decoder for each frame."""

    url: str
    label: str = "read-ahead, new decoder"

    def worker(self) -> Worker:
        def read(frame: Frame) -> Tensor:
            with _open(self.url) as file:
                return _picture(_approximate(file), frame)

        return read


@dataclass(frozen=True, slots=True)
class ReadAheadKeptDecoder:
    """The same with LeRobot's cache of decoders: each worker keeps its own, with its header."""

    url: str
    label: str = "read-ahead, kept decoder"

    def worker(self) -> Worker:
        decoder = _approximate(_open(self.url).open())
        return lambda frame: _picture(decoder, frame)


@dataclass(frozen=True, slots=True)
class PrototypeSlice:
    """As LeRobot's byte-index prototype: the file's whole header and a padded slice, read as a sparse file."""

    url: str
    index: episeek.ByteIndex
    label: str = "header + padded slice"

    def worker(self) -> Worker:
        reader = HeaderAndSlice(f"{self.url}/{VIDEO_PATH}", self.index, CAMERA)
        return lambda frame: reader.picture(frame.episode_index, frame.frame_index)


class EpiseekCold:
    """The index opened for each frame, and connections that nothing has used before."""

    label = "episeek, cold"

    def __init__(self, url: str, sidecars: Path) -> None:
        self._url, self._sidecars = url, sidecars
        self._opened = itertools.count(1)

    def worker(self) -> Worker:
        def read(frame: Frame) -> Tensor:
            # connections are shared by all that is opened with the same policy: here no two are
            unique = RetryPolicy(max_seconds=300 + next(self._opened))
            index = episeek.open(self._sidecars, data_root=self._url, retry=unique)
            return _clip_picture(index, frame)

        return read


@dataclass(frozen=True, slots=True)
class EpiseekWarm:
    """One index for all workers, kept, with its connections."""

    index: episeek.ByteIndex
    label: str = "episeek, warm"

    def worker(self) -> Worker:
        return lambda frame: _clip_picture(self.index, frame)


@dataclass(frozen=True, slots=True)
class EpiseekBytes:
    """The same up to the MP4 of the clip: what is left when another machine, or a GPU, decodes."""

    index: episeek.ByteIndex
    label: str = "episeek, warm, MP4 only"

    def worker(self) -> Worker:
        def read(frame: Frame) -> None:
            self.index.clip(frame.episode_index, CAMERA, frame.frame_index, frame.frame_index + 1).read()

        return read


def picture_methods(url: str, sidecars: Path, index: episeek.ByteIndex) -> list[Method]:
    """Those that end with a picture; the first is what the others are compared with, the last what they are for."""
    return [
        ReadAheadNewDecoder(url),
        ReadAheadKeptDecoder(url),
        PrototypeSlice(url, index),
        EpiseekCold(url, sidecars),
        EpiseekWarm(index),
    ]


def _open(url: str) -> Any:
    return fsspec.open(f"{url}/{VIDEO_PATH}", block_size=_READ_AHEAD_BYTES, cache_type="readahead")


def _approximate(file: Any) -> VideoDecoder:
    return VideoDecoder(file, seek_mode="approximate")


def _picture(decoder: VideoDecoder, frame: Frame) -> Tensor:
    return decoder.get_frames_at(indices=[frame.index_in_file]).data[0]


def _clip_picture(index: episeek.ByteIndex, frame: Frame) -> Tensor:
    clip = index.clip(frame.episode_index, CAMERA, frame.frame_index, frame.frame_index + 1)
    picture: Tensor = clip.decode().data[0]
    return picture

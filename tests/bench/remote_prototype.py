"""One frame the way of LeRobot's byte-index prototype (lerobot pull request 3748), rebuilt from its description.

A probe finds the moov box, a second request fetches the header up to its end, a third the byte range of the frame, padded by 5 %
and by 0.1 s on both sides. The decoder sees a file of the full size with holes, and frame mappings of the episode.
"""

import io
import json
import struct

import fsspec
import numpy as np
from torch import Tensor
from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined]  # the package exports it without saying so

import episeek

_PROBE_BYTES = 64
_PADDING_SECONDS = 0.1
_PADDING_SHARE = 0.05


class HeaderAndSlice:
    """Reads single frames of the one file of an index; keeps connections, and no header."""

    def __init__(self, url: str, index: episeek.ByteIndex, camera_key: str) -> None:
        self._fs = fsspec.filesystem("http")
        self._url = url
        self._index = index
        self._camera_key = camera_key

    def picture(self, episode_index: int, frame_index: int) -> Tensor:
        """uint8 [3, height, width]."""
        span = self._index.lookup(episode_index, self._camera_key)
        record = self._index.file(span.file_id)
        rows = (span.sample_start, span.sample_start + span.sample_count)
        columns = self._index.table("samples").columns
        offset = columns["byte_offset"].slice(*rows).astype(np.int64) + span.mdat_offset
        end = offset + columns["byte_size"].slice(*rows)
        pts = columns["pts"].slice(*rows) + span.first_frame_tick
        keyframes = self._index.keyframes(episode_index, self._camera_key).sample_index

        ticks = round(_PADDING_SECONDS * record.timescale)
        first = keyframes[keyframes <= np.searchsorted(pts, pts[frame_index] - ticks, side="right") - 1]
        start = int(offset[first[-1] if len(first) else 0])
        stop = int(end[np.searchsorted(pts, pts[frame_index] + ticks, side="right") - 1])
        padding = round(_PADDING_SHARE * (stop - start))
        start, stop = max(start - padding, 0), min(stop + padding, record.file_size)

        header = self._header()
        payload = self._get(start, stop)
        file = _FileWithHoles(record.file_size, [(0, header), (start, payload)])
        duration = round(record.timescale / record.avg_fps)
        is_key = np.isin(np.arange(len(pts)), keyframes)
        frames = [
            {"pts": tick, "duration": duration, "key_frame": int(key)}
            for tick, key in zip(pts.tolist(), is_key.tolist(), strict=True)
        ]
        decoder = VideoDecoder(file, custom_frame_mappings=json.dumps({"frames": frames}))  # type: ignore[arg-type]  # reads and seeks like one
        return decoder.get_frames_at(indices=[frame_index]).data[0]

    def _header(self) -> bytes:
        """The file's bytes up to the end of moov, which comes first: two requests."""
        probe = self._get(0, _PROBE_BYTES)
        position = 0
        while True:
            size, kind = struct.unpack_from(">I4s", probe, position)
            position += size
            if kind == b"moov":
                return self._get(0, position)

    def _get(self, start: int, stop: int) -> bytes:
        data: bytes = self._fs.cat_file(self._url, start=start, end=stop)
        return data


class _FileWithHoles:
    """Some parts of a file; zeros elsewhere."""

    def __init__(self, size: int, parts: list[tuple[int, bytes]]) -> None:
        self._size, self._parts, self._position = size, parts, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence] + offset
        return self._position

    def read(self, count: int) -> bytes:
        start, stop = self._position, min(self._position + count, self._size)
        self._position = max(start, stop)
        for part_start, part in self._parts:
            if part_start <= start < part_start + len(part):
                stop = min(stop, part_start + len(part))  # a read may return less than was asked for
                self._position = stop
                return part[start - part_start : stop - part_start]
        following = [part_start for part_start, _ in self._parts if part_start > start]
        stop = min([stop, *following])
        self._position = max(start, stop)
        return bytes(max(stop - start, 0))

"""The samples of one episode and camera. They are read from the tables once, and all clips of the episode are made from them."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.clip import Clip
from episeek.errors import FrameRangeError
from episeek.mp4.clip_header import ClipSamples, TrackProperties
from episeek.mp4.moov.description_runs import clip_descriptions
from episeek.mp4.window import SampleWindow, clip_order, needed_samples
from episeek.sidecars.file_record import FileRecord
from episeek.spans import EpisodeSpan
from episeek.stores.byte_source import ByteRange, ByteSource

Int64Array = npt.NDArray[np.int64]

MAX_KEPT_SAMPLES = 1 << 19
"""Number of samples that an index keeps in each process, which take about 20 MiB."""


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeSamples:
    """The samples that decoding an episode needs, in decode order, as arrays of shape [sample_count]."""

    span: EpisodeSpan
    file: FileRecord
    track: TrackProperties
    offset: Int64Array
    """Offset of each sample from the episode's first byte (`EpisodeSpan.mdat_offset`), in bytes."""
    size: Int64Array
    """Size of each sample, in bytes."""
    pts: Int64Array
    """Presentation time of each sample, in ticks from frame 0 of the episode."""
    is_sync: npt.NDArray[np.bool_]
    sync_positions: Int64Array
    """Positions of the sync samples, ascending, shape [keyframe_count]."""
    frames: Int64Array
    """For each frame of the episode, in presentation order, the position of its sample; shape [frame_count]."""

    @property
    def frame_count(self) -> int:
        """Number of frames of the episode."""
        return len(self.frames)

    def window(self, start: int, stop: int) -> SampleWindow:
        """Return the samples that are needed to decode frames `[start, stop)` of the episode.

        Raises:
            EpisodeFramesError: No sync sample precedes these frames, so decoding cannot start.
        """
        span = self.span
        where = f"{self.file.file_path}, episode {span.episode_index} of {span.camera_key!r}"
        return needed_samples(self.pts, self.sync_positions, self.frames[start:stop], where=where)

    def byte_range(self, window: SampleWindow) -> ByteRange:
        """Return the byte range `[start, stop)` of the file that contains all samples of a window."""
        offset, size = self.offset[window.start : window.stop], self.size[window.start : window.stop]
        return self.span.mdat_offset + int(offset.min()), self.span.mdat_offset + int((offset + size).max())

    def clip(self, start: int, stop: int, source: ByteSource) -> Clip:
        """Return frames `[start, stop)` as a clip that fetches its bytes from `source`.

        Raises:
            FrameRangeError: The range of frames is empty or is not within the episode.
            EpisodeFramesError: No sync sample precedes these frames, so decoding cannot start.
        """
        if not 0 <= start < stop <= self.frame_count:
            name = f"episode {self.span.episode_index} of {self.span.camera_key!r}"
            raise FrameRangeError(name, f"frames [{start}, {stop})", f"a window within its {self.frame_count} frames")
        span, file = self.span, self.file
        window = self.window(start, stop)
        first_byte, last_byte = self.byte_range(window)
        chosen = slice(window.start, window.stop)
        offset, size, pts, is_sync = self.offset[chosen], self.size[chosen], self.pts[chosen], self.is_sync[chosen]
        description_index = clip_descriptions(
            file.sample_description_runs, file.start_description_runs, offset + span.mdat_offset
        )
        order, is_start = clip_order(
            pts, is_sync, description_index, has_start_entries=bool(file.start_description_runs)
        )
        frame_ticks = self.pts[self.frames[start:stop]]
        if stop < self.frame_count:
            end_tick = self.pts[self.frames[stop]]
        else:
            # the span may contain pictures of the next episode, which must not be shown, whatever the average frame rate is
            after = self.pts[self.pts > frame_ticks[-1]]
            end_tick = min(frame_ticks[-1] + self.track.frame_duration, after.min(initial=np.iinfo(np.int64).max))
        frame_ticks.setflags(write=False)
        samples = ClipSamples(
            offset[order] - (first_byte - span.mdat_offset), size[order], pts[order], is_start, description_index
        )
        return Clip(
            episode_index=span.episode_index,
            camera_key=span.camera_key,
            start=start,
            stop=stop,
            file_path=file.file_path,
            byte_range=(first_byte, last_byte),
            samples=samples,
            frame_ticks=frame_ticks,
            end_tick=int(end_tick),
            track=self.track,
            source=source,
        )


def make_episode_samples(
    span: EpisodeSpan,
    file: FileRecord,
    *,
    offset: Int64Array,
    size: Int64Array,
    pts: Int64Array,
    is_sync: npt.NDArray[np.bool_],
) -> EpisodeSamples | None:
    """Return the samples of the episode at `span`, or None if its row and its samples contradict each other.

    They agree if the times of the frames rise from 0, no sample begins before the first byte of the span, and the samples end with
    the last byte of the span. The arguments `offset`, `size`, `pts` and `is_sync` are the arrays of `EpisodeSamples`, and become
    read-only.
    """
    frames = np.argsort(pts, kind="stable")[span.lead_in_count : span.lead_in_count + span.frame_count]
    frame_pts = pts[frames]
    rises = frame_pts[0] == 0 and bool(np.all(np.diff(frame_pts) > 0))
    if not rises or offset.min() < 0 or (offset + size).max() != span.mdat_length:
        return None
    duration = max(round(file.timescale / file.avg_fps), 1) if file.avg_fps > 0 else 1
    track = TrackProperties(
        file.sample_description, file.timescale, file.width, file.height, duration, file.track_matrix
    )
    sync_positions = np.flatnonzero(is_sync)
    for array in (offset, size, pts, is_sync, sync_positions, frames):
        array.setflags(write=False)
    return EpisodeSamples(span, file, track, offset, size, pts, is_sync, sync_positions, frames)


class KeptSamples:
    """Keeps the samples of the most recently used episodes, up to a number of samples. Thread-safe.

    Args:
        max_samples: Largest number of samples that are kept. The most recent episode is kept even if it has more.
    """

    def __init__(self, max_samples: int = MAX_KEPT_SAMPLES) -> None:
        self._max_samples = max_samples
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, str], EpisodeSamples] = OrderedDict()
        self._sample_count = 0

    def get(self, episode_index: int, camera_key: str) -> EpisodeSamples | None:
        """Return the samples of an episode, or None if they are not kept."""
        key = episode_index, camera_key
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, samples: EpisodeSamples) -> None:
        """Keep the samples of an episode. If too many samples are kept, drop those of the least recently used episodes."""
        key = samples.span.episode_index, samples.span.camera_key
        with self._lock:
            if key not in self._kept:
                self._sample_count += len(samples.size)
            self._kept[key] = samples
            while self._sample_count > self._max_samples and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._sample_count -= len(oldest.size)

"""Make clips (MP4 files of some frames) of a parsed video from its own sample table, not from the sidecars (index tables).

Verification thus decodes the same clips as readers, whether or not the dataset was indexed. Other rules compare the sidecars with
the same sample table.
"""

import numpy as np

from episeek.clip import Clip
from episeek.mp4.clip_header import ClipSamples, TrackProperties
from episeek.mp4.moov.description_runs import started_with
from episeek.mp4.window import clip_order, needed_samples
from episeek.stores.byte_source import ByteSource
from episeek_pipelines.verify.findings.checks import VideoFile
from episeek_pipelines.verify.videos.frames import ParsedVideo


def episode_clip(
    file: VideoFile, video: ParsedVideo, source: ByteSource, position: int, start: int = 0, stop: int | None = None
) -> Clip:
    """Return the clip of frames `[start, stop)` of the episode at `position` of `file`. Nothing is fetched yet.

    Frames are counted from the first frame of the episode; a `stop` of None is the end of the episode.

    Raises:
        EpisodeFramesError: No sync sample precedes the first frame, so decoding cannot start.
        ValueError: The range contains no frame of the episode.
    """
    episode = int(file.episode_index[position])
    return _clip(
        file, video, source, episode, (int(video.view.first[position]), int(video.view.stop[position])), start, stop
    )


def file_clip(file: VideoFile, video: ParsedVideo, source: ByteSource, start: int, stop: int) -> Clip:
    """Return the clip of frames `[start, stop)` of a file, regardless of episodes. Its `episode_index` is -1.

    Raises:
        EpisodeFramesError: No sync sample precedes the first frame, so decoding cannot start.
        ValueError: The range contains no frame of the file.
    """
    return _clip(file, video, source, -1, (0, video.view.frame_count), start, stop)


def _clip(
    file: VideoFile,
    video: ParsedVideo,
    source: ByteSource,
    episode_index: int,
    held: tuple[int, int],
    start: int,
    stop: int | None,
) -> Clip:
    """Return the clip of frames `[start, stop)` of a part of a file.

    Args:
        file: The file.
        video: The parsed header of the file.
        source: The byte source of the clip.
        episode_index: The episode of the clip; -1 for none.
        held: The part of the file, as a range `[first, end)` of frames.
        start: The first frame of the clip, counted from the start of the part.
        stop: The end of the clip, counted likewise; None for the end of the part.
    """
    table, view = video.table, video.view
    first, last = held
    end = last if stop is None else min(first + stop, last)
    frames = view.decode_position[first + start : end]
    where = file.path if episode_index < 0 else f"{file.path}, episode {episode_index}"
    if not len(frames):
        raise ValueError(f"{where}: no frames; expected one or more")
    sync = np.flatnonzero(table.is_sync)
    window = needed_samples(table.pts, sync, frames, where=where)
    chosen = slice(window.start, window.stop)
    offset, size = table.offset[chosen], table.size[chosen]
    origin = int(table.pts[view.decode_position[first]])
    pts = table.pts[chosen] - origin
    first_byte = int(offset.min())
    fps = table.average_fps
    frame_ticks = table.pts[frames] - origin
    frame_duration = max(round(table.timescale / fps), 1) if fps > 0 else 1
    # The next frame of the episode, or pictures of the next episode within the samples, must not be shown.
    later = table.pts[view.decode_position[end : min(end + 1, last)]] - origin
    later_pts = np.concatenate([later, pts[pts > frame_ticks[-1]]])
    description_index = None if table.description_index is None else table.description_index[chosen]
    if table.start_description_index is not None:
        own = np.ones(len(pts), np.int64) if description_index is None else description_index
        description_index = started_with(own, int(table.start_description_index[window.start]))
    order, is_start = clip_order(
        pts, table.is_sync[chosen], description_index, has_start_entries=table.start_description_index is not None
    )
    return Clip(
        episode_index=episode_index,
        camera_key=file.camera_key,
        start=start,
        stop=start + len(frames),
        file_path=file.path,
        byte_range=(first_byte, int((offset + size).max())),
        samples=ClipSamples(offset[order] - first_byte, size[order], pts[order], is_start, description_index),
        frame_ticks=frame_ticks,
        end_tick=int(min(frame_ticks[-1] + frame_duration, later_pts.min(initial=np.iinfo(np.int64).max))),
        track=TrackProperties(
            table.sample_description, table.timescale, table.width, table.height, frame_duration, table.matrix
        ),
        source=source,
    )

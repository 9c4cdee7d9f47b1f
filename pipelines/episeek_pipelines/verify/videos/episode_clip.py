"""One episode of a parsed video as a clip of the runtime, made from the sample table instead of the sidecars.

So verification decodes what readers get, whether or not the dataset has been indexed; other rules compare the sidecars with the
same sample table.
"""

import numpy as np

from episeek.clip import Clip
from episeek.mp4.clip_header import ClipSamples, TrackProperties
from episeek.mp4.window import needed_samples
from episeek.stores.byte_source import ByteSource
from episeek_pipelines.verify.findings.checks import VideoFile
from episeek_pipelines.verify.videos.frames import ParsedVideo


def episode_clip(file: VideoFile, video: ParsedVideo, source: ByteSource, position: int) -> Clip:
    """Return the clip of all frames of the episode at `position` of `file`. Nothing is fetched yet.

    Raises:
        EpisodeFramesError: No sync sample precedes the episode's first frame, so decoding cannot start.
        ValueError: The file holds no frame of the episode.
    """
    table, view = video.table, video.view
    frames = view.decode_position[view.first[position] : view.stop[position]]
    if not len(frames):
        raise ValueError(f"{file.path}: no frames of episode {file.episode_index[position]}; expected one or more")
    sync = np.flatnonzero(table.is_sync)
    window = needed_samples(table.pts, sync, frames, where=f"{file.path}, episode {file.episode_index[position]}")
    chosen = slice(window.start, window.stop)
    offset, size = table.offset[chosen], table.size[chosen]
    origin = int(table.pts[frames[0]])
    pts = table.pts[chosen] - origin
    first_byte = int(offset.min())
    fps = table.average_fps
    frame_ticks = table.pts[frames] - origin
    frame_duration = max(round(table.timescale / fps), 1) if fps > 0 else 1
    later_pts = pts[pts > frame_ticks[-1]]
    return Clip(
        episode_index=int(file.episode_index[position]),
        camera_key=file.camera_key,
        start=0,
        stop=len(frames),
        file_path=file.path,
        byte_range=(first_byte, int((offset + size).max())),
        samples=ClipSamples(
            offset - first_byte,
            size,
            pts,
            table.is_sync[chosen],
            None if table.description_index is None else table.description_index[chosen],
        ),
        frame_ticks=frame_ticks,
        end_tick=int(min(frame_ticks[-1] + frame_duration, later_pts.min(initial=np.iinfo(np.int64).max))),
        track=TrackProperties(
            table.sample_description, table.timescale, table.width, table.height, frame_duration, table.matrix
        ),
        source=source,
    )

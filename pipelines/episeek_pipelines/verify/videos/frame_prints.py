"""Compute digests of episodes ("prints") from the sample sizes of their frames: copies of an episode have the same sizes."""

from typing import Final

import numpy as np

from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.prints import UNKNOWN, FramePrints, digest_of
from episeek_pipelines.verify.videos.frames import ParsedVideo

LEAST_SIZES: Final = 8
"""An episode needs this many different sample sizes for a print. With fewer, two episodes may have the same sizes by chance."""


def frame_prints(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> tuple[FramePrints, ...]:
    """Return the prints of the episodes of a file; empty if the level reads no rows.

    Prints only confirm that episodes with equal rows are copies, so they are useless without rows.
    """
    if not context.options.looks_at("rows"):
        return ()
    view = video.view
    sizes = np.asarray(video.table.size[view.decode_position], "<i8")
    digests = np.full(len(file.episode_index), UNKNOWN, np.uint64)
    for number, (first, stop) in enumerate(zip(view.first.tolist(), view.stop.tolist(), strict=True)):
        if first >= 0 and stop - first == file.length[number] and stop <= view.frame_count:
            of_episode = sizes[first:stop]
            if len(np.unique(of_episode)) >= LEAST_SIZES:
                digests[number] = digest_of(of_episode.tobytes())
    return (FramePrints(file.camera_key, file.episode_index, digests),)

"""Find the other files of a camera that may have the frames that an episode lacks in its own file (VID024).

A check reads one file. The findings about files that lack frames are completed after all checks, with the files that have more
frames than their episodes. The headers of files that no episode refers to are read only then, and only if an episode lacks frames.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from episeek.errors import EpiseekError
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Finding
from episeek_pipelines.verify.findings.observations import FramesOfNoEpisode, LackingFrames, Observations
from episeek_pipelines.verify.rules import FRAME_GRID, ORPHAN_FILE
from episeek_pipelines.verify.videos.frames import ParsedVideo, declared_episodes
from episeek_pipelines.video.frame_problems import NOT_PLACED, frame_problems
from episeek_pipelines.video.header import read_video_header
from episeek_pipelines.words import counted

_MOST_FILES: Final = 4
"""Greatest number of other files that a message names."""
_MOST_READ: Final = 100
"""Greatest number of files without an episode whose headers are read."""


def free_frames(file: VideoFile, video: ParsedVideo) -> tuple[FramesOfNoEpisode, ...]:
    """Return the frames of a file that belong to no episode; nothing if there are none."""
    frames = video.view.frames
    if frames.is_absent.any() or frames.is_contested.any():
        return ()
    count = video.view.frame_count - int(file.length.sum())
    return (FramesOfNoEpisode(file.camera_key, file.path, count),) if count > 0 else ()


def lacking_frames(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> tuple[LackingFrames, ...]:
    """Return the episodes whose frames may be in another file than the one that they declare."""
    view = video.view
    problems = frame_problems(view.file, declared_episodes(file), view.frames, fps=context.info.fps)
    return tuple(
        LackingFrames(file.camera_key, file.path, int(file.episode_index[each.row]), int(file.length[each.row]))
        for each in problems
        if each.kind in NOT_PLACED or each.kind == "missing"
    )


def with_other_files(
    context: VerificationContext, observations: Observations, findings: Sequence[Finding]
) -> list[Finding]:
    """Return the findings, with the names of other files in VID024 about episodes that lack frames.

    A file is named if it belongs to the same camera, and has as many frames of no episode as the episode has frames, or more.
    """
    lacking = {(each.path, each.episode_index): each for each in observations.lacking_frames}
    cameras = {each.camera_key for each in lacking.values()}
    orphans = [found.location.file or "" for found in findings if found.code == ORPHAN_FILE.code]
    free = [*observations.free_frames, *_of_orphans(context, cameras, orphans)] if lacking else []

    def completed(found: Finding) -> Finding:
        if found.code != FRAME_GRID.code or found.location.episode is None:
            return found
        episode = lacking.get((found.location.file or "", found.location.episode))
        if episode is None:
            return found
        others = sorted(
            (each.path, each.count)
            for each in free
            if each.camera_key == episode.camera_key and each.path != episode.path and each.count >= episode.length
        )
        named = ", ".join(f"{path} has {counted(count, 'frame')} of no episode" for path, count in others[:_MOST_FILES])
        return replace(found, found=f"{found.found}, while {named}") if named else found

    return [completed(found) for found in findings]


def _of_orphans(context: VerificationContext, cameras: set[str], paths: Iterable[str]) -> list[FramesOfNoEpisode]:
    """Return the frames of the files of some cameras to which no episode refers. Files that cannot be read are left out."""
    known = [(path, context.info.video_camera(path)) for path in sorted(paths)]
    wanted = [(path, camera) for path, camera in known if camera in cameras][:_MOST_READ]
    source = context.data_root.source()

    def frame_count(path: str) -> int:
        try:
            return len(read_video_header(source, path).table.presentation_order())
        except EpiseekError:
            return 0

    counts = map_in_threads(lambda each: frame_count(each[0]), wanted, max_in_flight=context.data_root.in_flight)
    return [
        FramesOfNoEpisode(camera, path, count) for (path, camera), count in zip(wanted, counts, strict=True) if count
    ]

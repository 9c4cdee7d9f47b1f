"""Choose the frames of the strips of pictures that show wrong episode boundaries, or frames that belong to no episode."""

import numpy as np

from episeek_pipelines.verify.findings.strips import Strip, StripRange
from episeek_pipelines.verify.videos.choice import owners
from episeek_pipelines.verify.videos.frames import FrameView
from episeek_pipelines.video.frame_problems import NOT_PLACED, FrameProblem


def strip_of_problem(view: FrameView, problem: FrameProblem) -> Strip | None:
    """Return a strip that shows the frames at which a problem of an episode occurs; None if no such frame can be determined.

    The kind of the problem decides which frames are marked. `surplus`: the frames that belong to no episode. `missing`: the last
    frame of the episode. All other kinds: the frame at which the episode's declared seconds begin.
    """
    if not view.frame_count:
        return None
    frames, row = view.frames, problem.row
    file = StripRange(0, view.frame_count)
    first, stop = int(view.first[row]), int(view.stop[row])
    begin = frames.declared.begin[row]
    if problem.kind in NOT_PLACED or problem.kind == "displaced":
        if not np.isfinite(begin):
            return None
        declared = int(np.clip(np.rint(begin), 0, view.frame_count - 1))
        return file.places(declared, first) if problem.kind == "displaced" else file.around(declared)
    if problem.kind == "missing":
        # An episode without any frame ends where the previous episode ends.
        return file.around(min(max(stop - 1, 0), view.frame_count - 1))
    unclaimed = range(stop, stop + int(frames.tail[row]))
    return file.around(min(stop, view.frame_count - 1), unclaimed)


def strip_of_ends(view: FrameView, *, is_short: bool) -> Strip | None:
    """Return a strip for a file with a wrong number of frames; None if the file has no frames to show.

    Args:
        view: The frames of the file.
        is_short: Whether the file has too few frames. If so, the strip shows the last frames of the file. Otherwise it shows frames
            that belong to no episode.
    """
    if not view.frame_count:
        return None
    file = StripRange(0, view.frame_count)
    if is_short:
        return file.around(view.frame_count - 1)
    unclaimed = np.flatnonzero(owners(view) < 0)
    return file.around(int(unclaimed[0]), unclaimed.tolist()) if len(unclaimed) else None

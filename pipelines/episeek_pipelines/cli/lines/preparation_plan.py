"""Show the plan of a preparation (`episeek prepare --dry-run`) as lines of text."""

from collections.abc import Iterator
from typing import Final

from episeek_pipelines.api import PreparationPlan
from episeek_pipelines.words import counted, human_bytes

_STATES: Final = {
    "new": "{} would be written",
    "unfinished": "{} would be written, with the files that a stopped run has finished",
    "current": "{} already contains the result: nothing would be done",
    "replaced": "{} would be replaced",
}


def plan_lines(plan: PreparationPlan) -> Iterator[str]:
    """Yield the lines that show what `episeek prepare` would read and write."""
    yield f"{plan.source}  (LeRobot {plan.version})"
    cameras = counted(plan.cameras, "camera") if plan.cameras else "no camera that is recorded as video"
    frames = f"{counted(plan.episodes, 'episode')}, {counted(plan.frames, 'frame')}"
    yield f"  contains {frames}, {cameras}, {counted(plan.files, 'file')}"
    if plan.state != "current":
        requests = f" in about {plan.requests:,} requests" if plan.requests else ""
        yield f"  read     about {human_bytes(plan.read_bytes)}{requests}"
        yield f"  rewrite  {counted(plan.data_files, 'data file')} -> {counted(plan.written_data_files, 'file')}"
        if plan.video_files:
            yield f"  index    {counted(plan.video_files, 'video file')}, {human_bytes(plan.video_bytes)}, from their headers"
        if plan.videos == "pack":
            yield f"  pack     {counted(plan.video_files, 'video file')}, merged into fewer files"
        if plan.copied_files:
            yield f"  videos   {counted(plan.copied_files, 'file')}, put into DST unchanged"
        for left in plan.left_out:
            size = f"{counted(left.files, 'file')}, {human_bytes(left.size_bytes)}"
            yield f"  ignored  {left.folder}/ would stay in SRC ({size}): it is no part of a LeRobot dataset"
        yield f"  write    about {human_bytes(plan.write_bytes)}"
    yield f"  result   {_STATES[plan.state].format(plan.destination)}"

"""Make the document that records the options of a job. A run is resumed or skipped only if its document is the same as before."""

import os
from collections.abc import Sequence
from typing import Any, Final

from episeek_pipelines.dataset.provenance import SKIPPED_KEY
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.video_choice import Videos
from episeek_pipelines.pack.plan import PACK_VERSION
from episeek_pipelines.repair.registry import REPAIR_VERSION
from episeek_pipelines.repair.values import RepairChoice
from episeek_pipelines.rewrite.rewrite import REWRITE_VERSION
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_schemas import sidecars

REPAIR_KEY: Final = "repair"
"""Key in the recorded options. Its value gives the version of the repair step, and the repairs that were chosen."""


def recorded_options(command: str, source: str, **options: Any) -> dict[str, Any]:
    """Return the document that records a command, its source and its options."""
    root = Root(source)
    # a later run may read the record from another working directory
    url = os.path.abspath(root.url) if root.is_local else root.url
    return {"command": command, "source": url, "rewrite_version": REWRITE_VERSION, **options}


def preparation_options(
    source: str,
    *,
    max_episodes_per_file: int | None = None,
    videos: Videos = "none",
    video_file_size_mb: float | None = None,
    keyframes: KeyframeChoice = "auto",
    skip_episodes: Sequence[int] = (),
    repair: RepairChoice | None = None,
) -> dict[str, Any]:
    """Return the options that decide the result of `prepare`. The arguments are those of `prepare`."""
    options = writing_options(max_episodes_per_file, videos, video_file_size_mb, skip_episodes)
    if repair is not None:
        options[REPAIR_KEY] = {"version": REPAIR_VERSION, **repair.as_document()}
    # all keyframes of videos on this machine are read anyway
    reading = {} if keyframes == "auto" or Root(source).is_local else {"keyframes": keyframes}
    return recorded_options("prepare", source, index_version=sidecars.INDEX_VERSION, **options, **reading)


def writing_options(
    max_episodes_per_file: int | None,
    videos: Videos,
    video_file_size_mb: float | None,
    skip_episodes: Sequence[int],
) -> dict[str, Any]:
    """Return the options that decide which data files and videos `prepare` and `upgrade` write.

    Options without effect are absent.
    """
    packing = {"pack_version": PACK_VERSION, "video_file_size_mb": video_file_size_mb} if videos == "pack" else {}
    skipping = {SKIPPED_KEY: sorted({*skip_episodes})} if skip_episodes else {}
    return {"cap": max_episodes_per_file, "videos": videos, **packing, **skipping}

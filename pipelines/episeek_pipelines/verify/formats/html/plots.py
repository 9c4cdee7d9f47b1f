"""What the page draws of a dataset's figures: episode lengths, keyframe intervals, bytes and drift.

Long data is binned, so a plot of a million episodes is no larger than one of some hundreds. Each plot comes with a table of what
it shows, which is its series_key, too.
"""

from typing import Final

from episeek_pipelines.verify.findings.figures import Figures
from episeek_pipelines.verify.formats.html.bar_plots import episode_lengths, keyframe_intervals
from episeek_pipelines.verify.formats.html.episode_plots import episode_bytes, timestamp_drift
from episeek_pipelines.verify.rules import Level, includes

SERIES: Final = 6
"""Cameras in one plot: as many colours and shapes as can be told apart."""
MOST_CAMERAS: Final = 24


def plots(figures: Figures, level: Level) -> str:
    """The figures as HTML; for what is not there, a sentence that says why."""
    parts = []
    if figures.episode_length.size:
        parts.append(episode_lengths(figures))
    else:
        parts.append('<p class="absent">No lengths of episodes are known.</p>')
    cameras = figures.cameras[:MOST_CAMERAS]
    if not cameras:
        seen = (
            "No video header was read."
            if includes(level, "layout")
            else "Videos are looked at from the level layout on."
        )
        parts.append(f'<p class="absent">{seen}</p>')
    for draw in (keyframe_intervals, episode_bytes, timestamp_drift):
        for first in range(0, len(cameras), SERIES):
            parts.append(draw(cameras[first : first + SERIES], figures))
    if len(figures.cameras) > len(cameras):
        parts.append(f'<p class="absent">The first {len(cameras)} of {len(figures.cameras)} cameras are drawn.</p>')
    return "".join(parts)

"""The plots of a dataset: episode lengths, keyframe intervals, bytes and drift.

Many values are binned, so that a plot of a million episodes is no larger than a plot of a few hundred. Each plot has a table of its
values, which also is its legend.
"""

from typing import Final

from episeek_pipelines.verify.findings.figures import Figures
from episeek_pipelines.verify.formats.html.bar_plots import episode_lengths, keyframe_intervals
from episeek_pipelines.verify.formats.html.episode_plots import episode_bytes, timestamp_drift
from episeek_pipelines.verify.formats.html.plot_tables import Plot
from episeek_pipelines.verify.rules import Level, includes

SERIES: Final = 6
"""Greatest number of cameras in one plot, since more colours and shapes are hard to distinguish."""
MOST_CAMERAS: Final = 24


def plots(figures: Figures, level: Level) -> list[Plot]:
    """Return all plots of a dataset. A plot that cannot be drawn contains a sentence that says why."""
    parts = []
    if figures.episode_length.size:
        parts.append(episode_lengths(figures))
    else:
        parts.append(Plot("The lengths of episodes are unknown."))
    cameras = figures.cameras[:MOST_CAMERAS]
    if not cameras:
        is_read = includes(level, "layout")
        parts.append(
            Plot("No video header was read." if is_read else "Video headers are read at the level layout and above.")
        )
    for draw in (keyframe_intervals, episode_bytes, timestamp_drift):
        for first in range(0, len(cameras), SERIES):
            parts.append(draw(cameras[first : first + SERIES], figures))
    if len(figures.cameras) > len(cameras):
        parts.append(Plot(f"The first {len(cameras)} of {len(figures.cameras)} cameras are drawn."))
    return parts

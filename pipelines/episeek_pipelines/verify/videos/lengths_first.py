"""Give findings about the frames of a file another remedy while ROW015 reports a wrong number of rows for one of its episodes.

Frames are assigned to episodes by their lengths. If a length is wrong, the other remedies would change seconds or videos that are
right, and the repair of the length would lose its evidence.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from episeek_pipelines.verify.findings.checks import Check, DataCheck, VideoCheck
from episeek_pipelines.verify.findings.findings import Finding
from episeek_pipelines.verify.rules import DRIFT, EPISODE_ROWS, FPS, FRAME_GRID, SYNC_START, VIDEO_LONG, VIDEO_SHORT
from episeek_pipelines.verify.rules.videos import LENGTHS_FIRST_REMEDY, WITHIN_GROUP_REMEDY

_OF_FRAMES: Final = frozenset(rule.code for rule in (FPS, VIDEO_SHORT, VIDEO_LONG, FRAME_GRID, DRIFT, SYNC_START))
"""Codes of the rules that compare lengths or seconds with the frames of a file."""


def with_lengths_first(checks: Iterable[Check], findings: list[Finding]) -> list[Finding]:
    """Return the findings, with the remedy to correct lengths first where an episode of the file has another number of rows.

    Args:
        checks: The checks of the dataset, which list the episodes of each file.
        findings: All findings of the checks.
    """
    wrong = {found.location.episode for found in findings if found.code == EPISODE_ROWS.code}
    # Without an episode, the rows of a whole data file do not add up.
    files = {
        found.location.file for found in findings if found.code == EPISODE_ROWS.code and found.location.episode is None
    }
    if not wrong:
        return findings
    doubtful: set[str] = set()
    known = list(checks)
    for check in known:
        if isinstance(check, DataCheck):
            for file in (each for group in check.groups for each in group.files if each.path in files):
                wrong.update(file.episode_index.tolist())
    for check in known:
        if isinstance(check, VideoCheck):
            doubtful.update(each.path for each in check.files if not wrong.isdisjoint(each.episode_index.tolist()))
    return [
        replace(found, remedy=LENGTHS_FIRST_REMEDY)
        if found.code in _OF_FRAMES and found.location.file in doubtful and found.remedy != WITHIN_GROUP_REMEDY
        else found
        for found in findings
    ]

"""ROW015 to ROW018: rules on the runs (consecutive rows of one episode) of a data file, and the observations for EPI012."""

import math
from collections.abc import Iterator

import numpy as np

from episeek_pipelines.dataset.row_times import other_rate
from episeek_pipelines.verify.data.row_scan import NULL_NUMBER, Oddity, RowScan
from episeek_pipelines.verify.findings.checks import DataFile, VerificationContext
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.observations import ForeignRows, Observations, RowTimes
from episeek_pipelines.verify.findings.options import TIMESTAMP_TOLERANCE_SECONDS
from episeek_pipelines.verify.rules import (
    EPISODE_ROWS,
    ROW_GROUPS,
    ROW_GROUPS_OF_INDEXED,
    ROW_NUMBERS,
    TIMESTAMPS,
)
from episeek_pipelines.verify.rules.rows import (
    EPISODE_ORDER_REMEDY,
    NEIGHBOUR_TIMES_REMEDY,
    OTHER_FPS_REMEDY,
    RUNS_REMEDY,
    TIMES_OF_OTHER_ROWS_REMEDY,
    TIMES_REMEDY,
)
from episeek_pipelines.words import counted
from episeek_schemas import lerobot


def check_episode_rows(context: VerificationContext, file: DataFile, scan: RowScan) -> Iterator[Finding]:
    """Yield ROW015 for each episode whose rows in this file are not one run of `length` rows.

    `verify.run` reports episodes with rows in several files.
    """
    order = np.argsort(scan.episode_index, kind="stable")
    episodes, first, runs = np.unique(scan.episode_index[order], return_index=True, return_counts=True)
    rows = np.add.reduceat(scan.row_count[order], first) if len(first) else first
    position = np.minimum(np.searchsorted(file.episode_index, episodes), max(len(file.episode_index) - 1, 0))
    is_expected = (
        file.episode_index[position] == episodes if len(file.episode_index) else np.zeros(len(episodes), np.bool_)
    )
    length = file.length[position] if len(file.length) else np.zeros(len(episodes), np.int64)
    wrong = is_expected & ((runs > 1) | ((rows != length) & (length >= 0)))
    for number in np.flatnonzero(wrong).tolist():
        members = order[first[number] : first[number] + runs[number]]
        where = Location(file=file.path, episode=int(episodes[number]), row=int(scan.first_row[members[0]]))
        if runs[number] > 1:
            starts = ", ".join(str(scan.first_row[member]) for member in members[:4])
            found = f"{counted(rows[number], 'row')} in {runs[number]} separate runs, which start at rows {starts}"
            expected = f"{counted(length[number], 'row')} in one run" if length[number] >= 0 else "one run"
            yield finding(EPISODE_ROWS, found, expected, where, remedy=RUNS_REMEDY)
        else:
            yield finding(EPISODE_ROWS, counted(rows[number], "row"), f"{length[number]}, the episode's length", where)


def check_numbers(context: VerificationContext, file: DataFile, scan: RowScan) -> Iterator[Finding]:
    """Yield ROW016 for episodes with a wrong frame_index or index, and for episodes that follow a later one in the file.

    Episodes that are not one run are skipped: ROW015 reports them.
    """
    for column, odd in ((lerobot.FRAME_INDEX, scan.odd_frame_index), (lerobot.INDEX, scan.odd_index)):
        for _, where, first in _of_whole_episodes(file, scan, odd, column):
            found = "null" if first.found == NULL_NUMBER else f"{first.found:.0f}"
            yield finding(ROW_NUMBERS, f"{column} {found}", f"{first.expected:.0f}", where, more=first.count - 1)

    runs = np.flatnonzero(np.isin(scan.episode_index, file.episode_index))
    episodes = scan.episode_index[runs]
    falls = np.flatnonzero(np.diff(episodes) < 0)
    if len(falls) and len(np.unique(episodes)) == len(episodes):
        before, after = (int(each) for each in episodes[falls[0] : falls[0] + 2])
        where = Location(file=file.path, episode=after, row=int(scan.first_row[runs[falls[0] + 1]]))
        found, expected = f"episode {after} after episode {before}", "episodes in ascending order"
        yield finding(ROW_NUMBERS, found, expected, where, more=len(falls) - 1, remedy=EPISODE_ORDER_REMEDY)


def check_timestamps(context: VerificationContext, file: DataFile, scan: RowScan) -> Iterator[Finding]:
    """Yield ROW017 for episodes with wrong timestamps. Episodes that are not one run are skipped, since ROW015 reports them."""
    has_videos, tolerance = bool(context.info.video_keys), context.options.tolerance_seconds
    for run, where, first in _of_whole_episodes(file, scan, scan.odd_timestamp, lerobot.TIMESTAMP):
        meaning = scan.odd_times[run]
        # more digits if six would make a time that is too far off look like one that is not
        digits = ".6f" if not np.isfinite(first.found) or abs(first.found - first.expected) > 2 * tolerance else ".9f"
        found = f"{first.found:{digits}} s" if np.isfinite(first.found) else "null or NaN"
        if meaning.follows_frame_index:
            about = (
                "timestamp and frame_index agree with each other, but not with the position of the row in its episode"
            )
            remedy = TIMES_OF_OTHER_ROWS_REMEDY
        elif not np.isfinite(first.largest):
            about, remedy = "this episode has a null or NaN as timestamp", TIMES_REMEDY
        elif rate := other_rate(scan.times.get(run, np.zeros(0)), fps=context.info.fps):
            about = f"fps is {context.info.fps:g}, but all timestamps of this episode are frame_index / {rate:g}"
            remedy = OTHER_FPS_REMEDY
        elif has_videos and meaning.neighbour_count:
            wrong = f"{meaning.neighbour_count} of {counted(int(scan.row_count[run]), 'row')}"
            about = f"{_loading(meaning.loading_seconds)}, and gives {wrong} the picture of another frame"
            remedy = NEIGHBOUR_TIMES_REMEDY
        else:
            off = f"{first.largest:.3g} s, {first.largest * context.info.fps:.2f} frames"
            loading = f"; {_loading(meaning.loading_seconds)}, and gives each row its own picture" if has_videos else ""
            about, remedy = f"times of this episode are off by up to {off}{loading}", TIMES_REMEDY
        yield finding(
            TIMESTAMPS,
            f"timestamp {found}",
            f"{first.expected:{digits}} s within {tolerance:g} s ({about})",
            where,
            more=first.count - 1,
            remedy=remedy,
        )


def _loading(seconds: float) -> str:
    """Return a clause that says which tolerance_s LeRobot needs to load the episode, rounded up to three digits."""
    if seconds < TIMESTAMP_TOLERANCE_SECONDS:
        return f"LeRobot loads this episode with tolerance_s = {TIMESTAMP_TOLERANCE_SECONDS:g}"
    digits = 2 - math.floor(math.log10(seconds))
    return (
        f"LeRobot loads this episode with tolerance_s = {math.floor(seconds * 10**digits + 1) / 10**digits:.3g} or more"
    )


def is_per_episode(scan: RowScan) -> bool:
    """Return whether each row group is exactly one episode, and the episodes are in ascending order of episode_index."""
    is_same = np.array_equal(scan.row_group_starts, scan.first_row)
    return is_same and bool(np.all(np.diff(scan.episode_index) > 0))


def check_row_groups(context: VerificationContext, file: DataFile, scan: RowScan) -> Iterator[Finding]:
    """Yield one finding for the row groups that are not exactly one episode.

    The finding is ROW018 in a dataset that promises one row group per episode, and ROW018W in any other dataset with a byte index.
    """
    if not (context.has_promised_row_groups or context.has_sidecars) or not len(scan.first_row) or is_per_episode(scan):
        return
    groups, runs = scan.row_group_starts, scan.first_row
    stops = np.append(groups[1:], scan.first_row[-1] + scan.row_count[-1])
    first_run = np.searchsorted(runs, groups, side="right") - 1
    last_run = np.searchsorted(runs, stops, side="left") - 1
    is_wrong = (first_run != last_run) | (runs[first_run] != groups) | (first_run != np.arange(len(groups)))
    is_wrong[1:] |= scan.episode_index[first_run[1:]] <= scan.episode_index[first_run[:-1]]
    wrong = np.flatnonzero(is_wrong)
    # This return is never reached: if a run is split over row groups, the row group with its second part is wrong.
    if not len(wrong):
        return
    group = int(wrong[0])
    episodes = np.unique(scan.episode_index[first_run[group] : last_run[group] + 1])
    numbers = ["null" if number == NULL_NUMBER else str(number) for number in episodes.tolist()]
    held = f"episode {numbers[0]}" if len(numbers) == 1 else f"episodes {numbers[0]} to {numbers[-1]}"
    in_order = np.setdiff1d(scan.episode_index, [NULL_NUMBER])
    expected = f"episode {in_order[group]} alone" if group < len(in_order) else "no further row group"
    where = Location(file=file.path, row=int(groups[group]))
    rule = ROW_GROUPS if context.has_promised_row_groups else ROW_GROUPS_OF_INDEXED
    yield finding(rule, f"row group {group} of {len(groups)} contains {held}", expected, where, more=len(wrong) - 1)


RUN_RULES = (check_episode_rows, check_row_groups)
"""The rules for files in which the rows, or the footer, assign every row to its episode."""

ROW_RULES = (check_numbers, check_timestamps)
"""The rules for files whose rows were read."""


def _of_whole_episodes(
    file: DataFile, scan: RowScan, odd: dict[int, Oddity], column: str
) -> Iterator[tuple[int, Location, Oddity]]:
    """Yield the runs in `odd` whose episode has no other run in the file.

    Each is yielded as (number of the run, location of its first odd row, `Oddity`). Runs without an episode_index are left out.
    """
    if not odd:
        return
    _, inverse, run_counts = np.unique(scan.episode_index, return_inverse=True, return_counts=True)
    is_whole = run_counts[inverse] == 1
    for run in sorted(odd):
        if is_whole[run] and scan.episode_index[run] != NULL_NUMBER:
            episode = int(scan.episode_index[run])
            yield run, Location(file=file.path, episode=episode, row=odd[run].row, column=column), odd[run]


def row_observations(file: DataFile, scan: RowScan) -> Observations:
    """Return the observations in the rows of a file: missing episodes, rows of undeclared episodes, and wrong timestamps."""
    expected = file.episode_index
    absent = np.setdiff1d(expected, scan.episode_index)
    found, first_run, inverse = np.unique(scan.episode_index, return_index=True, return_inverse=True)
    row_count = np.bincount(inverse, weights=scan.row_count, minlength=len(found)).astype(np.int64)
    rows = tuple(
        ForeignRows(int(found[number]), file.path, int(scan.first_row[first_run[number]]), int(row_count[number]))
        for number in np.flatnonzero(~np.isin(found, expected)).tolist()
    )
    times = _of_whole_episodes(file, scan, scan.odd_timestamp, lerobot.TIMESTAMP)
    return Observations(
        tuple((episode, file.path) for episode in absent.tolist()),
        rows,
        scan.timestamp_tolerance_seconds,
        row_times=tuple(
            RowTimes(int(scan.episode_index[run]), scan.times[run]) for run, _, _ in times if run in scan.times
        ),
    )

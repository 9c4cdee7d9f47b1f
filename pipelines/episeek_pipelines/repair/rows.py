"""Correct the numbers in rows: index, frame_index and single timestamps."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft, RowNumbers
from episeek_pipelines.repair.other_frames import rises, row_of_other_frame
from episeek_pipelines.repair.row_runs import (
    NO_NUMBER,
    TIME_TOLERANCE_SECONDS,
    RowColumns,
    Run,
    read_row_columns,
    row_numbers,
)
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_schemas import lerobot

_MOST_WRONG_TIMES: Final = 0.1
"""Greatest share of an episode's timestamps that is corrected. If more are wrong, they may come from another clock."""

_ROUNDED_SECONDS: Final = 1e-3
"""Greatest difference of a timestamp from the time of another frame that rounded seconds explain."""


def repair_numbers(draft: Draft) -> Iterator[Outcome]:
    """Correct index and frame_index in the rows of an episode.

    The number and the order of its rows have to be proved, and the wrong numbers must not be those that other rows may have.
    """
    starts = draft.values(lerobot.DATASET_FROM_INDEX)
    lengths = draft.values(lerobot.LENGTH)
    is_tiled = bool(draft.proved.all()) and np.array_equal(starts, np.cumsum(lengths) - lengths)
    reader, most_rows = _RowReader(draft), _most_rows(draft)
    refused: list[Refusal] = []
    yield from _moved_episodes(draft)
    for episode, run in draft.single_runs():
        for column, count, start in (
            (lerobot.FRAME_INDEX, run.frames, 0),
            (lerobot.INDEX, run.index, int(starts[episode])),
        ):
            if (count.is_exact and count.start == start) or not draft.has_numbers(run.path, column):
                continue
            values = reader.values(run, column)
            is_proved = bool(draft.proved[episode]) and (column == lerobot.FRAME_INDEX or is_tiled)
            found = _judge_numbers(draft, episode, run, column, values, start, is_proved=is_proved, most_rows=most_rows)
            if isinstance(found, Repair):
                draft.edit(run.path).numbers.setdefault(column, []).append(
                    RowNumbers(run.first_row, run.count, "count", start)
                )
                yield found
            elif column == lerobot.FRAME_INDEX:
                yield found
            elif (
                refused and count.is_exact and count.start == _start_of_index(draft, episode - 1) + lengths[episode - 1]
            ):
                # A gap in index moves all later episodes, and is one contradiction.
                refused[-1] = replace(refused[-1], more=refused[-1].more + 1)
            else:
                refused.append(found)
    yield from refused


def _moved_episodes(draft: Draft) -> Iterator[Refusal]:
    """Yield a refusal for each data file in which an episode precedes one with a smaller number. Its rows are not moved."""
    runs = sorted(draft.single_runs(), key=lambda each: (each[1].path, each[1].first_row))
    refused: dict[str, Refusal] = {}
    for (before, run_before), (episode, run) in pairwise(runs):
        if run.path != run_before.path or episode > before:
            continue
        if run.path in refused:
            refused[run.path] = replace(refused[run.path], more=refused[run.path].more + 1)
            continue
        place = Place(run.path, episode, None, lerobot.EPISODE_INDEX, run.first_row)
        readings = ("the rows were moved: sort the data file by index", "episode_index of these rows is wrong")
        found = f"episode {episode} after episode {before}"
        refused[run.path] = Refusal(registry.ROW_NUMBERS.code, place, found, readings)
    yield from refused.values()


def _start_of_index(draft: Draft, episode: int) -> int:
    """Return the `index` of an episode's first row that more than half of its rows imply; `NO_NUMBER` if there is none."""
    runs = draft.runs_of.get(episode, ())
    return runs[0].index.start if len(runs) == 1 and runs[0].index.wrong * 2 < runs[0].count else NO_NUMBER


def _judge_numbers(
    draft: Draft,
    episode: int,
    run: Run,
    column: str,
    values: npt.NDArray[Any],
    start: int,
    *,
    is_proved: bool,
    most_rows: int,
) -> Repair | Refusal:
    """Return the repair of a column of numbers that has to count up from `start`, or its refusal.

    Args:
        draft: The dataset.
        episode: The number of the episode.
        run: All rows of the episode.
        column: The name of the column, index or frame_index.
        values: The numbers of the rows; `NO_NUMBER` for a row without a number.
        start: The right number of the first row.
        is_proved: Whether the number of rows, and for index that of all earlier rows, is proved.
        most_rows: The number of rows of the longest episode.
    """
    code, count = registry.ROW_NUMBERS.code, run.index if column == lerobot.INDEX else run.frames
    wrong = np.flatnonzero(values != start + np.arange(run.count))
    first = int(wrong[0]) if len(wrong) else 0
    place = Place(run.path, episode, None, column, run.first_row + first)
    witnesses = [name for name in run.order_witnesses if name != column]
    # A column that counts up exactly, but from a wrong number, proves the order of the rows itself.
    if not (is_proved and (witnesses or count.is_exact)):
        readings = (f"{column} is wrong", "rows are missing, doubled or in another order")
        return Refusal(code, place, f"{column} that does not count up from {start}", readings)
    numbers = np.where(values == NO_NUMBER, np.nan, values.astype(np.float64) - start)
    other = _other_row(draft, episode, column, numbers, start, most_rows)
    if other >= 0:
        moved = "removed" if rises(numbers) else "removed, repeated or exchanged"
        place = replace(place, row=run.first_row + other)
        found = f"{column} {values[other]} in place of {start + other}, which may be the number of another row"
        readings = (
            f"{column} is wrong, and has to count up from {start}",
            f"rows were {moved}, the other columns were renumbered, and {column} still has the old numbers",
        )
        return Refusal(code, place, found, readings)
    shown = ", ".join(witnesses) or f"{column} itself, which counts up from another number"
    proof = f"all {run.count} rows of the episode exist, and are in order according to {shown}"
    before = "no number" if values[first] == NO_NUMBER else int(values[first])
    return Repair(code, place, before, start + first, proof, max(len(wrong) - 1, 0))


def _other_row(
    draft: Draft, episode: int, column: str, numbers: npt.NDArray[np.float64], start: int, most_rows: int
) -> int:
    """Return the first row of an episode whose number may be that of another row; -1 without such a row.

    Args:
        draft: The dataset.
        episode: The number of the episode.
        column: The name of the column, index or frame_index.
        numbers: The differences of the numbers from `start`, with NaN for a row without a number.
        start: The right number of the first row.
        most_rows: The number of rows of the longest episode.
    """
    if not draft.evidence.info.video_keys and rises(numbers):
        # The rows have their own pictures, so that nothing depends on rows that were removed.
        return -1
    if column == lerobot.FRAME_INDEX:
        return row_of_other_frame(numbers, frames=(0, most_rows))
    following = _start_of_index(draft, episode + 1)
    last = np.inf if following == NO_NUMBER else following - start - 1
    is_shifted = bool((numbers == numbers[0] + np.arange(len(numbers))).all())
    total = int(draft.values(lerobot.LENGTH).sum())
    # Numbers that count up belong to another episode as a whole, or to none.
    is_own = is_shifted and not _is_place_of_other(draft, episode, start + int(numbers[0]), len(numbers))
    frames = (0, 0) if is_own else (-start, total - start)
    return row_of_other_frame(numbers, frames=frames, last=last)


def _is_place_of_other(draft: Draft, episode: int, start: int, length: int) -> bool:
    """Return whether the rows `[start, start + length)` are those of another episode whose own rows have other numbers."""
    places = (draft.values(lerobot.DATASET_FROM_INDEX) == start) & (draft.values(lerobot.LENGTH) == length)
    for other in np.flatnonzero(places).tolist():
        runs = draft.runs_of.get(other, ())
        if other != episode and not (len(runs) == 1 and runs[0].index.is_exact and runs[0].index.start == start):
            return True
    return False


def repair_timestamps(draft: Draft) -> Iterator[Outcome]:
    """Set wrong timestamps to frame_index / fps, if they are few, cannot be the times of other frames, and the order of the rows is
    proved.
    """
    code, fps = registry.TIMESTAMPS.code, draft.evidence.info.fps
    reader, most_rows = _RowReader(draft), _most_rows(draft)
    for episode, run in draft.single_runs():
        if run.times.is_exact or not draft.has_numbers(run.path, lerobot.TIMESTAMP):
            continue
        row = run.times.first_wrong
        place = Place(run.path, episode, None, lerobot.TIMESTAMP, run.first_row + max(row, 0))
        is_single = len(run.times.wrong_rows) == run.times.wrong <= max(1, int(run.count * _MOST_WRONG_TIMES))
        counts = run.frames.is_exact and run.frames.start == 0
        is_counted = counts or (run.index.is_exact and draft.proved[episode])
        moved = row_of_other_frame(
            reader.values(run, lerobot.TIMESTAMP) * fps,
            frames=(0, most_rows),
            right_within=TIME_TOLERANCE_SECONDS * fps,
            other_within=_ROUNDED_SECONDS * fps,
        )
        if not (is_single and is_counted and draft.proved[episode]) or moved >= 0:
            found = f"{run.times.wrong} of {run.count} timestamps that are not frame_index / fps"
            rate = run.times.other_rate
            if rate:
                other = f"fps is {rate:g}, since row k has the timestamp k / {rate:g} s"
            elif is_single and moved >= 0:
                other = (
                    "rows were removed, repeated or exchanged and then renumbered, and the timestamp of frame "
                    f"{moved} is still the time of its picture"
                )
            else:
                other = "the timestamps come from another clock, or rows are missing"
            yield Refusal(code, place, found, (f"row k has the timestamp k / {fps:g} s", other))
            continue
        edits = draft.edit(run.path).numbers.setdefault(lerobot.TIMESTAMP, [])
        edits += [RowNumbers(run.first_row + each, 1, "clock", each) for each in run.times.wrong_rows]
        before = run.times.found if np.isfinite(run.times.found) else "null or NaN"
        proof = (
            f"the other {run.count - run.times.wrong} rows of the episode have the timestamp frame_index / {fps:g} s"
        )
        yield Repair(code, place, before, row / fps, proof, run.times.wrong - 1)


def _most_rows(draft: Draft) -> int:
    """Return the number of rows of the longest episode. A row may have come from any episode."""
    return max((run.count for runs in draft.runs_of.values() for run in runs), default=0)


class _RowReader:
    """Read the numbers of runs again. The columns of the last file stay in memory, since runs of one file follow each other."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._path = ""
        self._columns: RowColumns = {}

    def values(self, run: Run, column: str) -> npt.NDArray[Any]:
        """Return the source's numbers of one column in the rows of a run, as `row_numbers` returns them; shape [rows].

        Raises:
            ReadError: The store or the system failed.
        """
        if run.path != self._path:
            with self._draft.evidence.open_data(run.path) as file:
                self._columns = row_numbers(read_row_columns(file))
            self._path = run.path
        return self._columns[column][run.first_row : run.first_row + run.count]

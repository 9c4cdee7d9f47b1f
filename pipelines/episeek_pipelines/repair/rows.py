"""Correct the numbers in rows: index, frame_index and single timestamps."""

from collections.abc import Iterator

import numpy as np

from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft, RowNumbers
from episeek_pipelines.repair.row_runs import NO_NUMBER, Count
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_schemas import lerobot

_MOST_WRONG_TIMES = 0.1
"""Greatest share of an episode's timestamps that is corrected. If more are wrong, they may come from another clock."""


def repair_numbers(draft: Draft) -> Iterator[Outcome]:
    """Correct index and frame_index in the rows of an episode if the number and the order of its rows are proved."""
    code = registry.ROW_NUMBERS.code
    starts = draft.values(lerobot.DATASET_FROM_INDEX)
    lengths = draft.values(lerobot.LENGTH)
    is_tiled = bool(draft.proved.all()) and np.array_equal(starts, np.cumsum(lengths) - lengths)
    for episode, run in draft.single_runs():
        for column, count, start in (
            (lerobot.FRAME_INDEX, run.frames, 0),
            (lerobot.INDEX, run.index, int(starts[episode])),
        ):
            if (count.is_exact and count.start == start) or not draft.has_numbers(run.path, column):
                continue
            place = Place(run.path, episode, None, column, run.first_row + max(count.first_wrong, 0))
            witnesses = [name for name in run.order_witnesses if name != column]
            # A column that counts up exactly, but from a wrong number, proves the order of the rows itself.
            is_ordered = bool(witnesses) or count.is_exact
            if not is_ordered or not draft.proved[episode] or (column == lerobot.INDEX and not is_tiled):
                found = f"{column} that does not count up from {start}"
                readings = (f"{column} is wrong", "rows are missing, doubled or in another order")
                yield Refusal(code, place, found, readings)
                continue
            draft.edit(run.path).numbers.setdefault(column, []).append(
                RowNumbers(run.first_row, run.count, "count", start)
            )
            before, after = _before_and_after(count, start)
            shown = ", ".join(witnesses) or f"{column} itself, which counts up from another number"
            proof = f"all {run.count} rows of the episode exist, and are in order according to {shown}"
            more = (count.wrong if count.start == start else run.count) - 1
            yield Repair(code, place, before, after, proof, more)


def repair_timestamps(draft: Draft) -> Iterator[Outcome]:
    """Set wrong timestamps to frame_index / fps, if they are few, cannot be the times of other frames, and the order of the rows is
    proved.
    """
    code, fps = registry.TIMESTAMPS.code, draft.evidence.info.fps
    for episode, run in draft.single_runs():
        if run.times.is_exact or not draft.has_numbers(run.path, lerobot.TIMESTAMP):
            continue
        row, moved = run.times.first_wrong, run.times.moved_row
        place = Place(run.path, episode, None, lerobot.TIMESTAMP, run.first_row + max(row, 0))
        is_single = len(run.times.wrong_rows) == run.times.wrong <= max(1, int(run.count * _MOST_WRONG_TIMES))
        counts = run.frames.is_exact and run.frames.start == 0
        is_counted = counts or (run.index.is_exact and draft.proved[episode])
        if not (is_single and is_counted and draft.proved[episode]) or moved >= 0:
            found = f"{run.times.wrong} of {run.count} timestamps that are not frame_index / fps"
            rate = run.times.other_rate
            if rate:
                other = f"fps is {rate:g}, since row k has the timestamp k / {rate:g} s"
            elif is_single and moved >= 0:
                other = f"rows before frame {moved} were removed or repeated, and its timestamp is still the time of its picture"
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


def _before_and_after(count: Count, start: int) -> tuple[object, int]:
    if count.start == start and count.first_wrong >= 0:
        before = "no number" if count.found == NO_NUMBER else count.found
        return before, start + count.first_wrong
    return count.start if count.start != NO_NUMBER else "no number", start

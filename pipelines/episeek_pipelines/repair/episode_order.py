"""Correct the order of the rows of meta/episodes, and a single missing episode_index, on the evidence of the data rows."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.row_runs import NO_NUMBER
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_schemas import layout, lerobot


def repair_order(draft: Draft) -> Iterator[Outcome]:
    """Sort the rows of meta/episodes by episode_index, if the row ranges of the moved rows do not contradict their numbers.

    If exactly one row has no usable number, and exactly one number is missing, the row first gets this number, if the data rows
    prove that it is the row of this episode.
    """
    code = registry.EPISODE_ORDER.code
    if not draft.has_all_episodes:
        for path, problem in draft.evidence.episodes.unreadable.items():
            readings = (
                "the file listed episodes of the dataset that no other file lists",
                "the file is left over from an edit or from a recording that was stopped",
            )
            yield Refusal(code, Place(path), f"a file of meta/episodes that cannot be read: {problem}", readings)
        return
    index = draft.values(lerobot.EPISODE_INDEX)
    count = len(index)
    unknown = np.flatnonzero((index < 0) | (index >= count))
    absent = np.setdiff1d(np.arange(count), index)
    if len(unknown) == len(absent) == 1 and _is_row_of(draft, int(unknown[0]), int(absent[0])):
        row, number = int(unknown[0]), int(absent[0])
        before = draft.raw(lerobot.EPISODE_INDEX, row)
        draft.set(lerobot.EPISODE_INDEX, row, number)
        proof = (
            f"every other number from 0 to {count - 1} occurs exactly once, and the row has the length and the range of the data "
            f"rows of episode {number}"
        )
        yield Repair(code, draft.place(row, lerobot.EPISODE_INDEX), before, number, proof)
        index = draft.values(lerobot.EPISODE_INDEX)
        absent = absent[:0]
    if len(absent):
        draft.has_all_episodes = False
        yield _missing_number(index, count, int(absent[0]), len(absent) - 1)
        return
    if (index == np.arange(count)).all():
        return
    order = np.argsort(index, kind="stable")
    moved = np.flatnonzero(order != np.arange(count))
    for row in order[moved].tolist():
        owner = _owner_of_range(draft, row)
        if owner not in (None, index[row]):
            draft.has_all_episodes = False
            place = draft.place(row, lerobot.EPISODE_INDEX)
            found = f"episode_index {index[row]}, but the dataset_from_index of episode {owner}"
            readings = (f"the row belongs to episode {index[row]}", f"the row belongs to episode {owner}")
            yield Refusal(code, place, found, readings, len(moved) - 1)
            return
    first = int(moved[0])
    before, after = f"episode {index[first]} in row {first}", f"episode {first} in row {first}"
    draft.set_order(order)
    proof = f"each number from 0 to {count - 1} occurs exactly once"
    yield Repair(code, draft.place(first), before, after, proof, len(moved) - 1)


def _is_row_of(draft: Draft, row: int, number: int) -> bool:
    """Return whether data rows prove that a row of meta/episodes without a usable number is the row of a given episode.

    The data files have consecutive rows of this episode, to whose number and `index` the row does not contradict, and no rows of
    an episode that meta/episodes does not list. Otherwise the row may belong to such an episode, while that of `number` was
    deleted or lost.
    """
    runs = draft.runs_of.get(number, ())
    if len(runs) != 1 or any(episode >= draft.row_count for episode in draft.runs_of):
        return False
    length, start = (int(draft.values(name)[row]) for name in (lerobot.LENGTH, lerobot.DATASET_FROM_INDEX))
    compared = ((length, runs[0].count), (start, runs[0].index.start))
    known = [found == expected for found, expected in compared if min(found, expected) >= 0]
    return bool(known) and all(known)


def _owner_of_range(draft: Draft, row: int) -> int | None:
    """Return the episode whose data rows begin at the dataset_from_index of a row of meta/episodes; None if there is none."""
    start = int(draft.values(lerobot.DATASET_FROM_INDEX)[row])
    owners = [number for number, runs in draft.runs_of.items() if start >= 0 and runs[0].index.start == start]
    return owners[0] if len(owners) == 1 else None


def _missing_number(index: npt.NDArray[np.int64], count: int, absent: int, more: int) -> Refusal:
    """Return the refusal of numbers of meta/episodes that do not go from 0 to `count`, because `absent` and others are missing."""
    unknown = index[(index < 0) | (index >= count)]
    doubled = np.flatnonzero(np.bincount(index[(index >= 0) & (index < count)], minlength=count) > 1)
    if len(doubled):
        found = f"episode {doubled[0]} twice"
    else:
        found = "a row without episode_index" if unknown[0] == NO_NUMBER else f"episode_index {unknown[0]}"
    readings = (
        f"one of the rows belongs to episode {absent}",
        f"the row of episode {absent} is missing: it was lost, or the episode was deleted, and the others have kept their numbers",
    )
    place = Place(layout.EPISODES_DIR, column=lerobot.EPISODE_INDEX)
    return Refusal(registry.EPISODE_ORDER.code, place, f"{found}, and no episode {absent}", readings, more)

"""Ranks: processes that share a batch without a scheduler. The rows of the plan are dealt to them by cost."""

import heapq
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from episeek.errors import EpiseekError
from episeek_pipelines.batch.survey import PlannedDataset

REFUSED_SECONDS: Final = 0.05
"""Cost of a dataset that will be refused: it is looked at again."""


class RankError(EpiseekError, ValueError):
    """A rank is not one of `of` ranks, counted from 0."""


@dataclass(frozen=True, slots=True)
class Rank:
    """One of `of` processes, counted from 0."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise RankError("rank", f"{self.number} of {self.of}", "a number from 0, below the number of ranks")


def rank_of(environment: Mapping[str, str] = os.environ) -> Rank:
    """Return the rank that the environment names: a task of a SLURM array, or `RANK` of `WORLD_SIZE`; the only one otherwise.

    SLURM counts tasks from `SLURM_ARRAY_TASK_MIN` to `SLURM_ARRAY_TASK_MAX` in steps of `SLURM_ARRAY_TASK_STEP` (sbatch(1)).

    Raises:
        RankError: The variables are no numbers or contradict each other, or the array has gaps or is a single later task.
    """
    try:
        if "SLURM_ARRAY_TASK_ID" in environment:
            first = int(environment.get("SLURM_ARRAY_TASK_MIN", "0"))
            step = int(environment.get("SLURM_ARRAY_TASK_STEP", "1")) or 1
            task, of = int(environment["SLURM_ARRAY_TASK_ID"]), int(environment["SLURM_ARRAY_TASK_COUNT"])
            last = int(environment.get("SLURM_ARRAY_TASK_MAX", first + (of - 1) * step))
            _require_whole_array(task, first, last, step, of)
            return Rank((task - first) // step, of)
        if "RANK" in environment and "WORLD_SIZE" in environment:
            return Rank(int(environment["RANK"]), int(environment["WORLD_SIZE"]))
    except (KeyError, ValueError) as error:
        if isinstance(error, RankError):
            raise
        found = f"variables that name no rank ({error})"
        raise RankError("the environment", found, "SLURM_ARRAY_TASK_ID and _COUNT, or RANK and WORLD_SIZE") from None
    return Rank()


def _require_whole_array(task: int, first: int, last: int, step: int, of: int) -> None:
    """Require that the tasks of an array are ranks: with gaps, or one task started anew, they are not all of a batch."""
    hint = "give --rank I --of N, as to start some tasks of a larger array again"
    if first + (of - 1) * step != last or (task - first) % step:
        found = f"an array with gaps: {of} tasks from {first} to {last}, task {task}"
        raise RankError("SLURM_ARRAY_TASK_ID", found, "tasks at the same distance from each other", hint)
    if of == 1 and first > 1:
        raise RankError("SLURM_ARRAY_TASK_ID", f"an array of the one task {task}", "an array of all tasks", hint)


def dealt(datasets: Sequence[PlannedDataset], rank: Rank) -> list[PlannedDataset]:
    """Return the datasets of one rank, the most expensive first: each goes to the rank with the least to do so far."""
    loads = [(0.0, number) for number in range(rank.of)]
    mine = []
    for dataset in sorted(datasets, key=lambda each: (-each.cost_seconds, each.destination)):
        load, number = heapq.heappop(loads)
        heapq.heappush(loads, (load + max(dataset.cost_seconds, REFUSED_SECONDS), number))
        if number == rank.number:
            mine.append(dataset)
    return mine

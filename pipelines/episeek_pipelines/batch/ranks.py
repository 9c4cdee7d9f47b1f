"""Divide the datasets of a batch among ranks: processes that share the work by their numbers, without a scheduler."""

import heapq
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from episeek.errors import EpiseekError
from episeek_pipelines.batch.survey import PlannedDataset

REFUSED_SECONDS: Final = 0.05
"""Seconds that a dataset costs if it will be refused, because the run surveys it again."""


class RankError(EpiseekError, ValueError):
    """The number of a rank is not below the number of ranks, or the environment does not give a rank."""


@dataclass(frozen=True, slots=True)
class Rank:
    """One of several processes that share a batch."""

    number: int = 0
    """Number of this process, counted from 0."""
    of: int = 1
    """Number of all processes."""

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise RankError("rank", f"{self.number} of {self.of}", "a number of 0 or more, below the number of ranks")


def rank_of(environment: Mapping[str, str] = os.environ) -> Rank:
    """Return the rank that the environment gives: a task of a Slurm array, or `RANK` of `WORLD_SIZE`.

    Without these variables, this process is the only rank. Slurm numbers tasks from `SLURM_ARRAY_TASK_MIN` to
    `SLURM_ARRAY_TASK_MAX` in steps of `SLURM_ARRAY_TASK_STEP` (sbatch(1)).

    Raises:
        RankError: The variables are no numbers or contradict each other, or the array seems to be only a part of a larger array,
            because it has gaps or consists of a single task with a number above 1.
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
        found = f"missing or invalid variables ({error})"
        raise RankError(
            "the environment",
            found,
            "numbers in SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT, or in RANK and WORLD_SIZE",
        ) from None
    return Rank()


def _require_whole_array(task: int, first: int, last: int, step: int, of: int) -> None:
    """Raise RankError if the array seems to be only a part of a larger array.

    An array seems to be a part if there are gaps between its task numbers, or if it has only one task, with a number above 1.
    """
    hint = "give --rank I --of N, for example to start some tasks of a larger array again"
    if first + (of - 1) * step != last or (task - first) % step:
        found = f"an array with gaps: {of} tasks from {first} to {last}, task {task}"
        raise RankError("SLURM_ARRAY_TASK_ID", found, "task numbers at equal distances", hint)
    if of == 1 and first > 1:
        raise RankError("SLURM_ARRAY_TASK_ID", f"an array of a single task, {task}", "an array of all tasks", hint)


def dealt(datasets: Sequence[PlannedDataset], rank: Rank) -> list[PlannedDataset]:
    """Return the datasets of one rank, the most expensive first.

    All datasets are assigned in the order of their costs, each to the rank with the lowest total cost so far.
    """
    loads = [(0.0, number) for number in range(rank.of)]
    mine = []
    for dataset in sorted(datasets, key=lambda each: (-each.cost_seconds, each.destination)):
        load, number = heapq.heappop(loads)
        heapq.heappush(loads, (load + max(dataset.cost_seconds, REFUSED_SECONDS), number))
        if number == rank.number:
            mine.append(dataset)
    return mine

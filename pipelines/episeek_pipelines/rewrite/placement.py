"""The data file of each episode, as its rows say: what `meta/episodes` of the rewritten dataset declares.

The metadata of a source may be wrong about it: LeRobot's converter from v2.1 declares the first episode of each file to be in
the file before (lerobot#2401), and plans are made from metadata. A rewrite sees every row, so its result decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import MissingFileError, RowOrderError
from episeek_pipelines.rewrite.plan import RewritePlan

Held = dict[int, int]
"""The rows of one episode that each output holds: {number of the output: rows}."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A rewritten data file."""

    path: str
    size_bytes: int
    rows: int
    row_groups: int
    episodes: tuple[tuple[int, int], ...] = ()
    """(episode_index, rows) of each episode, in the order of its rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """The data files of the episodes; arrays have shape [episode_count], by row of `meta/episodes`."""

    data_chunk_index: npt.NDArray[np.int64]
    data_file_index: npt.NDArray[np.int64]
    corrected: int
    """Episodes whose rows are in another file than the plan, made from the metadata, says."""


def place_episodes(plan: RewritePlan, written: Sequence[WrittenFile], where: str) -> Placement:
    """Return the data file of each episode.

    A file that the plan gives stays where it holds the episode: all of it, or all that any file holds. An episode without rows
    stays where the plan has it, since `verify` reports it, and so does one in a file whose name the template cannot give.

    Args:
        plan: The plan.
        written: All outputs.
        where: The source, for errors.

    Raises:
        MissingFileError: Nothing holds the episodes of a file that does not exist.
        RowOrderError: Rows of an episode are in several files, and none or more than one of these holds all of the episode.
    """
    numbers_of = {output.path: output.numbers for unit in plan.units for output in unit.outputs}
    held: dict[int, Held] = {}
    for number, file in enumerate(written):
        for episode, rows in file.episodes:
            held.setdefault(episode, {})[number] = rows
    by_numbers = {numbers_of[file.path]: number for number, file in enumerate(written)}
    chunk_index, file_index = plan.data_chunk_index.copy(), plan.data_file_index.copy()
    corrected = 0
    lost = [row for row in sorted(plan.missing) if int(plan.episode_index[row]) not in held]
    if lost:
        paths = sorted({plan.missing[row] for row in lost})
        others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        raise MissingFileError(
            f"{where}/{paths[0]}", f"no such file{others}", f"the rows of episode {plan.episode_index[lost[0]]}"
        )
    for row, (episode, length) in enumerate(zip(plan.episode_index.tolist(), plan.length.tolist(), strict=True)):
        rows_of = held.get(episode)
        if rows_of is None:
            continue
        planned = by_numbers.get((int(chunk_index[row]), int(file_index[row])))
        holder = _holder(rows_of, planned, length)
        if holder is None:
            holders = " and ".join(sorted(written[number].path for number in rows_of))
            found = f"rows of episode {episode} in {holders}"
            hint = "remove the rows that do not belong to the episode, or delete the episode with LeRobot"
            raise RowOrderError(where, found, f"its {length} rows in one data file", hint)
        numbers = None if holder == planned else numbers_of[written[holder].path]
        if numbers is not None:
            chunk_index[row], file_index[row] = numbers
            corrected += 1
    for column in (chunk_index, file_index):
        column.setflags(write=False)
    return Placement(chunk_index, file_index, corrected)


def _holder(held: Held, planned: int | None, length: int) -> int | None:
    """Return the output that holds an episode; None where the rows do not tell."""
    whole = [number for number, rows in held.items() if rows == length]
    if planned in whole:
        return planned
    candidates = whole or [*held]
    return candidates[0] if len(candidates) == 1 else None

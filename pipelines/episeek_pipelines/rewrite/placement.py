"""Find the data file that contains the rows of each episode, for `meta/episodes` of the rewritten dataset.

The metadata of a source may be wrong: LeRobot's converter from v2.1 declares the first episode of each file to be in the file
before it (lerobot#2401). A plan is made from the metadata, but the rewrite reads every row, so the rows that it found decide where
an episode is. Episodes are placed for one file of `meta/episodes` at a time. Only the number of rows of each episode in each output
is kept in memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import MissingFileError, RowOrderError
from episeek_pipelines.dataset.metadata import rows_by_path
from episeek_pipelines.rewrite.plan import RewritePlan

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]

_NO_OUTPUT = -1


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One output of a rewrite: a data file that was written."""

    path: str
    size_bytes: int
    rows: int
    row_groups: int
    episodes: tuple[tuple[int, int], ...] = ()
    """One pair (episode_index, number of rows) for each episode, in the order of the rows of the file. Empty after the pairs have
    been saved in the file's receipt, the record of its finished rewrite.
    """


@dataclass(frozen=True, slots=True, eq=False)
class DeclaredPlaces:
    """The lengths and data files that `meta/episodes` of the source declares for some episodes: arrays with one value per row."""

    episode_index: Int64Array
    length: Int64Array
    data_chunk_index: Int64Array
    data_file_index: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """The data files of some episodes after the rewrite: arrays with one value per row of `meta/episodes`."""

    data_chunk_index: Int64Array
    data_file_index: Int64Array
    corrected: int
    """Number of episodes whose rows are in another file than the metadata of the source declares."""


class Placement:
    """Finds the output to which each episode belongs.

    An episode belongs to the output that contains its rows. If several outputs contain rows of the episode, the episode belongs to
    the output with exactly the declared number of rows. If several outputs have this number of rows, the episode belongs to the
    planned output, which must be one of them. The planned location is kept for an episode without rows, and for an episode in an
    output whose path the path template cannot give.

    Args:
        plan: The plan of the rewrite.
        written: All outputs, with their episodes.
        where: The source, for error messages.
    """

    def __init__(self, plan: RewritePlan, written: Iterable[WrittenFile], where: str) -> None:
        self._plan = plan
        self._where = where
        self._unit_of = {path: unit for unit in plan.units for path in unit.paths}
        numbers_of = {output.path: output.numbers for unit in plan.units for output in unit.outputs}
        self._paths: list[str] = []
        episodes, rows, outputs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        for number, file in enumerate(written):
            self._paths.append(file.path)
            pairs = np.array(file.episodes, np.int64).reshape(-1, 2)
            episodes.append(pairs[:, 0].copy())
            rows.append(pairs[:, 1].copy())
            outputs.append(np.full(len(pairs), number, np.int32))
        numbers = [numbers_of[path] for path in self._paths]
        self._numbers = np.array([(-1, -1) if pair is None else pair for pair in numbers], np.int64).reshape(-1, 2)
        self._output_of = {pair: number for number, pair in enumerate(numbers) if pair is not None}
        held = np.concatenate(episodes)
        order = np.argsort(held, kind="stable")
        self._episode: Int64Array = held[order]
        self._rows: Int64Array = np.concatenate(rows)[order]
        self._output: Int32Array = np.concatenate(outputs)[order]

    def holds(self, episodes: Int64Array) -> npt.NDArray[np.bool_]:
        """Return an array that contains, for each episode, whether any output contains rows of the episode."""
        found = np.searchsorted(self._episode, episodes, "right") > np.searchsorted(self._episode, episodes, "left")
        return np.asarray(found, np.bool_)

    def require_rows(self, declared: DeclaredPlaces, first_row: int) -> None:
        """Raise MissingFileError if a declared data file does not exist and no output contains rows of one of its episodes.

        Args:
            declared: The rows of one file of `meta/episodes`.
            first_row: The number of the first of these rows, counted over all files of `meta/episodes`.
        """
        last_row = first_row + len(declared.episode_index)
        missing = [row for row in sorted(self._plan.missing) if first_row <= row < last_row]
        episodes = declared.episode_index[np.array(missing, np.int64) - first_row]
        lost = [place for place, is_held in enumerate(self.holds(episodes).tolist()) if not is_held]
        if lost:
            paths = sorted({self._plan.missing[missing[place]] for place in lost})
            others = f", and {len(paths) - 1} more missing" if len(paths) > 1 else ""
            expected = f"the rows of episode {episodes[lost[0]]}"
            raise MissingFileError(f"{self._where}/{paths[0]}", f"no such file{others}", expected)

    def places(self, declared: DeclaredPlaces) -> Places:
        """Return the data file of each episode after the rewrite.

        Raises:
            RowOrderError: Several outputs contain rows of an episode, and the declared number of rows does not decide which of them
                is right.
        """
        chunk, file = self._planned(declared)
        planned = self._outputs(chunk, file)
        first = np.searchsorted(self._episode, declared.episode_index, "left")
        count = np.searchsorted(self._episode, declared.episode_index, "right") - first
        holder = planned.copy()
        is_single = count == 1
        holder[is_single] = self._output[first[is_single]]
        for row in np.flatnonzero(count > 1).tolist():
            held = slice(int(first[row]), int(first[row] + count[row]))
            holder[row] = self._holder(declared, row, held, int(planned[row]))
        moved = np.flatnonzero((holder != planned) & (holder != _NO_OUTPUT))
        moved = moved[self._numbers[holder[moved], 0] >= 0]
        chunk[moved], file[moved] = self._numbers[holder[moved]].T
        return Places(chunk, file, len(moved))

    def _planned(self, declared: DeclaredPlaces) -> tuple[Int64Array, Int64Array]:
        """Return two arrays with the chunk_index and the file_index of the output in which the plan places each episode."""
        chunk, file = declared.data_chunk_index.copy(), declared.data_file_index.copy()
        if self._plan.is_split:
            for path, rows in rows_by_path(chunk, file, self._plan.info.data_file).items():
                unit = self._unit_of.get(path)
                if unit is None:
                    continue
                numbers = np.array([output.numbers for output in unit.outputs], np.int64)
                firsts = [output.first_episode for output in unit.outputs]
                chosen = np.searchsorted(firsts, declared.episode_index[rows], side="right") - 1
                chunk[rows], file[rows] = numbers[chosen].T
        return chunk, file

    def _outputs(self, chunk: Int64Array, file: Int64Array) -> Int32Array:
        """Return, for each pair of chunk_index and file_index, the number of the output with this pair, or -1 for no output."""
        found = np.full(len(chunk), _NO_OUTPUT, np.int32)
        pairs, which = np.unique(np.stack([chunk, file], axis=1), axis=0, return_inverse=True)
        outputs = [self._output_of.get((first, second), _NO_OUTPUT) for first, second in pairs.tolist()]
        found[:] = np.array(outputs, np.int32)[which.reshape(-1)] if len(outputs) else found
        return found

    def _holder(self, declared: DeclaredPlaces, row: int, held: slice, planned: int) -> int:
        """Choose one output for an episode with rows in several outputs: the one with as many rows as the episode declares.

        An output is a data file that the rewrite writes. If several outputs have that many rows, the planned one is chosen.

        Args:
            declared: The declared lengths and data files of some episodes.
            row: The row of the episode in `declared`.
            held: The slice of `self._output` and `self._rows` with the entries of the episode.
            planned: The number of the output in which the plan places the episode; -1 for no output.

        Raises:
            RowOrderError: No output, or more than one that is not planned, has the declared number of rows.
        """
        outputs: list[int] = self._output[held].tolist()
        length = int(declared.length[row])
        whole = [number for number, rows in zip(outputs, self._rows[held].tolist(), strict=True) if rows == length]
        if planned in whole:
            return planned
        if len(whole) == 1:
            return whole[0]
        episode = declared.episode_index[row]
        holders = " and ".join(sorted(self._paths[number] for number in outputs))
        hint = "remove the rows that do not belong to the episode, or delete the episode with LeRobot"
        raise RowOrderError(
            self._where,
            f"rows of episode {episode} in {holders}",
            f"all {length} rows of the episode in one data file",
            hint,
        )

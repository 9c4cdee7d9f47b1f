"""Find the data file that contains the rows of each episode, for `meta/episodes` of the rewritten dataset.

The metadata of a source may be wrong: LeRobot's converter from v2.1 declares the first episode of each file to be in the file
before it (lerobot#2401). Plans are made from metadata, but a rewrite reads every row, so its result decides. Episodes are
placed one file of `meta/episodes` at a time. Memory contains only the number of rows of each episode in each output.
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
    """A rewritten data file."""

    path: str
    size_bytes: int
    rows: int
    row_groups: int
    episodes: tuple[tuple[int, int], ...] = ()
    """(episode_index, rows) of each episode, in the order of its rows; empty once the receipt of the file has them."""


@dataclass(frozen=True, slots=True, eq=False)
class DeclaredPlaces:
    """Some rows of `meta/episodes`; arrays of shape [rows]."""

    episode_index: Int64Array
    length: Int64Array
    data_chunk_index: Int64Array
    data_file_index: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """The data files of some episodes; arrays of shape [rows]."""

    data_chunk_index: Int64Array
    data_file_index: Int64Array
    corrected: int
    """Number of episodes whose rows are in another file than the metadata of the source declares."""


class Placement:
    """Finds the data file of each episode.

    An episode stays in its planned file if this contains all of its rows, or all rows that any file contains. It also stays
    there if it has no rows, which `verify` reports, or if the path template cannot give the name of its file.

    Args:
        plan: The plan.
        written: All outputs, with their episodes.
        where: The source, for errors.
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
        """Return, for each episode, whether any output contains rows of it."""
        found = np.searchsorted(self._episode, episodes, "right") > np.searchsorted(self._episode, episodes, "left")
        return np.asarray(found, np.bool_)

    def require_rows(self, declared: DeclaredPlaces, first_row: int) -> None:
        """Raise MissingFileError if a declared data file does not exist and no other file contains the rows of its episodes.

        Args:
            declared: Rows of `meta/episodes`.
            first_row: The number of the first of them in the whole table.
        """
        last_row = first_row + len(declared.episode_index)
        missing = [row for row in sorted(self._plan.missing) if first_row <= row < last_row]
        episodes = declared.episode_index[np.array(missing, np.int64) - first_row]
        lost = [place for place, is_held in enumerate(self.holds(episodes).tolist()) if not is_held]
        if lost:
            paths = sorted({self._plan.missing[missing[place]] for place in lost})
            others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            expected = f"the rows of episode {episodes[lost[0]]}"
            raise MissingFileError(f"{self._where}/{paths[0]}", f"no such file{others}", expected)

    def places(self, declared: DeclaredPlaces) -> Places:
        """Return the data files of some episodes.

        Raises:
            RowOrderError: Rows of an episode are in several files, and none or more than one of these holds all of the episode.
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
        """Return the chunk_index and file_index of the file in which the plan places each episode."""
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
        """Return the number of the output with each chunk_index and file_index, or -1 if there is none."""
        found = np.full(len(chunk), _NO_OUTPUT, np.int32)
        pairs, which = np.unique(np.stack([chunk, file], axis=1), axis=0, return_inverse=True)
        outputs = [self._output_of.get((first, second), _NO_OUTPUT) for first, second in pairs.tolist()]
        found[:] = np.array(outputs, np.int32)[which.reshape(-1)] if len(outputs) else found
        return found

    def _holder(self, declared: DeclaredPlaces, row: int, held: slice, planned: int) -> int:
        """Return the output to which an episode belongs if several outputs contain rows of it."""
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
            self._where, f"rows of episode {episode} in {holders}", f"its {length} rows in one data file", hint
        )

"""Find the video files in which an episode may be, by the order of the episodes and of the files of a camera."""

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np

from episeek_schemas.lerobot import DatasetInfo


class FileOrder:
    """The files of the episodes of one camera.

    LeRobot writes files in the order of their episodes, but a merged or edited dataset may have another order. The order shows
    where an episode may be only if the numbers of the other episodes' files never decrease.
    """

    def __init__(
        self,
        info: DatasetInfo,
        declared: Sequence[str | None],
        *,
        homeless: Collection[int],
        contested: Collection[int] = (),
    ) -> None:
        """Create the order.

        Args:
            info: The dataset's meta/info.json.
            declared: The file that each episode declares.
            homeless: The episodes whose file is not certain.
            contested: Those of them that need the same frames as others. Such an episode leaves its file only if the others stay.
        """
        self._info = info
        self._declared = declared
        self._known = [row for row in range(len(declared)) if row not in homeless]
        self._contested = contested
        self._all = sorted({*self._known, *contested})
        self._is_rising = self._rises(self._known)
        self._all_rise = self._rises(self._all) if contested else self._is_rising

    def near(self, row: int) -> tuple[str, ...]:
        """Return the files of the episodes before and after an episode: one or two, or none without other episodes."""
        return tuple(dict.fromkeys(path for path in self._neighbours(row) if path is not None))

    def is_evidence(self, row: int) -> bool:
        """Return whether the file numbers of the other episodes never decrease.

        The other episodes are those whose file is certain and, if this episode is contested, all contested ones.
        """
        return self._all_rise if row in self._contested else self._is_rising

    def has_one_place(self, row: int, path: str) -> bool:
        """Return whether a file is that of the episodes before and after an episode, or the first file, with the one after."""
        before, after = self._neighbours(row)
        is_first = self._info.video_file_numbers(path) == (0, 0)
        return path == after and (before == path or (before is None and is_first))

    def follows(self, row: int, path: str) -> bool:
        """Return whether a file is the next one after that of the episode before an episode: no number between them is unused."""
        before, numbers = self._neighbours(row)[0], self._info.video_file_numbers(path)
        known = None if before is None else self._info.video_file_numbers(before)
        if known is None or numbers is None:
            return False
        chunk, file = known
        return numbers == ((chunk, file + 1) if file + 1 < self._info.chunks_size else (chunk + 1, 0))

    def is_between(self, row: int, path: str) -> bool:
        """Return whether a file is that of the episode before or after, or its numbers are between those of the two files."""
        neighbours = self._neighbours(row)
        if path in neighbours:
            return True
        before, after = (None if each is None else self._info.video_file_numbers(each) for each in neighbours)
        numbers = self._info.video_file_numbers(path)
        if numbers is None or (before is None and after is None):
            return False
        return (before is None or before < numbers) and (after is None or numbers < after)

    def _rises(self, rows: Sequence[int]) -> bool:
        paths = [path for row in rows if (path := self._declared[row]) is not None]
        numbers = {path: self._info.video_file_numbers(path) for path in set(paths)}
        known = (found for path in paths if (found := numbers[path]) is not None)
        return all(one <= other for one, other in pairwise(known))

    def _neighbours(self, row: int) -> tuple[str | None, str | None]:
        known = self._known
        if row in self._contested:
            known = [each for each in self._all if each != row]
        start, stop = int(np.searchsorted(known, row)), int(np.searchsorted(known, row, side="right"))
        before = self._declared[known[start - 1]] if start else None
        after = self._declared[known[stop]] if stop < len(known) else None
        return before, after

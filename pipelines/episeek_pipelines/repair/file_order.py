"""Find the video files in which an episode may be, by the order of the episodes and of the files of a camera."""

from collections.abc import Collection, Sequence

import numpy as np

from episeek_schemas.lerobot import DatasetInfo


class FileOrder:
    """The files of the episodes of one camera. LeRobot writes files in the order of their episodes."""

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

    def near(self, row: int) -> tuple[str, ...]:
        """Return the files of the episodes before and after an episode: one or two, or none without other episodes."""
        return tuple(dict.fromkeys(path for path in self._neighbours(row) if path is not None))

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

    def _neighbours(self, row: int) -> tuple[str | None, str | None]:
        known = self._known
        if row in self._contested:
            known = sorted({*known, *self._contested} - {row})
        start, stop = int(np.searchsorted(known, row)), int(np.searchsorted(known, row, side="right"))
        before = self._declared[known[start - 1]] if start else None
        after = self._declared[known[stop]] if stop < len(known) else None
        return before, after

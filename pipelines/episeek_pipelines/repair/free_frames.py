"""Count the frames of each video file that belong to no episode."""

from collections.abc import Collection, Sequence
from typing import Final

from episeek.errors import MissingFileError, Mp4Error
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.examined_videos import ExaminedVideo
from episeek_pipelines.video.header import read_video_header
from episeek_pipelines.words import counted
from episeek_schemas import lerobot

_UNKNOWN_FRAMES: Final = -1
_MOST_READINGS: Final = 4


class FreeFrames:
    """The frames of no episode in the video files of a dataset under repair.

    Files that no episode refers to are read when they are first needed.
    """

    def __init__(self, draft: Draft, examined: Sequence[ExaminedVideo]) -> None:
        self._draft = draft
        self._counts: dict[str, int] = {each.path: each.frame_count for each in examined}
        self._files: dict[str, list[str]] | None = None

    def files(self, camera: str) -> list[str]:
        """Return the paths of the files of a camera, sorted."""
        info = self._draft.evidence.info
        if self._files is None:
            self._files = {}
            folder = (info.video_path or "").partition("/")[0]
            for path in sorted(self._draft.evidence.root.files("" if "{" in folder else folder)):
                self._files.setdefault(info.video_camera(path) or "", []).append(path)
        return self._files.get(camera, [])

    def declared(self, camera: str) -> list[str | None]:
        """Return the path of the video file that each episode declares; None for an episode without usable numbers."""
        info = self._draft.evidence.info
        numbers = (self._draft.values(lerobot.video_column(camera, name)) for name in ("chunk_index", "file_index"))
        return [
            info.video_file(camera, *pair) if min(pair) >= 0 else None
            for pair in zip(*(each.tolist() for each in numbers), strict=True)
        ]

    def of(self, camera: str, *, without: Collection[int]) -> dict[str, int]:
        """Return, for each file of a camera, how many frames it has more than its episodes have rows.

        The number is -1 for a damaged file.

        Args:
            camera: The camera.
            without: Rows of meta/episodes whose episodes do not count, since it is not certain that they are in their files.
        """
        files = self.files(camera)
        unread = [path for path in files if path not in self._counts]
        root = self._draft.evidence.root
        found = map_in_threads(self._frame_count, unread, max_in_flight=root.in_flight)
        self._counts.update(zip(unread, found, strict=True))
        held: dict[str | None, int] = {}
        for row, path in enumerate(self.declared(camera)):
            if row not in without:
                held[path] = held.get(path, 0) + int(self._draft.values(lerobot.LENGTH)[row])
        return {
            path: count if count == _UNKNOWN_FRAMES else max(count - held.get(path, 0), 0)
            for path, count in ((path, self._counts[path]) for path in files)
        }

    def _frame_count(self, path: str) -> int:
        try:
            return len(read_video_header(self._draft.evidence.root.source(), path).table.presentation_order())
        except (Mp4Error, MissingFileError):
            return _UNKNOWN_FRAMES


def with_enough(free: dict[str, int], length: int) -> dict[str, int]:
    """Return the files that may contain the frames of an episode: those with enough frames of no episode, and damaged ones.

    Args:
        free: The number of frames of no episode of each file, from `FreeFrames.of`.
        length: The number of frames of the episode.
    """
    return {path: count for path, count in free.items() if count >= max(length, 1) or count == _UNKNOWN_FRAMES}


def readings_of(free: dict[str, int]) -> tuple[str, ...]:
    """Return the explanations that the frames of an episode are in one of these files, at most four."""
    return tuple(
        f"its frames are in {path}, which "
        + ("is damaged" if count == _UNKNOWN_FRAMES else f"has {counted(count, 'frame')} of no episode")
        for path, count in free.items()
    )[:_MOST_READINGS]

"""Correct the video chunk_index and file_index of an episode if they are missing, or belong to no file or to a wrong file."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.examined_videos import ExaminedVideo, examine_video
from episeek_pipelines.repair.file_order import FileOrder
from episeek_pipelines.repair.free_frames import FreeFrames, readings_of, with_enough
from episeek_pipelines.repair.values import Outcome, Refusal, Repair
from episeek_schemas import lerobot

_NUMBERS = ("chunk_index", "file_index")
_MOST_TROUBLED = 4
"""Greatest number of files with wrong episodes that a refusal lists."""


def repair_video_pointers(draft: Draft, examined: Sequence[ExaminedVideo], free: FreeFrames) -> Iterator[Outcome]:
    """Set the video file of episodes without a file, or in a file that has no frame for them, to the file that has their frames.

    The file has to have exactly as many frames as its episodes and these episodes together. Every other file of the camera has to
    have too few frames for them besides the frames of its own episodes. The files of the other episodes have to be in the order of
    the episodes.

    - An episode that declares no file is in the file of a neighbouring episode. If the order leaves several files, the episode's
      seconds have to be the times of these frames. If it would be the first one of the file, no file may be missing before it.
    - An episode that declares a missing file is in the file of a neighbouring episode only if the missing file has no place in the
      order, and if the seconds of the episode are the times of these frames, after those of other episodes. Seconds from 0 fit any
      file.
    - An episode that declares an existing file may be in any file from that of the episode before to that of the episode after. In
      both files, the declared one without the episode and the other one with it, the order, the lengths and the seconds of all
      episodes have to agree exactly with the frames.

    Args:
        draft: The dataset.
        examined: The video files that episodes declare.
        free: The frames of no episode.
    """
    if not draft.has_all_episodes or draft.evidence.info.video_path is None:
        return
    for camera in draft.evidence.info.video_keys:
        found = _Homeless.of(draft, camera, examined, free)
        if found.rows and free.files(camera):
            yield from _repair_camera(draft, camera, found, free)


@dataclass(frozen=True, slots=True, eq=False)
class _Homeless:
    """The episodes of one camera whose declared file is missing, or may not have their frames, as rows of meta/episodes."""

    lost: frozenset[int]
    """The episodes whose numbers belong to no file."""
    absent: frozenset[int]
    """The episodes whose declared file has exactly the frames of its other episodes."""
    contested: frozenset[int]
    """The episodes whose frames in the declared file are those of another episode as well."""
    sources: frozenset[str]
    """The declared files of the absent and the contested episodes. They have frames for no other episode."""
    exact: frozenset[str]
    """The files that have exactly the frames of their episodes."""

    @property
    def rows(self) -> frozenset[int]:
        """All of these episodes."""
        return self.lost | self.absent | self.contested

    @classmethod
    def of(cls, draft: Draft, camera: str, examined: Sequence[ExaminedVideo], free: FreeFrames) -> "_Homeless":
        """Return these episodes of a camera."""
        existing = frozenset(free.files(camera))
        lost = [row for row, path in enumerate(free.declared(camera)) if path not in existing]
        members = [each for each in examined if each.camera == camera]
        absent = [each.rows[place] for each in members for place in each.seconds.absent]
        contested = [each.rows[place] for each in members for place in each.seconds.contested]
        sources = [each.path for each in members if each.seconds.absent or each.seconds.contested]
        exact = [each.path for each in members if each.seconds.is_exact]
        rows = frozenset(lost), frozenset(absent), frozenset(contested)
        return cls(*rows, frozenset(sources), frozenset(exact))


def _repair_camera(draft: Draft, camera: str, homeless: _Homeless, free: FreeFrames) -> Iterator[Outcome]:
    """Set the files of these episodes as long as some are proved, since these leave fewer frames of no episode for the others."""
    while True:
        problem = _Problem(draft, camera, homeless, free)
        proved = problem.proved()
        for row, (path, proof) in proved.items():
            for name, number in zip(_columns(camera), draft.evidence.info.video_file_numbers(path) or (), strict=True):
                if draft.values(name)[row] != number:
                    before = draft.raw(name, row)
                    draft.set(name, row, number)
                    yield Repair(registry.VIDEO_POINTERS.code, draft.place(row, name, camera), before, number, proof)
        if not proved:
            break
        homeless = problem.without(proved)
    for row in sorted(homeless.rows):
        yield problem.refusal(row)


class _Problem:
    """The files that may have the frames of the homeless episodes of one camera."""

    def __init__(self, draft: Draft, camera: str, homeless: _Homeless, free: FreeFrames) -> None:
        self._draft, self._camera, self._homeless = draft, camera, homeless
        self._length = draft.values(lerobot.LENGTH)
        self._declared = free.declared(camera)
        self._places = FileOrder(
            draft.evidence.info, self._declared, homeless=homeless.rows, contested=homeless.contested
        )
        counts = free.of(camera, without=homeless.rows)
        self._counts = {path: 0 if path in homeless.sources else count for path, count in counts.items()}
        self._candidates = {row: with_enough(self._counts, int(self._length[row])) for row in sorted(homeless.rows)}
        self._home = {row: next(iter(found)) for row, found in self._candidates.items() if len(found) == 1}
        for row in homeless.contested:
            # Of several episodes with the same frames, only those may leave the file that have another place.
            if row in self._home and not self._is_ordered(row, self._home[row]):
                del self._home[row]
        self._members: dict[str, list[int]] = {}
        for row, path in self._home.items():
            self._members.setdefault(path, []).append(row)

    def proved(self) -> dict[int, tuple[str, str]]:
        """Return the new file and the proof for each episode whose file is proved."""
        homeless = self._homeless
        # Every length decides how many frames of a file belong to no episode.
        is_countable = bool((self._length > 0).all() and self._draft.proved.all())
        full = {
            path
            for path, rows in self._members.items()
            if is_countable and self._counts[path] == int(self._length[rows].sum())
        }
        moved = {row for row, path in self._home.items() if path in full}
        kept: dict[str | None, list[int]] = {}
        for row, path in enumerate(self._declared):
            if row not in homeless.rows or (row in homeless.contested and row not in moved):
                kept.setdefault(path, []).append(row)
        exact = {path for path in full if self._is_exact(path, kept.get(path, []) + self._members[path])}
        exact |= {path for path in homeless.sources if self._is_exact(path, kept.get(path, []))}
        found: dict[int, tuple[str, str]] = {}
        for row in sorted(moved):
            path, old = self._home[row], self._declared[row]
            count = f"{self._counts[path]}, exactly the frames of {_named(self._members[path])}"
            if row in homeless.lost:
                if self._is_only_place(row, path, kept.get(path, []), is_exact=path in exact):
                    found[row] = (
                        path,
                        (
                            f"{path} contains a neighbouring episode, and is the only file of the camera with enough frames of no "
                            f"episode: {count}"
                        ),
                    )
            elif path in exact and old in exact and self._is_ordered(row, path):
                found[row] = (
                    path,
                    (
                        f"other episodes have all frames of {old}; {path} is the only file of the camera with enough frames of no "
                        f"episode: {count}, at their seconds and between their neighbours"
                    ),
                )
        return found

    def _is_ordered(self, row: int, path: str) -> bool:
        """Return whether the files are in the order of the episodes, and a file has a place in it for an episode."""
        return self._places.is_evidence(row) and self._places.is_between(row, path)

    def _has_seconds(self, row: int) -> bool:
        names = (lerobot.video_column(self._camera, name) for name in ("from_timestamp", "to_timestamp"))
        return all(isfinite(self._draft.values(name)[row]) for name in names)

    def _is_later(self, row: int, path: str, others: list[int]) -> bool:
        """Return whether another episode of a file is before this one, and before all that declare the same missing file.

        A missing file that also has a place in the order for one of them may have existed.
        """
        old = self._declared[row]
        rows = [row] if old is None else [each for each in self._homeless.lost if self._declared[each] == old]
        if old is not None and any(self._places.is_between(each, old) for each in rows):
            return False
        return set(rows) <= set(self._members[path]) and bool(others) and min(others) < min(rows)

    def _is_only_place(self, row: int, path: str, others: list[int], *, is_exact: bool) -> bool:
        """Return whether an episode without an existing file can only be in a file.

        Args:
            row: The episode.
            path: The file.
            others: The episodes that are in the file already.
            is_exact: Whether all episodes of the file, with this one, agree exactly with its frames.
        """
        if path not in self._places.near(row) or not self._places.is_evidence(row):
            return False
        is_null = self._declared[row] is None
        if is_null and self._places.has_one_place(row, path):
            return True
        if not (is_exact and self._has_seconds(row)):
            return False
        return self._is_later(row, path, others) or (is_null and self._places.follows(row, path))

    def without(self, proved: Collection[int]) -> _Homeless:
        """Return the homeless episodes that remain after the files of some were set.

        The other episodes with the same frames as one of them keep their file.
        """
        left = {self._declared[row] for row in proved if row in self._homeless.contested}
        settled = {row for row in self._homeless.contested if self._declared[row] in left}
        lost, absent, contested = (
            each - settled - frozenset(proved)
            for each in (self._homeless.lost, self._homeless.absent, self._homeless.contested)
        )
        exact = self._homeless.exact | {self._home[row] for row in proved}
        return _Homeless(lost, absent, contested, self._homeless.sources, exact)

    def refusal(self, row: int) -> Refusal:
        """Return the refusal of an episode whose file is not proved."""
        names = _columns(self._camera)
        found = "chunk_index {} and file_index {}".format(*(self._draft.raw(name, row) for name in names))
        readings = readings_of(self._candidates[row])
        declared = self._declared[row]
        near = self._places.near(row)
        lost = "its frames are lost"
        if row in self._homeless.lost:
            found += ", which belong to no file"
            lost = "its video is missing" if declared is None else f"its video {declared} is missing"
        elif row in self._homeless.absent:
            found += f", although other episodes have all frames of {declared}"
            near = (*near, str(declared))
            troubled = self._counts.keys() - {*self._candidates[row], *self._homeless.exact, declared}
            readings += tuple(
                f"its frames are in {path}, and lengths or files of other episodes there are wrong"
                for path in sorted(troubled)
                if not self._places.is_evidence(row) or self._places.is_between(row, path)
            )[:_MOST_TROUBLED]
        else:
            found += f", and frames of {declared} that another episode needs as well"
            readings = (f"its frames are in {declared}, and the other episode is in another file", *readings)
        readings = readings or tuple(
            f"its frames are in {path}, and lengths of the episodes there are wrong" for path in dict.fromkeys(near)
        )
        place = self._draft.place(row, names[1], self._camera)
        return Refusal(registry.VIDEO_POINTERS.code, place, found, (*readings, lost))

    def _is_exact(self, path: str, rows: list[int]) -> bool:
        """Return whether the order, the lengths and the seconds of some episodes agree exactly with the frames of a file."""
        video = examine_video(self._draft, self._camera, path, sorted(rows)) if rows else None
        return video is not None and video.seconds.is_exact


def _columns(camera: str) -> tuple[str, ...]:
    return tuple(lerobot.video_column(camera, name) for name in _NUMBERS)


def _named(rows: list[int]) -> str:
    """Return the numbers of episodes as words, such as `episodes 3, 4`."""
    numbers = ", ".join(str(row) for row in rows)
    return f"episode {numbers}" if len(rows) == 1 else f"episodes {numbers}"

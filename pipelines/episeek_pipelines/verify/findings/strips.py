"""Strips of pictures: the frames that show a finding, chosen where it is found, and their pictures, made for the report page.

A rule that reads pictures or frame counts knows which frames a reader wants to see. It gives their numbers alone. Pictures are
made at the end, at the level `decode`, for a few findings of each rule: see `episeek_pipelines.verify.strips`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MOST_FRAMES: Final = 7
"""Frames of a strip at most."""

MOST_STRIPS: Final = 8
"""Strips with pictures of one rule at most, in a report and on a page."""

_BEFORE: Final = 2
"""Frames before the place in question."""


@dataclass(frozen=True, slots=True)
class StripPicture:
    """The picture of a frame, small, with what its caption says."""

    episode_index: int | None
    """The episode that the frame belongs to; None if it belongs to none."""
    frame: int
    """Number of the frame within the episode; within the file if it belongs to none."""
    seconds: float
    """After the first frame of the episode; after the start of the file if it belongs to none."""
    is_marked: bool
    """Whether the finding is about this frame."""
    jpeg: bytes = b""
    """Empty where the frame does not decode."""
    width: int = 0
    """Pixels, as `height`."""
    height: int = 0
    is_damaged: bool = False
    """Whether the decoder marks the picture as damaged."""

    @property
    def place(self) -> str:
        """Return the frame in words."""
        owner = "of no episode" if self.episode_index is None else f"of episode {self.episode_index}"
        where = "file frame" if self.episode_index is None else "frame"
        return f"{where} {self.frame} {owner}, at {self.seconds:.3f} s"

    @property
    def condition(self) -> str:
        """Return what is wrong with the picture itself, in words; empty for a picture that decodes."""
        return "not decoded" if not self.jpeg else "marked as damaged" if self.is_damaged else ""


@dataclass(frozen=True, slots=True)
class Strip:
    """Frames that show a finding; they count within the file, in presentation order."""

    frames: tuple[int, ...]
    """Ascending, `MOST_FRAMES` at most."""
    marked: frozenset[int] = frozenset()
    """Those that the finding is about."""
    start: int | None = None
    """The frame from which they are decoded, as where the finding was made; None: from a sync sample close by."""
    is_compared: bool = False
    """Whether the finding is that decoding from further ahead gives other pictures."""
    pictures: tuple[StripPicture, ...] = ()
    """One for each of `frames`; empty until they are made."""
    references: tuple[StripPicture, ...] = ()
    """The pictures of the same frames that decoding from further ahead gives; empty where nothing is compared."""


@dataclass(frozen=True, slots=True)
class StripRange:
    """Frames `[first, stop)` of a file, of which strips show some. The arguments of the methods count from `first`."""

    first: int
    stop: int

    def around(
        self,
        frame: int,
        marked: Iterable[int] | None = None,
        *,
        start: int | None = None,
        is_compared: bool = False,
    ) -> Strip:
        """Return neighbouring frames: two before a frame, the frame, and those after it.

        Args:
            frame: The frame in question.
            marked: The frames that the finding is about; None for `frame` alone.
            start: The frame to decode from.
            is_compared: Whether decoding from further ahead gives other pictures, to be shown, too.
        """
        begin = self.first + frame - _BEFORE
        begin = max(min(begin, self.stop - MOST_FRAMES), self.first)
        return self._strip(
            range(begin, begin + MOST_FRAMES), (frame,) if marked is None else marked, start, is_compared=is_compared
        )

    def around_run(self, start: int, stop: int) -> Strip:
        """Return frames of the run `[start, stop)`, its ends among them, and those before and after it; the run is marked."""
        begin, last = self.first + start, self.first + stop - 1
        inner = [begin + (last - begin) * part // 3 for part in range(4)]
        return self._strip([begin - 1, *inner, last + 1, last + 2], range(start, stop), None)

    def spread(self) -> Strip:
        """Return frames at equal distances, from the first to the last one; all are marked."""
        steps, last = MOST_FRAMES - 1, self.stop - 1 - self.first
        shown = [last * part // steps for part in range(MOST_FRAMES)]
        return self._strip([self.first + frame for frame in shown], shown, None)

    def places(self, one: int, other: int) -> Strip:
        """Return the frames at two places; those of the first one are marked."""
        shown = [*range(one - 1, one + 2), *range(other - 1, other + 3)]
        return self._strip([self.first + frame for frame in shown], (one,), None)

    def _strip(
        self, frames: Iterable[int], marked: Iterable[int], start: int | None, *, is_compared: bool = False
    ) -> Strip:
        shown = tuple(sorted({frame for frame in frames if self.first <= frame < self.stop}))
        of_file = {self.first + frame for frame in marked}
        return Strip(
            shown[:MOST_FRAMES],
            frozenset(frame for frame in shown[:MOST_FRAMES] if frame in of_file),
            None if start is None else self.first + start,
            is_compared,
        )

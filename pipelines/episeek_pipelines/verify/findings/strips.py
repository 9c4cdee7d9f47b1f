"""Strips of up to seven frames of a video, which illustrate a finding on the report page.

A rule chooses the frames of its findings, since only the rule knows which frames a person wants to see. A strip stores the numbers
of these frames. At the end of a verification at the level `decode`, `episeek_pipelines.verify.strips` makes the pictures for a few
findings of each rule.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MOST_FRAMES: Final = 7
"""Largest number of frames in a strip."""

MOST_STRIPS: Final = 8
"""Largest number of findings of one rule that get strips with pictures."""

_BEFORE: Final = 2
"""Number of frames that a strip shows before the frame that the finding is about."""


@dataclass(frozen=True, slots=True)
class StripPicture:
    """The small picture of one frame, with the data for its caption."""

    episode_index: int | None
    """The episode that contains the frame; None if no episode contains it."""
    frame: int
    """Number of the frame, counted from 0 within the episode, or within the file if no episode contains the frame."""
    seconds: float
    """Seconds since the first frame of the episode, or since the start of the file if no episode contains the frame."""
    is_marked: bool
    """Whether the finding is about this frame."""
    jpeg: bytes = b""
    """The picture as a JPEG file; empty if the frame does not decode."""
    width: int = 0
    """Width in pixels."""
    height: int = 0
    """Height in pixels."""
    is_damaged: bool = False
    """Whether the decoder marks the picture as damaged."""

    @property
    def place(self) -> str:
        """Return a text with the number of the frame, its episode and its time."""
        owner = "of no episode" if self.episode_index is None else f"of episode {self.episode_index}"
        where = "file frame" if self.episode_index is None else "frame"
        return f"{where} {self.frame} {owner}, at {self.seconds:.3f} s"

    @property
    def condition(self) -> str:
        """Return a text that says whether the picture is missing or damaged; empty for a picture without damage."""
        return "not decoded" if not self.jpeg else "marked as damaged" if self.is_damaged else ""


@dataclass(frozen=True, slots=True)
class Strip:
    """The frames that illustrate a finding. Frame numbers count from 0 within the file, in presentation order."""

    frames: tuple[int, ...]
    """Numbers of the frames to show, ascending, at most `MOST_FRAMES`."""
    marked: frozenset[int] = frozenset()
    """Numbers of the shown frames that the finding is about."""
    start: int | None = None
    """Number of the frame at which the rule started decoding, so that the pictures are decoded from there; None for the nearest
    sync sample before the strip.
    """
    is_compared: bool = False
    """Whether the finding says that decoding from an earlier sync sample gives different pictures."""
    pictures: tuple[StripPicture, ...] = ()
    """One picture for each of `frames`; empty until the pictures are made."""
    references: tuple[StripPicture, ...] = ()
    """The pictures of the same frames, decoded from an earlier sync sample; empty unless `is_compared`."""


@dataclass(frozen=True, slots=True)
class StripRange:
    """The frames `[first, stop)` of a file, with methods that choose some of these frames for a strip.

    The methods take frame numbers that count from `first`. The frame numbers in a `Strip` count from the start of the file.
    """

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
        """Return a strip of neighbouring frames: two frames before `frame`, the frame itself, and four frames after it.

        Near an end of the range, the strip is shifted, so that all of its frames are in the range.

        Args:
            frame: The frame that the strip is about.
            marked: All frames that the finding is about; None for `frame` alone.
            start: The frame at which decoding starts; None for the sync sample before the strip.
            is_compared: Whether the strip also shows the pictures that decoding from an earlier sync sample gives.
        """
        begin = self.first + frame - _BEFORE
        begin = max(min(begin, self.stop - MOST_FRAMES), self.first)
        return self._strip(
            range(begin, begin + MOST_FRAMES), (frame,) if marked is None else marked, start, is_compared=is_compared
        )

    def around_run(self, start: int, stop: int) -> Strip:
        """Return a strip of a run of frames `[start, stop)`, with one frame before the run and two frames after it.

        The strip shows the first frame and the last frame of the run, and two frames in between. These frames are marked.
        """
        begin, last = self.first + start, self.first + stop - 1
        inner = [begin + (last - begin) * part // 3 for part in range(4)]
        return self._strip([begin - 1, *inner, last + 1, last + 2], range(start, stop), None)

    def spread(self) -> Strip:
        """Return a strip of frames at equal distances, from the first to the last frame of the range. All frames are marked."""
        steps, last = MOST_FRAMES - 1, self.stop - 1 - self.first
        shown = [last * part // steps for part in range(MOST_FRAMES)]
        return self._strip([self.first + frame for frame in shown], shown, None)

    def places(self, one: int, other: int) -> Strip:
        """Return a strip of three frames around the frame `one`, which is marked, and four frames around the frame `other`."""
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

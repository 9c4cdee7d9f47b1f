"""Divide videos into fetch units: byte ranges that are fetched and cached as a whole, because the job soon needs all their frames.

The best unit depends on the order of the epoch. In episode order, all frames of an episode are needed within a short part of the
epoch. In clump order, all frames of a clump (about one second of consecutive frames) are needed within a short part of the epoch.
In global order, the frames next to a frame may be needed at any later time.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from episeek.clip import Clip
from episeek.episode_samples import EpisodeSamples
from episeek.stores.byte_source import ByteRange
from episeek.stores.requests.range_plan import DEFAULT_GAP_BYTES

UnitKind = Literal["window", "clump", "episode"]
UNIT_KINDS: Final[tuple[UnitKind, ...]] = get_args(UnitKind)

UNIT_OF_ORDER: Final[dict[str, UnitKind]] = {
    # Units for single frames would make many small cache entries, which contain most bytes several times.
    "global": "clump",
    "clump": "clump",
    "episode": "episode",
    "sequential": "episode",
}
"""The kind of fetch unit for each order, if the cache has space for all frames that the order mixes with each other."""

MAX_UNIT_BYTES: Final = 1 << 23
"""Largest size, in bytes, of a unit of the kind "episode". A larger episode is split into several units, which are fetched in
parallel and need less memory each.
"""


@dataclass(frozen=True, slots=True)
class FetchUnits:
    """A way to divide the video of an episode into fetch units.

    The kind "window" fetches only the byte range that the wanted frames need. The kind "clump" fetches whole clumps, which are runs
    of `clump_frames` consecutive frames. The kind "episode" fetches the whole episode, or the parts with the wanted frames if the
    episode is large.
    """

    kind: UnitKind
    clump_frames: int = 1
    """Number of frames of a clump. The first clump begins at the start of the episode, as in `ClumpOrder`."""

    @property
    def max_gap_bytes(self) -> int:
        """Largest gap, in bytes, between two units of a file that share a request."""
        # The bytes between two clumps or parts of an episode belong to other units, which are fetched separately.
        return DEFAULT_GAP_BYTES if self.kind == "window" else 0

    def of(self, samples: EpisodeSamples, clip: Clip) -> tuple[ByteRange, ...]:
        """Return the byte ranges of the units that together contain all bytes needed to decode some frames.

        Args:
            samples: The samples of the frames' episode.
            clip: The wanted frames.
        """
        start, stop = clip.byte_range
        if self.kind == "episode":
            first, end = samples.span.mdat_offset, samples.span.mdat_offset + samples.span.mdat_length
            numbers = range((start - first) // MAX_UNIT_BYTES, -(-(stop - first) // MAX_UNIT_BYTES))
            cuts = [first + number * MAX_UNIT_BYTES for number in numbers]
            return tuple((cut, min(cut + MAX_UNIT_BYTES, end)) for cut in cuts)
        if self.kind == "clump":
            clumps = range(clip.start // self.clump_frames, (clip.stop - 1) // self.clump_frames + 1)
            units = tuple(self._clump(samples, number) for number in clumps)
            if _hold(units, clip.byte_range):
                return units
        return (clip.byte_range,)

    def _clump(self, samples: EpisodeSamples, number: int) -> ByteRange:
        start = number * self.clump_frames
        return samples.byte_range(samples.window(start, min(start + self.clump_frames, samples.frame_count)))


WINDOWS: Final = FetchUnits("window")


def _hold(units: tuple[ByteRange, ...], wanted: ByteRange) -> bool:
    """Return whether the byte ranges `units` together contain all bytes of the byte range `wanted`."""
    position, stop = wanted
    for unit_start, unit_stop in sorted(units):
        if unit_start > position:
            break
        position = max(position, unit_stop)
    return position >= stop

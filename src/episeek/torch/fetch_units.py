"""Fetch units of a training job: what is fetched and kept as a whole, because the frames in it are wanted soon.

Which unit is right depends on the order of the epoch: in episode order, all frames of an episode are wanted within a short part
of the epoch, and in clump order those of a clump. In global order, nothing near a frame is wanted soon.
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
    # single frames would be many small entries, which hold most bytes several times
    "global": "clump",
    "clump": "clump",
    "episode": "episode",
    "sequential": "episode",
}
"""The kind of units that suits an order where all frames that are mixed with each other can be kept."""

MAX_UNIT_BYTES: Final = 1 << 23
"""Longer episodes are several units, so that their requests share the work and none holds much memory."""


@dataclass(frozen=True, slots=True)
class FetchUnits:
    """A kind of units: "window" for the range of the wanted frames alone, "clump", or "episode"."""

    kind: UnitKind
    clump_frames: int = 1
    """Frames of a clump, which are counted from the start of the episode, as the orders count them."""

    @property
    def max_gap_bytes(self) -> int:
        """Units of a file with at most this many bytes between them share a request."""
        # what lies between larger units is a unit too, which is fetched for itself
        return DEFAULT_GAP_BYTES if self.kind == "window" else 0

    def of(self, samples: EpisodeSamples, clip: Clip) -> tuple[ByteRange, ...]:
        """Return the units that hold all bytes of a clip together, as ranges of its file.

        Args:
            samples: The samples of the clip's episode.
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
    """Return whether ranges hold all bytes of another one together."""
    position, stop = wanted
    for unit_start, unit_stop in sorted(units):
        if unit_start > position:
            break
        position = max(position, unit_stop)
    return position >= stop

"""Whole fragmented files: an init segment and one fragment after the other."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.features.encoding import Elementary, encode
from tests.features.fragments import Run, TrackDefaults, TrackFragment, fragment, init_segment
from tests.features.muxer import Track, track_of
from tests.features.sources import H264, H264_B, RATE_1
from tests.support.mp4_boxes import box, elst

STYP = box(b"styp", b"msdh", bytes(4), b"msdhmsix")
Parts = Callable[[int, int, int], Sequence[TrackFragment]]
"""Of the first sample, the one behind the last, and the place of the moof: the trafs of a fragment."""


def fragmented(
    parts: Parts,
    *,
    source: Elementary | None = None,
    tracks: Sequence[Track] = (),
    defaults: Sequence[TrackDefaults] = (),
    steps: Sequence[int] = (8, 8, 8),
    after_init: bytes = b"",
    movie_duration: int | None = None,
    gap: bytes = b"",
    between: bytes = b"",
) -> bytes:
    """An init segment and a fragment for each step, which is a number of samples in decode order."""
    source = source or encode(H264)
    file = init_segment(*(tracks or [track_of(source)]), defaults=defaults, movie_duration=movie_duration) + after_init
    first = 0
    for number, count in enumerate(steps):
        trafs = parts(first, first + count, len(file))
        file += fragment(len(file), *trafs, sequence=number + 1, gap=gap, between=between)
        first += count
    return file


def runs_of(source: Elementary, *, run: Run | None = None, traf: TrackFragment | None = None) -> Parts:
    """One traf with one trun for each fragment, made like the given ones."""
    run = run or Run(samples=())
    traf = traf or TrackFragment(runs=())

    def parts(first: int, stop: int, position: int) -> Sequence[TrackFragment]:
        samples = source.samples[first:stop]
        time = None if traf.decode_time is None else samples[0].dts
        return [replace(traf, runs=[replace(run, samples=samples)], decode_time=time)]

    return parts


def b_frames() -> tuple[Elementary, Track]:
    """H.264 with B-frames, and its track with an edit list for the delay, of duration 0 as fragmented files have it."""
    source = encode(H264_B)
    return source, track_of(source, edits=elst([(0, source.delay, RATE_1)]))

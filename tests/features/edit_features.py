"""Edit lists: what of the media is presented, and when. An edit is (movie ticks, media time, rate)."""

from tests.features.encoding import FRAME_TICKS, encode
from tests.features.muxer import mux
from tests.features.registry import Registry
from tests.features.sources import H264, H264_B, RATE_1, edit_of, h264, h264_b
from tests.support.mp4_boxes import elst

registry = Registry()
DELAY = 1024
"""Composition time of the first frame of `H264_B`, in ticks of 1/15360 s; an edit lasts movie ticks of 1 ms."""


def with_edits(*edits: tuple[int, int, int], version: int = 0) -> bytes:
    """`H264_B` with an edit list."""
    return mux(h264_b(edits=elst(edits, version)))


def at(frame: int) -> int:
    """The media time at which a frame of `H264_B` starts."""
    return DELAY + FRAME_TICKS * frame


@registry.identical("edit_delay.mp4", "an empty edit first: the presentation starts late")
def edit_delay() -> bytes:
    return with_edits((250, -1, RATE_1), (800, at(0), RATE_1))


@registry.identical("edit_two_delays.mp4", "two empty edits first")
def edit_two_delays() -> bytes:
    return with_edits((100, -1, RATE_1), (33, -1, RATE_1), (800, at(0), RATE_1))


@registry.identical("edit_cuts_start.mp4", "the edit starts at frame 5, which is no keyframe", range(5, 24))
def edit_cuts_start() -> bytes:
    return mux(h264_b(edits=edit_of(encode(H264_B), start=5)))


@registry.identical("edit_starts_on_b_frame.mp4", "the edit starts at a B-frame", range(10, 24))
def edit_starts_on_b_frame() -> bytes:
    return mux(h264_b(edits=edit_of(encode(H264_B), start=10)))


@registry.identical("edit_starts_on_keyframe.mp4", "the edit starts at the second keyframe", range(8, 24))
def edit_starts_on_keyframe() -> bytes:
    return mux(h264_b(edits=edit_of(encode(H264_B), start=8)))


@registry.identical("edit_cuts_end.mp4", "the edit ends before frame 18", range(18))
def edit_cuts_end() -> bytes:
    return mux(h264_b(edits=edit_of(encode(H264_B), stop=18)))


@registry.identical("edit_cuts_both.mp4", "the edit shows frames 3 to 20", range(3, 21))
def edit_cuts_both() -> bytes:
    return mux(h264_b(edits=edit_of(encode(H264_B), start=3, stop=21)))


@registry.identical("edit_cuts_start_no_b.mp4", "the edit starts at frame 5 of a stream without B-frames", range(5, 24))
def edit_cuts_start_no_b() -> bytes:
    return mux(h264(edits=edit_of(encode(H264), start=5)))


@registry.identical(
    "edit_starts_in_frame.mp4", "the edit starts in the middle of frame 5, which FFmpeg drops", range(6, 24)
)
def edit_starts_in_frame() -> bytes:
    return with_edits((617, at(5) + FRAME_TICKS // 2, RATE_1))


@registry.identical("edit_ends_in_frame.mp4", "the edit ends in the middle of frame 17, which is shown", range(18))
def edit_ends_in_frame() -> bytes:
    return with_edits((583, at(0), RATE_1))


@registry.identical("edit_of_64_bits.mp4", "elst version 1")
def edit_of_64_bits() -> bytes:
    return with_edits((800, at(0), RATE_1), version=1)


@registry.identical("edit_delay_64_bits.mp4", "elst version 1 with an empty edit")
def edit_delay_64_bits() -> bytes:
    return with_edits((250, -1, RATE_1), (800, at(0), RATE_1), version=1)


@registry.identical("edit_list_without_edits.mp4", "an edit list with no entry")
def edit_list_without_edits() -> bytes:
    return with_edits()


@registry.identical("edit_at_zero.mp4", "an edit of media time 0 although the first frame comes later")
def edit_at_zero() -> bytes:
    return with_edits((867, 0, RATE_1))


@registry.identical("edit_longer_than_media.mp4", "an edit that lasts longer than the media")
def edit_longer_than_media() -> bytes:
    return with_edits((5000, at(0), RATE_1))


@registry.identical("edits_contiguous.mp4", "two edits that follow each other in the media: one run")
def edits_contiguous() -> bytes:
    return mux(h264(edits=elst([(500, 0, RATE_1), (300, 15 * FRAME_TICKS, RATE_1)])))


@registry.identical("edits_contiguous_cut.mp4", "three edits that are one run, which starts at frame 3", range(3, 24))
def edits_contiguous_cut() -> bytes:
    edits = [(100, 3 * FRAME_TICKS, RATE_1), (100, 6 * FRAME_TICKS, RATE_1), (500, 9 * FRAME_TICKS, RATE_1)]
    return mux(h264(edits=elst(edits)))


@registry.refused(
    "edits_contiguous_reordered.mp4",
    "two edits that follow each other where frames are reordered: FFmpeg moves the frames around the seam",
    "EditListError",
)
def edits_contiguous_reordered() -> bytes:
    return with_edits((100, at(0), RATE_1), (700, at(3), RATE_1))


@registry.refused(
    "edit_empty_last.mp4", "an empty edit behind the media: FFmpeg shows 13 frames a second time", "EditListError"
)
def edit_empty_last() -> bytes:
    return with_edits((800, at(0), RATE_1), (500, -1, RATE_1))


@registry.refused(
    "edit_without_duration.mp4", "an edit of duration 0 in a progressive file: FFmpeg shows nothing", "EditListError"
)
def edit_without_duration() -> bytes:
    return with_edits((0, at(0), RATE_1))


@registry.refused(
    "edits_overlap.mp4",
    "the first of two edits ends 5 ticks behind the start of the second: a frame twice",
    "EditListError",
)
def edits_overlap() -> bytes:
    return with_edits((167, at(0), RATE_1), (633, at(5), RATE_1))


@registry.refused(
    "edits_rounded.mp4",
    "the first of two edits ends 5 ticks before the start of the second: times shift",
    "EditListError",
)
def edits_rounded() -> bytes:
    return with_edits((133, at(0), RATE_1), (667, at(4), RATE_1))


@registry.refused(
    "edit_behind_the_end.mp4", "an edit that starts behind the last frame: nothing is shown", "EditListError"
)
def edit_behind_the_end() -> bytes:
    return with_edits((800, at(500), RATE_1))


@registry.refused("edit_of_nothing.mp4", "an empty edit alone: nothing is shown", "EditListError")
def edit_of_nothing() -> bytes:
    return with_edits((800, -1, RATE_1))


@registry.refused("edits_with_gap.mp4", "two edits that leave frames out between them", "EditListError")
def edits_with_gap() -> bytes:
    return with_edits((300, at(0), RATE_1), (300, at(15), RATE_1))


@registry.refused("edits_repeat.mp4", "two edits that show the same frames", "EditListError")
def edits_repeat() -> bytes:
    return with_edits((500, at(0), RATE_1), (500, at(0), RATE_1))


@registry.refused("edits_backwards.mp4", "two edits in the wrong order", "EditListError")
def edits_backwards() -> bytes:
    return with_edits((300, at(15), RATE_1), (500, at(0), RATE_1))


@registry.refused("edit_empty_between.mp4", "an empty edit between two runs: a pause", "EditListError")
def edit_empty_between() -> bytes:
    return with_edits((500, at(0), RATE_1), (200, -1, RATE_1), (300, at(15), RATE_1))


@registry.refused("edit_double_rate.mp4", "an edit of rate 2", "EditListError")
def edit_double_rate() -> bytes:
    return with_edits((400, at(0), 2 * RATE_1))


@registry.identical("edit_dwells.mp4", "an edit of rate 0, which decoders take for rate 1", range(4, 19))
def edit_dwells() -> bytes:
    return with_edits((500, at(4), 0))

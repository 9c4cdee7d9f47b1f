"""What fragmented files say of each sample: times, sizes, flags, and defaults for them (ISO/IEC 14496-12, clause 8.8)."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from tests.features.encoding import FRAME_TICKS, encode
from tests.features.fragmented_file import b_frames, fragmented, runs_of
from tests.features.fragments import NOT_SYNC, SYNC, Run, TrackDefaults, TrackFragment
from tests.features.muxer import track_of
from tests.features.registry import Registry
from tests.features.sources import H264, H264_B, H264_INTRA, HEVC_OPEN, RATE_1, same_size, shifted
from tests.support.mp4_boxes import elst

registry = Registry()
LATER = [Fraction(frame + 30 * (frame >= 16), 30) for frame in range(24)]


@registry.identical("fragments_whole_edit.mp4", "fragments, and an edit whose duration is given")
def fragments_whole_edit() -> bytes:
    source, _ = b_frames()
    track = track_of(source, edits=elst([(800, source.delay, RATE_1)]))
    return fragmented(runs_of(source), source=source, tracks=[track])


@registry.identical(
    "fragments_edit_cut.mp4", "fragments, and an edit that starts at frame 5, of which decoders show all frames"
)
def fragments_edit_cut() -> bytes:
    source, _ = b_frames()
    track = track_of(source, edits=elst([(0, source.delay + 5 * FRAME_TICKS, RATE_1)]))
    return fragmented(runs_of(source), source=source, tracks=[track])


@registry.identical(
    "fragments_edit_ends.mp4", "fragments, and an edit that ends before frame 15, of which decoders show all frames"
)
def fragments_edit_ends() -> bytes:
    source, _ = b_frames()
    track = track_of(source, edits=elst([(500, source.delay, RATE_1)]))
    return fragmented(runs_of(source), source=source, tracks=[track])


@registry.identical(
    "decode_time_gap.mp4", "a second without frames: a tfdt later than the fragment before ended", seconds=LATER
)
def decode_time_gap() -> bytes:
    source = encode(H264)
    samples = [*source.samples[:16], *shifted(source.samples[16:], ticks=30 * FRAME_TICKS)]
    source = replace(source, samples=tuple(samples))
    return fragmented(runs_of(source), source=source)


@registry.identical("fragments_delay.mp4", "fragments behind an empty edit")
def fragments_delay() -> bytes:
    source, _ = b_frames()
    track = track_of(source, edits=elst([(250, -1, RATE_1), (0, source.delay, RATE_1)]))
    return fragmented(runs_of(source), source=source, tracks=[track])


@registry.identical("fragments_without_edit.mp4", "fragments of reordered frames without an edit list")
def fragments_without_edit() -> bytes:
    return fragmented(runs_of(encode(H264_B)), source=encode(H264_B))


@registry.identical(
    "defaults_of_trex.mp4",
    "duration and flags from trex only, sizes in trun; a keyframe in each trun's first_sample_flags",
)
def defaults_of_trex() -> bytes:
    run = Run(samples=(), fields=["size"], first_flags=SYNC)
    defaults = [TrackDefaults(duration=FRAME_TICKS, flags=NOT_SYNC)]
    return fragmented(runs_of(encode(H264), run=run), defaults=defaults)


@registry.identical("defaults_of_tfhd.mp4", "duration and flags from tfhd, which wins over trex")
def defaults_of_tfhd() -> bytes:
    run = Run(samples=(), fields=["size"], first_flags=SYNC)
    traf = TrackFragment(runs=(), defaults=[("duration", FRAME_TICKS), ("flags", NOT_SYNC)])
    defaults = [TrackDefaults(duration=7, size=9, flags=SYNC)]
    return fragmented(runs_of(encode(H264), run=run, traf=traf), defaults=defaults)


@registry.identical("default_size.mp4", "nothing in trun: one sample each, its size in tfhd, the rest in trex")
def default_size() -> bytes:
    source = encode(replace(H264, group=1))

    def parts(first: int, stop: int, position: int) -> Sequence[TrackFragment]:
        sample = source.samples[first]
        return [
            TrackFragment(
                runs=[Run(samples=[sample], fields=())], defaults=[("size", len(sample.data))], decode_time=sample.dts
            )
        ]

    defaults = [TrackDefaults(duration=FRAME_TICKS, flags=SYNC)]
    return fragmented(parts, source=source, defaults=defaults, steps=[1] * 24)


@registry.identical("first_sample_flags.mp4", "first_sample_flags beside default flags that say: no sync sample")
def first_sample_flags() -> bytes:
    run = Run(samples=(), fields=["duration", "size"], first_flags=SYNC)
    traf = TrackFragment(runs=(), defaults=[("flags", NOT_SYNC)])
    return fragmented(runs_of(encode(H264), run=run, traf=traf))


@registry.identical("decode_time_32_bit.mp4", "tfdt version 0")
def decode_time_32_bit() -> bytes:
    return fragmented(runs_of(encode(H264), traf=TrackFragment(runs=(), time_version=0)))


@registry.identical("no_decode_time.mp4", "no tfdt: times go on where the fragment before ended")
def no_decode_time() -> bytes:
    return fragmented(runs_of(encode(H264), traf=TrackFragment(runs=(), decode_time=None)))


@registry.identical("late_decode_time.mp4", "the first tfdt is not 0: a part of a long recording")
def late_decode_time() -> bytes:
    source = encode(H264)
    late = replace(source, samples=shifted(source.samples, ticks=1 << 33))
    return fragmented(runs_of(late), source=late)


@registry.identical("negative_run_offsets.mp4", "trun version 1 with negative offsets")
def negative_run_offsets() -> bytes:
    source = encode(H264_B)
    source = replace(source, samples=shifted(source.samples, offset=-source.delay))
    return fragmented(runs_of(source, run=Run(samples=(), version=1)), source=source)


@registry.identical(
    "negative_run_offsets_quicktime.mp4", "trun version 0 with negative offsets, as QuickTime writes ctts"
)
def negative_run_offsets_quicktime() -> bytes:
    source = encode(H264_B)
    source = replace(source, samples=shifted(source.samples, offset=-source.delay))
    return fragmented(runs_of(source), source=source)


@registry.identical("flags_depend_on.mp4", "sample flags that only say: depends on others")
def flags_depend_on() -> bytes:
    return fragmented(runs_of(encode(H264), run=Run(samples=(), not_sync=0x01000000)))


@registry.identical("flags_not_sync.mp4", "sample flags that only say: no sync sample")
def flags_not_sync() -> bytes:
    return fragmented(runs_of(encode(H264), run=Run(samples=(), not_sync=0x00010000)))


@registry.identical("default_size_of_trex.mp4", "samples of one size, which trex says; nothing in trun")
def default_size_of_trex() -> bytes:
    source = replace(encode(H264_INTRA), samples=same_size(encode(H264_INTRA).samples))
    defaults = [TrackDefaults(duration=FRAME_TICKS, size=len(source.samples[0].data), flags=SYNC)]
    return fragmented(runs_of(source, run=Run(samples=(), fields=())), source=source, defaults=defaults)


@registry.identical("fragments_sync_flags.mp4", "an open GOP's keyframes by their flags in trun; HEVC with B-frames")
def fragments_sync_flags() -> bytes:
    source = encode(HEVC_OPEN)
    track = track_of(source, edits=elst([(0, source.delay, RATE_1)]))
    return fragmented(runs_of(source), source=source, tracks=[track], steps=[5, 8, 8, 3])

"""Where the samples of fragmented files are: bases, runs, tracks (ISO/IEC 14496-12, clause 8.8)."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tests.features.description_features import two_encodes
from tests.features.encoding import FRAME_TICKS, encode, encode_sound
from tests.features.fragmented_file import STYP, b_frames, fragmented, runs_of
from tests.features.fragments import Base, Run, TrackFragment, fragment
from tests.features.muxer import Layout, mux, track_of
from tests.features.registry import Registry
from tests.features.sources import H264, RATE_1
from tests.support.mp4_boxes import box, elst, full_box

registry = Registry()


@registry.identical(
    "fragments.mp4", "one traf, one trun with all fields; default-base-is-moof, tfdt version 1; edit of duration 0"
)
def fragments() -> bytes:
    source, track = b_frames()
    return fragmented(runs_of(source), source=source, tracks=[track])


@registry.identical("absolute_base.mp4", "tfhd with an absolute base-data-offset")
def absolute_base() -> bytes:
    return fragmented(runs_of(encode(H264), traf=TrackFragment(runs=(), base="absolute")))


@registry.identical("implicit_base.mp4", "tfhd without a base: offsets count from the moof")
def implicit_base() -> bytes:
    return fragmented(runs_of(encode(H264), traf=TrackFragment(runs=(), base="implicit")))


@registry.identical("several_runs.mp4", "three truns in each traf")
def several_runs() -> bytes:
    samples = encode(H264).samples

    def parts(first: int, stop: int, position: int) -> Sequence[TrackFragment]:
        bounds = [first, first + 1, first + 5, stop]
        runs = [Run(samples=samples[a:b]) for a, b in pairwise(bounds)]
        return [TrackFragment(runs=runs, decode_time=samples[first].dts)]

    return fragmented(parts)


@registry.by_the_standard(
    "runs_without_offset.mp4",
    "two truns, the second without a data offset: it follows the first",
    ffmpeg="reads it from the start of the moof and fails",
)
def runs_without_offset() -> bytes:
    samples = encode(H264).samples

    def parts(first: int, stop: int, position: int) -> Sequence[TrackFragment]:
        runs = [Run(samples=samples[first : first + 3]), Run(samples=samples[first + 3 : stop], has_data_offset=False)]
        return [TrackFragment(runs=runs, decode_time=samples[first].dts)]

    return fragmented(parts)


@registry.identical("several_trafs_of_a_track.mp4", "two trafs of the same track in each moof")
def several_trafs_of_a_track() -> bytes:
    samples = encode(H264).samples

    def parts(first: int, stop: int, position: int) -> Sequence[TrackFragment]:
        halves = [samples[first : first + 4], samples[first + 4 : stop]]
        return [TrackFragment(runs=[Run(samples=half)], decode_time=half[0].dts) for half in halves]

    return fragmented(parts)


def _with_sound(base: Base, *, sound_first: bool = False) -> bytes:
    video, sound = encode(H264), encode_sound(24)
    order = [sound, video] if sound_first else [video, sound]

    def parts(first: int, stop: int, position: int) -> Sequence[TrackFragment]:
        shares = {id(video): video.samples[first:stop], id(sound): sound.samples[first // 2 : stop // 2 + (stop == 24)]}
        return [
            TrackFragment(
                runs=[Run(samples=shares[id(source)])],
                track=number + 1,
                base=base,
                decode_time=shares[id(source)][0].dts,
            )
            for number, source in enumerate(order)
        ]

    return fragmented(parts, tracks=[track_of(source) for source in order])


@registry.identical("fragments_sound.mp4", "video and sound in each moof, default-base-is-moof")
def fragments_sound() -> bytes:
    return _with_sound("moof")


@registry.identical("fragments_sound_first.mp4", "sound and video in each moof, the sound first, absolute bases")
def fragments_sound_first() -> bytes:
    return _with_sound("absolute", sound_first=True)


@registry.identical(
    "fragments_sound_implicit.mp4",
    "sound and video in each moof without a base: the second counts from the first's end",
)
def fragments_sound_implicit() -> bytes:
    return _with_sound("implicit", sound_first=True)


@registry.identical(
    "fragments_two_videos.mp4", "two video tracks, the second in front in every moof: the first one counts"
)
def fragments_two_videos() -> bytes:
    sources = [encode(H264), encode(replace(H264, first=100))]

    def parts(first: int, stop: int, position: int) -> Sequence[TrackFragment]:
        shares = [source.samples[first:stop] for source in sources]
        return [
            TrackFragment(runs=[Run(samples=shares[number])], track=number + 1, decode_time=shares[number][0].dts)
            for number in (1, 0)
        ]

    return fragmented(parts, tracks=[track_of(source) for source in sources])


@registry.identical("fragments_in_turn.mp4", "fragments of video and of sound in turn")
def fragments_in_turn() -> bytes:
    video, sound = encode(H264), encode_sound(24)

    def parts(first: int, stop: int, position: int) -> Sequence[TrackFragment]:
        if first % 16:
            number, share = 2, sound.samples[first // 4 - 2 :][:4]
        else:
            number, share = 1, video.samples[first // 2 :][:8]
        return [TrackFragment(runs=[Run(samples=share)], track=number, decode_time=share[0].dts)]

    return fragmented(parts, tracks=[track_of(video), track_of(sound)], steps=[8] * 6)


@registry.identical("samples_in_moov.mp4", "the first group in the moov's own tables, the others in fragments")
def samples_in_moov() -> bytes:
    source = encode(H264)
    extends = box(b"mvex", full_box(b"trex", 0, struct.pack(">5I", 1, 1, 0, 0, 0)))
    track = track_of(source, samples=source.samples[:8])
    file = mux(track, layout=Layout(moov_first=True, moov_extra=extends))
    for first in (8, 16):
        samples = source.samples[first : first + 8]
        file += fragment(
            len(file), TrackFragment(runs=[Run(samples=samples)], decode_time=samples[0].dts), sequence=first // 8
        )
    return file


@registry.identical("fragment_to_the_end.mp4", "the last fragment's mdat has size 0: it reaches to the end of the file")
def fragment_to_the_end() -> bytes:
    file = fragmented(runs_of(encode(H264)))
    place = file.rindex(b"mdat") - 4
    return file[:place] + bytes(4) + file[place + 4 :]


@registry.identical("fragment_of_one_frame.mp4", "a fragment for each sample, with B-frames")
def fragment_of_one_frame() -> bytes:
    source, track = b_frames()
    return fragmented(runs_of(source), source=source, tracks=[track], steps=[1] * 24)


@registry.identical("one_fragment.mp4", "all samples in one fragment")
def one_fragment() -> bytes:
    source, track = b_frames()
    return fragmented(runs_of(source), source=source, tracks=[track], steps=[24])


@registry.identical("fragments_split_groups.mp4", "fragments that end within a group: the next starts with no keyframe")
def fragments_split_groups() -> bytes:
    source, track = b_frames()
    return fragmented(runs_of(source), source=source, tracks=[track], steps=[5, 6, 7, 6])


@registry.identical(
    "fragments_movie_duration.mp4", "mehd, boxes between moof and mdat, bytes in mdat that belong to no sample"
)
def fragments_movie_duration() -> bytes:
    return fragmented(
        runs_of(encode(H264)), movie_duration=800, gap=b"not a sample", between=box(b"free", bytes(12)), after_init=STYP
    )


@registry.identical("segment_index.mp4", "sidx in front of the fragments, emsg and prft between them")
def segment_index() -> bytes:
    source = encode(H264)
    plain = fragmented(runs_of(source))
    first = plain.index(b"moof") - 4
    fragments_bytes = plain[first:]
    bounds = [place - 4 for place in _places(fragments_bytes, b"moof")] + [len(fragments_bytes)]
    references = [struct.pack(">III", stop - start, 8 * FRAME_TICKS, 0x90000000) for start, stop in pairwise(bounds)]
    sidx = full_box(b"sidx", 0, struct.pack(">IIII2xH", 1, source.timescale, 0, 0, len(references)), *references)
    return fragmented(runs_of(source), after_init=STYP + sidx)


def _places(data: bytes, word: bytes) -> list[int]:
    return [place for place in range(len(data)) if data.startswith(word, place)]


@registry.identical("random_access_index.mp4", "mfra (tfra, mfro) at the end")
def random_access_index() -> bytes:
    file = fragmented(runs_of(encode(H264)))
    places = [place - 4 for place in _places(file, b"moof")]
    rows = b"".join(
        struct.pack(">IIBBB", 8 * FRAME_TICKS * number, place, 1, 1, 1) for number, place in enumerate(places)
    )
    tfra = full_box(b"tfra", 0, struct.pack(">III", 1, 0, len(places)), rows)
    size = 8 + len(tfra) + 16
    return file + box(b"mfra", tfra, full_box(b"mfro", 0, struct.pack(">I", size)))


@registry.refused(
    "fragments_two_entries.mp4",
    "two sample entries; each fragment says which in tfhd, of which FFmpeg takes no notice",
    "SampleDescriptionError",
)
def fragments_two_entries() -> bytes:
    first, other = two_encodes()
    track = track_of(first, entries=[first.entry, other.entry], edits=elst([(0, first.delay, RATE_1)]))

    def parts(start: int, stop: int, position: int) -> Sequence[TrackFragment]:
        number, source = (2, other) if start == 8 else (1, first)
        run = Run(samples=source.samples[start:stop])
        return [TrackFragment(runs=[run], defaults=[("description", number)], decode_time=run.samples[0].dts)]

    return fragmented(parts, source=first, tracks=[track])


@registry.identical(
    "fragment_without_samples.mp4", "a fragment in the middle without samples: a traf that says duration-is-empty"
)
def fragment_without_samples() -> bytes:
    source = encode(H264)
    usual = runs_of(source)

    def parts(first: int, stop: int, position: int) -> Sequence[TrackFragment]:
        if first < stop:
            return usual(first, stop, position)
        return [TrackFragment(runs=(), flags=0x010000, decode_time=source.samples[first].dts)]

    return fragmented(parts, steps=[8, 0, 8, 8])

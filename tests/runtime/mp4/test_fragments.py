"""Sample tables of hand-made movie fragments: the source of each value, refusals, and false counts that take no memory."""

import struct
import tracemalloc
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek.errors import (
    EditListError,
    EncryptedMp4Error,
    FragmentedMp4Error,
    MalformedBoxError,
    SampleDescriptionError,
    SampleTableError,
)
from episeek.mp4.fragments import Fragment
from episeek.mp4.header import read_header
from episeek.mp4.sample_table import SampleTable, parse_sample_table
from tests.support.amount import examples
from tests.support.fragment_boxes import NON_SYNC, TRACK_ID, fragmented_moov, moof, tfdt, tfhd, traf, trex, trun
from tests.support.mp4_boxes import FTYP, BytesSource, box, elst, full_box, sample_boxes, sample_entry, stsd

FILE_SIZE = 1 << 20
MOOV = fragmented_moov()


def parse(*fragments: tuple[int, bytes], moov: bytes = MOOV, file_size: int = FILE_SIZE) -> SampleTable:
    boxes = tuple(Fragment(offset, raw) for offset, raw in fragments)
    return parse_sample_table(moov, fragments=boxes, file_size=file_size, where="file")


def one_run(*parts: bytes, header: bytes | None = None) -> tuple[int, bytes]:
    return 1000, moof(traf(tfhd() if header is None else header, *parts))


# --- where values come from -----------------------------------------------------------------------------------------------


def test_every_value_in_the_run():
    run = trun(
        3,
        data_offset=100,
        durations=[10, 20, 30],
        sizes=[5, 6, 7],
        flags=[0, NON_SYNC, NON_SYNC],
        composition=[0, 40, -10],
    )
    table = parse(one_run(tfdt(600), run))
    assert table.offset.tolist() == [1100, 1105, 1111]
    assert table.size.tolist() == [5, 6, 7]
    assert table.dts.tolist() == [600, 610, 630]
    assert table.pts.tolist() == [600, 650, 620]
    assert table.duration.tolist() == [10, 20, 30]
    assert table.is_sync.tolist() == [True, False, False]
    assert table.is_presented.all()
    assert table.codec == "mp4v"


@pytest.mark.parametrize("version", [0, 1])
def test_decode_times_in_32_and_64_bits(version):
    assert parse(one_run(tfdt(77, version), trun(1, sizes=[1]))).dts.tolist() == [77]


def test_defaults_of_the_track_and_of_the_fragment():
    of_track = fragmented_moov(trex(duration=512, size=9, flags=NON_SYNC), trex(99, duration=1, size=1))
    table = parse(one_run(trun(3)), moov=of_track)
    assert (table.size.tolist(), table.dts.tolist()) == ([9, 9, 9], [0, 512, 1024])
    assert table.is_sync.tolist() == [True, False, False]  # the first sample always is one
    header = tfhd(duration=100, size=4, flags=0)
    table = parse(one_run(trun(3), header=header), moov=of_track)
    assert (table.size.tolist(), table.dts.tolist()) == ([4, 4, 4], [0, 100, 200])
    assert table.is_sync.all()


def test_flags_of_the_first_sample_come_before_all_others():
    later = one_run(trun(3, sizes=[1, 1, 1], flags=[NON_SYNC] * 3, first_flags=0))
    table = parse((500, moof(traf(tfhd(), trun(1, sizes=[1])))), later)
    assert table.is_sync.tolist() == [True, True, False, False]
    not_the_first = one_run(trun(3, sizes=[1, 1, 1], first_flags=NON_SYNC), header=tfhd(flags=0))
    table = parse((500, moof(traf(tfhd(), trun(1, sizes=[1])))), not_the_first)
    assert table.is_sync.tolist() == [True, False, True, True]


def test_a_sample_that_depends_on_others_is_no_sync_sample():
    flags = [0x02000000, 0x01000000, 0x02000000]  # I, not I, I
    assert parse(one_run(trun(3, sizes=[1] * 3, flags=flags))).is_sync.tolist() == [True, False, True]


def test_where_runs_begin():
    """ISO/IEC 14496-12, 8.8.7: offsets count from a given base, from the moof, or by default from the data before."""
    sizes = [10, 20]
    sound = traf(tfhd(99), trun(2, data_offset=50, sizes=[300, 400]))
    absolute = traf(tfhd(base=70_000), trun(2, data_offset=5, sizes=sizes), trun(2, sizes=sizes))
    assert parse((1000, moof(sound, absolute))).offset.tolist() == [70_005, 70_015, 70_035, 70_045]
    of_moof = traf(tfhd(base_is_moof=True), trun(2, data_offset=5, sizes=sizes))
    assert parse((1000, moof(sound, of_moof))).offset.tolist() == [1005, 1015]
    behind_sound = traf(tfhd(), trun(2, data_offset=5, sizes=sizes))
    assert parse((1000, moof(sound, behind_sound))).offset.tolist() == [1755, 1765]
    nothing_said = traf(tfhd(), trun(2, sizes=sizes))
    assert parse((1000, moof(sound, nothing_said))).offset.tolist() == [1750, 1760]
    assert parse((1000, moof(nothing_said, sound))).offset.tolist() == [1000, 1010]


def test_times_go_on_where_no_fragment_says_otherwise():
    run = trun(2, sizes=[1, 1], durations=[512, 512])
    first, second = (1000, moof(traf(tfhd(), run), traf(tfhd(), run))), (2000, moof(traf(tfhd(), run)))
    assert parse(first, second).dts.tolist() == [0, 512, 1024, 1536, 2048, 2560]
    early = (2000, moof(traf(tfhd(), tfdt(2047), run)))  # writers round
    assert parse(first, early).dts.tolist() == [0, 512, 1024, 1536, 2047, 2559]
    after_a_gap = (2000, moof(traf(tfhd(), tfdt(9000), run)))
    assert parse(first, after_a_gap).dts.tolist() == [0, 512, 1024, 1536, 9000, 9512]


def test_samples_of_moov_come_first():
    """FFmpeg writes such files without `empty_moov`."""
    boxes = sample_boxes([5, 6], [2], [100], [512, 512])
    fragment = one_run(trun(2, sizes=[7, 8], durations=[512, 512], composition=[1024, 0]))
    table = parse(fragment, moov=fragmented_moov(boxes=boxes))
    assert table.offset.tolist() == [100, 105, 1000, 1007]
    assert table.dts.tolist() == [0, 512, 1024, 1536]
    assert table.pts.tolist() == [0, 512, 2048, 1536]
    assert parse(moov=fragmented_moov(boxes=boxes)).offset.tolist() == [100, 105]  # none followed


@pytest.mark.parametrize(
    ("changes", "edits", "error", "message"),
    [
        (
            {"ctts": full_box(b"ctts", 1, struct.pack(">IIi", 1, 2, -512))},
            b"",
            SampleTableError,
            "negative composition",
        ),
        ({"ctts": full_box(b"ctts", 0, struct.pack(">IIi", 1, 2, 0))}, b"", SampleTableError, "negative composition"),
        ({}, elst([(0, 0, 1 << 16)]), EditListError, "with samples in moov and in fragments"),
        ({}, elst([(100, 512, 1 << 16)]), EditListError, "with samples in moov and in fragments"),
    ],
)
def test_what_decoders_read_otherwise_in_moov_than_in_fragments_is_refused(changes, edits, error, message):
    boxes = sample_boxes([5, 6], [2], [100], [512, 512]) | changes
    with pytest.raises(error, match=message):
        parse(one_run(trun(1, sizes=[7], composition=[-1])), moov=fragmented_moov(boxes=boxes, edits=edits))


def test_an_edit_list_delays_fragments_and_cuts_nothing_away():
    edits = elst([(100, -1, 1 << 16), (0, 512, 1 << 16)])  # 100 ms are 1536 ticks
    run = trun(3, sizes=[1, 1, 1], durations=[512] * 3)
    table = parse(one_run(run), moov=fragmented_moov(edits=edits))
    assert table.pts.tolist() == [1024, 1536, 2048]
    assert table.is_presented.all()


def test_descriptions_of_fragments():
    boxes = sample_boxes([], [], [], []) | {"stsd": stsd(sample_entry(), sample_entry())}
    two = fragmented_moov(boxes=boxes)
    run = trun(2, sizes=[1, 1])
    table = parse(one_run(run, header=tfhd(description=2)), moov=two)
    assert table.description_index is not None
    assert table.description_index.tolist() == [2, 2]
    with pytest.raises(SampleDescriptionError, match="fragments of several sample descriptions"):  # FFmpeg ignores it
        parse((0, moof(traf(tfhd(), run))), (50, moof(traf(tfhd(description=2), run))), moov=two)
    with pytest.raises(SampleDescriptionError, match="description 3"):
        parse(one_run(run, header=tfhd(description=3)), moov=two)


@st.composite
def movies(draw):
    """Make fragments from runs of samples (size, duration, composition, is_sync)."""
    sample = st.tuples(st.integers(1, 500), st.integers(1, 2000), st.integers(-3000, 3000), st.booleans())
    runs = st.lists(st.lists(sample, max_size=5), max_size=3)
    return draw(st.lists(runs, min_size=1, max_size=5)), draw(st.booleans()), draw(st.booleans())


@settings(max_examples=examples(150), deadline=None)
@given(movie=movies())
def test_any_fragments_are_read_as_they_were_written(movie):
    fragments, has_decode_times, has_data_offsets = movie
    position, time, raw, expected = 2000, 0, [], []
    for runs in fragments:
        moof_offset, parts, start = position, [], position
        for number, samples in enumerate(runs):
            sizes, durations, composition, sync = ([row[k] for row in samples] for k in range(4))
            flags = [0 if is_sync else NON_SYNC for is_sync in sync]
            data_offset = position - start if has_data_offsets else None
            begin = tfdt(time) if has_decode_times and not number else b""
            parts += [
                begin,
                trun(
                    len(samples),
                    data_offset=data_offset,
                    durations=durations,
                    sizes=sizes,
                    flags=flags,
                    composition=composition,
                ),
            ]
            for size, duration, offset, is_sync in samples:
                expected.append((position, size, time, time + offset, is_sync))
                position, time = position + size, time + duration
        raw.append((moof_offset, moof(traf(tfhd(), *parts))))
        position += 100
    if not expected:
        with pytest.raises(FragmentedMp4Error, match="no video sample in any"):
            parse(*raw)
        return
    table = parse(*raw)
    found = zip(table.offset, table.size, table.dts, table.pts, table.is_sync, strict=True)
    expected[0] = (*expected[0][:4], True)
    assert [tuple(value.item() for value in row) for row in found] == expected


# --- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fragment", "error", "message"),
    [
        (moof(traf(trun(1, sizes=[1]))), MalformedBoxError, "without 'tfhd'"),
        (moof(traf(tfhd()[:-4])), MalformedBoxError, "a box of type 'tfhd' with 12 bytes"),
        (moof(traf(full_box(b"tfhd", 0, struct.pack(">I", TRACK_ID), flags=1))), MalformedBoxError, "a box of type 'tfhd'"),
        (moof(traf(tfhd(), trun(3))), SampleTableError, "3 samples of 0 bytes"),
        (moof(traf(tfhd(), full_box(b"trun", 0, struct.pack(">I", 9), flags=0x200))), MalformedBoxError, "9 samples in 0"),
        (moof(traf(tfhd(size=1 << 28), trun(3))), FragmentedMp4Error, "no video sample in any"),
        (moof(traf(tfhd(), trun(1, data_offset=-2000, sizes=[1]))), SampleTableError, "sample 0 at bytes -1000"),
        (moof(traf(tfhd(base=FILE_SIZE), trun(1, sizes=[1]))), FragmentedMp4Error, "no video sample in any"),
        (moof(traf(tfhd(base=FILE_SIZE), trun(1, sizes=[1])), traf(tfhd(base=0), trun(1, sizes=[1]))), SampleTableError,
         "1 samples outside the file, before samples at byte 0"),
        (moof(traf(tfhd(base=1 << 63), trun(1, sizes=[1]))), SampleTableError, "base data offset"),
        (moof(traf(tfhd(), tfdt(1 << 63), trun(1, sizes=[1]))), SampleTableError, "decode time"),
        (moof(traf(tfhd(), tfdt(90), trun(1, sizes=[1])), traf(tfhd(), tfdt(90), trun(1, sizes=[1]))), SampleTableError,
         "starts at tick 90"),
        (moof(traf(tfhd(99), trun(1, sizes=[1]))), FragmentedMp4Error, "no video sample in any"),
        (moof(), FragmentedMp4Error, "no video sample in any"),
        (moof(box(b"traf", b"\0\0\0\1")), MalformedBoxError, "without 'tfhd'"),
    ],
)  # fmt: skip
def test_fragments_that_are_refused(fragment, error, message):
    with pytest.raises(error, match=f"^file.*: found .*{message}"):
        parse((1000, fragment))


def test_a_track_without_defaults_is_refused():
    with pytest.raises(MalformedBoxError, match="no 'trex' for track 7"):
        parse(one_run(trun(1, sizes=[1])), moov=fragmented_moov(trex(99)))


def test_encrypted_fragments_are_refused():
    boxes = sample_boxes([], [], [], []) | {"stsd": stsd(sample_entry(b"encv"))}
    for fragments in ([], [one_run(trun(1, sizes=[1]))]):
        with pytest.raises(EncryptedMp4Error, match="encv"):
            parse(*fragments, moov=fragmented_moov(boxes=boxes))


@pytest.mark.parametrize("size", [1000, 1 << 20, 0])
def test_runs_that_claim_billions_of_samples_allocate_nothing(size):
    """Each run takes 16 bytes and has 4 billion samples by default; those that are not in the file are missing."""
    many = moof(traf(tfhd(size=size, duration=1), *[trun(0)[:12] + b"\xff\xff\xff\xff"] * 200))
    tracemalloc.start()
    with nullcontext() if size == 1000 else pytest.raises((SampleTableError, FragmentedMp4Error)):
        table = parse((1000, many))
        assert len(table) + table.missing_sample_count == 200 * ((1 << 32) - 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


# --- in a file ------------------------------------------------------------------------------------------------------------


def fragmented_file(count: int, payload_bytes: int, *, between: bytes = b"") -> bytes:
    """Make fragments of one sample each."""
    raw = FTYP + MOOV
    for number in range(count):
        run = trun(1, data_offset=0, sizes=[payload_bytes], durations=[512])
        size = len(moof(traf(tfhd(base_is_moof=True), tfdt(0), run)))
        run = trun(1, data_offset=size + 8, sizes=[payload_bytes], durations=[512])
        raw += moof(traf(tfhd(base_is_moof=True), tfdt(512 * number), run))
        raw += box(b"mdat", bytes([number % 256]) * payload_bytes) + between
    return raw


@pytest.mark.parametrize("between", [b"", box(b"free", bytes(100)), full_box(b"sidx", 0, bytes(24)), box(b"styp")])
def test_fragments_are_found_by_following_box_sizes(between):
    raw = fragmented_file(20, 5000, between=between)
    header = read_header(BytesSource({"file": raw}), "file")
    table = parse_sample_table(header.moov, fragments=header.fragments, file_size=len(raw), where="file")
    assert [raw[start] for start in table.offset] == list(range(20))
    assert [raw[end - 1] for end in table.offset + table.size] == list(range(20))
    assert np.array_equal(table.pts, 512 * np.arange(20))
    assert (header.container, header.is_faststart) == ("fragmented", True)


@pytest.mark.parametrize("count", range(1, 8))
def test_zeros_behind_the_last_fragment_are_padding(count):
    raw = fragmented_file(2, 50)
    assert len(read_header(BytesSource({"file": raw + bytes(count)}), "file").fragments) == 2
    cut = read_header(BytesSource({"file": raw + bytes(count - 1) + b"x"}), "file")
    assert (len(cut.fragments), cut.missing) == (
        2,
        f"the rest of the box at byte {len(raw)}, after its first {count} bytes",
    )


def test_a_fragment_far_from_the_last_one_costs_one_probe():
    raw = fragmented_file(20, 200_000)
    source = BytesSource({"file": raw})
    read_header(source, "file")
    assert len(source.ranges) <= 21
    assert sum(stop - start for start, stop in source.ranges) <= 21 * source.probe_bytes


def test_small_fragments_are_read_in_large_pages():
    """One request for each probe's worth of fragments would be 40 of them; pages twice as large each time are a few."""
    raw = fragmented_file(400, 8_000)
    source = BytesSource({"file": raw})
    header = read_header(source, "file")
    assert (len(header.fragments), header.missing) == (400, "")
    assert len(source.ranges) <= 12
    assert sum(stop - start for start, stop in source.ranges) <= len(raw)


def test_the_digest_covers_every_fragment():
    raw = bytearray(fragmented_file(3, 50))
    digest = read_header(BytesSource({"file": bytes(raw)}), "file").digest
    place = raw.rindex(b"tfdt") + 15
    raw[place] ^= 1
    assert read_header(BytesSource({"file": bytes(raw)}), "file").digest != digest


def test_of_a_recording_that_was_cut_the_whole_samples_are_read_at_every_byte():
    """What is missing is said, but for whole fragments alone: these are a file by themselves."""
    raw = fragmented_file(3, 50)
    ends = [len(fragmented_file(count, 50)) for count in range(4)]
    for length in range(ends[0], len(raw) + 1):
        header = read_header(BytesSource({"file": raw[:length]}), "file")
        whole = sum(end <= length for end in ends) - 1
        if not whole:
            with pytest.raises(FragmentedMp4Error, match="no video sample in any"):
                parse_sample_table(header.moov, fragments=header.fragments, file_size=length, where="file")
            continue
        table = parse_sample_table(header.moov, fragments=header.fragments, file_size=length, where="file")
        assert len(table) == whole
        assert table.missing_sample_count == len(header.fragments) - whole
        padding = length - ends[whole] < 8 and not any(raw[ends[whole] : length])
        # a moof box without the start of its mdat box lacks nothing but samples
        assert bool(header.missing or table.missing_sample_count) == (length not in ends and not padding)

"""Sample tables of hand-made moov boxes: the meaning of every box, refusals, and false counts that take no memory."""

import struct
import tracemalloc
from collections.abc import Mapping

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek.errors import (
    EditListError,
    EncryptedMp4Error,
    EpiseekError,
    FragmentedMp4Error,
    MalformedBoxError,
    Mp4Error,
    NoVideoTrackError,
    SampleDescriptionError,
    SampleTableError,
    TruncatedMp4Error,
)
from episeek.mp4.header import read_header
from episeek.mp4.sample_table import SampleTable, parse_sample_table
from episeek.stores.transports.local import LocalSource
from tests.support.amount import examples, full_run
from tests.support.build_index import DATA, MP4_FILES
from tests.support.mp4_boxes import (
    FTYP,
    array,
    box,
    box_to_the_end,
    box_with_64_bit_size,
    data_information,
    elst,
    full_box,
    media_header,
    moov,
    runs,
    sample_boxes,
    sample_entry,
    stsc,
    stsd,
    stsz,
    stsz_constant,
    stz2,
    track,
)

FILE_SIZE = 10_000
SIZES = [70, 10, 20, 30, 40, 50, 60]
ONE_RATE = 0x10000
ONE, UNIT = 1 << 16, 1 << 30
UPRIGHT = [ONE, 0, 0, 0, ONE, 0, 0, 0, UNIT]
TURNED = [0, ONE, 0, -ONE, 0, 0, 0, 0, UNIT]
HALF_TURNED = [-ONE, 0, 0, 0, -ONE, 0, 0, 0, UNIT]
MIRRORED = [-ONE, 0, 0, 0, ONE, 0, 0, 0, UNIT]
# Three chunks of 3, 3 and 1 samples, not in file order.
PLAIN = sample_boxes(SIZES, [3, 3, 1], [1000, 500, 3000], [512] * 7)
TWO_DESCRIPTIONS = full_box(b"stsc", 0, struct.pack(">10I", 3, 1, 3, 2, 2, 3, 1, 3, 1, 2))
EMPTY = sample_boxes([], [], [], [])
OFFSETS = [1000, 1070, 1080, 500, 530, 570, 3000]


def parse(raw: bytes, *, file_size: int = FILE_SIZE) -> SampleTable:
    return parse_sample_table(raw, file_size=file_size, where="file")


def parse_boxes(changes: Mapping[str, bytes | None] | None = None, **options) -> SampleTable:
    boxes = {name: part for name, part in {**PLAIN, **(changes or {})}.items() if part is not None}
    return parse(moov(track(boxes, **options)))


# --- what the boxes mean --------------------------------------------------------------------------------------------------


def test_the_plain_table():
    table = parse_boxes()
    assert table.offset.tolist() == OFFSETS
    assert table.size.tolist() == SIZES
    assert table.dts.tolist() == table.pts.tolist() == [512 * k for k in range(7)]
    assert table.duration.tolist() == [512] * 7
    assert table.is_sync.all()
    assert table.is_presented.all()
    assert (table.timescale, table.codec, table.width, table.height) == (15360, "mp4v", 128, 96)
    assert table.sample_description == PLAIN["stsd"]
    assert table.average_fps == 30
    assert not any(getattr(table, name).flags.writeable for name in ("offset", "size", "pts", "is_sync"))


@pytest.mark.parametrize(
    "changes",
    [
        {"stco": full_box(b"co64", 0, array("Q", [1000, 500, 3000]))},
        {"stsz": stz2(SIZES, 8)},
        {"stsz": stz2(SIZES, 16)},
        {"stsc": full_box(b"stsc", 0, array("I", [1, 3, 1, 2, 3, 1, 3, 1, 1])[4:].join([struct.pack(">I", 3), b""]))},
        {"stss": full_box(b"stss", 0, array("I", range(1, 8)))},
        {"stts": full_box(b"stts", 0, struct.pack(">IIIII", 2, 3, 512, 4, 512))},
        {"stts": full_box(b"stts", 0, struct.pack(">IIIIIII", 3, 3, 512, 0, 99, 4, 512))},
        {"ctts": full_box(b"ctts", 0, runs([0] * 7, "I"))},
        {"free": box(b"free", bytes(33))},
        {"stsz": box_with_64_bit_size(b"stsz", PLAIN["stsz"][8:])},
        {"sgpd": full_box(b"sgpd", 1, bytes(20)), "sdtp": full_box(b"sdtp", 0, bytes(7))},
    ],
)
def test_other_spellings_of_the_plain_table(changes):
    table, plain = parse_boxes(changes), parse_boxes()
    for name in ("offset", "size", "dts", "pts", "duration", "is_sync", "is_presented"):
        assert getattr(table, name).tolist() == getattr(plain, name).tolist()


def test_movie_headers_of_version_1():
    table = parse(moov(track(PLAIN, version=1), version=1))
    assert table.timescale == 15360
    assert table.offset.tolist() == OFFSETS


@pytest.mark.parametrize("sizes", [[1, 15, 0, 7, 3, 9, 2], [1, 15, 0, 7, 3, 9]])
def test_sizes_of_four_bits(sizes):
    chunks = {"stsc": stsc([len(sizes)]), "stco": full_box(b"stco", 0, array("I", [64]))}
    table = parse_boxes(chunks | {"stsz": stz2(sizes, 4), "stts": full_box(b"stts", 0, runs([512] * len(sizes), "I"))})
    assert table.size.tolist() == [size for size in sizes if size]
    assert table.offset.tolist() == [64 + sum(sizes[:k]) for k, size in enumerate(sizes) if size]


def test_one_size_for_all():
    assert parse_boxes({"stsz": stsz_constant(33, 7)}).size.tolist() == [33] * 7


def test_times_before_0_are_presented_when_there_is_no_edit_list():
    table = parse_boxes({"ctts": full_box(b"ctts", 1, runs([-1536] * 7, "i"))})
    assert table.pts.tolist() == [512 * number - 1536 for number in range(7)]
    assert table.is_presented.all()


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("of_track", "of_movie", "expected"),
    [
        (TURNED, UPRIGHT, TURNED),
        (UPRIGHT, TURNED, TURNED),
        (TURNED, TURNED, HALF_TURNED),
        (HALF_TURNED, HALF_TURNED, UPRIGHT),
        (MIRRORED, [0] * 9, MIRRORED),  # no matrix at all
    ],
)
def test_the_matrix_of_the_track_and_of_the_movie(of_track, of_movie, expected, version):
    times = bytes(48 if version else 36)
    header = full_box(b"tkhd", version, times, struct.pack(">9i", *of_track), bytes(8))
    upright = full_box(b"tkhd", 0, bytes(80), flags=3)
    turned_track = box(b"trak", track(PLAIN)[8:].replace(upright, header))
    movie_times = media_header(b"mvhd", 1000, version)[8 : 8 + (48 if version else 36)]
    movie = box(b"mvhd", movie_times, struct.pack(">9i", *of_movie), bytes(28))
    assert struct.unpack(">9i", parse(box(b"moov", movie, turned_track)).matrix) == tuple(expected)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("offsets", [[1024, 2048, 512, 512, 1536, 0, 512], [0, 1024, -512, -512, 512, -1024, 0]])
def test_composition_offsets_are_signed_in_both_versions(version, offsets):
    table = parse_boxes({"ctts": full_box(b"ctts", version, runs(offsets, "i"))})
    assert table.pts.tolist() == [512 * k + offset for k, offset in enumerate(offsets)]
    assert table.presentation_order().tolist() == np.argsort(table.pts, kind="stable").tolist()
    assert table.dts.tolist() == [512 * k for k in range(7)]


def test_sync_samples():
    table = parse_boxes({"stss": full_box(b"stss", 0, array("I", [1, 4, 6]))})
    assert np.flatnonzero(table.is_sync).tolist() == [0, 3, 5]
    only_the_first = parse_boxes({"stss": full_box(b"stss", 0, array("I", []))})
    assert np.flatnonzero(only_the_first.is_sync).tolist() == [0]  # where else would decoding start


def test_partial_sync_samples_and_random_access_points_are_sync_samples():
    """Partial sync samples (QuickTime) and random access points (ISO/IEC 14496-12, 10.4) are starts, as open GOPs are."""
    stss = {"stss": full_box(b"stss", 0, array("I", [1]))}
    partial = parse_boxes(stss | {"stps": full_box(b"stps", 0, array("I", [3, 6]))})
    assert np.flatnonzero(partial.is_sync).tolist() == [0, 2, 5]
    pairs = struct.pack(">7I", 3, 2, 0, 1, 1, 2, 0)
    for version, parameter in ((0, b""), (1, bytes(4))):
        points = parse_boxes(stss | {"sbgp": full_box(b"sbgp", version, b"rap ", parameter, pairs)})
        assert np.flatnonzero(points.is_sync).tolist() == [0, 2]
    for box_of_points in (
        {"stps": full_box(b"stps", 0, array("I", [3]))},
        {"sbgp": full_box(b"sbgp", 0, b"rap ", pairs)},
    ):
        with pytest.raises(SampleTableError, match="but no 'stss'"):
            parse_boxes(box_of_points)
    other = parse_boxes(stss | {"sbgp": full_box(b"sbgp", 0, b"roll", pairs)})
    assert np.flatnonzero(other.is_sync).tolist() == [0]


def test_descriptions_that_agree_are_used_one_at_a_time():
    two = stsd(sample_entry(), box(b"free"), sample_entry())
    with pytest.raises(MalformedBoxError, match="a box of type 'free'"):
        parse_boxes({"stsd": two})
    two = stsd(sample_entry(), sample_entry())
    assert parse_boxes({"stsd": two}).description_index is None
    table = parse_boxes({"stsd": two, "stsc": TWO_DESCRIPTIONS})
    assert table.description_index is not None
    assert table.description_index.tolist() == [2, 2, 2, 1, 1, 1, 2]
    assert table.sample_description == two


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("edits", "first_pts", "presented"),
    [
        ([], 0, range(7)),
        ([(1000, 0, ONE_RATE)], 0, range(7)),
        ([(1000, 1024, ONE_RATE)], -1024, range(2, 7)),
        ([(100, 1024, ONE_RATE)], -1024, range(2, 5)),  # 100 ms are 1536 ticks: three samples
        ([(100, -1, ONE_RATE), (1000, 0, ONE_RATE)], 1536, range(7)),
        ([(50, -1, 0), (50, -1, 0), (100, 1024, ONE_RATE)], 1536 - 1024, range(2, 5)),
        ([(100, 0, ONE_RATE), (50, 1536, ONE_RATE)], 0, range(5)),  # the second goes on where the first ends
        ([(50, 512, ONE_RATE), (50, 1280, ONE_RATE), (900, 2048, ONE_RATE)], -512, range(1, 7)),
        ([(100, -1, ONE_RATE)], None, None),
    ],
)
def test_edit_lists(version, edits, first_pts, presented):
    if presented is None:
        with pytest.raises(EditListError, match="nothing but a delay"):
            parse_boxes(edits=elst(edits, version))
        return
    table = parse_boxes(edits=elst(edits, version))
    assert table.pts.tolist() == [first_pts + 512 * k for k in range(7)]
    assert np.flatnonzero(table.is_presented).tolist() == list(presented)


def test_the_first_video_track_among_several():
    sound = track(PLAIN, handler=b"soun", timescale=48000)
    other = track(sample_boxes([5], [1], [700], [1]), timescale=1000)
    table = parse(moov(box(b"udta", bytes(8)), sound, track(PLAIN), other))
    assert (table.timescale, len(table)) == (15360, 7)


def test_quicktime_ends_containers_with_zeros():
    boxes = PLAIN | {"end": b"\0\0\0\0"}
    assert parse(moov(track(boxes), extra=b"\0\0\0\0")).offset.tolist() == OFFSETS


def test_an_average_rate_of_variable_frames():
    durations = [512, 1024, 256, 512, 512, 512, 2048]
    table = parse_boxes({"stts": full_box(b"stts", 0, runs(durations, "I"))})
    assert table.duration.tolist() == durations
    assert table.average_fps == pytest.approx(7 * 15360 / sum(durations))


@st.composite
def sample_tables(draw):
    samples_per_chunk = draw(st.lists(st.integers(1, 5), min_size=1, max_size=12))
    count = sum(samples_per_chunk)
    numbers = lambda low, high: st.lists(st.integers(low, high), min_size=count, max_size=count)  # noqa: E731
    sizes, durations = draw(numbers(1, 3000)), draw(numbers(1, 2000))
    offsets = draw(st.permutations(range(len(samples_per_chunk))))
    composition = draw(st.none() | numbers(-3000, 3000))
    sync = draw(st.none() | st.sets(st.integers(1, count), min_size=1))
    return samples_per_chunk, sizes, durations, [48 + 20_000 * place for place in offsets], composition, sync


@settings(max_examples=examples(200), deadline=None)
@given(drawn=sample_tables())
def test_any_table_is_read_as_it_was_written(drawn):
    samples_per_chunk, sizes, durations, chunk_offsets, composition, sync = drawn
    boxes = sample_boxes(sizes, samples_per_chunk, chunk_offsets, durations)
    if composition is not None:
        boxes["ctts"] = full_box(b"ctts", 1, runs(composition, "i"))
    if sync is not None:
        boxes["stss"] = full_box(b"stss", 0, array("I", sorted(sync)))
    table = parse(moov(track(boxes)), file_size=1 << 20)
    offset, pts, time, position = [], [], 0, 0
    for chunk, samples in zip(chunk_offsets, samples_per_chunk, strict=True):
        for _ in range(samples):
            offset.append(chunk)
            pts.append(time + (composition[position] if composition else 0))
            chunk, time, position = chunk + sizes[position], time + durations[position], position + 1
    assert table.offset.tolist() == offset
    assert table.size.tolist() == sizes
    assert table.pts.tolist() == pts
    assert table.duration.tolist() == durations
    assert (np.flatnonzero(table.is_sync) + 1).tolist() == sorted({1, *sync} if sync else range(1, len(sizes) + 1))


def test_pyav_reads_the_hand_made_file_alike(tmp_path):
    """FFmpeg reads the files of the box builder as they are meant."""
    sync = full_box(b"stss", 0, array("I", [1, 4]))
    offsets = full_box(b"ctts", 0, runs([1024, 2048, 512, 512, 1536, 512, 1024], "I"))
    boxes = PLAIN | {"stss": sync, "ctts": offsets, "stsz": stz2(SIZES, 16)}
    raw = FTYP + moov(track(boxes, edits=elst([(1000, 1024, ONE_RATE)])))
    raw += box(b"mdat", bytes(FILE_SIZE - len(raw) - 8))
    (tmp_path / "made.mp4").write_bytes(raw)
    header = read_header(LocalSource(str(tmp_path)), "made.mp4")
    table = parse_sample_table(header.moov, file_size=header.file_size, where="made.mp4")
    with av.open((tmp_path / "made.mp4").as_posix()) as container:
        entries = [
            (entry.pos, entry.size, bool(entry.is_keyframe)) for entry in container.streams.video[0].index_entries
        ]
    assert entries == list(zip(table.offset.tolist(), table.size.tolist(), table.is_sync.tolist(), strict=True))


# --- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        (moov(), NoVideoTrackError, "no tracks"),
        (moov(track(PLAIN, handler=b"soun"), track(PLAIN, handler=b"meta")), NoVideoTrackError, r"\['soun', 'meta'\]"),
        (moov(track(EMPTY), extra=box(b"mvex")), FragmentedMp4Error, "mvex"),
        (box(b"moov", track(PLAIN)), MalformedBoxError, "'moov' box without 'mvhd'"),
        (moov(box(b"trak", box(b"mdia"))), NoVideoTrackError, "no tracks"),
        (
            box(b"moov", full_box(b"mvhd", 0, bytes(3)), track(PLAIN)),
            MalformedBoxError,
            "a box of type 'mvhd' with 15 bytes",
        ),
        (
            moov(track(PLAIN, information=data_information(flags=0, place=b"x.mp4"))),
            SampleTableError,
            "in another file",
        ),
        (moov(track(PLAIN, information=box(b"dinf", box(b"dref")))), MalformedBoxError, "'dref'"),
        (moov(track({})), MalformedBoxError, "without 'stsd'"),
        (moov(track(PLAIN))[:-1], TruncatedMp4Error, "a box of type 'moov'"),
        (moov(track(PLAIN))[:4], TruncatedMp4Error, "4 bytes"),
    ],
)
def test_movies_that_are_refused(raw, error, message):
    with pytest.raises(error, match=f"^file: found .*{message}"):
        parse(raw)


@pytest.mark.parametrize("name", ["stsd", "stts", "stsz", "stsc", "stco"])
def test_a_missing_table_is_named(name):
    with pytest.raises(MalformedBoxError, match=f"'{name}'|'co64'"):
        parse_boxes({name: None})


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"stsd": stsd(sample_entry(b"encv"))}, EncryptedMp4Error, "encv"),
        ({"stsd": stsd()}, SampleDescriptionError, "0 sample descriptions"),
        ({"stsd": full_box(b"stsd", 0, struct.pack(">I", 1 << 31))}, SampleDescriptionError, "2147483648 sample descr"),
        ({"stsd": full_box(b"stsd", 0, struct.pack(">I", 2), sample_entry())}, MalformedBoxError, "1 of its 2 entries"),
        ({"stsd": stsd(box(b"avc1", bytes(10)))}, MalformedBoxError, "a box of type 'avc1' with 18 bytes"),
        ({"stsd": full_box(b"stsd", 0, struct.pack(">I", 1))}, MalformedBoxError, "0 of its 1 entries"),
        ({"stsc": stsc([3, 3, 1], description=2)}, SampleDescriptionError, "description 2"),
        ({"stsc": stsc([3, 3, 1], description=0)}, SampleDescriptionError, "description 0"),
        (
            {"stsd": stsd(sample_entry(), sample_entry(b"avc1")), "stsc": TWO_DESCRIPTIONS},
            SampleDescriptionError,
            "descriptions: 'avc1' 128x96, 8 bits and 'mp4v' 128x96, 8 bits",
        ),
        (
            {"stsd": stsd(sample_entry(), sample_entry(width=64)), "stsc": TWO_DESCRIPTIONS},
            SampleDescriptionError,
            "descriptions: 'mp4v' 128x96, 8 bits and 'mp4v' 64x96, 8 bits",
        ),
        ({"stsd": stsd(sample_entry(), sample_entry(b"encv")), "stsc": TWO_DESCRIPTIONS}, EncryptedMp4Error, "encv"),
        ({"stss": full_box(b"stss", 0, array("I", [])), "stps": full_box(b"stps", 0, array("I", [8]))},
         SampleTableError, "sync samples 8 to 8 in 'stps'"),
        ({"stss": full_box(b"stss", 0, array("I", [])), "sbgp": full_box(b"sbgp", 0, b"rap ", struct.pack(">3I", 1, 8, 1))},
         SampleTableError, "'sbgp' for 8 samples"),
        ({"stsc": stsc([3, 3])}, SampleTableError, "9 samples in chunks, but 7 sample sizes"),
        ({"stsc": stsc([3, 3, 2])}, SampleTableError, "8 samples in chunks, but 7 sample sizes"),
        ({"stsc": full_box(b"stsc", 0, array("I", []))}, SampleTableError, "'stsc' runs"),
        ({"stsc": full_box(b"stsc", 0, struct.pack(">4I", 1, 2, 7, 1))}, SampleTableError, "'stsc' runs"),
        ({"stsc": full_box(b"stsc", 0, struct.pack(">7I", 2, 1, 3, 1, 1, 1, 1))}, SampleTableError, "'stsc' runs"),
        ({"stsc": full_box(b"stsc", 0, struct.pack(">7I", 2, 1, 3, 1, 4, 1, 1))}, SampleTableError, "'stsc' runs"),
        ({"stco": full_box(b"stco", 0, array("I", []))}, SampleTableError, "'stsc' runs"),
        ({"stco": full_box(b"stco", 0, array("I", [1000, 500]))}, SampleTableError, r"'stsc' runs .* 1 to at most 2"),
        ({"stco": full_box(b"stco", 0, array("I", [1000, 500, 9950]))}, SampleTableError, "sample 6 at bytes 9950 to 10010"),
        ({"stco": full_box(b"co64", 0, array("Q", [1000, 500, 1 << 63]))}, SampleTableError, "offset 9223372036854775808"),
        ({"stco": full_box(b"co64", 0, array("Q", [1000, 500, 1 << 40]))}, SampleTableError, "it may be truncated"),
        ({"stsz": stsz(SIZES[:6])}, SampleTableError, "7 samples in chunks, but 6 sample sizes"),
        ({"stsz": stsz([*SIZES[:6], 1 << 31])}, SampleTableError, "it may be truncated"),
        ({"stsz": stsz([])}, SampleTableError, "7 samples in chunks, but 0 sample sizes"),
        (EMPTY, SampleTableError, "0 video samples"),
        ({"stsz": stz2(SIZES, 8)[:15] + b"\x0c" + stz2(SIZES, 8)[16:]}, MalformedBoxError, "fields of 12 bits"),
        ({"stts": full_box(b"stts", 0, runs([], "I"))}, SampleTableError, "'stts' without entries, but 7 sample sizes"),
        ({"ctts": full_box(b"ctts", 0, runs([0, -1, 2], "i"))}, SampleTableError, "'ctts' for 3 samples with negative"),
        ({"ctts": full_box(b"ctts", 0, runs([0, 1, 1 << 29, 3, 4], "i"))}, SampleTableError, "offset of 536870912 ticks"),
        ({"stss": full_box(b"stss", 0, array("I", [0, 1]))}, SampleTableError, "sync samples 0 to 1"),
        ({"stss": full_box(b"stss", 0, array("I", [1, 8]))}, SampleTableError, "sync samples 1 to 8"),
    ],
)  # fmt: skip
def test_tables_that_disagree(changes, error, message):
    with pytest.raises(error, match=f"^file: found .*({message})"):
        parse_boxes(changes)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    "edits",
    [
        [(100, 0, ONE_RATE), (100, 1024, ONE_RATE)],
        [(100, 0, ONE_RATE), (100, -1, ONE_RATE), (100, 1536, ONE_RATE)],
        [(100, 0, ONE_RATE), (100, -1, ONE_RATE)],
        [(67, 0, ONE_RATE), (100, 1024, ONE_RATE)],  # 67 ms end 5 ticks after 1024
        [(167, 0, ONE_RATE), (100, 2560, ONE_RATE)],
        [(1000, 0, 2 * ONE_RATE)],
        [(500, 0, ONE_RATE), (500, 1536, 0)],
        [(1000, -2, ONE_RATE)],
    ],
)
def test_edit_lists_that_are_refused(version, edits):
    with pytest.raises(EditListError, match=r"an edit list that shows .* expected one run of the media at rate 1"):
        parse_boxes(edits=elst(edits, version))


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ([(0, 0, ONE_RATE)], "an edit of duration 0"),
        ([(100, 9000, ONE_RATE)], "shows none of 7 samples"),
    ],
)
def test_edit_lists_that_show_nothing_are_refused(edits, message):
    with pytest.raises(EditListError, match=message):
        parse_boxes(edits=elst(edits))


def test_edits_of_reordered_samples_are_not_joined():
    """FFmpeg shows the pictures around such a seam at other times."""
    boxes = {"ctts": full_box(b"ctts", 0, runs([512, 1536, 0, 512, 512, 512, 512], "I"))}
    with pytest.raises(EditListError, match=r"for 0\.1 s, then the media from 0\.133333 s for 0\.05 s"):
        parse_boxes(boxes, edits=elst([(100, 512, ONE_RATE), (50, 2048, ONE_RATE)]))


def test_samples_of_no_bytes_are_no_pictures():
    sizes = [70, 10, 0, 30, 40, 0, 60]
    table = parse_boxes({"stsz": stsz(sizes), "stss": full_box(b"stss", 0, array("I", [1, 4]))})
    assert table.size.tolist() == [70, 10, 30, 40, 60]
    assert table.pts.tolist() == [0, 512, 1536, 2048, 3072]
    assert table.duration.tolist() == [512, 1024, 512, 1024, 512]
    assert table.offset.tolist() == [1000, 1070, 500, 530, 3000]
    assert np.flatnonzero(table.is_sync).tolist() == [0, 2]
    with pytest.raises(SampleTableError, match="7 video samples, all"):
        parse_boxes({"stsz": stsz([0] * 7)})


@pytest.mark.parametrize(
    "edits",
    [
        [(0, (1 << 63) - 1, ONE_RATE)],
        [((1 << 64) - 1, -1, ONE_RATE), (0, 0, ONE_RATE)],
        [((1 << 62), -1, ONE_RATE), (0, 1 << 62, ONE_RATE)],
    ],
)
def test_edit_lists_beyond_any_clock(edits):
    """Ticks of 64 bits in 64-bit arithmetic: nothing may wrap around."""
    edits = [(duration or 1, media_time, rate) for duration, media_time, rate in edits]
    with pytest.raises(EditListError, match="ticks; expected at most"):
        parse_boxes(edits=elst(edits, 1))


def test_an_edit_may_claim_any_length():
    table = parse_boxes(edits=elst([((1 << 64) - 1, 0, ONE_RATE)], 1))
    assert table.pts.tolist() == [512 * k for k in range(7)]
    assert table.is_presented.all()


# --- lies -----------------------------------------------------------------------------------------------------------------

MANY = (1 << 32) - 1
LIES = {
    "stsz": {"stsz": full_box(b"stsz", 0, struct.pack(">II", 0, MANY))},
    "stsz, constant": {"stsz": stsz_constant(1, MANY)},
    "stsz, constant zero-filled": {"stsz": stsz_constant(MANY, 60_000_000)},
    "stz2": {"stsz": full_box(b"stz2", 0, struct.pack(">II", 4, MANY))},
    "stts, entries": {"stts": full_box(b"stts", 0, struct.pack(">III", MANY, 1, 1))},
    "stts, samples": {"stts": full_box(b"stts", 0, struct.pack(">II", 1, MANY))},
    "ctts, entries": {"ctts": full_box(b"ctts", 0, struct.pack(">III", MANY, 1, 1))},
    "stss": {"stss": full_box(b"stss", 0, struct.pack(">II", MANY, 1))},
    "stsc, entries": {"stsc": full_box(b"stsc", 0, struct.pack(">IIII", MANY, 1, 1, 1))},
    "stsc, samples": {"stsc": full_box(b"stsc", 0, struct.pack(">IIII", 1, 1, MANY, 1))},
    "stco": {"stco": full_box(b"stco", 0, struct.pack(">II", MANY, 1))},
    "co64": {"stco": full_box(b"co64", 0, struct.pack(">II", MANY, 1))},
    "stsd": {"stsd": full_box(b"stsd", 0, struct.pack(">I", MANY))},
    "all tables agree": {
        "stsz": stsz_constant(1, MANY),
        "stts": full_box(b"stts", 0, struct.pack(">III", 1, MANY, 1)),
        "stsc": full_box(b"stsc", 0, struct.pack(">IIII", 1, 1, MANY, 1)),
        "stco": full_box(b"stco", 0, array("I", [0])),
    },
}


@pytest.mark.parametrize("lie", LIES)
def test_counts_that_lie_cost_no_memory(lie):
    with pytest.raises(Mp4Error):  # what is first needed is imported and cached before memory is measured
        parse_boxes(LIES[lie])
    tracemalloc.start()
    try:
        with pytest.raises(Mp4Error):
            parse_boxes(LIES[lie])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 17


def test_an_edit_list_that_lies():
    lie = box(b"edts", full_box(b"elst", 0, struct.pack(">IIiI", MANY, 1, 0, ONE_RATE)))
    with pytest.raises(MalformedBoxError, match="'elst' with 4294967295 entries in 12 bytes"):
        parse_boxes(edits=lie)


def test_a_container_of_endless_small_boxes_ends():
    raw = moov(extra=box(b"free") * 70_000)
    with pytest.raises(MalformedBoxError, match="more than 65536 boxes"):
        parse(raw)


def test_boxes_to_the_end_of_their_container():
    boxes = dict(PLAIN)
    boxes["stco"] = box_to_the_end(b"stco", boxes["stco"][8:])
    assert parse(moov(track(boxes))).offset.tolist() == OFFSETS


# --- damage ---------------------------------------------------------------------------------------------------------------


def real_moovs() -> list[tuple[bytes, int]]:
    chosen = [path for path in MP4_FILES if path.endswith(("top/chunk-000/file-000.mp4", "top/chunk-000/file-003.mp4"))]
    headers = [read_header(LocalSource(str(DATA)), path) for path in chosen]
    return [(header.moov, header.file_size) for header in headers]


REAL_MOOVS = real_moovs()
HARD_WORDS = (0, 1, 7, (1 << 31) - 1, 1 << 31, MANY)


def assert_consistent(table: SampleTable, file_size: int) -> None:
    count = len(table)
    assert count > 0
    for name in ("offset", "size", "dts", "pts", "duration", "is_sync", "is_presented"):
        assert getattr(table, name).shape == (count,)
    assert table.offset.min() >= 0
    assert table.size.min() >= 0
    assert (table.offset + table.size).max() <= file_size
    assert (np.diff(table.dts) >= 0).all()
    assert np.array_equal(np.diff(table.dts), table.duration[:-1])
    order = table.presentation_order()
    assert len(order) == table.is_presented.sum()
    assert (np.diff(table.pts[order]) >= 0).all()
    assert np.isfinite(table.average_fps)
    assert table.sample_description[4:8] == b"stsd"
    repr(table)


@settings(max_examples=examples(800), deadline=None)
@given(data=st.data())
def test_a_damaged_moov_is_a_named_error_or_a_consistent_table(data):
    raw, file_size = data.draw(st.sampled_from(REAL_MOOVS))
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(raw) - 4))
        if data.draw(st.booleans()):
            damaged[position] = data.draw(st.integers(0, 255))
        else:
            damaged[position : position + 4] = struct.pack(">I", data.draw(st.sampled_from(HARD_WORDS)))
    try:
        table = parse(bytes(damaged), file_size=file_size)
    except EpiseekError:
        return
    assert_consistent(table, file_size)


@full_run
def test_every_single_field_damaged():
    """Each 32-bit word of the boxes around the tables is set to values that break parsers."""
    outcomes = set()
    for raw, file_size in REAL_MOOVS[:1]:
        for position in range(0, min(len(raw), 1200), 2):
            for word in HARD_WORDS:
                damaged = raw[:position] + struct.pack(">I", word) + raw[position + 4 :]
                try:
                    assert_consistent(parse(damaged, file_size=file_size), file_size)
                    outcomes.add("table")
                except EpiseekError as error:
                    outcomes.add(type(error).__name__)
    assert {"table", "MalformedBoxError", "TruncatedMp4Error", "SampleTableError", "NoVideoTrackError"} <= outcomes


@pytest.mark.parametrize("entry", [(MANY, 512), (7, 512), (1, 512)])
def test_durations_are_those_of_the_samples_that_there_are(entry):
    """Surplus ones take no memory, and the last one goes on where there are too few."""
    tracemalloc.start()
    table = parse_boxes({"stts": full_box(b"stts", 0, struct.pack(">III", 1, *entry))})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert table.duration.tolist() == [512] * 7
    assert peak < 1 << 17


@pytest.mark.parametrize("timescale", [0, 1 << 31])
def test_an_impossible_timescale_is_one(timescale):
    """As in FFmpeg."""
    assert parse(moov(track(PLAIN, timescale=timescale))).timescale == 1

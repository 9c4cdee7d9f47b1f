"""Inputs that once came out wrong, each with what has to come of it. Found by fuzzing, then made as small as they get."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.mp4_boxes import FTYP, box, full_box, moov, sample_boxes, sample_entry, stsd, track


@dataclass(frozen=True)
class Case:
    """One file."""

    make: Callable[[], bytes]
    was_wrong: str
    outcome: str
    """As `invariants.check` says it."""


def file_of(boxes: dict[str, bytes], *, media: bytes = bytes(200)) -> bytes:
    """mdat, whose payload starts at byte 32, then moov."""
    return FTYP + box(b"mdat", media) + moov(track(boxes))


def tables(sizes: list[int], chunks: list[int], offsets: list[int], **others: bytes) -> dict[str, bytes]:
    return sample_boxes(sizes, chunks, offsets, [512] * len(sizes)) | others


def far_composition_offset() -> bytes:
    """The third of four pictures is shown 2^31 ticks before the others."""
    ctts = full_box(b"ctts", 1, struct.pack(">IIiIiIi", 3, 2, 0, 1, 3000 - (1 << 31), 1, 0))
    return file_of(tables([4] * 4, [4], [32], ctts=ctts))


def description_to_the_end_of_its_container() -> bytes:
    """The stsd box has size 0: it ends where stbl ends. In a clip other boxes lie behind it."""
    boxes = tables([10] * 4, [4], [40])
    description = boxes.pop("stsd")
    return file_of(boxes | {"stsd": bytes(4) + description[4:]})


def pictures_of_no_width() -> bytes:
    return file_of(tables([10], [1], [40], stsd=stsd(sample_entry(width=0))))


def rate_of_billions() -> bytes:
    """One tick a frame, and 2^31 - 1 ticks a second."""
    boxes = tables([10] * 2, [2], [40], stts=full_box(b"stts", 0, struct.pack(">III", 1, 2, 1)))
    return FTYP + box(b"mdat", bytes(200)) + moov(track(boxes, timescale=(1 << 31) - 1))


def samples_of_no_bytes() -> bytes:
    return file_of(tables([0] * 3, [3], [40]))


def one_place_with_two_descriptions() -> bytes:
    """The second and the third sample are the same bytes, of different descriptions."""
    both = stsd(sample_entry(), sample_entry())
    changing = full_box(b"stsc", 0, struct.pack(">I6I", 2, 1, 2, 1, 2, 2, 2))
    return file_of(tables([10] * 4, [2, 2], [40, 50], stsd=both, stsc=changing))


def last_description_to_the_end_of_its_box() -> bytes:
    """Size 0: it ends where the stsd box ends. Samples use it before the other one."""
    entry = sample_entry()
    both = stsd(entry, bytes(4) + entry[4:])
    changing = full_box(b"stsc", 0, struct.pack(">I6I", 2, 1, 2, 2, 2, 2, 1))
    return file_of(tables([10] * 4, [2, 2], [40, 70], stsd=both, stsc=changing))


def unprintable_codec() -> bytes:
    """Samples of two descriptions, one with a fourcc of zeros."""
    both = stsd(sample_entry(bytes(4)), sample_entry())
    changing = full_box(b"stsc", 0, struct.pack(">I6I", 2, 1, 1, 1, 2, 1, 2))
    return file_of(tables([10] * 2, [1, 1], [40, 50], stsd=both, stsc=changing))


def short_description() -> bytes:
    """A sample entry that ends before the fields of a VisualSampleEntry do."""
    return file_of(tables([10], [1], [40], stsd=stsd(sample_entry()[4:40].join([struct.pack(">I", 40), b""]))))


def box_after_the_entries() -> bytes:
    """The stsd box has one entry, and after it a box that is too small to be an entry."""
    payload = bytes(4) + struct.pack(">I", 1) + sample_entry() + box(b"url ", bytes(4))
    return file_of(tables([100, 100], [2], [32], stsd=box(b"stsd", payload)))


def thousands_of_tracks() -> bytes:
    """None of them video."""
    return FTYP + box(b"mdat", bytes(8)) + moov(track({}, handler=b"soun") * 3000)


CASES = {
    case.make.__name__: case
    for case in (
        Case(
            far_composition_offset,
            "clips had composition offsets of 2^31, which readers take for negative ones",
            "table",
        ),
        Case(description_to_the_end_of_its_container, "in clips it took in the boxes behind it", "clips"),
        Case(one_place_with_two_descriptions, "clips gave both samples the second one", "table"),
        Case(last_description_to_the_end_of_its_box, "clips with that entry in front lost the other one", "clips"),
        Case(unprintable_codec, "the refusal's message had the zeros in it", "SampleDescriptionError"),
        Case(short_description, "an entry without its fields was taken for one", "MalformedBoxError"),
        Case(pictures_of_no_width, "the index step took it, and the index called its own rows damaged", "table"),
        Case(rate_of_billions, "the index step took it, and the index called its own rows damaged", "table"),
        Case(
            samples_of_no_bytes, "the index step took it, and the index called its own rows damaged", "SampleTableError"
        ),
        Case(box_after_the_entries, "the index step took it, and the header of its clips was refused", "clips"),
        Case(thousands_of_tracks, "the refusal named every track, in 24 kB", "NoVideoTrackError"),
    )
}

"""Defects that show only when pictures are decoded: VID027, VID028."""

from pathlib import Path
from typing import Final

import pyarrow as pa

from episeek.stores.transports.local import LocalSource
from episeek_pipelines.video.header import read_video_header
from tests.broken import encoded
from tests.broken.case import AV1, Case
from tests.broken.videos import SINGLE, SINGLE_FRAMES
from tests.support.broken_datasets import edit_sidecar, patch


def overwrite_sample(root: Path, sample: int) -> None:
    """Overwrite the bytes of one sample; the header stays valid."""
    table = read_video_header(LocalSource(str(root)), SINGLE).table
    start, size = int(table.offset[sample]), int(table.size[sample])

    def overwrite(contents: bytearray) -> None:
        contents[start : start + size] = b"\xff" * size

    patch(root, SINGLE, overwrite)


def every_frame_a_keyframe(root: Path) -> None:
    """Call every sample a sync sample in the sidecars; the videos are as they were."""

    def change(samples: pa.Table) -> pa.Table:
        position = samples.schema.get_field_index("is_sync")
        return samples.set_column(position, samples.schema.field(position), pa.array([True] * len(samples)))

    edit_sidecar(root, "samples", change)


ALL: Final = {"decoded_episodes": None}
NUMBERED: Final = {"decoded_episodes": None, "burned_in_bits": 8}

CASES: Final = [
    Case("media bytes overwritten", AV1, "VID027 VID046", lambda r: overwrite_sample(r, 4), level="decode", options=ALL),
    Case("each picture one frame early", AV1, "VID027", lambda r: encoded.encode(
        r / SINGLE, encoded.moving(SINGLE_FRAMES, first_number=1)), level="decode", options=NUMBERED),
    Case("pictures as they should be", AV1, "", lambda r: encoded.encode(
        r / SINGLE, encoded.moving(SINGLE_FRAMES)), level="decode", options=NUMBERED),
    Case("every frame a keyframe by the sidecars", AV1, "IDX033 VID027", every_frame_a_keyframe,
         level="decode", indexed=True),
    Case("a camera that stalled", AV1, "VID028", lambda r: encoded.encode(
        r / SINGLE, encoded.stalled(SINGLE_FRAMES, 8, 27)), level="decode", options=ALL),
    Case("a camera of half the rate", AV1, "VID028", lambda r: encoded.encode(
        r / SINGLE, encoded.doubled(SINGLE_FRAMES)), level="decode", options=ALL),
]  # fmt: skip

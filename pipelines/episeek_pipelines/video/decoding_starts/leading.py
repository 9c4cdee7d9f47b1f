"""Find the pictures at the start of a file that no decoder shows, because they refer to samples that the file does not have.

A file cut out of a stream with open GOPs starts with such pictures: they follow sample 0 in decode order, precede it in
presentation order, and refer to the group of pictures before sample 0. The header does not mark these pictures.

- In H.264 all leading pictures are skipped. An IDR picture cannot have leading pictures, so a file whose times show pictures before
  an IDR picture at its start is refused.
- In HEVC (ITU-T H.265, 7.4.2.2) and VVC (ITU-T H.266, 7.4.2.2) the type of the NAL unit distinguishes skipped leading pictures
  (RASL) from decodable ones (RADL).

Skipped pictures stay in the sample table and are not presented.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from episeek.errors import SampleTableError
from episeek.mp4.moov.sample_boxes import Int64Array
from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.video.bitstreams.h264 import H264
from episeek_pipelines.video.bitstreams.hevc import Hevc
from episeek_pipelines.video.bitstreams.sample import Codec, SampleContent
from episeek_pipelines.video.bitstreams.vvc import Vvc
from episeek_pipelines.words import counted


def leading_samples(table: SampleTable, codec: Codec) -> Int64Array:
    """Return the decode positions of the leading samples: samples before the next sync sample that are shown before sample 0.

    The result is empty for codecs other than H.264, HEVC and VVC.
    """
    if not isinstance(codec, H264 | Hevc | Vvc):
        return np.zeros(0, np.int64)
    later_sync = np.flatnonzero(table.is_sync[1:])
    stop = int(later_sync[0]) + 1 if len(later_sync) else len(table)
    leading: Int64Array = np.flatnonzero(table.is_presented[:stop] & (table.pts[:stop] < table.pts[0]))
    return leading


def without_skipped_pictures(
    table: SampleTable, codec: Codec, leading: Int64Array, contents: Mapping[int, SampleContent], *, where: str
) -> SampleTable:
    """Return the table with the skipped leading pictures of the first sample marked as not presented.

    Args:
        table: The sample table.
        codec: The `Codec` of the first sample.
        leading: Decode positions of the leading samples; not empty.
        contents: The content of sample 0 and of the leading samples, by position.
        where: The file, for messages.

    Raises:
        SampleTableError: H.264 samples have presentation times before an IDR picture at the start.
    """
    if isinstance(codec, H264):
        if contents[0].is_clean_start:
            found = f"{counted(len(leading), 'sample')} shown before sample 0, an IDR picture"
            raise SampleTableError(where, found, "composition offsets that show no sample before an IDR picture")
        skipped = leading
    else:
        skipped = leading[[contents[int(position)].is_skipped for position in leading]]
    is_presented = table.is_presented.copy()
    is_presented[skipped] = False
    return replace(table, is_presented=is_presented)

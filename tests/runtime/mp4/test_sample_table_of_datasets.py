"""Sample tables of real files are what FFmpeg reads from the same headers."""

import av
import numpy as np
import pytest

from episeek.mp4.header import read_header
from episeek.mp4.sample_table import parse_sample_table
from episeek.stores.transports.local import LocalSource
from tests.support.build_index import DATA, MP4_FILES


def test_there_are_files_to_read():
    assert len(MP4_FILES) == 42


@pytest.mark.parametrize("path", MP4_FILES)
def test_sample_table_agrees_with_pyav(path):
    header = read_header(LocalSource(str(DATA)), path)
    table = parse_sample_table(header.moov, file_size=header.file_size, where=path)
    with av.open((DATA / path).as_posix()) as container:
        stream = container.streams.video[0]
        entries = [(entry.pos, entry.size, bool(entry.is_keyframe)) for entry in stream.index_entries]
        packets = [(packet.pts, packet.duration) for packet in container.demux(stream) if packet.size]
        assert stream.time_base is not None
        facts = (1 / stream.time_base, stream.codec_context.codec_tag, stream.width, stream.height, stream.frames)
    assert entries == list(zip(table.offset.tolist(), table.size.tolist(), table.is_sync.tolist(), strict=True))
    assert packets == list(zip(table.pts.tolist(), table.duration.tolist(), strict=True))
    assert facts == (table.timescale, table.codec, table.width, table.height, len(table))
    assert table.is_presented.all()
    assert np.array_equal(table.dts, np.cumsum(table.duration) - table.duration)

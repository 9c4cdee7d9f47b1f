"""Any bytes are looked into without an exception, whatever the codec is, and in pieces as well as whole."""

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from episeek_pipelines.video.bitstreams.av1 import Av1
from episeek_pipelines.video.bitstreams.h264 import H264
from episeek_pipelines.video.bitstreams.hevc import Hevc
from episeek_pipelines.video.bitstreams.mjpeg import Mjpeg
from episeek_pipelines.video.bitstreams.mpeg2 import Mpeg2
from episeek_pipelines.video.bitstreams.mpeg4 import Mpeg4
from episeek_pipelines.video.bitstreams.sample import Codec, MissingBytesError, SampleBytes, SampleContent, State
from episeek_pipelines.video.bitstreams.vpx import Vp8, Vp9
from episeek_pipelines.video.bitstreams.vvc import Vvc
from tests.support.amount import examples

MAKERS: dict[str, Callable[[bytes], Codec]] = {
    "h264": lambda configuration: H264(bytes(4) + b"\xff" + configuration),
    "h264 start codes": lambda configuration: H264(None),
    "hevc": lambda configuration: Hevc(bytes(21) + b"\x03" + configuration),
    "vvc": lambda configuration: Vvc(bytes(4) + b"\xff" + configuration),
    "av1": lambda configuration: Av1(),
    "vp8": lambda configuration: Vp8(),
    "vp9": lambda configuration: Vp9(),
    "mpeg4": Mpeg4,
    "mpeg2": Mpeg2,
    "mjpeg": lambda configuration: Mjpeg(),
}

units = st.binary(max_size=12).map(lambda data: len(data).to_bytes(4, "big") + data)
codes = st.binary(max_size=8).map(lambda data: b"\0\0\1" + data)
segments = st.binary(max_size=20).map(lambda data: b"\xff\xdb" + (len(data) + 2).to_bytes(2, "big") + data)
samples = st.lists(units | codes | segments | st.binary(max_size=30), min_size=1, max_size=8).map(b"".join)


def in_pieces(codec, data: bytes) -> SampleContent:
    sample = SampleBytes(len(data), data[:1])
    for _ in range(4 * len(data) + 8):
        try:
            return codec.inspect(sample)
        except MissingBytesError as missing:
            sample.add(missing.start, data[missing.start : missing.stop])
    raise AssertionError("the same bytes are wanted again and again")


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=examples(60), deadline=None)
@given(data=samples.filter(len), configuration=st.binary(max_size=40))
@example(data=b"\0\0\0\1\x67", configuration=b"\xe1\0\4\x67\x42\0\x0a")
def test_any_bytes_are_looked_into(name, data, configuration):
    codec = MAKERS[name](configuration)
    state: State = {}
    whole = codec.inspect(SampleBytes(len(data), data))
    for unit in (*codec.entry_units(), *whole.before, *whole.after):
        codec.apply(state, unit)
    assert in_pieces(codec, data) == whole
    assert isinstance(codec.encode(tuple(unit for chain in codec.relevant(state).values() for unit in chain)), bytes)

"""The same samples in another container, by stream copy with PyAV."""

import io
from pathlib import Path
from typing import Literal

import av

Container = Literal["fragmented", "fragmented-hybrid", "matroska"]

_MUXERS: dict[Container, tuple[str, dict[str, str]]] = {
    "fragmented": ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "fragmented-hybrid": ("mp4", {"movflags": "frag_keyframe"}),  # the first samples are in moov
    "matroska": ("matroska", {}),
}


def remux(path: Path, container: Container) -> None:
    """Replace a file; its name, whatever it says, stays."""
    form, options = _MUXERS[container]
    target = io.BytesIO()
    with (
        av.open(path.as_posix()) as source,
        av.open(target, "w", format=form, options={"fflags": "+bitexact", **options}) as output,
    ):
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream, opaque=True)  # no encoder is needed
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    path.unlink()  # it may be a link
    path.write_bytes(target.getvalue())

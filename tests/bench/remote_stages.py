"""Where the client's CPU goes for one warm clip of one frame, step by step."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined]  # the package exports it without saying so

import episeek
from episeek.clip import Clip
from tests.bench.remote_dataset import CAMERA, Frame
from tests.bench.remote_run import Condition
from tests.servers.range_server import RangeServerProcess

ROUNDS = 5


def bench_stages(
    server: RangeServerProcess, index: episeek.ByteIndex, frames: Sequence[Frame], *, url: str, sidecars: Any
) -> Iterator[str]:
    """Lines of a table; each step is run alone, over all frames, one in flight, no latency."""
    near = Condition(0.0)
    server.shape(latency_seconds=near.latency_seconds, bits_per_second=near.bits_per_second)

    def make(frame: Frame) -> Clip:
        return index.clip(frame.episode_index, CAMERA, frame.frame_index, frame.frame_index + 1)

    def open_decoder(parts: tuple[bytes, bytes]) -> VideoDecoder:
        return VideoDecoder(parts[0], custom_frame_mappings=parts[1])

    def decode(parts: tuple[bytes, bytes]) -> None:
        decoder = open_decoder(parts)
        decoder.get_frames_in_range(len(decoder) - 1, len(decoder))

    clips = [make(frame) for frame in frames]
    payloads = [clip.fetch() for clip in clips]
    pairs = list(zip(clips, payloads, strict=True))
    parts = [(clip.mux(payload, "shown"), clip.frame_mappings()) for clip, payload in pairs]
    few = frames[:50]
    steps: list[tuple[str, Callable[[Any], Any], Sequence[Any]]] = [
        ("lookup of the episode", lambda f: index.lookup(f.episode_index, CAMERA), frames),
        ("clip: the samples needed (with the lookup)", make, frames),
        ("fetch, by obstore", Clip.fetch, clips),
        ("header of the clip", lambda pair: pair[0].mux(pair[1], "shown"), pairs),
        ("frame mappings", Clip.frame_mappings, clips),
        ("TorchCodec: open", open_decoder, parts),
        ("TorchCodec: open and decode", decode, parts),
        ("all of it, as index.clip(...).decode()", lambda f: make(f).decode(), frames),
        ("for comparison: opening the index", lambda _: episeek.open(sidecars, data_root=url), few),
    ]
    best = [float("inf")] * len(steps)
    for _ in range(ROUNDS):
        for number, (_, step, items) in enumerate(steps):
            best[number] = min(best[number], _cpu_ms(step, items))
    yield f"CPU of a warm clip of one frame, one in flight, ms; best of {ROUNDS} rounds over {len(frames)} frames"
    for (name, _, _), cpu_ms in zip(steps, best, strict=True):
        yield f"  {name:<44} {cpu_ms:>6.3f}"


def _cpu_ms(step: Callable[[Any], Any], items: Sequence[Any]) -> float:
    start = time.process_time()
    for item in items:
        step(item)
    return (time.process_time() - start) / len(items) * 1000

"""Clips, in every form and by every decoder, against the pictures and times of the whole file."""

from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

import av
import numpy as np

import episeek
from episeek import BackendUnavailableError, Clip, DecodeError
from episeek.decode import Backend
from tests.oracle.picture_digest import array_digest
from tests.oracle.reference import Frame, decode_clip_with_pyav, torchcodec_pictures
from tests.oracle.verdict import Problems
from tests.support.one_file_index import CAMERA
from tests.support.whole_file import usable_backends

DECODED_BYTES = 512 << 20
"""`Clip.decode` returns all pictures at once: longer windows are decoded in pieces."""


def windows(count: int, wanted: int, seed: str) -> list[tuple[int, int]]:
    """Windows of `count` frames: both ends, all, one across the middle, and random ones of any scale."""
    random = Random(seed)
    middle = count // 2
    chosen = [(0, 1), (count - 1, count), (0, count), (max(middle - 2, 0), min(middle + 3, count))]
    for _ in range(wanted):
        length = min(int(count ** random.random()) + 1, count)
        start = random.randrange(count - length + 1)
        chosen.append((start, start + length))
    return list(dict.fromkeys(chosen))


@dataclass(slots=True, eq=False)
class Expected:
    """The file's frames in presentation order: what the decoders made of each, None where they made nothing."""

    ticks: list[int]
    """Ours, checked by `check_samples`."""
    pyav: list[Frame | None]
    torchcodec: list[bytes | None]
    has_torchcodec: bool


@dataclass(slots=True, eq=False)
class ClipCheck:
    """One file's clips."""

    index: episeek.ByteIndex
    expected: Expected
    problems: Problems
    uses_torchcodec: bool = True
    torchcodec_refusals: int = 0
    """Windows that TorchCodec itself does not decode."""
    undecodable_windows: int = 0
    """Windows with a frame that FFmpeg does not get out of the whole file."""
    uncompared: int = 0
    """Pictures of TorchCodec that it does not give for the whole file."""
    _name: str = field(default="", init=False)
    _has_auto: bool = field(default=False, init=False)

    def check(self, start: int, stop: int) -> None:
        """All forms of frames `[start, stop)`."""
        self._name = f"[{start},{stop})"
        clip = self._clip(start, stop)
        if clip is None:
            return
        self._check_ticks(clip)
        hidden, shown = clip.read("hidden"), clip.read("shown")
        frames = self._by_pyav(hidden, "hidden by PyAV", self._frames(clip))
        if frames is not None:
            self._check_hidden(clip, frames)
            frames = frames if shown == hidden else self._by_pyav(shown, "shown by PyAV", self._frames(clip))
        if frames is not None:
            self._check_shown(clip, frames)
        is_comparable = self.expected.has_torchcodec and None not in self._frames(clip)
        refused = is_comparable and self._check_plain_torchcodec(clip, shown)
        for first, last in self._pieces(start, stop):
            self._name = f"[{first},{last})"
            piece = clip if (first, last) == (start, stop) else self._clip(first, last)
            if piece is not None:
                refused |= self._check_decode(piece)
        self.torchcodec_refusals += refused

    def _clip(self, start: int, stop: int) -> Clip | None:
        try:
            return self.index.clip(0, CAMERA, start, stop)
        except episeek.EpiseekError as error:
            self._add(f"clip: {type(error).__name__}: {error}")
            return None

    def _pieces(self, start: int, stop: int) -> list[tuple[int, int]]:
        file = self.index.file(0)
        step = max(DECODED_BYTES // (3 * file.width * file.height), 1)
        return [(first, min(first + step, stop)) for first in range(start, stop, step)]

    def _add(self, problem: str) -> None:
        self.problems.add(f"{self._name} {problem}")

    def _frames(self, clip: Clip) -> list[Frame | None]:
        return self.expected.pyav[clip.start : clip.stop]

    def _check_ticks(self, clip: Clip) -> None:
        wanted = self.expected.ticks[clip.start : clip.stop]
        if (clip.frame_ticks - clip.frame_ticks[0]).tolist() != [tick - wanted[0] for tick in wanted]:
            self._add("frame_ticks: other times")

    def _by_pyav(self, mp4: bytes, form: str, wanted: list[Frame | None]) -> list[tuple[int, bytes]] | None:
        """None where decoding fails; frames that do not come out of the whole file either may fail."""
        try:
            return decode_clip_with_pyav(mp4)
        except (av.error.FFmpegError, IndexError) as error:
            if None not in wanted:
                self._add(f"{form}: {type(error).__name__}: {error}")
            return None

    def _check_hidden(self, clip: Clip, frames: list[tuple[int, bytes]]) -> None:
        """Nothing but the wanted frames, from time 0."""
        ticks = self.expected.ticks[clip.start : clip.stop]
        pairs = [(tick - ticks[0], frame) for tick, frame in zip(ticks, self._frames(clip), strict=True)]
        wanted = [(tick, frame.native) for tick, frame in pairs if frame is not None]
        unknown = {tick for tick, frame in pairs if frame is None}
        frames = [(tick, digest) for tick, digest in frames if tick not in unknown]
        if frames == wanted:
            return
        times, wanted_times = [tick for tick, _ in frames], [tick for tick, _ in wanted]
        if len(times) != len(wanted_times):
            self._add(f"hidden by PyAV: {len(times)} frames, not {len(wanted)}")
        elif times != wanted_times:
            self._add(f"hidden by PyAV: times {_first_difference(times, wanted_times)}")
        else:
            wrong = [rank for rank, (ours, theirs) in enumerate(zip(frames, wanted, strict=True)) if ours != theirs]
            self._add(f"hidden by PyAV: {len(wrong)} other pictures, frame {clip.start + wrong[0]} first")

    def _check_shown(self, clip: Clip, frames: list[tuple[int, bytes]]) -> None:
        """The wanted frames among others."""
        there = dict(frames)
        origin = int(clip.samples.pts.min())
        for rank, (tick, frame) in enumerate(zip(clip.frame_ticks.tolist(), self._frames(clip), strict=True)):
            if frame is not None and there.get(tick - origin) != frame.native:
                what = "another picture" if tick - origin in there else "no picture"
                self._add(f"shown by PyAV: {what} for frame {clip.start + rank}")
                return

    def _check_plain_torchcodec(self, clip: Clip, shown: bytes) -> bool:
        """Without this project's own decoding, with and without its mapping; returns whether TorchCodec refused."""
        from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined]  # exported without saying so

        refused = False
        first = int((clip.samples.pts < clip.frame_ticks[0]).sum())
        options: dict[str, dict[str, Any]] = {
            "exact": {"seek_mode": "exact"},
            "with mappings": {"custom_frame_mappings": clip.frame_mappings()},
        }
        for form, arguments in options.items():
            try:
                decoder = VideoDecoder(shown, **arguments)
                pictures = list(torchcodec_pictures(decoder, first, first + clip.frame_count))
            except (RuntimeError, ValueError, IndexError):
                refused = True
                continue
            digests = [digest for _, digest in pictures]
            if len(digests) != clip.frame_count:
                self._add(f"shown by TorchCodec {form}: {len(digests)} frames, not {clip.frame_count}")
                continue
            ticks = [round(Fraction(seconds) * clip.timescale) for seconds, _ in pictures]
            wanted = (clip.frame_ticks - clip.samples.pts.min()).tolist()
            if ticks != wanted:
                self._add(f"shown by TorchCodec {form}: times {_first_difference(ticks, wanted)}")
            self._compare_torchcodec(clip, digests, f"shown by TorchCodec {form}")
        return refused

    def _compare_torchcodec(self, clip: Clip, digests: list[bytes], form: str) -> None:
        wanted = self.expected.torchcodec[clip.start : clip.stop]
        self.uncompared += wanted.count(None)
        pairs = zip(digests, wanted, strict=True)
        wrong = [rank for rank, (ours, theirs) in enumerate(pairs) if theirs is not None and ours != theirs]
        if wrong:
            self._add(f"{form}: {len(wrong)} other pictures, frame {clip.start + wrong[0]} first")

    def _check_decode(self, clip: Clip) -> bool:
        """`Clip.decode` with each backend; returns whether TorchCodec refused."""
        frames = [frame for frame in self._frames(clip) if frame is not None]
        self.undecodable_windows += len(frames) < clip.frame_count
        # pictures of several sizes are no array: that has a name
        is_decodable = len(frames) == clip.frame_count and len({frame.size for frame in frames}) == 1
        by_pyav = self._decode(clip, "pyav", must_work=is_decodable)
        if by_pyav is not None:
            self._compare_pyav(clip, by_pyav, "decode pyav")
        is_installed = self.uses_torchcodec and "torchcodec" in usable_backends()
        by_torchcodec = self._decode(clip, "torchcodec", must_work=False) if is_installed else None
        if by_torchcodec is not None:
            self._compare_torchcodec(clip, list(map(array_digest, by_torchcodec)), "decode torchcodec")
        # a decoder that has decoded other clips before, of this file and of others
        by_packets = self._decode(clip, "packets", must_work=False)
        if by_packets is not None:
            self._compare_pyav(clip, by_packets, "decode packets")
        # "auto" is one of these, and which one depends on the file alone
        by_auto = None if self._has_auto else self._decode(clip, "auto", must_work=is_decodable)
        self._has_auto |= is_decodable
        if by_auto is not None and by_packets is None and by_torchcodec is not None:
            self._compare_torchcodec(clip, list(map(array_digest, by_auto)), "decode auto")
        elif by_auto is not None:
            self._compare_pyav(clip, by_auto, "decode auto")
        return is_installed and by_torchcodec is None

    def _decode(self, clip: Clip, backend: Backend, *, must_work: bool) -> Any:
        """Pictures as a numpy array, None when the decoder refused."""
        try:
            decoded = clip.decode(backend)
        except (DecodeError, BackendUnavailableError) as error:  # the latter: depth, which only PyAV keeps
            if must_work:
                self._add(f"decode {backend}: {error}")
            return None
        if not np.array_equal(decoded.pts_seconds, clip.pts_seconds):
            self._add(f"decode {backend}: times {decoded.pts_seconds[:3].tolist()}")
        pictures = np.asarray(decoded.data)
        if len(pictures) != clip.frame_count:
            self._add(f"decode {backend}: {len(pictures)} pictures, not {clip.frame_count}")
            return None
        return pictures

    def _compare_pyav(self, clip: Clip, pictures: Any, form: str) -> None:
        wrong = [
            rank
            for rank, (ours, frame) in enumerate(zip(pictures, self._frames(clip), strict=True))
            if frame is not None and array_digest(ours) != (frame.gray if ours.dtype == np.uint16 else frame.rgb)
        ]
        if wrong:
            self._add(f"{form}: {len(wrong)} other pictures, frame {clip.start + wrong[0]} first")


def _first_difference(found: list[int], wanted: list[int]) -> str:
    rank = next((rank for rank, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), -1)
    return f"differ at frame {rank} of the window: {found[rank]}, not {wanted[rank]}"

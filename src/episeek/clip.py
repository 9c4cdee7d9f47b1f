"""Clips: some frames of one episode and camera, as a complete MP4 made from one range of bytes.

The lead-in consists of the frames before `start` that decoding needs. The MP4 has two forms. The *hidden* form is for players, PyAV
and files on disk: an edit list hides the lead-in. The *shown* form is for TorchCodec, which ignores edit lists when it counts
frames: every sample is presented. If the range contains only the wanted frames, both forms are the same bytes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from episeek.decode import (
    EVERY_BIT,
    USE_PYAV,
    Backend,
    DecodedFrames,
    PictureArray,
    PutPicture,
    as_tensor,
    choose_backend,
    decode_with_pyav,
    decode_with_torchcodec,
    torch_is_installed,
)
from episeek.errors import BackendUnavailableError, DecodeError, FrameRangeError, ShortReadError
from episeek.mp4.clip_header import ClipSamples, TrackProperties, clip_header
from episeek.mp4.moov.sample_description import VisualSampleEntry, read_entries
from episeek.stores.byte_source import ByteRange, ByteSource

_NEVER_DEPTH = frozenset({"vp08", "vp09", "mp4v", "jpeg", "mjpa", "mjpb"})
"""Codecs that cannot code monochrome pictures of more than 8 bits. For other codecs, the sample entry or the decoder says whether
a video has such pictures."""

_KEPT_CODECS = frozenset({"avc1", "avc3", "hvc1", "hev1", "av01", "vp09"})
"""Codecs whose samples can be passed to a decoder unchanged: no demuxer has to split or join them."""

LeadIn = Literal["hidden", "shown"]


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames `[start, stop)` of one episode and camera. Made by `ByteIndex.clip`; `read` and `decode` fetch the bytes."""

    episode_index: int
    camera_key: str
    start: int
    """Number of the first frame, counted from the start of the episode."""
    stop: int
    """Number of the frame after the last one, counted from the start of the episode."""
    file_path: str
    byte_range: ByteRange
    """The bytes that are fetched: offsets `[start, stop)` in the file."""
    samples: ClipSamples
    """The samples in the range, in decode order. Their presentation times count from frame 0 of the episode."""
    frame_ticks: npt.NDArray[np.int64]
    """Presentation times of the wanted frames, ticks from frame 0 of the episode, shape [frame_count]."""
    end_tick: int
    """End of the last wanted frame, ticks from frame 0 of the episode."""
    track: TrackProperties
    source: ByteSource

    @property
    def frame_count(self) -> int:
        """Number of frames in `[start, stop)`, without the lead-in, the frames before `start` that decoding needs."""
        return self.stop - self.start

    @property
    def timescale(self) -> int:
        """Ticks per second."""
        return self.track.timescale

    @property
    def _last_end(self) -> int:
        """End of the last sample in presentation order, in ticks.

        If this sample is not the last wanted frame, its end is estimated from the frame rate, since the clip does not contain the
        next sample.
        """
        last = int(self.samples.pts.max())
        return self.end_tick if last == self.frame_ticks[-1] else last + self.track.frame_duration

    @cached_property
    def pts_seconds(self) -> npt.NDArray[np.float64]:
        """Presentation times of the wanted frames, seconds from the first one, shape [frame_count]."""
        seconds: npt.NDArray[np.float64] = (self.frame_ticks - self.frame_ticks[0]) / self.timescale
        # all callers share one array
        seconds.setflags(write=False)
        return seconds

    def _sample_entry(self) -> VisualSampleEntry:
        """Return the first sample entry; all entries agree in codec, picture size and bit depth."""
        return _entries(self.track.sample_description)[0]

    def __repr__(self) -> str:
        start, stop = self.byte_range
        return (
            f"Clip(episode {self.episode_index}, {self.camera_key!r}, frames [{self.start}, {self.stop}), "
            f"{len(self.samples.size)} samples in {stop - start} bytes at {start} of {self.file_path!r})"
        )

    def fetch(self) -> bytes:
        """Fetch and return the bytes of `byte_range` with one request.

        Raises:
            ChangedFileError, MissingFileError, ReadError: As for `read`.
        """
        return self.source.get_ranges(self.file_path, [self.byte_range])[0]

    def read(self, lead_in: LeadIn = "hidden") -> bytes:
        """Fetch the bytes with one request, and return a standalone MP4 of these frames, without re-encoding.

        Args:
            lead_in: "hidden" presents only the wanted frames, from time 0; "shown" presents every sample in the range,
                from time 0.

        Raises:
            ChangedFileError: The file is not the one that was indexed.
            MissingFileError, ReadError: The file does not exist or cannot be read.
        """
        _check_form(lead_in)
        return self.mux(self.fetch(), lead_in)

    def mux(self, payload: bytes | memoryview, lead_in: LeadIn = "hidden") -> bytes:
        """Return the MP4 of `read` from bytes that were already fetched.

        Args:
            payload: The bytes of `byte_range`.
            lead_in: As for `read`.

        Raises:
            ShortReadError: `payload` has another length than `byte_range`.
        """
        self._check_length(payload)
        _check_form(lead_in)
        pts = self.samples.pts
        if lead_in == "hidden":
            shown_from, shown_until = int(self.frame_ticks[0]), self.end_tick
        else:
            shown_from, shown_until = int(pts.min()), self._last_end
        header = clip_header(
            self.samples,
            self.track,
            payload_bytes=len(payload),
            shown_from=shown_from,
            shown_until=shown_until,
            last_end=self._last_end,
        )
        return b"".join((header, payload))

    def frame_mappings(self) -> bytes:
        """Return TorchCodec's `custom_frame_mappings`, JSON with pts, duration and key_frame of every sample.

        They describe the MP4 that `read` returns with `lead_in="shown"`. Samples are in presentation order, and times are ticks
        of the clip's timescale, from 0. The mappings always cover all samples: with some of them missing, TorchCodec would
        return wrong frames without an error.
        """
        order = np.argsort(self.samples.pts, kind="stable")
        pts = self.samples.pts[order]
        duration = np.diff(pts, append=self._last_end)
        frames = zip((pts - pts[0]).tolist(), duration.tolist(), self.samples.is_sync[order].tolist(), strict=True)
        document = {
            "frames": [{"pts": time, "duration": length, "key_frame": int(key)} for time, length, key in frames]
        }
        return json.dumps(document, separators=(",", ":")).encode()

    def decode(
        self,
        backend: Backend = "auto",
        *,
        device: str = "cpu",
        frames: Sequence[int] | npt.NDArray[np.int64] | None = None,
    ) -> DecodedFrames:
        """Fetch and decode the wanted frames, or some of them.

        Pictures are rotated by quarter turns, as the matrix of the track says.

        Args:
            backend: "packets" feeds the samples to a decoder of PyAV that stays open from clip to clip. "torchcodec" and "pyav"
                open the clip as a file. "auto" uses "packets" on the CPU for the usual codecs, otherwise "torchcodec" if it can be
                imported, otherwise "pyav". On the CPU, "auto" also uses "pyav" for depth, and if another backend fails.
            device: The device on which TorchCodec puts the pictures, for example "cuda". PyAV decodes only on the CPU.
            frames: The frames to return, counted from `start`, ascending; None for all. Earlier frames of the clip are decoded,
                too, but only the given frames are converted and returned.

        Returns:
            `.data` uint8 [frame_count, 3, height, width], RGB: a torch tensor from TorchCodec, a numpy array from "packets" and
            "pyav" (with "auto", a tensor if torch is installed). For monochrome video of more than 8 bits, as used for depth:
            uint16 [frame_count, 1, height, width], the encoded values.
            `.pts_seconds` float64 [frame_count], from the first frame of the clip.

        Raises:
            BackendUnavailableError: The decoder is not installed, or cannot decode the clip. For example, TorchCodec returns only
                8 bits per value.
            DecodeError: The decoder failed, or returned other frames than the sidecars describe.
            FrameRangeError: `frames` is empty or not ascending, or contains a frame that is not in the clip.
            ChangedFileError, MissingFileError, ReadError: As for `read`.
        """
        # a wrong argument is refused before anything is fetched
        choose_backend(backend, device, can_be_kept=self._can_be_kept)
        chosen = self._positions(frames)
        pictures = self._pictures(self.fetch(), chosen, backend, device)
        if backend == "auto" and isinstance(pictures, np.ndarray) and torch_is_installed():
            pictures = as_tensor(pictures)
        return DecodedFrames(pictures, (self.frame_ticks[chosen] - self.frame_ticks[0]) / self.timescale)

    def decode_payload(
        self,
        payload: bytes | memoryview,
        backend: Backend = "auto",
        *,
        device: str = "cpu",
        frames: Sequence[int] | npt.NDArray[np.int64] | None = None,
    ) -> Any:
        """Return the pictures of `decode` from bytes that were already fetched: a tensor from TorchCodec, otherwise an array.

        Args:
            payload: The bytes of `byte_range`.
            backend: As for `decode`.
            device: As for `decode`.
            frames: As for `decode`.

        Raises:
            ShortReadError: `payload` has another length than `byte_range`.
            BackendUnavailableError, DecodeError, FrameRangeError: As for `decode`.
        """
        return self._pictures(payload, self._positions(frames), backend, device)

    def decode_into(
        self,
        put: PutPicture,
        payload: bytes | memoryview,
        *,
        frames: Sequence[int] | npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Decode the pictures of `decode_payload` on the CPU, and pass them to `put` one by one instead of returning one array.

        Args:
            put: Called with the rank of a picture among the wanted frames, from 0, and the picture [height, width, channels]. It
                is called again for the same rank if a decoder fails and another decoder is tried.
            payload: As for `decode_payload`.
            frames: As for `decode`.

        Raises:
            ShortReadError, BackendUnavailableError, DecodeError, FrameRangeError: As for `decode_payload`.
        """
        tensor = self._decode(payload, self._positions(frames), put, "auto", "cpu")
        if tensor is not None:
            for rank, picture in enumerate(tensor.permute(0, 2, 3, 1).numpy()):
                put(rank, picture)

    def _pictures(
        self, payload: bytes | memoryview, positions: npt.NDArray[np.int64], backend: Backend, device: str
    ) -> Any:
        """Return the wanted pictures: a tensor from TorchCodec, otherwise an array."""
        pictures = PictureArray(len(positions))
        tensor = self._decode(payload, positions, pictures.put, backend, device)
        return pictures.data if tensor is None else tensor

    def _decode(
        self,
        payload: bytes | memoryview,
        positions: npt.NDArray[np.int64],
        put: PutPicture,
        backend: Backend,
        device: str,
    ) -> Any:
        """Return a tensor of the wanted pictures if TorchCodec decodes them. Otherwise pass them to `put` and return None."""
        self._check_length(payload)
        chosen = choose_backend(backend, device, can_be_kept=self._can_be_kept)
        entry = self._sample_entry()
        is_depth = entry.pictures is not None and entry.pictures.is_depth
        if is_depth and chosen == "torchcodec" and (backend != "auto" or device != "cpu"):
            found = f"monochrome pictures of more than 8 bits with backend={backend!r}, device={device!r}"
            raise BackendUnavailableError(repr(self), found, EVERY_BIT, USE_PYAV)
        if chosen == "packets":
            try:
                self._decode_packets(payload, positions, put)
                return None
            except DecodeError:
                if backend != "auto":
                    raise
        elif chosen == "torchcodec" and not is_depth:
            try:
                return self._decode_with_torchcodec(payload, positions, entry, device)
            except (DecodeError, BackendUnavailableError):
                if backend != "auto" or device != "cpu":
                    raise
                # TorchCodec refuses depth that only the decoder notices, and FFmpeg 5 drops pictures after a recovery point when a
                # stream ends early. PyAV can decode both, and brings a newer FFmpeg.
        ticks = self.frame_ticks[positions] - int(self.samples.pts.min())
        decode_with_pyav(self.mux(payload, "shown"), ticks, put, is_depth=is_depth, where=repr(self))
        return None

    @property
    def _can_be_kept(self) -> bool:
        """Whether a decoder that stays open from clip to clip gives the same pictures as one that is made for this clip."""
        return _can_be_kept(self.track.sample_description)

    def _check_length(self, payload: bytes | memoryview) -> None:
        wanted_bytes = self.byte_range[1] - self.byte_range[0]
        if len(payload) != wanted_bytes:
            expected = f"{wanted_bytes} bytes from offset {self.byte_range[0]}"
            raise ShortReadError(self.file_path, f"{len(payload)} bytes", expected)

    def _positions(self, frames: Sequence[int] | npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64]:
        if frames is None:
            return np.arange(self.frame_count)
        positions = np.asarray(frames, np.int64)
        if (
            not len(positions)
            or positions[0] < 0
            or positions[-1] >= self.frame_count
            or (np.diff(positions) <= 0).any()
        ):
            found = f"frames {list(frames)[:5]}"
            raise FrameRangeError(repr(self), found, f"ascending numbers from 0 to {self.frame_count - 1}")
        return positions

    def _decode_packets(self, payload: bytes | memoryview, positions: npt.NDArray[np.int64], put: PutPicture) -> None:
        from episeek.kept_decoders import decode_packets

        decode_packets(
            lambda: self.mux(payload, "shown"),
            self.track.sample_description + self.track.matrix,
            self.samples,
            payload,
            self.frame_ticks[positions],
            put,
            timescale=self.timescale,
            where=repr(self),
        )

    def _decode_with_torchcodec(
        self, payload: bytes | memoryview, positions: npt.NDArray[np.int64], entry: VisualSampleEntry, device: str
    ) -> Any:
        ticks = self.frame_ticks[positions[0] : positions[-1] + 1]
        origin = int(self.samples.pts.min())
        data = decode_with_torchcodec(
            self.mux(payload, "shown"),
            self.frame_mappings(),
            first_frame=int((self.samples.pts < ticks[0]).sum()),
            expected_seconds=(ticks - origin) / self.timescale,
            time_base_seconds=1 / self.timescale,
            device=device,
            may_be_depth=entry.pictures is None and entry.codec not in _NEVER_DEPTH,
            where=repr(self),
        )
        return data if len(ticks) == len(positions) else data[positions - positions[0]]


@lru_cache(maxsize=64)
def _entries(sample_description: bytes) -> tuple[VisualSampleEntry, ...]:
    return read_entries(sample_description, where="the sample description in the sidecars")


@lru_cache(maxsize=64)
def _can_be_kept(sample_description: bytes) -> bool:
    entries = _entries(sample_description)
    pictures = entries[0].pictures
    if entries[0].codec not in _KEPT_CODECS or len(entries) != 1 or pictures is None or pictures.is_depth:
        return False
    # for 4:4:4 pictures of some encoders, decoders need the encoder's version, which only an earlier sample gives
    return not (entries[0].codec in ("avc1", "avc3") and pictures.subsampling == "444")


def _check_form(lead_in: str) -> None:
    if lead_in not in ("hidden", "shown"):
        raise ValueError(f"lead_in: found {lead_in!r}; expected 'hidden' or 'shown'")

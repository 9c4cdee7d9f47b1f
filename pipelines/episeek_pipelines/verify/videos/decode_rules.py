"""Check the decoded pictures of whole episodes: wrong pictures (VID027), and frozen or repeated pictures (VID028).

These rules run at the level `decode`. The bytes of each chosen episode are fetched with one range request, and decoded as the clip
that readers get. Decoders often return pictures of damaged H.264 and HEVC without an error, while dav1d reports damage in AV1.
Therefore pictures are also compared with two independent sources: the numbers burned into them, and the pictures that FFmpeg
decodes from the whole file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from episeek.clip import Clip
from episeek.errors import EpisodeFramesError
from episeek.stores.byte_source import ByteSource
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded
from episeek_pipelines.verify.findings.strips import Strip, StripRange
from episeek_pipelines.verify.rules import DECODED, FROZEN
from episeek_pipelines.verify.videos.episode_clip import episode_clip
from episeek_pipelines.verify.videos.frames import HALF_FRAME, ParsedVideo, has_other_rate
from episeek_pipelines.verify.videos.picture_changes import PictureChanges
from episeek_pipelines.verify.videos.picture_reader import (
    PictureError,
    burned_in_number,
    decode_clip,
    picture_digest,
)
from episeek_pipelines.verify.videos.reference import EpisodeReference, FileReference
from episeek_pipelines.words import counted


@dataclass(slots=True)
class _DecodedClip:
    """The results of decoding the clip of one episode, without the pictures. Frames are numbered within the episode."""

    is_decoded: list[bool]
    """Whether each frame was decoded; shape [frames]."""
    error: str = ""
    error_frame: int = 0
    """The frame at which the decoder was when the error happened, approximately."""
    stray_ticks: list[int | None] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    sizes: list[tuple[int, tuple[int, int]]] = field(default_factory=list)
    """(frame, (width, height)) of each picture whose size differs from the header."""
    numbers: list[tuple[int, int | None]] = field(default_factory=list)
    """(frame, number) of each picture with a wrong burned-in number; None for a picture that is too small for a number."""
    digests: dict[int, bytes] = field(default_factory=dict)
    """Digests of the pictures, by frame."""

    @property
    def count(self) -> int:
        """The number of frames that were decoded."""
        return sum(self.is_decoded)


def check_pictures(
    context: VerificationContext,
    file: VideoFile,
    video: ParsedVideo,
    source: ByteSource,
    positions: Sequence[int],
    reference: FileReference | EpisodeReference,
    *,
    burned_in_bits: int | None = None,
) -> Iterator[Finding]:
    """Yield VID027 and VID028 for the given episodes of a file. If the check of an episode fails, the other episodes are checked.

    Args:
        context: The dataset.
        file: The file and its episodes.
        video: Its parsed header.
        source: The byte source; one range is fetched for each episode.
        positions: Positions of the episodes in the arrays of `file`.
        reference: A `FileReference`, with which the pictures of the episodes are compared, or an `EpisodeReference`, to which the
            pictures are added.
        burned_in_bits: The number of bits of the burned-in frame numbers; None if the pictures have no such numbers.
    """
    for position in positions:
        where = Location(file.path, int(file.episode_index[position]), file.camera_key)
        findings: list[Finding] = []
        with guarded(findings, "decode", where):
            findings.extend(_check_episode(context, file, video, source, position, reference, burned_in_bits, where))
        yield from findings


def _check_episode(
    context: VerificationContext,
    file: VideoFile,
    video: ParsedVideo,
    source: ByteSource,
    position: int,
    reference: FileReference | EpisodeReference,
    burned_in_bits: int | None,
    where: Location,
) -> Iterator[Finding]:
    # VID024 reports an episode with too few frames, and an episode whose frames are uncertain.
    held = int(video.view.stop[position] - video.view.first[position])
    if held <= 0:
        return
    strips = StripRange(int(video.view.first[position]), int(video.view.stop[position]))
    try:
        clip = episode_clip(file, video, source, position)
    except EpisodeFramesError as error:
        yield finding(DECODED, error.found, error.expected, where)
        return
    # If the file has another rate, INF002 reports this once for the whole file.
    if not has_other_rate(video.view, fps=context.info.fps):
        yield from _check_times(clip, context.info.fps, where)
    changes = PictureChanges(fps=context.info.fps)
    decoded = _decode(clip, burned_in_bits, changes)
    yield from _check_decoded(clip, decoded, strips, where)
    if burned_in_bits is not None:
        yield from _check_numbers(decoded, burned_in_bits, strips, where)
    first = int(video.view.first[position])
    digests = {first + frame: digest for frame, digest in decoded.digests.items()}
    if isinstance(reference, EpisodeReference):
        reference.add(digests)
    if not decoded.error and decoded.count == held:
        if isinstance(reference, FileReference):
            yield from _check_file_pictures(video, digests, first, reference, strips, where)
        yield from _check_changes(changes, context.info.fps, strips, where)


def _decode(clip: Clip, bits: int | None, changes: PictureChanges) -> _DecodedClip:
    """Decode a clip one picture at a time, and pass each picture to `changes`.

    Args:
        clip: The clip.
        bits: The number of bits of the burned-in frame numbers; None to read no numbers.
        changes: Measures the changes between the pictures.
    """
    origin = int(clip.samples.pts.min())
    ticks = (clip.frame_ticks - origin).tolist()
    frame_of_tick = {tick: number for number, tick in enumerate(ticks)}
    lead_in = set((clip.samples.pts - origin).tolist()) - frame_of_tick.keys()
    size = (clip.track.width, clip.track.height)
    decoded = _DecodedClip([False] * len(ticks))
    try:
        for picture in decode_clip(clip.read("shown")):
            frame = frame_of_tick.get(picture.pts) if picture.pts is not None else None
            if frame is None or decoded.is_decoded[frame]:
                if frame is not None or picture.pts not in lead_in:
                    decoded.stray_ticks.append(picture.pts)
                continue
            decoded.is_decoded[frame] = True
            if picture.is_corrupt:
                decoded.damaged.append(frame)
            if (picture.width, picture.height) != size:
                decoded.sizes.append((frame, (picture.width, picture.height)))
            if bits is not None:
                number = burned_in_number(picture, bits)
                if number != frame % (1 << bits):
                    decoded.numbers.append((frame, number))
            decoded.digests[frame] = picture_digest(picture)
            changes.add(picture)
    except PictureError as error:
        at = ""
        if error.pts is not None:
            frame = int(np.searchsorted(clip.frame_ticks - origin, error.pts, side="right")) - 1
            at = f" near frame {frame}" if frame >= 0 else " before frame 0"
            decoded.error_frame = max(frame, 0)
        decoded.error = f"a decoder error{at}: {error.message}"
    return decoded


def _check_times(clip: Clip, fps: float, where: Location) -> Iterator[Finding]:
    """Yield VID027 if the header shows a frame k more than half a frame before or after k/fps.

    `_check_decoded` checks that the decoded pictures have the times of the header.
    """
    off = np.abs(clip.frame_ticks / clip.timescale * fps - np.arange(clip.frame_count))
    wrong = np.flatnonzero(off > HALF_FRAME)
    if len(wrong):
        frame = int(wrong[0])
        found = f"frame {frame} shown {clip.frame_ticks[frame] / clip.timescale:.6f} s after frame 0"
        yield finding(DECODED, found, f"{frame / fps:.6f} s", where, more=len(wrong) - 1)


def _check_decoded(clip: Clip, decoded: _DecodedClip, strips: StripRange, where: Location) -> Iterator[Finding]:
    count = clip.frame_count
    if decoded.error:
        found, strip = (
            f"{decoded.error}, after {counted(decoded.count, 'picture')}",
            _strip(strips, [decoded.error_frame]),
        )
        yield finding(DECODED, found, counted(count, "picture"), where, strip=strip)
    elif decoded.count < count:
        first = decoded.is_decoded.index(False)
        found = f"{decoded.count} decoded pictures, but none for frame {first} at tick {clip.frame_ticks[first]}"
        absent = [frame for frame, is_decoded in enumerate(decoded.is_decoded) if not is_decoded]
        yield finding(DECODED, found, f"{count}, one for each frame", where, strip=_strip(strips, absent))
    if decoded.stray_ticks:
        found = f"a picture at tick {decoded.stray_ticks[0]} of the clip, where the header has no frame"
        yield finding(DECODED, found, "pictures only at the header's times", where, more=len(decoded.stray_ticks) - 1)
    if decoded.damaged:
        yield finding(
            DECODED,
            f"frame {decoded.damaged[0]}, which the decoder marks as damaged",
            "undamaged pictures",
            where,
            more=len(decoded.damaged) - 1,
            strip=_strip(strips, decoded.damaged),
        )
    if decoded.sizes:
        frame, (width, height) = decoded.sizes[0]
        found = f"frame {frame} of {width}x{height} pixels"
        expected = f"{clip.track.width}x{clip.track.height}, as in the header"
        strip = _strip(strips, [other for other, _ in decoded.sizes])
        yield finding(DECODED, found, expected, where, more=len(decoded.sizes) - 1, strip=strip)


def _strip(strips: StripRange, frames: Sequence[int], *, is_compared: bool = False) -> Strip:
    """Return a strip of pictures around the first of the given frames. All given frames are marked in the strip.

    The pictures are decoded from the start of the episode.
    """
    return strips.around(frames[0], frames, start=0, is_compared=is_compared)


def _check_numbers(decoded: _DecodedClip, bits: int, strips: StripRange, where: Location) -> Iterator[Finding]:
    if not decoded.numbers:
        return
    frame, number = decoded.numbers[0]
    if number is None:
        found = f"frame {frame}, which is too small for {bits} burned-in bits"
    else:
        found = f"frame {frame} with the burned-in number {number}"
    strip = _strip(strips, [other for other, _ in decoded.numbers])
    more = len(decoded.numbers) - 1
    yield finding(DECODED, found, f"the number {frame % (1 << bits)}", where, more=more, strip=strip)


def _check_file_pictures(
    video: ParsedVideo,
    digests: dict[int, bytes],
    first: int,
    reference: FileReference,
    strips: StripRange,
    where: Location,
) -> Iterator[Finding]:
    """Yield VID027 if pictures of an episode differ from the pictures that FFmpeg decodes from the file.

    Args:
        video: The parsed header of the file.
        digests: The digests of the episode's pictures, by frame number within the file.
        first: The first frame of the episode within the file.
        reference: The pictures that FFmpeg decodes.
        strips: Makes the strips of pictures that illustrate the findings.
        where: The episode.
    """
    compared = reference.compare(digests)
    if compared.other:
        frame = compared.other[0]
        seconds = float(video.view.seconds[frame])
        found = f"frame {frame - first} with a different picture than the file has at {seconds:.6f} s"
        strip = _strip(strips, [other - first for other in compared.other], is_compared=True)
        yield finding(DECODED, found, reference.expected, where, more=len(compared.other) - 1, strip=strip)


def _check_changes(changes: PictureChanges, fps: float, strips: StripRange, where: Location) -> Iterator[Finding]:
    """Yield VID028 for frozen or repeated pictures while the scene moves, and for an episode in which no picture changes."""
    if changes.never_changes:
        found = f"{changes.picture_count} pictures, none of which differs from the first one"
        yield finding(FROZEN, found, "motion", where, strip=strips.spread())
        return
    if changes.frozen:
        run = changes.frozen[0]
        seconds = (run.stop - run.start) / fps
        found = f"frames {run.start} to {run.stop - 1} that show the same for {seconds:.2f} s, followed by a jump of the scene"
        strip = strips.around_run(run.start, run.stop)
        yield finding(FROZEN, found, "pictures that follow the scene", where, more=len(changes.frozen) - 1, strip=strip)
    if changes.repeats_frames:
        moving = changes.repeated_count + changes.moving_count
        found = f"{changes.repeated_count} of {moving} frames that repeat the previous picture although the scene moves"
        strip = strips.around(changes.repeats[0], changes.repeats)
        yield finding(FROZEN, found, "a new picture for each frame", where, strip=strip)

"""Rules over decoded pictures: VID027 and VID028. The only ones that read media data; the level `decode` runs them.

Of each chosen episode the bytes are fetched with one range and decoded as the clip that readers get. What a decoder takes for
a picture is found wrong only where something else says so: the bits burned into it, or FFmpeg's own way through the whole
file. Damage in H.264 and HEVC often decodes without complaint; dav1d notices that of AV1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from episeek.clip import Clip
from episeek.errors import EpisodeFramesError
from episeek.stores.byte_source import ByteSource
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.rules import DECODED, FROZEN
from episeek_pipelines.verify.videos.episode_clip import episode_clip
from episeek_pipelines.verify.videos.frames import HALF_FRAME, ParsedVideo, has_other_rate
from episeek_pipelines.verify.videos.picture_changes import PictureChanges
from episeek_pipelines.verify.videos.picture_reader import (
    PictureError,
    burned_in_number,
    decode_clip,
    file_picture_digest,
    picture_digest,
)

REFERENCE_LEAD_SAMPLES = 32
"""How far in front of an episode FFmpeg's way through the whole file begins: a sync sample that is none shows there."""


@dataclass(slots=True)
class _Seen:
    """What decoding one clip gave, without its pictures; numbers are of frames within the episode."""

    is_there: list[bool]
    error: str = ""
    stray_ticks: list[int | None] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    sizes: list[tuple[int, tuple[int, int]]] = field(default_factory=list)
    """(frame, (width, height)) of those that have another size than the header says."""
    numbers: list[tuple[int, int | None]] = field(default_factory=list)
    """(frame, number read) of those that have another number burned in."""
    ends: dict[int, bytes] = field(default_factory=dict)
    """Digests of the first and the last frame."""

    @property
    def count(self) -> int:
        """Frames of the episode that were decoded."""
        return sum(self.is_there)


def choose_episodes(episode_index: Int64Array, options: VerifyOptions) -> Int64Array:
    """The episodes to decode, ascending: the first and the last one, and others by a hash of seed and episode.

    The same of the same episodes, in whatever order they come; at least two where there are two.
    """
    episodes = np.unique(episode_index).astype(np.int64, copy=False)
    wanted = options.decoded_episodes
    if wanted is None or len(episodes) <= max(wanted, 2):
        return episodes
    inner = episodes[1:-1]
    rank = _hashed(inner.astype(np.uint64) + _hashed(np.array([options.seed % (1 << 64)], np.uint64)))
    chosen = inner[np.argsort(rank, kind="stable")[: max(wanted - 2, 0)]]
    return np.sort(np.concatenate([episodes[:1], chosen, episodes[-1:]]))


def check_pictures(
    context: VerificationContext,
    file: VideoFile,
    video: ParsedVideo,
    source: ByteSource,
    positions: Sequence[int],
    *,
    burned_in_bits: int | None = None,
) -> Iterator[Finding]:
    """VID027 and VID028 of the episodes at `positions` of `file`; what is odd in one does not keep the others from it.

    Args:
        context: The dataset. Where the videos are local, each episode's first and last picture are also looked up in the
            whole file by FFmpeg, outside of `source`.
        file: The file and its episodes.
        video: Its header.
        source: What the header was read from; one range is fetched for each episode.
        positions: Into the episode arrays of `file`.
        burned_in_bits: As in `VerifyOptions`.
    """
    for position in positions:
        where = Location(file.path, int(file.episode_index[position]), file.camera_key)
        findings: list[Finding] = []
        with guarded(findings, "decode", where):
            findings.extend(_check_episode(context, file, video, source, position, burned_in_bits, where))
        yield from findings


def _check_episode(
    context: VerificationContext,
    file: VideoFile,
    video: ParsedVideo,
    source: ByteSource,
    position: int,
    burned_in_bits: int | None,
    where: Location,
) -> Iterator[Finding]:
    length = int(file.length[position])
    held = int(video.view.stop[position] - video.view.first[position])
    if held <= 0:
        yield finding(DECODED, f"no frame of the file is certain to be of this episode; expected {length}", where)
        return
    if held != length:
        yield finding(DECODED, f"{held} frames in the file; expected {length}, the episode's length", where)
    try:
        clip = episode_clip(file, video, source, position)
    except EpisodeFramesError as error:
        yield finding(DECODED, f"{error.found}; expected {error.expected}", where)
        return
    if not has_other_rate(video.view, fps=context.info.fps):  # INF002 says so, once
        yield from _check_times(clip, context.info.fps, where)
    changes = PictureChanges(fps=context.info.fps)
    seen = _decode(clip, burned_in_bits, changes)
    yield from _check_seen(clip, seen, where)
    if burned_in_bits is not None:
        yield from _check_numbers(seen, burned_in_bits, where)
    if not seen.error and seen.count == held:
        if context.data_root.is_local:
            yield from _check_ends(context, file, video, position, seen, where)
        yield from _check_changes(changes, context.info.fps, where)


def _decode(clip: Clip, bits: int | None, changes: PictureChanges) -> _Seen:
    """Decode all of a clip, a picture at a time."""
    origin = int(clip.samples.pts.min())
    ticks = (clip.frame_ticks - origin).tolist()
    frame_of_tick = {tick: number for number, tick in enumerate(ticks)}
    lead_in = set((clip.samples.pts - origin).tolist()) - frame_of_tick.keys()
    size = (clip.track.width, clip.track.height)
    seen = _Seen([False] * len(ticks))
    try:
        for picture in decode_clip(clip.read("shown")):
            frame = frame_of_tick.get(picture.pts) if picture.pts is not None else None
            if frame is None or seen.is_there[frame]:
                if frame is not None or picture.pts not in lead_in:
                    seen.stray_ticks.append(picture.pts)
                continue
            seen.is_there[frame] = True
            if picture.is_corrupt:
                seen.damaged.append(frame)
            if (picture.width, picture.height) != size:
                seen.sizes.append((frame, (picture.width, picture.height)))
            if bits is not None:
                number = burned_in_number(picture, bits)
                if number != frame % (1 << bits):
                    seen.numbers.append((frame, number))
            if frame in (0, len(ticks) - 1):
                seen.ends[frame] = picture_digest(picture)
            changes.add(picture)
    except PictureError as error:
        at = ""
        if error.pts is not None:
            frame = int(np.searchsorted(clip.frame_ticks - origin, error.pts, side="right")) - 1
            at = f" near frame {frame}" if frame >= 0 else " in front of frame 0"
        seen.error = f"the decoder fails{at}: {error.message}"
    return seen


def _check_times(clip: Clip, fps: float, where: Location) -> Iterator[Finding]:
    """Frame k is at k/fps, to within half a frame; what the decoder gives at the header's times is another matter."""
    off = np.abs(clip.frame_ticks / clip.timescale * fps - np.arange(clip.frame_count))
    wrong = np.flatnonzero(off > HALF_FRAME)
    if len(wrong):
        frame = int(wrong[0])
        message = f"frame {frame} is shown {clip.frame_ticks[frame] / clip.timescale:.6f} s behind frame 0"
        yield finding(DECODED, f"{message}; expected {frame / fps:.6f} s", where, more=len(wrong) - 1)


def _check_seen(clip: Clip, seen: _Seen, where: Location) -> Iterator[Finding]:
    count = clip.frame_count
    if seen.error:
        yield finding(DECODED, f"{seen.error}; expected {count} pictures, {seen.count} were decoded", where)
    elif seen.count < count:
        first = seen.is_there.index(False)
        message = f"{seen.count} pictures decoded, none of frame {first} at tick {clip.frame_ticks[first]}"
        yield finding(DECODED, f"{message}; expected {count}, one for each frame", where)
    if seen.stray_ticks:
        message = f"a picture at tick {seen.stray_ticks[0]} of the clip, where no frame is"
        yield finding(
            DECODED, f"{message}; expected pictures at the header's times", where, more=len(seen.stray_ticks) - 1
        )
    if seen.damaged:
        message = f"the decoder marks frame {seen.damaged[0]} as damaged; expected whole pictures"
        yield finding(DECODED, message, where, more=len(seen.damaged) - 1)
    if seen.sizes:
        frame, (width, height) = seen.sizes[0]
        message = f"frame {frame} has {width}x{height} pixels; expected {clip.track.width}x{clip.track.height}"
        yield finding(DECODED, f"{message}, as the header says", where, more=len(seen.sizes) - 1)


def _check_numbers(seen: _Seen, bits: int, where: Location) -> Iterator[Finding]:
    if not seen.numbers:
        return
    frame, number = seen.numbers[0]
    if number is None:
        message = f"frame {frame} has no room for {bits} burned-in bits"
    else:
        message = f"frame {frame} shows the burned-in number {number}"
    yield finding(DECODED, f"{message}; expected {frame % (1 << bits)}", where, more=len(seen.numbers) - 1)


def _check_ends(
    context: VerificationContext, file: VideoFile, video: ParsedVideo, position: int, seen: _Seen, where: Location
) -> Iterator[Finding]:
    """First and last picture are those that FFmpeg finds in the whole file, where it finds any at their times."""
    table, view = video.table, video.view
    first = int(view.first[position])
    sync = np.flatnonzero(table.is_sync)
    path = context.data_root.local / file.path
    for frame, digest in seen.ends.items():
        sample = int(view.decode_position[first + frame])
        before = sync[: np.searchsorted(sync, max(sample - REFERENCE_LEAD_SAMPLES, 0), side="right")]
        start = int(table.pts[before[-1]]) if len(before) else 0
        seconds = Fraction(int(table.pts[sample]), table.timescale)
        reference = file_picture_digest(path, seconds, start_seconds=Fraction(start, table.timescale))
        if reference is not None and reference != digest:
            message = f"frame {frame} is another picture than decoding the whole file gives at {float(seconds):.6f} s"
            yield finding(DECODED, f"{message}; expected the same", where)


def _check_changes(changes: PictureChanges, fps: float, where: Location) -> Iterator[Finding]:
    """VID028."""
    if changes.never_changes:
        message = f"no picture of {changes.picture_count} differs from the first one; expected motion"
        yield finding(FROZEN, message, where)
        return
    if changes.frozen:
        run = changes.frozen[0]
        seconds = (run.stop - run.start) / fps
        message = f"frames {run.start} to {run.stop - 1} show the same for {seconds:.2f} s, then the scene jumps"
        yield finding(FROZEN, f"{message}; expected pictures that go on with it", where, more=len(changes.frozen) - 1)
    if changes.repeats_frames:
        moving = changes.repeated_count + changes.moving_count
        message = f"{changes.repeated_count} of {moving} neighbours amid motion are the same picture"
        yield finding(FROZEN, f"{message}; expected a new picture for each frame", where)


def _hashed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's output function: a permutation of 64-bit numbers that scatters neighbours."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))

"""Decode and attach the pictures of strips, which show a few frames of a video to illustrate a finding.

At the level `decode`, the first findings of each rule get pictures. The frames of their strips are decoded again for this.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final

from episeek.errors import EpiseekError, ReadError
from episeek.stores.byte_source import ByteSource, CountingSource
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Finding
from episeek_pipelines.verify.findings.guard import guarded
from episeek_pipelines.verify.findings.strips import MOST_STRIPS, Strip, StripPicture
from episeek_pipelines.verify.strips.thumbnails import thumbnail
from episeek_pipelines.verify.videos.choice import owners
from episeek_pipelines.verify.videos.episode_clip import file_clip
from episeek_pipelines.verify.videos.frames import ParsedVideo
from episeek_pipelines.verify.videos.parse import parse_video
from episeek_pipelines.verify.videos.picture_reader import PictureError, decode_what_can_be, has_decoder
from episeek_pipelines.verify.videos.reference import file_pictures

if TYPE_CHECKING:
    from av import VideoFrame

_NEAR_FRAMES: Final = 32
"""Largest distance, in frames, between neighbouring frames of a strip that are decoded from one clip."""


def with_pictures(
    context: VerificationContext, files: Mapping[str, VideoFile], findings: Sequence[Finding]
) -> tuple[list[Finding], int]:
    """Return all findings, with pictures for the first findings of each rule, and the number of bytes read.

    The findings are sorted first, so that their original order makes no difference. A file that can no longer be read is reported
    by an additional finding. Without PyAV, the findings are returned unchanged.

    Args:
        context: The dataset.
        files: The video files that were checked, by path.
        findings: All findings of the verification.
    """
    if not has_decoder():
        return list(findings), 0
    source = CountingSource(context.data_root.source())
    result: list[Finding] = []
    made: Counter[str] = Counter()
    parsed: dict[str, ParsedVideo] = {}
    for found in sorted(findings):
        result.append(found)
        file = files.get(found.location.file or "")
        if found.strip is None or file is None or made[found.code] == MOST_STRIPS:
            continue
        made[found.code] += 1
        with guarded(result, "strip of pictures", found.location):
            if file.path not in parsed:
                # The findings of a rule are sorted by file, so that keeping one parsed file is enough.
                parsed = {file.path: parse_video(context, source, file)}
            video = parsed[file.path]
            result[-1] = replace(found, strip=_pictured(context, file, video, source, found.strip))
    return result, source.byte_count


def _pictured(
    context: VerificationContext, file: VideoFile, video: ParsedVideo, source: ByteSource, strip: Strip
) -> Strip:
    """Return a strip with its pictures and, if `strip.is_compared`, the pictures that decoding from an earlier frame gives."""
    runs = [list(strip.frames)] if strip.start is not None else _runs(strip.frames)
    places = {frame: _place(file, video, frame, is_marked=frame in strip.marked) for frame in strip.frames}
    clips = (_decoded(file, video, source, run[0] if strip.start is None else strip.start, run) for run in runs)
    pictures = _filled(places, chain.from_iterable(clips))
    if not strip.is_compared:
        return replace(strip, pictures=pictures)
    if context.data_root.is_local:
        others = file_pictures(context.data_root.local / file.path, video, strip.frames)
    else:
        # Decoding from the start of a remote file would fetch the whole file.
        position = int(owners(video.view)[strip.frames[0]])
        others = _decoded(file, video, source, int(video.view.first[position]), strip.frames)
    return replace(strip, pictures=pictures, references=_filled(places, others))


def _filled(
    places: Mapping[int, StripPicture], decoded: Iterable[tuple[int, "VideoFrame"]]
) -> tuple[StripPicture, ...]:
    """Return the entries of a strip in order, each with its picture if its frame was decoded.

    Args:
        places: The entries without pictures, by frame number.
        decoded: The numbers and the pictures of the decoded frames.
    """
    filled = dict(places)
    for frame, picture in decoded:
        small = thumbnail(picture)
        filled[frame] = replace(
            places[frame], jpeg=small.jpeg, width=small.width, height=small.height, is_damaged=picture.is_corrupt
        )
    return tuple(filled.values())


def _runs(frames: Sequence[int]) -> list[list[int]]:
    """Split sorted frame numbers into runs, wherever two neighbours are more than `_NEAR_FRAMES` apart."""
    runs = [[frame] for frame in frames[:1]]
    for before, frame in pairwise(frames):
        if frame - before > _NEAR_FRAMES:
            runs.append([])
        runs[-1].append(frame)
    return runs


def _place(file: VideoFile, video: ParsedVideo, frame: int, *, is_marked: bool) -> StripPicture:
    """Return the caption data of a frame without its picture: the frame, its episode and its time."""
    position = int(owners(video.view)[frame])
    seconds = video.view.seconds
    if position < 0:
        return StripPicture(None, frame, float(seconds[frame]), is_marked)
    first = int(video.view.first[position])
    after = float(seconds[frame] - seconds[first])
    return StripPicture(int(file.episode_index[position]), frame - first, after, is_marked)


def _decoded(
    file: VideoFile, video: ParsedVideo, source: ByteSource, start: int, frames: Sequence[int]
) -> Iterator[tuple[int, "VideoFrame"]]:
    """Yield the number and picture of each requested frame that decodes.

    Decoding starts at frame `start`, or at the last sync sample before it.
    """
    try:
        clip = file_clip(file, video, source, start, frames[-1] + 1)
        mp4 = clip.read("shown")
    except ReadError:
        raise
    except EpiseekError:
        # There is no sync sample at which decoding can start, so the strip gets no pictures.
        return
    origin = int(clip.samples.pts.min())
    frame_of_tick = dict(zip((clip.frame_ticks - origin).tolist(), range(start, frames[-1] + 1), strict=True))
    missing = set(frames)
    try:
        for picture in decode_what_can_be(mp4):
            frame = None if picture.pts is None else frame_of_tick.get(picture.pts)
            if frame in missing:
                missing.remove(frame)
                yield frame, picture
            if not missing:
                return
    except PictureError:
        return

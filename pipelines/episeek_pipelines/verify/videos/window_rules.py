"""Check that windows (short ranges of frames), decoded from a later sync sample, show the pictures of the whole file (VID027).

Later samples may need something that only an earlier sample contains: parameter sets, the pictures to which an intra refresh
refers, or the version of an encoder. Or a sample may be flagged as a sync sample without being one. In both cases, a clip that
starts at a later sync sample shows other pictures than the file, often without an error from the decoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from episeek.byte_index import ByteIndex
from episeek.clip import Clip
from episeek.errors import EpiseekError
from episeek.stores.byte_source import ByteRange, ByteSource
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded
from episeek_pipelines.verify.findings.observations import WindowCounts
from episeek_pipelines.verify.findings.strips import Strip, StripRange
from episeek_pipelines.verify.rules import DECODED
from episeek_pipelines.verify.sidecars.opened_index import opened_index
from episeek_pipelines.verify.videos.choice import FrameWindow
from episeek_pipelines.verify.videos.episode_clip import episode_clip
from episeek_pipelines.verify.videos.frames import ParsedVideo
from episeek_pipelines.verify.videos.picture_reader import PictureError, decode_clip, picture_digest
from episeek_pipelines.verify.videos.reference import Reference


@dataclass(frozen=True, slots=True)
class _Problem:
    """A problem of a window, and a strip of frames that shows it."""

    text: str
    strip: Strip | None = None


def check_windows(
    context: VerificationContext,
    file: VideoFile,
    video: ParsedVideo,
    source: ByteSource,
    windows: Sequence[FrameWindow],
    reference: Reference,
) -> tuple[list[Finding], WindowCounts]:
    """Compare the pictures of windows with the reference, and return the findings and how many windows were compared.

    Each episode with windows that decode to other pictures gets one VID027. The bytes of each window are located with the video's
    header. If the sidecars (index tables in `meta/byte_index/`) describe the current file, the bytes are also located with the
    sidecars. If header and sidecars give different clips of a window, both clips are decoded.

    Args:
        context: The dataset.
        file: The file and its episodes.
        video: Its parsed header.
        source: The byte source. One range is fetched for each window, or two if header and sidecars give different ranges.
        windows: The windows, from `choose_windows`.
        reference: The pictures to compare with.
    """
    findings: list[Finding] = []
    problems: dict[int, list[_Problem]] = {}
    compared_count = 0
    index = _index_of(context, file, video)
    for window in windows:
        with guarded(findings, "decode", _location(file, window.position)):
            problem, is_compared = _problem_of(file, video, source, window, reference, index)
            compared_count += is_compared
            if problem:
                problems.setdefault(window.position, []).append(problem)
    for position, found in problems.items():
        where = _location(file, position)
        findings.append(
            finding(DECODED, found[0].text, reference.expected, where, more=len(found) - 1, strip=found[0].strip)
        )
    return findings, WindowCounts(compared_count, len(windows) - compared_count)


def _location(file: VideoFile, position: int) -> Location:
    return Location(file.path, int(file.episode_index[position]), file.camera_key)


def _index_of(context: VerificationContext, file: VideoFile, video: ParsedVideo) -> ByteIndex | None:
    """Return the opened index tables; None if the dataset has none, if they describe an older file, or if they cannot be opened."""
    if context.sidecars is None or file.indexed is None or file.indexed.values["moov_sha256"] != video.header.digest:
        return None
    try:
        return opened_index(context.root, context.data_root, context.sidecars.versions)
    except EpiseekError:
        # The rules on sidecars report this error.
        return None


def _problem_of(
    file: VideoFile,
    video: ParsedVideo,
    source: ByteSource,
    window: FrameWindow,
    reference: Reference,
    index: ByteIndex | None,
) -> tuple[_Problem | None, bool]:
    """Return the problem of a window (None if it has no problem), and whether any of its pictures were compared."""
    is_compared = False
    decoded: set[bytes] = set()
    payloads: dict[ByteRange, bytes] = {}
    for rows in (None,) if index is None else (None, index):
        by = "the video's header" if rows is None else "the sidecars"
        frames = f"frames {window.start} to {window.stop - 1}, located by {by}"
        try:
            clip = _clip(file, video, source, window, rows)
        except EpiseekError as error:
            return _Problem(f"{frames}: {error.found}, where {error.expected} was expected"), False
        if clip.byte_range not in payloads:
            payloads[clip.byte_range] = source.get_ranges(file.path, [clip.byte_range])[0]
        mp4 = clip.mux(payloads[clip.byte_range], "shown")
        # Header and sidecars mostly give the same clip.
        if mp4 in decoded:
            continue
        decoded.add(mp4)
        first = int(video.view.first[window.position])
        problem, other, of_this = _problem_of_clip(clip, mp4, first, reference)
        is_compared |= of_this
        if problem:
            text = f"{frames}, decoded from byte {clip.byte_range[0]} on: {problem}"
            # A strip is decoded from the sample table of the header, and would not show a problem of the sidecars.
            strip = _strip(first, window, other) if rows is None and other else None
            return _Problem(text, strip), is_compared
    return None, is_compared


def _strip(first: int, window: FrameWindow, other: Sequence[int]) -> Strip:
    """Return a strip of frames of a window, decoded in the same way as the window.

    Next to its pictures, the strip shows the pictures that decoding from an earlier sync sample gives.

    Args:
        first: The first frame of the episode within the video.
        window: The window.
        other: The frames of the video whose pictures differ from the reference, or near which the decoder fails; at least one.
    """
    marked = [frame - first - window.start for frame in other]
    return StripRange(first + window.start, first + window.stop).around(marked[0], marked, start=0, is_compared=True)


def _clip(
    file: VideoFile, video: ParsedVideo, source: ByteSource, window: FrameWindow, index: ByteIndex | None
) -> Clip:
    if index is None:
        return episode_clip(file, video, source, window.position, window.start, window.stop)
    return index.clip(int(file.episode_index[window.position]), file.camera_key, window.start, window.stop)


def _problem_of_clip(clip: Clip, mp4: bytes, first: int, reference: Reference) -> tuple[str, tuple[int, ...], bool]:
    """Decode a clip and compare its pictures with the reference.

    Args:
        clip: The clip.
        mp4: The MP4 file of the clip. It also shows the frames before the clip that are only needed for decoding.
        first: The first frame of the episode within the video.
        reference: The pictures to compare with.

    Returns:
        The problem as text, the frames of the video that show the problem, and whether any pictures were compared. The text is
        empty if there is no problem. The frames are all frames with other pictures, or the frame near which the decoder fails.
    """
    origin = int(clip.samples.pts.min())
    frame_of_tick = {tick: frame for frame, tick in enumerate((clip.frame_ticks - origin).tolist(), first + clip.start)}
    digests: dict[int, bytes | None] = dict.fromkeys(frame_of_tick.values())
    problem = ""
    failed: int | None = None
    try:
        for picture in decode_clip(mp4):
            frame = None if picture.pts is None else frame_of_tick.get(picture.pts)
            if frame is not None:
                digests[frame] = picture_digest(picture)
    except PictureError as error:
        problem = f"a decoder error: {error.message}"
        failed = frame_of_tick.get(error.pts) if error.pts is not None else None
    compared = reference.compare(digests)
    if compared.other:
        kind = "different" if digests[compared.other[0]] else "missing"
        other = (
            f"{len(compared.other)} of {clip.frame_count} pictures {kind}, first at frame {compared.other[0] - first}"
        )
        problem = f"{other}; {problem}" if problem else other
    places = compared.other if failed is None else (failed,)
    return problem, places, len(compared.unknown) < clip.frame_count

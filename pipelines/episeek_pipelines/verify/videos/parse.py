"""Parsing of one video file: its samples, looked at as closely as the sidecars were made, and the frames of its episodes."""

from functools import partial

from episeek.stores.byte_source import ByteSource
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Location
from episeek_pipelines.verify.findings.guard import run_rules
from episeek_pipelines.verify.videos.frames import ParsedVideo, frame_view
from episeek_pipelines.verify.videos.span_rules import SPAN_RULES
from episeek_pipelines.video.alignment.encoder_starts import encoder_starts
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_pipelines.video.header import read_video_header


def parse_video(context: VerificationContext, source: ByteSource, file: VideoFile) -> ParsedVideo:
    """Return the samples of a file and the frames of its episodes.

    Of a file in a store a few samples are looked at, and all where sidecars that were made from all of them say something else.

    Raises:
        ReadError: The file cannot be read.
        Mp4Error: The file cannot be indexed.
    """

    def parse(keyframes: KeyframeChoice) -> ParsedVideo:
        header = read_video_header(source, file.path, file_size=file.file_size, keyframes=keyframes)
        read_marks = partial(encoder_starts, source, file.path, header.table)
        view = frame_view(header.table, file, fps=context.info.fps, read_marks=read_marks)
        return ParsedVideo(header, header.table, view)

    video = parse("auto")
    if context.sidecars is None or file.indexed is None or context.data_root.is_local:
        return video
    inspected, count = (file.indexed.values.get(name) for name in ("sync_samples_inspected", "sync_sample_count"))
    if inspected != count or not run_rules(SPAN_RULES, Location(file=file.path), context, file, video):
        return video
    return parse("all")

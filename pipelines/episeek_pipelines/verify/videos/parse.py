"""Parse a video file: read its sample table in the same way as `episeek index`, and find the frames of its episodes."""

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
    """Return the sample table of a file and the frames of its episodes.

    Sync samples are read to find out which of them are keyframes. For a file in a store, only a few sync samples are read at first.
    If the index of the file was made by reading all sync samples and differs from this result, all of them are read.

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

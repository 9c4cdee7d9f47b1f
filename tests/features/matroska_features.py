"""Matroska and WebM, as FFmpeg writes them."""

from dataclasses import replace

from tests.features.encoding import Recipe, write_video
from tests.features.registry import Registry
from tests.features.sources import AV1, H264, H264_B, HEVC, VP9

registry = Registry()


@registry.identical("h264.mkv", "Matroska, H.264 with B-frames; times in milliseconds")
def h264_mkv() -> bytes:
    return write_video(H264_B, container="matroska")


@registry.identical("h264_sound.mkv", "Matroska, H.264 and AAC")
def h264_sound_mkv() -> bytes:
    return write_video(H264_B, container="matroska", has_sound=True)


@registry.identical("h264_clusters.mkv", "Matroska, a cluster every 100 ms")
def h264_clusters_mkv() -> bytes:
    return write_video(H264, container="matroska", options={"cluster_time_limit": "100"})


@registry.identical("h264_cues_first.mkv", "Matroska, its index in front")
def h264_cues_first_mkv() -> bytes:
    return write_video(H264_B, container="matroska", options={"reserve_index_space": "400", "cues_to_front": "1"})


@registry.identical("h264_live.mkv", "Matroska without an index and without sizes: a live stream")
def h264_live_mkv() -> bytes:
    return write_video(H264_B, container="matroska", options={"live": "1"})


@registry.identical("hevc.mkv", "Matroska, HEVC with B-frames")
def hevc_mkv() -> bytes:
    return write_video(HEVC, container="matroska")


@registry.identical("vp9.webm", "WebM, VP9")
def vp9_webm() -> bytes:
    return write_video(VP9, container="webm")


@registry.identical("av1.webm", "WebM, AV1")
def av1_webm() -> bytes:
    return write_video(AV1, container="webm")


@registry.identical("av1.mkv", "Matroska, AV1")
def av1_mkv() -> bytes:
    return write_video(AV1, container="matroska")


@registry.identical("vp8.mkv", "Matroska, VP8, for which FFmpeg's muxer has no sample entry")
def vp8_mkv() -> bytes:
    return write_video(Recipe("libvpx"), container="matroska")


@registry.identical("ffv1.mkv", "Matroska, FFV1 (lossless)", range(3))
def ffv1_mkv() -> bytes:
    return write_video(Recipe("ffv1", count=3), container="matroska")


@registry.identical(
    "vp9_alpha.webm", "WebM, VP9 with transparency in pictures of its own, of which decoders take no notice", range(8)
)
def vp9_alpha_webm() -> bytes:
    return write_video(replace(VP9, pixels="yuva420p", count=8), container="webm")


@registry.refused("cut.mkv", "Matroska, cut in its last cluster", "TruncatedMp4Error")
def cut_mkv() -> bytes:
    return write_video(H264_B, container="matroska")[:-700]

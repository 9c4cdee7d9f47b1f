"""Codecs and pixel formats."""

from dataclasses import replace

from tests.features.encoding import Recipe, encode, write_video
from tests.features.muxer import mux
from tests.features.registry import Registry
from tests.features.sources import AV1, H264, H264_10, H264_B, HEVC, HEVC_10, VP9, presented

registry = Registry()


@registry.identical("h264_10_bit.mp4", "H.264 of 10 bits (High 10)")
def h264_10_bit() -> bytes:
    return mux(presented(encode(H264_10)))


@registry.identical("h264_422.mp4", "H.264 4:2:2")
def h264_422() -> bytes:
    return mux(presented(encode(replace(H264_B, pixels="yuv422p"))))


@registry.identical("h264_444.mp4", "H.264 4:4:4")
def h264_444() -> bytes:
    return mux(presented(encode(replace(H264_B, pixels="yuv444p"))))


@registry.identical("h264_full_range.mp4", "H.264 with full range samples (yuvj420p)")
def h264_full_range() -> bytes:
    return mux(presented(encode(replace(H264, pixels="yuvj420p"))))


@registry.identical("h264_gray.mp4", "H.264 without colour")
def h264_gray() -> bytes:
    return mux(presented(encode(replace(H264_B, pixels="gray"))))


@registry.identical("h264_interlaced.mp4", "H.264, interlaced (MBAFF)")
def h264_interlaced() -> bytes:
    return mux(presented(encode(replace(H264, options=(("x264-params", "tff=1"),)))))


@registry.identical("h264_slices.mp4", "H.264, four slices a picture")
def h264_slices() -> bytes:
    return mux(presented(encode(replace(H264_B, options=(("x264-params", "slices=4"),)))))


@registry.identical("h264_odd_size.mp4", "H.264 of 98x66: cropped by the SPS")
def h264_odd_size() -> bytes:
    return mux(presented(encode(replace(H264_B, width=98, height=66))))


@registry.identical("hevc_10_bit.mp4", "HEVC of 10 bits (Main 10)")
def hevc_10_bit() -> bytes:
    return mux(presented(encode(HEVC_10)))


@registry.identical("hevc_12_bit.mp4", "HEVC of 12 bits")
def hevc_12_bit() -> bytes:
    return mux(presented(encode(replace(HEVC, pixels="yuv420p12le"))))


@registry.identical("hevc_444.mp4", "HEVC 4:4:4")
def hevc_444() -> bytes:
    return mux(presented(encode(replace(HEVC, pixels="yuv444p"))))


@registry.identical("hevc_rgb.mp4", "HEVC of planar RGB (gbrp)")
def hevc_rgb() -> bytes:
    return mux(presented(encode(replace(HEVC, pixels="gbrp"))))


@registry.identical(
    "depth.mp4", "depth as LeRobot records it: HEVC, gray of 12 bits, lossless, a keyframe every two frames", range(6)
)
def depth() -> bytes:
    lossless = Recipe("libx265", (("x265-params", "lossless=1"),), pixels="gray12le", b_frames=1, group=2, count=6)
    return mux(presented(encode(lossless)))


@registry.identical("av1.mp4", "AV1")
def av1() -> bytes:
    return mux(presented(encode(AV1)))


@registry.identical("av1_lerobot.mp4", "AV1 as LeRobot records it: a keyframe every two frames")
def av1_lerobot() -> bytes:
    return write_video(replace(AV1, group=2))


@registry.identical("av1_10_bit.mp4", "AV1 of 10 bits")
def av1_10_bit() -> bytes:
    return mux(presented(encode(replace(AV1, pixels="yuv420p10le"))))


@registry.identical("av1_hierarchy.mp4", "AV1 with hidden frames: several in one sample")
def av1_hierarchy() -> bytes:
    return mux(presented(encode(replace(AV1, group=24, options=(("preset", "8"),)))))


@registry.identical("vp9.mp4", "VP9")
def vp9() -> bytes:
    return mux(presented(encode(VP9)))


@registry.identical("vp9_hidden.mp4", "VP9 with hidden frames (superframes)")
def vp9_hidden() -> bytes:
    better = (("deadline", "good"), ("cpu-used", "5"), ("auto-alt-ref", "1"), ("lag-in-frames", "12"))
    return mux(presented(encode(replace(VP9, options=better, group=24))))


@registry.identical("vp9_444.mp4", "VP9 4:4:4 (profile 1)")
def vp9_444() -> bytes:
    return mux(presented(encode(replace(VP9, pixels="yuv444p"))))


@registry.identical("mpeg4.mp4", "MPEG-4 Visual")
def mpeg4() -> bytes:
    return mux(presented(encode(Recipe("mpeg4"))))


@registry.identical("mpeg4_b_frames.mp4", "MPEG-4 Visual with B-frames")
def mpeg4_b_frames() -> bytes:
    return mux(presented(encode(Recipe("mpeg4", b_frames=2))))


@registry.identical("mpeg2.mp4", "MPEG-2 with B-frames, open GOPs")
def mpeg2() -> bytes:
    return mux(presented(encode(Recipe("mpeg2video", b_frames=2))))


@registry.identical("mjpeg.mp4", "Motion JPEG, no stss", range(8))
def mjpeg() -> bytes:
    return mux(presented(encode(Recipe("mjpeg", pixels="yuvj420p", count=8))))


@registry.identical("prores.mov", "ProRes in QuickTime", range(4))
def prores() -> bytes:
    recipe = Recipe("prores", (("qmin", "20"),), pixels="yuv422p10le", count=4)
    return write_video(recipe, container="mov")


@registry.identical("png.mov", "PNG in QuickTime", range(6))
def png() -> bytes:
    return write_video(Recipe("png", pixels="rgb24", count=6), container="mov")


@registry.identical("h263.3gp", "H.263 in 3GP", range(10))
def h263() -> bytes:
    return write_video(Recipe("h263", width=128, height=96, count=10), container="3gp")


@registry.identical("h263_without_stss.3gp", "H.263 in 3GP, no stss though pictures refer to earlier ones", range(10))
def h263_without_stss() -> bytes:
    return h263().replace(b"stss", b"free")


@registry.identical("mpeg1.mp4", "MPEG-1 video with B-pictures")
def mpeg1() -> bytes:
    return write_video(Recipe("mpeg1video", b_frames=2))


@registry.identical("mpeg1.mov", "MPEG-1 video with B-pictures in QuickTime")
def mpeg1_in_quicktime() -> bytes:
    return write_video(Recipe("mpeg1video", b_frames=2), container="mov")

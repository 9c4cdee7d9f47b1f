"""Files as FFmpeg's own muxer writes them."""

from tests.features.encoding import Recipe, write_video
from tests.features.registry import Registry
from tests.features.sources import AV1, H264_B, HEVC_OPEN

registry = Registry()

PLAIN = [
    ("ffmpeg_plain.mp4", "", H264_B, False),
    ("ffmpeg_faststart.mp4", "faststart", H264_B, False),
    ("ffmpeg_sound.mp4", "faststart", H264_B, True),
]
FRAGMENTED = [
    ("ffmpeg_empty_moov.mp4", "frag_keyframe+empty_moov", H264_B, False),
    ("ffmpeg_default_base.mp4", "frag_keyframe+empty_moov+default_base_moof", H264_B, False),
    ("ffmpeg_samples_in_moov.mp4", "frag_keyframe", H264_B, False),
    ("ffmpeg_delay_moov.mp4", "frag_keyframe+delay_moov", H264_B, False),
    ("ffmpeg_every_frame.mp4", "frag_every_frame+empty_moov+default_base_moof", H264_B, False),
    ("ffmpeg_dash.mp4", "dash+frag_keyframe", H264_B, False),
    ("ffmpeg_cmaf.mp4", "cmaf+frag_keyframe", H264_B, False),
    ("ffmpeg_global_index.mp4", "global_sidx+frag_keyframe+empty_moov+default_base_moof", H264_B, False),
    ("ffmpeg_separate_moof.mp4", "separate_moof+frag_keyframe+empty_moov", H264_B, True),
    ("ffmpeg_fragments_sound.mp4", "frag_keyframe+empty_moov", H264_B, True),
    ("ffmpeg_omit_offset.mp4", "omit_tfhd_offset+frag_keyframe+empty_moov", H264_B, True),
    ("ffmpeg_hybrid.mp4", "hybrid_fragmented+frag_keyframe", H264_B, False),
    ("ffmpeg_negative_offsets.mp4", "negative_cts_offsets+frag_keyframe+empty_moov+default_base_moof", H264_B, False),
    ("ffmpeg_fragments_av1.mp4", "frag_keyframe+empty_moov+default_base_moof", AV1, False),
    ("ffmpeg_fragments_hevc.mp4", "frag_keyframe+empty_moov+default_base_moof", HEVC_OPEN, False),
]


def _add(name: str, flags: str, recipe: Recipe, has_sound: bool) -> None:
    @registry.identical(
        name, f"FFmpeg's movflags {flags or '(none)'}{', with sound' if has_sound else ''}; {recipe.codec}"
    )
    def build() -> bytes:
        return write_video(recipe, has_sound=has_sound, options={"movflags": flags} if flags else {})


for row in PLAIN + FRAGMENTED:
    _add(*row)

"""Rules about videos: their headers, and what decoding them gives."""

from typing import Final

from episeek_pipelines.verify.rules.registry import rule

UNUSABLE_VIDEO: Final = rule(
    "VID022", "an MP4 is complete, with one video track that can be indexed", "error", "layout",
    protects="every frame of the file",
    remedy="restore the file; one that plays to its end can be remuxed: ffmpeg -i in.mp4 -map 0:v:0 -c copy out.mp4",
)  # fmt: skip
NOT_FASTSTART: Final = rule(
    "VID022W", "the moov box comes before the media data", "warning", "layout",
    protects="players that stream a whole file; sidecars make up for it",
    remedy="not needed with sidecars; otherwise ffmpeg -i in.mp4 -c copy -movflags +faststart out.mp4, and index again",
    broke_in="every file that LeRobot writes with one episode in it",
)  # fmt: skip
VIDEO_SHORT: Final = rule(
    "VID023", "an MP4 holds the frames of all its episodes", "error", "layout",
    protects="the last episodes of the file",
    remedy="encode the missing frames again, or delete the episodes concerned with LeRobot",
    broke_in="berkeley_rpt, toto, soarm101",
)  # fmt: skip
VIDEO_LONG: Final = rule(
    "VID023W", "an MP4 holds no frames without an episode", "warning", "layout",
    protects="downloads; and it may mean that episodes point at the wrong file",
    remedy="see whether it is the file of these episodes and this camera; none is needed where frames were cut on purpose",
)  # fmt: skip
FRAME_GRID: Final = rule(
    "VID024", "[from_timestamp, to_timestamp) holds exactly the episode's frames, on the grid", "error", "layout",
    protects="the right pictures for an episode: one frame off is a silent mistake",
    remedy="recompute from_timestamp and to_timestamp from the frame counts of the file's episodes",
    broke_in="lerobot#2627, lerobot#3177, lerobot#2550",
)  # fmt: skip
DRIFT: Final = rule(
    "VID024W", "from_timestamp is the time of the episode's first frame", "warning", "layout",
    protects="readers that look frames up by seconds, tolerance 1e-4 s; episeek counts frames",
    remedy="recompute from_timestamp and to_timestamp from the frame counts of the file's episodes",
)  # fmt: skip
SYNC_START: Final = rule(
    "VID025", "an episode starts on a sync sample", "error", "layout",
    protects="decoding an episode without the one before it",
    remedy="see whether it is the file of these episodes; if so, encode it with a keyframe at the start of each episode",
)  # fmt: skip
VIDEO_FORMAT: Final = rule(
    "VID026", "codec, picture size and pixel format are those of meta/info.json, and the same in a camera's files", "error",
    "layout",
    protects="decoders and buffers that are set up once for a camera",
    remedy="correct the camera's `info` in meta/info.json, or re-encode the file like the others",
)  # fmt: skip
REORDERED: Final = rule(
    "VID026W", "frames are stored in the order they are shown in", "warning", "layout",
    protects="readers that ignore composition offsets, and the cost of a random frame",
    remedy="encode without B-frames (LeRobot's default, AV1 with g=2, has none); episeek reads either exactly",
    broke_in="LeRobot 0.4.4 cannot read the hevc it records: FrameTimestampError",
)  # fmt: skip
DECODED: Final = rule(
    "VID027", "an episode decodes to its frames, at their times", "error", "decode",
    protects="the pictures themselves: headers do not tell whether they can be decoded",
    remedy="restore the file from its source, or encode it again from the recording",
)  # fmt: skip
FROZEN: Final = rule(
    "VID028", "no frozen or repeated frames", "warning", "decode",
    protects="policies that learn from motion",
    remedy="compare with the recording: a camera that stalled, or frames that were filled in; delete the episode when it matters",
)  # fmt: skip
KEYFRAME_INTERVAL: Final = rule(
    "VID039", "keyframes are close to each other", "warning", "layout",
    protects="the cost of a random frame: everything from the keyframe before it is fetched and decoded",
    remedy="encode with a shorter group of pictures (LeRobot's default is g=2)",
)  # fmt: skip

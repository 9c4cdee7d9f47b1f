"""Rules about videos: the headers of the MP4 files, and the pictures that they decode to."""

from collections.abc import Mapping
from typing import Final

from episeek_pipelines.verify.rules.registry import rule

UNUSABLE_VIDEO: Final = rule(
    "VID022", "error", "layout",
    problem="An MP4 file is incomplete, or cannot be indexed",
    invariant="Every MP4 file is complete and has one video track that can be indexed",
    protects="every frame of the file",
    remedy="restore the file; if it plays to its end, remux it: ffmpeg -i in.mp4 -map 0:v:0 -c copy out.mp4",
)  # fmt: skip
NOT_FASTSTART: Final = rule(
    "VID022W", "warning", "layout",
    problem="The moov box comes after the media data",
    invariant="The moov box comes before the media data",
    protects="players that stream the whole file, which have to read its end first",
    remedy="run `episeek index`; or remux with ffmpeg -i in.mp4 -c copy -movflags +faststart out.mp4",
    broke_in="every file with a single episode that LeRobot writes",
    moot_because="readers of the sidecars do not need the moov box",
)  # fmt: skip
VIDEO_SHORT: Final = rule(
    "VID023", "error", "layout",
    problem="An MP4 file has fewer frames than its episodes",
    invariant="Every MP4 file has all frames of its episodes",
    protects="the last episodes of the file",
    remedy="first correct what ROW015 and VID024 report about episodes of this file: a wrong length, or an episode whose frames "
    "are in another file. Frames that are then still missing are lost: encode them again, or delete the affected episodes with "
    "LeRobot",
    broke_in="berkeley_rpt, toto, soarm101",
)  # fmt: skip
VIDEO_LONG: Final = rule(
    "VID023W", "warning", "layout",
    problem="An MP4 file has frames that belong to no episode",
    invariant="Every frame of an MP4 file belongs to an episode",
    protects="the size of downloads; frames of no episode may also mean that episodes refer to the wrong file",
    remedy="if VID024 reports an episode without frames in another file of the camera, they may be here: run `episeek repair SRC "
    "DST`. Otherwise check that the file belongs to these episodes and to this camera; do nothing if takes were discarded or "
    "frames were cut on purpose",
)  # fmt: skip
FRAME_GRID: Final = rule(
    "VID024", "error", "layout",
    problem="[from_timestamp, to_timestamp) does not contain exactly the episode's frames",
    invariant="[from_timestamp, to_timestamp) contains exactly the episode's frames, at multiples of 1/fps",
    protects="the right pictures for an episode: no reader notices when they are one frame off",
    remedy="set the episode's from_timestamp and to_timestamp to the times of its own frames in the file; never compute them"
    " from lengths, since that hides frames of no episode",
    broke_in="lerobot#2627, lerobot#3177, lerobot#2550, lerobot#4109",
)  # fmt: skip
FRAME_REMEDIES: Final[Mapping[str, str]] = {
    "absent": "run `episeek repair SRC DST`, which sets chunk_index and file_index of the episode if another file of the camera "
    "has exactly its frames. If it refuses, look at the pictures of the files that have frames of no episode (VID023W, INF004W). "
    "If none shows this episode, its frames are lost: restore them, or delete the episode with LeRobot. Do not change its "
    "timestamps, which would give it the pictures of another episode",
    "contested": "run `episeek repair SRC DST`, which sets chunk_index and file_index of the episode that belongs to another "
    "file, if the order of the files shows which one it is. If it refuses, look at the pictures to see which episode they show: "
    "the other one is in a file that has frames of no episode (VID023W, INF004W), or lost. Do not change timestamps",
    "uncertain": "look at the pictures of the file at the possible starts. If those at one start show this episode, set "
    "from_timestamp and to_timestamp to the times of its frames; do not compute them from lengths, which would hide the error. If "
    "none does, do not change timestamps: the frames are in a file that has frames of no episode (VID023W, INF004W), or lost",
    "missing": "if the seconds of another episode cover too many frames, look at the pictures of both: their seconds may be "
    "exchanged. If another file of the camera has frames of no episode (VID023W, INF004W), look there: an episode may refer to "
    "the wrong file. Otherwise encode the missing frames again, restore the file, or delete the episode with LeRobot. Do not "
    "change the timestamps of the other episodes",
    "surplus": "look at the episode's first picture. If the surplus frames are at the start (idle frames whose rows were cut), "
    "raise from_timestamp to the first frame that has a row; otherwise lower to_timestamp to the value given. Do not change the "
    "timestamps of other episodes: their pictures come after the surplus frames",
    "displaced": "run `episeek repair SRC DST`. If it refuses, because neighbouring frames or frames of another file belong to no "
    "episode, look at the pictures to see which frames show this episode. Then set from_timestamp and to_timestamp of this "
    "episode to the times of these frames, and chunk_index and file_index to their file",
    "duration": "run `episeek repair SRC DST`, or set this episode's to_timestamp to the value given, and do not change other "
    "timestamps; if the repair is refused, look at the pictures first",
}
"""The remedy for each kind of problem that `episeek_pipelines.video.frame_problems` finds."""
LENGTHS_FIRST_REMEDY: Final = (
    "correct the lengths first, since frames are assigned by them: ROW015 reports that an episode of this file does not have as "
    "many rows as its length. Run `episeek repair SRC DST`; if it refuses to change the length, restore the missing rows. Then "
    "verify again"
)
"""Remedy for findings about the frames of a file while the length of one of its episodes is in doubt."""
IRREGULAR_REMEDY: Final = (
    "decide which times are right: if row k belongs to frame k, either write the video again with frame k at k/fps seconds, or "
    "copy the times of the frames to the rows"
)
"""Remedy for frames that are neither at k/fps nor at the timestamps of their rows."""
RETIME_REMEDY: Final = (
    "if the timestamps of the rows are k/fps (no ROW017), the file has one frame for each row, but at wrong times: give frame k "
    "the time k/fps without encoding again (with MP4Box, or ffmpeg's bitstream filter setts), and do not change fps. If the "
    "timestamps follow the rate of the file, set fps to this rate, and change neither videos nor timestamps"
)
"""Remedy for files that have a frame for each row but a different frame rate than meta/info.json (INF002)."""
RESAMPLE_REMEDY: Final = (
    "find out from the recording which frame of the file belongs to each row: the file does not have one frame for each row, so "
    "neither another fps in meta/info.json nor other times can correct it"
)
"""Remedy for files with a different frame rate than meta/info.json, and without a frame for each row (INF002)."""
DRIFT: Final = rule(
    "VID024W", "warning", "layout",
    problem="from_timestamp differs from the time of the episode's first frame",
    invariant="from_timestamp is the time of the episode's first frame",
    protects="readers that look up frames by seconds with a tolerance of 1e-4 s; episeek counts frames instead",
    remedy="run `episeek repair SRC DST`, or set from_timestamp of each episode to the time of its first frame in the file, and "
    "move to_timestamp by the same amount",
)  # fmt: skip
SYNC_START: Final = rule(
    "VID025", "error", "layout",
    problem="An episode does not start at a sync sample",
    invariant="Every episode starts at a sync sample",
    protects="decoding an episode without the episode before it",
    remedy="if VID024 is reported for the same file, correct that first. Otherwise check that the file belongs to these episodes; "
    "if so, encode it with a keyframe at the start of each episode",
)  # fmt: skip
WITHIN_GROUP_REMEDY: Final = (
    "nothing has to be done: a clip starts at the sync sample before the episode, and shows only the episode's own frames. Decide "
    "whether the additional bytes matter; if so, encode the file with a keyframe at the start of each episode"
)
"""Remedy for episodes that start within a group of pictures, if it is certain which frames belong to which episode."""
VIDEO_FORMAT: Final = rule(
    "VID026", "error", "layout",
    problem="The format of a video differs from meta/info.json, or from the camera's other videos",
    invariant="Codec, picture size and pixel format of a camera's videos agree with meta/info.json and with each other",
    protects="decoders and buffers that are set up once for a camera",
    remedy="decide whether the file or meta/info.json is right; a wrong codec in `info` is harmless, but lost depth values are not",
)  # fmt: skip
REORDERED: Final = rule(
    "VID026W", "warning", "layout",
    problem="Frames are stored in a different order than they are shown",
    invariant="Frames are stored in the order in which they are shown",
    protects="readers that ignore composition offsets, and the cost of reading a random frame",
    remedy="run `episeek index`, which records the order; LeRobot also reads such files, unless VID046 reports them",
    moot_because="the sidecars record the order",
)  # fmt: skip
LEROBOT_READING: Final = rule(
    "VID046", "error", "layout",
    problem="LeRobot cannot read some frames of a video: it raises FrameTimestampError, or gets other pictures",
    invariant="LeRobot can read every frame of a video, in any order",
    protects="training with LeRobot's own reader, TorchCodec or PyAV",
    remedy="read the dataset with episeek (`episeek index`), or encode the recording in a way that LeRobot reads",
    broke_in="the hevc videos that LeRobot records: reading in random order loses half of their frames",
    moot_because="readers of the sidecars take frames by number, and decode from a sync sample that yields all of them",
)  # fmt: skip
DECODED: Final = rule(
    "VID027", "error", "decode",
    problem="Frames do not decode to the pictures that decoding the whole file gives at their times",
    invariant="Every part of an episode decodes to the pictures that decoding the whole file gives at the times of its frames",
    protects="the pictures: a header does not show whether they can be decoded, nor from which keyframes",
    remedy="restore the file from its source, or encode it again from the recording",
)  # fmt: skip
FROZEN: Final = rule(
    "VID028", "warning", "decode",
    problem="Frames are frozen or repeated",
    invariant="No frames are frozen or repeated",
    protects="policies that learn from motion",
    remedy="compare the pictures with the recording, since the camera may have stalled, or frames may have been filled in; delete "
    "the episode with LeRobot if that matters",
)  # fmt: skip
CUT_SHORT: Final = rule(
    "VID040", "warning", "layout",
    problem="A recording was cut short",
    invariant="Every fragmented video file ends with a whole fragment",
    protects="the last frames of an interrupted recording, which are lost; readers get all frames before them",
    remedy="restore the file from its source if the source is longer; otherwise do nothing unless an episode lacks frames",
)  # fmt: skip
KEYFRAME_INTERVAL: Final = rule(
    "VID039", "warning", "layout",
    problem="Keyframes are far apart",
    invariant="Keyframes are at most two seconds apart",
    protects="the cost of reading a random frame: all data from the previous keyframe on is fetched and decoded",
    remedy="encode with a shorter group of pictures (LeRobot's default is g=2)",
)  # fmt: skip

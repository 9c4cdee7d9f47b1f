"""The video that the remote benchmarks read: real episodes with realistic pictures, and the index of it behind a URL."""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import av
import numpy as np
import numpy.typing as npt

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.fragments import index_to_fragment
from episeek_pipelines.index.merge import write_sidecars
from episeek_pipelines.index.units import IndexUnit
from episeek_pipelines.video.episode_frames import DeclaredEpisodes
from episeek_schemas.layout import DEFAULT_CHUNKS_SIZE, DEFAULT_DATA_PATH, DEFAULT_VIDEO_PATH
from episeek_schemas.lerobot import DatasetInfo
from tests.features.encoding import sample_entry
from tests.support.build_index import DATA, episode_frames_in_file
from tests.support.large_video import (
    FRAMES_PER_SECOND,
    TIMESCALE,
    LargeVideo,
    read_episodes,
    without_bitrate,
    write_large_video,
)

CAMERA = "observation.images.top"
VIDEO_PATH = f"videos/{CAMERA}/chunk-000/file-000.mp4"
SIZE_BYTES = 200_000_000
WIDTH, HEIGHT = 640, 480

_SOURCE = DATA / "av1_multifile"
_ENCODER = {"g": "2", "crf": "30", "preset": "10"}  # LeRobot's, and a preset that is fast enough to record with
_NOISE = (2.5, 0.02)
"""Standard deviation of the noise, of 255: at black, and for each level above it; that of a webcam indoors."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, by its episode and by its place in the file."""

    episode_index: int
    frame_index: int
    index_in_file: int


def realistic_video(folder: Path) -> LargeVideo:
    """The episodes of `tests/data/av1_multifile` enlarged to 640x480 with a sensor's noise, encoded as LeRobot does, one after
    the other until the file has 200 MB; made once and kept below `folder`.
    """
    recipe = hashlib.sha256(repr((SIZE_BYTES, WIDTH, HEIGHT, _ENCODER, _NOISE)).encode()).hexdigest()[:12]
    root = folder / f"realistic-{recipe}"
    path, facts = root / VIDEO_PATH, root / "facts.json"
    if facts.exists():
        known = json.loads(facts.read_text())
        video = LargeVideo(path=path, **{**known, "episode_lengths": tuple(known["episode_lengths"])})
        if path.stat().st_size == video.size_bytes:
            return video
    episodes, entries = [], set()
    with TemporaryDirectory() as work:
        for number, pictures in enumerate(_pictures_of_episodes()):
            mp4 = Path(work) / f"{number}.mp4"
            count = _encode(mp4, pictures)
            episodes += read_episodes(mp4, [count])
            entries.add(without_bitrate(sample_entry(mp4.read_bytes(), "video")))
    (entry,) = entries
    video = write_large_video(path, episodes, entry, size_bytes=SIZE_BYTES)
    known = asdict(video)
    del known["path"]
    facts.write_text(json.dumps(known))
    return video


def _pictures_of_episodes() -> Iterator[Iterator[npt.NDArray[np.uint8]]]:
    places = episode_frames_in_file(_SOURCE, CAMERA)
    for name in dict.fromkeys(path for path, _, _ in places):
        with av.open((_SOURCE / name).as_posix()) as container:
            frames = container.decode(container.streams.video[0])
            for length in [length for path, _, length in places if path == name]:
                yield (_as_a_camera_sees_it(next(frames), seed=place) for place in range(length))


def _as_a_camera_sees_it(frame: av.VideoFrame, *, seed: int) -> npt.NDArray[np.uint8]:
    large = frame.reformat(WIDTH, HEIGHT, "rgb24", interpolation="BICUBIC").to_ndarray().astype(np.float32)
    noise = np.random.default_rng(seed).standard_normal(large.shape, np.float32)
    return cast(npt.NDArray[np.uint8], (large + noise * (_NOISE[0] + _NOISE[1] * large)).clip(0, 255).astype(np.uint8))


def _encode(path: Path, pictures: Iterator[npt.NDArray[np.uint8]]) -> int:
    count = 0
    with av.open(path.as_posix(), "w") as container:
        stream = container.add_stream("libsvtav1", rate=FRAMES_PER_SECOND, options=_ENCODER)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TIMESCALE)
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = count * TIMESCALE // FRAMES_PER_SECOND, Fraction(1, TIMESCALE)
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode(None))
    return count


def index_behind(url: str, video: LargeVideo, folder: Path) -> Path:
    """The sidecars of the video, indexed through `url`, so that they hold the identity that the server gives it."""
    ends = np.cumsum(video.episode_lengths)
    starts = np.concatenate([[0], ends[:-1]])
    count = len(video.episode_lengths)
    declared = DeclaredEpisodes(
        np.arange(count),
        np.array(video.episode_lengths),
        starts / FRAMES_PER_SECOND,
        ends / FRAMES_PER_SECOND,
    )
    work, unit = Root(str(folder / "work")), IndexUnit(VIDEO_PATH, 0, declared)
    fragment = index_to_fragment(Root(url), work, "0.npz", unit, fps=FRAMES_PER_SECOND)
    info = DatasetInfo(
        codebase_version="v3.0",
        fps=float(FRAMES_PER_SECOND),
        total_episodes=count,
        total_frames=video.frame_count,
        chunks_size=DEFAULT_CHUNKS_SIZE,
        data_path=DEFAULT_DATA_PATH,
        video_path=DEFAULT_VIDEO_PATH,
        video_keys=(CAMERA,),
    )
    sidecars = folder / "sidecars"
    write_sidecars(work, [fragment], Root(str(sidecars)), info, episode_count=count, frame_count=video.frame_count)
    return sidecars


def random_frames(video: LargeVideo, count: int, *, seed: int) -> list[Frame]:
    """Pictures of the file, any with the same probability."""
    starts = np.concatenate([[0], np.cumsum(video.episode_lengths)])
    chosen = random.Random(seed).sample(range(video.frame_count), count)
    episodes = np.searchsorted(starts, chosen, side="right") - 1
    return [
        Frame(int(episode), place - int(starts[episode]), place)
        for episode, place in zip(episodes, chosen, strict=True)
    ]

"""The dataset that the training benchmark reads: moving pictures of 640x480, encoded as LeRobot does, hundreds of episodes."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt

from tests.bench.large_dataset import write_large_dataset
from tests.bench.train_ways import CAMERA
from tests.features.encoding import sample_entry
from tests.support.build_index import DATA, episode_frames_in_file
from tests.support.large_video import FRAMES_PER_SECOND, TIMESCALE, EncodedEpisode, read_episodes, without_bitrate

WIDTH, HEIGHT = 640, 480
_NOISE_STEP = 2
_ENCODERS = {
    "libsvtav1": {"g": "2", "crf": "30", "preset": "10"},
    "libx264": {"g": "2", "crf": "23", "preset": "veryfast", "bf": "0"},
}
"""In order of preference; LeRobot's own settings, with presets that are fast enough to record with."""


def training_dataset(folder: Path, episodes: int, episodes_per_file: int = 100) -> Path:
    """A LeRobot dataset of one camera with a number of episodes, a multiple of ten; made once and kept below `folder`."""
    encoder = next(name for name in _ENCODERS if name in av.codecs_available)
    recipe = hashlib.sha256(repr((WIDTH, HEIGHT, encoder, _ENCODERS[encoder], _NOISE_STEP)).encode()).hexdigest()[:12]
    root = folder / f"training-{recipe}-{episodes}"
    if (root / "meta/info.json").exists():
        return root
    work = folder / f"{root.name}.partial"
    shutil.rmtree(work, ignore_errors=True)
    per_file = min(episodes, episodes_per_file)
    write_large_dataset(work, episodes, cameras=1, episodes_per_file=per_file, encoded=_encoded(encoder))
    _describe(work, encoder)
    work.rename(root)
    return root


def _describe(root: Path, encoder: str) -> None:
    """Correct the size of the pictures and the codec in info.json."""
    info = json.loads((root / "meta/info.json").read_text())
    feature = info["features"][CAMERA]
    feature["shape"] = [HEIGHT, WIDTH, 3]
    codec = {"libsvtav1": "av1", "libx264": "h264"}[encoder]
    feature.setdefault("info", {}).update({"video.height": HEIGHT, "video.width": WIDTH, "video.codec": codec})
    (root / "meta/info.json").write_text(json.dumps(info, indent=4))


def files_of(root: Path) -> dict[str, Any]:
    """The files in the order of the dataset, for readers of whole files: videos, the frames of each, and data files."""
    videos = sorted(root.glob("videos/*/*/*.mp4"))
    return {
        "videos": [path.relative_to(root).as_posix() for path in videos],
        "frames": [_frame_count(path) for path in videos],
        "data": [path.as_posix() for path in sorted(root.glob("data/*/*.parquet"))],
    }


def _frame_count(path: Path) -> int:
    with av.open(path.as_posix()) as container:
        return container.streams.video[0].frames


def _encoded(encoder: str) -> tuple[tuple[EncodedEpisode, ...], bytes]:
    episodes: list[EncodedEpisode] = []
    entries = set()
    with TemporaryDirectory() as work:
        for number, pictures in enumerate(_pictures_of_episodes()):
            mp4 = Path(work) / f"{number}.mp4"
            episodes += read_episodes(mp4, [_encode(mp4, pictures, encoder)])
            entries.add(without_bitrate(sample_entry(mp4.read_bytes(), "video")))
    (entry,) = entries
    return tuple(episodes), entry


def _pictures_of_episodes() -> Iterator[Iterator[npt.NDArray[np.uint8]]]:
    """The pictures of each real episode, enlarged, with a sensor's noise."""
    source = DATA / "av1_multifile"
    places = episode_frames_in_file(source, "observation.images.top")
    for name in dict.fromkeys(path for path, _, _ in places):
        with av.open((source / name).as_posix()) as container:
            frames = container.decode(container.streams.video[0])
            for length in [length for path, _, length in places if path == name]:
                yield map(partial(_as_a_camera_sees_it, frames), range(length))


def _as_a_camera_sees_it(frames: Iterator[av.VideoFrame], seed: int) -> npt.NDArray[np.uint8]:
    large = next(frames).reformat(WIDTH, HEIGHT, "rgb24", interpolation="BICUBIC").to_ndarray().astype(np.int16)
    noise = np.random.default_rng(seed).integers(-3 * _NOISE_STEP, 3 * _NOISE_STEP + 1, large.shape, np.int8)
    return (large + noise).clip(0, 255).astype(np.uint8)


def _encode(path: Path, pictures: Iterator[npt.NDArray[np.uint8]], encoder: str) -> int:
    count = 0
    with av.open(path.as_posix(), "w") as container:
        stream = cast(av.VideoStream, container.add_stream(encoder, rate=FRAMES_PER_SECOND, options=_ENCODERS[encoder]))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TIMESCALE)
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = count * TIMESCALE // FRAMES_PER_SECOND, Fraction(1, TIMESCALE)
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode(None))
    return count

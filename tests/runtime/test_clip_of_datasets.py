"""Clips of the sample datasets are the frames of the whole files, and those that LeRobot itself returned."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import bar_code
from tests.support.amount import every, examples
from tests.support.build_index import CAMERAS, DATA, VIDEO_DATASETS, episode_frames_in_file
from tests.support.whole_file import decode_whole_file, decode_with_plain_pyav, usable_backends

pytestmark = pytest.mark.torch

EPISODES = [
    (name, episode, camera)
    for name in VIDEO_DATASETS
    for camera in CAMERAS
    for episode in range(len(episode_frames_in_file(DATA / name, camera)))
]
TOP_OFFSETS = (-2, -1, 0)


@st.composite
def windows(draw):
    name, episode, camera = draw(st.sampled_from(EPISODES))
    _, _, length = episode_frames_in_file(DATA / name, camera)[episode]
    start = draw(st.integers(0, length - 1))
    return name, episode, camera, start, draw(st.integers(start + 1, length))


def check_clip(index, name, episode, camera, start, stop):
    """Assert that every way to read the frames `[start, stop)` returns those frames at their times."""
    path, first, _ = episode_frames_in_file(DATA / name, camera)[episode]
    frames = slice(first + start, first + stop)
    clip = index.clip(episode, camera, start, stop)
    for backend in usable_backends():
        whole = decode_whole_file(DATA / name / path, backend)
        decoded = clip.decode(backend)
        pictures = np.asarray(decoded.data)
        assert pictures.dtype == np.uint8
        assert bar_code.read(pictures) == list(range(start, stop))
        assert np.array_equal(pictures, whole.pictures[frames])
        ticks = whole.ticks[frames] - whole.ticks[first + start]
        assert clip.timescale == whole.ticks_per_second
        assert (clip.frame_ticks - clip.frame_ticks[0]).tolist() == ticks.tolist()
        assert decoded.pts_seconds.tolist() == (ticks / whole.ticks_per_second).tolist()
    hidden_ticks, hidden_pictures, ticks_per_second = decode_with_plain_pyav(clip.read())
    assert ticks_per_second == whole.ticks_per_second
    assert hidden_ticks.tolist() == ticks.tolist()
    assert np.array_equal(hidden_pictures, whole.pictures[frames])
    return clip


def test_sample_datasets_are_there():
    assert len(EPISODES) == 2 * (10 + 8 + 6 + 4)


@pytest.mark.parametrize(("name", "episode", "camera"), every(EPISODES, 3))
def test_whole_episode_is_right_and_needs_no_lead_in(indexes, name, episode, camera):
    path, _, length = episode_frames_in_file(DATA / name, camera)[episode]
    clip = check_clip(indexes[name], name, episode, camera, 0, length)
    assert clip.frame_count == length
    assert clip.read("hidden") == clip.read("shown")
    assert clip.read().endswith((DATA / name / path).read_bytes()[slice(*clip.byte_range)])


@settings(max_examples=examples(120), deadline=None)
@given(window=windows())
def test_any_window_is_right(indexes, window):
    name, *rest = window
    check_clip(indexes[name], name, *rest)


@pytest.mark.parametrize("backend", ["torchcodec", "pyav"])
@pytest.mark.parametrize("name", ["av1_multifile", "h264_bframes"])
def test_decode_returns_what_lerobot_returned(indexes, name, backend):
    if backend not in usable_backends():
        pytest.skip("TorchCodec needs FFmpeg's libraries on the system: clips were checked with PyAV alone")
    index = indexes[name]
    with np.load(DATA / name / "golden_items.npz") as golden:
        items = sorted({int(key.split("/")[0]) for key in golden.files})
        assert items == [0, 1, 7, 25, 60, 100, 130]
        for item in items:
            episode, frame = int(golden[f"{item}/episode_index"]), int(golden[f"{item}/frame_index"])
            wrist = np.asarray(index.clip(episode, CAMERAS[1], frame, frame + 1).decode(backend).data)
            assert np.array_equal(wrist[0], golden[f"{item}/{CAMERAS[1]}"])
            wanted = [max(frame + offset, 0) for offset in TOP_OFFSETS]  # LeRobot repeats the episode's first frame
            top = np.asarray(index.clip(episode, CAMERAS[0], wanted[0], frame + 1).decode(backend).data)
            assert np.array_equal(top[np.array(wanted) - wanted[0]], golden[f"{item}/{CAMERAS[0]}"])

"""Datasets whose videos are fragmented, as interrupted-safe recorders write them, or Matroska inside, from SRC to pictures."""

import numpy as np
import pytest

import episeek
from episeek_pipelines.jobs.prepare import prepare
from tests.support import bar_code
from tests.support.amount import each_choice
from tests.support.build_index import CAMERAS, DATA, copy_dataset, episode_frames_in_file
from tests.support.remux import remux
from tests.support.whole_file import decode_whole_file

EXPECTED = {"fragmented": "fragmented", "fragmented-hybrid": "fragmented", "matroska": "matroska"}


@pytest.mark.parametrize(("name", "container"), each_choice(["h264_bframes", "hevc", "edited"], list(EXPECTED)))
def test_prepared_as_any_other_dataset(tmp_path, name, container):
    source = copy_dataset(name, tmp_path / "source")
    for video in source.rglob("*.mp4"):
        remux(video, container)
    result = prepare(str(source), str(tmp_path / "out"))
    assert result.verification is not None
    assert [str(each) for each in result.verification.findings if each.severity == "error"] == []
    index = episeek.open(tmp_path / "out", data_root=source)
    assert {index.file(number).container for number in range(index.file_count)} == {EXPECTED[container]}
    rng = np.random.default_rng(0)
    for camera in CAMERAS:
        for episode, (path, first, length) in enumerate(episode_frames_in_file(DATA / name, camera)):
            original = decode_whole_file(DATA / name / path, "pyav")
            windows = [(0, length), *(sorted(rng.choice(length + 1, 2, replace=False)) for _ in range(3))]
            for start, stop in windows:
                clip = index.clip(episode, camera, start, stop)
                decoded = clip.decode("pyav")
                assert bar_code.read(decoded.data) == list(range(start, stop))
                assert np.array_equal(decoded.data, original.pictures[first + start : first + stop])
                assert np.abs(decoded.pts_seconds - np.arange(stop - start) / 30).max() <= 0.001  # Matroska's tick
